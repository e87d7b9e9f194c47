"""Which sweeps of a file will train and which will test, so that rules never judge a training sweep by a test sweep.

Some rules need several sweeps to see anything: a leak in sweeps of a few spikes each, the pulse that all sweeps begin
with. If they pooled what trains with what tests, an artefact in the test would decide what a model is fitted to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ephysfit.data.recording import Recording
from ephysfit.data.split import split_sweeps
from ephysfit.data.sweep import Sweep
from ephysfit.data.sweep_selection import divide_sweeps, find_sweeps, parse_part
from ephysfit.errors import RecordingError, SelectionError


@dataclass(frozen=True)
class Sides:
    """Positions of the sweeps that train and that test, and the part of each sweep that trains.

    Attributes
    ----------
    train, test : tuple of int
    fraction : float
        1 where whole sweeps test; less where the end of each sweep does, and every sweep trains.
    """

    train: tuple[int, ...]
    test: tuple[int, ...] = ()
    fraction: float = 1.0

    @property
    def both(self) -> tuple[tuple[int, ...], ...]:
        """The sides that hold sweeps."""
        return tuple(filter(None, (self.train, self.test)))


def find_sides(recording: Recording, train: str | None = None, test: str | None = None) -> Sides:
    """Find the side of every sweep, as the texts name them or, with neither, as `Recording.split` divides.

    Parameters
    ----------
    recording
        The sweeps of one file. Words that name no sweep of it may name sweeps of another file of the cell.
    train, test
        As `divide_sweeps` takes them.

    Examples
    --------
    >>> import numpy as np
    >>> cell = Recording.of(np.random.default_rng(0).normal(0, 50, (6, 500)), 0.1, spike_times=[[20.0]] * 6)
    >>> find_sides(cell, test="0, 4-5").train, find_sides(cell, test="0.2").fraction
    ((1, 2, 3), 0.8)
    """
    every = tuple(range(len(recording)))
    part = None if test is None else parse_part(test)
    if part is not None:
        return Sides(every, fraction=1 - part)
    if train is None and test in (None, "repeats"):
        return _find_default_sides(recording.sweeps)
    try:
        fitted, _ = divide_sweeps(recording, train, test)
    except RecordingError:
        named = {side: _find_named(recording, text) for side, text in (("train", train), ("test", test))}
        if test is not None:
            return Sides(tuple(k for k in every if k not in named["test"]), tuple(sorted(named["test"])))
        return Sides(tuple(sorted(named["train"])), tuple(k for k in every if k not in named["train"]))
    place = {id(s): k for k, s in enumerate(recording.sweeps)}
    trained = tuple(place[id(s)] for s in fitted.sweeps)
    return Sides(trained, tuple(k for k in every if k not in trained))


def _find_default_sides(sweeps: Sequence[Sweep]) -> Sides:
    if not sweeps:
        return Sides(())
    place = {id(s): k for k, s in enumerate(sweeps)}
    fitted, _ = split_sweeps(sweeps)
    if all(id(s) in place for s in fitted):
        trained = tuple(place[id(s)] for s in fitted)
        return Sides(trained, tuple(k for k in range(len(sweeps)) if k not in trained))
    whole, left = (sum(s.duration for s in of) for of in (sweeps, fitted))
    return Sides(tuple(range(len(sweeps))), fraction=left / whole)


def _find_named(recording: Recording, text: str | None) -> set[int]:
    """Find the positions that words name, of this file: by its name, or by that of a sweep with or without it."""
    stem = recording.source.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    out: set[int] = set()
    for word in filter(None, (w.strip() for w in (text or "").split(","))):
        file, _, name = word.rpartition("/")
        if word.rsplit("/", 1)[-1].rsplit(".", 1)[0] == stem:
            out.update(range(len(recording)))
        elif file in ("", stem):
            try:
                out.update(find_sweeps(recording, name))
            except SelectionError:
                continue
    return out


def cut_to_training_part(sweeps: Sequence[Sweep], sides: Sides) -> list[Sweep]:
    """The sweeps as far as they train."""
    if sides.fraction == 1:
        return list(sweeps)
    stops = [round(s.steps * sides.fraction) * s.dt for s in sweeps]
    usable = [
        not s.valid or any(a < stop - s.dt / 2 for a, _ in s.valid) for s, stop in zip(sweeps, stops, strict=True)
    ]
    return [s.cut(0.0, stop) if fine else s for s, stop, fine in zip(sweeps, stops, usable, strict=True)]
