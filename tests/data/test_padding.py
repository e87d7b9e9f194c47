"""Samples that were never recorded: told from honest traces that look like them."""

import numpy as np
import pytest
from nwb_files import amps, volts
from places import SHIPPED

from ephysfit.data.loading import info, load
from ephysfit.data.padding import remove_sweep_padding
from ephysfit.data.sweep import Sweep
from ephysfit.errors import RecordingError

DT, N, STOP = 0.1, 10_000, 6_000


def live(n=N, noise=0.1, seed=0, dt=DT):
    """A noisy voltage with a step response and spikes, mV, and its current, pA."""
    rng = np.random.default_rng(seed)
    current = np.zeros(n)
    current[n // 10 : 8 * n // 10] = 100.0
    smooth = membrane(current, dt)
    spikes = volts(n, np.arange(n // 10, 8 * n // 10, 1000) * dt, dt) * 1e3 + 65
    return current, smooth + spikes + rng.normal(0, noise, n)


def membrane(current, dt=DT, tau=20.0, resistance=0.1, rest=-70.0):
    """A passive voltage without noise, mV."""
    v = np.empty(len(current))
    x = 0.0
    for k, i in enumerate(current):
        x += dt / tau * (resistance * i - x)
        v[k] = rest + x
    return v


def sweep(current, voltage, dt=DT):
    return Sweep(current, dt, voltage, name="s", spike_source="none")


PADDINGS = {
    "zeros in both": (0.0, 0.0), "zeros in the voltage": (0.0, None), "last value": ("last", None),
    "another constant": (-999.0, None), "the rail": (100.0, None), "headstage off, with noise": ("off", None),
}  # fmt: skip


@pytest.mark.parametrize("kind", PADDINGS)
@pytest.mark.parametrize("dt", [0.02, 0.1])
def test_what_fills_up_an_aborted_sweep_is_cut_and_said(kind, dt):
    current, voltage = live(dt=dt)
    fill, current_fill = PADDINGS[kind]
    noise = np.random.default_rng(1).normal(0, 3, N - STOP)
    voltage[STOP:] = voltage[STOP - 1] if fill == "last" else 950 + noise if fill == "off" else fill
    if current_fill is not None:
        current[STOP:] = current_fill
    found = remove_sweep_padding(sweep(current, voltage, dt))
    assert abs(found.steps - STOP) <= 1
    assert found.warnings[0].startswith(f"aborted: cut at {found.steps * dt:g} of {N * dt:g} ms")
    assert [(r.rule, r.count, r.of) for r in found.removed] == [("aborted", N - found.steps, "samples")]


@pytest.mark.parametrize("first", [STOP, 500])
def test_zeros_after_a_noise_free_voltage_at_rest_are_padding_too(first):
    voltage = membrane(step_only())
    voltage[first:] = 0.0
    assert remove_sweep_padding(sweep(step_only(), voltage)).steps == first


def shifted_units():
    """A simulation with its rest and reset at 0 mV that falls silent after a spike."""
    current, v, out = step_only(300.0), 0.0, []
    for i in current:
        v += DT / 20 * (0.1 * i - v)
        v = 0.0 if v > 20.0 else v
        out.append(v)
    voltage = np.array(out)
    voltage[4000:] = 0.0
    return current, voltage


def quantised(voltage, step):
    return np.round(voltage / step) * step


def simulated_noise_then_rest(resting=STOP):
    """A simulation driven by noise that stops: without noise of its own it comes to rest at exactly one value."""
    current = np.random.default_rng(2).normal(100, 300, N)
    current[N - resting :] = 0.0
    return current, quantised(membrane(current, tau=5.0), 1e-3)


def refractory(n=N):
    """Integrate and fire with 6 ms at the reset, driven by noise, ending right after a spike."""
    rng = np.random.default_rng(3)
    current, v, hold, out = rng.normal(300, 300, 3 * n), -65.0, 0, []
    for i in current:
        hold -= 1
        v = -65.0 if hold > 0 else v + DT / 20 * (-65 - v + 0.1 * i)
        if v > -50:
            v, hold = -65.0, 60
        out.append(v)
        if len(out) > n and hold == 1:
            break
    return current[: len(out)], np.array(out)


def step_only(level=100.0):
    current = np.zeros(N)
    current[1000:4000] = level
    return current


HONEST = {
    "noise-free, resting flat at -70": lambda: (step_only(), membrane(step_only(), tau=2.0)),
    "noise-free, flat throughout": lambda: (np.zeros(N), np.full(N, -70.0)),
    "noise-free, printed with two digits": lambda: (step_only(), quantised(membrane(step_only()), 0.01)),
    "noise-free, driven by noise, then at rest": simulated_noise_then_rest,
    "a simulated reset at the end": refractory,
    "a rest and reset at 0 mV": shifted_units,
    "current zero after the stimulus": live,
    "current zero throughout": lambda: (np.zeros(N), live()[1]),
    "a converter of 1 mV, noise and then silence": lambda: (
        step_only(), quantised(membrane(np.r_[np.random.default_rng(4).normal(0, 1500, 5000), np.zeros(5000)])
                               + np.random.default_rng(5).normal(0, 0.15, N), 1.0)),
    "a converter of 0.3 mV, noise of 0.1 mV": lambda: (step_only(), quantised(live()[1], 0.3)),
    "clipped during a strong step": lambda: (step_only(-900), np.maximum(live()[1] - 60 * (step_only() > 0), -100)),
    "clipped to the end by a step that goes on": lambda: (np.r_[np.zeros(5000), np.full(5000, 10.0)], live()[1]),
    "volts taken for millivolts": lambda: (step_only(), live()[1] * 1e-3),
    "a gain of 10 not divided out": lambda: (step_only(), live()[1] * 10),
}  # fmt: skip


@pytest.mark.parametrize("kind", HONEST)
def test_honest_sweeps_are_left_alone(kind):
    given = sweep(*HONEST[kind]())
    found = remove_sweep_padding(given)
    assert found.steps == given.steps, found.warnings
    assert not found.removed
    assert found.valid == ()


@pytest.mark.parametrize("seed", range(40))
def test_honest_noise_of_any_kind_is_left_alone(seed):
    """White, filtered and coarse noise, at many rates: no trace is cut by chance."""
    rng = np.random.default_rng(seed)
    dt = float(rng.choice([0.01, 0.05, 0.1, 0.5]))
    current, voltage = live(noise=float(rng.uniform(0.05, 0.5)), seed=seed, dt=dt)
    width = int(rng.integers(1, 20))
    voltage = np.convolve(voltage, np.ones(width) / width, "same")[width : N - width]
    step = float(rng.choice([0.0, 0.01, 0.03, 0.1, 0.3]))
    found = remove_sweep_padding(sweep(current[width : N - width], quantised(voltage, step) if step else voltage, dt))
    assert not found.removed


def test_gaps_filled_with_zeros_are_masked_inside():
    current, voltage = live()
    voltage[3000:3400] = 0.0
    voltage[7000:7200] = voltage[6999]
    found = remove_sweep_padding(sweep(current, voltage))
    assert found.steps == N
    assert np.ravel(found.valid) == pytest.approx([0.0, 300.0, 340.0, 699.9, 720.0, 1000.0])
    assert np.isnan(found.voltage[3000:3400]).all()
    assert [(r.rule, r.count) for r in found.removed] == [("gap", 601)]
    assert "300 to 340 ms" in found.warnings[0]


def test_a_gap_and_a_padded_end():
    current, voltage = live()
    voltage[2000:4000] = 0.0
    voltage[8000:] = 0.0
    found = remove_sweep_padding(sweep(current, voltage))
    assert (found.duration, found.valid) == (800.0, ((0.0, 200.0), (400.0, 800.0)))


def test_a_voltage_that_is_zero_throughout_is_refused_unless_spikes_are_given(tmp_path):
    with pytest.raises(RecordingError, match="never recorded; padding='keep'"):
        remove_sweep_padding(sweep(np.ones(500), np.zeros(500)))
    given = Sweep(np.ones(500), 0.1, np.zeros(500), spike_times=[3.0])
    assert remove_sweep_padding(given).steps == 500


def cut_off(data):
    """What was cut; events that are no spikes are counted beside it."""
    return [str(r) for r in data.removed if r.rule in ("aborted", "gap")]


def test_load_cuts_counts_and_can_be_told_not_to(tmp_path):
    current, voltage = live()
    voltage[STOP:] = 0.0
    path = tmp_path / "cell.npz"
    np.savez(path, current_pA=current, voltage_mV=voltage, dt_ms=DT)
    found = load(path)[0]
    assert (found.duration, len(found.spike_times)) == (600.0, 5)
    assert not any("unstable" in warning for warning in found.warnings)
    assert cut_off(info(path)) == ["4000 samples (aborted)"]
    kept = load(path, padding="keep")[0]
    assert kept.duration == 1000.0
    assert not cut_off(kept)
    with pytest.raises(RecordingError, match="padding='leave'"):
        load(path, padding="leave")


def test_missing_samples_are_counted_too(tmp_path):
    voltage = volts() * 1e3
    voltage[1200:] = np.nan
    path = tmp_path / "cell.npz"
    np.savez(path, current_pA=amps() * 1e12, voltage_mV=voltage, dt_ms=DT)
    assert [str(r) for r in load(path)[0].removed] == ["800 samples (aborted)"]


def test_spikes_given_for_the_padding_are_left_out_and_counted():
    current, voltage = live()
    voltage[STOP:] = 0.0
    given = Sweep(current, DT, voltage, spike_times=[100.0, 700.0, 800.0])
    found = remove_sweep_padding(given)
    assert found.spike_times.tolist() == [100.0]
    assert [str(r) for r in found.removed] == ["4000 samples (aborted)", "2 spikes (aborted)"]
    assert "2 spikes given for that time left out" in found.warnings[0]


def test_real_recordings_lose_nothing():
    for name in ("DRN158", "DRN164"):
        assert not cut_off(info(SHIPPED / f"{name}.nwb"))


def test_missing_voltage_inside_a_sweep_is_masked_counted_and_said(tmp_path):
    current, voltage = live()
    voltage[300:340] = np.nan
    np.savez(tmp_path / "cell.npz", current_pA=current, voltage_mV=voltage, dt_ms=DT)
    found = load(tmp_path / "cell.npz")[0]
    assert found.steps == N
    assert len(found.valid) == 2
    assert [str(one) for one in found.removed] == ["40 samples (gap)"]
    assert any("of voltage missing (NaN) inside the sweep" in said for said in found.warnings)
