"""Which row sits in which lane of which tile, and what a tile's rows share.

A *row* is one run of one cell: a cell and a trial. One machine instruction works on a vector of numbers, so rows are
taken together: a *tile* is as many rows as a vector has places, its *lanes*, and steps through time as one. Here 6 rows
in 2 tiles of 4 lanes; time goes to the right, in *segments* at whose beginnings a run may leave *checkpoints*
(`templates`):

    ::

                    segment 0           segment 1           segment 2
        tile 0    |o . . . . . . .    |o . . . . . . .    |o . . .     lane 0: row 0
                  |o . . . . . . .    |o . . . . . . .    |o . . .     lane 1: row 1
                  |o . . . . . . .    |o . . . . . . .    |o . . .     lane 2: row 2
                  |o . . . . . . .    |o . . . . . . .    |o . . .     lane 3: row 3
        tile 1    |o . . . . . . .    |o . . . . . . .    |o . . .     lane 0: row 4
                  |o . . . . . . .    |o . . . . . . .    |o . . .     lane 1: row 5
                  |(row 5 again: padding, whose results are discarded)  lanes 2 and 3

    o: a checkpoint, where states are kept; a column of dots in a tile: one step, one instruction for all its lanes

Threads share the tiles. Rows that read one current sit in one tile where they can: then the tile reads it once.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from llvmlite.binding import get_host_cpu_features
from numba.core.errors import NumbaError

from ephysfit.errors import SimulationError
from ephysfit.kernels.kernel_files import module

#: bytes of a tile: two AVX2 registers per value, or two of AVX-512 where the machine has them
NARROW, WIDE = 64, 128

#: a minimal kernel, kept on disk like the others, that shows whether this numba takes our vector types
PROBE = """
from ephysfit.compiling import compiled
from ephysfit.kernels.simd import floats

v = floats("float32", 16)
load, store, where, fma = v.load, v.store, v.where, v.fma


@compiled()
def probe(x):
    a = load(x, 0)
    store(x, 0, where(a > -a, fma(a, a, a) + a, a))
