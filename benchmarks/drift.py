"""Does a drift fitted on the beginning of a recording hold for its end? Held-out likelihood of training files only.

    python benchmarks/drift.py             # a drift of the log rate
    python benchmarks/drift.py --recent    # recent data weigh more instead

AIGIF with one linear drift of the log rate is fitted to the first 40 s (30 s) of a 60 s training file; the last 20 s
(15 s) are replayed with the drift held at a part of its end value: 0 is its mean over the fitted data, 1 its end.
Negative log-likelihood per spike, nats. With --recent AIGIF is fitted to the first 40 s with weights that halve every
20 or 40 s back from their end, or not at all, and judged on the last 20 s. Needs the shared recordings beside
the checkout; no test file is opened.
"""

from __future__ import annotations

import argparse

import numpy as np
from held_out import DT, UNTIL, cells, judged, loss

import ephysfit as ef
from ephysfit.fitting.chain import run_stages
from ephysfit.fitting.stage import Problem
from ephysfit.fitting.stages import Likelihood, Passive
from ephysfit.models import AIGIF
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay

#: fitted until, judged from and to, ms
SPLITS = ((40_000.0, 40_000.0, 60_000.0), (30_000.0, 45_000.0, 60_000.0))
HELD = (0.0, 0.5, 1.0, 1.5)
#: half-lives of weights, s
HALF_LIVES = (None, 40.0, 20.0)


def held_out(recording: ef.Recording, until: float, start: float, stop: float) -> list[float]:
    """Loss on [start, stop) for each part of the drift that is held."""
    fit = run_stages(Problem(recording.cut(0.0, until), AIGIF, DT), (Passive(), Likelihood(drift=1)))
    change = float((fit.likelihood.drift or (0.0,))[0])
    free, sweeps = FreeParameters.of(AIGIF, smooth_only=True), judged(Problem(recording, AIGIF, DT), start, stop)
    losses = []
    for part in HELD:
        cell = fit.neuron.replace(theta=fit.neuron.theta + (1 - part) * change / 2)  # a softness of 1 mV: nats are mV
        losses.append(-Replay(free, cell, DT).value(free.to_vector(cell), sweeps) / max(sweeps[0].n_spikes, 1))
    return losses


def recent() -> None:
    print("| cell | " + " | ".join("all alike" if h is None else f"{h:g} s" for h in HALF_LIVES) + " |")
    print("| --- |" + " --- |" * len(HALF_LIVES))
    rows = []
    for cell, path in cells():
        recording = ef.load(path)
        rows.append([])
        for half_life in HALF_LIVES:
            stage = Likelihood(recent=None if half_life is None else 1e3 * half_life)
            fit = run_stages(Problem(recording.cut(0.0, UNTIL), AIGIF, DT), (Passive(), stage))
            rows[-1].append(loss(recording, fit.neuron))
        print(f"| {cell} | " + " | ".join(f"{v:.2f}" for v in rows[-1]) + " |", flush=True)
    print("| median | " + " | ".join(f"{v:.2f}" for v in np.median(rows, axis=0)) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recent", action="store_true", help="half-lives of the data's weight")
    if parser.parse_args().recent:
        recent()
        return
    print("| cell | fitted, s | " + " | ".join(f"held at {p:g}" for p in HELD) + " |")
    print("| --- | --- |" + " --- |" * len(HELD))
    for cell, path in cells():
        for until, start, stop in SPLITS:
            losses = held_out(ef.load(path), until, start, stop)
            print(f"| {cell} | {until / 1e3:g} | " + " | ".join(f"{v:.2f}" for v in losses) + " |", flush=True)


if __name__ == "__main__":
    main()
