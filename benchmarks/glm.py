"""BankGIF beside the generalised linear model that it is: scikit-learn's Newton solver on the same design.

    python benchmarks/glm.py            # four cells, under a minute

Training files of the raphe cells, fitted to the first 40 s and judged on the last 20 s, all earlier spikes replayed.
The design is BankGIF's: the current through eight exponentials, spikes through seven; bins of 0.5 ms; bins in which the
refractory period bars a spike left out of both. scikit-learn's is a Poisson regression, whose rate has no ceiling,
with an L2 penalty on standardised columns chosen among six by the last fifth of its own 40 s. Losses of both are
negative log-likelihoods per spike, nats, of the judged bins. No test file is opened.
"""

from __future__ import annotations

import time

import numpy as np
from held_out import DT, UNTIL, cells, fitted, judged, loss
from scipy.signal import lfilter
from sklearn.linear_model import PoissonRegressor

import ephysfit as ef
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


def regression_loss(model: PoissonRegressor, x: np.ndarray, spikes: np.ndarray) -> float:
    """Negative log-likelihood per spike of bins in which there is a spike or none."""
    expected = np.minimum(model.predict(x), 50.0)
    hit = spikes > 0
    return float((expected[~hit].sum() - np.log(-np.expm1(-expected[hit])).sum()) / hit.sum())


def fit_regression(x: np.ndarray, y: np.ndarray) -> PoissonRegressor:
    """The Poisson regression whose penalty predicts the last part of its own data best, fitted to all of them."""
    cut = int(len(y) * (1 - PART))
    make = lambda alpha: PoissonRegressor(alpha=alpha, solver="newton-cholesky", max_iter=300)  # noqa: E731
    tried = {a: regression_loss(make(a).fit(x[:cut], y[:cut]), x[cut:], y[cut:]) for a in PENALTIES}
    return make(min(tried, key=tried.get)).fit(x, y)


def main() -> None:
    print("| cell | BankGIF, nats | CPU s | regression, nats | CPU s |\n|---|---:|---:|---:|---:|")
    rows = []
    for name, path in cells():
        recording = ef.load(path)
        begin = time.process_time()
        fit = fitted(recording, BankGIF, (ef.stages.Passive(), ef.stages.Likelihood()))
        ours, spent = loss(recording, fit.neuron), time.process_time() - begin
        problem = Problem(recording, BankGIF, DT)
        x, y, open_bins = make_design(problem, float(fit.neuron.refractory_ms))
        before = len(y) - problem.trials.shape[2]
        train = open_bins & (np.arange(len(y)) < before + round(UNTIL / DT))
        test = open_bins & (judged(problem, UNTIL, recording.duration)[0].use > 0)
        scale = x[train].std(0)
        begin = time.process_time()
        model = fit_regression(x[train] / scale, y[train])
        rows.append((ours, spent, regression_loss(model, x[test] / scale, y[test]), time.process_time() - begin))
        print(line(name, rows[-1]), flush=True)
    print(line("mean", np.mean(rows, axis=0)))


def line(name: str, row: tuple[float, ...] | np.ndarray) -> str:
    ours, spent, theirs, theirs_spent = row
    return f"| {name} | {ours:.3f} | {spent:.1f} | {theirs:.3f} | {theirs_spent:.1f} |"


if __name__ == "__main__":
    main()
