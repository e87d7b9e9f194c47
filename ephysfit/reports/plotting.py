"""plot(): one figure of a recording or of a fit, for notebooks and papers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ephysfit.data.recording import Recording
from ephysfit.errors import ScoreError
from ephysfit.fitting.fit_result import Fit
from ephysfit.reports.evidence import Evidence, gather_evidence
from ephysfit.reports.figures.recorded_sweeps import draw_pages
from ephysfit.reports.figures.single import draw_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot(
    shown: Recording | Fit | Evidence,
    kind: str = "",
    test: Recording | None = None,
    *,
    train: Recording | None = None,
    stretch: tuple[float, float] | None = None,
    page: int = 0,
    runs: int = 200,
    seed: int = 1,
    path: str | Path | None = None,
) -> Figure:
    """Draw one figure of a recording, or of a fit beside the recorded spikes.

    Parameters
    ----------
    shown : Recording, Fit or Evidence
        Of a recording its sweeps are drawn: current, voltage, spikes and their shapes.
    kind : str
        Of a fit, one of the kinds that ``ephysfit plot --help`` lists (docs/gallery.md shows them): "overview" unless
        given, "raster", "f-i", "misses" ...
    test : Recording
        Of a fit: sweeps of the same cell that it has not seen.
    train : Recording, optional
        Of a fit: its training sweeps, for figures that need them.
    stretch : (float, float), optional
        Start and stop, ms, of figures in time.
    page : int
        Of a recording: which page of sweeps, counted from 0.
    runs : int
        Noisy runs.
    seed : int
        Of these.
    path : path, optional
        Also write the figure there, as ``.png``, ``.pdf`` or ``.svg``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ScoreError
        If there is no such kind, the fit has nothing to show as it, or no recording to show it on is given.

    Examples
    --------
    >>> import numpy as np
    >>> recording = Recording.of(np.full((2, 4000), 150.0), 0.1, spike_times=[[20.0], [21.0]])
    >>> len(plot(recording).axes) > 0
    True
    """
    _show_figures_in_notebooks()
    figure = _draw(shown, kind, test, train, stretch, page, runs, seed)
    if path is not None:
        save_figure(figure, path)
    return figure


def _draw(
    shown: Any, kind: str, test: Recording | None, train: Recording | None, stretch: tuple[float, float] | None,
    page: int, runs: int, seed: int,
) -> Figure:  # fmt: skip
    if isinstance(shown, Recording):
        if kind not in ("", "sweeps"):
            raise ScoreError(
                f"a recording is drawn as 'sweeps', not {kind!r}; other kinds are of a fit: fit.plot({kind!r}, test)"
            )
        pages = draw_pages(shown)
        if not 0 <= page < len(pages):
            raise ScoreError(f"page {page}: the {len(shown)} sweeps fill {len(pages)} pages, counted from 0")
        return pages[page]
    if isinstance(shown, Fit):
        if test is None:
            raise ScoreError(f"a figure of a fit needs sweeps to be shown on: fit.plot({kind or 'overview'!r}, test)")
        shown = gather_evidence(shown, test, train, runs=runs, seed=seed)
    if not isinstance(shown, Evidence):
        raise ScoreError(f"plot() draws a recording or a fit, not {type(shown).__name__}")
    return draw_figure(shown, kind or "overview", stretch)


def _show_figures_in_notebooks() -> None:
    """Have a notebook display figures that are made without pyplot; nothing happens elsewhere."""
    if "IPython" not in sys.modules:
        return
    from IPython.core.getipython import get_ipython  # optional, and loaded already
    from IPython.core.pylabtools import select_figure_formats

    shell = get_ipython()  # type: ignore[no-untyped-call]
    if shell is not None:
        select_figure_formats(shell, {"png"})
