"""Which sweeps train and which test, from what a user writes on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import typer

from ephysfit.cli.arguments import hint
from ephysfit.errors import ScoreError

if TYPE_CHECKING:
    from ephysfit.data.recording import Recording
    from ephysfit.fitting.fit import Fit


def parts(recording: Recording, train: str | None, test: str | None) -> tuple[Recording, Recording]:
    """(train, test) as asked; without a word, repeated stimuli test.

    Raises
    ------
    typer.BadParameter
        If a sweep does not exist, or one is on both sides.
    RecordingError
        If one side would be empty.
    """
    if train is None:
        return _by_test(recording, test)
    fitted = pick(recording, train, "--train")
    if test is None:
        rest = [k for k in range(len(recording)) if k not in fitted]
        return _sides(recording, fitted, rest)
    if _fraction(test) is not None:
        raise typer.BadParameter(
            f"{test}: a part of each sweep does not go with --train; name sweeps", param_hint="--test"
        )
    return _sides(recording, fitted, pick(recording, test, "--test"))


def _by_test(recording: Recording, test: str | None) -> tuple[Recording, Recording]:
    if test is None or test == "repeats":
        return recording.split()
    fraction = _fraction(test)
    if fraction is not None:
        return recording.split(fraction)
    held = pick(recording, test, "--test")
    return _sides(recording, [k for k in range(len(recording)) if k not in held], held)


def _sides(recording: Recording, train: list[int], test: list[int]) -> tuple[Recording, Recording]:
    both = sorted(set(train) & set(test))
    if both:
        raise typer.BadParameter(f"sweep {recording[both[0]].name!r} would train and test; take it out of one of them")
    for side, chosen in (("--train", train), ("--test", test)):
        if not chosen:
            raise typer.BadParameter(
                f"no sweep is left for {side}; the recording has {len(recording)}", param_hint=side
            )
    return recording.select(indices=train), recording.select(indices=test)


def _fraction(text: str) -> float | None:
    """A part of each sweep: a number with a point, so that 1 is a position and 0.2 a part."""
    return float(text) if re.fullmatch(r"0?\.\d+", text) else None


def pick(recording: Recording, text: str, option: str) -> list[int]:
    """Positions of the sweeps that a text with commas names: names, positions, ranges, patterns, file names."""
    chosen: dict[int, None] = {}
    for word in filter(None, (w.strip() for w in text.split(","))):
        found = _named(recording, word)
        if not found:
            known = [sweep.name for sweep in recording.sweeps]
            raise typer.BadParameter(f"no sweep {word!r}; {hint(word, known)}", param_hint=option)
        chosen.update(dict.fromkeys(found))
    if not chosen:
        raise typer.BadParameter("names no sweep", param_hint=option)
    return sorted(chosen)


def _named(recording: Recording, word: str) -> list[int]:
    """Positions that one word names, by the first reading of it that names any."""
    readings: tuple[Callable[[int, Any], bool], ...] = (
        lambda k, s: s.name == word,
        lambda k, s: k in _range(word),
        lambda k, s: "/" in s.name and s.name.split("/")[0] in (word, word.rsplit("/", 1)[-1].rsplit(".", 1)[0]),
        lambda k, s: s.stimulus == word,
        lambda k, s: fnmatchcase(s.name, word) or fnmatchcase(s.stimulus, word),
    )
    for reading in readings:
        found = [k for k, sweep in enumerate(recording.sweeps) if reading(k, sweep)]
        if found:
            return found
    return []


def _range(word: str) -> range:
    """Positions of ``3`` or ``3-7``."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
    return range(int(match[1]), int(match[2] or match[1]) + 1) if match else range(0)


def unseen(recording: Recording, fit: Fit, train: str | None, test: str | None) -> Recording:
    """What of a recording a saved fit has not seen: as asked, or all that it was not trained on.

    Raises
    ------
    ScoreError
        If the recording holds sweeps that may have trained the fit and nothing says which.
    """
    from ephysfit.fitting.identity import is_of

    if train is not None or test is not None:
        return parts(recording, train, test)[1]
    trained = set(_labels(fit.provenance.get("sweeps", ()), str(fit.provenance.get("recording", ""))))
    if not trained & set(_labels([s.name for s in recording.sweeps], recording.source)):
        return recording
    asked = fit.provenance.get("split", {})
    fitted, held = parts(recording, asked.get("train"), asked.get("test"))
    if is_of(fit.provenance, fitted):
        return held
    raise ScoreError(
        f"{recording.source}: holds sweeps that go by the names of those the fit was trained on, with other samples or "
        "spikes; say which to use, as --test SWEEPS"
    )


def trained(recording: Recording, fit: Fit, train: str | None, test: str | None) -> Recording:
    """What of a recording a saved fit was trained on: as asked, or as the fit split it; all of it where that is it."""
    from ephysfit.fitting.identity import is_of

    if train is None and test is None and is_of(fit.provenance, recording):
        return recording
    asked = fit.provenance.get("split", {})
    return parts(recording, train or asked.get("train"), test or asked.get("test"))[0]


def _labels(names: Iterable[str], source: str) -> list[str]:
    """Sweeps named after their file too, as they are where several files are joined."""
    stem = source.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return [name if "/" in name else f"{stem}/{name}" for name in names]
