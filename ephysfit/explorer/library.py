"""The library of the explorer: the recordings and fits under the given paths, and nothing else.

The page selects by position in the library and never by a path, so that no request can name a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ephysfit.data.loading import load
from ephysfit.data.suffixes import SUFFIXES, is_collected, is_recording
from ephysfit.errors import FitError, RecordingError
from ephysfit.files import expand_home, split_spec
from ephysfit.fitting.fit_result import Fit
from ephysfit.models import find

if TYPE_CHECKING:
    from ephysfit.data.recording import Recording
    from ephysfit.fitting.fit_result import Fit
    from ephysfit.neuron.declare import Neuron

#: largest depth to which folders are searched
DEPTH = 4
#: largest size of a fit's file, bytes; larger JSON files are not read
LARGEST = 20_000_000


@dataclass(frozen=True)
class SavedFit:
    """A saved fit: the content of its file, and its path (None: in memory).

    Attributes
    ----------
    content : mapping
        As of `Fit.to_dict`; for a batch task without a fit, only cell and model.
    scores : mapping of str to float
    files : tuple of str
        Names of the files of the cell, where a batch run records them.
    options : mapping
        Options of loading in that run.
    status, reason : str
        Status of a batch task, and the reason why it has no fit.
    """

    content: Mapping[str, Any]
    path: Path | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    fit: Fit | None = None
    files: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    status: str = ""
    reason: str = ""

    @property
    def cell(self) -> str:
        """Name of the cell."""
        return str(self.content.get("cell", "?"))

    @property
    def model(self) -> str:
        """Name of the model."""
        return str(self.content.get("model", "?"))

    @property
    def recording(self) -> str:
        """Name of the file of the training data; "" where it is not recorded."""
        return str(self.content.get("provenance", {}).get("recording", ""))


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell: the files of its recording (or the recording itself) and its fits."""

    name: str
    files: tuple[Path, ...] = ()
    fits: tuple[SavedFit, ...] = ()
    memory: Recording | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def recording(self) -> Recording:
        """Recording of the cell, read on first use."""
        if self.memory is not None:
            return self.memory
        if not self.files:
            wanted = next((f.recording for f in self.fits if f.recording), "its recording")
            raise RecordingError(
                f"{self.name}: {wanted} is not under the given paths; give it too, as in "
                f"`ephysfit explore FIT {wanted}`"
            )
        return load(list(self.files), **self.options)


@dataclass(frozen=True, eq=False)
class Library:
    """All cells that the page may show, and the paths that were given."""

    cells: tuple[Cell, ...]
    roots: tuple[Path, ...] = ()

    @classmethod
    def of(cls, *things: Any) -> Library:
        """Make the library of paths (recordings, fits, folders of them), recordings or fits.

        Raises
        ------
        RecordingError
            If a path does not exist or nothing under the paths can be shown.
        """
        paths, recordings, fits = _sort_sources(things)
        cells = [Cell(r.cell, memory=r) for r in recordings]
        saved = [SavedFit(f.to_dict(), fit=f) for f in fits]
        named: list[Path] = []
        for path in paths:
            if path.is_dir():
                inside = list(_list_files(path))
                cells += [Cell(p.stem, (p,)) for p in inside if is_recording(p)]
                saved += [s for p in inside if p.suffix == ".json" for s in read_saved_fits(p)]
            elif path.suffix == ".json":
                saved += read_saved_fits(path) or _refuse_file(path)
            else:
                named.append(path)
        if named:
            cells.append(Cell(named[0].stem, tuple(named)))
        if not cells and not saved:
            where = ", ".join(str(p) for p in paths)
            raise RecordingError(
                f"{where}: no recording ({', '.join(SUFFIXES[:6])} ...) and no fit.json in it; give the files of a "
                "cell, a fit with its recording, or a folder of them"
            )
        return cls(tuple(_assign_fits(cells, saved)), tuple(p.resolve() for p in paths))

    @property
    def fits(self) -> list[tuple[int, SavedFit]]:
        """All saved fits, each with the index of its cell."""
        return [(k, fit) for k, cell in enumerate(self.cells) for fit in cell.fits]

    def open(self, saved: SavedFit) -> Fit:
        """Open a saved fit; the file of a user's own neuron is executed only if it was given itself.

        Raises
        ------
        FitError
            If there is no fit, or its neuron is declared in a file that was not given.
        """
        if saved.fit is not None:
            return saved.fit
        if saved.reason:
            raise FitError(f"{saved.cell}, {saved.model}: {saved.status}: {saved.reason}")
        assert saved.path is not None
        made = saved.content.get("provenance", {})
        source = str(made.get("source") or "") if isinstance(made, Mapping) else ""
        if not source:
            return make_fit(saved.content)
        if not self.is_given(Path(split_spec(source)[0])):
            raise FitError(
                f"{saved.path.name}: its neuron is declared in {source}, and a file named in a fit is not executed "
                "unless it is given; give that file too"
            )
        return make_fit(saved.content, find(source))

    def is_given(self, path: Path) -> bool:
        """Whether this file itself was given, links followed."""
        return expand_home(path).resolve() in self.roots

    def holds(self, path: Path) -> bool:
        """Whether a file lies under one of the given paths, links followed."""
        real = expand_home(path).resolve()
        return any(real == root or root in real.parents for root in self.roots)


