"""Folds of the training data: which blocks, or which whole sweeps, a fit leaves out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from ephysfit.arrays import Mask
from ephysfit.fitting.stage import Problem


@dataclass(frozen=True, eq=False)
class Fold(Problem):
    """A problem that holds out one of every `folds` blocks of its data.

    Blocks are counted on from sweep to sweep, so that of short sweeps whole ones are held out.

    Parameters
    ----------
    fold, folds : int
        Block k is held out where k modulo `folds` is `fold`.
    block_ms : float
        Length of a block, ms.
    """

    fold: int = 0
    folds: int = 5
    block_ms: float = 2000.0

    @classmethod
    def of(cls, problem: Problem, fold: int, folds: int, block_ms: float) -> Fold:
        """A fold of a problem."""
        shared = {f.name: getattr(problem, f.name) for f in fields(Problem)}
        return cls(**shared, fold=fold, folds=folds, block_ms=block_ms)

    @cached_property
    def held_out(self) -> tuple[Mask, ...]:
        """Per sweep the samples of the fold."""
        out, first = [], 0
        for counted in self.counted:
            block = first + (np.arange(len(counted)) * self.dt // self.block_ms).astype(int)
            out.append(counted & (block % self.folds == self.fold))
            first = int(block[-1]) + 1
        return tuple(out)
