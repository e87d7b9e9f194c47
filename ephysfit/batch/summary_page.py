"""Write the page of a run: its cells to browse, models compared cell by cell, parameters, clusters, outliers."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ephysfit.batch.clusters import find_outliers, group_cells
from ephysfit.batch.collect import Folder, make_tables, read_results
from ephysfit.batch.page_rows import MOST, Row, make_page_row, write_page_data
from ephysfit.batch.run_figures import draw_figures
from ephysfit.batch.store import DONE
from ephysfit.batch.summary import Population
from ephysfit.deprecation import deprecated
from ephysfit.errors import BatchError
from ephysfit.files import write_text
from ephysfit.reports.svg import render_inline_svg

if TYPE_CHECKING:
    from pandas import DataFrame

_TEMPLATES = Path(__file__).with_name("templates")
_STYLE = Path(__file__).parents[1] / "reports" / "templates" / "report.css"
_SCRIPT = _TEMPLATES / "population.js"
#: most failures on the page
SHOWN = 200


def read_population(folder: Folder) -> Population:
    """Read the results of a run.

    Parameters
    ----------
    folder : path
        Folder of the run, finished or not.

    Returns
    -------
    Population

    Raises
    ------
    BatchError
        If the folder is not that of a run, or no task has ended.
    """
    return _read_run(folder)[0]


def _read_run(folder: Folder) -> tuple[Population, list[Row]]:
    """Read every result once, for the tables and for the rows of the page."""
    rows: list[Row] = []

    def collect_rows() -> Iterator[Row]:
        for result in read_results(folder):
            row = make_page_row(result)
            if row is not None:
                rows.append(row)
            yield result

    all_of = make_tables(collect_rows())
    fits, parameters = all_of["fits"], all_of["parameters"]
    if fits.empty:
        raise BatchError(f"{folder}: no task has ended yet; `ephysfit status {folder}` shows the progress of the run")
    groupings = {name: g for name, part in parameters.groupby("fitted") if (g := group_cells(part)) is not None}
    odd = find_outliers(fits[fits["status"] == DONE], parameters)
    return Population(Path(folder), fits, parameters, groupings, odd), rows


def write_page(folder: Folder, path: str | PathLike[str] | None = None) -> Path:
    """Write the page of a run.

    Parameters
    ----------
    folder : path
        Folder of the run, finished or not.
    path : path, optional
        File of the page; ``population.html`` in the folder unless given. Links to the reports of cells are relative
        to it.

    Returns
    -------
    Path
        File of the page.
    """
    found, rows = _read_run(folder)
    page = Path(path) if path is not None else found.folder / "population.html"
    env = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    env.filters.update(number=_format_number)
    drawn = [(title, caption, Markup(render_inline_svg(fig, f"p{k}"))) for k, (title, caption, fig) in
             enumerate(draw_figures(found))]  # fmt: skip
    text = env.get_template("population.html.j2").render(
        style=Markup(_read(_STYLE) + _read(_TEMPLATES / "population.css")), script=Markup(_read(_SCRIPT)),
        run=found.folder.resolve().name, pictures=drawn, data=Markup(write_page_data(rows, found.folder, page)),
        left_out=max(len(rows) - MOST, 0), reports=any(True for _ in (found.folder / "reports").glob("**/*.html")),
        **_collect_content(found),
    )  # fmt: skip
    return write_text(page, text)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _collect_content(found: Population) -> dict[str, Any]:
    done = found.done
    return {
        "total": len(found.fits),
        "done": len(done),
        "cells": done["cell"].nunique(),
        "models": [_summarize_model(done[done["model"] == m], m) for m in found.models],
        "fitted": sorted(set(done["fitted"].dropna())),
        "failures": _plain_records(found.failed.head(SHOWN)),
        "odd": _plain_records(found.odd),
        "hours": float(done["cpu_seconds"].sum()) / 3600,
        "versions": ", ".join(sorted(set(done["version"].dropna()))),
    }


def _plain_records(table: DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as plain values, None where a value is missing."""
    return [{str(k): None if v is None or v != v else v for k, v in r.items()} for r in table.astype(object)
            .where(table.notna(), None).to_dict("records")]  # fmt: skip


def _summarize_model(part: DataFrame, model: str) -> dict[str, Any]:
    columns = ("md_star_4", "md_star_8", "gamma_over_R_4", "consensus_over_R_4", "ev_ratio_10", "rate_error", "seconds")
    middle = {c: float(part[c].median()) for c in columns}
    spread = {c: tuple(np.nanquantile(v, (0.25, 0.75))) if (v := part[c].dropna()).size else None for c in columns}
    return {"model": model, "cells": len(part), "median": middle, "quartiles": spread}


def _format_number(value: Any, digits: int = 2) -> str:
    if value is None or value != value:
        return "–"
    return f"{value:.{digits}f}".replace("-", "−")


#: functions by their names before 0.2.0
_RENAMED = {"population": "read_population", "write": "write_page"}


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    deprecated(f"{__name__}.{name}", f"{__name__}.{_RENAMED[name]}", "0.2.0")
    return globals()[_RENAMED[name]]
