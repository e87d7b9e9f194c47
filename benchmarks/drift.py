"""Does a drift fitted on the beginning of a recording hold for its end? Held-out likelihood of training files only.

    python benchmarks/drift.py

AIGIF with one linear drift of the log rate is fitted to the first 40 s (30 s) of a 60 s training file; the last 20 s
(15 s) are replayed with the drift held at a part of its end value: 0 is its mean over the fitted data, 1 its end.
Negative log-likelihood per spike, nats. Needs the shared recordings beside the checkout; no test file is opened.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

import ephysfit as ef
from ephysfit.fitting.fit import run
from ephysfit.fitting.stage import Problem
from ephysfit.fitting.stages import Likelihood, Passive
from ephysfit.models import AIGIF
from ephysfit.neuron.free import Free
from ephysfit.simulation.replay import Replay

RAPHE = Path(__file__).resolve().parents[2] / "shared" / "data" / "raphe"
#: fitted until, judged from and to, ms
SPLITS = ((40_000.0, 40_000.0, 60_000.0), (30_000.0, 45_000.0, 60_000.0))
HELD = (0.0, 0.5, 1.0, 1.5)
DT = 0.5


def held_out(recording: ef.Recording, until: float, start: float, stop: float) -> list[float]:
    """Loss on [start, stop) for each part of the drift that is held."""
    fit = run(Problem(recording.cut(0.0, until), AIGIF, DT), (Passive(), Likelihood(drift=1)))
    change = float((fit.details.get("drift") or [0.0])[0])
    free, whole = Free.of(AIGIF, smooth_only=True), Problem(recording, AIGIF, DT).everything[0]
    before = len(whole.use) - round(recording.duration / DT)  # the run-up, where there is one
    use = np.zeros_like(whole.use)
    use[before + round(start / DT) : before + round(stop / DT)] = 1
    judged = replace(whole, use=use & whole.use)
    losses = []
    for part in HELD:
        cell = fit.neuron.replace(theta=fit.neuron.theta + (1 - part) * change / 2)  # a softness of 1 mV: nats are mV
        losses.append(-Replay(free, cell, DT).value(free.to_vector(cell), [judged]) / max(judged.n_spikes, 1))
    return losses


def main() -> None:
    print("| cell | fitted, s | " + " | ".join(f"held at {p:g}" for p in HELD) + " |")
    print("| --- | --- |" + " --- |" * len(HELD))
    for path in sorted(RAPHE.glob("*/*_training.abf")):
        for until, start, stop in SPLITS:
            losses = held_out(ef.load(path), until, start, stop)
            print(f"| {path.stem} | {until / 1e3:g} | " + " | ".join(f"{v:.2f}" for v in losses) + " |", flush=True)


if __name__ == "__main__":
    main()
