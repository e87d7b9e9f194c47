"""A user's way with whatever versions are installed: ``python tests/lowest.py FOLDER``; `make lowest` runs it.

Makes a recording of a known cell, and has the command line look at it, fit it, score, report and export the fit.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def recorded(path: Path) -> None:
    """5 s of noise into a LIF cell, as a table."""
    import numpy as np

    from ephysfit import synthetic
    from ephysfit.models import LIF

    cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    sweep = synthetic.recording(cell, duration=5000.0, test_duration=1000.0, repeats=3, dt=0.5, rate=14.0, seed=1)[0]
    time = np.arange(len(sweep.current)) * 0.5
    columns = np.column_stack([time, sweep.voltage, sweep.current])
    np.savetxt(path, columns, delimiter=",", header="time (ms),voltage (mV),current (pA)", comments="")


def verb(folder: Path, *words: str) -> None:
    """A verb in a process of its own; whatever it complains of ends this."""
    print("ephysfit", *words, flush=True)
    subprocess.run([sys.executable, "-m", "ephysfit", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def main(folder: Path) -> None:
    """Every step once."""
    folder.mkdir(parents=True, exist_ok=True)
    recorded(folder / "cell.csv")
    verb(folder, "--help")
    verb(folder, "info", "cell.csv")
    verb(folder, "info", str(ROOT / "data" / "DRN158.nwb"))
    verb(folder, "fit", "cell.csv", "--model", "LIF", "--output", "out")
    verb(folder, "score", "out/fit.json", "cell.csv")
    verb(folder, "simulate", "out/fit.json", "cell.csv")
    verb(folder, "export", "out/fit.json", "--to", "python", "-o", "cell.py")
    for name in ("out/fit.json", "out/scores.json", "out/report.html", "cell.py"):
        if not (folder / name).stat().st_size:
            raise SystemExit(f"{name} is empty")
    print("all well")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
