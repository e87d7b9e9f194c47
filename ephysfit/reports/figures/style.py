"""Colours and marks of all figures; recorded spikes are dark, model spikes are coloured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ephysfit.arrays import Trace, Train
from ephysfit.data.readout import Readout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: samples of any float type
Sampled: TypeAlias = npt.NDArray[np.floating[Any]]

#: each stands for a CSS variable of the page, with a light and a dark value; see `reports.svg`
INK, MUTED, GRID = "#1f2430", "#6a7180", "#d8dbe2"
CURRENT = "#8a6d3b"
MISSED, EXTRA = "#d1495b", "#e09f3e"
READOUT: dict[str, str] = {
    Readout.THRESHOLD: "#1b6ca8", Readout.CAUSAL: "#1b6ca8",
    Readout.VOTE: "#1b6ca8", Readout.CONSENSUS: "#2a9d6f", Readout.NOISY: "#7fb3d9",
}  # fmt: skip
MODEL, CONSENSUS, NOISY = READOUT[Readout.CAUSAL], READOUT[Readout.CONSENSUS], READOUT[Readout.NOISY]
NAMES = {
    INK: "ink", MUTED: "muted", GRID: "grid", CURRENT: "current", MISSED: "missed", EXTRA: "extra",
    MODEL: "model", CONSENSUS: "consensus", NOISY: "noisy",
}  # fmt: skip


def make_figure(width: float, height: float, **options: Any) -> Figure:
    """Make an empty figure (width and height in inches) with constrained layout and without global state."""
    return Figure(figsize=(width, height), layout="constrained", **options)


def fix_layout(fig: Figure) -> None:
    """Lay a figure out once and for all: saving it would draw all of it one time more to do so."""
    engine = fig.get_layout_engine()
    if engine is not None:
        engine.execute(fig)
        with rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
            fig.set_layout_engine(None)  # not "none": its placeholder counts as an engine, and all would be drawn again


def make_axes(fig: Figure, *shape: Any, **options: Any) -> Any:
    """Make the axes of a figure in the common style; arguments as of `Figure.subplots`."""
    made = fig.subplots(*shape, **options)
    for ax in np.ravel(np.asarray(made, dtype=object)):
        style_axes(ax)
    return made


def style_axes(ax: Axes) -> Axes:
    """Set the common style of an axes."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(MUTED)
    ax.tick_params(colors=MUTED, labelsize=8, length=3)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_color(INK)
        label.set_fontsize(9)
    ax.title.set_color(INK)
    return ax


def format_current(current: float) -> str:
    """Format a current in whole pA with a minus sign, for titles.

    Examples
    --------
    >>> format_current(-0.2), format_current(-35.4)
    ('0 pA', '−35 pA')
    """
    return f"{round(current)} pA".replace("-", "−")


def set_title(ax: Axes, text: str) -> None:
    """Set a short title at the left."""
    ax.set_title(text, loc="left", fontsize=9.5, color=INK)


def add_legend(ax: Axes, **options: Any) -> None:
    """Add a legend without frame, where there are labelled artists."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(**{"frameon": False, "fontsize": 8, "labelcolor": INK, "handlelength": 1.4, **options})


def add_legend_above(ax: Axes, columns: int = 3) -> None:
    """Add a legend on one line above the right end of an axes, where it covers no data."""
    add_legend(ax, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=columns, borderaxespad=0.1, columnspacing=1.2)


def draw_missing(ax: Axes, why: str) -> None:
    """Write in an empty axes why there is nothing to draw."""
    ax.text(0.5, 0.5, why, ha="center", va="center", transform=ax.transAxes, color=MUTED, fontsize=9)
    ax.set_xticks([])
    ax.set_yticks([])


def draw_ticks(ax: Axes, train: Train, row: float, color: str, *, height: float = 0.8, width: float = 1.0) -> None:
    """Draw the spikes of one train (ms) as ticks, in one path for any number of spikes."""
    if len(train):
        x = np.repeat(np.asarray(train, dtype=float), 3)
        y = np.tile([row - height / 2, row + height / 2, np.nan], len(train))
        ax.plot(x, y, color=color, lw=width, solid_capstyle="butt")


def draw_curve(ax: Axes, times: Sampled, values: Sampled, color: str, *, points: int = 3000, **options: Any) -> None:
    """Draw a trace, thinned to the extremes of `points` / 2 bins so that no peak is lost."""
    x, y = thin_trace(times, values, points)
    ax.plot(x, y, color=color, **{"lw": 0.9, **options})


def thin_trace(times: Sampled, values: Sampled, points: int) -> tuple[Sampled, Sampled]:
    """Thin a trace to the minimum and maximum of each of `points` / 2 bins; short traces stay unchanged.

    Parameters
    ----------
    times, values : (time,) array
    points : int

    Returns
    -------
    times, values : (point,) array
        In order of time.

    Examples
    --------
    >>> t, v = thin_trace(np.arange(8.0), np.array([0, 9, 1, 2, 3, -5, 4, 1.0]), 4)
    >>> v.tolist()
    [0.0, 9.0, -5.0, 4.0]
    """
    n = len(values)
    bins = max(points // 2, 1)
    if n <= 2 * bins:
        return times, values
    width = n // bins
    whole = values[: bins * width].reshape(bins, width)
    first = np.arange(bins) * width
    ends = np.sort([first + whole.argmin(1), first + whole.argmax(1)], axis=0)
    chosen = np.unique(np.append(ends.T.ravel(), np.arange(bins * width, n)))
    return times[chosen], values[chosen]


def label_seconds(ax: Axes, start: float, stop: float) -> None:
    """Label a time axis in ms with seconds, so that long stretches stay readable."""
    ax.set_xlim(start, stop)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms / 1e3:g}"))
    ax.set_xlabel("time (s)")


def select_finite(values: Iterable[float]) -> Trace:
    """Select the finite values."""
    array = np.asarray(list(values), dtype=float)
    return array[np.isfinite(array)]
