"""What lifts AIGIF on blocks it has not seen: a bounded rate, a residual network, a limit to the static gain.

    python benchmarks/prediction.py             # every raphe cell that is there; resumes
    python benchmarks/prediction.py --write     # run nothing, put the table into docs/terms.md

Five folds of interleaved 2-s blocks of the training noise; no test file is opened. Held out: negative log-likelihood
per spike, nats, the rate kept between 1e-4 and 5 per ms, so that no single bin decides. Own steps: spikes of noisy runs
on the cell's current steps over those the cell fired there, for the fit to all of the noise; steps are another protocol
that no fit here has seen.

No steps are assumed in any of these fits (`benchmarks/assumed_steps.py` shows what that does).

- unbounded: the rate of version 0.2, exp(u) per ms.
- AIGIF: the rate is sigma(u) per ms.
- with network: AIGIF, fitted first, and the network of `ephysfit.fitting.residual` on its log hazard.
- gain below .9: AIGIF with sum(c), by which the threshold follows a sustained potential, kept below .9.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import ROOT, _between, markdown, plain
from held_out import DT, cells, fit_folds

import ephysfit as ef
from ephysfit.data.holding_current import LEAD
from ephysfit.files import write_text
from ephysfit.fitting.chain import one_thread
from ephysfit.fitting.ensemble import bounded_loss, residual_loss
from ephysfit.fitting.residual import Residual
from ephysfit.fitting.stage import Estimate, Problem
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.models.aigif import AIGIF, AIGIFBanks, UnboundedAIGIF
from ephysfit.neuron.declare import Neuron, Parameter

RESULTS = ROOT / "docs" / "prediction.json"
#: noisy runs of a sweep of the steps
RUNS = 20


def limit_gain(top: float) -> type[Neuron]:
    """AIGIF whose threshold follows a sustained potential by less than `top` of it: the third weight is tied."""

    def margin(self: Any, x: Any) -> Any:
        weights = (self.c_1, self.c_2, self.gain - self.c_1 - self.c_2)
        v = self._drive(x) - self.g_A * x.A
        follows = sum(c * y for c, y in zip(weights, x.y, strict=True))
        return v + (self.gamma * x.H).sum() - self.theta - follows

    kept = ("hold", "drifts", "_drive", "flow", "jump", "hazard")
    body: dict[str, Any] = {k: v for k, v in AIGIFBanks.parameters.items() if k != "c"}
    body |= {
        "c_1": Parameter("1", -40.0, 40.0, "first weight", 5.0, width=1.0),
        "c_2": Parameter("1", -40.0, 40.0, "second weight", 3.0, width=1.0),
        "gain": Parameter("1", -40.0, top, "sum of the weights", 0.5, width=1.0),
        **AIGIFBanks.states, **{k: AIGIFBanks.__dict__[k] for k in kept}, "margin": margin,
        "__doc__": "AIGIF with a limited static gain.",
    }  # fmt: skip
    start = {k: v for k, v in AIGIFBanks.alternatives[0].items() if k != "c"}
    body["alternatives"] = ({**start, "c_1": 0.3, "c_2": 0.1, "gain": 0.5},)
    made: Any = type("LimitedAIGIFBanks", (Neuron,), body)
    return made.pin("LimitedAIGIF", "AIGIF with a limited static gain.", **AIGIF.pinned)


KINDS: dict[str, Callable[[], type[Neuron]]] = {
    "unbounded": lambda: UnboundedAIGIF, "AIGIF": lambda: AIGIF, "gain below .9": lambda: limit_gain(0.9),
}  # fmt: skip


def measure(path: Path, kind: type[Neuron], network: bool) -> dict[str, float]:
    """Losses on folds, and spikes on the cell's own steps."""
    recording = ef.load(path)
    problem = Problem(recording, kind, DT, assume_steps=False)
    losses, rich = [], []
    with one_thread():
        for k, (fold, cell) in enumerate(fit_folds(problem, Likelihood(held_out=True, starts=2))):
            losses.append(bounded_loss(cell, fold.validate, DT))
            if network:
                rich.append(residual_loss(Residual(seed=k).fit(fold, cell, fold.train), fold.validate, DT))
        whole = Likelihood(starts=2)(problem, Estimate(problem.start()))
    out = {"held_out": float(np.mean(losses)), "train": whole.train}
    if network:
        out |= {"network": float(np.mean(rich)), "better": float(np.sum(np.array(rich) < losses))}
    steps = path.parent / "current_steps.abf"
    if steps.exists():
        fired, own = count_own_steps(whole.neuron, ef.load(steps))
        out["own_steps"] = float(fired.sum() / own.sum())
    return out


def count_own_steps(cell: Neuron, protocol: ef.Recording) -> tuple[np.ndarray, np.ndarray]:
    """Spikes per sweep of a cell's own steps: mean over noisy runs of the model, and recorded, each (sweep,)."""
    given = [protocol.select(indices=[k]) for k in range(len(protocol))]
    runs = [ef.simulate(cell, g, dt=DT, runs=RUNS, noise="escape", seed=1, settle=LEAD).spike_times[0] for g in given]
    fired = np.array([np.mean([len(t) for t in trains]) for trains in runs])
    return fired, np.array([len(s.spike_times) for s in protocol.sweeps], dtype=float)


HEAD = ("cell", "unbounded", "AIGIF", "with network", "folds it wins", "gain below .9", "own steps: unbounded", "AIGIF",
        "gain below .9")  # fmt: skip


def lines(rows: dict[str, dict[str, dict[str, float]]]) -> list[tuple[str, ...]]:
    """The table as text, means last."""
    keys = [("unbounded", "held_out"), ("AIGIF", "held_out"), ("AIGIF", "network"), ("AIGIF", "better"),
            ("gain below .9", "held_out"), ("unbounded", "own_steps"), ("AIGIF", "own_steps"),
            ("gain below .9", "own_steps")]  # fmt: skip
    values = {cell: [by.get(k, {}).get(n, float("nan")) for k, n in keys] for cell, by in rows.items()}
    values["mean"] = list(np.nanmean(list(values.values()), axis=0))
    digits = (2, 2, 2, 1, 2, 2, 2, 2)
    return [
        (cell, *("–" if np.isnan(v) else f"{v:.{d}f}" for v, d in zip(row, digits, strict=True)))
        for cell, row in values.items()
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--again", action="store_true", help="run also what is done")
    options.add_argument("--write", action="store_true", help="run nothing, write docs/terms.md")
    given = options.parse_args()
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    warnings.simplefilter("ignore")
    for cell, path in [] if given.write else cells():
        for name, kind in KINDS.items():
            if name not in rows.get(cell, {}) or given.again:
                rows.setdefault(cell, {})[name] = measure(path, kind(), name == "AIGIF")
                write_text(RESULTS, json.dumps(rows, indent=1) + "\n")
                print(cell, name, rows[cell][name], flush=True)
    print(plain(HEAD, lines(rows)))
    if given.write:
        page = ROOT / "docs" / "terms.md"
        write_text(page, _between(page.read_text(encoding="utf-8"), "prediction", markdown(HEAD, lines(rows))))


if __name__ == "__main__":
    main()
