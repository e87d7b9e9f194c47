"""Ways to intervals of AIGIF's answers, beside one another on the same cells: what each covers, and what it costs.

    python benchmarks/recovery_resampled.py                # forty cells; resumes
    python benchmarks/recovery_resampled.py --seed 3       # others
    python benchmarks/recovery_resampled.py --table        # run nothing, show what is done
    python benchmarks/recovery_resampled.py --write        # the table between its marks in docs/recovery.md

Each cell of `recovery_independent` is fitted. The curvature at the top gives the standard errors of its answers (rate
some ms after a spike or a small pulse over that without). Beside them stand a jackknife, which leaves out one
thirtieth of the recording after another and takes two steps of Fisher scoring, and trains that the fit fires on the
recorded stimulus, fitted again. Both give a bias and a standard deviation of the logarithm of each answer; the largest
of these deviations and the curvature's standard error counts. The last way is that of `ephysfit.intervals`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from recovery_independent import DETERMINED, _with_error, fit_cell, read_answers, record_cells

from ephysfit.arrays import Array
from ephysfit.data.recording import Recording
from ephysfit.fitting.chain import one_thread
from ephysfit.fitting.uncertainty.derived_intervals import (
    bound_factor,
    compare_refits,
    derive_answers,
    find_held,
    find_reach,
    list_answers,
)
from ephysfit.fitting.uncertainty.intervals import TRAINS
from ephysfit.fitting.uncertainty.left_out_parts import compute_jackknife_spread, leave_parts_out
from ephysfit.fitting.uncertainty.likelihood_surface import Peak, Surface
from ephysfit.fitting.uncertainty.simulated_trains import refit_simulated_trains
from ephysfit.models import AIGIF
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.replay import Replay

sys.path.insert(0, str(Path(__file__).resolve().parent))

from accuracy import ROOT, _between, markdown, plain, store

#: coverage asked for
LEVEL = 0.95


def compare(cell: Neuron, data: Recording) -> dict[str, Any]:
    """The answers of one fit with the truth, and error, bias and spread by every way, of their logarithms."""
    with one_thread():
        surface = Surface.of(fit_cell(AIGIF, data), data)
        top = surface.top()
        seconds = [time.process_time()]
        derived = derive_answers(surface, (top,), LEVEL)
        seconds.append(time.process_time())
        jackknife = leave_out(surface, top)
        seconds.append(time.process_time())
        refits = refit_simulated_trains(surface, top, TRAINS, 0, lambda f: None, 1)
        trains = compare_refits(surface, top, refits)
        seconds.append(time.process_time())
    truths = read_answers(surface, cell)
    return {
        "names": [d.name for d in derived], "true": [truths[d.name] for d in derived],
        "value": [d.value for d in derived], "error": [d.standard_error / d.value for d in derived],
        "jackknife": jackknife.tolist(), "trains": trains.tolist(), "cpu_seconds": np.diff(seconds).tolist(),
    }  # fmt: skip


def leave_out(surface: Surface, top: Peak) -> Array:
    """Logarithm of each answer without a part of the recording over the answer with it, (part, answer)."""
    replay, answers = Replay(surface.free, top.neuron, surface.problem.dt), list_answers(surface)
    without = leave_parts_out(surface, top, find_held(surface, top))
    read = lambda z: np.log([a.read(replay, z) for a in answers])  # noqa: E731
    off: Array = np.array([read(z) for z in without]) - read(top.q[: len(surface.free.names)])
    return off


HEAD = ("way", "cells", "answers in 95 % interval", "of those that are determined", "width by the curvature's",
        "CPU s beside the fit")  # fmt: skip


def lines(results: Path, seed: int) -> list[tuple[str, ...]]:
    """One row a way: coverage of all answers, and of those that are determined."""
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(results.glob(f"AIGIF_{seed}_*.json"))]
    true, value, error = (np.array([r[k] for r in rows]) for k in ("true", "value", "error"))
    left = np.array([r["jackknife"] for r in rows])
    j_bias, j_spread = (left.shape[1] - 1) * left.mean(1), np.array([compute_jackknife_spread(rest) for rest in left])
    fired = [np.array(r["trains"]) for r in rows]
    bias, spread = (np.array([f(t) for t in fired]) for f in (lambda t: t.mean(0), lambda t: t.std(0, ddof=1)))
    seconds = np.median([r["cpu_seconds"] for r in rows], 0)
    fires, misses, every = np.maximum(error, spread), np.maximum(error, j_spread), np.maximum(spread, j_spread)
    few = np.sqrt(1 + 1 / TRAINS)
    ways: dict[str, tuple[Array, Array, float]] = {
        "curvature": (0 * bias, error, 0.0),
        "jackknife: spread": (0 * bias, misses, seconds[1]),
        "jackknife: bias and spread": (j_bias, misses, seconds[1]),
        "trains: bias": (bias, error * few, seconds[2]),
        "trains: spread": (0 * bias, fires, seconds[2]),
        "trains: bias and spread": (bias, fires * few, seconds[2]),
        "trains: bias and spread, jackknife: spread": (bias, np.maximum(error, every) * few, seconds[1] + seconds[2]),
    }
    known = np.median(error, 0) <= DETERMINED
    out = []
    for way, (off, by, cost) in ways.items():
        inside = _cover(value, off, by, true)
        width = float(np.median((by / error)[:, known]))
        shown = (_with_error(list(some.ravel())) for some in (inside, inside[:, known]))
        out.append((way, str(len(rows)), *shown, f"{width:.2f}", f"{seconds[0] + cost:.1f}"))
    return out


def _cover(value: Array, off: Array, error: Array, true: Array) -> Array:
    """Which intervals hold the truth, (cell, answer); every interval holds the value beside it."""
    ends = np.vectorize(lambda v, b, e: bound_factor(v * np.exp(-b), e, find_reach(LEVEL)))(value, off, error)
    low, high = np.minimum(ends[0], value), np.maximum(ends[1], value)
    inside: Array = (low <= true) & (true <= high)
    return inside


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cells", type=int, default=40)
    options.add_argument("--seed", type=int, default=1, help="of cells, currents and spikes")
    options.add_argument("--results", type=Path, default=ROOT / "build" / "recovery_resampled", help="what is done")
    options.add_argument("--table", action="store_true", help="run nothing, show what is done")
    options.add_argument("--write", action="store_true", help="run nothing, write the table into docs/recovery.md")
    given = options.parse_args()
    path = lambda k: given.results / f"AIGIF_{given.seed}_{k:02d}.json"  # noqa: E731
    left = [k for k in range(given.cells) if not path(k).exists()]
    if left and not (given.table or given.write):
        cells, recordings = record_cells("AIGIF", given.cells, given.seed)
        for k in (k for k in left if k < len(cells)):
            row = compare(cells[k], recordings[k])
            store(path(k), row)
            print(f"AIGIF {k}: {sum(row['cpu_seconds']):.0f} CPU s", file=sys.stderr, flush=True)
    table = lines(given.results, given.seed)
    if given.write:
        page = ROOT / "docs" / "recovery.md"
        text = _between(page.read_text(encoding="utf-8"), "resampled", markdown(HEAD, table))
        page.write_text(text, encoding="utf-8")
    print(plain(HEAD, table))


if __name__ == "__main__":
    main()
