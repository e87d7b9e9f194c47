"""What a user waits for: CPU seconds of every verb, of a fit's stages, and of fits by length.

    python benchmarks/pipeline.py                    # all of it; on a quiet machine some ten minutes
    python benchmarks/pipeline.py --runs 1 --skip-cold
    python benchmarks/pipeline.py --write            # run nothing, put the tables into docs/howto/speed.md

- verbs: each command in a process of its own, user and system time of it and of the processes it starts; the median of
  `--runs`, with kernels and readings on disk (warm), and once with an empty cache (cold).
- stages: seconds that each stage of a default fit to a minute of noise took, from the history of the fit.
- lengths: default fits to 30, 60 and 300 s of synthetic noise.

`benchmarks/loading.py --hour` has the loading of an hour. Results lie in build/pipeline.json; --write reads them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from accuracy import ROOT, _between, markdown, plain

import ephysfit as ef
from ephysfit.files import write_text
from ephysfit.models import AIGIF

RESULTS = ROOT / "build" / "pipeline.json"
PAGE = ROOT / "docs" / "howto" / "speed.md"
CELL = ROOT / "data" / "DRN164.nwb"
MODELS = ("AIGIF", "auto", "GIF", "ALIF", "LIF")
LENGTHS = (30, 60, 300)
#: what is asked of the shell; FIT stands for a folder with a fit, OUT for a folder to write into
VERBS = {
    "--help": "--help",
    "models": "models",
    "info": f"info {CELL}",
    "inspect": f"inspect {CELL} -o OUT/inspect.png",
    **{f"fit {m}": f"fit {CELL} --model {m} -o OUT/{m}" for m in MODELS},
    "score": f"score FIT {CELL}",
    "report": f"report FIT {CELL} -o OUT/report.html",
}


def run_verb(words: list[str], cache: Path | None = None) -> float:
    """CPU seconds of one command and of all processes it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = {**os.environ, **({"EPHYSFIT_CACHE": str(cache)} if cache else {})}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation has its bytecode
    done = subprocess.run(
        [sys.executable, "-m", "ephysfit", *words], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"ephysfit {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure_verbs(runs: int, cold: bool) -> dict[str, dict[str, float]]:
    """Each verb's CPU seconds, warm and cold."""
    out = {}
    with tempfile.TemporaryDirectory() as where:
        fit = Path(where) / "fit"
        run_verb(["fit", str(CELL), "--model", "AIGIF", "-o", str(fit)])
        for name, line in VERBS.items():
            words = [w.replace("FIT", str(fit)).replace("OUT", where) for w in line.split()]
            row = {}
            if cold:
                with tempfile.TemporaryDirectory() as empty:
                    row["cold"] = run_verb(words, Path(empty))
            run_verb(words)
            row["warm"] = float(np.median([run_verb(words) for _ in range(runs)]))
            out[name] = row
            print(name, {k: round(v, 2) for k, v in row.items()}, flush=True)
    return out


def measure_stages() -> dict[str, dict[str, float]]:
    """Seconds of each stage of a default fit to the training noise of a shipped cell."""
    train, _ = ef.load(CELL).split()
    out = {}
    for model in MODELS:
        ef.fit(train, model, seed=0, progress=False)
        cpu = time.process_time()
        fit = ef.fit(train, model, seed=0, progress=False)
        out[model] = {e.stage: e.seconds for e in fit.history} | {"all, CPU": time.process_time() - cpu}
        print(model, {k: round(v, 2) for k, v in out[model].items()}, flush=True)
    return out


def measure_lengths() -> dict[str, dict[str, float]]:
    """CPU seconds of default fits by the length of the recording, s."""
    train, _ = ef.load(CELL).split()
    cell = ef.fit(train, "AIGIF", seed=0, progress=False).neuron
    assert isinstance(cell, AIGIF)
    out: dict[str, dict[str, float]] = {m: {} for m in MODELS}
    for seconds in LENGTHS:
        data = ef.synthetic.recording(cell, duration=1000.0 * seconds, repeats=0, dt=0.5, seed=1)
        for model in MODELS:
            cpu = time.process_time()
            ef.fit(data, model, seed=0, progress=False)
            out[model][str(seconds)] = time.process_time() - cpu
        print(seconds, "s", {m: round(by[str(seconds)], 1) for m, by in out.items()}, flush=True)
    return out


def tables(found: dict) -> dict[str, tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """Head and body of each table, by name."""
    verbs, stages, lengths = found["verbs"], found["stages"], found["lengths"]
    two = lambda v: "–" if v is None else f"{v:.2f}"  # noqa: E731
    names = list(dict.fromkeys(s for by in stages.values() for s in by))
    return {
        "verbs": (
            ("command", "CPU s, warm", "CPU s, empty cache"),
            [(f"`ephysfit {n}`", two(row["warm"]), two(row.get("cold"))) for n, row in verbs.items()],
        ),
        "stages": (("stage, s", *stages), [(n, *(two(by.get(n)) for by in stages.values())) for n in names]),
        "lengths": (
            ("seconds of noise", *lengths),
            [(f"{n:,}", *(f"{by[str(n)]:.1f}" for by in lengths.values())) for n in LENGTHS],
        ),
    }  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=3, help="warm runs of each verb, of which the median counts")
    options.add_argument("--skip-cold", action="store_true", help="do not measure with an empty cache")
    options.add_argument("--write", action="store_true", help="run nothing, write docs/howto/speed.md")
    given = options.parse_args()
    if not given.write:
        warnings.simplefilter("ignore")
        found = {
            "verbs": measure_verbs(given.runs, not given.skip_cold),
            "stages": measure_stages(),
            "lengths": measure_lengths(),
        }
        write_text(RESULTS, json.dumps(found, indent=1) + "\n")
    if not RESULTS.exists():
        raise SystemExit(f"nothing to write: {RESULTS.relative_to(ROOT)} is not there; run this without --write first")
    shown = tables(json.loads(RESULTS.read_text(encoding="utf-8")))
    for head, body in shown.values():
        print(plain(head, body), end="\n\n")
    if given.write:
        page = PAGE.read_text(encoding="utf-8")
        for name, (head, body) in shown.items():
            page = _between(page, name, markdown(head, body))
        write_text(PAGE, page)


if __name__ == "__main__":
    main()
