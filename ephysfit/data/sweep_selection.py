"""Selection of training and test sweeps by a text: one grammar for the command line, manifests and saved fits.

A text names sweeps by words between commas. A word is the name of a sweep, a position (``3``) or a range of positions
(``3-7``), the name of a file that was joined, a stimulus, or a pattern (``noise*``); the first reading that names any
sweep counts. As a test it may also be ``repeats``, or a part of each sweep (``0.2``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from ephysfit.data.recording import Recording
from ephysfit.errors import SelectionError, near


def divide_sweeps(
    recording: Recording, train: str | None = None, test: str | None = None
) -> tuple[Recording, Recording]:
    """Divide a recording into training and test sweeps, as two texts name them.

    Parameters
    ----------
    recording
        The recording to divide.
    train
        Training sweeps; all others if only `test` is given.
    test
        Test sweeps, a part of each sweep, or ``"repeats"``; all others if only `train` is given. With neither, repeated
        stimuli form the test (`Recording.split`).

    Returns
    -------
    train, test : Recording
        The two parts.

    Raises
    ------
    SelectionError
        If a word names no sweep, a sweep is on both sides, or a side is empty.

    Examples
    --------
    >>> import numpy as np
    >>> cell = Recording.of(np.random.default_rng(0).normal(0, 50, (6, 500)), 0.1, spike_times=[[20.0]] * 6)
    >>> [len(side) for side in divide_sweeps(cell, train="0-3")]
    [4, 2]
    """
    test = None if test == "repeats" else test
    part = parse_part(test)
    if train is None:
        if test is None or part is not None:
            return recording.split() if part is None else recording.split(part)
        held = find_sweeps(recording, test, "test")
        return _check_sides(recording, [k for k in range(len(recording)) if k not in held], held)
    fitted = find_sweeps(recording, train, "train")
    if part is not None:
        raise SelectionError(f"{test}: a part of each sweep does not go with sweeps to train; name sweeps", "test")
    held = (
        [k for k in range(len(recording)) if k not in fitted] if test is None else find_sweeps(recording, test, "test")
    )
    return _check_sides(recording, fitted, held)


def find_sweeps(recording: Recording, text: str, side: str = "") -> list[int]:
    """Find the positions of the sweeps that a text names, in order.

    Parameters
    ----------
    recording
        The recording with the sweeps.
    text
        Words between commas.
    side
        ``"train"`` or ``"test"``, for the error message.

    Raises
    ------
    SelectionError
        If a word names no sweep, or there is no word.

    Examples
    --------
    >>> import numpy as np
    >>> find_sweeps(Recording.of(np.ones((6, 500)), 0.1, spike_times=[[20.0]] * 6), "0, 3-4")
    [0, 3, 4]
    """
    chosen: set[int] = set()
    for word in filter(None, (w.strip() for w in text.split(","))):
        found = _find_word(recording, word)
        if not found and any(r.name == word for r in recording.rejected):
            continue  # named, and left out by a rule that says so
        if not found:
            raise SelectionError(f"no sweep {word!r}; {near(word, [s.name for s in recording.sweeps])}", side)
        chosen.update(found)
    if not chosen:
        raise SelectionError(f"{text!r} names no sweep", side)
    return sorted(chosen)


def _check_sides(recording: Recording, train: list[int], test: list[int]) -> tuple[Recording, Recording]:
    both = sorted(set(train) & set(test))
    if both:
        raise SelectionError(f"sweep {recording[both[0]].name!r} would train and test; take it out of one of them")
    for side, chosen in (("train", train), ("test", test)):
        if not chosen:
            raise SelectionError(f"no sweep is left to {side}; the recording has {len(recording)}", side)
    return recording.select(indices=train), recording.select(indices=test)


def parse_part(text: str | None) -> float | None:
    """Parse a part of each sweep: a number with a decimal point, so that 1 is a position and 0.2 a part."""
    return float(text) if text and re.fullmatch(r"0?\.\d+", text.strip()) else None


def _find_word(recording: Recording, word: str) -> list[int]:
    """Find the positions that one word names, by its first interpretation that names any."""
    stem = word.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    readings: tuple[Callable[[int, Any], bool], ...] = (
        lambda k, s: s.name == word,
        lambda k, s: k in _parse_range(word),
        lambda k, s: "/" in s.name and s.name.split("/")[0] in (word, stem),
        lambda k, s: s.stimulus == word,
        lambda k, s: fnmatchcase(s.name, word) or fnmatchcase(s.stimulus, word),
    )
    for reading in readings:
        found = [k for k, sweep in enumerate(recording.sweeps) if reading(k, sweep)]
        if found:
            return found
    return []


def _parse_range(word: str) -> range:
    """Parse ``3`` or ``3-7`` to positions."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
    return range(int(match[1]), int(match[2] or match[1]) + 1) if match else range(0)
