"""Draw the goodness of fit: time rescaling, loss by step, and the parameters between their bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.uncertainty.criteria import LIKELIHOODS
from ephysfit.reports.evidence import Evidence
from ephysfit.reports.figures.style import (
    GRID,
    INK,
    MISSED,
    MODEL,
    MUTED,
    add_legend,
    make_axes,
    make_figure,
    select_finite,
    set_title,
)
from ephysfit.reports.rescaling import rescale_time
from ephysfit.reports.tables import format_unit, make_parameter_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_time_rescaling(ax: Axes, evidence: Evidence) -> bool:
    """Draw quantiles of the hazard integrated between spikes against uniform ones; return whether there are any."""
    sets = [("test", evidence.test, MODEL, "-")]
    if evidence.train is not None:
        sets.append(("training", evidence.train, MUTED, "--"))
    drawn = False
    for name, recording, color, dash in sets:
        found = rescale_time(evidence.fit, recording)
        if found is None:
            continue
        n = len(found.quantiles)
        x = (np.arange(n) + 0.5) / n
        label = f"{name}: KS {found.distance:.3f}, 95 % limit {found.band:.3f}"
        ax.plot(x, found.quantiles, color=color, ls=dash, lw=1.5, label=label)
        if not drawn:
            ax.fill_between([0, 1], [-found.band, 1 - found.band], [found.band, 1 + found.band],
                            color=MUTED, alpha=0.15, lw=0)  # fmt: skip
        drawn = True
    ax.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="uniform quantile", ylabel="integrated hazard, quantile")
    set_title(ax, "Time rescaling")
    add_legend(ax, loc="best", fontsize=7.5)
    return drawn


def draw_loss(ax: Axes, fit: Fit) -> bool:
    """Draw the loss by step of every stage that has a curve; return whether there is any."""
    begin, drawn, stages = 0, [], []
    for estimate in fit.history:
        curves = [c for r in estimate.reports.values() for c in getattr(r, "curves", ())]
        if not curves or curves in drawn:
            continue
        drawn.append(curves)
        stages.append(estimate.stage)
        for k, curve in enumerate(curves):
            y = np.asarray(curve, dtype=float)
            label = _label_part(estimate.stage, k, len(curves))
            ax.plot(
                begin + np.arange(len(y)), y, marker="o", ms=2.5, lw=1.3, color=(MODEL, INK, MUTED)[k % 3], label=label
            )
            begin += max(len(y) - 1, 0)
    values = select_finite(v for c in drawn for part in c for v in part)
    if values.size:
        low, high = values.min(), np.percentile(values, 75)
        if values.max() > high + 3 * (high - low) > low:
            ax.set_ylim(low - 0.05 * (high - low), high + 0.5 * (high - low))
    ax.set_xlabel("step")
    what = "loss with voltage" if fit.voltage else "loss"
    ax.set_ylabel(f"{what} (nats per spike)" if set(stages) <= set(LIKELIHOODS) else "loss")
    set_title(ax, "Fit history")
    add_legend(ax, loc="best")
    return bool(drawn)


def _label_part(stage: str, k: int, n: int) -> str:
    """Return the label of part k of n of a stage; where there are many parts, only the first is labelled."""
    if n == 1:
        return stage
    return f"{stage}, part {k + 1}" if n <= 3 else f"{stage}, {n} parts" if k == 0 else "_"


def draw_goodness(evidence: Evidence) -> Figure | None:
    """Draw time rescaling beside the fit history; None where the fit has neither."""
    fig = make_figure(9.6, 3.4)
    left, right = make_axes(fig, 1, 2)
    shown = draw_time_rescaling(left, evidence), draw_loss(right, evidence.fit)
    for ax, has in zip((left, right), shown, strict=True):
        if not has:
            fig.delaxes(ax)
    if not all(shown):
        fig.set_size_inches(5.0, 3.4)
    return fig if any(shown) else None


def draw_bounds(fit: Fit) -> Figure:
    """Draw every fitted parameter between its bounds, on the axis of the fit; those on a bound are marked."""
    lines = [line for line in make_parameter_lines(fit) if line.kind == "fitted"]
    fig = make_figure(6.4, 0.6 + 0.24 * max(len(lines), 1))
    ax = make_axes(fig)
    for row, line in enumerate(lines):
        ax.plot([0, 1], [row, row], color=GRID, lw=3, solid_capstyle="round", zorder=1)
        for v in line.values:
            ax.plot(v.place, row, "o", ms=5, color=MISSED if v.at_bound else MODEL, zorder=2)
        ax.text(-0.02, row, f"{line.low:g}", ha="right", va="center", fontsize=7, color=MUTED)
        ax.text(1.02, row, f"{line.high:g} {format_unit(line.unit)}", ha="left", va="center", fontsize=7, color=MUTED)
    ax.set_yticks(range(len(lines)), [f"{line.name}          " for line in lines])
    ax.set(xlim=(-0.12, 1.2), ylim=(len(lines) - 0.4, -0.6), xticks=[])
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    for side in ax.spines.values():
        side.set_visible(False)
    return fig
