"""Draw the goodness of fit: time rescaling, loss by step, and the parameters between their bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from ephysfit.reports.tables import format_unit, make_parameter_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_time_rescaling(ax: Axes, evidence: Evidence) -> bool:
    """Draw quantiles of the hazard integrated between spikes against uniform ones; return whether there are any."""
    found = evidence.rescaled
    for name, test in found.items():
        n = len(test.quantiles)
        color, dash = _SIDES[name]
        label = f"{name}: {'passes' if test.within else 'fails'}, KS {test.distance:.3f} (limit {test.band:.3f})"
        ax.plot((np.arange(n) + 0.5) / n, test.quantiles, color=color, ls=dash, lw=1.5, label=label)
    for test in list(found.values())[:1]:
        ax.fill_between([0, 1], [-test.band, 1 - test.band], [test.band, 1 + test.band], color=MUTED, alpha=0.15, lw=0)
    ax.plot([0, 1], [0, 1], color=INK, lw=0.8, ls=":")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="uniform quantile", ylabel="integrated hazard, quantile")
    set_title(ax, "Time rescaling")
    add_legend(ax, loc="best", fontsize=7.5)
    return bool(found)


_SIDES = {"test": (MODEL, "-"), "training": (MUTED, "--")}


@dataclass(frozen=True)
class LossCurve:
    """The loss of one stage, step by step: `parts` are the starts and the last ascent, or the one curve of a search."""

    stage: str
    parts: tuple[tuple[float | None, ...], ...]


def list_losses(fit: Fit) -> dict[str, list[LossCurve]]:
    """List the loss curves of the stages by what was lowered: stages of one loss share an axis."""
    found: dict[str, list[LossCurve]] = {}
    drawn = []
    for estimate in fit.history:
        for report in estimate.reports.values():
            parts = getattr(report, "curves", ())
            if parts and parts not in drawn:
                drawn.append(parts)
                found.setdefault(_name_loss(fit, estimate.stage, report), []).append(LossCurve(estimate.stage, parts))
    return found


def _name_loss(fit: Fit, stage: str, report: object) -> str:
    if stage in LIKELIHOODS:
        return f"likelihood{' with voltage' if fit.voltage else ''}: nats per spike"
    return _LOSSES.get(getattr(report, "loss", ""), f"loss of {stage}")


_LOSSES = {
    "KernelScore": "score of smoothed spike trains",
    "Coincidence": "1 − coincidence",
    "VanRossum": "van Rossum distance",
}


def draw_loss(ax: Axes, name: str, losses: Sequence[LossCurve]) -> None:
    """Draw the curves of one loss by step."""
    begin, k = 0, 0
    for loss in losses:
        for part, curve in enumerate(loss.parts):
            y = np.asarray(curve, dtype=float)
            ax.plot(begin + np.arange(len(y)), y, marker="o", ms=2.5, lw=1.3, color=(MODEL, INK, MUTED)[k % 3],
                    label=_label_part(loss.stage, part, len(loss.parts)))  # fmt: skip
            begin, k = begin + max(len(y) - 1, 0), k + 1
    values = select_finite(v for loss in losses for part in loss.parts for v in np.asarray(part, dtype=float))
    if values.size:
        low, high = values.min(), np.percentile(values, 75)
        if values.max() > high + 3 * (high - low) > low:
            ax.set_ylim(low - 0.05 * (high - low), high + 0.5 * (high - low))
    ax.set_xlabel("step")
    ax.set_ylabel(name)
    set_title(ax, "Fit history")
    add_legend(ax, loc="best")


def _label_part(stage: str, k: int, n: int) -> str:
    """Return the label of part k of n of a stage; where there are many parts, only the first is labelled."""
    if n == 1:
        return stage
    return f"{stage}, part {k + 1}" if n <= 3 else f"{stage}, {n} parts" if k == 0 else "_"


def draw_history(evidence: Evidence) -> Figure | str:
    """Draw the losses of a fit by step, one panel for each kind of loss."""
    losses = list_losses(evidence.fit)
    if not losses:
        return "No stage of this fit has a loss curve."
    fig = make_figure(4.2 + 2.7 * (len(losses) - 1), 3.4)
    _draw_losses(list(make_axes(fig, 1, len(losses), squeeze=False)[0]), losses)
    return fig


def _draw_losses(axes: Sequence[Axes], losses: Mapping[str, Sequence[LossCurve]]) -> None:
    for ax, (name, curves) in zip(axes, losses.items(), strict=True):
        draw_loss(ax, name, curves)


def draw_goodness(evidence: Evidence) -> Figure | str:
    """Draw time rescaling beside the fit history, a panel for each kind of loss."""
    losses = list_losses(evidence.fit)
    first = 1 if evidence.rescaled else 0
    panels = first + len(losses)
    if not panels:
        return f"{evidence.fit.model} has no hazard to test, or too few spikes for it, and no stage has a loss curve."
    fig = make_figure(9.6 if panels > 1 else 5.0, 3.4)
    axes = list(make_axes(fig, 1, panels, squeeze=False)[0])
    if first:
        draw_time_rescaling(axes[0], evidence)
    _draw_losses(axes[first:], losses)
    return fig


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
