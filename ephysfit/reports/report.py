"""Write the report of a fit: one self-contained HTML page, and a figure."""

from __future__ import annotations

from pathlib import Path

from ephysfit.data.recording import Recording
from ephysfit.files import replacing, write_text
from ephysfit.fitting.fit_result import Fit
from ephysfit.reports.evidence import Evidence, gather_evidence
from ephysfit.reports.figures import draw_overview
from ephysfit.reports.page import render_page


def report(fit: Fit, test: Recording, path: str | Path, *, train: Recording | None = None) -> Path:
    """Write the report of a fit: one HTML page that works offline, and a PNG figure beside it.

    Parameters
    ----------
    fit : Fit
    test : Recording
        Sweeps of the same cell that were not used by the fit.
    path : str or Path
        File of the page, ``cell_42.html``; the figure has the same name with ``.png``. Missing folders are created.
    train : Recording, optional
        The training sweeps: adds the goodness of fit on them, and the statistics of their current.

    Returns
    -------
    Path
        File of the page.

    Raises
    ------
    SimulationError, ScoreError
        If the sampling of the test stimuli does not match the step of the fit, or they cannot be scored.

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
    return write_report(gather_evidence(fit, test, train), path)


def write_report(evidence: Evidence, path: str | Path) -> Path:
    """Write page and figure of gathered evidence, and return the file of the page."""
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        path = path.with_name(path.name + ".html")
    write_text(path, render_page(evidence))
    with replacing(path.with_suffix(".png")) as beside:
        draw_overview(evidence).savefig(beside, dpi=160, facecolor="white")
    return path
