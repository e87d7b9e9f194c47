"""One task of a batch: one cell, one model. Its key is a hash of everything that its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import ephysfit
from ephysfit.batch.cell_files import Cell
from ephysfit.errors import BatchError
from ephysfit.files import split_spec


@dataclass(frozen=True)
class Settings:
    """Settings that all tasks of a batch share: those of `ephysfit.fit` and of the scoring.

    Attributes
    ----------
    dt : float or None
        Step, ms; None: chosen from the recording.
    seed : int
        Random seed of the fits.
    runs : int
        Noisy runs that are scored.
    reports : bool
        Whether to write a report for each fit.
    prior : str
        File of population priors (`ephysfit.fitting.prior.save_priors`); empty for none.
    effort : str
        Of the fits: "fast" or "best".
    objective : str or None
        Of the fits: "physiology", "prediction", or None for the default of `ephysfit.fit`.
    """

    dt: float | None = None
    seed: int = 0
    runs: int = 200
    reports: bool = False
    prior: str = ""
    effort: str = "fast"
    objective: str | None = None


@dataclass(frozen=True)
class Task:
    """One cell to be fitted with one model.

    Attributes
    ----------
    cell : Cell
    model : str
        "auto", a name of the catalogue, or ``file.py:Name``.
    settings : Settings
    """

    cell: Cell
    model: str
    settings: Settings = field(default_factory=Settings)

    @property
    def label(self) -> str:
        """Cell and model, for messages."""
        return f"{self.cell.name} {self.model}"

    @property
    def slug(self) -> str:
        """Name of the model in file names."""
        return split_spec(self.model)[1] if ".py" in self.model else self.model

    def key(self) -> str:
        """Return the SHA-256 of the recording's bytes, the settings, the model (with its file, if any) and the version.

        A missing file has a key too, so that its failure is remembered until the file appears.
        """
        what = {
            "version": ephysfit.__version__,
            "cell": {k: v for k, v in self.cell.to_dict().items() if k not in ("files", "electrode")},
            "files": [_hash_file(f) for f in self.cell.files],
            "model": self.model,
            "source": _hash_file(Path(split_spec(self.model)[0])) if ".py" in self.model else "",
            "settings": {k: v for k, v in vars(self.settings).items() if k not in ("reports", "prior")},
        }
        if self.cell.electrode is not None:
            what["electrode"] = _hash_file(self.cell.electrode)
        if self.settings.prior:
            what["prior"] = _hash_file(Path(self.settings.prior))
        return hashlib.sha256(json.dumps(what, sort_keys=True, default=str).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return the task as plain values for JSON."""
        return {"cell": self.cell.to_dict(), "model": self.model, "settings": vars(self.settings)}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Task:
        """Restore a task from the values of `to_dict`."""
        return cls(Cell.from_dict(saved["cell"]), saved["model"], Settings(**saved["settings"]))


def make_tasks(cells: Sequence[Cell], models: Sequence[str], settings: Settings) -> tuple[Task, ...]:
    """Combine every cell with every model; a cell whose manifest names a model is combined with that model only.

    Raises
    ------
    BatchError
        If two models have the same name, so that their results would overwrite each other.
    """
    tasks = tuple(Task(c, m, settings) for c in cells for m in ([c.model] if c.model else models))
    unique: dict[tuple[str, str], Task] = {}
    for task in tasks:
        other = unique.setdefault((task.cell.name, task.slug), task)
        if other.model != task.model:
            raise BatchError(
                f"models {other.model!r} and {task.model!r} have the same name, so their results would "
                "overwrite each other; rename one class"
            )
    return tuple(unique.values())


def _hash_file(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return "missing"
    return _hash_unchanged_file(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _hash_unchanged_file(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
