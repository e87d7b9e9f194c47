"""Comparison of free runs of candidates with the recorded spikes, by which every free-running stage judges."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from ephysfit.arrays import Array, Mask
from ephysfit.fitting.free_run.free_runs import FreeRuns
from ephysfit.fitting.free_run.losses import Coincidence, KernelScore, Loss, select_spikes_in
from ephysfit.fitting.stage import Estimate, Problem, Status
from ephysfit.fitting.stage_reports import Report, Reports, SearchReport
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters, as_floats

#: spikes that a sweep counts for beside its own: a spike below rheobase costs although the cell was silent there
SILENT = 1.0


@dataclass(frozen=True, eq=False)
class FreeRunEvaluation:
    """Free runs of many candidates on the training sweeps, and their losses on training and validation blocks."""

    problem: Problem
    free: FreeParameters
    base: Neuron
    loss: Loss
    runs: int  #: noisy runs per candidate; 0 for the threshold run

    @cached_property
    def free_runs(self) -> FreeRuns:
        """What simulates the candidates on the training sweeps, prepared once."""
        return FreeRuns(self.problem, self.runs)

    @property
    def training_masks(self) -> list[Mask]:
        """Per sweep the samples that train."""
        p = self.problem
        return [m & ~h for m, h in zip(p.counted, p.held_out, strict=True)]

    def training_losses(self, z: Array, draw: int = 0) -> Array:
        """Loss of each candidate on the training blocks, under draw `draw` of the noise; `z` is (candidate,
        parameter)."""
        return self._blocks_losses(z, draw, [self.training_masks])[0]

    def training_and_validation_losses(self, z: Array) -> tuple[Array, Array]:
        """Training and validation loss of each candidate, in noise that no `training_losses` used.

        The rate costs nothing on validation blocks: of a dozen seconds it says little, and a drift decides it.
        """
        both = self._blocks_losses(z, -1, [self.training_masks, list(self.problem.held_out)])
        return both[0], both[1]

    def choose_best(self, z: Array) -> tuple[int, tuple[float, float], tuple[float, float]]:
        """Which of the candidates after the first to keep, 0 for none; training and held-out losses of first and best.

        It must be better on the training blocks, and still better where these and the validation blocks count alike.
        """
        train, held = self.training_and_validation_losses(z)
        best = 1 + int(np.argmin(np.nan_to_num(train[1:], nan=np.inf)))
        gain, later = train[0] - train[best], held[0] - held[best]
        kept = best if gain > 0 and gain + later > 0 else 0
        return kept, (float(train[0]), float(train[best])), (float(held[0]), float(held[best]))

    def _blocks_losses(self, z: Array, draw: int, sides: list[list[Mask]]) -> Array:
        """Means over sweeps, weighted by their spikes and by `SILENT`, (side, candidate)."""
        p = self.problem
        free = replace(self.loss, rate=0.0) if isinstance(self.loss, Coincidence | KernelScore) else self.loss
        losses = [self.loss, free]
        totals, weights = np.zeros((len(sides), len(z))), np.zeros((len(sides), 1))
        for k, trains in self.free_runs.simulate_sweeps(self.candidates(z), draw):
            for side, masks in enumerate(sides):
                recorded = select_spikes_in(p.recording.sweeps[k].spike_times, masks[k], p.dt)
                duration, weight = float(masks[k].sum()) * p.dt, len(recorded) + SILENT
                weights[side] += weight
                for c, runs in enumerate(trains):
                    kept = [select_spikes_in(t, masks[k], p.dt) for t in runs]
                    totals[side, c] += weight * losses[side](recorded, kept, duration)
        return totals / weights

    def candidates(self, z: Array) -> Neuron:
        """Coordinates as cells of one neuron."""
        return self.free.to_neuron(torch.from_numpy(np.ascontiguousarray(z)), self.base)


def conclude_estimate(
    estimate: Estimate, free: FreeParameters, z: Array | None, report: SearchReport, ended: Status, *others: Report
) -> Estimate:
    """The estimate at the coordinates a stage ended with; as it was, with a report that says so, where z is None."""
    if z is None:
        kept = replace(report, kept="the estimate before")
        return estimate.with_(status=Status.CONVERGED, reports=Reports(kept, *others))
    cell = as_floats(free.to_neuron(torch.as_tensor(z), estimate.neuron))
    status = Status.AT_BOUND if free.on_bound(cell) else ended
    return estimate.with_(neuron=cell, status=status, train=np.nan, validation=np.nan, reports=Reports(report, *others))
