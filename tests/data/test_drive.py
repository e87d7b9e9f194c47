"""A current that never changes, or that the voltage contradicts, is said and not fitted."""

import numpy as np
import pytest
from places import CELLS, shipped

import ephysfit as ef
from ephysfit.data.drive import estimate_input_resistance, explain_undriven, find_contradiction
from ephysfit.data.sweep import Sweep
from ephysfit.errors import FitError

DT = 0.1


def respond(current, resistance=0.1, tau=20.0, noise=0.2, seed=0, rest=-70.0):
    """Voltage of a passive membrane, mV."""
    decay = np.exp(-DT / tau)
    v, out = 0.0, np.empty(current.size)
    for k, i in enumerate(current):
        v = v * decay + (1 - decay) * resistance * i
        out[k] = v
    return rest + out + np.random.default_rng(seed).normal(0, noise, current.size)


def steps(*levels):
    return np.concatenate([np.repeat([0.0, level, 0.0], (1000, 4000, 1000)) for level in levels])


@pytest.mark.parametrize("resistance", [0.01, 0.1, 1.0])
def test_the_input_resistance_is_that_of_the_membrane(resistance):
    current = steps(-100.0, 50.0)
    seen = estimate_input_resistance(Sweep(current, DT, voltage=respond(current, resistance)))
    assert seen.measurable
    assert seen.value == pytest.approx(resistance, rel=0.15)


def test_a_voltage_that_does_not_move_contradicts_a_large_current():
    current = steps(-2000.0)
    dead = Sweep(current, DT, voltage=-65 + np.random.default_rng(0).normal(0, 0.3, current.size))
    assert "does not follow the current (-2000 to 0 pA" in find_contradiction(dead)


def test_a_voltage_that_falls_where_the_current_rises_is_of_the_wrong_sign():
    current = steps(-100.0, -50.0)
    assert "sign of one of them is inverted" in find_contradiction(Sweep(current, DT, voltage=respond(current, -0.1)))


@pytest.mark.parametrize(
    "current",
    [steps(-100.0), steps(5.0), steps(2000.0), 30 * np.sin(np.arange(30_000) * DT / 10), np.linspace(0, 100, 20_000),
     np.random.default_rng(0).normal(0, 40, 30_000)],
    ids=["step", "small step", "large step", "sine", "ramp", "white noise"],
)  # fmt: skip
@pytest.mark.parametrize("resistance", [0.01, 0.1, 1.0])
def test_an_honest_membrane_is_not_accused(current, resistance):
    assert find_contradiction(Sweep(current, DT, voltage=respond(current, resistance))) == ""


@pytest.mark.parametrize("cell", CELLS)
def test_real_cells_follow_their_current(cell):
    recording = shipped(cell)
    assert explain_undriven(recording) == ""
    assert not any(find_contradiction(sweep) for sweep in recording)


@pytest.mark.parametrize("level", [0.0, 120.0])
def test_a_current_that_never_changes_is_said_and_not_fitted_unless_asked(level):
    spikes = np.arange(50.0, 4950.0, 100.0)
    recording = ef.Recording.of(np.full((2, 50_000), level), DT, spike_times=[spikes, spikes + 3.0])
    assert f"the current is {level:g} pA throughout" in explain_undriven(recording)
    with pytest.raises(FitError, match=r"undriven=True \(--undriven"):
        ef.fit(recording, "LIF")


def test_noise_of_the_recording_alone_is_no_stimulus_and_a_small_one_that_the_voltage_follows_is():
    rng = np.random.default_rng(0)
    noise, rest = rng.normal(0, 1.0, 40_000), rng.normal(-65, 0.3, 40_000)
    assert "noise of its recording" in explain_undriven(ef.Recording.of(noise, DT, voltage=rest, spike_times=[100.0]))
    small = noise + np.repeat([0.0, 2.0, 0.0, 2.0], 10_000)
    followed = ef.Recording.of(small, DT, voltage=respond(small, 2.0), spike_times=[100.0])
    assert explain_undriven(followed) == ""


def test_levels_that_differ_between_sweeps_drive_the_cell():
    flat = np.full(5_000, 1.0)
    recording = ef.Recording.of(np.stack([20 * flat, 60 * flat]), DT, spike_times=[[10.0], [20.0, 30.0]])
    assert explain_undriven(recording) == ""
