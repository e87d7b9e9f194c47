"""A recorded current that follows the spikes is found; one that made them is not accused of it."""

from dataclasses import replace

import numba
import numpy as np
import pytest
from places import CELLS, SHIPPED
from scipy.signal import lfilter

from ephysfit import load
from ephysfit.data.leaks import find_leaks, find_step_levels
from ephysfit.data.recording import Recording
from ephysfit.data.sweep import Sweep


@numba.njit
def fire(current, dt, adapts=0.0, soft=0.0, seed=0):
    """Samples at which a leaky threshold neuron fires: driven by the current of the sample itself."""
    np.random.seed(seed)
    v, h, decay, fall = 0.0, 0.0, np.exp(-dt / 20), np.exp(-dt / 100)
    out = np.zeros(len(current), dtype=np.bool_)
    for k in range(len(current)):
        v, h = v * decay + (1 - decay) * 0.2 * current[k], h * fall
        p = 1 - np.exp(-dt * 0.1 * np.exp(min((v - 15 - h) / soft, 20.0))) if soft > 0 else 1.0 * (v >= 15 + h)
        if np.random.random() < p:
            out[k] = True
            v, h = 0.0, h + adapts
    return np.flatnonzero(out)


def coloured(n, dt, tau, seed):
    """Ornstein-Uhlenbeck noise of standard deviation 1."""
    a = np.exp(-dt / tau)
    return lfilter([np.sqrt(1 - a * a)], [1.0, -a], np.random.default_rng(seed).normal(size=n))


