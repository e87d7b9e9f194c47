"""Work of kernels outside their loops over steps, as functions of plain numbers.

Most of it moves samples between memory, where a row (one run of one cell) is contiguous in time, and a tile's scratch
memory, where the lanes of a step are contiguous (`tiles` has a picture of rows, lanes and tiles):

    ::

        memory:   row 0: t0 t1 t2 t3 ...      row 1: t0 t1 t2 t3 ...
        scratch:  step t0: lane 0, lane 1, ...    step t1: lane 0, lane 1, ...
"""

from __future__ import annotations

import numpy as np
from numba import njit

#: columns of derivatives that are worked on together: in float64 one register of AVX-512, two of AVX2
COLUMNS = 8
#: functions that are worth computing for several steps at once
COSTLY = ("exp", "log", "tanh", "cos", "sin", "sigmoid", "softplus", "phi1", "dphi1")
#: functions whose names differ for one step and for several (`exp_columns`)
OF_COLUMNS = (*COSTLY, "fabs", "sqrt")


def fill_columns(count: int) -> int:
    """This many columns filled up to whole vectors, so that loops over them end without a remainder.

    Examples
    --------
    >>> fill_columns(9)
    16
    """
    return -(-count // COLUMNS) * COLUMNS


@njit
def begins(starts: np.ndarray, lanes: int, rows: np.ndarray, row: int, array: np.ndarray, slot: int) -> None:
    """Find where each lane's row of ``array[source, slot, time]`` begins in the flat array."""
    for l in range(lanes):
        starts[l] = (rows[row + l] * array.shape[1] + slot) * array.shape[2]


@njit
def rest_of(
    scratch: np.ndarray, lanes: int, width: int, slot: int, flat: np.ndarray, starts: np.ndarray, first: int, n: int
) -> None:
    """Copy the samples that do not fill a square: ``scratch[step, slot, lane] = flat[starts[lane] + step - first]``."""
    for l in range(lanes):
        for q in range(first, n):
            scratch[(q * width + slot) * lanes + l] = flat[starts[l] + q - first]


@njit
def spill(scratch: np.ndarray, lanes: int, width: int, slot: int, row: int, array: np.ndarray, t0: int, n: int) -> None:
    """Write a segment of one slot back from scratch memory to the tile's own rows, ``array[row, slot, time]``."""
    for l in range(lanes):
        for q in range(n):
            array[row + l, slot, t0 + q] = scratch[(q * width + slot) * lanes + l]


@njit
def mark(
    scratch: np.ndarray, lanes: int, rows: np.ndarray, row: int, begin: np.ndarray, at: np.ndarray, t0: int, n: int
) -> None:
    """Count the events of each lane in each step of the segment; events of list k are ``at[begin[k]:begin[k + 1]]``."""
    for q in range(n * lanes):
        scratch[q] = 0
    for l in range(lanes):
        # steps are sorted, so the first event of the segment is found by bisection, whatever came before it
        low, high = begin[rows[row + l]], begin[rows[row + l] + 1]
        end = high
        while low < high:
            middle = (low + high) // 2
            if at[middle] < t0:
                low = middle + 1
            else:
                high = middle
        while low < end and at[low] < t0 + n:
            scratch[(at[low] - t0) * lanes + l] += 1
            low += 1
