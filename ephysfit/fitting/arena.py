"""Where free runs of candidates are compared with the recorded spikes: what every free-running stage judges by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ephysfit.arrays import Train
from ephysfit.fitting.losses import Coincidence, KernelScore, Loss, Mask, within
from ephysfit.fitting.stage import Estimate, Problem, Status
from ephysfit.neuron.coefficients import coefficients
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free import Free, as_floats
from ephysfit.simulation.compiled import Run, run

Array = npt.NDArray[np.float64]

#: samples of current that one call of the kernel is given, at most
MOST = 4_000_000
#: spikes that a sweep counts for beside its own: a spike below rheobase costs although the cell was silent there
SILENT = 1.0


@dataclass(frozen=True, eq=False)
class Arena:
    """Free runs of many candidates on the training sweeps, and their losses on training and validation blocks."""

    problem: Problem
    free: Free
    base: Neuron
    loss: Loss
    runs: int  #: noisy runs a candidate; 0 for the threshold run
    element: type = np.float32  #: of noisy runs: single precision moves one as little as another draw would
    sharpen: tuple[float, float] | None = None  #: integrate the hazard of ``beta * (u - offset)`` instead of drawing

    @property
    def noisy(self) -> bool:
        return self.runs > 0 and self.problem.neuron.stochastic()

    @property
    def masks(self) -> list[Mask]:
        """Per sweep the samples that train."""
        p = self.problem
        return [m & ~h for m, h in zip(p.counted, p.held_out, strict=True)]

    def training(self, z: Array, draw: int = 0) -> Array:
        """Loss of each candidate on the training blocks, in the noise number `draw`; `z` is (candidate, parameter)."""
        return self._losses(z, draw, [self.masks])[0]

    def losses(self, z: Array) -> tuple[Array, Array]:
        """Training and validation loss of each candidate, in a noise that no `training` saw.

        The rate costs nothing on validation blocks: of a dozen seconds it says little, and a drift decides it.
        """
        both = self._losses(z, -1, [self.masks, list(self.problem.held_out)])
        return both[0], both[1]

    def better(self, z: Array) -> tuple[int, dict[str, Any]]:
        """Which of the candidates after the first to keep, 0 for none of them; and losses of the first and of the best.

        It must be better on the training blocks, and still better where these and the validation blocks count alike.
        """
        train, held = self.losses(z)
        best = 1 + int(np.argmin(np.nan_to_num(train[1:], nan=np.inf)))
        gain, later = train[0] - train[best], held[0] - held[best]
        told = {"train": train[[0, best]].tolist(), "held_out": held[[0, best]].tolist()}
        return best if gain > 0 and gain + later > 0 else 0, told

    def _losses(self, z: Array, draw: int, sides: list[list[Mask]]) -> Array:
        """Means over sweeps, weighted by their spikes and by `SILENT`, (side, candidate)."""
        p = self.problem
        free = replace(self.loss, rate=0.0) if isinstance(self.loss, Coincidence | KernelScore) else self.loss
        losses = [self.loss, free]
        totals, weights = np.zeros((len(sides), len(z))), np.zeros((len(sides), 1))
        for k, trains in self.all_runs(z, draw):
            for side, masks in enumerate(sides):
                recorded = within(p.recording.sweeps[k].spike_times, masks[k], p.dt)
                duration, weight = float(masks[k].sum()) * p.dt, len(recorded) + SILENT
                weights[side] += weight
                for c, runs in enumerate(trains):
                    kept = [within(t, masks[k], p.dt) for t in runs]
                    totals[side, c] += weight * losses[side](recorded, kept, duration)
        return totals / weights

    def all_runs(self, z: Array, draw: int) -> Iterator[tuple[int, list[list[Train]]]]:
        """Spike trains of the candidates on every sweep, (sweep, candidate, run).

        Coefficients are computed once for all sweeps, and sweeps of one length are run in one call: a protocol of a
        thousand short sweeps costs what its samples cost.
        """
        yield from self.runs_of(self._candidates(z), draw)

    def runs_of(self, cell: Neuron, draw: int) -> Iterator[tuple[int, list[list[Train]]]]:
        """Spike trains of these cells on every sweep, (sweep, cell, run), counted from the beginning of the sweep."""
        coefs = coefficients(cell, self.problem.dt).detach().numpy()
        for ks in self._together:
            done = self._drawn(cell, coefs, ks, draw)
            before = len(self.problem.run_up(ks[0])) * self.problem.dt
            trains, runs = done.spike_times(self.problem.dt), done.shape[1] // len(ks)
            for j, k in enumerate(ks):
                at = [(c * len(ks) + j) * runs for c in range(done.shape[0])]
                yield k, [[t[t >= before] - before for t in trains[a : a + runs]] for a in at]

    @cached_property
    def _together(self) -> list[list[int]]:
        """Sweeps of one length and one length of run-up, as many as fit into one call."""
        p = self.problem
        lengths = [(n, len(p.run_up(k))) for k, n in enumerate(p.lengths)]
        out: list[list[int]] = []
        for length in dict.fromkeys(lengths):
            alike = [k for k, n in enumerate(lengths) if n == length]
            most = max(MOST // (sum(length) * max(self.runs, 1)), 1)
            out += [alike[a : a + most] for a in range(0, len(alike), most)]
        return out

    def drawn(self, z: Array, k: int, draw: int, part: slice) -> Run:
        """Free runs of the candidates on what is played of a part of sweep k, (candidate, run), in that noise."""
        return self._run(self._candidates(z), None, self.played(k, part)[None], [k], draw)

    def played(self, k: int, part: slice) -> Array:
        """The current of a part of a sweep, pA, after the run-up where the part begins the sweep."""
        before = np.empty(0) if part.start else self.problem.run_up(k)
        return np.concatenate([before, self.problem.trials.current[0, k, part].numpy()])

    def _candidates(self, z: Array) -> Neuron:
        return self.free.to_neuron(torch.from_numpy(np.ascontiguousarray(z)), self.base)

    def _drawn(self, cell: Neuron, coefs: Array | None, ks: list[int], draw: int) -> Run:
        """Free runs on whole sweeps of one length, (candidate, sweep x run)."""
        whole = slice(0, self.problem.lengths[ks[0]])
        return self._run(cell, coefs, np.stack([self.played(k, whole) for k in ks]), ks, draw)

    def _run(self, cell: Neuron, coefs: Array | None, current: Array, ks: list[int], draw: int) -> Run:
        """Free runs on the currents of these sweeps, (sweep, time)."""
        p = self.problem
        if not self.noisy:
            return run(cell, current[None], p.dt, dtype=np.float64, coefs=coefs)
        if self.sharpen is not None:
            ones = np.ones((1, len(ks), current.shape[1]))
            return run(
                cell, current[None], p.dt, thresholds=ones, sharpen=self.sharpen, dtype=self.element, coefs=coefs
            )
        most = min(current.shape[1], int(current.shape[1] * p.dt / 1.0) + 2)
        thresholds = [p.rng(k, draw + 1).exponential(size=(self.runs, most)) for k in ks]
        if len(ks) > 1:
            current = np.repeat(current, self.runs, axis=0)
        drawn = np.concatenate(thresholds)[None]
        return run(cell, current[None], p.dt, thresholds=drawn, dtype=self.element, coefs=coefs)


def outcome(
    estimate: Estimate, stage: str, free: Free, z: Array | None, details: dict[str, Any], ended: Status
) -> Estimate:
    """The estimate with the coordinates a stage ended with; as it was, and told so, where it found none (None)."""
    if z is None:
        told = {**details, "kept": "the estimate before"}
        return estimate.with_(stage=stage, status=Status.CONVERGED, details=told)
    cell = as_floats(free.to_neuron(torch.as_tensor(z), estimate.neuron))
    status = Status.AT_BOUND if free.on_bound(cell) else ended
    return estimate.with_(neuron=cell, stage=stage, status=status, train=np.nan, validation=np.nan, details=details)
