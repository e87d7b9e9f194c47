"""Why intervals of AIGIF's answers cover too little: how far fits to the fit's own spikes miss it.

    python benchmarks/recovery_resampled.py                # eight cells of benchmarks/recovery_independent.py; resumes
    python benchmarks/recovery_resampled.py --table        # run nothing, show what is done
    python benchmarks/recovery_resampled.py --write        # the table between its marks in docs/recovery.md

Each cell is fitted, the fit fires four trains on the recorded stimulus, and the likelihood of each of these is climbed
from the fit: a parametric bootstrap. What an answer then differs by from the fit's, on the same train, is what the
delta method ought to have claimed: its mean is the bias, its standard deviation the standard error. Intervals on the
logarithm, with the bias taken off and the larger of the two standard errors (the bootstrap's pooled over cells), are
beside those of the delta method. Answers that are not determined (a rate a thousandth of another) are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from recovery_independent import (
    DETERMINED,
    DT,
    REACH,
    SAMPLED,
    Answers,
    _with_error,
    fit_cell,
    record_cells,
)

from ephysfit.data.recording import Recording, Sweep
from ephysfit.fitting.chain import one_thread
from ephysfit.fitting.stage import Problem
from ephysfit.fitting.uncertainty.likelihood_surface import Surface
from ephysfit.models import AIGIF
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.replay import Replay
from ephysfit.simulation.simulate import simulate

sys.path.insert(0, str(Path(__file__).resolve().parent))

from accuracy import ROOT, _between, markdown, plain, store

#: trains of every fit, seed of their noise, steps of a climb
TRAINS, NOISE, STEPS = 4, 5, 40


def resample(cell: Neuron, data: Recording) -> dict[str, Any]:
    """One fit, the errors it claims for its answers, and how far fits to its own spikes miss these."""
    begin = time.process_time()
    with one_thread():
        surface = Surface.of(fit_cell(AIGIF, data), data)
        top, free = surface.top(), surface.free
        z = top.q[: len(free.names)]
        replay, answers = Replay(free, top.neuron, DT), Answers.of(surface.sweeps[0], DT)
        slopes = answers.slopes(replay, z)
        truth = answers.read(Replay(free, cell, DT), free.to_vector(cell))
        drawn = simulate(top.neuron, data, dt=DT, runs=TRAINS, noise="escape", seed=NOISE).spike_times[0]
        ratios = []
        for train in drawn:
            sweep = Sweep(data.sweeps[0].current, SAMPLED, None, np.asarray(train), name="training")
            again = Problem(Recording((sweep,), cell="resampled", source="synthetic"), AIGIF, DT).everything
            climbed = surface.climb(surface.target(top.neuron, again), top.q, steps=STEPS).z[: len(free.names)]
            own = Answers.of(again[0], DT)
            ratios.append((own.read(replay, climbed) / own.read(replay, z)).tolist())
    errors = np.sqrt(np.einsum("ai,ij,aj->a", slopes, top.covariance, slopes))
    return {
        "names": list(answers.places), "true": truth.tolist(), "value": answers.read(replay, z).tolist(),
        "error": errors.tolist(), "ratios": ratios, "cpu_seconds": time.process_time() - begin,
    }  # fmt: skip


HEAD = ("answer", "off", "bias of fits to the fit's spikes", "their spread", "claimed s.e.", "in 95 % interval",
        "with bias and spread of the fits")  # fmt: skip


def lines(results: Path) -> list[tuple[str, ...]]:
    """One row an answer, and one over those that are determined."""
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(results.glob("AIGIF_*.json"))]
    true, value, error = (np.array([r[k] for r in rows]) for k in ("true", "value", "error"))
    log = np.log([r["ratios"] for r in rows])  # cell, train, answer
    bias, spread = log.mean(1), np.sqrt(log.var(1, ddof=1).mean(0))
    claimed = error / value
    before = np.abs(value - true) <= REACH * error
    after = np.abs(np.log(value / true) - bias) <= REACH * np.maximum(claimed, spread)
    known = [a for a in range(true.shape[1]) if np.median(error[:, a] / true[:, a]) <= DETERMINED]
    out = []
    for a in known:
        shown = (np.median(value[:, a] / true[:, a]) - 1, np.expm1(np.median(bias[:, a])))
        out.append((
            rows[0]["names"][a], *(f"{100 * s:+.1f} %" for s in shown), f"{100 * spread[a]:.1f} %",
            f"{100 * np.median(claimed[:, a]):.1f} %", _with_error(list(before[:, a])), _with_error(list(after[:, a])),
        ))  # fmt: skip
    pooled = (_with_error(list(some[:, known].ravel())) for some in (before, after))
    return [*out, (f"all of these, {len(rows)} cells", "", "", "", "", *pooled)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cells", type=int, default=8)
    options.add_argument("--results", type=Path, default=ROOT / "build" / "recovery_resampled", help="what is done")
    options.add_argument("--table", action="store_true", help="run nothing, show what is done")
    options.add_argument("--write", action="store_true", help="run nothing, write the table into docs/recovery.md")
    given = options.parse_args()
    left = [k for k in range(given.cells) if not (given.results / f"AIGIF_{k:02d}.json").exists()]
    if left and not (given.table or given.write):
        cells, recordings = record_cells("AIGIF", given.cells)
        for k in (k for k in left if k < len(cells)):
            row = resample(cells[k], recordings[k])
            store(given.results / f"AIGIF_{k:02d}.json", row)
            print(f"AIGIF {k}: {row['cpu_seconds']:.0f} CPU s", file=sys.stderr, flush=True)
    table = lines(given.results)
    if given.write:
        page = ROOT / "docs" / "recovery.md"
        page.write_text(
            _between(page.read_text(encoding="utf-8"), "resampled", markdown(HEAD, table)), encoding="utf-8"
        )
    print(plain(HEAD, table))


if __name__ == "__main__":
    main()
