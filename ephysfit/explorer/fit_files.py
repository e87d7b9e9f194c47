"""Saved fits for the explorer: what a JSON file holds of one, with its scores and cards, before the fit is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ephysfit.batch.browsing import list_browsed_columns, make_browsed_row
from ephysfit.errors import FitError

if TYPE_CHECKING:
    from ephysfit.fitting.fit_result import Fit

#: largest size of a fit's file, bytes; larger JSON files are not read
LARGEST = 20_000_000


@dataclass(frozen=True)
class SavedFit:
    """A saved fit: the content of its file, and its path (None: in memory).

    Attributes
    ----------
    content : mapping
        As of `Fit.to_dict`; for a batch task without a fit, only cell and model.
    values : mapping of str to float
        Scores, and what was measured of the cell and of its model, by the names of
        `ephysfit.batch.browsing.list_browsed_columns`.
    files : tuple of str
        Names of the files of the cell, where a batch run records them.
    options : mapping
        Options of loading in that run.
    status, reason : str
        Status of a batch task, and the reason why it has no fit.
    """

    content: Mapping[str, Any]
    path: Path | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    fit: Fit | None = None
    files: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    status: str = ""
    reason: str = ""

    @property
    def scores(self) -> Mapping[str, float]:
        """The scores among the values."""
        known = {c.name for c in list_browsed_columns() if c.group == "score"}
        return {name: value for name, value in self.values.items() if name in known}

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


def read_saved_fits(path: Path) -> list[SavedFit]:
    """Read the fits in a JSON file: one of `Fit.save` (with the scores beside it), or that of a batch task.

    Returns
    -------
    list of SavedFit
        Empty for JSON of another kind.

    Raises
    ------
    FitError
        If the file cannot be read or is no JSON.
    """
    content = _read_json(path)
    if not isinstance(content, Mapping):
        return []
    if isinstance(content.get("task"), Mapping) and "status" in content:
        return [_read_task_fit(content, path)]
    if isinstance(content.get("parameters"), Mapping) and "model" in content:
        return [SavedFit(content, path, read_scores(path.with_name("scores.json")))]
    return []


def _read_json(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise FitError(f"{path.name}: {size / 1e6:.0f} MB; a saved fit has less than {LARGEST / 1e6:.0f} MB")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FitError(f"{path.name} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise FitError(f"{path.name} is not a fit saved by ephysfit: no JSON, or cut short") from None


def _read_task_fit(content: Mapping[str, Any], path: Path) -> SavedFit:
    """Read the result of a batch task: a fit with scores, or the reason why there is none."""
    cell = content["task"].get("cell", {})
    return SavedFit(
        content.get("fit") or {"cell": content.get("cell"), "model": content.get("model")},
        path,
        _keep_known(make_browsed_row(content)),
        files=tuple(Path(f).name for f in cell.get("files", ())),
        options=cell.get("options", {}),
        status=str(content["status"]),
        reason="" if content.get("fit") else str(content.get("reason") or "no fit"),
    )


def refuse_file(path: Path) -> list[SavedFit]:
    """Raise the error of a file that was given as a fit and is none."""
    raise FitError(f"{path} is not a fit saved by ephysfit; save one with fit.save() or `ephysfit fit -o`")


def read_scores(path: Path) -> dict[str, float]:
    """Read the scores that `ephysfit fit` wrote, by name; empty where there are none."""
    try:
        readouts = json.loads(path.read_text(encoding="utf-8"))["readouts"]
        scores = {name.replace("_", " "): score["rows"] for name, score in readouts.items()}
        return _keep_known(make_browsed_row({"scores": scores}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _keep_known(row: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in row.items() if value is not None}
