"""Training and test parts of the sweeps of one recording, with no sample in both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ephysfit.data.repeats import Stimulus, group_repeats
from ephysfit.data.sweep import Sweep
from ephysfit.errors import RecordingError

#: repeats that make a stimulus a test stimulus: fewer give no usable reliability
REPEATS = 3
#: part of the recording that tests when nothing is repeated
HELD_OUT = 0.2
#: from this many sweeps or stimuli on, whole ones are held out instead of the end of each
WHOLE = 5

Item = TypeVar("Item")


def split_sweeps(
    sweeps: Sequence[Sweep], test: str | float | Sequence[Sweep] = "repeats"
) -> tuple[list[Sweep], list[Sweep]]:
    """Split sweeps into training and test sweeps, either of which may be none.

    Parameters
    ----------
    sweeps
        Sweeps of one recording.
    test
        ``"repeats"``, the last fraction of each sweep to hold out, or the sweeps to hold out; see `Recording.split`.

    Raises
    ------
    RecordingError
        If `test` is none of these.
    """
    if isinstance(test, bool):
        raise RecordingError(f"split(test={test}): give 'repeats', a number between 0 and 1, or names of sweeps")
    if isinstance(test, int | float | np.floating):
        return _split_by_time(sweeps, float(test))
    if not isinstance(test, str):
        return _separate(sweeps, test)
    if test != "repeats":
        raise RecordingError(
            f"split(test={test!r}): known is 'repeats'; else a number between 0 and 1, or a list of names"
        )
    return _split_by_repeats(sweeps)


def _split_by_repeats(sweeps: Sequence[Sweep]) -> tuple[list[Sweep], list[Sweep]]:
    held, _ = _plan_split(sweeps)
    if held is None:
        return _split_by_time(sweeps, HELD_OUT)
    return _separate(sweeps, [sweep for stimulus in held for sweep in stimulus.sweeps])


def explain_split(sweeps: Sequence[Sweep]) -> str:
    """Explain in a sentence how `split_sweeps` divides these sweeps by default."""
    return _plan_split(sweeps)[1]


def _plan_split(sweeps: Sequence[Sweep]) -> tuple[list[Stimulus] | None, str]:
    """Choose the stimuli to hold out, None for the last part of each sweep; also the reason, in a sentence."""
    stimuli = list(group_repeats(sweeps))
    repeated = [stimulus for stimulus in stimuli if stimulus.repeats >= REPEATS]
    if repeated and len(repeated) < len(stimuli):
        return repeated, (
            f"currents that are repeated at least {REPEATS} times form the test: they show the cell's own reliability"
        )
    found = f"every current occurs {REPEATS} times" if repeated else f"no current occurs {REPEATS} times"
    if len(stimuli) < WHOLE:
        return None, f"{found}, and there are fewer than {WHOLE}: the last fifth of each sweep is the test"
    return _hold_out_evenly(stimuli), f"{found}: a fifth of them, spread over the recording, is the test"


def _hold_out_evenly(items: list[Item]) -> list[Item]:
    """Take a fifth of the items, evenly and never only from one end."""
    return items[2 :: round(1 / HELD_OUT)]


def _split_by_time(sweeps: Sequence[Sweep], fraction: float) -> tuple[list[Sweep], list[Sweep]]:
    if not 0 < fraction < 1:
        raise RecordingError(
            f"split(test={fraction}): the fraction of each sweep held out as a test lies between 0 and 1"
        )
    cuts = [round(sweep.steps * (1 - fraction)) * sweep.dt for sweep in sweeps]
    sides = zip(*(_split_in_two(s, c) for s, c in zip(sweeps, cuts, strict=True)), strict=True)
    train, test = ([sweep for sweep in side if sweep is not None] for side in sides)
    return train, test


def _split_in_two(sweep: Sweep, cut: float) -> tuple[Sweep | None, Sweep | None]:
    return _cut_part(sweep, 0.0, cut), _cut_part(sweep, cut, sweep.duration)


def _cut_part(sweep: Sweep, start: float, stop: float) -> Sweep | None:
    """Cut out a part of a sweep; None if nothing valid lies in it."""
    usable = not sweep.valid or any(a < stop - sweep.dt / 2 and b > start + sweep.dt / 2 for a, b in sweep.valid)
    return sweep.cut(start, stop) if usable and stop - start > sweep.dt / 2 else None


def _separate(sweeps: Sequence[Sweep], test: Sequence[Sweep]) -> tuple[list[Sweep], list[Sweep]]:
    held = {id(sweep) for sweep in test}
    return [sweep for sweep in sweeps if id(sweep) not in held], list(test)
