"""Resonance: against closed forms, and from a recording of a known cell."""

from __future__ import annotations

import numpy as np
import pytest

from ephysfit.errors import NeuronError, RecordingError
from ephysfit.models import (
    EIF,
    LIF,
    PRF,
    AdLIF,
    CSiLIF,
    SiLIF,
    impedance,
    measured_impedance,
    measured_resonance,
    resonance,
)
from ephysfit.simulation.engines import compiled


def closed_form(tau_u, tau_w, g):
    """Peak of R (1 + i w tau_w) / ((1 + i w tau_u)(1 + i w tau_w) + g) in Hz (0 if it has none)."""
    rho = tau_u / tau_w
    inner = np.sqrt((1 + g + rho) ** 2 - (1 + rho) ** 2) / rho - 1
    return 1e3 / (2 * np.pi * tau_w) * np.sqrt(max(inner, 0.0))


@pytest.mark.parametrize(
    ("g", "f_hz", "quality"), [(0.2, 3.07, 1.13), (0.5, 4.18, 1.38), (1, 5.30, 1.81), (10, 13.6, 9.6)]
)
def test_adlif_resonates_where_the_closed_form_says(g, f_hz, quality):
    cell = AdLIF.start().replace(C=150.0, g=10.0, a=10.0 * g, tau_w=100.0)
    found = resonance(cell)
    assert found.f_hz == pytest.approx(closed_form(15.0, 100.0, g), rel=1e-5)
    assert found.f_hz == pytest.approx(f_hz, abs=0.05)
    assert found.quality == pytest.approx(quality, rel=0.01)


def test_overdamped_adlif_without_a_peak_and_lif_do_not_resonate():
    assert resonance(AdLIF.start().replace(C=150.0, g=10.0, a=0.05, tau_w=100.0)) == (0.0, 1.0)
    assert resonance(LIF.start()) == (0.0, 1.0)


@pytest.mark.parametrize("product", [0.6, 2.0, 8.0])
def test_prf_peaks_above_its_own_frequency(product):
    """f = (1 / 2 pi tau) sqrt(sqrt(g^2 + 4 g) - 1) with g = (omega tau)^2, for a real current."""
    tau = 20.0
    cell = PRF.start().replace(tau=tau, f=product / (2 * np.pi * tau))
    g = product**2
    expected = 1e3 / (2 * np.pi * tau) * np.sqrt(np.sqrt(g * g + 4 * g) - 1)
    assert resonance(cell).f_hz == pytest.approx(expected, rel=1e-5)


def test_prf_with_little_inertia_has_no_peak():
    assert resonance(PRF.start().replace(tau=20.0, f=0.45 / (2 * np.pi * 20.0))).f_hz == 0.0


def test_rate_form_and_adlif_have_one_impedance():
    a = AdLIF.start().replace(C=150.0, g=10.0, a=8.0, tau_w=60.0)
    b = SiLIF.start().replace(lambda_u=10 / 150.0, lambda_w=1 / 60.0, R=0.1, a=8.0)
    f = np.geomspace(0.1, 200, 30)
    np.testing.assert_allclose(impedance(a, f), impedance(b, f), rtol=1e-12)


def test_exponential_neuron_is_linearised_where_it_settles():
    """Nearer to V_T the exponential current lowers the slope conductance, so the impedance grows."""
    low, high = (abs(impedance(EIF.start(), [0.0], current)[0]) for current in (0.0, 70.0))
    assert low == pytest.approx(0.2, rel=0.01)
    assert high > 1.2 * low
    with pytest.raises(NeuronError, match="has no steady state"):
        impedance(EIF.start(), [0.0], current=2000.0)


def chirp(dt, seconds, low_hz, high_hz):
    t = np.arange(int(seconds * 1e3 / dt)) * dt / 1e3
    return 20.0 * np.sin(2 * np.pi * (low_hz * t + (high_hz - low_hz) * t**2 / (2 * seconds)))


@pytest.mark.parametrize("stimulus", ["chirp", "noise"])
def test_resonance_of_a_recording_is_that_of_its_cell(stimulus):
    cell = CSiLIF.start().replace(C=100.0, gamma=0.03, f=0.008, theta=20.0)
    dt = 0.5
    current = chirp(dt, 20, 0.3, 40) if stimulus == "chirp" else np.random.default_rng(2).normal(0, 30.0, 40000)
    out = compiled.run(cell, current[None, None], dt, save=("V",))
    assert out.counts.sum() == 0
    voltage = out.traces["V"][0, 0]
    f, z = measured_impedance(current, voltage, dt, 0.5, 35, 20)
    kept = ~np.isnan(z)
    assert kept.sum() >= 18
    if stimulus == "chirp":
        assert np.median(np.abs(z[kept] - impedance(cell, f[kept])) / np.abs(z[kept])) < 0.05
    known, found = resonance(cell), measured_resonance(current, voltage, dt, 0.5, 35, 20)
    assert found.f_hz == pytest.approx(known.f_hz, rel=0.1)
    assert found.quality == pytest.approx(known.quality, rel=0.15)


def test_unusable_recordings_are_refused():
    ok = np.ones(1000)
    with pytest.raises(RecordingError, match="equally long"):
        measured_impedance(ok, ok[:-1], 0.5)
    with pytest.raises(RecordingError, match="NaN"):
        measured_impedance(ok, ok * np.nan, 0.5)
    with pytest.raises(RecordingError, match="two periods"):
        measured_impedance(ok, ok, 0.5, low_hz=0.5)
    with pytest.raises(RecordingError, match="half the sampling rate"):
        measured_impedance(ok, ok, 0.5, low_hz=10, high_hz=2000)
