"""Draw what a cell does at current steps, and the model: spikes, first spike and adaptation by amplitude."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ephysfit.metrics.step_answers import Answer
from ephysfit.reports.evidence import Evidence
from ephysfit.reports.figures.style import (
    INK,
    MODEL,
    MUTED,
    add_legend,
    make_axes,
    make_figure,
    set_title,
)
from ephysfit.reports.step_table import QUANTITIES, StepLine, explain_missing_steps, make_step_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLES = {
    "count": "Spikes in a step",
    "latency": "First spike after the onset",
    "adaptation": "Last over first interval",
}
_UNITS = {"count": "spikes", "latency": "ms", "adaptation": "octaves"}


def draw_steps(evidence: Evidence) -> Figure | str:
    """Draw count, latency and adaptation of the held-out steps, beside a line between those that trained."""
    lines = make_step_lines(evidence)
    if not lines:
        return explain_missing_steps(evidence)
    fig = make_figure(9.6, 3.1)
    for ax, (name, *_) in zip(make_axes(fig, 1, 3), QUANTITIES, strict=True):
        draw_quantity(ax, lines, name)
    return fig


def draw_quantity(ax: Axes, lines: Sequence[StepLine], name: str) -> None:
    """Draw one quantity by amplitude: "count", "latency" or "adaptation"."""
    x = np.array([line.amplitude for line in lines])
    cell, model, spread, straight = (
        _read([getattr(line, kind) for line in lines], name) for kind in ("cell", "model", "spread", "line")
    )
    ax.plot(x, cell, ls="", marker="o", ms=6, mec=INK, mfc="none", mew=1.4, label="cell, held out")
    ax.errorbar(x, model, np.nan_to_num(spread), color=MODEL, ls="", marker="o", ms=3.5, elinewidth=1.0,
                label="model ± sd of runs" if np.isfinite(spread).any() else "model")  # fmt: skip
    if np.isfinite(straight).any():
        ax.plot(x, straight, color=MUTED, ls="", marker="_", ms=12, mew=1.6, label="line between neighbours")
    set_title(ax, _TITLES[name])
    ax.set(xlabel="current of the step (pA)", ylabel=_UNITS[name])
    every = np.concatenate([cell, model, straight])
    if not np.isfinite(every).any():
        needs = "no step makes three spikes" if name == "adaptation" else "no step makes a spike after its onset"
        ax.text(0.5, 0.5, needs, transform=ax.transAxes, ha="center", va="center", color=MUTED, fontsize=8.5)
        ax.set_yticks([])
    elif name != "adaptation":
        ax.set_ylim(bottom=0)
    if name == "count":
        ax.set_ylim(top=1.35 * ax.get_ylim()[1])  # room for the legend
        add_legend(ax, loc="upper left")


def _read(answers: Sequence[Answer], name: str) -> np.ndarray:
    return np.array([getattr(a, name) for a in answers], dtype=float)
