"""The summary of a fit on one page of A4: answers, scores, the prediction, the f-I curve, card and parameters."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.figure import Figure

from ephysfit.files import replacing
from ephysfit.reports.card_rows import list_card_rows
from ephysfit.reports.evidence import Evidence
from ephysfit.reports.figures.f_i import draw_rates
from ephysfit.reports.figures.prediction import draw_membrane, draw_raster, draw_raster_legend, draw_stimulus
from ephysfit.reports.figures.rates import draw_precision
from ephysfit.reports.figures.steps import draw_quantity
from ephysfit.reports.figures.style import INK, MODEL, MUTED, label_seconds, style_axes
from ephysfit.reports.headline import write_headline
from ephysfit.reports.step_table import make_step_lines
from ephysfit.reports.tables import format_parameter, format_unit, make_parameter_lines
from ephysfit.reports.verdict import write_answers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: A4, inches
SIZE = (8.27, 11.69)
#: margins left and right, as parts of the width
LEFT, RIGHT = 0.07, 0.95
#: characters of a line of text, and the height of one as a part of the page
LINE, HEIGHT = 122, 0.0135
#: most rows of the table of parameters; the page of the report holds all
ROWS = 17
#: most values of a bank there
BANK = 3


def draw_summary(evidence: Evidence) -> Figure:
    """Draw the summary of a fit as one page of A4.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    Figure
    """
    fig = Figure(figsize=SIZE)
    below = _write_answers(fig, evidence, _write_title(fig, evidence))
    below = _write_tiles(fig, evidence, below - 0.012)
    _draw_prediction(fig, evidence, top=below - 0.028, bottom=0.475)
    _draw_statistics(fig, evidence, top=0.422, bottom=0.295)
    card = [(row[0], row[1], row[5], row[2]) for row in list_card_rows(*evidence.cards)[1:]]
    shown = [row for row in card if row[1] != "–" or row[2] != "–"][:ROWS]
    _write_table(fig, LEFT, ("measure", "cell", "model", "unit"), shown, (0.0, 0.25, 0.33, 0.345))
    rows = _list_parameters(evidence)
    more = [(f"and {len(rows) - ROWS + 1} more in the report", "", "")] if len(rows) > ROWS else []
    _write_table(fig, 0.56, ("parameter", "value", "unit"), [*rows[: ROWS - len(more)], *more], (0.0, 0.25, 0.265))
    fig.text(LEFT, 0.012, _describe_origin(evidence), fontsize=6.5, color=MUTED)
    return fig


def save_summary(evidence: Evidence, path: str | Path) -> Path:
    """Write the summary as a PDF whose text can be searched."""
    path = Path(path)
    with replacing(path) as beside, rc_context({"pdf.fonttype": 42}):
        draw_summary(evidence).savefig(beside, format="pdf", facecolor="white", metadata={"CreationDate": None})
    return path


def _write_title(fig: Figure, evidence: Evidence) -> float:
    fit = evidence.fit
    fig.text(LEFT, 0.962, fit.cell, fontsize=17, color=INK, weight="bold")
    fig.text(RIGHT, 0.962, fit.model, fontsize=14, color=MODEL, weight="bold", ha="right")
    return 0.94


def _write_answers(fig: Figure, evidence: Evidence, top: float) -> float:
    """Write the answers below `top` and return where they end, as parts of the height."""
    for question, answer in write_answers(evidence):
        lines = textwrap.wrap(answer, LINE)
        fig.text(LEFT, top, question, fontsize=8.5, color=MUTED, weight="bold", va="top")
        fig.text(LEFT, top - HEIGHT, "\n".join(lines), fontsize=8.5, color=INK, va="top", linespacing=1.25)
        top -= HEIGHT * (len(lines) + 1) + 0.006
    return top


def _write_tiles(fig: Figure, evidence: Evidence, top: float) -> float:
    tiles = write_headline(evidence).tiles
    for k, tile in enumerate(tiles):
        x = LEFT + k * (RIGHT - LEFT) / len(tiles)
        fig.text(x, top, tile.value, fontsize=15, color=INK, weight="bold", va="top")
        fig.text(x, top - 0.022, tile.name, fontsize=8, color=INK, va="top")
        fig.text(x, top - 0.034, textwrap.fill(tile.note, 26), fontsize=6.5, color=MUTED, va="top")
    return top - 0.055


def _draw_prediction(fig: Figure, evidence: Evidence, top: float, bottom: float) -> None:
    grid = fig.add_gridspec(3, 1, left=LEFT + 0.055, right=RIGHT, top=top, bottom=bottom, hspace=0.28,
                            height_ratios=[0.6, 2.2, 1.2])  # fmt: skip
    span = evidence.stretch
    panels = (draw_stimulus, draw_raster, draw_membrane)
    axes = [style_axes(fig.add_subplot(grid[k])) for k in range(len(panels))]
    for ax, draw in zip(axes, panels, strict=True):
        draw(ax, evidence, *span)
        _shrink(ax)
        ax.set_xlim(*span)
        ax.tick_params(labelbottom=ax is axes[-1])
    draw_raster_legend(axes[1])
    _shrink(axes[1])
    label_seconds(axes[-1], *span)
    axes[-1].xaxis.label.set_fontsize(7)
    for ax in (axes[0], axes[-1]):
        ax.yaxis.set_label_coords(-0.052, 0.5)


def _draw_statistics(fig: Figure, evidence: Evidence, top: float, bottom: float) -> None:
    grid = fig.add_gridspec(1, 2, left=LEFT + 0.055, right=RIGHT, top=top, bottom=bottom, wspace=0.28)
    left, right = (style_axes(fig.add_subplot(grid[k])) for k in range(2))
    if evidence.plays_steps:
        draw_quantity(left, make_step_lines(evidence), "count")
    else:
        draw_precision(left, evidence)
    draw_rates(right, evidence.f_i_curve)
    right.set_xlabel("current of the step (pA)")
    right.set_ylim(bottom=0)
    for ax in (left, right):
        _shrink(ax)


def _shrink(ax: Axes) -> None:
    """Set the text of an axes in the sizes of a page that holds much."""
    ax.tick_params(labelsize=6.5)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_fontsize(7)
    ax.set_title(ax.get_title(loc="left"), loc="left", fontsize=8, color=INK)
    for text in legend.get_texts() if (legend := ax.get_legend()) else ():
        text.set_fontsize(6.5)


def _list_parameters(evidence: Evidence) -> list[tuple[str, str, str]]:
    """Fitted parameters with their standard errors, those of a bank on one line."""
    rows = []
    for line in make_parameter_lines(evidence.fit):
        if line.kind != "fitted":
            continue
        digits = 4 if len(line.values) == 1 else 2
        text = ", ".join(format_parameter(v.value, digits) for v in line.values[:BANK])
        text += f" … ({len(line.values)} in all)" if len(line.values) > BANK else ""
        errors = [v.standard_error for v in line.values]
        if len(errors) == 1 and errors[0] is not None:
            text += f" ± {format_parameter(errors[0], 2)}"
        rows.append((line.name, text, format_unit(line.unit)))
    return rows


def _write_table(
    fig: Figure, x: float, heads: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[float]
) -> None:
    """Write a table at `x`; `columns` are the offsets of its columns, of which the inner ones are right-aligned."""
    for k, row in enumerate([heads, *rows]):
        y = 0.245 - k * 0.0122
        for column, (text, offset) in enumerate(zip(row, columns, strict=True)):
            align = "right" if 0 < column < len(columns) - 1 else "left"
            fig.text(x + offset, y, text, fontsize=7, color=INK if k else MUTED, ha=align,
                     weight="normal" if k else "bold")  # fmt: skip


def _describe_origin(evidence: Evidence) -> str:
    about = evidence.fit.provenance
    parts = [about.recording or evidence.test.source, f"fitted {about.date[:10]}" if about.date else "",
             f"ephysfit {about.version}" if about.version else "", f"data {about.data_sha256[:12]}"
             if about.data_sha256 else ""]  # fmt: skip
    return " · ".join(filter(None, parts))