def stepped(n, dt, level=0.0, seed=0):
    """Steps of half a second between random levels."""
    return level + np.repeat(np.random.default_rng(seed).uniform(-1, 2, n // round(500 / dt) + 1), round(500 / dt))[:n]


STIMULI = {
    "noise": lambda n, dt, seed: coloured(n, dt, 3.0, seed),
    "slow and fast noise": lambda n, dt, seed: 0.7 * (coloured(n, dt, 2.0, seed) + coloured(n, dt, 80.0, seed + 1)),
    "clipped noise": lambda n, dt, seed: np.clip(coloured(n, dt, 3.0, seed), -1.5, 1.2),
    "rectified noise": lambda n, dt, seed: np.maximum(coloured(n, dt, 3.0, seed), 0),
    "noise held for 1 ms": lambda n, dt, seed: np.repeat(coloured(n, 1.0, 3.0, seed), max(round(1 / dt), 1))[:n],
    "telegraph": lambda n, dt, seed: (-1.0) ** np.cumsum(np.random.default_rng(seed).random(n) < dt / 10),
    "sine": lambda n, dt, seed: np.sin(np.arange(n) * dt * 2 * np.pi / 100),
    "sawtooth with recording noise": lambda n, dt, seed: (
        3 * ((np.arange(n) * dt % 200) / 200 - 0.5) + np.random.default_rng(seed).normal(0, 0.02, n)
    ),
    "pulses of 2 ms": lambda n, dt, seed: 8.0 * (np.arange(n) * dt % 50 < 2),
    "pulses with recording noise": lambda n, dt, seed: (
        8.0 * (np.arange(n) * dt % 50 < 2) + np.random.default_rng(seed).normal(0, 0.02, n)
    ),
    "steps": lambda n, dt, seed: stepped(n, dt, seed=seed),
    "steps with recording noise": lambda n, dt, seed: (
        stepped(n, dt, seed=seed) + np.random.default_rng(seed).normal(0, 0.02, n)
    ),
}


def sweep(current, dt, at, stamp=0.5):
    return Sweep(current, dt, spike_times=np.minimum((at + stamp) * dt, current.size * dt))


@pytest.mark.parametrize(("dt", "stamp"), [(0.1, 0.5), (0.1, 0.0), (0.5, 1.0), (1.0, 0.5)])
@pytest.mark.parametrize("stimulus", STIMULI)
def test_a_current_that_made_the_cell_fire_is_not_accused(stimulus, dt, stamp):
    current = 60 + 100 * STIMULI[stimulus](int(20_000 / dt), dt, 7)
    for adapts, soft in ((0.0, 0.0), (3.0, 0.0), (2.0, 1.5)):
        at = fire(current, dt, adapts, soft)
        assert len(at) >= 20
        assert not find_leaks([sweep(current, dt, at, stamp)])


def test_a_spike_stamped_before_the_sample_that_made_it_is_not_accused_either():
    """`np.flatnonzero((v[1:] >= limit) & (v[:-1] < limit)) * dt`, as everybody writes it."""
    for dt in (0.1, 0.5):
        current = 60 + 100 * coloured(int(30_000 / dt), dt, 3.0, 5)
        assert not find_leaks([sweep(current, dt, fire(current, dt) - 1)])


def bump(size, n, at, dt):
    """A spike-like artefact of 3 ms from the sample after each spike on."""
    t = np.arange(0, 3, dt)
    shape = np.exp(-(((t - 0.4) / 0.3) ** 2)) - 0.15 * np.exp(-t / 1.5) * (t > 0.8)
    out = np.zeros(n + len(shape) + 1)
    for k in at:
        out[k + 1 : k + 1 + len(shape)] += shape
    return size * out[:n]


@pytest.mark.parametrize(
    ("stimulus", "part"),
    [("noise", 0.2), ("slow and fast noise", 0.1), ("clipped noise", 0.2), ("steps", 0.05),
     ("steps with recording noise", 0.05), ("pulses of 2 ms", 0.05), ("pulses with recording noise", 0.05)],
)  # fmt: skip
def test_an_artefact_after_spikes_is_found(stimulus, part):
    dt = 0.1
    current = 60 + 100 * STIMULI[stimulus](300_000, dt, 7)
    at = fire(current, dt, adapts=3.0)
    size = part * current.std()
    found = find_leaks([sweep(current + bump(size, current.size, at, dt), dt, at)])
    assert list(found) == [0]
    assert 0.3 * size < abs(found[0].size) < 3 * size
    assert "locked to the spikes" in str(found[0])


def test_repeats_betray_an_artefact_of_a_twentieth():
    """Each repeat carries its own recording noise; the mean of the others tells the command."""
    dt, rng = 0.1, np.random.default_rng(1)
    command = 60 + 100 * coloured(100_000, dt, 3.0, 3)
    honest, leaking = [], []
    for k in range(8):
        at = fire(command, dt, 2.0, 1.5, seed=k)
        recorded = command + rng.normal(0, 1.0, command.size)
        honest.append(sweep(recorded, dt, at))
        leaking.append(sweep(recorded + bump(0.05 * command.std(), command.size, at, dt), dt, at))
    assert not find_leaks(honest)
    found = find_leaks(leaking)
    assert len(found) == 8
    assert {leak.reference for leak in found.values()} == {"repeats"}


def test_sweeps_that_train_are_not_accused_for_those_that_test():
    dt = 0.1
    training = 60 + 100 * coloured(300_000, dt, 3.0, 3)
    command = 60 + 100 * coloured(100_000, dt, 3.0, 4)
    sweeps = [sweep(training, dt, fire(training, dt))]
    for k in range(4):
        at = fire(command, dt, 2.0, 1.5, seed=k)
        sweeps.append(sweep(command + bump(40.0, command.size, at, dt), dt, at))
    assert sorted(find_leaks(sweeps)) == [1, 2, 3, 4]


@pytest.mark.parametrize("cell", CELLS)
def test_voltage_let_into_a_real_current_is_found_and_the_real_current_is_not_accused(cell):
    recorded = load(SHIPPED / f"{cell}.nwb", sweeps=[0])[0]
    assert not find_leaks([recorded])
    slope = np.gradient(recorded.voltage, recorded.dt)
    assert find_leaks([replace(recorded, current=recorded.current + 0.15 * slope)])
    assert find_leaks([replace(recorded, current=recorded.current + 0.1 * (recorded.voltage + 60))])


def test_levels_of_steps_are_taken_where_they_are_asked_for(tmp_path):
    dt = 0.1
    command = 60 + 100 * stepped(100_000, dt)
    recorded = command + np.random.default_rng(0).normal(0, 1.0, command.size)
    at = fire(command, dt)
    path = tmp_path / "cell.npz"
    np.savez(path, current_pA=recorded + bump(15.0, command.size, at, dt), spike_times_ms=(at + 0.5) * dt, dt_ms=dt)
    with pytest.raises(Exception, match="leak='step' takes the levels of its steps"):
        load(path)
    kept = load(path, leak="step")[0]
    np.testing.assert_allclose(kept.current, command, atol=1.0)
    assert kept.removed[0].rule == "leak"
    assert "levels of its steps are taken instead" in kept.notes[-1]


def test_noise_has_no_levels():
    assert find_step_levels(100 * coloured(50_000, 0.1, 3.0, 0), 0.1) is None


def test_a_recording_without_spikes_has_nothing_to_follow():
    assert not find_leaks(Recording.of(coloured(5_000, 0.1, 3.0, 0), 0.1, spike_times=[]).sweeps)


@pytest.mark.parametrize("dt", [0.1, 1.0])
@pytest.mark.parametrize("gains", [(1.0,) * 5, (0.8, 0.9, 1.0, 1.2, 1.4)])
def test_one_noise_played_again_is_one_piece_of_evidence(dt, gains):
    """Sweeps of one frozen noise fire at the same moments: counted once a sweep, chance looks like a leak."""
    for seed in range(12):
        noise = coloured(round(3000 / dt), dt, 3.0, seed)
        sweeps = []
        for gain in gains:
            current = gain * (60 + 150 * noise)
            sweeps.append(Sweep(current, dt, spike_times=(fire(current, dt) + 0.5) * dt))
        assert find_leaks(sweeps) == {}, seed


def test_an_artefact_in_sweeps_of_one_noise_is_still_found():
    dt, noise = 0.1, coloured(200_000, 0.1, 3.0, 1)
    sweeps = []
    for gain in (0.9, 1.0, 1.1):
        current = gain * (60 + 150 * noise)
        at = fire(current, dt)
        marks = np.bincount(at + 1, minlength=current.size + 1)[: current.size]
        bump = np.convolve(marks, 20 * np.exp(-np.arange(30) * dt))[: current.size]
        sweeps.append(Sweep(current + bump, dt, spike_times=(at + 0.5) * dt))
    assert list(find_leaks(sweeps)) == [0, 1, 2]
