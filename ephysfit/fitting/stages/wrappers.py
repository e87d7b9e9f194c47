"""Stages made of stages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ephysfit.errors import FitError
from ephysfit.fitting.stage import Estimate, Problem, Stage
from ephysfit.neuron.free_parameters import FreeParameters, as_floats


@dataclass(frozen=True)
class Only(Stage):
    """Run a stage on some parameters and leave the others alone: ``Only(("C", "g"), Likelihood())``."""

    names: tuple[str, ...]
    stage: Any

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        if not hasattr(self.stage, "names"):
            raise FitError(
                f"{type(self.stage).__name__} moves no named parameters, so Only(...) has nothing to restrict"
            )
        FreeParameters.of(problem.neuron, self.names)  # names that do not exist are refused here
        return replace(self.stage, names=self.names)(problem, estimate)


@dataclass(frozen=True)
class Rounds(Stage):
    """Run stages one after the other, several times."""

    rounds: int
    stages: tuple[Stage, ...]

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        for _ in range(self.rounds):
            for stage in self.stages:
                found = stage(problem, estimate)
                estimate = found.with_(reports=estimate.reports | found.reports)
        return estimate


@dataclass(frozen=True)
class BestOf(Stage):
    """Run several stages from the same estimate and keep the one with the lowest validation loss."""

    stages: tuple[Stage, ...]

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        return min((s(problem, estimate) for s in self.stages), key=_validation_loss)


@dataclass(frozen=True)
class MultiStart(Stage):
    """Run a stage from the estimate and from random draws about it; keep the lowest validation loss."""

    starts: int
    stage: Stage
    spread: float = 0.5

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        free, rng = problem.free(smooth_only=True), problem.rng(3)
        cells = [estimate.neuron]
        for _ in range(self.starts - 1):
            cells.append(as_floats(free.to_neuron(free.drawn(estimate.neuron, self.spread, rng), estimate.neuron)))
        return min((self.stage(problem, estimate.with_(neuron=c)) for c in cells), key=_validation_loss)


def _validation_loss(estimate: Estimate) -> float:
    return estimate.validation if np.isfinite(estimate.validation) else np.inf
