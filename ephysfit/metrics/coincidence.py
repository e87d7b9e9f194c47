"""Coincidence factor Γ and Md*: how many spikes of the model fall near spikes of the cell, beyond chance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Array, Float64, Integers, Train, Trains, TrainsLike
from ephysfit.compiling import compiled
from ephysfit.errors import ScoreError, near
from ephysfit.metrics.trains import (
    EDGE,
    PackedTrains,
    check_duration,
    check_positive,
    check_train,
    check_trains,
    mean_defined,
    pack_trains,
)
from ephysfit.metrics.weights import mean_over, mean_over_pairs, ratio

#: windows of Md*: which pairs of spikes count, and how much
KERNELS = ("kistler", "rectangular")


@compiled()
def count_hits(data: Train, model: Train, reach: float) -> int:
    """Count the spikes of `data` with at least one spike of `model` within `reach` (ms); both trains are sorted."""
    hits, j = 0, 0
    for t in data:
        while j < model.size and model[j] < t - reach:
            j += 1
        if j < model.size and model[j] < t + reach:
            hits += 1
    return hits


@compiled()
def gamma_of_counts(hits: int, n_data: int, n_model: int, duration: float, window: float) -> float:
    """Γ of one pair; NaN where it is undefined (two silent trains, or windows that cover all time)."""
    if n_data + n_model == 0:
        return np.nan
    covered = 2.0 * window * n_model / duration
    if covered >= 1.0:
        return np.nan
    if n_data == 0 or n_model == 0:
        return 0.0
    return (hits - covered * n_data) / (0.5 * (n_data + n_model)) / (1.0 - covered)


@compiled()
def _gamma_table(
    times: Train, starts: Integers, times2: Train, starts2: Integers, duration: float, window: float
) -> Float64[Array, "repeat run"]:
    out = np.empty((starts.size - 1, starts2.size - 1))
    for i in range(out.shape[0]):
        data = times[starts[i] : starts[i + 1]]
        for j in range(out.shape[1]):
            model = times2[starts2[j] : starts2[j + 1]]
            hits = count_hits(data, model, window + EDGE)
            out[i, j] = gamma_of_counts(hits, data.size, model.size, duration, window)
    return out


@compiled()
def _pair_weight(a: Train, b: Train, window: float, triangle: bool) -> float:
    """Sum over pairs of spikes of the weight of their distance; both trains are sorted."""
    reach = 2.0 * window if triangle else window + EDGE
    total, first = 0.0, 0
    for t in a:
        while first < b.size and b[first] < t - reach:
            first += 1
        k = first
        while k < b.size and b[k] < t + reach:
            total += 1.0 - abs(b[k] - t) / reach if triangle else 1.0
            k += 1
    return total


@compiled()
def _weight_table(
    times: Train, starts: Integers, times2: Train, starts2: Integers, window: float, triangle: bool
) -> Float64[Array, "row column"]:
    out = np.empty((starts.size - 1, starts2.size - 1))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            b = times2[starts2[j] : starts2[j + 1]]
            out[i, j] = _pair_weight(times[starts[i] : starts[i + 1]], b, window, triangle)
    return out


@compiled()
def _self_weight(times: Train, starts: Integers, window: float, triangle: bool) -> float:
    total = 0.0
    for i in range(starts.size - 1):
        one = times[starts[i] : starts[i + 1]]
        total += _pair_weight(one, one, window, triangle)
    return total


@compiled()
def _group_weights(
    recorded: Train, first: Integers, times: Train, starts: Integers, pooled: Train, each: int, windows: Array,
    triangle: bool, n_dm: Array, n_mm: Array,
) -> None:  # fmt: skip
    """Write what `pair_weights` returns; `pooled` are the times, sorted within every group.

    Sorted by the caller, whose memory also takes what is found: either takes a second to compile.
    """
    sweeps = first.size - 1
    for g in range(n_dm.shape[1]):
        data = recorded[first[g % sweeps] : first[g % sweeps + 1]]
        mine = starts[g * each : (g + 1) * each + 1]
        pool = pooled[mine[0] : mine[-1]]
        for k in range(windows.size):
            n_dm[k, g] = _pair_weight(data, pool, windows[k], triangle) / each
            everything = _pair_weight(pool, pool, windows[k], triangle)
            own = _self_weight(times, mine, windows[k], triangle) if each > 1 else 0.0
            n_mm[k, g] = (everything - own) / (each * (each - 1) if each > 1 else 1)


def gamma_table(data: Trains, model: Trains, duration_ms: float, window: float) -> Float64[Array, "repeat run"]:
    """Γ of every repeat against every run; the trains must have passed `check_trains`."""
    table: Array = _gamma_table(*pack_trains(data), *pack_trains(model), duration_ms, window)
    return table


def _is_triangle(kernel: str) -> bool:
    if kernel not in KERNELS:
        raise ScoreError(f"Md* has no window {kernel!r}; {near(kernel, KERNELS)}")
    return kernel == "rectangular"


def weight_table(a: Trains, b: Trains, window: float, kernel: str = "kistler") -> Float64[Array, "row column"]:
    """Coincident spike pairs of every train of `a` (rows) with every train of `b` (columns)."""
    table: Array = _weight_table(*pack_trains(a), *pack_trains(b), window, _is_triangle(kernel))
    return table


def mean_weight(a: Trains, b: Trains, window: float, kernel: str = "kistler") -> Float64[Array, " row"]:
    """Coincident pairs of each train of `a` with the mean train of `b`, which is pooled to save time."""
    pool = np.sort(np.concatenate(b), kind="stable")  # timsort merges what is sorted already
    return weight_table(a, [pool], window, kernel)[:, 0] / len(b)


def self_weight(trains: Trains, window: float, kernel: str = "kistler", unbiased: bool = True) -> float:
    """Mean number of coincident pairs of two trains of one set.

    Unbiased, it is that of two *different* trains; a set of one train has only the pairs of the train with itself.
    """
    n, pool = len(trains), np.sort(np.concatenate(trains), kind="stable")
    everything = float(weight_table([pool], [pool], window, kernel)[0, 0])
    if not unbiased or n == 1:
        return everything / n**2
    return (everything - float(_self_weight(*pack_trains(trains), window, _is_triangle(kernel)))) / (n * (n - 1))


def pair_weights(
    recorded: PackedTrains, runs: PackedTrains, each: int, windows: Sequence[float], kernel: str = "kistler"
) -> tuple[Float64[Array, "window group"], Float64[Array, "window group"]]:
    """`mean_weight` of recorded trains with groups of runs and `self_weight` of the groups, at each window.

    Parameters
    ----------
    recorded
        One train per sweep.
    runs
        `each` runs of every sweep in turn, and again from the first sweep on for every further cell.
    each
        Runs of a group.
    windows
        Half widths, ms.
    kernel
        As in `md_star`.
    """
    times, starts = runs
    pooled = times.copy()
    for begin, end in pairwise(starts[::each]):
        pooled[begin:end].sort(kind="stable")  # timsort merges what is sorted already
    sizes = len(windows), (starts.size - 1) // each
    n_dm, n_mm = np.empty(sizes), np.empty(sizes)
    widths = np.array(windows, dtype=np.float64)
    _group_weights(*recorded, times, starts, pooled, each, widths, _is_triangle(kernel), n_dm, n_mm)
    return n_dm, n_mm


def md_of(n_dm: npt.ArrayLike, n_dd: npt.ArrayLike, n_mm: npt.ArrayLike) -> Float64[Array, "..."]:
    """Md* = 2 n_dm / (n_dd + n_mm), NaN when nothing coincides with anything."""
    return ratio(2.0 * np.asarray(n_dm, dtype=float), np.asarray(n_dd, dtype=float) + np.asarray(n_mm, dtype=float))


def coincidence_factor(data: npt.ArrayLike, model: npt.ArrayLike, duration_ms: float, window: float = 4.0) -> float:
    r"""Coincidence factor Γ of one recorded and one model train.

    .. math:: \Gamma = \frac{N_{coinc} - 2 \nu \Delta N_d}{(N_d + N_m)/2} \; \frac{1}{1 - 2 \nu \Delta},
              \qquad \nu = N_m / T

    :math:`N_{coinc}` counts the spikes of `data` with at least one spike of `model` within ±Δ (closed window). The
    subtracted term is what a Poisson train at the model's rate would hit by chance, so chance is 0 and a perfect
    match is 1. Γ is not symmetric: the rate is that of the second train, the counted spikes those of the first.

    Parameters
    ----------
    data, model : array_like, (spike,), sorted, ms
    duration_ms : float, length T of the scored stretch
    window : float, Δ in ms

    Returns
    -------
    float
        1 at best, 0 at chance, can be negative. 0 when exactly one train is silent. NaN, undefined, when both are, or
        when the model fires so fast (ν >= 1 / 2Δ: 125 Hz at 4 ms) that its windows cover all time.

    Raises
    ------
    ScoreError
        Unsorted or non-finite times, a window or duration that is not positive.

    References
    ----------
    Kistler, Gerstner & van Hemmen 1997, Neural Comput 9:1015; Jolivet et al. 2008, J Neurosci Methods 169:417, eq. 2.

    Examples
    --------
    >>> round(coincidence_factor([100.0, 200.0], [103.0, 500.0], duration_ms=1000.0, window=4.0), 6)
    0.49187
    """
    pair = [check_train(data, "data")], [check_train(model, "model")]
    return float(gamma_table(*pair, check_duration(duration_ms), check_positive(window, "window"))[0, 0])


def gamma(data: TrainsLike, model: TrainsLike, duration_ms: float, *, window: float = 4.0) -> float:
    """Γ averaged over all pairs of a repeat and a run; pairs of two silent trains are left out.

    Parameters
    ----------
    data, model : sequence of array_like, (spike,), sorted, ms
    duration_ms : float
    window : float, ±Δ in ms

    Examples
    --------
    >>> gamma([[100.0], [101.0]], [[100.0]], 1000.0)
    1.0
    """
    table = gamma_table(
        check_trains(data, "data"),
        check_trains(model, "model"),
        check_duration(duration_ms),
        check_positive(window, "window"),
    )
    return mean_defined(table)


def gamma_over_reliability(data: TrainsLike, model: TrainsLike, duration_ms: float, *, window: float = 4.0) -> float:
    """Γ of the model divided by the cell's intrinsic reliability R (INCF competition 2009; Gerstner & Naud 2009).

    R is the mean Γ over ordered pairs of different repeats. NaN with fewer than two repeats or when R <= 0. A noisy
    model that is the cell scores 1; one deterministic run can score above 1, because the train that best summarises
    the repeats agrees with each better than two repeats agree with each other. Never compare the two.

    Examples
    --------
    >>> repeats = [[100.0, 300.0], [102.0, 500.0]]
    >>> round(gamma_over_reliability(repeats, [[100.0]], 1000.0), 6)
    1.344441
    """
    d, duration, w = check_trains(data, "data"), check_duration(duration_ms), check_positive(window, "window")
    ones = np.ones(len(d))
    table = gamma_table(d, check_trains(model, "model"), duration, w)
    reliability = mean_over_pairs(gamma_table(d, d, duration, w), ones)
    return float(ratio(np.asarray(mean_defined(table)), reliability))


def chance_md_star(
    data: TrainsLike, duration_ms: float, *, window: float = 4.0, kernel: str = "kistler", noisy: bool = True
) -> float:
    r"""Md* that Poisson trains at the recorded mean rate reach: what is left when a model knows the rate alone.

    Two unrelated trains of n spikes in T coincide :math:`n^2 p` times, with :math:`p = (2 \Delta - \Delta^2 / T) / T`
    for the Kistler window and the same area for the other one, so that chance is
    :math:`2 n^2 p / (n_{dd} + n^2 p)`. It grows with the rate: a cell at 80 Hz fills windows of ±8 ms by itself.

    Parameters
    ----------
    data : sequence of array_like, (spike,), sorted, ms
    duration_ms : float
    window : float, Δ in ms
    kernel : {"kistler", "rectangular"}
    noisy : bool
        True: against many Poisson trains. False: against one of them, whose own spikes count too, as in `md_star`.

    Returns
    -------
    float
        NaN with fewer than two repeats.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> repeats = [np.sort(rng.uniform(0, 10_000.0, 800)) for _ in range(10)]
    >>> round(chance_md_star(repeats, 10_000.0, window=8.0), 2)  # a Poisson cell is no better than chance
    1.0
    """
    d, duration, w = check_trains(data, "data"), check_duration(duration_ms), check_positive(window, "window")
    n_dd = mean_over_pairs(weight_table(d, d, w, kernel), np.ones(len(d)))
    count = float(np.mean([t.size for t in d]))
    return float(md_of(*count_by_chance(count, duration, w, noisy, n_dd)))


def count_by_chance(
    count: float, duration: float, window: float, noisy: bool, n_dd: npt.ArrayLike
) -> tuple[float, npt.ArrayLike, float]:
    """n_dm, n_dd and n_mm where the model is Poisson trains of `count` spikes each; see `chance_md_star`."""
    reach = min(window, duration)
    pairs = count**2 * reach * (2 * duration - reach) / duration**2
    return pairs, n_dd, pairs if noisy else pairs + count


def md_star(
    data: TrainsLike,
    model: TrainsLike,
    duration_ms: float | None = None,
    *,
    window: float = 4.0,
    kernel: str = "kistler",
    unbiased: bool = True,
) -> float:
    r"""Md*: the similarity of the distributions that repeats and runs are drawn from.

    .. math:: M_d^* = \frac{2\, n_{dm}}{n_{dd} + n_{mm}}

    with n_xy the mean number (weight) of coincident spike pairs of a train of x and one of y. n_dd runs over different
    repeats only, which takes out the bias of few repeats.

    Parameters
    ----------
    data, model : sequence of array_like, (spike,), sorted, ms
    duration_ms : float or None, not used (Md* needs no rate); taken so that all metrics are called alike
    window : float, Δ in ms
    kernel : {"kistler", "rectangular"}
        "kistler": a pair counts 1 when at most Δ apart (a box of ±Δ on one train). "rectangular": both trains are
        smoothed with a box of ±Δ, so a pair t apart weighs 1 - abs(t) / 2Δ.
    unbiased : bool
        True: n_mm over different runs too. False: as in the GIF toolboxes, with the pairs i == j of the runs, which
        lowers Md* by about N_m / (n_runs n_mm) of its denominator. One deterministic run always keeps its own pairs.

    Returns
    -------
    float
        1 when both sets come from one distribution; a noisy estimate can exceed it. NaN with fewer than two repeats or
        when no pair coincides anywhere. It has no fixed chance level, because it compares rates as well as times:
        `chance_md_star` gives that of the recorded rate.

    References
    ----------
    Naud, Gerhard, Mensi & Gerstner 2011, Neural Comput 23:3016; Pozzorini et al. 2015, PLoS Comput Biol 11:e1004275.

    Examples
    --------
    >>> md_star([[10.0, 50.0], [12.0, 90.0]], [[10.0, 50.0]], window=4.0)
    1.0
    >>> round(md_star([[10.0, 50.0], [12.0, 90.0]], [[10.0, 56.0]], window=4.0, kernel="rectangular"), 6)
    0.727273
    """
    d, m, w = check_trains(data, "data"), check_trains(model, "model"), check_positive(window, "window")
    ones = np.ones(len(d))
    n_dm = mean_over(mean_weight(d, m, w, kernel), ones)
    n_dd = mean_over_pairs(weight_table(d, d, w, kernel), ones)
    return float(md_of(n_dm, n_dd, self_weight(m, w, kernel, unbiased)))
