"""The table of current steps: spikes, first spike and adaptation of cell, model and a straight line, by amplitude."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ephysfit.metrics.step_answers import Answer
from ephysfit.metrics.step_rows import ComparedStep
from ephysfit.metrics.trains import mean_defined
from ephysfit.reports.evidence import Evidence

#: what is compared: attribute of an answer, label, unit, digits
QUANTITIES = (
    ("count", "spikes", "", 1),
    ("latency", "first spike", "ms", 1),
    ("adaptation", "adaptation", "octaves", 2),
)


@dataclass(frozen=True)
class StepLine:
    """A held-out step: what cell, model and a straight line between the neighbouring amplitudes that trained give.

    Attributes
    ----------
    amplitude : float, pA
    cell, model, line : Answer
        Means over repeats and over runs, of those where a value is defined; the line is NaN without training steps.
    spread : Answer
        Standard deviation over the runs of the model; NaN for a single run.
    """

    amplitude: float
    cell: Answer
    model: Answer
    spread: Answer
    line: Answer


def make_step_lines(evidence: Evidence) -> list[StepLine]:
    """Make one line per held-out step, by amplitude; empty where the test sweeps hold no steps of two amplitudes."""
    return [_make_line(c) for c in evidence.steps]


def _make_line(c: ComparedStep) -> StepLine:
    runs = [c.describe(t) for t in c.scored.runs]
    return StepLine(
        c.step.amplitude, _average([c.describe(t) for t in c.scored.data]), _average(runs), _measure_spread(runs),
        c.line,
    )  # fmt: skip


def _average(answers: Sequence[Answer]) -> Answer:
    return Answer(*(mean_defined([getattr(a, name) for a in answers]) for name, *_ in QUANTITIES))


def _measure_spread(answers: Sequence[Answer]) -> Answer:
    columns = [np.array([getattr(a, name) for a in answers]) for name, *_ in QUANTITIES]
    known = [x[np.isfinite(x)] for x in columns]
    return Answer(*(float(x.std(ddof=1)) if len(x) > 1 else float("nan") for x in known))


def explain_missing_steps(evidence: Evidence) -> str:
    """Explain why there is no table of steps; empty where there is one."""
    if evidence.steps:
        return ""
    if evidence.f_i_curve.cell.current.size:
        return (
            "The test sweeps hold no steps of two amplitudes or more, so that counts cannot be compared by amplitude."
        )
    return "The test sweeps hold no current steps."
