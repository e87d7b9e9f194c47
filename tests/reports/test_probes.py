"""Probes against closed forms of the leaky integrator."""

from __future__ import annotations

import numpy as np

from ephysfit.models.alif import ALIF
from ephysfit.models.lif import LIF
from ephysfit.reports.probes import compute_responses
from tests.reports.conftest import BareQuadratic

QUIET = {"C": 100.0, "g": 5.0, "E_L": -70.0, "theta": -50.0, "V_reset": -65.0, "t_ref": 2.0, "delta": 2.0}


def test_pulse_response_is_charge_over_capacitance_then_decays() -> None:
    found = compute_responses(LIF(**QUIET), 0.1, mean=20.0, sd=10.0)
    assert found is not None
    tau = 100.0 / 5.0
    # the pulse lasts one step, over which a little leaks
    start = 1e3 / 100.0 * tau / 0.1 * (1 - np.exp(-0.1 / tau))
    expected = start * np.exp(-(found.times - 0.1) / tau)
    np.testing.assert_allclose(found.pulse["membrane"], expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.pulse["margin"], expected, rtol=1e-6, atol=1e-7)
    assert found.holding == 20.0


def test_after_a_spike_threshold_rises_by_its_jump_and_relaxes() -> None:
    neuron = ALIF(**QUIET, d_theta=7.0, tau_a=50.0)
    found = compute_responses(neuron, 0.1, mean=0.0, sd=10.0)
    assert found is not None
    threshold = found.spike["membrane"] - found.spike["margin"]
    np.testing.assert_allclose(threshold, 7.0 * np.exp(-found.times / 50.0), rtol=1e-6, atol=1e-7)
    held = found.times < 2.0
    np.testing.assert_allclose(found.spike["membrane"][held], -65.0 - -70.0, atol=1e-7)


def test_holding_current_backs_off_until_the_neuron_is_silent() -> None:
    # rheobase is 5 nS * 20 mV = 100 pA
    found = compute_responses(LIF(**QUIET), 0.5, mean=120.0, sd=30.0)
    assert found is not None
    assert found.holding == 90.0


def test_a_neuron_without_hazard_is_probed_too() -> None:
    found = compute_responses(BareQuadratic.start(), 0.1, mean=0.0, sd=20.0)
    assert found is not None
    assert found.pulse["membrane"].max() > 0
