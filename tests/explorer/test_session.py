"""State of a page: what a slider does to numbers, without a browser."""

import numpy as np
import pytest
from explorer_cells import fit, recording, truth

import ephysfit as ef
from ephysfit.errors import EphysfitError
from ephysfit.explorer.cell_cards import render_cards
from ephysfit.explorer.library import Library
from ephysfit.explorer.session import Session
from ephysfit.explorer.sliders import change_parameters, describe_sliders, start_sharing_parameters
from ephysfit.explorer.stimulus import LONGEST, list_stimuli
from ephysfit.models import catalogue, find
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.potential_unit import PotentialUnit
from ephysfit.neuron.roles import Role
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


class OtherLetters(Neuron):
    """A LIF whose letters are not the usual ones, and whose C is no capacitance."""

    C_m = Parameter("pF", 5.0, 2000.0, "capacitance of the membrane", start=100.0, role=Role.CAPACITANCE)
    G = Parameter("nS", 0.1, 200.0, "leak", start=5.0, role=Role.LEAK)
    E_L = Parameter("mV", -110.0, -20.0, "resting potential", start=-65.0)
    theta = Parameter("mV", -80.0, 20.0, "threshold", start=-45.0)
    V_reset = Parameter("mV", -110.0, 0.0, "reset", start=-60.0)
    C = Parameter("1", 0.5, 2000.0, "gain of the amplifier", start=1.0)
    V = State("mV", rest="E_L")

    def flow(self, x, I):
        return {"V": (self.G * (self.E_L - x.V) + self.C * I) / self.C_m}

    def margin(self, x):
        return x.V - self.theta

    def jump(self, x):
        return {"V": self.V_reset}


def test_another_model_starts_from_what_means_the_same_not_from_an_equal_letter():
    begun = start_sharing_parameters(truth().replace(C=88.0, g=4.0), OtherLetters)
    assert (begun.C_m, begun.G, begun.C) == (88.0, 4.0, 1.0)
    back = start_sharing_parameters(begun.replace(C=7.0), find("LIF"))
    assert (back.C, back.g) == (88.0, 4.0)


def test_a_letter_with_another_meaning_is_not_taken_over():
    """tau_a is the relaxation of the threshold in ALIF, and another time constant in other neurons."""
    for name, kind in catalogue().items():
        for letter, p in kind.parameters.items():
            q = find("ALIF").parameters.get(letter)
            if q is not None and letter not in find("ALIF").roles.values() and q.doc != p.doc:
                moved = find("ALIF").start().replace(**{letter: 1.01 * q.start})
                assert getattr(start_sharing_parameters(moved, kind), letter) == p.start, (name, letter)


def test_the_fit_that_was_open_stays_in_the_comparison(session):
    opened = session.now
    assert opened.fit is not None
    assert session.keep_open_fit()
    assert not session.keep_open_fit()  # once
    session.follow_fit({"theta": truth().theta + 1.0})
    assert session.now.label == "fitting LIF …"
    assert not session.keep_open_fit()  # steps of a fit are no fit
    assert [k.fit for k in session.compared] == [opened.fit]
    session.end_following()
    assert "stopped" in session.now.label
    assert session.now.neuron.theta == truth().theta + 1.0


def test_the_card_is_that_of_describe_and_is_measured_once(session):
    cards = session.cards
    train, _ = session.parts
    assert cards.cell == ef.describe(train)
    neuron = session.now.neuron
    assert not cards.knows(neuron)
    model = cards.measure_model(neuron, session.as_fit)
    assert cards.measure_model(neuron, lambda: pytest.fail("measured twice")) is model
    html = render_cards(cards.cell, model, "a <b> fit")
    assert "no voltage, spike times only" in html
    assert "a &lt;b&gt; fit" in html
    assert "has not been measured" in render_cards(cards.cell, None, "LIF, by hand")


def record_voltage(offset: float) -> ef.Recording:
    """A recording whose voltage is that of the known neuron, moved."""
    sweep = recording()[0]
    run = ef.simulate(truth(), [sweep.current], dt=sweep.dt, save=("V",))
    return ef.Recording.of(sweep.current, sweep.dt, run.traces["V"][0] + offset, spike_times=[sweep.spike_times])


@pytest.mark.parametrize(("offset", "together"), [(2.0, True), (200.0, False)])
def test_the_recorded_voltage_is_always_drawn_apart_where_scales_differ(offset, together):
    traces = pytest.importorskip("ephysfit.explorer.traces").Traces()
    (stimulus,) = list_stimuli(record_voltage(offset), 0.5)
    traces.show_stimulus(stimulus)
    traces.show_response(stimulus, stimulus.run(truth()), {})
    assert traces.recorded.visible is not together
    drawn = {name: len(traces.lines[name].data["x"]) > 0 for name in ("recorded", "apart")}
    assert drawn == {"recorded": together, "apart": not together}
    traces.show_response(stimulus, stimulus.run(find("AIGIF").start()), {})  # it has no membrane potential
    assert traces.recorded.visible
    assert len(traces.lines["apart"].data["x"])
    low, high = traces.recorded.y_range.start, traces.recorded.y_range.end
    assert low < np.min(traces.lines["apart"].data["y"]) < np.max(traces.lines["apart"].data["y"]) < high


def test_a_family_of_steps_opens_on_the_first_that_makes_a_spike():
    steps = [np.repeat([0.0, a, 0.0], [200, 800, 200]) for a in (-50.0, 50.0, 100.0, 150.0)]
    family = ef.Recording.of(steps, 0.5, spike_times=[[], [], [300.0], [200.0, 400.0]], cell="steps")
    found = list_stimuli(family, 0.5)
    assert [float(s.current.sum() > 0) * s.recorded.spike_times[0].size for s in found] == [1, 2, 0, 0]


def test_sliders_of_spikes_alone_count_in_distances_to_threshold_and_set_what_they_show():
    scale = PotentialUnit("θ", 20.0, -65.0)
    cell = truth()
    groups = {g["name"]: g for g in describe_sliders(cell, scale)}
    assert groups["g"]["unit"] == "pA/θ"
    assert groups["theta"]["sliders"][0]["value"] == pytest.approx((cell.theta + 65.0) / 20.0)
    changed = change_parameters(cell, {"theta": groups["theta"]["sliders"][0]["value"] + 0.1, "g": 100.0}, scale)
    assert changed.theta == pytest.approx(cell.theta + 2.0)
    assert changed.g == pytest.approx(5.0)
    assert changed.C == cell.C
