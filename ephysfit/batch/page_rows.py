"""The rows of the page of a run as JSON that lies in the page: values, reasons for missing ones, thumbnails."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from os.path import relpath
from pathlib import Path
from typing import Any

from ephysfit.batch.browsing import SHORT, BrowsedColumn, list_browsed_columns, list_missing, make_browsed_row
from ephysfit.batch.store import DONE
from ephysfit.batch.thumbnails import is_thumbnail
from ephysfit.files import split_spec
from ephysfit.metrics.headline_scores import AGREEMENT, COINCIDENCE

#: most fits on the page; the tables of `collect` hold all
MOST = 5000
#: units of what stands on the mV scale of a model, which a fit to spikes alone does not fix
SCALED_UNITS = ("mV", "MOhm", "pF")
#: digits that the page shows, and one more
DIGITS = 4

Row = dict[str, Any]


def make_page_row(result: Mapping[str, Any]) -> Row | None:
    """Make the row of a result; None for a task without a fit.

    Parameters
    ----------
    result : mapping
        As `Store.write` writes it.

    Returns
    -------
    dict or None
        ``cell``, ``model`` (requested), ``fitted``, ``values`` by column, ``missing`` (reasons),
        ``thumbnail`` and ``unscaled``: whether the fit had spikes alone, which fix no mV.
    """
    if result.get("status") != DONE:
        return None
    thumbnail = result.get("thumbnail")
    return {
        "cell": str(result["cell"]), "model": str(result["model"]), "fitted": str(result["fit"]["model"]),
        "values": make_browsed_row(result), "missing": list_missing(result),
        "thumbnail": thumbnail if is_thumbnail(thumbnail) else None,
        "unscaled": result.get("potentials_in_mv") is False,
    }  # fmt: skip


def write_page_data(rows: list[Row], folder: Path, page: Path) -> str:
    """Write rows as JSON for the script of the page: values in the order of the columns that hold any.

    Parameters
    ----------
    rows : list of dict
        As of `make_page_row`.
    folder : Path
        Of the run.
    page : Path
        File of the page, to which links to reports are relative.

    Returns
    -------
    str
        JSON that can stand in a script element.
    """
    shown = rows[:MOST]
    columns = [c for c in list_browsed_columns() if any(r["values"][c.name] is not None for r in shown)]
    reasons: dict[str, int] = {}
    best = find_best(shown)
    cells = [
        {
            "cell": r["cell"], "model": r["fitted"], "best": k in best, "link": find_report(folder, page, r),
            "values": [_shorten(r["values"][c.name]) for c in columns],
            "missing": _number_reasons(r["missing"], columns, reasons), "thumbnail": r["thumbnail"],
            "unscaled": r["unscaled"],
        }
        for k, r in enumerate(shown)
    ]  # fmt: skip
    content = {
        "columns": [asdict(c) for c in columns],
        "short": SHORT,
        "scaled_units": SCALED_UNITS,
        "reasons": list(reasons),
        "rows": cells,
    }
    # "<" cannot end the script element early
    return json.dumps(content, allow_nan=False, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def find_best(rows: Iterable[Row]) -> set[int]:
    """Find the positions of the best fit of each cell: by Md* at ±8 ms, then by Γ; the first where neither is known.

    Examples
    --------
    >>> found = [{"cell": "c", "values": {"md_star_8": x, "gamma_4": None}} for x in (0.5, 0.7, None)]
    >>> find_best(found)
    {1}
    """
    best: dict[str, tuple[tuple[float, float], int]] = {}
    for k, r in enumerate(rows):
        score = tuple(-1e9 if (v := r["values"][name]) is None else v for name in (AGREEMENT.name, COINCIDENCE.name))
        if r["cell"] not in best or score > best[r["cell"]][0]:
            best[r["cell"]] = (score[0], score[1]), k
    return {k for _, k in best.values()}


def find_report(folder: Path, page: Path, row: Mapping[str, Any]) -> str:
    """Find the report of a fit, as a link relative to the page of the run; empty if there is none."""
    slug = split_spec(row["model"])[1] if ".py" in row["model"] else row["model"]
    own = folder / "reports" / f"{row['cell']}/{slug}.html"
    return relpath(own, page.parent) if own.is_file() else ""


def _number_reasons(
    missing: Mapping[str, str], columns: Iterable[BrowsedColumn], reasons: dict[str, int]
) -> dict[int, int]:
    """Reasons by the position of their column, as positions in the list of all reasons: few, in many cells."""
    return {k: reasons.setdefault(missing[c.name], len(reasons)) for k, c in enumerate(columns) if c.name in missing}


def _shorten(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
