"""Writing files so that they are complete or unchanged: a new file is written beside, flushed, and moved into place."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import Any

from ephysfit.errors import OutputError

#: bytes that a file system allows for a name, less those added here
LONGEST = 200


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Provide a path beside this one, with the same suffix, that takes its place on success; folders are made.

    Parameters
    ----------
    path
        Path of the file to write.

    Raises
    ------
    OutputError
        If it cannot be written: no permission, a full disk, a folder in its place. An existing file is unchanged.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "new" / "cell.txt"
    >>> with replacing(path) as beside:
    ...     _ = beside.write_text("whole")
    >>> path.read_text(), [p.name for p in path.parent.iterdir()]
    ('whole', ['cell.txt'])
    """
    path = Path(path)
    beside = path.with_name(f".{path.stem[:LONGEST]}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield beside
        flush_to_disk(beside)
        beside.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); {_describe_state(path)}") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Flush the bytes of a written file to the disk before a name points to them: a crash could leave it empty."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file completely or not at all; bytes that are not text (in file names) are written as escapes."""
    with replacing(path) as beside:
        beside.write_text(make_printable(text), encoding="utf-8", newline="\n")
    return Path(path)


@contextmanager
def prepare_folder(folder: str | Path) -> Iterator[Path]:
    """Make a folder and check that it can be written to before the work begins; remove it if the work fails.

    Raises
    ------
    OutputError
        If no file can be written there.
    """
    folder = Path(folder)
    there = folder.exists()
    with replacing(folder / ".probe") as beside:
        beside.write_bytes(b"x" * 4096)
    (folder / ".probe").unlink(missing_ok=True)
    try:
        yield folder
    except BaseException:
        if not there:
            with suppress(OSError):  # what holds a file stays
                folder.rmdir()
        raise


def replace_nan(value: Any) -> Any:
    """Convert a value for JSON: None for every number that is not finite, lists for tuples, texts for keys.

    Examples
    --------
    >>> replace_nan({"a": float("nan"), "b": (1, 2.5)})
    {'a': None, 'b': [1, 2.5]}
    """
    if isinstance(value, Mapping):
        return {str(k): replace_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [replace_nan(v) for v in value]
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    return value


def to_json(value: Any) -> str:
    """Convert a value to readable JSON; numbers that are not finite become null."""
    return json.dumps(replace_nan(value), indent=1, ensure_ascii=False, allow_nan=False)


def make_printable(text: str) -> str:
    """Make a text that every encoding of Unicode can write: bytes of file names that are not text become ``\\\\xff``.

    Examples
    --------
    >>> make_printable("cell_\\udcff.abf")
    'cell_\\\\xff.abf'
    """
    known = re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", text)
    return known.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def split_spec(spec: str) -> tuple[str, str]:
    """Split the specification of a user's own neuron, ``FILE.py:NAME`` or ``FILE.py`` alone, into file and class.

    Examples
    --------
    >>> split_spec("models/mine.py:Mine"), split_spec("mine.py")
    (('models/mine.py', 'Mine'), ('mine.py', ''))
    """
    file, _, name = (spec, "", "") if spec.endswith(".py") else spec.rpartition(":")
    return file, name


def expand_home(path: str | Path) -> Path:
    """Expand ``~`` in a path to the home folder; unchanged if there is none, as in some containers.

    Examples
    --------
    >>> expand_home("~nobody_of_this_name/cell.nwb").name
    'cell.nwb'
    """
    return Path(os.path.expanduser(path))


def make_safe_name(text: str) -> str:
    """Make a name of a file or folder from any text: no separators, no control characters, not too long.

    Examples
    --------
    >>> make_safe_name("../a\\nb: c")
    '.._a_b_ c'
    """
    allowed = "".join(c if c.isprintable() and c not in '/\\\\<>:"|?*' else "_" for c in make_printable(text))
    return allowed.strip()[: LONGEST // 4] or "_"


def _describe_state(path: Path) -> str:
    return "what was there is as it was" if path.exists() else "choose another place, or make room"
