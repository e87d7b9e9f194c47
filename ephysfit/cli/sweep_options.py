"""Select training and test sweeps from the options of the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import typer

import ephysfit as ef
from ephysfit.data.recording import Recording
from ephysfit.data.sweep_selection import divide_sweeps
from ephysfit.errors import ScoreError, SelectionError
from ephysfit.fitting.recording_identity import matches_recording


def split_recording(recording: Recording, train: str | None, test: str | None) -> tuple[Recording, Recording]:
    """Split a recording into (train, test) as the options say; by default repeated stimuli are test sweeps.

    Raises
    ------
    typer.BadParameter
        If a sweep does not exist, or is in both parts.
    RecordingError
        If one part would be empty.
    """
    try:
        return divide_sweeps(recording, train, test)
    except SelectionError as error:
        raise typer.BadParameter(str(error), param_hint=f"--{error.side}" if error.side else None) from error


def select_unseen_sweeps(recording: Recording, fit: ef.Fit, train: str | None, test: str | None) -> Recording:
    """Select the sweeps that a saved fit has not used, as the options say or from its provenance.

    Raises
    ------
    ScoreError
        If the recording holds sweeps that may have trained the fit, and its provenance does not identify them.
    """
    if train is not None or test is not None:
        return split_recording(recording, train, test)[1]
    trained = set(_label_sweeps(fit.provenance.sweeps, fit.provenance.recording))
    if not trained & set(_label_sweeps([s.name for s in recording.sweeps], recording.source)):
        return recording
    split = fit.provenance.split
    fitted, held = split_recording(recording, split.get("train"), split.get("test"))
    if matches_recording(fit.provenance.data_sha256, fitted):
        return held
    raise ScoreError(
        f"{recording.source}: holds sweeps named as the training sweeps of this fit, but with other samples or "
        "spikes; select the test sweeps with --test SWEEPS"
    )


def select_commonly_unseen(
    recording: Recording, fits: Sequence[ef.Fit], train: str | None, test: str | None
) -> Recording:
    """Select the sweeps that none of the fits has used.

    Raises
    ------
    ScoreError
        If there is no such sweep.
    """
    unseen = [select_unseen_sweeps(recording, fit, train, test) for fit in fits]
    if len(unseen) == 1:
        return unseen[0]
    # a sweep of which a part trained is unseen in the rest: the same rest for all, or it is not compared
    parts = [{(s.name, s.valid, s.steps) for s in held.sweeps} for held in unseen]
    common = set.intersection(*parts)
    kept = [k for k, s in enumerate(unseen[0].sweeps) if (s.name, s.valid, s.steps) in common]
    if not kept:
        raise ScoreError(
            f"{recording.source}: holds no sweep that none of the {len(fits)} fits has used, so that nothing compares "
            "them; fit them with the same --test, or give a recording of further sweeps"
        )
    return unseen[0].select(indices=kept)


def find_training_sweeps(recording: Recording, held: Recording, fit: ef.Fit) -> Recording | None:
    """The sweeps of a recording beside those held out, if they are what the fit was fitted to; otherwise None."""
    names = {s.name for s in held.sweeps}
    chosen = [k for k, s in enumerate(recording.sweeps) if s.name not in names and s.name in fit.provenance.sweeps]
    if not chosen:
        return None
    found = recording.select(indices=chosen)
    return found if matches_recording(fit.provenance.data_sha256, found) else None


def select_training_sweeps(recording: Recording, fit: ef.Fit, train: str | None, test: str | None) -> Recording:
    """Select the sweeps that trained a saved fit, as the options say or from its provenance."""
    if train is None and test is None and matches_recording(fit.provenance.data_sha256, recording):
        return recording
    split = fit.provenance.split
    return split_recording(recording, train or split.get("train"), test or split.get("test"))[0]


def _label_sweeps(names: Iterable[str], source: str) -> list[str]:
    """Prefix names of sweeps with the name of their file, as in a recording joined from several files."""
    stem = source.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return [name if "/" in name else f"{stem}/{name}" for name in names]
