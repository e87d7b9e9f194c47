"""Which recorded spikes a train predicts and which it misses; which of its spikes nobody recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Train, Trains

Mask = npt.NDArray[np.bool_]

#: half width of a match, ms, where nothing else is said
WINDOW = 4.0


def mark_matched_spikes(train: Train, others: Train, window: float) -> Mask:
    """Which spikes of `train` have one of `others` within ±window ms; both sorted.

    Examples
    --------
    >>> mark_matched_spikes(np.array([10.0, 50.0]), np.array([13.0]), 4.0).tolist()
    [True, False]
    """
    if not len(others):
        return np.zeros(len(train), dtype=bool)
    after = np.searchsorted(others, train).clip(max=len(others) - 1)
    before = (after - 1).clip(min=0)
    gap = np.minimum(np.abs(others[after] - train), np.abs(others[before] - train))
    return gap <= window + 1e-6


@dataclass(frozen=True, eq=False)
class Agreement:
    """One train against recorded repeats.

    Attributes
    ----------
    predicted : tuple of bool arrays
        Per repeat, which recorded spikes the train has a spike for.
    shared : bool array
        Which spikes of the train at least one repeat has.
    window : float, ms
    """

    predicted: tuple[Mask, ...]
    shared: Mask
    window: float

    @property
    def predicted_share(self) -> float:
        """Recorded spikes that are predicted, over all recorded spikes; NaN without any."""
        return _compute_share(self.predicted)

    @property
    def extra_share(self) -> float:
        """Predicted spikes that no repeat has, over all predicted spikes; NaN without any."""
        return 1.0 - _compute_share((self.shared,))


def _compute_share(masks: Sequence[Mask]) -> float:
    total = sum(len(m) for m in masks)
    return float(sum(m.sum() for m in masks) / total) if total else float("nan")


def match_train(repeats: Trains, train: Train, window: float = WINDOW) -> Agreement:
    """Match one train with recorded repeats.

    Parameters
    ----------
    repeats : sequence of (spike,) arrays, sorted, ms
    train : (spike,) array, sorted, ms
    window : float, ms
        A recorded spike counts as predicted if the train has a spike within ±window; a spike of the train is extra
        if no repeat has one within ±window. Chance is not subtracted: that is what Γ does.

    Examples
    --------
    >>> a = match_train([np.array([10.0, 50.0]), np.array([11.0])], np.array([12.0, 90.0]))
    >>> round(a.predicted_share, 3), a.extra_share
    (0.667, 0.5)
    """
    pooled = np.sort(np.concatenate([np.empty(0), *repeats]))
    return Agreement(
        tuple(mark_matched_spikes(r, train, window) for r in repeats),
        mark_matched_spikes(train, pooled, window),
        window,
    )
