"""What is scored: recorded repeats and model runs of each stimulus, matched and cut to one window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ephysfit.arrays import Train
from ephysfit.data.holding_current import find_holding_current, find_unsettled_time
from ephysfit.errors import ScoreError
from ephysfit.metrics.trains import checked, checked_duration, cut

#: a repeat that ends before this part of the longest one is left out rather than shorten the scored stretch
COVER = 0.9
#: ms; rounding of sweep ends
SLACK = 1e-6


@dataclass(frozen=True, eq=False)
class Presented:
    """One stimulus as recorded: its repeats and which stretch of each may be used, ms."""

    name: str
    trains: tuple[Train, ...]
    usable: tuple[tuple[tuple[float, float], ...], ...]
    held: bool = False  #: the current begins at a steady level, so that a model can begin where the cell did


@dataclass(frozen=True, eq=False)
class Scored:
    """One stimulus on its scored window [start, stop): times count from start."""

    name: str
    data: list[Train]
    runs: list[Train]
    start: float
    stop: float

    @property
    def duration(self) -> float:
        """Length of the scored stretch in ms."""
        return self.stop - self.start


def _holds_trains(item: Any) -> bool:
    """Whether an item is itself a list of trains rather than a train."""
    try:
        return np.ndim(item) > 1
    except ValueError:  # ragged, so a list of trains of different lengths
        return True


def nested(trains: Any, name: str) -> list[list[Train]]:
    """[stimulus][train] from trains of one stimulus or of several.

    Examples
    --------
    >>> len(nested([[1.0, 2.0], []], "data")), len(nested([[[1.0], [2.0]], [[3.0]]], "data"))
    (1, 2)
    """
    outer = list(trains) if np.iterable(trains) and not isinstance(trains, str) else [trains]
    if not outer:
        raise ScoreError(f"{name} holds no trains; give at least one, [[]] when the neuron stayed silent")
    groups = outer if any(_holds_trains(item) for item in outer) else [outer]
    return [checked(group, f"{name}[{k}]" if len(groups) > 1 else name) for k, group in enumerate(groups)]


def _of_sweeps(stimulus: Any, index: int) -> Presented:
    sweeps = stimulus.sweeps
    usable = tuple(tuple(s.valid) or ((0.0, s.duration),) for s in sweeps)
    trains = checked([s.spike_times for s in sweeps], f"recorded[{index}]")
    held = all(find_holding_current(s.current, s.dt) is not None for s in sweeps)
    return Presented(stimulus.name or f"stimulus {index + 1}", tuple(trains), usable, held)


def presented(recorded: Any, duration: float | Sequence[float] | None) -> list[Presented]:
    """The stimuli of a Recording, or of trains with their duration."""
    if getattr(recorded, "planned", ()):
        raise ScoreError(f"sweep {recorded.planned[0]!r} is a planned current: nobody has recorded it, score others")
    if hasattr(recorded, "stimuli"):
        return [_of_sweeps(s, k) for k, s in enumerate(recorded.stimuli())]
    groups = nested(recorded, "recorded")
    if duration is None:
        raise ScoreError("recorded trains come without their length; give duration= in ms (a Recording knows its own)")
    lengths = [float(d) for d in np.broadcast_to(np.asarray(duration, dtype=float), len(groups))]
    return [
        Presented(f"stimulus {k + 1}", tuple(trains), (((0.0, checked_duration(length)),),) * len(trains))
        for k, (trains, length) in enumerate(zip(groups, lengths, strict=True))
    ]


def window_of(stimulus: Presented, start: float | None, stop: float | None) -> tuple[float, float]:
    """The scored window: what was asked for, otherwise all but the beginning, up to where nearly all repeats last."""
    ends = [intervals[-1][1] for intervals in stimulus.usable]
    longest = max(ends)
    last = min(e for e in ends if e >= COVER * longest) if stop is None else float(stop)
    if last > longest + SLACK:
        raise ScoreError(f"{stimulus.name}: stop = {last:g} ms, but the sweep ends at {longest:g} ms")
    first = find_unsettled_time(longest, stimulus.held) if start is None else float(start)
    if not (first >= 0 and last > first):
        raise ScoreError(f"{stimulus.name}: window [{first:g}, {last:g}) ms is empty or starts before 0")
    return first, last


def match(
    runs: Sequence[list[Train]], stimuli: Sequence[Presented], start: float | None, stop: float | None
) -> tuple[list[Scored], list[str]]:
    """Pair runs with repeats, stimulus by stimulus; repeats that do not cover the window are left out and named."""
    if len(runs) != len(stimuli):
        raise ScoreError(
            f"simulated holds {len(runs)} stimuli, recorded {len(stimuli)}; "
            "simulate the recording that is scored, one entry per recording.stimuli()"
        )
    scored, notes = [], []
    for trains, stimulus in zip(runs, stimuli, strict=True):
        first, last = window_of(stimulus, start, stop)
        whole = [any(a <= first + SLACK and b >= last - SLACK for a, b in u) for u in stimulus.usable]
        kept = [t for t, good in zip(stimulus.trains, whole, strict=True) if good]
        if not kept:
            raise ScoreError(
                f"{stimulus.name}: no repeat is valid throughout [{first:g}, {last:g}) ms; choose start, stop"
            )
        if len(kept) < len(whole):
            notes.append(
                f"{stimulus.name}: {len(whole) - len(kept)} of {len(whole)} repeats do not cover the window, left out"
            )
        scored.append(Scored(stimulus.name, cut(kept, first, last), cut(trains, first, last), first, last))
    return scored, notes
