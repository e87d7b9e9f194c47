"""The table of a run: its fits with the columns of the run's page, to filter, sort and open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import panel as pn
from bokeh.models.widgets.tables import NumberFormatter

from ephysfit.batch.browsing import list_browsed_columns
from ephysfit.explorer.fit_files import SavedFit
from ephysfit.explorer.widgets import read_template

#: columns of numbers that are not of `list_browsed_columns`
LOSS, SECONDS, WARNINGS = "loss", "seconds", "warnings"
#: significant digits of the middle value of a column
DIGITS = 3


def make_run_frame(fits: Sequence[SavedFit]) -> pd.DataFrame:
    """Make the table of saved fits: a row per fit; columns without any value are left out.

    Parameters
    ----------
    fits : sequence of SavedFit

    Returns
    -------
    DataFrame
        Cell, model and status; scores and measures under the labels of the page of a run, with units; loss, seconds
        and the number of warnings.
    """
    columns = list_browsed_columns()
    rows = []
    for saved in fits:
        content = saved.content
        row: dict[str, Any] = {"cell": saved.cell, "model": saved.model}
        row["status"] = saved.status or str(content.get("status", "")).lower().replace("_", " ")
        for c in columns:
            row[f"{c.label}, {c.unit}" if c.unit else c.label] = saved.values.get(c.name, np.nan)
        row[LOSS] = float(content["loss"]) if content.get("loss") is not None else np.nan
        row[SECONDS] = float(content.get("seconds") or 0.0)
        row[WARNINGS] = len(content.get("warnings", ()))
        rows.append(row)
    return pd.DataFrame(rows).dropna(axis=1, how="all")


def make_run_table(fits: Sequence[tuple[int, SavedFit]], choose: Callable[[int, SavedFit], None]) -> Any:
    """Make a table of saved fits with a filter per column; a click on a row opens its cell."""
    frame = make_run_frame([saved for _, saved in fits])
    numeric = [c for c in frame.columns if frame[c].dtype.kind in "fi"]
    filters = {
        c: {"type": "number", "func": ">=", "placeholder": "at least"} if c in numeric
        else {"type": "input", "func": "like", "placeholder": "filter"}
        for c in frame.columns
    }  # fmt: skip
    table = pn.widgets.Tabulator(
        frame, disabled=True, show_index=False, header_filters=filters, pagination="local", page_size=8,
        selectable=1, sizing_mode="stretch_width", layout="fit_data_table", theme="simple", margin=(0, 0, 10, 0),
        stylesheets=[read_template("tabulator.css")], text_align=dict.fromkeys(numeric, "right"),
        widths={c: int(np.clip(50 + 4 * len(c), 118, 210)) if c in numeric else 150 for c in frame.columns},
        frozen_columns=["cell"],
        formatters={c: _format_column(frame[c]) for c in frame.select_dtypes("float")},
    )  # fmt: skip

    def clicked(event: Any) -> None:
        index, saved = fits[event.row]
        choose(index, saved)

    table.on_click(clicked)
    return table


def _format_column(values: pd.Series) -> NumberFormatter:
    """Format numbers with as many decimals as their middle value needs, and a missing one as a dash."""
    middle = float(values.abs().median())
    decimals = 2 if not middle > 0 else int(np.clip(DIGITS - 1 - np.floor(np.log10(middle)), 0, 4))
    return NumberFormatter(format=f"0.{'0' * decimals}" if decimals else "0", nan_format="–")
