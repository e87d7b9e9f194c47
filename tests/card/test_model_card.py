"""The card of a neuron is what its parameters say."""

from __future__ import annotations

import numpy as np
import pytest
from membranes import DT, play

import ephysfit as ef
from ephysfit.models import LIF
from ephysfit.reports.card_rows import list_card_rows

CELL = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=0.2)
FIT = ef.Fit(CELL, "cell", DT)
STEPS = [play(a) for a in (-60.0, -30.0, -15.0, 20.0, 60.0, 90.0, 120.0, 150.0, 200.0, 250.0)]


def test_the_card_of_a_model_is_that_of_its_parameters() -> None:
    recording = ef.Recording.of(np.array(STEPS), DT, spike_times=[[] for _ in STEPS])
    card = ef.describe_model(FIT, recording)
    assert card["input_resistance"].value == pytest.approx(200.0, rel=0.01)
    assert card["tau"].value == pytest.approx(20.0, rel=0.02)
    assert card["capacitance"].value == pytest.approx(100.0, rel=0.02)
    assert card["tau"].how.startswith("single exponential")
    assert card["rest"].value == pytest.approx(-70.0, abs=0.01)
    assert card["rheobase"].low == 90.0
    assert card["rheobase"].high == 120.0  # theta - E_L over R is 100 pA
    assert card["threshold"].value == pytest.approx(-50.0, abs=0.5)
    assert card["ahp_depth"].value == pytest.approx(15.0, abs=0.6)
    rate = 1e3 / (2.0 + 20.0 * np.log((250.0 * 0.2 - 5.0) / (250.0 * 0.2 - 20.0)))
    assert card["max_rate"].value == pytest.approx(rate, rel=0.04)
    assert card["adaptation_index"].value == pytest.approx(0.0, abs=0.02)
    assert "reset at the threshold" in card["spike_height"].why_missing
    assert "fix no mV" in card.warnings[0]


def test_noise_leaves_the_rest_to_standard_pulses() -> None:
    current = 120.0 + 60.0 * np.random.default_rng(0).standard_normal(30_000)
    card = ef.describe_model(FIT, ef.Recording.of(current, DT, spike_times=[]))
    assert card["rheobase"].how.startswith("standard pulses of 1 s from 0 pA")
    soft = 100.0 - 5.0 * 0.2 * np.log(1000.0)  # where the hazard of 1 s at the threshold's softness adds up to 1
    assert card["rheobase"].low <= soft <= card["rheobase"].high
    assert card["tau"].value == pytest.approx(20.0, rel=0.1)


def test_sweeps_of_another_step_are_played_in_that_of_the_fit() -> None:
    fine = [np.repeat(i, 2) for i in STEPS]
    recording = ef.Recording.of(np.array(fine), DT / 2, spike_times=[[] for _ in fine])
    assert ef.describe_model(FIT, recording)["tau"].value == pytest.approx(20.0, rel=0.02)


def test_a_neuron_without_a_potential_says_so() -> None:
    kind = next(
        k for name in ef.models.catalogue() if (k := ef.models.find(name)).name_of("membrane potential") is None
    )
    recording = ef.Recording.of(np.array(STEPS), DT, spike_times=[[] for _ in STEPS])
    card = ef.describe_model(ef.Fit(kind.start(), "cell", DT), recording)
    assert "has no membrane potential" in card["tau"].why_missing


def test_rows_beside_each_other() -> None:
    recording = ef.Recording.of(np.array(STEPS), DT, spike_times=[[] for _ in STEPS])
    model = ef.describe_model(FIT, recording)
    rows = {row[0]: row for row in list_card_rows(model, model)}
    assert rows["membrane time constant"][-1] == "1.00"
    assert rows["resting potential"][-1] == ""  # a potential has no ratio
    assert rows["spike height"][1] == rows["spike height"][-2] == "–"
