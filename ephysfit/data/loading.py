"""Loading: any file of a cell in, one `Recording` out."""

from __future__ import annotations

import inspect as _inspect
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from os import PathLike
from pathlib import Path
from typing import Any

from ephysfit.data.building import Choice
from ephysfit.data.info import Report
from ephysfit.data.recording import Recording, join
from ephysfit.data.sanity import checked
from ephysfit.errors import RecordingError, near

Source = str | PathLike[str]

#: built-in readers, asked in this order
READERS = ("nwb2", "allen_nwb1", "abf", "neo", "table")
#: what parsers raise on damaged files; turned into a RecordingError that names the file
DAMAGE = (
    OSError, KeyError, IndexError, ValueError, TypeError, RuntimeError, AttributeError, AssertionError, EOFError,
    ArithmeticError, MemoryError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
HOW = ("auto", "detect", "given")


@dataclass(frozen=True)
class Reader:
    """One file format.

    Parameters
    ----------
    name
        Of the format.
    recognises
        Whether a file is of this format, by its content.
    read
        ``read(path, *, choice=None, **options) -> Recording``.
    """

    name: str
    recognises: Callable[[Path], bool]
    read: Callable[..., Recording]


def readers() -> list[Reader]:
    """Readers of other packages (entry points of the group ``ephysfit.readers``: modules or objects with `NAME`,
    `recognises` and `read`), then the built-in ones."""
    found = [entry.load() for entry in entry_points(group="ephysfit.readers")]
    found += [import_module(f"ephysfit.data.readers.{name}") for name in READERS]
    return [Reader(getattr(item, "NAME", item.__name__), item.recognises, item.read) for item in found]


def load(
    path: Source | Sequence[Source],
    *,
    spikes: str | Mapping[str, Any] = "auto",
    sweeps: Sequence[str | int] | str | int | None = None,
    stimulus: str | None = None,
    **reader_options: Any,
) -> Recording:
    """Load the recording of one cell.

    Parameters
    ----------
    path
        One file, or several of the same cell (for example training and test). The format is told by content.
    spikes
        ``"auto"``: spike times of the file where it has them, else detected in the voltage.
        ``"detect"``: always detected. ``"given"``: only those of the file. A mapping: detected, with these
        options of `detect_spikes`.
    sweeps, stimulus
        Only sweeps with these names or positions (counted from 0), or with this text in the stimulus name.
    **reader_options
        Options of the reader of this format, for example ``electrode=`` (NWB 2) or ``columns=`` (tables).

    Returns
    -------
    Recording
        With what could not be used, and why, in `rejected`.

    Raises
    ------
    RecordingError
        If a file cannot be read or holds no usable sweep.
    StimulusError
        If the injected current is missing or cannot be rebuilt.

    Examples
    --------
    >>> recording = load("data/DRN164.nwb")  # doctest: +SKIP
    >>> train, test = recording.split()  # doctest: +SKIP
    """
    choice = Choice(None if sweeps is None else (sweeps,) if isinstance(sweeps, str | int) else tuple(sweeps), stimulus)
    if isinstance(spikes, str) and spikes not in HOW:
        raise RecordingError(f"spikes={spikes!r}; {near(spikes, HOW)}")
    found = [read(Path(one), choice, reader_options) for one in _paths(path)]
    return join([checked(_with_spikes(recording, spikes)) for recording in found])


def _paths(path: Source | Sequence[Source]) -> list[Source]:
    paths = [path] if isinstance(path, str | PathLike) else list(path)
    if not paths or not all(isinstance(one, str | PathLike) for one in paths):
        raise RecordingError(f"load({path!r}): give the path of a file, or a list of paths of one cell")
    return paths


def info(path: Source | Sequence[Source], **options: Any) -> Report:
    """What a file holds, what of it is usable, and why the rest is not.

    Parameters
    ----------
    path
        As for `load`.
    **options
        Of `load`.

    Returns
    -------
    Report
        Also for a file of a known format of which nothing is usable: `problem` says why.

    Raises
    ------
    RecordingError
        If there is no such file, or no reader knows its format.
    """
    paths = _paths(path)
    for one in paths:
        _reader(Path(one))
    try:
        return Report.of(load(paths, **options))
    except RecordingError as error:
        source = ", ".join(Path(one).name for one in paths)
        return Report(source, rejected=getattr(error, "rejected", ()), problem=str(error))


def read(path: Path, choice: Choice | None = None, options: Mapping[str, Any] | None = None) -> Recording:
    """One file as its reader sees it, spikes not detected yet."""
    reader = _reader(path)
    chosen = _known(reader, dict(options or {}))
    try:
        return reader.read(path, choice=choice or Choice(), **chosen)
    except RecordingError as error:
        error.args = (f"{path.name} ({reader.name}): {error}",) if path.name not in str(error) else error.args
        raise
    except DAMAGE as error:
        raise RecordingError(
            f"{path.name} ({reader.name}): damaged or not as its format says ({_brief(error)})"
        ) from error


def _reader(path: Path) -> Reader:
    """The first reader that recognises the file."""
    if not path.exists():
        raise RecordingError(f"{path}: no such file")
    if not path.is_file():
        raise RecordingError(f"{path}: a folder or device, not a file; give the files of one cell")
    if path.stat().st_size == 0:
        raise RecordingError(f"{path.name}: the file is empty")
    known = readers()
    for reader in known:
        if _asked(reader, path):
            return reader
    raise RecordingError(
        f"{path.name}: no reader knows this format; known: {', '.join(reader.name for reader in known)}"
    )


def _asked(reader: Reader, path: Path) -> bool:
    try:
        return reader.recognises(path)
    except PermissionError:
        raise RecordingError(f"{path.name}: no permission to read it") from None
    except DAMAGE as error:
        raise RecordingError(f"{path.name}: looks like {reader.name} and cannot be opened ({_brief(error)})") from error


def _known(reader: Reader, options: dict[str, Any]) -> dict[str, Any]:
    accepted = set(_inspect.signature(reader.read).parameters) - {"path", "choice"}
    for name in options:
        if name not in accepted:
            raise RecordingError(f"the reader of {reader.name} takes no option {name!r}; {near(name, accepted)}")
    return options


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else 'no message'}"


def _with_spikes(recording: Recording, spikes: str | Mapping[str, Any]) -> Recording:
    if not isinstance(spikes, str):
        return recording.with_spikes(**spikes)
    if spikes == "detect":
        return recording.with_spikes()
    missing = [sweep for sweep in recording.sweeps if sweep.spike_source == "none"]
    if not missing:
        return recording
    if spikes == "given":
        raise RecordingError(
            f"{recording.source}: sweep {missing[0].name!r} has no spike times in the file; give spikes='detect'"
        )
    return recording.with_spikes(only="none")
