"""What may be looked at: the recordings and fits under the paths that were given, and nothing else.

The page chooses by position on this shelf and never by a path, so that no request can name a file.
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

#: folders are searched no deeper than this
DEPTH = 4
#: a fit's file is no larger than this; other JSON is not read at all
LARGEST = 20_000_000


@dataclass(frozen=True)
class Saved:
    """A saved fit: what its file says, and where it lies (None: in memory).

    Attributes
    ----------
    content : mapping
        As of `Fit.to_dict`; of a batch task that brought no fit, only cell and model.
    scores : mapping of str to float
    files : tuple of str
        Names of the files of the cell, where a batch run says them.
    options : mapping
        With which a batch run loaded them.
    status, reason : str
        How a batch task ended, and why there is no fit.
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
        return str(self.content.get("cell", "?"))

    @property
    def model(self) -> str:
        return str(self.content.get("model", "?"))

    @property
    def recording(self) -> str:
        """Name of the file it was fitted to, "" where it does not say."""
        return str(self.content.get("provenance", {}).get("recording", ""))


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell: where its recording lies (or the recording itself) and the fits there are of it."""

    name: str
    files: tuple[Path, ...] = ()
    fits: tuple[Saved, ...] = ()
    memory: Recording | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def recording(self) -> Recording:
        """The recording, read on first use."""
        if self.memory is not None:
            return self.memory
        if not self.files:
            wanted = next((f.recording for f in self.fits if f.recording), "its recording")
            raise RecordingError(
                f"{self.name}: {wanted} is not under the paths that were given; give it too, as in "
                f"`ephysfit explore FIT {wanted}`"
            )
        return load(list(self.files), **self.options)


@dataclass(frozen=True, eq=False)
class Shelf:
    """All cells that may be looked at, and the folders that files may come from."""

    cells: tuple[Cell, ...]
    roots: tuple[Path, ...] = ()

    @classmethod
    def of(cls, *things: Any) -> Shelf:
        """The shelf of some paths (recordings, fits, folders of them), recordings or fits.

        Raises
        ------
        RecordingError
            If a path does not exist or nothing under the paths can be shown.
        """
        paths, recordings, fits = _sorted(things)
        cells = [Cell(r.cell, memory=r) for r in recordings]
        saved = [Saved(f.to_dict(), fit=f) for f in fits]
        named: list[Path] = []
        for path in paths:
            if path.is_dir():
                inside = list(_files(path))
                cells += [Cell(p.stem, (p,)) for p in inside if is_recording(p)]
                saved += [s for p in inside if p.suffix == ".json" for s in fits_in(p)]
            elif path.suffix == ".json":
                saved += fits_in(path) or _no_fit(path)
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
        return cls(tuple(_with_fits(cells, saved)), tuple(p.resolve() for p in paths))

    @property
    def fits(self) -> list[tuple[int, Saved]]:
        """Every saved fit with the position of its cell."""
        return [(k, fit) for k, cell in enumerate(self.cells) for fit in cell.fits]

    def open(self, saved: Saved) -> Fit:
        """A saved fit as a `Fit`; the file of a user's own neuron is run only if that very file was given, too."""
        if saved.fit is not None:
            return saved.fit
        if saved.reason:
            raise FitError(f"{saved.cell}, {saved.model}: {saved.status}: {saved.reason}")
        assert saved.path is not None
        made = saved.content.get("provenance", {})
        source = str(made.get("source") or "") if isinstance(made, Mapping) else ""
        if not source:
            return fit_of(saved.content)
        if not self.gave(Path(split_spec(source)[0])):
            raise FitError(
                f"{saved.path.name}: its neuron is declared in {source}, and a file that a fit names is not run on its "
                "own; give that very file too"
            )
        return fit_of(saved.content, find(source))

    def gave(self, path: Path) -> bool:
        """Whether this very file was given, links followed."""
        return expand_home(path).resolve() in self.roots

    def holds(self, path: Path) -> bool:
        """Whether a file lies under one of the given paths, links followed."""
        real = expand_home(path).resolve()
        return any(real == root or root in real.parents for root in self.roots)


