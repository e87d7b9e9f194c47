"""Policy for HDF5 files that take samples from other files: from their own folder, or from anywhere if allowed.

HDF5 follows links and opens storage without asking, even for a file of unknown origin: `/etc/passwd` in pA.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from ephysfit.data import access
from ephysfit.errors import RecordingError

if TYPE_CHECKING:
    from ephysfit.data.external_links import Found

WAYS = {"link": "is a link to", "storage": "has its samples in", "source": "is made of parts of"}
#: where the HDF5 library looks before the folder of the file
PREFIXES = {"link": "HDF5_EXT_PREFIX", "source": "HDF5_VDS_PREFIX"}
ALLOW = "if you trust the file: allow_links=True (-O allow_links=true)"


def check_links(path: Path, look: Callable[[Path], Found]) -> None:
    """Raise an error if a file, or a file that it links to, takes something from outside its folder.

    Parameters
    ----------
    path
        An HDF5 file, which may use files in its folder and below.
    look
        Function that lists what a file takes from others.

    Raises
    ------
    RecordingError
        If it does; the message names the dataset, the target and the way out. Also if parts of a virtual dataset are
        missing, which the HDF5 library would fill with zeros.
    """
    roots = {path.absolute().parent.resolve(), path.resolve().parent}
    todo, seen = [path], {path.resolve()}
    while todo:
        here = todo.pop()
        for kind, name, target, member in _list_links(here, path, look):
            try:
                other = _find_target(here, kind, name, target, roots)
            except RecordingError as error:
                raise RecordingError(f"{here.name}: {name} {error}") from None
            if other is not None and other.resolve() not in seen:
                seen.add(other.resolve())
                todo.append(other)
            if kind == "source":
                _check_member(here, name, target, member, other)


def _list_links(here: Path, path: Path, look: Callable[[Path], Found]) -> Found:
    try:
        return look(here)
    except OSError as error:
        if here == path:
            raise  # the reader's error is clearer
        raise RecordingError(f"{path.name}: leads to {here.name}, which cannot be opened ({error})") from error


def _find_target(here: Path, kind: str, name: str, target: str, roots: set[Path]) -> Path | None:
    """Find the HDF5 file that the library would open, if that is allowed; None if there is none."""
    free = access.current_access().allow_links
    if kind == "unlisted":
        if free:
            return None
        raise RecordingError(f"is damaged, so that it cannot be determined whether it leads to other files; {ALLOW}")
    if kind == "source" and "%" in target and not free:
        raise RecordingError(f"names its parts by a pattern, {target!r}, which is not looked into; {ALLOW}")
    for candidate in (
        _list_storage_paths(here, target) if kind == "storage" else _list_search_paths(here, target, PREFIXES[kind])
    ):
        if not os.path.lexists(candidate):
            continue
        if not free and not any(candidate.resolve().is_relative_to(root) for root in roots):
            raise RecordingError(
                f"{WAYS[kind]} {target}, outside the folder of the file: so could a stranger's file show any of yours; "
                f"put it beside the file, or, {ALLOW}"
            )
        if not candidate.is_file():
            raise RecordingError(f"{WAYS[kind]} {target}, which is no file")
        if kind != "storage" and _is_hdf5(candidate):
            return candidate
    return None


def _list_search_paths(here: Path, target: str, variable: str) -> Iterator[Path]:
    """List where the HDF5 library looks for another HDF5 file, in its order."""
    name = target
    if os.path.isabs(target):
        yield Path(target)
        name = os.path.basename(target)
    yield from (Path(folder, name) for folder in os.environ.get(variable, "").split(os.pathsep) if folder)
    yield here.absolute().parent / name
    yield Path.cwd() / name
    yield here.resolve().parent / name


def _list_storage_paths(here: Path, target: str) -> Iterator[Path]:
    """List where the library looks for raw samples: beside the file only if configured so, or run from there."""
    prefix = os.environ.get("HDF5_EXTFILE_PREFIX", "").replace("${ORIGIN}", str(here.absolute().parent))
    place, beside = Path(prefix or Path.cwd(), target), here.absolute().parent / target
    if not os.path.lexists(place) and beside.is_file():
        raise RecordingError(
            f"has its samples in {target}, which the HDF5 library looks for in {prefix or 'the current folder'}: "
            "change to the folder of the file, or set HDF5_EXTFILE_PREFIX='${ORIGIN}'"
        )
    yield place


def _is_hdf5(path: Path) -> bool:
    return bool(h5py.is_hdf5(path))


def _check_member(here: Path, name: str, target: str, member: str, other: Path | None) -> None:
    """Raise an error if a part of a virtual dataset is missing."""
    if "%" in target + member:
        return
    if other is None:
        raise RecordingError(f"{here.name}: {name} is made of parts of {target}, which is not there; put it beside it")
    with h5py.File(other, "r") as file:
        if member not in file:
            raise RecordingError(f"{here.name}: {name} is made of {member} of {target}, where there is no such dataset")


def refuse_remote(name: str, found: Found) -> None:
    """Raise an error if a file at an address takes anything from other files, because it has no folder here."""
    for kind, dataset, target, _ in found:
        if kind in WAYS:
            raise RecordingError(
                f"{name}: {dataset} {WAYS[kind]} {target}, which cannot be followed over the network; download both"
            )
