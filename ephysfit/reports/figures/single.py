"""Draw single figures for talks and papers, of one panel or as in the report, and save them as PNG, PDF or SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from matplotlib import rc_context

from ephysfit.errors import ScoreError, near
from ephysfit.files import replacing
from ephysfit.reports.evidence import Evidence
from ephysfit.reports.figures.goodness import draw_history, draw_time_rescaling
from ephysfit.reports.figures.plots import PLOTS, Drawer
from ephysfit.reports.figures.prediction import (
    draw_membrane,
    draw_overview,
    draw_raster,
    draw_raster_legend,
    draw_stimulus,
)
from ephysfit.reports.figures.rates import draw_intervals, draw_precision, draw_psth
from ephysfit.reports.figures.style import label_seconds, make_axes, make_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: suffixes of the formats in which a figure can be saved
FORMATS = (".png", ".pdf", ".svg")
#: pixels per inch of a PNG
DPI = 200


def _draw_marked_raster(ax: Axes, evidence: Evidence, start: float, stop: float) -> None:
    draw_raster(ax, evidence, start, stop)
    draw_raster_legend(ax)


_IN_TIME: Mapping[str, tuple[Callable[[Axes, Evidence, float, float], None], str]] = MappingProxyType({
    "raster": (_draw_marked_raster, "recorded repeats above, model runs below; missed and extra spikes marked"),
    "psth": (draw_psth, "smoothed rate of cell and model"),
    "membrane": (draw_membrane, "membrane potential of cell and model with its threshold"),
    "current": (draw_stimulus, "the injected current"),
})  # fmt: skip
_PANELS: Mapping[str, tuple[Callable[[Axes, Evidence], object], str]] = MappingProxyType({
    "precision": (draw_precision, "coincidence factor by window, beside the cell's own"),
    "intervals": (draw_intervals, "distribution of interspike intervals"),
    "rescaling": (draw_time_rescaling, "time-rescaling test of the hazard"),
})  # fmt: skip

_WHOLE: Mapping[str, tuple[Drawer, str]] = MappingProxyType({
    "history": (draw_history, "loss by step of the fit"),
    **{name: (plot.draw, plot.title.lower()) for name, plot in PLOTS.items()},
})  # fmt: skip

#: name of each kind of figure → short description
KINDS: Mapping[str, str] = MappingProxyType(
    {name: description for name, (_, description) in (*_WHOLE.items(), *_IN_TIME.items(), *_PANELS.items())}
)


def draw_figure(evidence: Evidence, kind: str, stretch: tuple[float, float] | None = None) -> Figure:
    """Draw one figure of a fit.

    Parameters
    ----------
    evidence : Evidence
    kind : str
        One of `KINDS`.
    stretch : (float, float), optional
        Start and stop (ms) of figures in time; a typical stretch of 2.5 s unless given.

    Returns
    -------
    Figure

    Raises
    ------
    ScoreError
        If there is no such kind, or this fit has no data for it.
    """
    made: Figure | str
    if kind == "overview":
        made = draw_overview(evidence, stretch)
    elif kind in _IN_TIME:
        made = _draw_in_time(evidence, kind, stretch or evidence.stretch)
    elif kind in _PANELS:
        made = _draw_panel(evidence, kind)
    elif kind in _WHOLE:
        made = _WHOLE[kind][0](evidence)
    else:
        raise ScoreError(f"there is no figure {kind!r}; {near(kind, KINDS)}")
    if isinstance(made, str):
        raise ScoreError(
            f"{evidence.fit.model} of {evidence.fit.cell} has nothing to show as {kind!r} ({KINDS[kind]}): {made}"
        )
    return made


def _draw_in_time(evidence: Evidence, kind: str, stretch: tuple[float, float]) -> Figure:
    fig = make_figure(9.6, 3.4 if kind == "raster" else 2.4)
    ax = make_axes(fig)
    _IN_TIME[kind][0](ax, evidence, *stretch)
    label_seconds(ax, *stretch)
    return fig


def _draw_panel(evidence: Evidence, kind: str) -> Figure | str:
    fig = make_figure(4.2, 3.4)
    shown = _PANELS[kind][0](make_axes(fig), evidence) is not False
    return fig if shown else "the neuron has no hazard, or there are too few intervals to test it."


def save_figure(fig: Figure, path: str | Path) -> Path:
    """Write a figure as its ending says, text as text; folders are made.

    Raises
    ------
    ScoreError
        If the ending names no format.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ScoreError(f"{path}: ends in none of {', '.join(FORMATS)}")
    with replacing(path) as beside, rc_context({"svg.fonttype": "none", "pdf.fonttype": 42}):
        fig.savefig(beside, dpi=DPI, facecolor="white")
    return path
