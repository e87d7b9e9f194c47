"""Victor–Purpura distance: the cheapest way to edit one train into the other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Array, Float64, Integers, Train, TrainsLike
from ephysfit.compiling import compiled
from ephysfit.errors import ScoreError
from ephysfit.metrics.trains import PackedTrains, check_train, check_trains, pack_trains


@compiled()
def _train_distance(a: Train, b: Train, cost: float, row: Array) -> float:
    """n_a + n_b less what shifting saves: to shift a spike by t, not to delete and add it, saves 2 - cost * t.

    Only pairs closer than 2 / cost save anything, so each spike of a looks at its neighbours in b alone: linear in
    long trains, and exact. row[j] is the most saved with the first j spikes of b; past `high` it stays row[high].
    """
    reach = 2.0 / cost if cost > 0 else np.inf
    low, high, row[0] = 0, 0, 0.0
    for t in a:
        while low < b.size and b[low] < t - reach:
            low += 1
        while high < b.size and b[high] <= t + reach:
            row[high + 1] = row[high]
            high += 1
        corner = row[low]
        for j in range(low, high):
            moved = corner + 2.0 - cost * abs(t - b[j])
            corner = row[j + 1]
            row[j + 1] = max(corner, row[j], moved)
    return float(a.size + b.size - row[high])


@compiled()
def _distance_table(times: Train, starts: Integers, times2: Train, starts2: Integers, cost: float) -> Array:
    out = np.empty((starts.size - 1, starts2.size - 1))
    row = np.empty(times2.size + 1)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = _train_distance(
                times[starts[i] : starts[i + 1]], times2[starts2[j] : starts2[j + 1]], cost, row
            )
    return out


def victor_purpura_table(data: PackedTrains, model: PackedTrains, cost: float) -> Float64[Array, "repeat run"]:
    """Distances of every repeat to every run, of packed trains; `cost` per ms."""
    table: Array = _distance_table(*data, *model, cost)
    return table


def _check_cost(cost: float) -> float:
    if not (np.isfinite(cost) and cost >= 0):
        raise ScoreError(f"cost is {cost} per ms; it must be finite and not negative (0 compares spike counts only)")
    return float(cost)


def victor_purpura_distance(a: npt.ArrayLike, b: npt.ArrayLike, cost: float = 0.1) -> float:
    """Victor–Purpura distance of two trains.

    Adding or deleting a spike costs 1, moving it by t ms costs `cost` * t. Spikes further apart than 2 / cost are
    never matched: 20 ms at the default 0.1 per ms. It is a metric: symmetric, and the triangle inequality holds.

    Parameters
    ----------
    a, b : array_like, (spike,), sorted, ms
    cost : float, 1/ms (elephant's `cost_factor`, q of the paper)

    References
    ----------
    Victor & Purpura 1996, J Neurophysiol 76:1310.

    Examples
    --------
    >>> victor_purpura_distance([100.0, 200.0], [105.0], cost=0.1)
    1.5
    """
    pair = pack_trains([check_train(a, "a")]), pack_trains([check_train(b, "b")])
    return float(victor_purpura_table(*pair, _check_cost(cost))[0, 0])


def victor_purpura(
    data: TrainsLike, model: TrainsLike, duration_ms: float | None = None, *, cost: float = 0.1
) -> float:
    """Mean Victor–Purpura distance over all pairs of a repeat and a run; `duration_ms` is not used.

    Examples
    --------
    >>> victor_purpura([[100.0], []], [[100.0]])
    0.5
    """
    pair = pack_trains(check_trains(data, "data")), pack_trains(check_trains(model, "model"))
    return float(victor_purpura_table(*pair, _check_cost(cost)).mean())
