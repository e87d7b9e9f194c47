"""Steps assumed beside noise: what they do on a cell's own steps, and what they cost on noise that was not fitted.

    python benchmarks/assumed_steps.py             # every raphe cell that is there; resumes
    python benchmarks/assumed_steps.py --write     # run nothing, put the table into docs/terms.md

Fits to the training noise, with and without the steps that `ephysfit.fitting.assumed_steps` assumes. Held out: five
folds of interleaved 2-s blocks of that noise, negative log-likelihood per spike, nats, the rate kept between 1e-4 and 5
per ms. Own steps: spikes of noisy runs on the cell's current steps over those the cell fired there, and mean absolute
error of the count of a sweep in which the cell fires; no fit here has seen those steps. No test file is opened.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from accuracy import ROOT, _between, markdown, plain
from held_out import DT, cells
from prediction import BLOCK, FOLDS, count_own_steps

import ephysfit as ef
from ephysfit.files import write_text
from ephysfit.fitting.chain import one_thread
from ephysfit.fitting.ensemble import bounded_loss
from ephysfit.fitting.folds import Fold
from ephysfit.fitting.stage import Estimate, Problem
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.models import AIGIF, BankGIF, BankIGIF
from ephysfit.neuron.declare import Neuron

RESULTS = ROOT / "docs" / "assumed_steps.json"
KINDS: tuple[type[Neuron], ...] = (AIGIF, BankIGIF, BankGIF)
#: the default weight of an assumed step, and none
WEIGHTS = {"without": 0.0, "with": Likelihood().assumed}
SCORES = ("held_out", "ratio", "count")
HEAD = ("cell", "neuron", "held-out noise without", "with", "spikes on own steps without", "with",
        "count error without", "with")  # fmt: skip


def measure(path: Path, kind: type[Neuron], weight: float) -> dict[str, float]:
    """Loss on folds of the noise, and counts on the cell's own steps where there are any."""
    problem = Problem(ef.load(path), kind, DT)
    losses = []
    with one_thread():
        for k in range(FOLDS):
            fold = Fold.of(problem, k, FOLDS, BLOCK)
            cell = Likelihood(held_out=True, starts=2, assumed=weight)(fold, Estimate(fold.start())).neuron
            losses.append(bounded_loss(cell, fold.validate, DT))
        whole = Likelihood(starts=2, assumed=weight)(problem, Estimate(problem.start())).neuron
    out = {"held_out": float(np.mean(losses))}
    steps = path.parent / "current_steps.abf"
    if steps.exists():
        fired, own = count_own_steps(whole, ef.load(steps))
        out |= {"ratio": float(fired.sum() / own.sum()), "count": float(np.abs(fired - own)[own > 0].mean())}
    return out


def lines(rows: dict[str, dict[str, dict[str, dict[str, float]]]]) -> list[tuple[str, ...]]:
    """The table as text, the mean of each neuron last."""
    out, means = [], []
    for kind in (k.__name__ for k in KINDS):
        done = {cell: by[kind] for cell, by in rows.items() if kind in by}
        values = {
            cell: [by[way].get(score, np.nan) for score in SCORES for way in WEIGHTS] for cell, by in done.items()
        }
        out += [_line(cell, kind, row) for cell, row in values.items()]
        means.append(_line("mean", kind, list(np.nanmean(list(values.values()), axis=0))))
    return [*out, *means]


def _line(cell: str, kind: str, row: list[float]) -> tuple[str, ...]:
    return (cell, kind, *("–" if np.isnan(v) else f"{v:.2f}" for v in row))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--again", action="store_true", help="run also what is done")
    options.add_argument("--write", action="store_true", help="run nothing, write docs/terms.md")
    given = options.parse_args()
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    warnings.simplefilter("ignore")
    for cell, path in [] if given.write else cells():
        for kind in KINDS:
            if kind.__name__ not in rows.get(cell, {}) or given.again:
                found = {way: measure(path, kind, weight) for way, weight in WEIGHTS.items()}
                rows.setdefault(cell, {})[kind.__name__] = found
                write_text(RESULTS, json.dumps(rows, indent=1) + "\n")
                print(cell, kind.__name__, found, flush=True)
    print(plain(HEAD, lines(rows)))
    if given.write:
        page = ROOT / "docs" / "terms.md"
        write_text(page, _between(page.read_text(encoding="utf-8"), "assumed", markdown(HEAD, lines(rows))))


if __name__ == "__main__":
    main()
