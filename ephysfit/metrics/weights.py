"""Averages over repeats in which each repeat carries a weight.

Every score of a cell is a function of averages over its repeats. Written with weights, one formula gives the score
(all weights one) and its bootstrap (weights = how often a repeat was drawn), all resamples at once.
Weights have axes (..., repeat).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]


def ratio(numerator: Array, denominator: Array) -> Array:
    """Division that says NaN, undefined, where the denominator is not positive."""
    good = denominator > 0
    return np.where(good, numerator / np.where(good, denominator, 1.0), np.nan)


def mean_over(values: Array, weights: Array) -> Array:
    """Weighted mean over repeats of values (repeat,), undefined values left out."""
    known = ~np.isnan(values)
    return ratio(weights @ np.where(known, values, 0.0), weights @ known.astype(np.float64))


def mean_over_pairs(values: Array, weights: Array) -> Array:
    """Weighted mean over ordered pairs of *different* repeats of values (repeat, repeat).

    A repeat drawn twice is never paired with itself: its perfect match with its copy says nothing about the cell.
    """
    known = ~np.isnan(values) & ~np.eye(len(values), dtype=bool)
    total = ((weights @ np.where(known, values, 0.0)) * weights).sum(-1)
    return ratio(total, ((weights @ known.astype(np.float64)) * weights).sum(-1))


def draws(n_repeats: int, n_resamples: int, rng: np.random.Generator) -> Array:
    """Bootstrap weights (resample, repeat): how often each repeat was drawn in n draws with replacement."""
    return rng.multinomial(n_repeats, np.full(n_repeats, 1.0 / n_repeats), size=n_resamples).astype(np.float64)
