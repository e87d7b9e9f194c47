"""How soft a threshold is, where the rest of a cell was found in noise-free runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ephysfit.fitting.free_run.evaluation import FreeRunEvaluation
from ephysfit.fitting.free_run.losses import KernelScore
from ephysfit.fitting.predictive_check import compare_with_recorded
from ephysfit.fitting.stage import Estimate, Need, Problem, Stage, Status
from ephysfit.fitting.stage_reports import Reports, SoftnessReport
from ephysfit.neuron.free_parameters import FreeParameters, as_floats
from ephysfit.neuron.roles import Role


@dataclass(frozen=True)
class Softness(Stage):
    """Choose the softness of the threshold by noisy runs, all else as it is.

    A noise-free search does not determine it, and at an arbitrary softness the noisy runs may fire several times as
    fast as the noise-free one. Of a grid from bound to bound the value is kept whose noisy runs score best on the
    training data, among those whose counts are right there (`SpikeCounts.warnings`), else among those that fire as the
    cell did (`SpikeCounts.failed`); where none does, the one with the best counts.

    Parameters
    ----------
    values : int
        Of the grid, geometric between the bounds.
    runs : int
        Noisy runs per value; all values share their draws.
    loss : KernelScore
    """

    name: ClassVar[str] = "softness"
    needs: ClassVar[tuple[Need, ...]] = (Need.HAZARD, Need.SOFTNESS, Need.SPIKES)
    values: int = 16
    runs: int = 32
    loss: KernelScore = field(default_factory=KernelScore)

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        neuron = problem.neuron
        name = neuron.free_name_of(Role.SOFTNESS)
        assert name is not None  # one of the needs
        declared = neuron.parameters[name]
        grid = np.geomspace(declared.low, declared.high, self.values)
        free = FreeParameters.of(neuron, (name,))
        cells = [estimate.neuron.replace(**{name: float(v)}) for v in grid]
        z = np.stack([free.to_vector(cell) for cell in cells])
        evaluation = FreeRunEvaluation(problem, free, estimate.neuron, self.loss, self.runs)
        losses = np.nan_to_num(evaluation.training_losses(z), nan=np.inf)
        counts = [
            compare_with_recorded(problem, row, row)
            for row in evaluation.free_runs.count_spikes(evaluation.candidates(z))
        ]
        right, fires = (np.array([not wrong for wrong in kind]) for kind in
                        ([c.warnings() for c in counts], [c.failed for c in counts]))  # fmt: skip
        fires = right if right.any() else fires
        order = np.where(fires, losses, np.inf) if fires.any() else [c.error for c in counts]
        best = int(np.argmin(order))
        report = SoftnessReport(tuple(grid.tolist()), tuple(losses.tolist()), tuple(fires.tolist()))
        return estimate.with_(neuron=as_floats(cells[best]), status=Status.CONVERGED, reports=Reports(report))
