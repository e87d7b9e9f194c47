"""Steps assumed beside noise: what they do on a cell's own steps, and what they cost on noise that was not fitted.

    python benchmarks/assumed_steps.py             # every raphe cell that is there; resumes
    python benchmarks/assumed_steps.py --write     # run nothing, put the table into docs/terms.md

Fits to the training noise, with and without the steps that `ephysfit.fitting.assumed_steps` assumes. Held out: five
folds of interleaved 2-s blocks of that noise, negative log-likelihood per spike, nats, the rate kept between 1e-4 and 5
per ms. Own steps: spikes of noisy runs on the cell's current steps over those the cell fired there, and mean absolute
error of the count of a sweep in which the cell fires; no fit here has seen those steps. The share of the rate in noise
that the cells keep on their steps stands below the table. No test file is opened.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
from accuracy import ROOT, _between, markdown, plain
from held_out import DT, cells, fit_folds
from prediction import count_own_steps

import ephysfit as ef
from ephysfit.files import write_text
from ephysfit.fitting.assumed_steps import ONSET, SHARE, assume_steps, read_rate_curve
from ephysfit.fitting.chain import one_thread
from ephysfit.fitting.ensemble import bounded_loss
from ephysfit.fitting.stage import Estimate, Problem
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.metrics.step_answers import find_steps
from ephysfit.models import AIGIF, BankGIF, BankIGIF
from ephysfit.neuron.declare import Neuron

RESULTS = ROOT / "docs" / "assumed_steps.json"
KINDS: tuple[type[Neuron], ...] = (AIGIF, BankIGIF, BankGIF)
#: whether steps are assumed
WAYS = {"without": False, "with": True}
SCORES = ("held_out", "ratio", "count")
HEAD = ("cell", "neuron", "held-out noise without", "with", "spikes on own steps without", "with",
        "count error without", "with")  # fmt: skip


def measure(path: Path, kind: type[Neuron], assume: bool) -> dict[str, float]:
    """Loss on folds of the noise, and counts on the cell's own steps where there are any."""
    problem = Problem(ef.load(path), kind, DT, assume_steps=assume)
    with one_thread():
        folds = fit_folds(problem, Likelihood(held_out=True, starts=2))
        losses = [bounded_loss(cell, fold.validate, DT) for fold, cell in folds]
        whole = Likelihood(starts=2)(problem, Estimate(problem.start())).neuron
    out = {"held_out": float(np.mean(losses))}
    steps = path.parent / "current_steps.abf"
    if steps.exists():
        fired, own = count_own_steps(whole, ef.load(steps))
        out |= {"ratio": float(fired.sum() / own.sum()), "count": float(np.abs(fired - own)[own > 0].mean())}
    return out


def measure_share(path: Path) -> float | None:
    """Spikes on a cell's own steps, their onset left out, over those it fires in noise of the same slow level.

    Steps between the levels at which steps are assumed are counted; None of a cell without steps.
    """
    steps = path.parent / "current_steps.abf"
    if not steps.exists():
        return None
    problem, protocol = Problem(ef.load(path), AIGIF, DT), ef.load(steps)
    assumed = assume_steps(problem.everything, DT, 0.0)
    levels, curve = read_rate_curve(problem.everything, DT)
    own = noise = 0.0
    for sweep, step in zip(protocol.sweeps, find_steps(protocol.sweeps), strict=True):
        if assumed[0].amplitude <= step.amplitude <= assumed[-1].amplitude:
            begin = step.begin + ONSET
            own += np.sum((sweep.spike_times >= begin) & (sweep.spike_times < step.end))
            noise += np.interp(step.amplitude, levels, curve) * (step.end - begin) / 1000.0
    return float(own / noise)


def lines(rows: dict[str, dict[str, dict[str, dict[str, float]]]]) -> list[tuple[str, ...]]:
    """The table as text, the mean of each neuron last."""
    out, means = [], []
    for kind in (k.__name__ for k in KINDS):
        done = {cell: by[kind] for cell, by in rows.items() if kind in by}
        values = {cell: [by[way].get(score, np.nan) for score in SCORES for way in WAYS] for cell, by in done.items()}
        out += [_line(cell, kind, row) for cell, row in values.items()]
        means.append(_line("mean", kind, list(np.nanmean(list(values.values()), axis=0))))
    return [*out, *means]


def _line(cell: str, kind: str, row: list[float]) -> tuple[str, ...]:
    return (cell, kind, *("–" if np.isnan(v) else f"{v:.2f}" for v in row))


def describe_shares(shares: dict[str, float]) -> str:
    """A sentence on the shares of the cells beside the one that fits assume."""
    each = ", ".join(f"{share:.2f} ({cell})" for cell, share in shares.items())
    return (
        f"Rate on the cell's own steps over its rate in noise of the same slow level: {each}; mean "
        f"{np.mean(list(shares.values())):.2f}. Fits assume {SHARE:.2f}."
    )


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
                found = {way: measure(path, kind, assume) for way, assume in WAYS.items()}
                rows.setdefault(cell, {})[kind.__name__] = found
                write_text(RESULTS, json.dumps(rows, indent=1) + "\n")
                print(cell, kind.__name__, found, flush=True)
    shares = {cell: share for cell, path in cells() if (share := measure_share(path)) is not None}
    print(plain(HEAD, lines(rows)), describe_shares(shares), sep="\n\n")
    if given.write:
        page = ROOT / "docs" / "terms.md"
        text = f"{markdown(HEAD, lines(rows))}\n\n{describe_shares(shares)}"
        write_text(page, _between(page.read_text(encoding="utf-8"), "assumed", text))


if __name__ == "__main__":
    main()
