"""Find the cells of a batch in files, folders, patterns and manifests."""

from __future__ import annotations

import csv
import glob
import os
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from ephysfit.data.suffixes import SUFFIXES, is_collected, is_manifest, is_recording
from ephysfit.errors import BatchError, near
from ephysfit.files import expand_home

#: columns of a manifest
FIELDS = ("cell", "file", "train", "test", "model", "sweeps", "spikes")


@dataclass(frozen=True)
class Cell:
    """One cell: where its recording is, and how it is divided.

    Attributes
    ----------
    name : str
        Unique in a batch; names the files of its results.
    files : tuple of Path
        Files of one recording; several files are joined.
    train, test : str
        Sweeps by name or pattern, separated by commas. If `train` is empty, all sweeps that are not used for testing
        train the model. `test` may also be "repeats", or a number below 1: that last fraction of each sweep.
    model : str
        Model of this cell, which replaces the models of the batch; empty for none.
    options : mapping
        Keyword arguments of `ephysfit.load`.
    """

    name: str
    files: tuple[Path, ...]
    train: str = ""
    test: str = "repeats"
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the cell as plain values for JSON."""
        return {**vars(self), "files": [str(f) for f in self.files], "options": dict(self.options)}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Cell:
        """Restore a cell from the values of `to_dict`."""
        return cls(**{**saved, "files": tuple(Path(f) for f in saved["files"])})


def find_cells(sources: str | PathLike[str] | Sequence[str | PathLike[str]]) -> tuple[Cell, ...]:
    """Find the cells of files, folders (searched recursively), patterns (``data/*.nwb``) and manifests.

    A manifest is a ``.toml`` file with ``[[cell]]`` tables, or a ``.csv`` with a column ``file``; its columns are
    `FIELDS` and, after ``option.``, any option of `ephysfit.load`. Paths in it are relative to the folder of the
    manifest; several files of one cell are separated by ``;``.

    Parameters
    ----------
    sources : path or sequence of paths

    Returns
    -------
    tuple of Cell
        In order of name.

    Raises
    ------
    BatchError
        If a source does not exist or holds no recording, a manifest cannot be read, or two cells share a name.
    """
    given = [sources] if isinstance(sources, str | PathLike) else list(sources)
    found: list[Cell] = []
    for text in given:
        found += _find_cells_of_source(str(text))
    if not found:
        raise BatchError("no source was given; give files, folders, patterns or a manifest")
    return _check_names(found)


def _find_cells_of_source(text: str) -> list[Cell]:
    path = expand_home(text)
    if path.is_dir():
        files = [p for p in _list_files_below(path) if is_recording(p)]
        if not files:
            raise BatchError(f"{path}: no recording in this folder (looked for {' '.join(SUFFIXES)}); name the files")
        return [Cell("/".join(f.relative_to(path).with_suffix("").parts), (f.resolve(),)) for f in files]
    if path.is_file():
        return _read_manifest(path) if is_manifest(path) else [Cell(path.stem, (path.resolve(),))]
    matched = _match_pattern(str(path))
    if not matched:
        raise BatchError(f"{text}: no such file or folder, and no file matches it as a pattern")
    return [cell for m in matched for cell in _find_cells_of_source(m)]


def _match_pattern(pattern: str) -> list[str]:
    """List files and folders that match a pattern; ``**`` matches folders at any depth, links included."""
    head, stars, tail = pattern.partition("**")
    if not stars:
        return sorted(glob.glob(pattern))
    tail = tail.lstrip("/\\") or "*"
    tops = [Path(top) for top in glob.glob(head.rstrip("/\\") or ".")]
    return sorted(
        {str(p) for top in tops if top.is_dir() for p in _list_files_below(top) if p.relative_to(top).match(tail)}
    )


def _list_files_below(folder: Path) -> list[Path]:
    """List all files below a folder, sorted; links are followed, but each folder is entered only once."""
    visited, out = set[str](), []
    for here, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders[:] = [name for name in folders if not is_collected(Path(here, name))]
        out += [path for name in names if (path := Path(here, name)).is_file()]
    return sorted(out)


def _read_manifest(path: Path) -> list[Cell]:
    rows = _read_toml_rows(path) if path.suffix.lower() == ".toml" else _read_csv_rows(path)
    return [_make_cell(path, k, row) for k, row in enumerate(rows, start=1)]


def _read_toml_rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8")).get("cell", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise BatchError(f"{path}: not a manifest: {e}") from None
    if not isinstance(rows, list) or not rows:
        raise BatchError(f"{path}: no [[cell]] in this manifest; write one per cell, with file = ...")
    options = [{f"option.{k}": v for k, v in r.pop("option", {}).items()} for r in rows]
    return [r | own for r, own in zip(rows, options, strict=True)]


def _read_csv_rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [{(k or "").strip(): (v or "").strip() for k, v in r.items() if k} for r in csv.DictReader(lines)]
    if not rows:
        raise BatchError(f"{path}: this manifest has a header and no cell")
    return [{k: v for k, v in r.items() if v} for r in rows]


def _make_cell(path: Path, number: int, row: Mapping[str, Any]) -> Cell:
    where = f"{path}, cell {number}"
    for name in row:
        if name not in FIELDS and not name.startswith("option."):
            raise BatchError(f"{where}: unknown column {name!r}; {near(name, [*FIELDS, 'option.NAME'])}")
    if not row.get("file"):
        raise BatchError(f"{where}: the column file is empty; give the file of the recording")
    names = row["file"] if isinstance(row["file"], list) else str(row["file"]).split(";")
    files = tuple((path.parent / str(n).strip()).resolve() for n in names)
    options = {k.removeprefix("option."): v for k, v in row.items() if k.startswith("option.")}
    if "sweeps" in row:
        options["sweeps"] = row["sweeps"].split(",") if isinstance(row["sweeps"], str) else row["sweeps"]
    if "spikes" in row:
        options["spikes"] = row["spikes"]
    name = str(row.get("cell") or files[0].stem)
    return Cell(
        name,
        files,
        _join_listed(row, "train"),
        _join_listed(row, "test") or "repeats",
        _join_listed(row, "model"),
        options,
    )


def _join_listed(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name, "")
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _check_names(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """Sort cells by name; raise if two share a name or a name cannot be a folder."""
    out = tuple(sorted(cells, key=lambda c: c.name))
    for name, count in Counter(c.name for c in out).items():
        if count > 1:
            files = ", ".join(str(c.files[0]) for c in out if c.name == name)
            raise BatchError(
                f"{count} cells are called {name!r} ({files}); name them in a manifest, or give the folder above both"
            )
    for cell in out:
        parts = cell.name.split("/")
        if any(p in ("", ".", "..") for p in parts) or "\0" in cell.name:
            raise BatchError(
                f"cell {cell.name!r}: names become folders of the run, so they must not contain '..' nor begin or end "
                "with '/'; give it another name"
            )
    return out
