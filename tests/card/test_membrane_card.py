"""Resistance, time constant, capacitance, access resistance and sag of membranes whose values are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from membranes import DT, SHAPE, play, record, single, two_compartments, with_h_current

import ephysfit as ef
from ephysfit.card.pulses import find_pulses
from ephysfit.card.step_response import NAMES
from ephysfit.data.recording import Recording

SMALL = [play(a) for a in (-10.0, -20.0, -20.0, -30.0, -40.0)]


def test_a_single_compartment_behind_a_series_resistance() -> None:
    card = ef.describe(record(SMALL, single, access=0.015))
    assert card["input_resistance"].value == pytest.approx(200.0, rel=0.01)
    assert card["steady_resistance"].value == pytest.approx(200.0, rel=0.01)
    assert card["tau"].value == pytest.approx(20.0, rel=0.02)
    assert card["capacitance"].value == pytest.approx(100.0, rel=0.02)
    assert card["access_resistance"].value == pytest.approx(15.0, abs=1.0)
    assert card["rest"].value == pytest.approx(-70.0, abs=0.05)
    assert card["tau"].how.startswith("single exponential")
    assert card["tau"].sweeps == 5


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng, inside = np.random.default_rng(1), 0
    clean = np.array([single(i) for i in SMALL])
    for _ in range(40):
        given = Recording.of(np.array(SMALL), DT, clean + 0.5 * rng.standard_normal(clean.shape), [[]] * 5)
        m = ef.describe(given)["tau"]
        inside += m.low <= 20.0 <= m.high
    assert 33 <= inside <= 40


def test_two_compartments_have_the_capacitance_of_both() -> None:
    """All of it, since both have the time constant of the membrane: C = tau (g + big); the input resistance is that
    of the small compartment beside the joined one."""
    card = ef.describe(record(SMALL, two_compartments, noise=0.01))
    assert card["tau"].how.startswith("double exponential")
    assert card["tau"].value == pytest.approx(25.0, rel=0.03)
    assert card["capacitance"].value == pytest.approx(25.0 * 8.0, rel=0.04)
    assert card["input_resistance"].value == pytest.approx(1e3 / (2.0 + 6.0 * 8.0 / (6.0 + 8.0)), rel=0.02)
    assert abs(card["access_resistance"].value) < 8.0


@pytest.mark.parametrize("tau_h", [20.0, 60.0, 300.0])
def test_sag_is_taken_off_the_resistance(tau_h: float) -> None:
    """At 300 ms as two exponentials, at 20 and 60 as a damped wave."""
    shape = (200.0, 1500.0, 200.0)
    currents = [play(a, shape=shape) for a in (-10.0, -20.0, -20.0, -30.0, -40.0)]
    card = ef.describe(record(currents, lambda i: with_h_current(i, tau_h=tau_h), noise=0.02))
    assert card["tau"].how.startswith("membrane with sag")
    assert card["input_resistance"].value == pytest.approx(200.0, rel=0.05)
    assert card["steady_resistance"].value == pytest.approx(1e3 / 9.0, rel=0.02)
    assert card["tau"].value == pytest.approx(40.0, rel=0.07)
    assert card["capacitance"].value == pytest.approx(200.0, rel=0.05)


def test_sag_ratio_is_that_of_the_trace() -> None:
    current = play(-150.0)
    v = with_h_current(current)
    low, steady = v.min(), v[int(0.8 * 6000) + 2000 : 8000].mean()
    m = ef.describe(record([current], with_h_current, noise=0.0))["sag_ratio"]
    assert m.value == pytest.approx((low - steady) / (low + 70.0), abs=0.003)
    assert m.value > 0.1
    assert m.low is None and m.sweeps == 1  # noqa: PT018 - one pulse has no interval
    flat = ef.describe(record([current / 2], single, noise=0.0))["sag_ratio"]
    assert flat.value == pytest.approx(0.0, abs=0.01)


def test_the_holding_current_is_taken_off_the_rest() -> None:
    card = ef.describe(record([play(a, holding=-25.0) for a in (-10.0, -20.0, -30.0)], single))
    assert card["holding_potential"].value == pytest.approx(-75.0, abs=0.05)
    assert card["rest"].value == pytest.approx(-70.0, abs=0.1)
    assert "-25 pA" in card["rest"].how


def test_noise_gives_the_membrane_between_spikes() -> None:
    rng = np.random.default_rng(2)
    current = np.convolve(rng.standard_normal(200_000), np.exp(-np.arange(100) / 30.0), "same") * 8.0
    voltage = single(current) + 0.012 * current + 0.1 * rng.standard_normal(current.size)
    card = ef.describe(Recording.of(current, DT, voltage, []))
    assert card["input_resistance"].value == pytest.approx(200.0, rel=0.03)
    assert card["tau"].value == pytest.approx(20.0, rel=0.12)
    assert card["rest"].value == pytest.approx(-70.0, abs=0.2)
    assert card["access_resistance"].value == pytest.approx(12.0, abs=2.0)
    assert card["tau"].low < card["tau"].value < card["tau"].high
    assert "between spikes" in card["tau"].how


def test_a_test_pulse_that_is_masked_is_not_used() -> None:
    given = record([play(-20.0)] * 3, single)
    masked = replace(given, sweeps=tuple(replace(s, valid=((850.0, s.duration),)) for s in given))
    assert "no pulses of constant current" in ef.describe(masked)["tau"].why_missing


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (Recording.of(play(-20.0), DT, spike_times=[]), "no voltage, spike times only"),
        (record([play(0.0)], single), "no pulses of constant current"),
        (record([play(-400.0)] * 2, single), "moves the voltage by more than 40 mV"),
        (record([play(-20.0, shape=(200.0, 100.0, 200.0))] * 4, lambda i: single(i, tau=80.0)), "two time constants"),
        (record([play(-3.0)] * 4, lambda i: single(i, R=0.001), noise=3.0), "noise"),
    ],
)
def test_a_membrane_that_is_missing_says_why(given: Recording, why: str) -> None:
    card = ef.describe(given)
    for name in NAMES[:4]:
        assert card[name].value is None
        assert why in card[name].why_missing or "not that of a membrane" in card[name].why_missing


def test_large_responses_are_used_with_a_reservation_where_there_are_no_small_ones() -> None:
    m = ef.describe(record([play(-150.0)] * 2, single))["tau"]
    assert m.value == pytest.approx(20.0, rel=0.03)
    assert "not small: it moves the voltage by 30 mV" in m.how


def test_pulses_with_spikes_before_or_in_them_give_no_membrane() -> None:
    given = record([play(-20.0)] * 2, single).with_spikes([[100.0], [500.0]])
    assert ef.describe(given)["tau"].why_missing.startswith("no pulse without spikes in it and before it")


def test_sag_says_how_far_the_cell_was_hyperpolarised() -> None:
    assert "the largest by 8" in ef.describe(record(SMALL, single))["sag_ratio"].why_missing


def test_a_drifting_rest_is_no_resting_potential() -> None:
    currents = [play(-20.0)] * 9
    steady, slow, fast = (ef.describe(record(currents, single, drift=d)) for d in (0.0, 1.0, 3.0))
    assert steady["drift"].value == pytest.approx(0.0, abs=0.1)
    assert not steady.warnings
    assert slow["drift"].value == pytest.approx(6.0, abs=0.1)
    assert "drifted by 6.0 mV" in slow.warnings[0]
    assert slow["rest"].value is not None
    assert fast["rest"].value is None
    assert "drifted by 18 mV" in fast["rest"].why_missing
    assert fast["tau"].value == pytest.approx(20.0, rel=0.05)  # each pulse against its own baseline


def test_drift_needs_one_holding_current_and_three_sweeps() -> None:
    held = [play(-20.0, holding=h) for h in (0.0, -10.0, -20.0)]
    assert "holding current changed by 20 pA" in ef.describe(record(held, single))["drift"].why_missing
    assert "fewer than three sweeps" in ef.describe(record(held[:2], single))["drift"].why_missing


def test_the_drift_of_noise_is_that_of_its_rest() -> None:
    rng = np.random.default_rng(3)
    current = 60.0 * rng.standard_normal(300_000)
    voltage = single(current) + np.linspace(0.0, 6.0, current.size)
    assert ef.describe(Recording.of(current, DT, voltage, []))["drift"].value == pytest.approx(4.0, abs=0.4)


def test_pulses_that_follow_another_at_once_are_left_out() -> None:
    current = np.r_[play(-20.0)[: round(sum(SHAPE[:2]) / DT)], np.full(6000, 30.0), np.zeros(2000)]
    assert [p.amplitude for p in find_pulses(record([current], single).sweeps)] == [-20.0]
