"""State of a page: what a slider does to numbers, without a browser."""

import numpy as np
import pytest
from explorer_cells import fit, recording, truth

import ephysfit as ef
from ephysfit.errors import EphysfitError
from ephysfit.explorer.library import Library
from ephysfit.explorer.session import Session
from ephysfit.explorer.sliders import change_parameters, describe_sliders, start_sharing_parameters
from ephysfit.explorer.stimulus import LONGEST, list_stimuli
from ephysfit.models import catalogue, find
from ephysfit.reports.agreement import match_train


@pytest.fixture
def session() -> Session:
    made = Session(Library.of(recording(), fit()))
    made.choose_cell(0)
    return made


def test_numbers_of_a_take_are_those_of_score(session):
    stimulus = session.stimulus
    response = stimulus.run(truth(), runs=30)
    noisy = fit().simulate([stimulus.current], runs=30)
    assert np.array_equal(response.train, noisy.companions["causal"].spike_times[0][0])
    test = session.recording.select(names=stimulus.sweeps)
    single = ef.score(
        [response.train], [s.spike_times for s in test.sweeps], duration=stimulus.duration, stochastic=False
    )
    many = ef.score(noisy, [[s.spike_times for s in test.sweeps]], duration=stimulus.duration)
    assert response.numbers["gamma_over_R_4"] == pytest.approx(single["gamma_over_R_4"])
    assert response.numbers["md_star_8"] == pytest.approx(many["md_star_8"])
    assert response.numbers["rate_model_hz"] == pytest.approx(single.rate_model_hz)
    start, stop = stimulus.window
    inside = [t[(t >= start) & (t < stop)] for t in stimulus.recorded.spike_times]
    one = response.train[(response.train >= start) & (response.train < stop)]
    assert response.numbers["predicted"] == pytest.approx(match_train(inside, one).predicted_share)


def test_the_same_sliders_give_the_same_spikes(session):
    first, second = session.compute_response(), session.compute_response()
    assert np.array_equal(first.train, second.train)
    assert all(np.array_equal(a, b) for a, b in zip(first.noisy, second.noisy, strict=True))


def test_a_turned_slider_moves_spikes_and_says_by_hand(session):
    before = len(session.compute_response().train)
    session.change_parameters({"theta": truth().theta + 6.0})
    assert len(session.compute_response().train) < before
    assert session.now.label.endswith("by hand")
    assert "by hand" in session.as_fit().warnings[0]


def test_what_was_set_by_hand_can_be_saved_and_read(session, tmp_path):
    session.change_parameters({"C": 123.0})
    path = session.as_fit().save(tmp_path / "fit.json")
    assert ef.Fit.load(path).neuron.C == 123.0


def test_changing_the_model_keeps_the_membrane(session):
    session.change_parameters({"C": 88.0})
    session.choose_model("ALIF")
    assert type(session.now.neuron).__name__ == "ALIF"
    assert session.now.neuron.C == 88.0


def test_held_out_repeats_are_told_from_training(session):
    roles = [session.role(stimulus) for stimulus in session.stimuli]
    assert [s.recorded.repeats for s in session.stimuli] == [3, 1]
    assert roles == ["held out", "training"]


@pytest.mark.parametrize("name", ["LIF", "AIGIF", "MAT", "AdEx", "Izhikevich", "GLIF5"])
def test_every_kind_of_neuron_runs(session, name):
    response = session.stimulus.run(find(name).start())
    assert (response.voltage is None) == (name == "AIGIF")
    assert len(response.margin) == len(session.stimulus.current)


@pytest.mark.parametrize("name", list(catalogue()))
def test_knobs_are_the_declaration(name):
    kind = find(name)
    for group in describe_sliders(kind.start()):
        p = kind.parameters[group["name"]]
        assert (group["unit"], group["low"], group["high"], group["log"]) == (p.unit, p.low, p.high, p.logarithmic)
        assert len(group["sliders"]) == p.size
        assert not group["log"] or group["low"] > 0
    assert repr(change_parameters(kind.start(), {})) == repr(kind.start())
    assert type(start_sharing_parameters(truth(), kind)) is kind


def test_values_beyond_bounds_and_nonsense_do_no_harm():
    low = find("LIF").parameters["C"].low
    assert low == change_parameters(truth(), {"C": -1e9}).C
    for odd in (float("nan"), "text", None, [1]):
        assert change_parameters(truth(), {"C": odd}).C == truth().C


def test_long_stimuli_come_in_parts():
    long = ef.Recording.of(np.zeros(int(2.5 * LONGEST)), 1.0, spike_times=[], cell="long")
    found = list_stimuli(long, 1.0)
    assert [s.duration for s in found] == [60_000.0, 60_000.0, 30_000.0]


def test_a_cell_that_cannot_be_read_leaves_the_one_before(session, tmp_path):
    broken = tmp_path / "broken.nwb"
    broken.write_bytes(b"no recording at all")
    both = Session(Library.of(recording(), broken))
    both.choose_cell(0)
    with pytest.raises(EphysfitError, match=r"broken\.nwb"):
        both.choose_cell(1)
    assert both.cell.name == "known"
    assert both.stimulus is not None


def test_a_start_is_that_of_a_fit_and_never_saw_the_test():
    """Parameters that are measured are read off the samples that a fit would count."""
    from ephysfit.fitting.chain import default_step
    from ephysfit.fitting.stage import Problem

    made = Session(Library.of(recording(), fit()))
    made.choose_cell(0)
    train, _ = made.parts
    made.choose_model("AIGIF")
    begun = Problem(train, find("AIGIF"), default_step(train)).start()
    measured = [n for n, p in find("AIGIF").parameters.items() if p.measured]
    assert measured
    assert {n: getattr(made.now.neuron, n) for n in measured} == {n: getattr(begun, n) for n in measured}
