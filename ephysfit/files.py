"""Files that are whole or as they were: written beside, put on the disk, then put in place."""

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

#: bytes that a file system allows a name, less what is put around it here
LONGEST = 200


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path beside this one, of the same ending, that takes its place when all went well; folders are made.

    Parameters
    ----------
    path
        Of the file to write.

    Raises
    ------
    OutputError
        If it cannot be written: no permission, a full disk, a folder in its place. What was there stays as it was.

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
    """Have the bytes of a written file on the disk; before a name points to them, or a crash could leave it empty."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file whole or not at all; what is no character (a file name of other bytes) is written out."""
    with replacing(path) as beside:
        beside.write_text(make_printable(text), encoding="utf-8", newline="\n")
    return Path(path)


@contextmanager
def prepare_folder(folder: str | Path) -> Iterator[Path]:
    """A folder, made and seen to take a file before the work that is to go there; gone if that comes to nothing.

    Raises
    ------
    OutputError
        If nothing can be written there.
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
    """A value as JSON can say it: None for every number that is not finite, lists for tuples, texts for keys.

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
    """A value as JSON that people read too; what is not finite becomes null."""
    return json.dumps(replace_nan(value), indent=1, ensure_ascii=False, allow_nan=False)


def make_printable(text: str) -> str:
    """Text that every encoding of Unicode can write: bytes of a file name that are no text become ``\\\\xff``.

    Examples
    --------
    >>> make_printable("cell_\\udcff.abf")
    'cell_\\\\xff.abf'
    """
    known = re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", text)
    return known.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def split_spec(spec: str) -> tuple[str, str]:
    """File and class of a user's own neuron, as it is named everywhere: ``FILE.py:NAME``, or ``FILE.py`` alone.

    Examples
    --------
    >>> split_spec("models/mine.py:Mine"), split_spec("mine.py")
    (('models/mine.py', 'Mine'), ('mine.py', ''))
    """
    file, _, name = (spec, "", "") if spec.endswith(".py") else spec.rpartition(":")
    return file, name


def expand_home(path: str | Path) -> Path:
    """A path with ``~`` as the home folder; as it stands where nobody knows that folder, as in some containers.

    Examples
    --------
    >>> expand_home("~nobody_of_this_name/cell.nwb").name
    'cell.nwb'
    """
    return Path(os.path.expanduser(path))


def make_safe_name(text: str) -> str:
    """A name of a file or folder made of any text: no separators, no control characters, not too long.

    Examples
    --------
    >>> make_safe_name("../a\\nb: c")
    '.._a_b_ c'
    """
    kept = "".join(c if c.isprintable() and c not in '/\\\\<>:"|?*' else "_" for c in make_printable(text))
    return kept.strip()[: LONGEST // 4] or "_"


def _describe_state(path: Path) -> str:
    return "what was there is as it was" if path.exists() else "choose another place, or make room"
