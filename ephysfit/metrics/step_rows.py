"""The lines of a score on current steps, beside a straight line between the neighbouring amplitudes that trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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


def compute_step_rows(stimuli: Sequence[Scored], recorded: Recording, train: Recording | None) -> list[Row]:
    """Lines of count and first spike of the steps among the stimuli; none where no step is found.

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
    scored = [one for one, _ in played]
    mine, theirs = steps[: len(played)], steps[len(played) :]
    # where a step begins before the scored stretch, its first spike may lie there too: then it has no latency
    begins = [step.begin - one.start for one, step in zip(scored, mine, strict=True)]
    lines = [_interpolate(one, step, known, theirs) for one, step in zip(scored, mine, strict=True)]
    counts = [count_error(s.data, s.runs, s.duration) for s in scored]
    firsts = [latency_error(s.data, s.runs, s.duration, begin=b) for s, b in zip(scored, begins, strict=True) if b >= 0]
    count_line = [abs(a.count - float(np.mean([t.size for t in s.data]))) for a, s in zip(lines, scored, strict=True)]
    first_line = [
        abs(a.latency - mean_defined([find_latency(t, b) for t in s.data]))
        for a, s, b in zip(lines, scored, begins, strict=True)
        if b >= 0
    ]
    note = f"{len(scored)} step{'s' * (len(scored) > 1)}" + ("; no model: a line between steps" if known else "")
    return [
        _make_row("count_error", mean_defined(counts), mean_defined(count_line), scored, note),
        _make_row("latency_error", _take_median(firsts), _take_median(first_line), scored, note),
    ]


def _is_same_protocol(sweep: Sweep, like: Sweep) -> bool:
    return is_step(sweep) and abs(sweep.duration - like.duration) <= SAME_LENGTH * like.duration


def _interpolate(one: Scored, step: Step, train: Sequence[Sweep], steps: Sequence[Step]) -> Answer:
    """What a line between the training sweeps says of a step, in the stretch that is scored."""
    trains = cut([s.spike_times for s in train], one.start, one.stop) if train else []
    shifted = [Step(s.amplitude, s.begin - one.start, s.end - one.start) for s in steps]
    answers = [Answer.of(t, s) for t, s in zip(trains, shifted, strict=True)]
    return interpolate_answer(shifted, answers, step.amplitude)


def _take_median(values: Sequence[float]) -> float:
    known = [v for v in values if np.isfinite(v)]
    return float(np.median(known)) if known else float("nan")


def _make_row(metric: str, value: float, line: float, scored: Sequence[Scored], note: str) -> Row:
    nan = float("nan")
    return Row(metric, metric, value, nan, nan, METRICS[metric].best, *count_repeats_and_runs(scored), note, line)
