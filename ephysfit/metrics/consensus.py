"""The one train that agrees best with many runs: the Bayes-optimal single prediction under Γ."""

from __future__ import annotations

from math import erf

import numpy as np

from ephysfit.arrays import Array, Integers, Train, TrainsLike
from ephysfit.compiling import compiled
from ephysfit.errors import ScoreError
from ephysfit.metrics.coincidence import gamma_of_counts, gamma_table
from ephysfit.metrics.trains import EDGE, check_duration, check_positive, check_trains, pack_trains
from ephysfit.metrics.weights import ratio

#: the greedy search goes on until the expected Γ has fallen this far below its best
PATIENCE = 0.05
#: candidates per block; only blocks near the last choice are searched anew
BLOCK = 512
#: with no more runs than this one of them may agree better with the rest than what the blurred search places
FEW = 20


def _soft_window(half: int, window: float, smooth: float, step: float) -> Array:
    """A box of ±window blurred by a Gaussian, at distances 0, step, 2 step, ... (half + 1,)."""
    scale = 1.0 / (smooth * np.sqrt(2.0))
    near, far = window - step * np.arange(half + 1), window + step * np.arange(half + 1)
    return np.array([0.5 * (erf(a * scale) + erf(b * scale)) for a, b in zip(near, far, strict=True)])


@compiled()
def _add_spike(field: Array, time: float, amount: float, window: Array, step: float) -> None:
    """Add amount, weighted by the soft window, to the candidates around one spike."""
    centre = round(time / step)
    for c in range(max(0, centre - window.size + 1), min(field.size, centre + window.size)):
        field[c] += amount * window[abs(c - centre)]


