"""Small databases: cells of three seconds on disk, and neurons whose files break their worker."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from ephysfit import synthetic
from ephysfit.batch.executors import prepare_worker
from ephysfit.models.lif import LIF

#: files of neurons that do harm when a worker reads them
HARM = {
    "Dies": "import os\nos.abort()\n",
    "Hangs": "import time\ntime.sleep(600)\n",
    "Raises": "raise RuntimeError('a bug in a user file')\n",
    "Eats": "hog = bytearray(64 * 2**30)\n",
}


def database(folder: Path, cells: int = 3) -> Path:
    """A folder of NPZ recordings: one noise to fit and three repeats of another, 3 s each."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, neuron in enumerate(synthetic.draw(LIF, cells, seed=5)):
        known = synthetic.recording(
            neuron, duration=3000.0, test_duration=3000.0, repeats=3, dt=0.5, rate=12.0, tau=8.0, seed=k
        )
        times = [s.spike_times for s in known]
        np.savez(
            folder / f"cell{k}.npz", current_pA=np.stack([s.current for s in known]), dt_ms=0.5,
            spike_trial=np.repeat(np.arange(len(times)), [len(t) for t in times]), spike_times_ms=np.concatenate(times),
        )  # fmt: skip
    return folder


def harmful(folder: Path, name: str) -> str:
    """A neuron file that breaks whoever reads it, as ``--model`` takes it."""
    path = folder / f"{name.lower()}.py"
    path.write_text(HARM[name], encoding="utf-8")
    return f"{path}:{name}"


def ephysfit(*arguments: object, **options: object) -> subprocess.Popen[str]:
    """The command, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "ephysfit", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True, env={**os.environ, "PYTHONWARNINGS": "ignore"}, **options,  # type: ignore[call-overload]
    )  # fmt: skip


def employ() -> None:
    """A runner with one worker that hangs; for a process of its own."""
    worker = multiprocessing.get_context("spawn").Process(target=hang)
    worker.start()
    worker.join()


def hang() -> None:
    """What a worker is made of, then a task without end."""
    prepare_worker(None)
    print(os.getpid(), flush=True)
    time.sleep(600)


def substance(run: Path) -> dict[str, object]:
    """Of every result what does not depend on when and where it was made."""
    out = {}
    for path in sorted((run / "results").rglob("*.json")):
        r = json.loads(path.read_text(encoding="utf-8"))
        out[str(path.relative_to(run))] = (r["key"], r["status"], r["fit"]["parameters"], r["scores"])
    return out
