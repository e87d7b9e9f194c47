"""Outlines of zoomable views: their panels and marks, apart from the numbers and from what draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Train

#: name of the time axis that all panels share
SPAN = "span"


@dataclass(frozen=True)
class MarkOutline:
    """A line or the ticks of spikes, without its numbers.

    Parameters
    ----------
    name : str
        Name of its columns in `View.columns`.
    color : str
        One of `figures.style`.
    columns : tuple of str
        ``x`` and ``y`` of a line; ``x``, ``low`` and ``high`` of ticks.
    legend : str
        Entry in the legend; empty for none.
    width : float
        Of ticks, pixels.
    dash : str
        Of a line.
    """

    name: str
    color: str
    columns: tuple[str, ...] = ("x", "y")
    legend: str = ""
    width: float = 1.2
    dash: str = "solid"


@dataclass(frozen=True)
class PanelOutline:
    """A panel without its numbers.

    Parameters
    ----------
    label : str
        Of the y axis.
    height : int
        Pixels.
    marks : tuple of MarkOutline
    y_range : str
        Name of its range in `View.ranges`; empty where bokeh finds the range.
    rows : tuple of (float, str)
        Labels of the y axis in place of numbers, with their places.
    """

    label: str
    height: int
    marks: tuple[MarkOutline, ...]
    y_range: str = ""
    rows: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class View:
    """Panels and their numbers.

    Parameters
    ----------
    panels : tuple of PanelOutline
    columns : mapping of str to mapping of str to ndarray
        Of each mark by name.
    ranges : mapping of str to mapping of str to values
        Attributes of each range by name: ``start``, ``end``, ``bounds``.
    """

    panels: tuple[PanelOutline, ...]
    columns: Mapping[str, Mapping[str, npt.NDArray[np.floating[Any]]]] = field(default_factory=dict)
    ranges: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def make_tick_segments(trains: Sequence[tuple[Train, float]]) -> dict[str, Any]:
    """Convert spike trains (ms) with their rows to tick segments: ``x`` in s, ``low`` and ``high`` about the row."""
    x = np.concatenate([np.empty(0), *(t for t, _ in trains)]) / 1e3
    y = np.concatenate([np.empty(0), *(np.full(len(t), row) for t, row in trains)])
    return {"x": x.astype(np.float32), "low": (y - 0.4).astype(np.float32), "high": (y + 0.4).astype(np.float32)}
