"""Rows hold what Score and Fit hold, nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from ephysfit.data.recording import Recording
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.stage_reports import LikelihoodReport
from ephysfit.models.aigif import AIGIF
from ephysfit.models.lif import LIF
from ephysfit.reports.evidence import Evidence, gather_evidence
from ephysfit.reports.headline import write_headline
from ephysfit.reports.tables import (
    make_parameter_lines,
    make_provenance_lines,
    make_score_lines,
    make_stage_lines,
)
from tests.reports.conftest import by_hand, cell


@pytest.fixture(scope="module")
def evidence(fit: Fit, test_recording: Recording) -> Evidence:
    return gather_evidence(fit, test_recording, runs=40)


def test_every_score_stands_in_one_line(evidence: Evidence) -> None:
    lines = make_score_lines(evidence.scores)
    for readout, score in evidence.scores.items():
        rows = [r for r in score if "consensus" not in r.name]
        shown = [line.cells[readout] for line in lines if readout in line.cells]
        assert shown == rows
    assert {line.setting for line in lines if line.metric == "md_star"} == {"±4 ms", "±8 ms"}


def test_parameters_are_those_of_the_fit() -> None:
    neuron = AIGIF.start()
    lines = make_parameter_lines(by_hand(neuron, LikelihoodReport(standard_errors={"theta": 0.5})))
    flat = {v.name: v for line in lines for v in line.values}
    for row in by_hand(neuron).parameters():
        assert flat[row["name"]].value == row["value"]
    assert flat["theta"].standard_error == 0.5
    kinds = {line.name: line.kind for line in lines}
    assert (kinds["I_0"], kinds["R"], kinds["tau_K"]) == ("measured", "fitted", "fixed")
    assert [v.value for line in lines if line.name == "tau_K" for v in line.values] == list(neuron.tau_K)


def test_bounds_are_marked() -> None:
    lines = {line.name: line for line in make_parameter_lines(by_hand(cell().replace(t_ref=20.0, g=0.1)))}
    assert lines["t_ref"].values[0].at_bound == "high"
    assert lines["g"].values[0].at_bound == "low"
    assert (lines["t_ref"].values[0].place, lines["g"].values[0].place) == (1.0, 0.0)


def test_history_and_provenance(fit: Fit) -> None:
    assert [(s.stage, s.train, s.validation, s.seconds) for s in make_stage_lines(fit)][1] == (
        "likelihood",
        3.25,
        3.5,
        1.5,
    )
    assert ("seed", "7") in make_provenance_lines(fit)


def test_headline_counts_spikes_of_the_scored_stretch(evidence: Evidence) -> None:
    (span,) = (evidence.scored,)
    data = [t[(t >= span[0]) & (t < span[1])] for t in evidence.repeats]
    own = evidence.prediction[(evidence.prediction >= span[0]) & (evidence.prediction < span[1])]
    near = lambda t, others: any(abs(t - o) <= 4.0 + 1e-6 for o in others)  # noqa: E731
    hit = np.mean([near(t, own) for r in data for t in r])
    extra = np.mean([not near(t, np.concatenate(data)) for t in own])
    head = write_headline(evidence)
    tiles = {t.name: t.value for t in head.tiles}
    assert tiles["spikes predicted"] == f"{100 * hit:.0f} %"
    assert tiles["extra spikes"] == f"{100 * extra:.0f} %"
    assert tiles["Γ/R, ±4 ms"] == f"{evidence.scores['causal run']['gamma_over_R']:.2f}"
    assert tiles["Md*, ±8 ms"] == f"{evidence.scores['noisy runs']['md_star_8']:.2f}"
    assert "5 repeats" in head.sentence


def test_headline_of_a_silent_model(test_recording: Recording) -> None:
    silent = gather_evidence(by_hand(LIF.start().replace(theta=19.0)), test_recording, runs=20)
    assert "stays silent where the cell fires" in write_headline(silent).sentence


def test_headline_of_a_silent_cell() -> None:
    quiet = Recording.of(np.zeros((3, 4000)), 0.5, spike_times=[[], [], []])
    assert "no spikes to compare" in write_headline(gather_evidence(by_hand(cell()), quiet, runs=20)).sentence


def test_headline_without_repeats_names_no_ceiling(train_recording: Recording) -> None:
    sentence = write_headline(gather_evidence(by_hand(cell()), train_recording, runs=20)).sentence
    assert "not repeated" in sentence
    assert "the score that the cell itself would reach is unknown" in sentence


def test_distance_to_threshold_leaves_out_refractory_steps(evidence: Evidence) -> None:
    times, u = evidence.distance()
    dt, held = evidence.fit.dt, evidence.fit.neuron.t_ref
    for spike in evidence.prediction:
        step = np.floor(spike / dt) * dt
        assert not ((times > step) & (times <= step + held)).any()
    assert len(times) == len(u) == len(evidence.trace("margin")) - round(held / dt) * len(evidence.prediction)


def test_threshold_is_that_of_the_declaration_at_every_step(evidence: Evidence) -> None:
    unit = evidence.unit  # of spikes alone: the distance from rest to threshold is 1
    expected = unit.convert(evidence.fit.neuron.theta, "mV", place=True)
    np.testing.assert_allclose(evidence.threshold(), expected, atol=1e-9)
    assert (unit.name, expected) == ("θ", 1.0)
