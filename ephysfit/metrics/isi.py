"""Rates and interspike intervals: what a train is like, whatever its timing."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Array, Float64, Trains, TrainsLike
from ephysfit.errors import ScoreError
from ephysfit.metrics.trains import check_duration, check_train, check_trains

UNDEFINED = float("nan")


def rate_hz(trains: TrainsLike, duration_ms: float) -> float:
    """Mean firing rate of all trains in spikes per second.

    Examples
    --------
    >>> rate_hz([[10.0, 20.0], [15.0]], 1000.0)
    1.5
    """
    rows = check_trains(trains)
    return float(np.mean([t.size for t in rows]) / check_duration(duration_ms) * 1e3)


def rate_error(data: TrainsLike, model: TrainsLike, duration_ms: float | None = None) -> float:
    """(model rate - recorded rate) / recorded rate: 0 at best, 0.1 when the model fires 10 % too much.

    NaN when the cell is silent. `duration_ms` is not used: it is the same for both.

    Examples
    --------
    >>> rate_error([[10.0, 20.0]], [[10.0, 20.0, 30.0]])
    0.5
    """
    d, m = (float(np.mean([t.size for t in check_trains(x)])) for x in (data, model))
    return (m - d) / d if d > 0 else UNDEFINED


def interspike_intervals(train: npt.ArrayLike) -> Float64[Array, " interval"]:
    """Interspike intervals of one train, ms."""
    return np.diff(check_train(train))


def cv(train: npt.ArrayLike) -> float:
    """Coefficient of variation of the intervals, sd / mean (sd with n), by elephant.

    NaN with fewer than two intervals.

    Examples
    --------
    >>> cv([0.0, 10.0, 20.0, 30.0])
    0.0
    """
    return _by_elephant("cv", train)


def cv2(train: npt.ArrayLike) -> float:
    """Local variability 2 abs(I' - I) / (I' + I), averaged, by elephant (Holt et al. 1996, J Neurophysiol 75:1806).

    NaN with fewer than two intervals, or where three spikes share a time.

    Examples
    --------
    >>> round(cv2([0.0, 10.0, 40.0]), 9)
    1.0
    """
    return _by_elephant("cv2", train)


def lv(train: npt.ArrayLike) -> float:
    """Local variation 3 ((I - I') / (I + I'))^2, averaged, by elephant; 1 for Poisson.

    NaN with fewer than two intervals, or where three spikes share a time.

    References
    ----------
    Shinomoto et al. 2003, Neural Comput 15:2823.

    Examples
    --------
    >>> round(lv([0.0, 10.0, 40.0]), 9)
    0.75
    """
    return _by_elephant("lv", train)


def lvr(train: npt.ArrayLike, refractory_ms: float = 5.0) -> float:
    """Local variation with the refractory period taken out, by elephant; 1 for Poisson with such a period.

    NaN with fewer than two intervals, or where three spikes share a time.

    Parameters
    ----------
    train : array_like, (spike,), sorted, ms
    refractory_ms : float

    References
    ----------
    Shinomoto et al. 2009, PLoS Comput Biol 5:e1000433.

    Examples
    --------
    >>> lvr([0.0, 10.0, 40.0], 0.0) == lv([0.0, 10.0, 40.0])
    True
    >>> round(lvr([0.0, 10.0, 40.0], 5.0), 9)
    1.125
    """
    if not (np.isfinite(refractory_ms) and refractory_ms >= 0):
        raise ScoreError(f"refractory_ms is {refractory_ms} ms; it must be finite and not negative")
    return _by_elephant("lvr", train, R=float(refractory_ms))


def _by_elephant(statistic: str, train: npt.ArrayLike, **settings: float) -> float:
    """A statistic of elephant of the intervals of one train, ms."""
    gaps = interspike_intervals(train)
    if gaps.size < 2 or not gaps.any():
        return UNDEFINED
    # two seconds, because it brings scikit-learn and pandas, and only for these
    from elephant import statistics

    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No units specified")  # they are the milliseconds that it assumes
        return float(getattr(statistics, statistic)(gaps, **settings))


def _pool_intervals(trains: Trains) -> Float64[Array, " interval"]:
    return np.sort(np.concatenate([np.diff(t) for t in trains]))


def isi_distance(data: TrainsLike, model: TrainsLike, duration_ms: float | None = None) -> float:
    """Kolmogorov–Smirnov distance of the interval distributions, intervals of all trains pooled; `duration_ms` unused.

    0 when the distributions agree, 1 when they do not overlap. NaN when either side has no interval.

    Examples
    --------
    >>> isi_distance([[0.0, 10.0, 20.0]], [[0.0, 50.0]])
    1.0
    """
    d, m = _pool_intervals(check_trains(data, "data")), _pool_intervals(check_trains(model, "model"))
    if not (d.size and m.size):
        return UNDEFINED
    at = np.concatenate([d, m])
    return float(np.abs(np.searchsorted(d, at, "right") / d.size - np.searchsorted(m, at, "right") / m.size).max())
