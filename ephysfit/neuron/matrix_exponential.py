"""Exponentials of many small matrices with zeros in the same places, compiled and without a call of BLAS.

A neuron's flow has few terms, the same ones for every cell, so products are taken only where something stands, and
of `LANES` matrices side by side. scipy's `expm` does each matrix as if it were full, and on a busy machine a 4 x 4 one
takes it milliseconds, because the threads of BLAS wait for each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from ephysfit.arrays import Array, Integers
from ephysfit.compiling import compiled

#: matrices that are multiplied side by side, at most
LANES = 64
#: relative size of the first term of the series that is left out
LEAST = 1e-18
#: squarings and terms, where numbers leave their range
MOST = 1100


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where the matrices ``[[A, B], [0, 0]]`` are not zero, and which products their powers need.

    Parameters
    ----------
    rates : int
        Rows of A.
    given : ndarray of int, (place, 2)
        Row and column of what is not zero, row first.
    found : ndarray of int, (entry, 2)
        The same of the exponential less one.
    first : ndarray of int, (place,)
        Which entries the places are.
    powers : ndarray of int, (product, 3)
        Entry of the product, place of the left factor, entry of the right one.
    squares : ndarray of int, (product, 3)
        Entry of the square, entries of both factors.
    """

    rates: int
    given: Integers
    found: Integers
    first: Integers
    powers: Integers
    squares: Integers

    @classmethod
    @cache
    def of(cls, rates: int, places: tuple[tuple[int, int], ...]) -> Pattern:
        """The pattern of what stands at these places, (row, column); columns from `rates` on are those of B."""
        reached = _find_paths(rates, places)
        number = {place: k for k, place in enumerate(reached)}
        right: list[list[tuple[int, int]]] = [[] for _ in range(rates)]
        for (i, j), k in number.items():
            right[i].append((j, k))
        powers = [(number[i, j], k, b) for k, (i, m) in enumerate(places) if m < rates for j, b in right[m]]
        squares = [(number[i, j], a, b) for (i, m), a in number.items() if m < rates for j, b in right[m]]
        given, found = (np.array(pairs, dtype=np.int64).reshape(-1, 2) for pairs in (places, reached))
        products = (np.array(rows, dtype=np.int64).reshape(-1, 3) for rows in (powers, squares))
        return cls(rates, given, found, np.array([number[at] for at in places], dtype=np.int64), *products)

    def entry(self, row: int, column: int) -> int:
        """Which entry stands there; -1 where the exponential less one is zero."""
        at = np.flatnonzero((self.found == (row, column)).all(1))
        return int(at[0]) if at.size else -1

    def exponentiate(self, values: Array) -> Array:
        """The exponentials less one, (entry, matrix), of matrices with these values, (place, matrix), real or complex.

        A power series of each matrix at a norm of at most one, squared back. Less one, squares keep the digits of
        entries that are small, and columns of B, which enter linearly, ask for no smaller steps.
        """
        out = np.empty((len(self.found), values.shape[1]), dtype=values.dtype)
        memory = np.zeros((4, len(self.found), min(LANES, values.shape[1])), dtype=values.dtype)
        _exponentiate(
            np.ascontiguousarray(values), self.rates, self.given, self.first, self.powers, self.squares, out, *memory
        )
        return out


def _find_paths(rates: int, places: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """From which row some power of the matrix reaches which column."""
    reached = set(places)
    for middle in range(rates):
        into, out = [i for i, j in reached if j == middle], [j for i, j in reached if i == middle]
        reached |= {(i, j) for i in into for j in out}
    return sorted(reached)


@compiled()
def _exponentiate(values, rates, given, first, powers, squares, out, a, term, new, total):  # type: ignore[no-untyped-def]
    """All matrices, as many at a time as there is memory for.

    Loop by loop, because expressions of whole arrays take numba seconds to compile.
    """
    places, entries, matrices, width = first.size, out.shape[0], values.shape[1], term.shape[1]
    for begin in range(0, matrices, width):
        lanes = min(width, matrices - begin)
        norm = 0.0
        for m in range(lanes):
            size = 0.0
            for k in range(places):
                if k > 0 and given[k, 0] != given[k - 1, 0]:
                    size = 0.0
                if given[k, 1] < rates:
                    size += abs(values[k, begin + m])
                if not size <= norm:  # of NaN too
                    norm = size
        scale, squarings = 1.0, 0
        while norm > 1.0 and squarings < MOST:
            norm, scale, squarings = 0.5 * norm, 0.5 * scale, squarings + 1
        for k in range(entries):
            for m in range(width):
                term[k, m] = 0.0
        for k in range(places):
            for m in range(lanes):
                a[k, m] = scale * values[k, begin + m]
                term[first[k], m] = a[k, m]
        for k in range(entries):
            for m in range(width):
                total[k, m] = term[k, m]
        left_out, n = 1.0, 1
        while left_out > LEAST and n < MOST:
            n += 1
            left_out *= norm / n
            for k in range(entries):
                for m in range(width):
                    new[k, m] = 0.0
            for p in range(powers.shape[0]):
                o, x, y = powers[p, 0], powers[p, 1], powers[p, 2]
                for m in range(width):
                    new[o, m] += a[x, m] * term[y, m]
            for k in range(entries):
                for m in range(width):
                    term[k, m] = new[k, m] / n
                    total[k, m] += term[k, m]
        for _ in range(squarings):
            for k in range(entries):
                for m in range(width):
                    new[k, m] = 2.0 * total[k, m]
            for p in range(squares.shape[0]):
                o, x, y = squares[p, 0], squares[p, 1], squares[p, 2]
                for m in range(width):
                    new[o, m] += total[x, m] * total[y, m]
            for k in range(entries):
                for m in range(width):
                    total[k, m] = new[k, m]
        for k in range(entries):
            for m in range(lanes):
                out[k, begin + m] = total[k, m]
