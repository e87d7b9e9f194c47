"""File formats: finding the reader that recognises a file by its content, and reading one file with it."""

from __future__ import annotations

import inspect
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from ephysfit.data.assemble import Choice
from ephysfit.data.header import Header
from ephysfit.data.recording import Recording
from ephysfit.data.remote import Remote
from ephysfit.data.source import File, Source, as_file
from ephysfit.errors import RecordingError, near

#: built-in readers, in the order in which they are tried
READERS = ("nwb2", "allen_nwb1", "abf", "heka", "igor", "neo", "refused", "table")
#: the reader that names formats which are not read
REFUSED = "a format that is not read"
#: readers that read only what they need, so that a file may stay on its server
REMOTE = ("NWB 2", "Allen NWB 1")
#: errors that parsers raise on damaged files; they become a RecordingError that names the file
DAMAGE = (
    OSError, KeyError, IndexError, ValueError, TypeError, RuntimeError, AttributeError, AssertionError, EOFError,
    ArithmeticError, MemoryError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


Result = TypeVar("Result")


@dataclass(frozen=True)
class Reader:
    """One file format.

    Parameters
    ----------
    name
        Name of the format.
    recognises
        Whether a file is of this format, by its content.
    read
        ``read(path, *, choice=None, **options) -> Recording``.
    contents
        ``contents(path) -> headers`` without reading samples; None if the format does not allow it.
    """

    name: str
    recognises: Callable[[Any], bool]
    read: Callable[..., Recording]
    contents: Callable[[Any], tuple[Header, ...]] | None = None

    @property
    def options(self) -> set[str]:
        """Names of the options that `read` takes."""
        return set(inspect.signature(self.read).parameters) - {"path", "choice"}


def list_readers() -> list[Reader]:
    """List the readers of other packages, then the built-in ones.

    Those of other packages are entry points of the group ``ephysfit.readers``: modules or objects with `NAME`,
    `recognises` and `read`.
    """
    found = [_load_entry_point(entry) for entry in entry_points(group="ephysfit.readers")]
    found += [import_module(f"ephysfit.data.readers.{name}") for name in READERS]
    return [
        Reader(getattr(item, "NAME", item.__name__), item.recognises, item.read, getattr(item, "contents", None))
        for item in found
    ]


def _load_entry_point(entry: Any) -> Any:
    """Load a reader of another package; a broken one is an error, because it would look like an unknown format."""
    try:
        item = entry.load()
    except (ImportError, AttributeError, SyntaxError) as error:
        raise RecordingError(f"the reader {entry.name!r} ({entry.value}) cannot be imported: {error}") from error
    missing = [name for name in ("recognises", "read") if not callable(getattr(item, name, None))]
    if missing:
        raise RecordingError(f"the reader {entry.name!r} ({entry.value}) has no function {' and no '.join(missing)}")
    return item


def find_reader(file: File) -> Reader:
    """Find the first reader that recognises a file.

    Raises
    ------
    RecordingError
        If none does, or it cannot be opened.
    """
    known = list_readers()
    if isinstance(file, Remote):
        known = [reader for reader in known if reader.name in REMOTE]
    for reader in known:
        if _recognises(reader, file):
            return reader
    if isinstance(file, Remote):
        raise RecordingError(f"{file}: over the network only NWB is read; download the file")
    raise RecordingError(
        f"{file.name}: no reader knows this format; known: {', '.join(r.name for r in known if r.name != REFUSED)}"
    )


def _recognises(reader: Reader, file: File) -> bool:
    try:
        return reader.recognises(file)
    except PermissionError:
        raise RecordingError(f"{file.name}: no permission to read it") from None
    except RecordingError:
        raise
    except DAMAGE as error:
        raise RecordingError(
            f"{file.name}: looks like {reader.name} and cannot be opened ({describe_error(error)})"
        ) from error


def read_file(
    source: Source | Remote, choice: Choice | None = None, options: Mapping[str, Any] | None = None
) -> Recording:
    """Read one file with its reader; spikes are not detected yet.

    Parameters
    ----------
    source
        Path or address.
    choice
        Sweeps to read; all by default.
    options
        Options of the reader.
    """
    file = source if isinstance(source, Remote) else as_file(source)
    reader = find_reader(file)
    chosen = dict(options or {})
    check_options(reader, chosen)
    found = guard_reading(reader, file, lambda: reader.read(file, choice=choice or Choice(), **chosen))
    said = {name: _summarise_option(value) for name, value in chosen.items()}
    loaded = {"file": str(file) if isinstance(file, Remote) else file.name, "reader": reader.name, "options": said}
    return replace(found, loaded={**loaded, **found.loaded})


def _summarise_option(value: Any) -> Any:
    """Summarise an option for the provenance: arrays by their shape, paths by their name."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"array of shape {tuple(shape)}"
    if isinstance(value, list | tuple) and len(value) > 20:
        return f"{len(value)} values"
    return value.name if isinstance(value, Path) else value


def guard_reading(reader: Reader, file: File, work: Callable[[], Result]) -> Result:
    """Return the result of `work`; errors of a parser become a `RecordingError` that names the file and the format."""
    try:
        return work()
    except RecordingError as error:
        said = str(error) if file.name in str(error) else f"{file.name} ({reader.name}): {error}"
        error.args = (clip_message(said), *error.args[1:])
        raise
    except DAMAGE as error:
        raise RecordingError(
            f"{file.name} ({reader.name}): damaged or not as its format says ({describe_error(error)})"
        ) from error


def clip_message(message: str, most: int = 1500) -> str:
    """Clip a message to the size of a screen."""
    return message if len(message) <= most else f"{message[: most - 60]} … ({len(message)} characters in all)"


def check_options(reader: Reader, options: Mapping[str, Any]) -> None:
    """Raise an error if a reader does not take an option."""
    for name in options:
        if name not in reader.options:
            raise RecordingError(f"the reader of {reader.name} takes no option {name!r}; {near(name, reader.options)}")


def describe_error(error: BaseException) -> str:
    """Describe an error of a parser in one line."""
    return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else 'no message'}"
