"""Draw the f-I curve: rate over whole steps with its spread, and rates of the first interval and at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ephysfit.reports.evidence import Evidence
from ephysfit.reports.f_i_curve import BAND, FICurve, MeasuredRates
from ephysfit.reports.figures.style import (
    CONSENSUS,
    CURRENT,
    INK,
    MODEL,
    MUTED,
    add_legend,
    format_current,
    make_axes,
    make_figure,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: room beside the outermost current, as a part of the range
ROOM = 0.03


def draw_f_i(evidence: Evidence) -> Figure:
    """Draw the f-I curve of cell and model: left the rate over whole steps, right of first interval and steady."""
    found = evidence.f_i_curve
    fig = make_figure(9.6, 3.4)
    left, right = make_axes(fig, 1, 2)
    draw_rates(left, found)
    draw_first_and_steady(right, found)
    for ax in (left, right):
        set_limits(ax, found)
    if found.note:
        left.set_xlabel(f"{left.get_xlabel()}\n{found.note}")
    return fig


def draw_rates(ax: Axes, found: FICurve) -> None:
    """Draw the rate over the whole step: mean and spread of the model's runs, and the measured steps."""
    _shade_outside(ax, found)
    m, cell = found.model, found.cell
    if m.runs > 1:
        ax.fill_between(m.current, m.low, m.high, color=MODEL, alpha=0.2, lw=0,
                        label=f"{100 * BAND:.0f} % of {m.runs} noisy runs")  # fmt: skip
    ax.plot(m.current, m.rate, color=MODEL, lw=1.6, label="model, mean" if m.runs > 1 else "model")
    draw_measured(ax, cell)
    p = found.protocol
    set_title(ax, f"Steps of {p.length / 1e3:.3g} s from {format_current(p.holding)}")
    ax.set_ylabel("spikes over the step (Hz)")
    if not np.any(m.rate):
        ax.text(0.5, 0.5, "the model fires at none of these currents", transform=ax.transAxes, ha="center", color=MUTED,
                fontsize=8.5)  # fmt: skip
    add_legend(ax, loc="upper left")


def draw_measured(ax: Axes, cell: MeasuredRates) -> None:
    """Draw the measured steps of a cell, filled where the fit has not used them."""
    for chosen, fill, label in ((~cell.held_out, "none", "cell, fitted"), (cell.held_out, INK, "cell, held out")):
        if chosen.any():
            ax.plot(cell.current[chosen], cell.rate[chosen], ls="", marker="o", ms=4.5, mec=INK, mfc=fill, label=label)


def draw_first_and_steady(ax: Axes, found: FICurve) -> None:
    """Draw the rate of the first interval and that of the second half of the step."""
    _shade_outside(ax, found, "")
    m, cell = found.model, found.cell
    pairs = ((m.first, cell.first, CURRENT, "^", "first interval"), (m.steady, cell.steady, CONSENSUS, "s", "steady"))
    for own, measured, color, marker, name in pairs:
        ax.plot(m.current, own, color=color, lw=1.6, label=f"model, {name}")
        for chosen, fill in ((~cell.held_out, "none"), (cell.held_out, color)):
            ax.plot(cell.current[chosen], measured[chosen], ls="", marker=marker, ms=4.5, mec=color, mfc=fill)
        if cell.current.size:
            ax.plot([], [], ls="", marker=marker, ms=4.5, mec=color, mfc=color, label=f"cell, {name}")
    set_title(ax, "At the beginning and at the end")
    ax.set_ylabel("1 / interval (Hz)")
    add_legend(ax, loc="upper left")


def _shade_outside(ax: Axes, found: FICurve, label: str = "outside what it was fitted to") -> None:
    low, high = found.trained
    begin, end = _find_axis_limits(found)
    slack = ROOM * (end - begin)  # a recorded current is a little off its command, and the axis wider than the curve
    for a, b in ((begin, min(low, end)), (max(high, begin), end)):
        if b - a > 2 * slack:
            ax.axvspan(a, b, color=MUTED, alpha=0.14, lw=0, zorder=0, label=label or "_")
            label = ""


def _find_axis_limits(found: FICurve) -> tuple[float, float]:
    every = np.concatenate([found.model.current, found.cell.current])
    room = ROOM * max(float(np.ptp(every)), 1.0)
    return float(every.min()) - room, float(every.max()) + room


def set_limits(ax: Axes, found: FICurve) -> None:
    """Set the limits and the label of the axes of an f-I curve."""
    ax.set_xlim(*_find_axis_limits(found))
    top = ax.get_ylim()[1]
    ax.set_ylim(0, max(1.15 * top, 1.0))
    ax.set_xlabel("current of the step (pA)")
