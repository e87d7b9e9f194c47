"""Match predicted with recorded spikes: which are predicted, which are missed, which are extra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Bool, Mask, Train, Trains

#: default half width of a match, ms
WINDOW = 4.0


def mark_matched_spikes(train: Train, others: Train, window: float) -> Bool[Mask, " _"]:
    """Mark the spikes of a train that have a spike of another train within ±window.

    Parameters
    ----------
    train, others : (spike,) array, sorted, ms
    window : float, ms

    Returns
    -------
    (spike,) array of bool
        One value per spike of `train`.

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
    """Agreement of one predicted train with recorded repeats.

    Attributes
    ----------
    predicted : tuple of bool arrays
        For each repeat, which recorded spikes are predicted.
    shared : bool array
        Which spikes of the train match a spike of at least one repeat.
    window : float, ms
        Half width of a match.
    """

    predicted: tuple[Bool[Mask, " _"], ...]
    shared: Bool[Mask, " _"]
    window: float

    @property
    def predicted_share(self) -> float:
        """Fraction of the recorded spikes that are predicted; NaN without recorded spikes."""
        return _compute_share(self.predicted)

    @property
    def extra_share(self) -> float:
        """Fraction of the predicted spikes that match no repeat; NaN without predicted spikes."""
        return 1.0 - _compute_share((self.shared,))


def _compute_share(masks: Sequence[Bool[Mask, " _"]]) -> float:
    total = sum(len(m) for m in masks)
    return float(sum(m.sum() for m in masks) / total) if total else float("nan")


def match_train(repeats: Trains, train: Train, window: float = WINDOW) -> Agreement:
    """Match one predicted train with recorded repeats.

    Parameters
    ----------
    repeats : sequence of (spike,) arrays, sorted, ms
    train : (spike,) array, sorted, ms
    window : float, ms
        A recorded spike counts as predicted if the train has a spike within ±window; a spike of the train is extra
        if no repeat has one within ±window. Chance coincidences are not subtracted, as they are in Γ.

    Returns
    -------
    Agreement

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
