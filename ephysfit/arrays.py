"""Types of arrays, with their axes: checked while tests run with ``EPHYSFIT_CHECK_SHAPES=1``, not in use.

An annotation names the axes of an array, ``Float64[Array, "trial time"]``; axes of one name have one length within a
call, and ``_`` may have any. Tests check them by jaxtyping and beartype (`tests/shape_checks.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64, Int64

if TYPE_CHECKING:  # type checkers see the element type, jaxtyping adds it and the axes at run time
    Array: TypeAlias = npt.NDArray[np.float64]
    Mask: TypeAlias = npt.NDArray[np.bool_]
    Integers: TypeAlias = npt.NDArray[np.int64]
else:
    Array = Mask = Integers = np.ndarray

#: one spike train: sorted spike times in ms
Train: TypeAlias = Float64[Array, " _"]
#: several trains, of repeats or of runs
Trains: TypeAlias = Sequence[Train]
#: several trains as they are given to a metric: lists or arrays of spike times in ms
TrainsLike: TypeAlias = Sequence[npt.ArrayLike]
#: a sampled trace, axis time
Trace: TypeAlias = Float64[Array, " _"]

__all__ = ["Array", "Bool", "Float64", "Int64", "Integers", "Mask", "Trace", "Train", "Trains", "TrainsLike"]