def _sort_sources(things: Sequence[Any]) -> tuple[list[Path], list[Recording], list[Fit]]:
    """Sort the given things into paths, recordings and fits."""
    paths, recordings, fits = [], [], []
    for thing in things:
        if isinstance(thing, str | PathLike):
            path = Path(thing)
            if not path.exists():
                raise RecordingError(f"{path}: no such file or folder")
            paths.append(path)
        elif hasattr(thing, "sweeps"):
            recordings.append(thing)
        elif hasattr(thing, "neuron") and hasattr(thing, "to_dict"):
            fits.append(thing)
        else:
            raise RecordingError(
                f"{type(thing).__name__} cannot be explored; give paths, a Recording, a Fit with its Recording"
            )
    return paths, recordings, fits


def _list_files(folder: Path) -> Iterator[Path]:
    """List the files below a folder in order of name, without hidden files and links that lead out of it."""
    root = folder.resolve()

    def walk(at: Path, depth: int) -> Iterator[Path]:
        for path in sorted(at.iterdir()):
            real = path.resolve()
            if path.name.startswith(".") or root not in real.parents or is_collected(path):
                continue
            if path.is_dir() and depth < DEPTH:
                yield from walk(path, depth + 1)
            elif path.is_file():
                yield path

    yield from walk(folder, 0)


def read_saved_fits(path: Path) -> list[SavedFit]:
    """Read the fits in a JSON file: one of `Fit.save` (with the scores beside it), or that of a batch task."""
    if path.stat().st_size > LARGEST:
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if not isinstance(content, Mapping):
        return []
    if "task" in content and "status" in content:
        return [_read_task_fit(content, path)]
    if isinstance(content.get("parameters"), Mapping) and "model" in content:
        return [SavedFit(content, path, read_scores(path.with_name("scores.json")))]
    return []


def _read_task_fit(content: Mapping[str, Any], path: Path) -> SavedFit:
    """Read the result of a batch task: a fit with scores, or the reason why there is none."""
    cell = content["task"].get("cell", {})
    rows = [row for score in (content.get("scores") or {}).values() for row in score]
    return SavedFit(
        content.get("fit") or {"cell": content.get("cell"), "model": content.get("model")},
        path,
        {row["name"]: float(row["value"]) for row in rows if row.get("value") is not None},
        files=tuple(Path(f).name for f in cell.get("files", ())),
        options=cell.get("options", {}),
        status=str(content["status"]),
        reason="" if content.get("fit") else str(content.get("reason") or "no fit"),
    )


def make_fit(content: Mapping[str, Any], neuron: type[Neuron] | None = None) -> Fit:
    """Make a fit from the content of its file; `neuron` is its class where that is not in the catalogue."""
    return Fit.from_dict(content, neuron)


def _refuse_file(path: Path) -> list[SavedFit]:
    raise FitError(f"{path} is not a fit saved by ephysfit; save one with fit.save() or `ephysfit fit -o`")


def read_scores(path: Path) -> dict[str, float]:
    """Read the scores that `ephysfit fit` wrote, by name; empty where there are none."""
    try:
        readouts = json.loads(path.read_text(encoding="utf-8"))["readouts"]
        rows = [row for score in readouts.values() for row in score["rows"]]
        return {row["name"]: float(row["value"]) for row in rows if row["value"] is not None}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _assign_fits(cells: list[Cell], saved: list[SavedFit]) -> Iterator[Cell]:
    """Assign to each cell the fits that name its file or its name; then cells of which there are only fits."""
    left = list(saved)
    for cell in _join_cells(cells, saved):
        mine = [f for f in left if _is_of(f, cell) or (len(cells) == 1 and len({s.cell for s in saved}) == 1)]
        left = [f for f in left if f not in mine]
        yield replace(cell, name=mine[0].cell if mine else cell.name, fits=tuple(mine))
    for name in dict.fromkeys(f.cell for f in left):
        yield Cell(name, fits=tuple(f for f in left if f.cell == name))


def _join_cells(cells: list[Cell], saved: Sequence[SavedFit]) -> list[Cell]:
    """Join cells whose files a batch run loaded as one cell, with its options of loading."""
    by_name = {c.files[0].name: c for c in cells if len(c.files) == 1}
    out = list(cells)
    for fit in {s.files: s for s in saved if s.files}.values():
        if all(name in by_name for name in fit.files) and (len(fit.files) > 1 or fit.options):
            parts = [by_name[name] for name in fit.files]
            out = [c for c in out if c not in parts]
            out.append(Cell(fit.cell, tuple(c.files[0] for c in parts), options=fit.options))
    return out


def _is_of(saved: SavedFit, cell: Cell) -> bool:
    names = [f.name for f in cell.files]
    return saved.cell == cell.name or saved.recording in names or (bool(saved.files) and list(saved.files) == names)
