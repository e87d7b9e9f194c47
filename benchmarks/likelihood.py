"""What a step of the likelihood costs: value, and value with gradient and Fisher information, by neuron.

    python benchmarks/likelihood.py                      # ns per step, one thread, float64
    python benchmarks/likelihood.py --compile            # also CPU seconds of compiling each kernel
    python benchmarks/likelihood.py --against ../before  # the same in another checkout, in turn with this one

The recorded spikes of the training noise of a shipped cell are replayed at the step of a default fit, with all smooth
parameters moving, where the neuron's fits begin. CPU time of whole calls of `Replay.value` and `Replay.information`, so
that coefficients and their slopes are in it (some .3 ms of 120,000 steps); the least of `--repeats`, between which the
neurons take turns, because other processes disturb a single one for seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accuracy import ROOT, plain

import ephysfit as ef
from ephysfit import models
from ephysfit.fitting.chain import default_step
from ephysfit.fitting.stage import Problem, start_from_measurements
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay, ReplaySweep

CELL = ROOT / "data" / "DRN164.nwb"
NEURONS = ("AIGIF", "ALIF", "GIF")

#: processes per checkout, in turn
ROUNDS = 3

Calls = dict[str, Callable[[], Any]]


def prepare_calls(name: str) -> tuple[Calls, int]:
    """What is timed of a neuron, and the steps of one call."""
    train, _ = ef.load(CELL).split()
    neuron: type[Neuron] = getattr(models, name)
    problem = Problem(train, neuron, default_step(train))
    sweeps: list[ReplaySweep] = list(problem.everything)
    cell = start_of(problem)
    free = FreeParameters.of(neuron, smooth_only=True)
    replay, z = Replay(free, cell, problem.dt), free.to_vector(cell)
    calls = {"value": lambda: replay.value(z, sweeps), "information": lambda: replay.information(z, sweeps)}
    return calls, sum(len(s.spikes) for s in sweeps)


def start_of(problem: Problem) -> Neuron:
    """The neuron where a fit of the problem begins: its first declared alternative, if any, on measured values."""
    cell = start_from_measurements(problem)
    for known in problem.neuron.alternatives[:1]:
        cell = cell.replace(**{k: v for k, v in known.items() if k in problem.neuron.parameters})
    return cell


def measure(repeats: int) -> dict[str, dict[str, float]]:
    """Least CPU ns per step, by neuron and call."""
    prepared = {name: prepare_calls(name) for name in NEURONS}
    out: dict[str, dict[str, float]] = {name: {} for name in NEURONS}
    for _ in range(repeats):
        for name, (calls, steps) in prepared.items():
            for what, call in calls.items():
                begun = time.thread_time()
                call()
                spent = 1e9 * (time.thread_time() - begun) / steps
                out[name][what] = min(spent, out[name].get(what, float("inf")))
    return out


def measure_compilation() -> dict[str, dict[str, float]]:
    """CPU seconds of the first call of each kernel; the cache is empty where this runs."""
    out: dict[str, dict[str, float]] = {}
    for name in NEURONS:
        calls, _ = prepare_calls(name)
        out[name] = {}
        for what, call in calls.items():
            begun = time.process_time()
            call()
            out[name][what] = time.process_time() - begun
    return out


def run_elsewhere(checkout: Path, *words: str, cache: str | None = None) -> dict[str, dict[str, float]]:
    """What this program finds in a process of its own, which imports the package of a checkout."""
    env = {**os.environ, "PYTHONPATH": str(checkout), "EPHYSFIT_THREADS": "1", "OMP_NUM_THREADS": "1"}
    env.update({"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
    env.update({"EPHYSFIT_CACHE": cache} if cache else {})
    done = subprocess.run(
        [sys.executable, __file__, "--json", *words], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"benchmarks/likelihood.py failed with the package of {checkout}:\n{done.stderr}")
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def keep_least(a: dict[str, dict[str, float]], b: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The lesser of two measurements, entry by entry."""
    return {n: {w: min(v, b[n][w]) for w, v in by.items()} for n, by in a.items()}


def compare(checkouts: list[Path], given: argparse.Namespace) -> None:
    """Print a table, with columns for each checkout; they take turns, so that a busy machine hits all."""
    found = {where: run_elsewhere(where, "--repeats", str(given.repeats)) for where in checkouts}
    for _ in range(ROUNDS - 1):
        for where in checkouts:
            found[where] = keep_least(found[where], run_elsewhere(where, "--repeats", str(given.repeats)))
    columns = {f"ns a step, {where.name}": found[where] for where in checkouts}
    for where in checkouts if given.compile else []:
        with tempfile.TemporaryDirectory() as empty:
            columns[f"compiling, CPU s, {where.name}"] = run_elsewhere(where, "--compile", cache=empty)
    shown = columns.values()
    body = [(n, w, *(f"{by[n][w]:.2f}" for by in shown)) for n, by in found[checkouts[0]].items() for w in by]
    print(plain(("neuron", "what", *columns), body))


def main() -> None:
    """Measure as asked."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=15, help="calls of which the least counts, in each of 3 rounds")
    options.add_argument("--compile", action="store_true", help="also compile every kernel with an empty cache")
    options.add_argument("--against", type=Path, help="another checkout to measure in turn with this one")
    options.add_argument("--json", action="store_true", help="measure the package that is imported, print JSON")
    given = options.parse_args()
    if given.json:
        print(json.dumps(measure_compilation() if given.compile else measure(given.repeats)))
        return
    compare([where.resolve() for where in (given.against, ROOT) if where], given)


if __name__ == "__main__":
    main()
