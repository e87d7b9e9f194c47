"""Sources of recordings: paths, and addresses that behave like them."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TypeAlias

from ephysfit.data.remote import Remote, is_remote
from ephysfit.errors import RecordingError

Source: TypeAlias = str | PathLike[str]
#: file that a reader opens: a path, or an address that behaves like one
File: TypeAlias = Path | Remote


def as_file(source: Source) -> File:
    """Convert a source to a path that exists, or to an address.

    Raises
    ------
    RecordingError
        If there is no such file.
    """
    if is_remote(source):
        return Remote(str(source))
    path = Path(source)
    try:
        return _check_path(path)
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from None


def _check_path(path: Path) -> Path:
    if not path.exists():
        raise RecordingError(f"{path}: no such file")
    if any((path / name).exists() for name in (".zgroup", "zarr.json")):
        raise RecordingError(f"{path}: NWB in Zarr form is not read; export it to HDF5 with hdmf-zarr")
    if not path.is_file():
        raise RecordingError(f"{path}: a folder or device, not a file; give the files of one cell")
    if path.stat().st_size == 0:
        raise RecordingError(f"{path.name}: the file is empty (0 bytes), so its copy or download failed; get it again")
    return path
