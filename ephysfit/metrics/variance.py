"""Explained variance of the smoothed spike train: Block-ALIF's ETV and Allen GLIF's ratio.

Both are one formula with different σ. A train becomes a rate r(t): its spikes in bins, convolved with a Gaussian of
unit area, cut at 5 σ and at the ends of the scored stretch. Then

    EV(a, b) = (var a + var b - var(a - b)) / (var a + var b) = 2 cov(a, b) / (var a + var b)
    ratio    = mean_i EV(d_i, P_m) / mean_i EV(d_i, P_d)

with d_i one recorded repeat, P_d the mean of all repeats (d_i with them), P_m the mean of the model runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Array, Float64, Integers, Trains, TrainsLike
from ephysfit.compiling import compiled
from ephysfit.metrics.trains import check_duration, check_positive, check_trains, mean_defined, refuse_spikes_outside
from ephysfit.metrics.weights import Values, mean_over, ratio

#: where the Gaussian is cut, in σ
REACH = 5


@compiled()
def _add_gaussians(bins: Integers, gauss: Array, out: Array) -> None:
    """Add one Gaussian per spike: exact, and cheaper than any convolution because trains are sparse."""
    half = gauss.size // 2
    for centre in bins:
        for c in range(max(0, centre - half), min(out.size, centre + half + 1)):
            out[c] += gauss[c - centre + half]


def gaussian_kernel(sigma: float, bin_ms: float) -> Float64[Array, " lag"]:
    """The smoothing kernel in spikes per second, of unit area on its grid; it has an odd number of samples."""
    half = int(REACH * sigma / bin_ms)
    shape: Array = np.exp(-0.5 * (np.arange(-half, half + 1) * bin_ms / sigma) ** 2)
    return shape * float(1e3 / (shape.sum() * bin_ms))


def smooth_trains(
    trains: TrainsLike, duration_ms: float, sigma: float, bin_ms: float = 1.0
) -> Float64[Array, "train time"]:
    """Smooth spike trains with a Gaussian into firing rates.

    Parameters
    ----------
    trains : sequence of array_like, (spike,), sorted, ms, within [0, duration_ms]
    duration_ms, sigma, bin_ms : float, ms

    Returns
    -------
    ndarray, (train, time)
        Spikes per second in bins of `bin_ms`.

    Examples
    --------
    >>> rate = smooth_trains([[50.0], []], 100.0, sigma=5.0)
    >>> rate.shape, round(float(rate[0].sum()) * 1e-3, 9), float(rate[1].max())
    ((2, 100), 1.0, 0.0)
    """
    rows, duration = check_trains(trains), check_duration(duration_ms)
    refuse_spikes_outside(rows, duration, "trains")
    gauss = gaussian_kernel(check_positive(sigma, "sigma"), check_positive(bin_ms, "bin_ms"))
    n = max(round(duration / bin_ms), 1)
    out = np.zeros((len(rows), n))
    for row, train in zip(out, rows, strict=True):
        _add_gaussians(np.minimum((train / bin_ms).astype(np.int64), n - 1), gauss, row)
    return out


def mean_rate(trains: Trains, duration_ms: float, sigma: float, bin_ms: float = 1.0) -> Float64[Array, " time"]:
    """Smoothed mean rate (PSTH) of many trains; the pooled train is smoothed once."""
    pooled: Array = smooth_trains([np.sort(np.concatenate(trains))], duration_ms, sigma, bin_ms)[0]
    return pooled / len(trains)


def explained_variance(covariance: Values, variance_a: Values, variance_b: Values) -> Float64[Array, "..."]:
    """Compute EV from its parts; 0 where neither train varies."""
    total = np.asarray(variance_a + variance_b, dtype=float)
    return np.where(total > 0, 2.0 * covariance / np.where(total > 0, total, 1.0), 0.0)


@dataclass(frozen=True, eq=False)
class Variances:
    """What the explained-variance scores of one stimulus need: covariances of repeats, and of repeats with the model.

    Attributes
    ----------
    repeats : (repeat, repeat) array
    with_model : (repeat,) array
    model : float, variance of the mean model run
    """

    repeats: Float64[Array, "repeat repeat"]
    with_model: Float64[Array, " repeat"]
    model: float

    @classmethod
    def of(
        cls, data: TrainsLike, model: TrainsLike, duration_ms: float, sigma: float, bin_ms: float = 1.0
    ) -> Variances:
        """Covariances of the smoothed repeats and of the mean run."""
        d = smooth_trains(data, duration_ms, sigma, bin_ms)
        m = mean_rate(check_trains(model, "model"), duration_ms, sigma, bin_ms)
        d -= d.mean(-1, keepdims=True)
        m -= m.mean()
        return cls(d @ d.T / m.size, d @ m / m.size, float(m @ m / m.size))

    def own(self, weights: Float64[Array, "... repeat"]) -> Float64[Array, "..."]:
        """mean_i EV(d_i, P_d): how much of a repeat the cell's mean response explains."""
        share = weights / weights.sum(-1, keepdims=True)
        with_mean = share @ self.repeats
        spread = (with_mean * share).sum(-1, keepdims=True)
        return np.asarray((explained_variance(with_mean, np.diag(self.repeats), spread) * share).sum(-1))

    def ratio(self, weights: Float64[Array, "... repeat"]) -> Float64[Array, "..."]:
        """The explained-variance ratio."""
        ev = explained_variance(self.with_model, np.diag(self.repeats), np.asarray(self.model))
        return ratio(mean_over(ev, weights), self.own(weights))

    def ceiling(self) -> float:
        """The same ratio when the "model" of each repeat is the mean of the others: what this many repeats allow."""
        n = len(self.repeats)
        if n < 2:
            return float("nan")
        others = (np.ones((n, n)) - np.eye(n)) / (n - 1)
        cov = np.diag(others @ self.repeats)
        spread = ((others @ self.repeats) * others).sum(-1)
        top = explained_variance(cov, np.diag(self.repeats), spread).mean()
        return float(ratio(np.asarray(top), self.own(np.ones(n))))


