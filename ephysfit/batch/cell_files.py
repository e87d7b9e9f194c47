"""Find the cells of a batch in files, folders, patterns and manifests."""

from __future__ import annotations

import csv
import glob
import os
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from ephysfit.batch.cell_groups import FileGroup, FilePart, group_files
from ephysfit.data.suffixes import SUFFIXES, is_collected, is_manifest, is_recording
from ephysfit.errors import BatchError, near
from ephysfit.files import expand_home

#: columns of a manifest
FIELDS = ("cell", "file", "train", "test", "model", "electrode", "sweeps", "spikes")


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
    electrode : Path or None
        Recording of small noise by which the voltage across the electrode is removed (`compensate_electrode`).
    """

    name: str
    files: tuple[Path, ...]
    train: str = ""
    test: str = "repeats"
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    electrode: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the cell as plain values for JSON; a cell without an electrode recording has no such key."""
        plain = {**vars(self), "files": [str(f) for f in self.files], "options": dict(self.options)}
        electrode = plain.pop("electrode")
        return plain if electrode is None else plain | {"electrode": str(electrode)}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Cell:
        """Restore a cell from the values of `to_dict`."""
        electrode = saved.get("electrode")
        return cls(**{**saved, "files": tuple(Path(f) for f in saved["files"]),
                      "electrode": None if electrode is None else Path(electrode)})  # fmt: skip


def find_cells(sources: str | PathLike[str] | Sequence[str | PathLike[str]]) -> tuple[Cell, ...]:
    """Find the cells of files, folders (searched recursively), patterns (``data/*.nwb``) and manifests.

    Files that are one cell by their names (training, test, steps, electrode) are joined, see
    `ephysfit.batch.cell_groups.group_files`. A file named as a recording of the electrode alone is no cell.

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
    return find_cells_and_rest(sources)[0]


def find_cells_and_rest(
    sources: str | PathLike[str] | Sequence[str | PathLike[str]],
) -> tuple[tuple[Cell, ...], tuple[Path, ...]]:
    """Find the cells as `find_cells` does, and the files that are of no cell: lone recordings of an electrode."""
    given = [sources] if isinstance(sources, str | PathLike) else list(sources)
    if not given:
        raise BatchError("no source was given; give files, folders, patterns or a manifest")
    found: list[Cell] = []
    files: list[Path] = []
    groups: list[tuple[FileGroup, str]] = []
    for text in given:
        found += _find_cells_of_source(str(text), files, groups)
    groups += [(group, group.name) for group in group_files(files)]
    found += [_join_group(group, name) for group, name in groups if group.recorded]
    if not found:
        raise BatchError(
            f"{', '.join(map(str, given))}: only recordings of an electrode, by their names; a cell needs a recording "
            "with spikes. If a name misleads, name the file in a manifest"
        )
    rest = tuple(path for group, _ in groups if not group.recorded for path, _ in group.parts)
    return _check_names(found), rest


def _find_cells_of_source(text: str, files: list[Path], groups: list[tuple[FileGroup, str]]) -> list[Cell]:
    """Cells of a manifest; the groups of a folder are added to `groups`, single recordings to `files`."""
    path = expand_home(text)
    if path.is_dir():
        inside = [p for p in _list_files_below(path) if is_recording(p)]
        if not inside:
            raise BatchError(f"{path}: no recording in this folder (looked for {' '.join(SUFFIXES)}); name the files")
        groups += _name_by_folder(group_files(inside), path)
        return []
    if path.is_file():
        if is_manifest(path):
            return _read_manifest(path)
        files.append(path)
        return []
    matched = _match_pattern(str(path))
    if not matched:
        raise BatchError(f"{text}: no such file or folder, and no file matches it as a pattern")
    return [cell for m in matched for cell in _find_cells_of_source(m, files, groups)]


def _name_by_folder(groups: list[FileGroup], folder: Path) -> Iterator[tuple[FileGroup, str]]:
    """Groups below a folder with their names: where they lie in it; the folder itself if it holds nothing else."""
    inside = Counter(group.parts[0][0].parent for group in groups)
    for group in groups:
        at = group.parts[0][0].parent
        above = at.relative_to(folder).parts
        whole = bool(above) and len(group.parts) > 1 and inside[at] == 1
        yield group, "/".join(above if whole else (*above, group.name))


def _join_group(group: FileGroup, name: str) -> Cell:
    """Make a cell of a group of files, those to train first.

    Where a name says that a file is to train, that file trains, and current steps beside it are for the card; they test
    the model where no file says that it is to test.
    """
    tests = group.of(FilePart.TEST) if len(group.recorded) > 1 else ()
    trained = group.of(FilePart.TRAINING) if group.of(FilePart.STEPS) else ()
    files = (*(f for f in group.recorded if f not in tests), *tests)
    aec = group.of(FilePart.ELECTRODE)
    return Cell(
        name,
        tuple(f.resolve() for f in files),
        train=",".join(f.stem for f in trained),
        test=",".join(f.stem for f in tests) or "repeats",
        electrode=aec[0].resolve() if aec else None,
    )


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
        (path.parent / str(row["electrode"]).strip()).resolve() if row.get("electrode") else None,
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