def _sorted(things: Sequence[Any]) -> tuple[list[Path], list[Recording], list[Fit]]:
    """Paths, recordings and fits of what was given."""
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


def _files(folder: Path) -> Iterator[Path]:
    """Files in a folder in order of name, hidden ones left out; links that lead out of it are not followed."""
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


def fits_in(path: Path) -> list[Saved]:
    """The fits that a JSON file holds: that of `Fit.save` (scores beside it), or those of a batch run's task."""
    if path.stat().st_size > LARGEST:
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    if not isinstance(content, Mapping):
        return []
    if "task" in content and "status" in content:
        return [_of_task(content, path)]
    if isinstance(content.get("parameters"), Mapping) and "model" in content:
        return [Saved(content, path, scores_in(path.with_name("scores.json")))]
    return []


def _of_task(content: Mapping[str, Any], path: Path) -> Saved:
    """What a task of a batch run left: a fit with scores, or the reason why there is none."""
    cell = content["task"].get("cell", {})
    rows = [row for score in (content.get("scores") or {}).values() for row in score]
    return Saved(
        content.get("fit") or {"cell": content.get("cell"), "model": content.get("model")},
        path,
        {row["name"]: float(row["value"]) for row in rows if row.get("value") is not None},
        files=tuple(Path(f).name for f in cell.get("files", ())),
        options=cell.get("options", {}),
        status=str(content["status"]),
        reason="" if content.get("fit") else str(content.get("reason") or "no fit"),
    )


def fit_of(content: Mapping[str, Any], neuron: type[Neuron] | None = None) -> Fit:
    """The fit that the content of its file describes; `neuron` is its class where it is not in the catalogue."""
    return Fit.from_dict(content, neuron)


def _no_fit(path: Path) -> list[Saved]:
    raise FitError(f"{path} is not a fit saved by ephysfit; save one with fit.save() or `ephysfit fit -o`")


def scores_in(path: Path) -> dict[str, float]:
    """The scores that `ephysfit fit` wrote, by name; empty where there are none."""
    try:
        readouts = json.loads(path.read_text(encoding="utf-8"))["readouts"]
        rows = [row for score in readouts.values() for row in score["rows"]]
        return {row["name"]: float(row["value"]) for row in rows if row["value"] is not None}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _with_fits(cells: list[Cell], saved: list[Saved]) -> Iterator[Cell]:
    """Each cell with the fits of it: those that name its file, or the cell; then the cells of which only fits are."""
    left = list(saved)
    for cell in _joined(cells, saved):
        mine = [f for f in left if _is_of(f, cell) or (len(cells) == 1 and len({s.cell for s in saved}) == 1)]
        left = [f for f in left if f not in mine]
        yield replace(cell, name=mine[0].cell if mine else cell.name, fits=tuple(mine))
    for name in dict.fromkeys(f.cell for f in left):
        yield Cell(name, fits=tuple(f for f in left if f.cell == name))


def _joined(cells: list[Cell], saved: Sequence[Saved]) -> list[Cell]:
    """The cells with files that a batch run took together as one cell, and its options for loading them."""
    by_name = {c.files[0].name: c for c in cells if len(c.files) == 1}
    out = list(cells)
    for fit in {s.files: s for s in saved if s.files}.values():
        if all(name in by_name for name in fit.files) and (len(fit.files) > 1 or fit.options):
            parts = [by_name[name] for name in fit.files]
            out = [c for c in out if c not in parts]
            out.append(Cell(fit.cell, tuple(c.files[0] for c in parts), options=fit.options))
    return out


def _is_of(saved: Saved, cell: Cell) -> bool:
    names = [f.name for f in cell.files]
    return saved.cell == cell.name or saved.recording in names or (bool(saved.files) and list(saved.files) == names)
