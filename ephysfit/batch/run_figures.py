"""Figures of a run over its cells, for its page and for the supplement of a paper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ephysfit.deprecation import deprecated
from ephysfit.metrics.headline_scores import AGREEMENT, RATIO
from ephysfit.reports.figures.style import (
    CONSENSUS,
    EXTRA,
    GRID,
    INK,
    MISSED,
    MODEL,
    MUTED,
    NOISY,
    make_axes,
    make_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ephysfit.batch.clusters import Grouping
    from ephysfit.batch.summary import Population

SCORES = {
    AGREEMENT.name: AGREEMENT.label, "md_star_4": "Md*, ±4 ms", RATIO.name: "Γ/R of the noise-free run, ±4 ms",
    "rate_error": "rate error",
}  # fmt: skip
#: colours of the groups of cells
COLOURS = (MODEL, EXTRA, CONSENSUS, MISSED, NOISY, INK)
#: most parameters of one neuron that are drawn
MOST = 12
#: most models and neurons that are drawn
MODELS = 12


def draw_figures(found: Population) -> Iterator[tuple[str, str, Figure]]:
    """Yield (title, caption, figure) of every figure of the page."""
    yield (
        "Scores",
        "Each dot is a cell, the bar the median, the box the middle half; far outliers lie beyond the axis.",
        draw_scores(found),
    )
    if len(found.models) > 1:
        yield (
            "Models, cell by cell",
            "Each line is a cell, coloured by the model that scores best on it.",
            draw_comparison(found),
        )
    for name in list(dict.fromkeys(found.parameters["fitted"].dropna()))[:MODELS]:
        fig = draw_parameters(found, str(name))
        if fig is not None:
            yield (
                f"Parameters of {name}",
                "One panel per parameter: its distribution over the cells fitted with this neuron.",
                fig,
            )
    for name, grouping in found.groupings.items():
        yield f"Cells as {name}", _caption_of_groups(grouping), draw_clusters(grouping)


def draw_scores(found: Population) -> Figure:
    """Draw the headline scores of every cell, one row per model."""
    models = found.models[:MODELS]
    fig = make_figure(8.6, 0.9 + 0.34 * max(len(models), 2))
    for ax, (column, label) in zip(np.ravel(make_axes(fig, 1, len(SCORES), sharey=True)), SCORES.items(), strict=True):
        for k, model in enumerate(models):
            part = found.done[found.done["model"] == model][column].dropna().to_numpy(dtype=np.float64)
            _draw_strip(ax, part, k)
        ax.set_yticks(range(len(models)), models)
        ax.set_ylim(len(models) - 0.5, -0.5)
        ax.set_xlabel(label, fontsize=8)
        _limit_axis(ax, found.done[column].dropna().to_numpy(dtype=np.float64))
        if column == "rate_error":
            ax.axvline(0.0, color=GRID, lw=0.8, zorder=0)
    return fig


def _limit_axis(ax: Any, values: Any) -> None:
    """Limit the axis to the bulk of the values, so that far outliers do not compress it; the tables list those."""
    if len(values) < 8:
        return
    low, high = np.quantile(values, (0.25, 0.75))
    reach = 4.0 * max(high - low, 1e-3)
    ax.set_xlim(max(low - reach, values.min()) - 0.05 * reach, min(high + reach, values.max()) + 0.05 * reach)


def _draw_strip(ax: Any, values: Any, row: int) -> None:
    """Draw the values of one model as dots, with quartiles and median."""
    if not len(values):
        return
    jitter = np.random.default_rng(len(values)).uniform(-0.28, 0.28, len(values))
    many = len(values) > 60
    ax.plot(
        values, row + jitter, ".", color=MODEL, ms=3 if many else 8, alpha=max(0.12, min(0.8, 60 / len(values))), mew=0
    )
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    ax.plot([low, high], [row, row], color=INK, lw=4, alpha=0.35, solid_capstyle="butt")
    ax.plot([middle, middle], [row - 0.3, row + 0.3], color=INK, lw=1.6)


def draw_comparison(found: Population) -> Figure:
    """Draw Md* of each cell for every model that was fitted to it."""
    models = found.models[:MODELS]
    wide = found.done.pivot_table(index="cell", columns="model", values="md_star_8")[models]
    wide = wide.dropna().head(400)
    fig = make_figure(8.6, 3.0)
    ax = make_axes(fig)
    best = wide.to_numpy().argmax(1) if len(wide) else []
    for k, (_, row) in enumerate(wide.iterrows()):
        colour = COLOURS[int(best[k]) % len(COLOURS)]
        ax.plot(range(len(models)), row, color=colour, lw=0.8, alpha=max(0.15, min(0.9, 40 / len(wide))))
    wins = np.bincount(best, minlength=len(models)) if len(wide) else np.zeros(len(models), int)
    ax.set_xticks(range(len(models)), [f"{m}\nbest on {n}" for m, n in zip(models, wins, strict=True)], fontsize=8)
    ax.set_ylabel(AGREEMENT.label)
    return fig


def draw_parameters(found: Population, neuron: str) -> Figure | None:
    """Draw histograms of the parameters of one neuron, at most `MOST`, those that vary most; None where none varies."""
    part = found.parameters[found.parameters["fitted"] == neuron]
    by = {str(n): p for n, p in part.groupby("name") if len(p) > 1 and p["value"].nunique() > 1}
    if not by:
        return None
    names = sorted(by, key=lambda n: -_relative_spread(by[n]["value"].to_numpy(dtype=np.float64)))[:MOST]
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    fig = make_figure(8.6, 1.5 * lines + 0.2)
    panels = np.ravel(make_axes(fig, lines, columns))
    for ax, name in zip(panels, names, strict=False):
        values = by[name]["value"].dropna().to_numpy(dtype=np.float64)
        unit = by[name]["unit"].iloc[0]
        low, high = np.quantile(values, (0.01, 0.99)) if len(values) > 50 else (values.min(), values.max())
        ax.hist(values, bins=min(30, max(5, len(values) // 4)), range=(low, high) if high > low else None, color=MODEL)
        ax.axvline(float(np.median(values)), color=INK, lw=1.2)
        ax.set_xlabel(f"{name}, {unit}" if unit != "1" else name, fontsize=8)
        ax.set_yticks([])
    for ax in panels[len(names) :]:
        ax.set_axis_off()
    return fig


def _relative_spread(values: Any) -> float:
    middle = np.median(values)
    return float(np.median(np.abs(values - middle)) / (abs(middle) + 1e-9))


def _caption_of_groups(grouping: Grouping) -> str:
    groups = len(np.unique(grouping.group))
    if groups == 1:
        return "Principal components of the standardised parameters. The cells do not fall into clear groups."
    sizes = ", ".join(str(n) for n in np.bincount(grouping.group))
    return (
        f"Principal components of the standardised parameters; {groups} groups of {sizes} cells "
        f"(k-means, mean silhouette {grouping.silhouette:.2f})."
    )


def draw_clusters(grouping: Grouping) -> Figure:
    """Draw cells on the first two principal components of their parameters, coloured by group."""
    fig = make_figure(8.6, 3.4)
    ax = make_axes(fig)
    for g in np.unique(grouping.group):
        own = grouping.group == g
        ax.plot(*grouping.place[own].T, "o", ms=4, color=COLOURS[int(g) % len(COLOURS)], alpha=0.7, mew=0)
    if len(grouping.cells) <= 30:
        for name, (x, y) in zip(grouping.cells, grouping.place, strict=True):
            ax.annotate(name, (x, y), fontsize=6, color=MUTED, xytext=(3, 3), textcoords="offset points")
    ax.set_xlabel(f"component 1 ({grouping.share[0]:.0%})")
    ax.set_ylabel(f"component 2 ({grouping.share[1]:.0%})")
    return fig


#: functions by their names before 0.2.0
_RENAMED = {
    "pictures": "draw_figures",
    "scores": "draw_scores",
    "compared": "draw_comparison",
    "parameters": "draw_parameters",
    "clusters": "draw_clusters",
}


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    deprecated(f"{__name__}.{name}", f"{__name__}.{_RENAMED[name]}", "0.2.0")
    return globals()[_RENAMED[name]]
