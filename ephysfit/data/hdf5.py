"""Small helpers for readers of HDF5 layouts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Array, Bool, Float64, Mask
from ephysfit.data import link_policy
from ephysfit.data.external_links import find_external_links
from ephysfit.data.hdf5_probe import MOST_STORED, State, probe, read_file_state
from ephysfit.errors import RecordingError

if TYPE_CHECKING:
    import h5py

    from ephysfit.data.external_links import Found
    from ephysfit.data.source import File

#: the first bytes of every HDF5 file
MAGIC = b"\x89HDF\r\n\x1a\n"

#: deflate packs constants 1030 times; nothing here packs more than this
MOST_COMPRESSED = 2000


def is_hdf5(path: File) -> bool:
    """Whether a file begins with the signature of HDF5."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def check_file(path: File) -> None:
    """Check a file before it is opened, if it is HDF5 on disk.

    Raises
    ------
    RecordingError
        If the HDF5 library would hang or crash on it, or it takes samples from outside its folder.
    """
    try:
        local = isinstance(path, Path) and is_hdf5(path)
    except OSError:
        return  # the reader's error is clearer
    if local and isinstance(path, Path):
        with suppress(OSError):
            link_policy.check_links(path, _find_links)


def _find_links(path: Path) -> Found:
    """Find what a file takes from others, through the helper process where there is one."""
    found = probe(path)
    return _find_links_here(read_file_state(path)) if found is None else found


@lru_cache(MOST_STORED)
def _find_links_here(there: State) -> Found:
    """Find what a file takes from others without a helper process."""
    with h5py.File(there[0], "r") as file:
        return find_external_links(file)


@contextmanager
def open_file(path: File) -> Iterator[h5py.File]:
    """Open a file for reading, after checking that it cannot hang the library or lead outside its folder."""
    if isinstance(path, Path):
        link_policy.check_links(path, _find_links)
        with h5py.File(path, "r") as file:
            yield file
        return
    try:
        with h5py.File(path.open(), "r") as file:
            if not path.alone:
                link_policy.refuse_remote(path.name, find_external_links(file))
                path.alone = True
            yield file
    finally:
        if path.fault is not None:
            raise path.fault  # libhdf5 hides it, and a reader may have left out a sweep because of it


def read_column(dataset: Any, first: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
    """Read the values of a dataset, after checking that the stored bytes can hold them.

    Raises
    ------
    RecordingError
        If a damaged header claims far more than the stored bytes can unpack to.
    """
    if dataset.is_virtual:
        return np.asarray(dataset[first:stop])  # stores nothing itself
    claimed, there = int(dataset.size) * dataset.dtype.itemsize, int(dataset.id.get_storage_size())
    if claimed > MOST_COMPRESSED * max(there, 16_384):
        raise RecordingError(f"{dataset.name} claims {claimed} bytes and stores {there}: the file is damaged")
    return np.asarray(dataset[first:stop])


def read_samples(dataset: Any, first: int = 0, stop: int | None = None) -> Float64[Array, "..."]:
    """Read the samples of a dataset as floats; NaN where its chunks were never written.

    Raises
    ------
    RecordingError
        If none of it was ever written: reading would give its fill value throughout.
    """
    stored_elsewhere = dataset.is_virtual or dataset.external
    if dataset.size and not stored_elsewhere and not dataset.id.get_storage_size():
        raise RecordingError(f"{dataset.name}: never written; it claims {dataset.size} samples, 0 bytes are stored")
    values: Float64[Array, "..."] = read_column(dataset, first, stop).astype(np.float64)
    if dataset.chunks and not stored_elsewhere:
        values[_find_unwritten(dataset)[first:stop]] = np.nan
    return values


def _find_unwritten(dataset: Any) -> Bool[Mask, " row"]:
    """Find the rows in chunks that were never written, shape (row,)."""
    rows, there = dataset.chunks[0], dataset.id.get_num_chunks()
    expected = int(np.prod([-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True)]))
    missing = np.zeros(dataset.shape[0], dtype=bool)
    if there < expected:
        missing[:] = True
        for k in range(there):
            at = dataset.id.get_chunk_info(k).chunk_offset[0]
            missing[at : at + rows] = False
    return missing


def decode_text(value: Any, default: str = "") -> str:
    """Decode a string of any HDF5 form: bytes, arrays of one string, scalars, datasets."""
    if value is None:
        return default
    if hasattr(value, "shape") and hasattr(value, "dtype") and hasattr(value, "file"):
        value = value[()]
    if isinstance(value, np.ndarray):
        return ", ".join(decode_text(item) for item in value.ravel())
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def read_number(group: Any, name: str) -> float | None:
    """Read a scalar dataset of a group as a float; None if it is missing or not a finite number."""
    item = group.get(name)
    if item is None or not hasattr(item, "shape") or item.size != 1:
        return None
    value = np.asarray(item[()]).ravel()[0]
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found) else None


def find_address(item: Any) -> int:
    """Find the address that identifies an object within its file, whatever path or link led to it."""
    return int(h5py.h5o.get_info(item.id).addr)


def read_strings(group: Any, name: str) -> list[str]:
    """Read a column of strings; empty if it is missing."""
    item = group.get(name)
    return [] if item is None else [decode_text(value) for value in np.atleast_1d(item[()])]
