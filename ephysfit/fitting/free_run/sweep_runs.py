"""Spike trains of many runs of many cells, packed: what a search makes of every generation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ephysfit.arrays import Bool, Int64, Integers, Mask, Train
from ephysfit.simulation.engines.compiled import Run


@dataclass(frozen=True, eq=False)
class SweepRuns:
    """Runs of cells on sweeps that share a length; a list of arrays per row would take longer than the runs.

    Parameters
    ----------
    sweeps : tuple of int
        Which sweeps of the recording these are.
    shape : (cell, sweep, run)
        Of the rows, run fastest.
    times : ndarray, (spike,)
        Spikes of all rows, ms from the beginning of the sweep.
    starts : ndarray of int, (row + 1,)
        Row r spiked at ``times[starts[r]:starts[r + 1]]``.
    """

    sweeps: tuple[int, ...]
    shape: tuple[int, int, int]
    times: Train
    starts: Int64[Integers, " boundary"]

    @classmethod
    def of(cls, done: Run, sweeps: tuple[int, ...], dt: float, run_up: int) -> SweepRuns:
        """The spikes of a run, (cell, sweep and run), after a run-up of so many steps."""
        shape = done.shape[0], len(sweeps), done.shape[1] // len(sweeps)
        times, before = (done.at + 0.5) * dt, run_up * dt
        whole = cls(sweeps, shape, times - before, done.begin)
        return whole._keep(times >= before) if run_up else whole

    @property
    def counts(self) -> Int64[Integers, "cell sweep run"]:
        """Spikes of every row."""
        return np.diff(self.starts).reshape(self.shape)

    def select(self, masks: Bool[Mask, "sweep step"], dt: float) -> SweepRuns:
        """The spikes on steps where the mask of their sweep is set."""
        return self._keep(masks[self._sweep_of_spike, find_step(self.times, masks.shape[1], dt)])

    def trains(self) -> list[list[list[Train]]]:
        """A train for every cell, sweep and run."""
        rows = iter(np.split(self.times, self.starts[1:-1]))
        cells, sweeps, runs = self.shape
        return [[[next(rows) for _ in range(runs)] for _ in range(sweeps)] for _ in range(cells)]

    @cached_property
    def _sweep_of_spike(self) -> Integers:
        """Which of `sweeps` each spike belongs to."""
        row = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        _, sweeps, runs = self.shape
        return row // runs % sweeps

    def _keep(self, which: Bool[Mask, " spike"]) -> SweepRuns:
        starts = np.concatenate([[0], np.cumsum(which)])[self.starts]
        return replace(self, times=self.times[which], starts=starts)


def find_step(times: Train, steps: int, dt: float) -> Int64[Integers, " spike"]:
    """The step of each spike in a mask of so many steps; what lies behind its end belongs to the last one."""
    return np.minimum((times / dt).astype(np.int64), steps - 1)