"""


@cache
def _wide() -> bool:
    return bool(get_host_cpu_features().get("avx512f"))


@cache
def vectors_work() -> bool:
    """Whether this numba takes our vector types; if not, kernels run row by row, several times slower.

    ``EPHYSFIT_VECTORS=0`` turns them off.
    """
    if os.environ.get("EPHYSFIT_VECTORS") == "0":
        return False
    try:
        # a numba that does not take our vector types may refuse them on import already
        from ephysfit.kernels.simd import floats

        floats("float32", 16)
        x = np.ones(16, np.float32)
        module("probe", PROBE).probe(x)
    except (ImportError, AttributeError, TypeError, NotImplementedError, NumbaError) as error:
        warnings.warn(f"SIMD kernels are off: numba refused vector types ({error})", RuntimeWarning, stacklevel=2)
        return False
    return bool((x == 3).all())


def lanes_for(element: str, rows: int) -> int:
    """Rows of a tile: one chain of registers, or two where there are rows to fill them; 1 without vectors.

    A single row takes a tile too: plain numbers are little faster there (0.8-1.5 times) and would need kernels of their
    own, each a second to compile.
    """
    size = np.dtype(element).itemsize
    if not vectors_work():
        return 1
    return WIDE // size if _wide() and rows * size >= 0.75 * WIDE else NARROW // size


@dataclass(frozen=True, eq=False)
class Lists:
    """Lists of step numbers in one array: list k is ``at[begin[k]:begin[k + 1]]``; `shape` is their (cell, trial)."""

    begin: np.ndarray
    at: np.ndarray
    shape: tuple[int, int]

    @classmethod
    def of(cls, events: Any, steps: int) -> Lists:
        """From a raster (cell, trial, time) or nested lists ``events[cell][trial]`` of step numbers.

        Raises
        ------
        SimulationError
            If a step lies outside the run or the lists are ragged.
        """
        if hasattr(events, "shape"):
            return cls._of_raster(np.asarray(events))
        shape = (len(events), len(events[0]))
        if any(len(trials) != shape[1] for trials in events):
            raise SimulationError("events need the same number of trials for every cell: events[cell][trial]")
        flat = [np.sort(np.asarray(e, dtype=np.int64)) for trials in events for e in trials]
        for k, e in enumerate(flat):
            if e.size and (e[0] < 0 or e[-1] >= steps):
                raise SimulationError(f"events of row {k} span steps {e[0]} to {e[-1]}; the run has 0 to {steps - 1}")
        return cls(_begin([e.size for e in flat]), np.concatenate([*flat, np.zeros(0, np.int64)]), shape)

    @classmethod
    def _of_raster(cls, raster: np.ndarray) -> Lists:
        flat = raster.reshape(-1, raster.shape[-1])
        rows, at = np.nonzero(flat > 0)
        return cls(_begin(np.bincount(rows, minlength=flat.shape[0])), at, (raster.shape[0], raster.shape[1]))


def _begin(sizes: Any) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.asarray(sizes, dtype=np.int64))]).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Layout:
    """Lanes in order: the row each one runs, and where its inputs are.

    Attributes
    ----------
    cells, trials : int
        Rows are (cell, trial), trial fastest.
    lanes : int
        Rows of a tile.
    shared : bool
        All rows of any tile read the same source and the same list.
    row, cell : ndarray of int, (lane,)
        Padding lanes repeat a row of their tile.
    real : ndarray of bool, (lane,)
    sources : tuple of ndarray of int, (lane,)
        For every array of sources (currents, lists, thresholds): which of its rows a lane reads.
    """

    cells: int
    trials: int
    lanes: int
    shared: bool
    row: np.ndarray
    cell: np.ndarray
    real: np.ndarray
    sources: tuple[np.ndarray, ...]

    @property
    def tiles(self) -> int:
        return self.row.size // self.lanes

    @cached_property
    def lane(self) -> np.ndarray | slice:
        """The lane that runs each row; a slice where lanes are in the order of rows, so that nothing is copied."""
        rows = self.cells * self.trials
        if np.array_equal(self.row[:rows], np.arange(rows)) and self.real[:rows].all():
            return slice(rows)
        lane = np.empty(rows, np.int64)
        lane[self.row[self.real]] = np.flatnonzero(self.real)
        return lane

    def scatter(self, values: np.ndarray) -> np.ndarray:
        """Per lane to per row, (..., lane) -> (..., cell, trial)."""
        return values[..., self.lane].reshape(*values.shape[:-1], self.cells, self.trials)

    def scatter_traces(self, values: np.ndarray) -> np.ndarray:
        """The same where lanes come first, (lane, ...) -> (cell, trial, ...): long axes stay together in memory."""
        return values[self.lane].reshape(self.cells, self.trials, *values.shape[1:])


def arrange(
    cells: int, shapes: Sequence[tuple[int, int]], together: int, element: str, lanes: int | None = None
) -> Layout:
    """Lay rows out in tiles so that rows of one stimulus sit together.

    Parameters
    ----------
    cells : int
        Cells of the neuron (1 broadcasts).
    shapes : sequence of (cell, trial)
        Leading axes of every source; axes of length 1 broadcast.
    together : int
        A shared tile reads one entry of each of the first `together` sources.
    element : str
        ``"float32"`` or ``"float64"``.
    lanes : int, optional
        Rows of a tile; by `lanes_for` unless given.
    """
    cells = _common("cell", [cells, *(s[0] for s in shapes)])
    trials = _common("trial", [s[1] for s in shapes])
    rows = np.arange(cells * trials)
    cell, trial = rows // trials, rows % trials
    places = [cell * (a > 1) * b + trial * (b > 1) for a, b in shapes]
    lanes = lanes or lanes_for(element, rows.size)
    if lanes == 1:
        order, real, shared = rows, np.ones(rows.size, bool), True
    else:
        order, real, shared = _tile(rows, places[:together], lanes)
    return Layout(
        cells, trials, lanes, shared, order, cell[order], real, tuple(p[order].astype(np.int64) for p in places)
    )


def _tile(rows: np.ndarray, keys: Sequence[np.ndarray], lanes: int) -> tuple[np.ndarray, np.ndarray, bool]:
    # rows that read the same entries of all shared sources get one number; sorting by it puts them side by side
    key = np.zeros(rows.size, np.int64)
    for k in keys:
        key = key * (int(k.max()) + 1) + k
    order = np.argsort(key, kind="stable")
    edges = np.flatnonzero(np.diff(key[order])) + 1
    padded = int((-(-np.diff([0, *edges, rows.size]) // lanes)).sum())
    plain = -(-rows.size // lanes)
    # a tile of one group reads its current once, unless filling up many small groups costs more than that saves
    if padded <= 1.5 * plain:
        parts = [_pad(g, lanes) for g in np.split(order, edges)]
        return np.concatenate([p for p, _ in parts]), np.concatenate([r for _, r in parts]), True
    order, real = _pad(rows, lanes)
    return order, real, False


def _pad(rows: np.ndarray, lanes: int) -> tuple[np.ndarray, np.ndarray]:
    # a padding lane repeats the last row: its values are valid, so it needs no branch, and its results are dropped
    missing = -rows.size % lanes
    real = np.ones(rows.size + missing, bool)
    real[rows.size :] = False
    return np.concatenate([rows, np.repeat(rows[-1:], missing)]), real


def _common(axis: str, sizes: list[int]) -> int:
    size = max(sizes)
    if any(s not in (1, size) for s in sizes):
        raise SimulationError(f"{axis} axes of neuron, current and events are {sizes}; each must be 1 or {size}")
    return size