@compiled()
def _update_block_tops(field: Array, tops: Integers, first: int, last: int) -> None:
    """Bring the best candidate of every block that overlaps [first, last] up to date."""
    for k in range(max(first, 0) // BLOCK, min(last, field.size - 1) // BLOCK + 1):
        top = k * BLOCK
        highest = field[top]
        for c in range(top + 1, min(top + BLOCK, field.size)):
            if field[c] > highest:
                top, highest = c, field[c]
        tops[k] = top


@compiled()
def _find_top(field: Array, tops: Integers) -> int:
    """The best of all candidates, the first of equals."""
    top = tops[0]
    for other in tops:
        if field[other] > field[top]:
            top = other
    return top


@compiled()
def _find_first(times: Train, after: float) -> int:
    """The first of sorted times that is not before this one."""
    low, high = 0, times.size
    while low < high:
        middle = (low + high) // 2
        if times[middle] < after:
            low = middle + 1
        else:
            high = middle
    return low


@compiled()
def _expected_gamma(hits: Integers, counts: Integers, n_chosen: int, duration: float, window: float) -> float:
    """Mean Γ of the runs against a chosen train of n spikes; NaN when no pair defines it."""
    total, known = 0.0, 0
    for r in range(counts.size):
        g = gamma_of_counts(hits[r], counts[r], n_chosen, duration, window)
        if not np.isnan(g):
            total += g
            known += 1
    return total / known if known else np.nan


@compiled()
def _choose_spikes(
    times: Train, owner: Integers, counts: Integers, duration: float, window: float, step: float,
    soft: Array, share: Array, field: Array, tops: Integers, left: Integers, hits: Integers, chosen: Train,
) -> int:  # fmt: skip
    """Write spikes to `chosen` in the order in which they are chosen; how many are worth keeping.

    `soft` is the blurred window, `share` what a spike of each run adds to the candidates of `field`; `left` is 1 for
    spikes that nothing has hit. Memory comes from the caller: to allocate it here takes seconds to compile.
    """
    for k in range(times.size):
        _add_spike(field, times[k], share[owner[k]], soft, step)
    _update_block_tops(field, tops, 0, field.size - 1)
    touched = soft.size + int(window / step) + 2
    n, keep, best, remaining = 0, 0, 0.0, times.size
    while remaining > 0:
        top = _find_top(field, tops)
        if field[top] == -np.inf:  # a grid so coarse that no candidate is within a window of what is left
            break
        t = top * step
        gained = 0
        for k in range(_find_first(times, t - window - EDGE), _find_first(times, t + window + EDGE)):
            if left[k] != 0:
                left[k] = 0
                gained += 1
                hits[owner[k]] += 1
                _add_spike(field, times[k], -share[owner[k]], soft, step)
        if gained == 0:  # the blur peaks between spikes that are both out of reach: the next peak is looked at
            field[top] = -np.inf
            _update_block_tops(field, tops, top, top)
            continue
        remaining -= gained
        _update_block_tops(field, tops, top - touched, top + touched)
        chosen[n] = t
        n += 1
        value = _expected_gamma(hits, counts, n, duration, window)
        if np.isnan(value) or value < best - PATIENCE:
            break
        if value > best:
            best, keep = value, n
    return keep


def _place_spikes(
    times: Train, owner: Integers, counts: Integers, duration: float, window: float, smooth: float, step: float
) -> Train:
    """Spikes in the order in which they are chosen, as far as they are worth keeping.

    `times` are those of all runs, sorted; owner[k] is the run of spike k.
    """
    soft = _soft_window(int(np.ceil((window + 4.0 * smooth) / step)), window, smooth, step)
    field, chosen = np.zeros(int(duration / step) + 1), np.empty(times.size)
    share = 1.0 / (counts + max(counts.mean(), 1.0))
    tops, hits = np.zeros((field.size - 1) // BLOCK + 1, dtype=np.int64), np.zeros(counts.size, dtype=np.int64)
    left = np.ones(times.size, dtype=np.int64)
    keep = _choose_spikes(times, owner, counts, duration, window, step, soft, share, field, tops, left, hits, chosen)
    return chosen[:keep]


def consensus(
    runs: TrainsLike, duration_ms: float, window: float = 4.0, *, smooth: float | None = None, step: float = 0.5
) -> Train:
    """The single train with the highest expected Γ against the runs (greedy).

    Where many runs have a spike within one window, a spike of the prediction hits all of them; spikes are placed one by
    one where they hit most of what is not hit yet, until one more would cost more by chance than it hits. Of up to 20
    runs, one that agrees better with all of them than the train so placed is taken in its place. The train looks ahead
    in time, so it predicts what the runs say but does not simulate: a network cannot use it.

    Parameters
    ----------
    runs : sequence of array_like, (spike,), sorted, ms, within [0, duration]
    duration_ms : float
    window : float, ±Δ of the Γ to be optimised, ms
    smooth : float, ms
        Width of the Gaussian that blurs the counting window, so that few runs do not decide by single spikes; 2 ms
        unless given, or half the window where that is less.
    step : float, grid of candidate times, ms; at most half the window is used

    Returns
    -------
    (spike,) array, ms, sorted; empty when no train scores above chance.

    References
    ----------
    Expected-score decoding, in the spirit of Julienne & Houghton 2013, J Math Neurosci 3:3 (a central spike train).

    Examples
    --------
    >>> consensus([[100.0, 300.0], [101.0, 301.0], [99.0, 302.0, 700.0]], 1000.0).round(0).tolist()
    [100.0, 301.0]
    """
    trains, duration = check_trains(runs, "runs"), check_duration(duration_ms)
    if any(t.size and (t[0] < 0 or t[-1] > duration) for t in trains):
        raise ScoreError(f"runs have spikes outside [0, {duration:g}] ms; cut(runs, start, stop) first")
    times, starts = pack_trains(trains)
    counts = np.diff(starts)
    order = np.argsort(times, kind="stable")
    owner = np.repeat(np.arange(counts.size), counts)[order]
    wide = check_positive(window, "window")
    blur = min(2.0, wide / 2) if smooth is None else check_positive(smooth, "smooth")
    grid = min(check_positive(step, "step"), wide / 2)
    found = np.sort(_place_spikes(times[order], owner, counts, duration, wide, blur, grid))
    return found if len(trains) > FEW else _choose_most_agreeing([found, *trains], trains, duration, wide)


def _choose_most_agreeing(candidates: list[Train], runs: list[Train], duration: float, window: float) -> Train:
    """The candidate of the highest mean Γ over the runs, undefined pairs left out; the first of equals."""
    table = gamma_table(runs, candidates, duration, window)
    known = ~np.isnan(table)
    mean = ratio(np.where(known, table, 0.0).sum(0), known.sum(0).astype(np.float64))
    return candidates[0] if np.isnan(mean).all() else candidates[int(np.nanargmax(mean))]
