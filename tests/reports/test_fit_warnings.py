"""What a fit says of its own recording is not said of another; what a drift option leaves out is said."""

from __future__ import annotations

import numpy as np
import pytest

from ephysfit.cli.fit_parts import describe_unmodelled_drift
from ephysfit.data.recording import Recording
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.provenance import Provenance
from ephysfit.models import LIF
from ephysfit.reports.evidence import gather_evidence
from ephysfit.synthetic import noise_current, respond

CELL = LIF(C=80.0, g=5.0, E_L=-65.0, theta=-48.0, V_reset=-60.0, t_ref=3.0, delta=2.0)
DRIFTED = "the cell's excitability drifted"


@pytest.mark.parametrize(("source", "own"), [("day_1.npz", True), ("folder/day_1.npz", True), ("day_2.npz", False)])
def test_a_drift_is_of_the_recording_it_was_seen_in(source, own):
    sweep = respond(CELL, noise_current(2000.0, 0.5, 70.0, 120.0, 5.0, 1), 0.5, noise="escape", seed=1)
    test = Recording((sweep,), cell="c7", source=source)
    fit = Fit(CELL, "c7", 0.5, provenance=Provenance(recording="day_1.npz"), warnings=(DRIFTED,))
    (said,) = gather_evidence(fit, test, runs=2).fit_warnings
    assert (said == DRIFTED) == own
    assert own or said == f"of the fit to day_1.npz, not of this recording: {DRIFTED}"


def record(count, seconds):
    return Recording.of(np.zeros((count, round(seconds * 1e3))), 1.0, spike_times=[[10.0]] * count)


def test_an_option_that_models_nothing_is_not_left_without_a_word():
    assert "--drift auto models no drift here" in describe_unmodelled_drift(record(8, 5.0), "auto")
    assert "these are 1 sweep of 10 s" in describe_unmodelled_drift(record(1, 10.0), "auto")
    assert describe_unmodelled_drift(record(1, 30.0), "auto") == ""
    assert "begin anew with every sweep" in describe_unmodelled_drift(record(2, 30.0), "2")
    assert describe_unmodelled_drift(record(1, 30.0), "2") == describe_unmodelled_drift(record(8, 5.0), "0") == ""
