"""Small pulses on a noisy membrane: noise that is there when a pulse begins is no jump, and slow noise is slow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from ephysfit.card.pulses import find_pulses
from ephysfit.card.step_response import NAMES, measure_membrane
from ephysfit.card.whitening import BaselineNoise, Bins, measure_noise
from ephysfit.data.sweep import Sweep

DT = 0.05
#: ms: before, during and after a pulse
PARTS = 300.0, 500.0, 200.0


def draw_noise(rng, steps, sd, tau, white):
    """Noise that decays with a time, and white noise, mV."""
    keep = np.exp(-DT / tau)
    slow = lfilter([np.sqrt(1 - keep**2)], [1, -keep], rng.standard_normal(steps + 10_000))[10_000:]
    return sd * slow + white * rng.standard_normal(steps)


def record(amplitude, rng, *, resistance=0.2, tau=20.0, sd=0.6, noise_tau=20.0, white=0.1, access=0.0):
    """A sweep of a linear membrane (GOhm, ms) behind an access resistance (GOhm), with noise."""
    steps = round(sum(PARTS) / DT)
    current = np.zeros(steps)
    current[round(PARTS[0] / DT) : round(sum(PARTS[:2]) / DT)] = amplitude
    keep = np.exp(-DT / tau)
    answer = lfilter([1 - keep], [1, -keep], resistance * current) + access * current
    return Sweep(current, DT, voltage=-70.0 + answer + draw_noise(rng, steps, sd, noise_tau, white))


def measure(seed, count=5, amplitude=-40.0, **options):
    rng = np.random.default_rng(seed)
    sweeps = [record(amplitude, rng, **options) for _ in range(count)]
    return {m.name: m for m in measure_membrane(find_pulses(sweeps))}


def test_whitened_noise_is_white():
    edges = np.round(np.geomspace(0.5, 400.0, 40) / DT) * DT
    bins = Bins.of(np.unique(edges), BaselineNoise(0.04, 1.0, 20.0), 300.0, DT)
    rng, rows = np.random.default_rng(0), []
    for _ in range(1500):
        x = draw_noise(rng, round(720 / DT), 1.0, 20.0, 0.2)
        zero = round(300 / DT)
        means = [
            x[zero + round(a / DT) : zero + round(b / DT)].mean() for a, b in zip(bins.begin, bins.end, strict=True)
        ]
        rows.append(np.array(means) - x[: zero - round(0.5 / DT)].mean())
    seen = np.cov(bins.whiten(np.array(rows).T))
    np.testing.assert_allclose(seen, np.eye(len(seen)), atol=0.15)


def test_noise_before_pulses_is_measured():
    rng = np.random.default_rng(1)
    sweeps = [record(-40.0, rng, sd=0.8, noise_tau=15.0, white=0.2) for _ in range(30)]
    found = measure_noise(find_pulses(sweeps))
    assert found.white == pytest.approx(0.04, rel=0.2)
    assert found.slow == pytest.approx(0.64, rel=0.2)
    assert 10.0 < found.time < 25.0


def test_noise_at_the_beginning_of_a_pulse_is_not_taken_for_access_resistance():
    found = [measure(seed) for seed in range(12)]
    columns = {name: np.array([m[name].value for m in found]) for name in NAMES}
    assert np.abs(columns["access_resistance"]).max() < 5.0  # 35 MOhm where the jump was counted from the baseline
    assert np.median(np.abs(columns["input_resistance"] / 200.0 - 1)) < 0.05
    assert np.median(np.abs(columns["tau"] / 20.0 - 1)) < 0.12
    truth = {"input_resistance": 200.0, "tau": 20.0, "capacitance": 100.0, "access_resistance": 0.0}
    held = np.mean([m[name].low <= value <= m[name].high for m in found for name, value in truth.items()])
    assert held > 0.85


def test_access_resistance_is_still_found():
    found = measure(3, access=0.025)
    assert found["access_resistance"].value == pytest.approx(25.0, abs=3.0)
    assert found["input_resistance"].value == pytest.approx(200.0, rel=0.1)


def test_a_fast_membrane_in_slow_noise_is_measured():
    found = measure(0, amplitude=-80.0, resistance=0.035, tau=1.5, sd=0.8, white=0.15)
    assert found["input_resistance"].value == pytest.approx(35.0, rel=0.3)
    assert found["tau"].value == pytest.approx(1.5, rel=0.5)


@pytest.mark.parametrize("seed", range(5))
def test_noise_without_a_response_is_none(seed):
    found = measure(seed, resistance=0.0)
    assert all(m.value is None for m in found.values())


def test_a_membrane_without_noise_is_exact():
    found = measure(0, sd=0.0, white=0.0)
    for name, value in {"input_resistance": 200.0, "tau": 20.0, "capacitance": 100.0, "access_resistance": 0.0}.items():
        assert found[name].value == pytest.approx(value, rel=0.01, abs=0.3)


def test_missing_samples_long_before_a_pulse_do_not_count():
    rng = np.random.default_rng(0)
    sweeps = []
    for _ in range(5):
        one = record(-40.0, rng)
        rest = draw_noise(rng, 20_000, 0.6, 20.0, 0.1) - 70.0
        rest[100:200] = np.nan
        current = np.concatenate([np.zeros(20_000), one.current])
        sweeps.append(Sweep(current, DT, voltage=np.concatenate([rest, one.voltage])))
    found = {m.name: m.value for m in measure_membrane(find_pulses(sweeps))}
    assert found["input_resistance"] == pytest.approx(200.0, rel=0.1)