def explained_variance_ratio(
    data: TrainsLike, model: TrainsLike, duration_ms: float, *, sigma: float = 10.0, bin_ms: float = 1.0
) -> float:
    """Explained-variance ratio of the mean model run (formula at the top of this module).

    σ = 10 ms is Allen GLIF's choice (Teeter et al. 2018, Nat Commun 9:709); with one deterministic run the number is
    theirs. Numbers of different σ or of stretches of different length do not compare.

    Parameters
    ----------
    data, model : sequence of array_like, (spike,), sorted, ms, within [0, duration]
    duration_ms, sigma, bin_ms : float, ms

    Returns
    -------
    float
        1 when the model explains as much of a repeat as the cell's mean response does. NaN for a silent cell,
        0 for a silent model.

    Examples
    --------
    >>> round(explained_variance_ratio([[50.0], [50.0]], [[50.0]], 100.0), 12)
    1.0
    """
    d = check_trains(data, "data")
    return float(Variances.of(d, model, duration_ms, sigma, bin_ms).ratio(np.ones(len(d))))


def etv(data: TrainsLike, model: TrainsLike, duration_ms: float, *, sigma: float = 15.0, bin_ms: float = 1.0) -> float:
    """Explained temporal variance of the Block-ALIF paper (Taylor, King & Harper 2023): the ratio with σ = 15 ms.

    Their code smooths at the simulation step, with the scored segments joined; bins of 1 ms change it by under 0.002.

    Examples
    --------
    >>> etv([[50.0], [50.0]], [[]], 100.0)
    0.0
    """
    return explained_variance_ratio(data, model, duration_ms, sigma=sigma, bin_ms=bin_ms)


def explained_variance_of_runs(
    data: TrainsLike, model: TrainsLike, duration_ms: float, *, sigma: float = 10.0, bin_ms: float = 1.0
) -> float:
    """The ratio for single runs of a noisy model: mean_{i,k} EV(d_i, m_k) / mean_i EV(d_i, P_d).

    Lower than the ratio of the mean run, because one noisy run carries its own noise.

    Examples
    --------
    >>> round(explained_variance_of_runs([[50.0], [50.0]], [[50.0], []], 100.0), 12)
    0.5
    """
    d, m = (smooth_trains(t, duration_ms, sigma, bin_ms) for t in (data, model))
    d -= d.mean(-1, keepdims=True)
    m -= m.mean(-1, keepdims=True)
    ev = explained_variance(d @ m.T, (d * d).sum(-1)[:, None], (m * m).sum(-1)[None])
    own = Variances(d @ d.T, np.zeros(len(d)), 0.0).own(np.ones(len(d)))
    return float(ratio(np.asarray(mean_defined(ev)), own))


def psth_explained_variance(
    data: TrainsLike, model: TrainsLike, duration_ms: float, *, sigma: float = 10.0, bin_ms: float = 1.0
) -> float:
    """EV of the mean recorded rate by the mean model rate, EV(P_d, P_m); no ceiling is divided out.

    Examples
    --------
    >>> round(psth_explained_variance([[50.0]], [[50.0]], 100.0), 12)
    1.0
    """
    d, m = (mean_rate(check_trains(t), duration_ms, sigma, bin_ms) for t in (data, model))
    return float(explained_variance(np.asarray(np.cov(d, m, bias=True)[0, 1]), d.var(), m.var()))
