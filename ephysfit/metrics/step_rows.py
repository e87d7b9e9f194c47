"""The lines of a score on current steps, beside a straight line between the neighbouring amplitudes that trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ephysfit.arrays import Train
from ephysfit.data.recording import Recording
from ephysfit.data.sweep import Sweep
from ephysfit.errors import ScoreError
from ephysfit.metrics.jackknife import Row, count_repeats_and_runs
from ephysfit.metrics.matching import Scored
from ephysfit.metrics.metric import METRICS
from ephysfit.metrics.step_answers import (
    Answer,
    Step,
    count_error,
    find_latency,
    find_steps,
    interpolate_answer,
    is_step,
    latency_error,
)
from ephysfit.metrics.trains import cut, mean_defined

#: sweeps of one protocol are as long as one another up to this part
SAME_LENGTH = 0.05


@dataclass(frozen=True, eq=False)
class ComparedStep:
    """A step among the scored stimuli: repeats and runs, and what a straight line between training sweeps says.

    Attributes
    ----------
    scored : Scored
    step : Step
        In ms from the start of the scored stretch; it may begin before it.
    line : Answer
        NaN throughout where fewer than two training sweeps are known.
    trained : int
        Training sweeps of this protocol.
    """

    scored: Scored
    step: Step
    line: Answer
    trained: int

    def describe(self, train: Train) -> Answer:
        """The answer of one train; without a latency where the step begins before the scored stretch."""
        found = Answer.of(train, self.step)
        return found if self.step.begin >= 0 else replace(found, latency=np.nan)


def compare_steps(stimuli: Sequence[Scored], recorded: Recording, train: Recording | None) -> list[ComparedStep]:
    """Compare the steps among the stimuli with a line between those that trained; none where no step is found.

    Parameters
    ----------
    stimuli : sequence of Scored
        As `recorded.stimuli()`, cut to the scored window.
    recorded : Recording
    train : Recording or None
        Sweeps that the model was fitted to. Without them there is nothing to interpolate between.
    """
    played = [(one, s.sweeps[0]) for one, s in zip(stimuli, recorded.stimuli(), strict=True) if is_step(s.sweeps[0])]
    if not played:
        return []
    known = [s for s in (train.sweeps if train is not None else ()) if _is_same_protocol(s, played[0][1])]
    try:
        steps = find_steps([*(sweep for _, sweep in played), *known])
    except ScoreError:  # one amplitude alone
        return []
    mine, theirs = steps[: len(played)], steps[len(played) :]
    return [
        ComparedStep(one, _shift(step, -one.start), _interpolate(one, step, known, theirs), len(known))
        for (one, _), step in zip(played, mine, strict=True)
    ]


def _shift(step: Step, by: float) -> Step:
    return Step(step.amplitude, step.begin + by, step.end + by)


def compute_step_rows(stimuli: Sequence[Scored], recorded: Recording, train: Recording | None) -> list[Row]:
    """Lines of count and first spike of the steps among the stimuli (see `compare_steps`)."""
    found = compare_steps(stimuli, recorded, train)
    if not found:
        return []
    scored = [c.scored for c in found]
    # where a step begins before the scored stretch, its first spike may lie there too: then it has no latency
    timed = [c for c in found if c.step.begin >= 0]
    counts = [count_error(s.data, s.runs, s.duration) for s in scored]
    firsts = [latency_error(c.scored.data, c.scored.runs, c.scored.duration, begin=c.step.begin) for c in timed]
    count_line = [abs(c.line.count - float(np.mean([t.size for t in c.scored.data]))) for c in found]
    first_line = [
        abs(c.line.latency - mean_defined([find_latency(t, c.step.begin) for t in c.scored.data])) for c in timed
    ]
    note = f"{len(scored)} step{'s' * (len(scored) > 1)}"
    note += "; no model: a line between steps" if found[0].trained else ""
    return [
        _make_row("count_error", mean_defined(counts), mean_defined(count_line), scored, note),
        _make_row("latency_error", _take_median(firsts), _take_median(first_line), scored, note),
    ]


def _is_same_protocol(sweep: Sweep, like: Sweep) -> bool:
    return is_step(sweep) and abs(sweep.duration - like.duration) <= SAME_LENGTH * like.duration


def _interpolate(one: Scored, step: Step, train: Sequence[Sweep], steps: Sequence[Step]) -> Answer:
    """What a line between the training sweeps says of a step, in the stretch that is scored."""
    trains = cut([s.spike_times for s in train], one.start, one.stop) if train else []
    shifted = [_shift(s, -one.start) for s in steps]
    answers = [Answer.of(t, s) for t, s in zip(trains, shifted, strict=True)]
    return interpolate_answer(shifted, answers, step.amplitude)


def _take_median(values: Sequence[float]) -> float:
    known = [v for v in values if np.isfinite(v)]
    return float(np.median(known)) if known else float("nan")


def _make_row(metric: str, value: float, line: float, scored: Sequence[Scored], note: str) -> Row:
    nan = float("nan")
    return Row(metric, metric, value, nan, nan, METRICS[metric].best, *count_repeats_and_runs(scored), note, line)
