"""Comparison of free runs of candidates with the recorded spikes, by which every free-running stage judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ephysfit.arrays import Array, Mask
from ephysfit.errors import FitError
from ephysfit.fitting.free_run.free_runs import FreeRuns
from ephysfit.fitting.free_run.losses import Coincidence, KernelScore, Loss, select_spikes_in
from ephysfit.fitting.free_run.sweep_runs import SweepRuns
from ephysfit.fitting.stage import Estimate, Problem, Status
from ephysfit.fitting.stage_reports import Report, Reports, SearchReport
from ephysfit.metrics.trains import pack_trains
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

    def __post_init__(self) -> None:
        if not isinstance(self.loss, Loss):
            raise FitError(
                f"loss={self.loss!r} is no loss of ephysfit.fitting.free_run.losses; give Coincidence(), Gamma(), "
                "KernelScore(), VanRossum(), or a subclass of Loss with __call__(self, recorded, runs, duration)"
            )

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
        return self._blocks_losses(z, draw, [self._training])[0]

    def training_and_validation_losses(self, z: Array) -> tuple[Array, Array]:
        """Training and validation loss of each candidate, in noise that no `training_losses` used."""
        both = self._blocks_losses(z, -1, [self._training, self._validation])
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

    @cached_property
    def _training(self) -> _Blocks:
        return _Blocks(self.problem, self.training_masks, self.loss)

    @cached_property
    def _validation(self) -> _Blocks:
        """The rate costs nothing on validation blocks: of a dozen seconds it says little, and a drift decides it."""
        free = replace(self.loss, rate=0.0) if isinstance(self.loss, Coincidence | KernelScore) else self.loss
        return _Blocks(self.problem, self.problem.held_out, free)

    def _blocks_losses(self, z: Array, draw: int, sides: list[_Blocks]) -> Array:
        """Means over sweeps, weighted by their spikes and by `SILENT`, (side, candidate)."""
        totals = np.zeros((len(sides), len(z)))
        for found in self.free_runs.simulate_batches(self.candidates(z), draw):
            for total, side in zip(totals, sides, strict=True):
                losses = side.compare(found)
                for j, k in enumerate(found.sweeps):
                    total += side.weights[k] * losses[:, j]
        return totals / np.array([[side.weights.sum()] for side in sides])

    def candidates(self, z: Array) -> Neuron:
        """Coordinates as cells of one neuron."""
        return self.free.to_neuron(z, self.base)


class _Blocks:
    """Samples of every sweep that a loss is computed on, with the recorded spikes among them."""

    def __init__(self, problem: Problem, masks: Sequence[Mask], loss: Loss) -> None:
        self._dt, self._masks, self._loss = problem.dt, np.stack(masks), loss
        trains = [s.spike_times for s in problem.recording.sweeps]
        self._recorded = [select_spikes_in(t, m, problem.dt) for t, m in zip(trains, masks, strict=True)]
        self.weights = np.array([len(t) + SILENT for t in self._recorded])

    def compare(self, found: SweepRuns) -> Array:
        """Losses of runs, (cell, sweep)."""
        masks = self._masks[list(found.sweeps)]
        recorded = pack_trains([self._recorded[k] for k in found.sweeps])
        return self._loss.compare(recorded, found.select(masks, self._dt), masks.sum(1) * self._dt)


def conclude_estimate(
    estimate: Estimate, free: FreeParameters, z: Array | None, report: SearchReport, ended: Status, *others: Report
) -> Estimate:
    """The estimate at the coordinates a stage ended with; as it was, with a report that says so, where z is None."""
    if z is None:
        kept = replace(report, kept="the estimate before")
        return estimate.with_(status=Status.CONVERGED, reports=Reports(kept, *others))
    cell = as_floats(free.to_neuron(z, estimate.neuron))
    status = Status.AT_BOUND if free.on_bound(cell) else ended
    return estimate.with_(neuron=cell, status=status, train=np.nan, validation=np.nan, reports=Reports(report, *others))
