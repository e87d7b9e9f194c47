"""The library of the explorer: the recordings and fits under the given paths, and nothing else.

The page selects by position in the library and never by a path, so that no request can name a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ephysfit.data.loading import load
from ephysfit.data.suffixes import SUFFIXES, is_collected, is_recording
from ephysfit.errors import EphysfitError, FitError, RecordingError
from ephysfit.explorer.fit_files import SavedFit, read_saved_fits, refuse_file
from ephysfit.files import expand_home, split_spec
from ephysfit.fitting.fit_result import Fit
from ephysfit.models import find

if TYPE_CHECKING:
    from ephysfit.data.recording import Recording
    from ephysfit.fitting.fit_result import Fit
    from ephysfit.neuron.declare import Neuron

#: largest depth to which folders are searched
DEPTH = 4


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
    """All cells that the page may show, the paths that were given, and what could not be read below them.

    Attributes
    ----------
    cells : tuple of Cell
    roots : tuple of Path
    skipped : tuple of (str, str)
        Files in given folders that cannot be read, each with the reason.
    """

    cells: tuple[Cell, ...]
    roots: tuple[Path, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()

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
        skipped: list[tuple[str, str]] = []
        for path in paths:
            if path.is_dir():
                for p in _list_files(path, skipped):
                    _sort_file(p, cells, saved, skipped)
            elif path.suffix == ".json":
                saved += read_saved_fits(path) or refuse_file(path)
            else:
                named.append(path)
        if named:
            cells.append(Cell(named[0].stem, tuple(named)))
        if not cells and not saved:
            where = ", ".join(str(p) for p in paths)
            raise RecordingError(
                f"{where}: {_list_skipped(skipped)}no recording ({', '.join(SUFFIXES[:6])} ...) and no fit.json in it; "
                "give the files of a cell, a fit with its recording, or a folder of them"
            )
        return cls(tuple(_assign_fits(cells, saved)), tuple(p.resolve() for p in paths), tuple(skipped))

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


def _sort_file(path: Path, cells: list[Cell], saved: list[SavedFit], skipped: list[tuple[str, str]]) -> None:
    """Sort a file of a folder into recordings and fits; one that cannot be read is skipped, with the reason."""
    try:
        if path.suffix == ".json":
            saved += read_saved_fits(path)
        elif is_recording(path):
            cells.append(Cell(path.stem, (path,)))
    except OSError as error:
        skipped.append((path.name, str(error.strerror)))
    except EphysfitError as error:
        skipped.append((path.name, str(error)))


def _list_skipped(skipped: Sequence[tuple[str, str]]) -> str:
    return "".join(f"{name} was skipped ({why}); " for name, why in skipped)


def _list_files(folder: Path, skipped: list[tuple[str, str]]) -> Iterator[Path]:
    """List the files below a folder in order of name, without hidden files and links that lead out of it."""
    root = folder.resolve()

    def walk(at: Path, depth: int) -> Iterator[Path]:
        try:
            inside = sorted(at.iterdir())
        except OSError as error:
            skipped.append((at.name, str(error.strerror)))
            return
        for path in inside:
            real = path.resolve()
            if path.name.startswith(".") or root not in real.parents or is_collected(path):
                continue
            if path.is_dir() and depth < DEPTH:
                yield from walk(path, depth + 1)
            elif path.is_file():
                yield path

    yield from walk(folder, 0)


def make_fit(content: Mapping[str, Any], neuron: type[Neuron] | None = None) -> Fit:
    """Make a fit from the content of its file; `neuron` is its class where that is not in the catalogue."""
    return Fit.from_dict(content, neuron)


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
