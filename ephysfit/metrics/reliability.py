"""Reliability of a cell: how well its own repeats predict each other."""

from __future__ import annotations

import numpy as np

from ephysfit.arrays import Array, Float64, Train, Trains, TrainsLike
from ephysfit.metrics.coincidence import gamma_table, md_of, weight_table
from ephysfit.metrics.consensus import consensus
from ephysfit.metrics.trains import check_duration, check_positive, check_trains, mean_defined
from ephysfit.metrics.weights import Values, mean_over_pairs, ratio


def reliability(data: TrainsLike, duration_ms: float, *, window: float = 4.0) -> float:
    """Intrinsic reliability R: the mean Γ over all ordered pairs of different repeats; NaN for a single repeat.

    References
    ----------
    Jolivet et al. 2008, J Neurosci Methods 169:417; Gerstner & Naud 2009, Science 326:379.

    Examples
    --------
    >>> reliability([[100.0, 300.0], [102.0, 300.0]], 1000.0)
    1.0
    """
    d = check_trains(data, "data")
    table = gamma_table(d, d, check_duration(duration_ms), check_positive(window, "window"))
    return float(mean_over_pairs(table, np.ones(len(d))))


def md_reliability(data: TrainsLike, *, window: float = 4.0, kernel: str = "kistler") -> float:
    """Md*-type reliability: coincident pairs of two different repeats over those of a repeat with itself.

    1 when all repeats are alike, about 0 when nothing repeats. NaN for a single repeat or silent repeats.

    References
    ----------
    Naud, Gerhard, Mensi & Gerstner 2011, Neural Comput 23:3016.

    Examples
    --------
    >>> md_reliability([[100.0, 300.0], [102.0, 500.0]])
    0.5
    """
    d = check_trains(data, "data")
    table = weight_table(d, d, check_positive(window, "window"), kernel)
    return float(ratio(mean_over_pairs(table, np.ones(len(d))), np.asarray(np.diag(table).mean())))


def leave_one_out(data: TrainsLike, duration_ms: float, *, window: float = 4.0) -> list[Train]:
    """For each repeat, the consensus train of all the others; needs two repeats or more.

    Examples
    --------
    >>> [t.tolist() for t in leave_one_out([[10.0], [20.0], [21.0]], 1000.0)]
    [[20.5], [10.0, 21.0], [10.0, 20.0]]
    """
    d = check_trains(data, "data")
    return [consensus(d[:k] + d[k + 1 :], duration_ms, window) for k in range(len(d))] if len(d) > 1 else []


def own_gammas(data: Trains, others: Trains, duration_ms: float, window: float) -> Float64[Array, " repeat"]:
    """Γ of each repeat with the consensus of the others."""
    return np.array([gamma_table([d], [o], duration_ms, window)[0, 0] for d, o in zip(data, others, strict=False)])


def take_higher(found: Values, own: Values) -> Float64[Array, "..."]:
    """The higher of two values; the second where the first is undefined, undefined where the second is."""
    return np.where(np.isnan(found), own, np.maximum(found, own))


def gamma_ceiling(data: TrainsLike, duration_ms: float, *, window: float = 4.0) -> float:
    """Γ that a single train can reach on this cell: how well the other repeats predict each repeat.

    The others are summarised by their consensus, or one of them is taken as it is, whichever does better on the mean.
    Any one of the others reaches R on the mean over repeats, by the definition of R, so the ceiling is never below R.
    Divided by R it is 1.06 to 1.3 on raphe cells: the practical top for a deterministic model. NaN where R is.

    Examples
    --------
    >>> gamma_ceiling([[100.0, 300.0], [102.0, 300.0]], 1000.0)
    1.0
    """
    d, duration = check_trains(data, "data"), check_duration(duration_ms)
    others = leave_one_out(d, duration, window=window)
    found = mean_defined(own_gammas(d, others, duration, window))
    return float(take_higher(np.asarray(found), np.asarray(reliability(d, duration, window=window))))


def md_ceiling(data: TrainsLike, duration_ms: float, *, window: float = 4.0, kernel: str = "kistler") -> float:
    """Md* that a single train can reach on this cell; NaN for a single repeat.

    Each repeat is compared with the consensus of the others, or with one of them where that does better.

    Examples
    --------
    >>> md_ceiling([[100.0, 300.0], [100.0, 300.0]], 1000.0)
    1.0
    """
    d, duration = check_trains(data, "data"), check_duration(duration_ms)
    others = leave_one_out(d, duration, window=window)
    return md_ceiling_of_consensus(
        d, others, weight_table(d, d, check_positive(window, "window"), kernel), window, kernel
    )


def md_ceiling_of_consensus(
    data: Trains, others: Trains, count_dd: Float64[Array, "repeat repeat"], window: float, kernel: str = "kistler"
) -> float:
    """`md_ceiling` from the consensus of the others for each repeat and the table of coincident pairs of repeats."""
    if not others:
        return float("nan")
    n_dm = np.diag(weight_table(data, others, window, kernel)).mean()
    n_mm = np.diag(weight_table(others, others, window, kernel)).mean()
    n_dd = mean_over_pairs(count_dd, np.ones(len(data)))
    return float(take_higher(md_of(n_dm, n_dd, n_mm), md_of(n_dd, n_dd, np.diag(count_dd).mean())))
