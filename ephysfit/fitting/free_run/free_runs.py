"""Free runs of cells on the training sweeps: each begins at the cell's level, as likelihoods and simulations do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ephysfit.arrays import Array, Train
from ephysfit.fitting.free_run.sweep_runs import SweepRuns
from ephysfit.fitting.stage import Problem
from ephysfit.neuron.declare import Neuron, cellwise
from ephysfit.neuron.numeric_coefficients import compute_coefficients
from ephysfit.simulation.engines.compiled import Run, run

#: samples of current that one call of the kernel is given, at most
MOST = 4_000_000


@dataclass(frozen=True, eq=False)
class FreeRuns:
    """Runs in which a cell makes its own spikes.

    Parameters
    ----------
    problem : Problem
        With the training sweeps.
    runs : int
        Noisy runs per cell; 0 for the threshold run, which is all that a neuron without a hazard has.
    sharpen : (float, float), optional
        One noise-free run that integrates the hazard of ``beta * (u - offset)``, in place of noisy ones.
    element : dtype
        Of runs with a hazard: single precision moves a noisy run as little as another draw would.
    """

    problem: Problem
    runs: int
    sharpen: tuple[float, float] | None = None
    element: type = np.float32

    def simulate_sweeps(self, cell: Neuron, draw: int = 0) -> Iterator[tuple[int, list[list[Train]]]]:
        """Spike trains of these cells on every sweep, (sweep, cell, run), ms from the beginning of the sweep."""
        for found in self.simulate_batches(cell, draw):
            trains = found.trains()
            for j, k in enumerate(found.sweeps):
                yield k, [of_cell[j] for of_cell in trains]

    def simulate_batches(self, cell: Neuron, draw: int = 0) -> Iterator[SweepRuns]:
        """The same, packed, of as many sweeps of one length at once as one call of the kernel is given.

        Coefficients are computed once for all sweeps: a protocol of a thousand short sweeps costs what its samples
        cost.
        """
        p = self.problem
        coefs = compute_coefficients(cell, p.dt)
        for sweeps, current, run_up in self._batches:
            yield SweepRuns.of(self._run(cell, coefs, current, sweeps, draw), sweeps, p.dt, run_up)

    def count_spikes(self, cell: Neuron) -> Array:
        """Spikes over the samples that count, the mean over runs, (cell, sweep)."""
        p = self.problem
        out = np.empty((cellwise(cell), len(p.counted)))
        for found in self.simulate_batches(cell):
            counted = found.select(np.stack([p.counted[k] for k in found.sweeps]), p.dt)
            out[:, list(found.sweeps)] = counted.counts.mean(-1)
        return out

    def simulate_part(self, cell: Neuron, k: int, part: slice, draw: int) -> Run:
        """Runs on what is `current_with_run_up` of a part of sweep k."""
        return self._run(cell, None, self.current_with_run_up(k, part)[None], (k,), draw)

    def current_with_run_up(self, k: int, part: slice) -> Array:
        """The current of a part of a sweep, pA, after the run-up where the part begins the sweep."""
        before = np.empty(0) if part.start else self.problem.run_up(k)
        return np.concatenate([before, self.problem.trials.current[0, k, part]])

    @cached_property
    def _batches(self) -> list[tuple[tuple[int, ...], Array, int]]:
        """Sweeps of one length and one length of run-up, as many as fit into one call; their currents; the run-up."""
        p = self.problem
        lengths = [(n, len(p.run_up(k))) for k, n in enumerate(p.lengths)]
        out = []
        for length in dict.fromkeys(lengths):
            alike = [k for k, n in enumerate(lengths) if n == length]
            most = max(MOST // (sum(length) * max(self.runs, 1)), 1)
            for a in range(0, len(alike), most):
                ks = tuple(alike[a : a + most])
                current = np.stack([self.current_with_run_up(k, slice(0, length[0])) for k in ks])
                out.append((ks, current, length[1]))
        return out

    def _run(self, cell: Neuron, coefs: Array | None, current: Array, ks: tuple[int, ...], draw: int) -> Run:
        """Runs on the currents of these sweeps, (sweep, time)."""
        p, steps = self.problem, current.shape[1]
        if not p.neuron.stochastic() or not (self.runs or self.sharpen):
            return run(cell, current[None], p.dt, dtype=np.float64, coefs=coefs)
        if self.sharpen is not None:
            ones = np.ones((1, len(ks), steps))
            return run(
                cell, current[None], p.dt, thresholds=ones, sharpen=self.sharpen, dtype=self.element, coefs=coefs
            )
        most = min(steps, int(steps * p.dt / 1.0) + 2)
        thresholds = [p.rng(k, draw + 1).exponential(size=(self.runs, most)) for k in ks]
        if len(ks) > 1:
            current = np.repeat(current, self.runs, axis=0)
        drawn = np.concatenate(thresholds)[None]
        return run(cell, current[None], p.dt, thresholds=drawn, dtype=self.element, coefs=coefs)
