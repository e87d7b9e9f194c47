"""Which sweeps train and which test, from what a user writes on the command line."""

from __future__ import annotations

from collections.abc import Iterable

import typer

import ephysfit as ef
from ephysfit.data.recording import Recording
from ephysfit.data.sweep_selection import divide_sweeps
from ephysfit.errors import ScoreError, SelectionError
from ephysfit.fitting.recording_identity import is_of


def parts(recording: Recording, train: str | None, test: str | None) -> tuple[Recording, Recording]:
    """(train, test) as asked; without a word, repeated stimuli test.

    Raises
    ------
    typer.BadParameter
        If a sweep does not exist, or one is on both sides.
    RecordingError
        If one side would be empty.
    """
    try:
        return divide_sweeps(recording, train, test)
    except SelectionError as error:
        raise typer.BadParameter(str(error), param_hint=f"--{error.side}" if error.side else None) from error


def unseen(recording: Recording, fit: ef.Fit, train: str | None, test: str | None) -> Recording:
    """What of a recording a saved fit has not seen: as asked, or all that it was not trained on.

    Raises
    ------
    ScoreError
        If the recording holds sweeps that may have trained the fit and nothing says which.
    """
    if train is not None or test is not None:
        return parts(recording, train, test)[1]
    trained = set(_labels(fit.provenance.sweeps, fit.provenance.recording))
    if not trained & set(_labels([s.name for s in recording.sweeps], recording.source)):
        return recording
    asked = fit.provenance.split
    fitted, held = parts(recording, asked.get("train"), asked.get("test"))
    if is_of(fit.provenance.data_sha256, fitted):
        return held
    raise ScoreError(
        f"{recording.source}: holds sweeps that go by the names of those the fit was trained on, with other samples or "
        "spikes; say which to use, as --test SWEEPS"
    )


def trained(recording: Recording, fit: ef.Fit, train: str | None, test: str | None) -> Recording:
    """What of a recording a saved fit was trained on: as asked, or as the fit split it; all of it where that is it."""
    if train is None and test is None and is_of(fit.provenance.data_sha256, recording):
        return recording
    asked = fit.provenance.split
    return parts(recording, train or asked.get("train"), test or asked.get("test"))[0]


def _labels(names: Iterable[str], source: str) -> list[str]:
    """Sweeps named after their file too, as they are where several files are joined."""
    stem = source.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return [name if "/" in name else f"{stem}/{name}" for name in names]
