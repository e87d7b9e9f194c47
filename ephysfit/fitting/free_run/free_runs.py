"""Free runs of cells on the training sweeps: each begins at the cell's level, as likelihoods and simulations do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ephysfit.arrays import Array, Train
from ephysfit.fitting.free_run.losses import select_spikes_in
from ephysfit.fitting.stage import Problem
from ephysfit.neuron.coefficients import coefficients
from ephysfit.neuron.declare import Neuron
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
        """Spike trains of these cells on every sweep, (sweep, cell, run), ms from the beginning of the sweep.

        Coefficients are computed once for all sweeps, and sweeps of one length are run in one call: a protocol of a
        thousand short sweeps costs what its samples cost.
        """
        p = self.problem
        coefs = coefficients(cell, p.dt).detach().numpy()
        for ks in self._sweep_batches:
            whole = slice(0, p.lengths[ks[0]])
            done = self._run(cell, coefs, np.stack([self.current_with_run_up(k, whole) for k in ks]), ks, draw)
            before = len(p.run_up(ks[0])) * p.dt
            trains, runs = done.spike_times(p.dt), done.shape[1] // len(ks)
            for j, k in enumerate(ks):
                at = [(c * len(ks) + j) * runs for c in range(done.shape[0])]
                yield k, [[t[t >= before] - before for t in trains[a : a + runs]] for a in at]

    def count_spikes(self, cell: Neuron) -> Array:
        """Spikes over the samples that count, the mean over runs, (cell, sweep)."""
        p = self.problem
        found = {
            k: [np.mean([len(select_spikes_in(t, p.counted[k], p.dt)) for t in runs]) for runs in trains]
            for k, trains in self.simulate_sweeps(cell)
        }
        return np.array([found[k] for k in range(len(p.counted))]).T

    def simulate_part(self, cell: Neuron, k: int, part: slice, draw: int) -> Run:
        """Runs on what is `current_with_run_up` of a part of sweep k."""
        return self._run(cell, None, self.current_with_run_up(k, part)[None], [k], draw)

    def current_with_run_up(self, k: int, part: slice) -> Array:
        """The current of a part of a sweep, pA, after the run-up where the part begins the sweep."""
        before = np.empty(0) if part.start else self.problem.run_up(k)
        return np.concatenate([before, self.problem.trials.current[0, k, part].numpy()])

    @cached_property
    def _sweep_batches(self) -> list[list[int]]:
        """Sweeps of one length and one length of run-up, as many as fit into one call."""
        p = self.problem
        lengths = [(n, len(p.run_up(k))) for k, n in enumerate(p.lengths)]
        out: list[list[int]] = []
        for length in dict.fromkeys(lengths):
            alike = [k for k, n in enumerate(lengths) if n == length]
            most = max(MOST // (sum(length) * max(self.runs, 1)), 1)
            out += [alike[a : a + most] for a in range(0, len(alike), most)]
        return out

    def _run(self, cell: Neuron, coefs: Array | None, current: Array, ks: list[int], draw: int) -> Run:
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
