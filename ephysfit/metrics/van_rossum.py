"""Van Rossum distance: trains filtered with a causal exponential, compared by their L2 distance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Array, Float64, Integers, Train, TrainsLike
from ephysfit.compiling import compiled
from ephysfit.metrics.trains import PackedTrains, check_positive, check_train, check_trains, pack_trains


@compiled()
def _train_distance(a: Train, b: Train, tau: float) -> float:
    """Both trains in one sweep, spikes of a as +1 and of b as -1: O(n), and spikes at one time cancel exactly."""
    i, j, total, trace, last = 0, 0, 0.0, 0.0, 0.0
    while i < a.size or j < b.size:
        now = a[i] if j >= b.size or (i < a.size and a[i] <= b[j]) else b[j]
        weight = 0.0
        while i < a.size and a[i] == now:
            weight += 1.0
            i += 1
        while j < b.size and b[j] == now:
            weight -= 1.0
            j += 1
        trace *= np.exp((last - now) / tau)
        total += weight * (weight + 2.0 * trace)
        trace += weight
        last = now
    return float(np.sqrt(max(total, 0.0)))


@compiled()
def _distance_table(times: Train, starts: Integers, times2: Train, starts2: Integers, tau: float) -> Array:
    out = np.empty((starts.size - 1, starts2.size - 1))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = _train_distance(times[starts[i] : starts[i + 1]], times2[starts2[j] : starts2[j + 1]], tau)
    return out


def van_rossum_table(data: PackedTrains, model: PackedTrains, tau: float) -> Float64[Array, "repeat run"]:
    """Distances of every repeat to every run, of packed trains; `tau` in ms."""
    table: Array = _distance_table(*data, *model, tau)
    return table


def van_rossum_distance(a: npt.ArrayLike, b: npt.ArrayLike, tau: float = 10.0) -> float:
    r"""Van Rossum distance of two trains, elephant's convention.

    .. math:: D^2 = S(a,a) + S(b,b) - 2 S(a,b), \qquad S(a,b) = \sum_{i,j} e^{-|a_i - b_j| / \tau}

    There is **no factor 1/2**: one spike against none is 1, not :math:`\sqrt{1/2}`. The original paper's D² is half of
    this one.

    Parameters
    ----------
    a, b : array_like, (spike,), sorted, ms
    tau : float, ms; about the spacing at which spikes stop being matched

    References
    ----------
    van Rossum 2001, Neural Comput 13:751; the sum over kernels as in Houghton & Kreuz 2012, Network 23:48.

    Examples
    --------
    >>> van_rossum_distance([100.0], []), van_rossum_distance([100.0], [100.0])
    (1.0, 0.0)
    """
    pair = pack_trains([check_train(a, "a")]), pack_trains([check_train(b, "b")])
    return float(van_rossum_table(*pair, check_positive(tau, "tau"))[0, 0])


def van_rossum(data: TrainsLike, model: TrainsLike, duration_ms: float | None = None, *, tau: float = 10.0) -> float:
    """Mean van Rossum distance over all pairs of a repeat and a run; `duration_ms` is not used.

    Examples
    --------
    >>> van_rossum([[100.0], []], [[100.0]])
    0.5
    """
    pair = pack_trains(check_trains(data, "data")), pack_trains(check_trains(model, "model"))
    return float(van_rossum_table(*pair, check_positive(tau, "tau")).mean())
