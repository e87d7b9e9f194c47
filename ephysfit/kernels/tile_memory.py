"""What kernels do outside their loops over steps, as functions of plain numbers.

Most of it moves rows between memory, where a row is contiguous in time, and a tile's scratch, where a step's lanes are.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit
def begins(starts, lanes, rows, row, array, slot):
    """Where each lane's row of ``array[source, slot, time]`` begins in the flat array."""
    for l in range(lanes):
        starts[l] = (rows[row + l] * array.shape[1] + slot) * array.shape[2]


@njit
def rest_of(scratch, lanes, width, slot, flat, starts, first, n):
    """The samples that do not fill a square: ``scratch[step, slot, lane] = flat[starts[lane] + step - first]``."""
    for l in range(lanes):
        for q in range(first, n):
            scratch[(q * width + slot) * lanes + l] = flat[starts[l] + q - first]


@njit
def spill(scratch, lanes, width, slot, row, array, t0, n):
    """The reverse of `fill`, to the tile's own rows."""
    for l in range(lanes):
        for q in range(n):
            array[row + l, slot, t0 + q] = scratch[(q * width + slot) * lanes + l]


@njit
def mark(scratch, lanes, rows, row, begin, at, t0, n):
    """Count the events of each lane in each step of the segment; events of list k are ``at[begin[k]:begin[k + 1]]``."""
    for q in range(n * lanes):
        scratch[q] = 0
    for l in range(lanes):
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


@njit
def add_products(block, count, product, total):
    """Add the products of all pairs of columns, summed over the first rows of a block, to ``total[column, column]``."""
    part = block[:count]
    np.dot(part.T, part, product)  # into memory that is there: allocating it would take longer to compile than all this
    for a in range(product.shape[0]):
        for b in range(product.shape[1]):
            total[a, b] += product[a, b]
