"""Averages over repeats in which each repeat carries a weight.

Every score of a cell is a function of averages over its repeats. Written with weights, one formula gives the score
(all weights one) and its jackknife (one weight zero), all repeats left out in one go. A bootstrap would draw a repeat
twice, and a mean of repeats that contains one twice is a different thing: it overstates the standard error of the
explained-variance ratio 2.5 times, where the jackknife stays within 0.85 to 1.35 of the true spread for every score.
Weights have axes (..., repeat).
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from ephysfit.arrays import Array, Float64

#: numbers of one or of several weightings
Values: TypeAlias = Float64[Array, "..."] | np.float64


def ratio(numerator: Values, denominator: Values) -> Float64[Array, "..."]:
    """Divide; where the denominator is not positive the ratio is undefined, NaN."""
    good = denominator > 0
    return np.where(good, numerator / np.where(good, denominator, 1.0), np.nan)


def mean_over(values: Float64[Array, " repeat"], weights: Float64[Array, "... repeat"]) -> Float64[Array, "..."]:
    """Weighted mean over repeats; undefined values (NaN) are left out."""
    known = ~np.isnan(values)
    return ratio(weights @ np.where(known, values, 0.0), weights @ known.astype(np.float64))


def mean_over_pairs(
    values: Float64[Array, "repeat repeat"], weights: Float64[Array, "... repeat"]
) -> Float64[Array, "..."]:
    """Weighted mean over ordered pairs of *different* repeats.

    A repeat is never paired with itself: its perfect match with itself says nothing about the cell.
    """
    known = ~np.isnan(values) & ~np.eye(len(values), dtype=bool)
    total = ((weights @ np.where(known, values, 0.0)) * weights).sum(-1)
    return ratio(total, ((weights @ known.astype(np.float64)) * weights).sum(-1))


def leave_one_out_weights(n_repeats: int) -> Float64[Array, "omitted repeat"]:
    """Jackknife weights: each row leaves one repeat out."""
    return np.ones((n_repeats, n_repeats)) - np.eye(n_repeats)


def jackknife_variance(values: Float64[Array, " omitted"]) -> float:
    """Variance of a statistic from its values with every repeat left out once (Efron & Stein 1981, Ann Stat 9:586)."""
    n = len(values)
    return float((n - 1) / n * ((values - values.mean()) ** 2).sum())
