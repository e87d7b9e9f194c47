"""Derivatives of a loss with respect to every spike of noisy runs, which the adjoint takes back to the parameters."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Integers, Mask
from ephysfit.compiling import compiled

RunField = npt.NDArray[np.float32]


class PairCountLoss(Protocol):
    """A loss of pair counts: its windows (ms), and its derivatives with respect to n_dm, n_mm and spikes per run."""

    @property
    def windows(self) -> tuple[float, ...]: ...

    def slopes(self, n_dm: float, n_mm: float, n_m: float, n_d: float) -> tuple[float, float, float]: ...


@compiled()
def _smooth_with_triangle(begin, at, reach, steps):  # type: ignore[no-untyped-def]
    """Trains under a triangle of half base `reach` (steps), (train, steps)."""
    out = np.zeros((begin.size - 1, steps), np.float32)
    for r in range(begin.size - 1):
        for t in at[begin[r] : begin[r + 1]]:
            for u in range(max(t - reach + 1, 0), min(t + reach, steps)):
                out[r, u] += np.float32(1.0) - abs(u - t) / np.float32(reach)
    return out


@compiled()
def _add_slopes(field, use, runs, total, recorded, by_data, by_runs, by_count):  # type: ignore[no-untyped-def]
    """Add the slope of each spike: of the recorded train, of the *other* runs, of the count."""
    n, others = runs.shape[0], max(runs.shape[0] - 1, 1)
    for r in range(n):
        for t in range(use.size):
            if use[t]:
                own = runs[r, t] if n > 1 else np.float32(0.0)
                other = (total[t] - own) / others
                field[r, t] += (by_data * recorded[t] + 2.0 * by_runs * other + by_count) / n


@compiled()
def _sum_credit(field, begin, at, length, nref):  # type: ignore[no-untyped-def]
    """Sum of the field over the spikes of [t, t + length), less that of the other runs; 0 while refractory."""
    runs, steps = field.shape
    out, total = np.empty((runs, steps), np.float32), np.zeros(steps, np.float32)
    for r in range(runs):
        first, last, inside = begin[r], begin[r], 0.0
        for t in range(steps):
            while last < begin[r + 1] and at[last] < t + length:
                inside += field[r, at[last]]
                last += 1
            while first < last and at[first] < t:
                inside -= field[r, at[first]]
                first += 1
            if first == last:
                inside = 0.0
            out[r, t] = inside
            total[t] += np.float32(inside)
    others = np.float32(max(runs - 1, 1))
    for r in range(runs):
        for t in range(steps):
            out[r, t] -= (total[t] - out[r, t]) / others
        for k in range(begin[r], begin[r + 1]):
            out[r, at[k] + 1 : at[k] + 1 + nref] = 0.0
    return out


def compute_step_credits(field: RunField, begin: Integers, at: Integers, length: int, nref: int) -> RunField:
    """Credit of each step: how one more spike there would change the loss, judged by what followed it in its own run.

    A spike changes the spikes after it: it may take the place of the next one, or delay it. All of that is in the run
    itself. The credit of a step is therefore the loss of all spikes of the next `length` steps, less what the other
    runs had there, which says nothing of this run's draws (a baseline; Williams 1992, Machine Learning 8:229).

    Parameters
    ----------
    field
        dL/ds, as from `compute_spike_slopes`, (run, time).
    begin, at
        Run r spiked in steps ``at[begin[r]:begin[r + 1]]``.
    length
        Steps after which a spike's effect is lost in noise.
    nref
        Steps after a spike in which none can fall.
    """
    return _sum_credit(field, begin, at, max(length, 1), nref)


def compute_spike_slopes(
    loss: PairCountLoss,
    begin: Integers,
    at: Integers,
    recorded: Integers,
    use: Mask,
    dt: float,
    wide: float = 1.0,
) -> RunField:
    """Compute dL/ds at every step of every run, (run, time); pairs are weighted by triangles, as in `KernelScore`.

    Parameters
    ----------
    begin, at
        Run r spiked in steps ``at[begin[r]:begin[r + 1]]``.
    recorded
        Steps of the recorded spikes.
    use
        Steps that count, (time,).
    wide
        Windows are taken this many times as wide: coarse first, then fine.
    """
    n, steps = len(begin) - 1, len(use)
    kept = use[at]
    at, begin = at[kept], np.r_[0, np.cumsum(kept)][begin]
    recorded = recorded[use[recorded]]
    field = np.zeros((n, steps), np.float32)
    for window in loss.windows:
        reach = max(round(2.0 * window * wide / dt), 1)
        runs = _smooth_with_triangle(begin, at, reach, steps)
        data = _smooth_with_triangle(np.array([0, len(recorded)]), recorded, reach, steps)[0]
        total = runs.sum(0)
        rows = np.repeat(np.arange(n), np.diff(begin))
        n_dm = float(data[at].sum()) / n
        pairs = float(total[at].sum()) - (float(runs[rows, at].sum()) if n > 1 else 0.0)
        n_mm = pairs / (n * max(n - 1, 1))
        slopes = loss.slopes(n_dm, n_mm, len(at) / n, float(len(recorded)))
        _add_slopes(field, use, runs, total, data, slopes[0], slopes[1], slopes[2] / len(loss.windows))
    return field
