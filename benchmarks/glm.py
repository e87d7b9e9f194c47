"""BankGIF beside the generalised linear model that it is: scikit-learn and nemos on the same design.

    python benchmarks/glm.py                      # four cells, under a minute: BankGIF and scikit-learn's Newton solver
    python benchmarks/glm.py --nemos PYTHON       # nemos too, by the Python of an environment that has it
    python benchmarks/glm.py --nemos PYTHON --write      # ... and the table between its marks in docs/terms.md

Training files of the raphe cells, fitted to the first 40 s and judged on the last 20 s, all earlier spikes replayed.
The design is BankGIF's: the current through eight exponentials, spikes through seven; bins of 0.5 ms; bins in which the
refractory period bars a spike left out of all. Theirs are Poisson regressions, whose rate has no ceiling, with an L2
penalty on standardised columns chosen among six by the last fifth of their own 40 s; nemos climbs by BFGS, and its
second fits are timed. All run on one thread. Losses are negative log-likelihoods per spike, nats, of the judged bins.
No test file is opened.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from accuracy import ROOT, _between, markdown, plain
from held_out import DT, UNTIL, cells, fitted, judged, loss
from scipy.signal import lfilter
from sklearn.linear_model import PoissonRegressor
from threadpoolctl import threadpool_limits

import ephysfit as ef
from ephysfit.files import write_text
from ephysfit.fitting.stage import Problem
from ephysfit.models import BankGIF
from ephysfit.models.aigif import CURRENT_TIMES, SPIKE_TIMES

#: L2 penalties of the regression that are tried
PENALTIES = (0.0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
#: part of the fitted data that chooses among them
PART = 0.2


def make_design(problem: Problem, t_ref: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns (bin, filter), spikes (bin,) and which bins no spike bars, of the one sweep of a problem."""
    sweep = problem.everything[0]
    current, spikes = sweep.current[:, 0], sweep.spikes.astype(float)
    scaled = (current - current.mean()) / current.std()
    columns = []
    for tau in CURRENT_TIMES:
        decay = np.exp(-DT / tau)
        columns.append(lfilter([1 - decay], [1, -decay], scaled))
    before = np.r_[0.0, spikes[:-1]]  # a spike acts from the next bin on
    for tau in SPIKE_TIMES:
        decay = np.exp(-DT / tau)
        columns.append(lfilter([decay], [1, -decay], before))
    held = round(t_ref / DT)
    barred = np.convolve(spikes, np.r_[0.0, np.ones(held)])[: len(spikes)] > 0
    return np.column_stack(columns), spikes, ~barred & (sweep.use > 0)


def regression_loss(expected: np.ndarray, spikes: np.ndarray) -> float:
    """Negative log-likelihood per spike of bins in which there is a spike or none, of which so many are expected."""
    expected = np.minimum(expected, 50.0)
    hit = spikes > 0
    return float((expected[~hit].sum() - np.log(-np.expm1(-expected[hit])).sum()) / hit.sum())


def by_sklearn(x: np.ndarray, y: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, float]:
    """Expected spikes of the test bins, by the penalty that predicts its own last part best, and CPU seconds."""
    begin, cut = time.process_time(), int(len(y) * (1 - PART))
    make = lambda alpha: PoissonRegressor(alpha=alpha, solver="newton-cholesky", max_iter=300)  # noqa: E731
    tried = {a: regression_loss(make(a).fit(x[:cut], y[:cut]).predict(x[cut:]), y[cut:]) for a in PENALTIES}
    model = make(min(tried, key=tried.get)).fit(x, y)
    return model.predict(test), time.process_time() - begin


def by_nemos(python: str, x: np.ndarray, y: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, float]:
    """The same by nemos, in the Python of another environment."""
    cut = int(len(y) * (1 - PART))
    with tempfile.TemporaryDirectory() as folder:
        design, found = Path(folder) / "design.npz", Path(folder) / "found.npz"
        np.savez(design, x=x, y=y, test=test, cut=cut, penalties=PENALTIES)
        script = Path(__file__).with_name("peer_nemos.py")
        subprocess.run([python, str(script), str(design), str(found)], check=True)
        made = dict(np.load(found))
    best = int(np.argmin([regression_loss(part, y[cut:]) for part in made["part"]]))
    return made["whole"][best], float(made["seconds"][:, 0].sum() + made["seconds"][best, 1])


def compare(path: Path, nemos: str) -> list[float]:
    """Loss and CPU seconds of BankGIF, of scikit-learn's regression and of that of nemos, in one row."""
    recording = ef.load(path)
    begin = time.process_time()
    fit = fitted(recording, BankGIF, (ef.stages.Passive(), ef.stages.Likelihood()))
    row = [loss(recording, fit.neuron), time.process_time() - begin]
    problem = Problem(recording, BankGIF, DT)
    x, y, open_bins = make_design(problem, float(fit.neuron.refractory_ms))
    before = len(y) - problem.trials.shape[2]
    train = open_bins & (np.arange(len(y)) < before + round(UNTIL / DT))
    test = open_bins & (judged(problem, UNTIL, recording.duration)[0].use > 0)
    x = x / x[train].std(0)
    for expected, spent in [
        threadpool_limits.wrap(1)(by_sklearn)(x[train], y[train], x[test]),
        *([by_nemos(nemos, x[train], y[train], x[test])] if nemos else []),
    ]:
        row += [regression_loss(expected, y[test]), spent]
    return row


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--nemos", default="", metavar="PYTHON", help="the Python of an environment that has nemos")
    options.add_argument("--write", action="store_true", help="write the table into docs/terms.md")
    given = options.parse_args()
    rows = {}
    for name, path in cells():
        rows[name] = compare(path, given.nemos)
        print(name, *(f"{v:.3f}" for v in rows[name]), flush=True)
    rows["mean"] = np.mean(list(rows.values()), axis=0).tolist()
    names = ("BankGIF", "scikit-learn", *(["nemos"] if given.nemos else []))
    head = ("cell", *(h for n in names for h in (f"{n}, nats per spike", "CPU s")))
    body = [
        (name, *(f"{v:.3f}" if k % 2 == 0 else f"{v:.1f}" for k, v in enumerate(row))) for name, row in rows.items()
    ]
    print(plain(head, body))
    if given.write:
        page = ROOT / "docs" / "terms.md"
        write_text(page, _between(page.read_text(encoding="utf-8"), "glm", markdown(head, body)))


if __name__ == "__main__":
    main()
