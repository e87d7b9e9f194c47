"""Draw several fits of one cell over each other: raster, rate, and f-I curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ephysfit.metrics.trains import cut
from ephysfit.metrics.variance import mean_rate
from ephysfit.reports.figures.f_i import draw_measured, set_limits
from ephysfit.reports.figures.prediction import draw_stimulus
from ephysfit.reports.figures.rates import SIGMA
from ephysfit.reports.figures.style import (
    CONSENSUS,
    CURRENT,
    EXTRA,
    INK,
    MISSED,
    MODEL,
    NOISY,
    add_legend,
    add_legend_above,
    draw_curve,
    draw_ticks,
    format_current,
    label_seconds,
    make_axes,
    make_figure,
    set_title,
)
from ephysfit.reports.fit_comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = (MODEL, EXTRA, CONSENSUS, MISSED, CURRENT, NOISY)


def draw_side_by_side(comparison: Comparison) -> Figure:
    """Draw current, raster (one train per fit) and rates of a typical stretch of the test stimulus."""
    span = comparison.first.stretch
    fig = make_figure(9.6, 4.6 + 0.12 * len(comparison.names))
    top, middle, bottom = make_axes(fig, 3, 1, sharex=True, height_ratios=[0.8, 2.2, 1.3])
    draw_stimulus(top, comparison.first, *span)
    _draw_trains(middle, comparison, span)
    _draw_rates(bottom, comparison, span)
    for ax in (top, middle):
        ax.label_outer()
    label_seconds(bottom, *span)
    return fig


def _draw_trains(ax: Axes, comparison: Comparison, span: tuple[float, float]) -> None:
    repeats, row = comparison.first.repeats, 0.0
    marks = [((len(repeats) - 1) / 2, "recorded")]
    for train in repeats:
        draw_ticks(ax, train[(train >= span[0]) & (train < span[1])], row, INK)
        row += 1
    for name, evidence, color in zip(comparison.names, comparison.evidence, COLORS, strict=False):
        row += 0.5
        train = evidence.prediction
        draw_ticks(ax, train[(train >= span[0]) & (train < span[1])], row, color, width=1.6)
        marks.append((row, name))
        row += 1
    ax.set_yticks([y for y, _ in marks], [text for _, text in marks])
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.spines["left"].set_visible(False)
    ax.set_ylim(row - 0.3, -0.7)


def _draw_rates(ax: Axes, comparison: Comparison, span: tuple[float, float]) -> None:
    first, last = max(span[0] - 5 * SIGMA, 0.0), min(span[1] + 5 * SIGMA, comparison.first.stimulus.duration)
    rows = [("cell", comparison.first.repeats, INK)]
    rows += [(n, e.runs(e.many), c) for n, e, c in zip(comparison.names, comparison.evidence, COLORS, strict=False)]
    for name, trains, color in rows:
        values = mean_rate(cut(list(trains), first, last), last - first, SIGMA)
        draw_curve(ax, first + np.arange(len(values)) + 0.5, values, color, label=name, lw=1.1)
    ax.set_ylabel("rate (Hz)")
    ax.set_ylim(bottom=0)
    add_legend_above(ax, columns=len(rows))


def draw_f_i_curves(comparison: Comparison) -> Figure:
    """Draw the f-I curves of all fits over the measured steps."""
    fig = make_figure(9.6, 3.6)
    ax = make_axes(fig)
    found = comparison.first.f_i_curve
    for name, evidence, color in zip(comparison.names, comparison.evidence, COLORS, strict=False):
        m = evidence.f_i_curve.model
        ax.fill_between(m.current, m.low, m.high, color=color, alpha=0.15, lw=0)
        ax.plot(m.current, m.rate, color=color, lw=1.5, label=name)
    draw_measured(ax, found.cell)
    p = found.protocol
    set_title(ax, f"Steps of {p.length / 1e3:.3g} s from {format_current(p.holding)}")
    ax.set_ylabel("spikes over the step (Hz)")
    set_limits(ax, found)
    add_legend(ax, loc="upper left")
    return fig
