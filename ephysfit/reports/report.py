"""Write the report of a fit: one self-contained HTML page, and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ephysfit.data.recording import Recording
from ephysfit.errors import ScoreError
from ephysfit.files import replacing, write_text
from ephysfit.fitting.fit_result import Fit
from ephysfit.reports.comparison_page import render_comparison
from ephysfit.reports.evidence import Evidence, gather_evidence
from ephysfit.reports.fit_comparison import Comparison, compare_fits
from ephysfit.reports.one_page import save_summary
from ephysfit.reports.page import draw_figures, render_page
from ephysfit.system import one_blas_thread

#: ending of the summary on one page
PDF = ".pdf"


@one_blas_thread()
def report(
    fit: Fit | Sequence[Fit], test: Recording, path: str | Path, *, train: Recording | None = None, pdf: bool = False
) -> Path:
    """Write the report of a fit: one HTML page that works offline, and a PNG figure beside it.

    Parameters
    ----------
    fit : Fit or sequence of Fit
        Several fits of one cell are compared side by side, on one page.
    test : Recording
        Sweeps of the same cell that were not used by the fit.
    path : str or Path
        File of the page, ``cell_42.html``; the figure has the same name with ``.png``. A name that ends in ``.pdf``
        gives the summary on one page of A4 instead. Missing folders are created.
    train : Recording, optional
        The training sweeps: adds the goodness of fit on them, their steps in the f-I curve, and the range of their
        current.
    pdf : bool
        Whether to write the summary on one page of A4 too, under the same name with ``.pdf``.

    Returns
    -------
    Path
        File of the page.

    Raises
    ------
    SimulationError, ScoreError
        If the sampling of the test stimuli does not match the step of the fit, or they cannot be scored; if fits that
        are compared are of different cells, or a summary of several fits is asked for.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from ephysfit.models.lif import LIF
    >>> cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> test = Recording.of(np.full((3, 4000), 150.0), dt=0.5, spike_times=[[100.0, 900.0], [101.0], [99.0, 902.0]])
    >>> page = report(Fit(cell, "demo", 0.5), test, tempfile.mkdtemp() + "/demo.html")
    >>> page.name, page.with_suffix(".png").exists()
    ('demo.html', True)
    """
    path = Path(path)
    if not isinstance(fit, Fit):
        if pdf or path.suffix.lower() == PDF:
            raise ScoreError("a summary on one page is of one fit; write the comparison of several as .html")
        return write_comparison(compare_fits(list(fit), test, train), path)
    evidence = gather_evidence(fit, test, train)
    if path.suffix.lower() == PDF:
        return save_summary(evidence, path)
    written = write_report(evidence, path)
    if pdf:
        save_summary(evidence, written.with_suffix(PDF))
    return written


def write_report(evidence: Evidence, path: str | Path) -> Path:
    """Write page and figure of gathered evidence, and return the file of the page."""
    path = _add_suffix(path)
    figures = draw_figures(evidence)
    overview = figures["overview"]
    assert not isinstance(overview, str)
    write_text(path, render_page(evidence, figures))
    with replacing(path.with_suffix(".png")) as beside:
        overview.savefig(beside, dpi=160, facecolor="white")
    return path


def write_comparison(comparison: Comparison, path: str | Path) -> Path:
    """Write the page of several fits side by side, and return its file."""
    return write_text(_add_suffix(path), render_comparison(comparison))


def _add_suffix(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix.lower() in (".html", ".htm") else path.with_name(path.name + ".html")
