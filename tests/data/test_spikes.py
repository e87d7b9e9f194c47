"""Spike detection against plain crossings on real cells, and against spikes whose times are known."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import CELLS, SHIPPED, pieces, shipped, wholes

from ephysfit.data.loading import load
from ephysfit.data.quality import list_findings
from ephysfit.data.spikes import _onset, detect_spikes, find_spikes, search_spikes
from ephysfit.data.sweep import Sweep
from ephysfit.errors import RecordingError


def crossings(voltage, level=0.0):
    return np.flatnonzero((voltage[:-1] < level) & (voltage[1:] >= level))


def trace(peaks, dt=0.05, duration=1000.0, height=80.0, width=0.5, noise=0.3, base=-65.0, seed=0):
    """Spikes of known peak time: fast rise, slower fall, on a noisy base."""
    t = np.arange(0, duration, dt)
    v = base + noise * np.random.default_rng(seed).standard_normal(t.size)
    for peak in peaks:
        v += height * np.where(
            t < peak, np.exp(-(((t - peak) / width) ** 2)), np.exp(-(((t - peak) / (2 * width)) ** 2))
        )
    return v


@pytest.mark.parametrize("cell", CELLS)
def test_equals_a_zero_crossing_count_on_real_overshooting_cells(cell):
    for sweep in shipped(cell):
        up = crossings(sweep.voltage)
        frac = (up - sweep.voltage[up] / (sweep.voltage[up + 1] - sweep.voltage[up])) * sweep.dt
        assert len(sweep.spike_times) == len(up)
        late = frac - sweep.spike_times
        assert np.all((late > 0) & (late < 1.5))  # onset comes first, by the time of the upstroke


OTHERS = ("2019_07_24_0055_fsi", "171116sh_0016", "171116sh_0018", "18713001", "File_axon_5")


@pytest.mark.parametrize(
    "path",
    [
        *pieces("steps_interneuron", "steps_pyramidal", "steps_fine", "steps_axon", "steps_recorded"),
        *wholes(*(f"abf/{name}.abf" for name in OTHERS)),
    ],
)
def test_equals_a_zero_crossing_count_on_other_cells(path):
    recording = load(path)
    assert recording.n_spikes > 5
    for sweep in recording:
        assert len(sweep.spike_times) == len(crossings(sweep.voltage)), sweep.name


@pytest.mark.parametrize("cell", CELLS)
def test_scaled_down_cells_have_the_same_spikes(cell):
    """Small spikes: a real cell seen through a worse electrode, peaking far below 0 mV."""
    sweep = load(SHIPPED / f"{cell}.nwb", sweeps=[0])[0]
    small = -50 + 0.35 * (sweep.voltage + 50)
    assert small.max() < -10
    found = detect_spikes(small, sweep.dt, current=sweep.current)
    lost = [t for t in sweep.spike_times if np.abs(found - t).min() > 1.0]
    extra = [t for t in found if np.abs(sweep.spike_times - t).min() > 1.0]
    assert len(lost) + len(extra) <= 0.01 * len(sweep.spike_times)


@pytest.mark.parametrize("dt", [0.02, 0.05, 0.1])
@pytest.mark.parametrize(("height", "width"), [(15, 0.4), (30, 0.3), (100, 0.2), (80, 0.5), (70, 2.0)])
def test_small_fast_and_broad_spikes(dt, height, width):
    peaks = np.array([100.0, 150.0, 333.3, 700.0])
    found = find_spikes(trace(peaks, dt, height=height, width=width), dt)
    assert len(found) == 4
    np.testing.assert_allclose(found.peak_times, peaks, atol=max(dt, width / 2))
    assert np.all((found.times < peaks) & (found.times > peaks - 3 * width - 0.3))


def test_onset_moves_with_the_spike_by_less_than_a_sample():
    """Sub-sample: shifting a spike by a tenth of a sample shifts its onset by that, to a twentieth of a sample."""
    dt = 0.1
    onsets = [detect_spikes(trace([50 + s], dt, 100, noise=0.0), dt)[0] - s for s in np.arange(0, 0.1, 0.01)]
    assert np.ptp(onsets) < 0.05 * dt * 2


def test_burst_with_shrinking_spikes_is_counted_whole():
    peaks = 100 + 4.0 * np.arange(8)
    v = sum(trace([p], height=h, noise=0.0) + 65 for p, h in zip(peaks, np.linspace(90, 30, 8), strict=True)) - 65
    assert len(detect_spikes(v, 0.05)) == 8


def test_stimulus_edges_are_not_spikes():
    """A step through an uncompensated electrode jumps by 30 mV, a short pulse also comes back."""
    dt, t = 0.05, np.arange(0, 500, 0.05)
    current = 600.0 * ((t > 100) & (t < 300)) + 900.0 * ((t > 400) & (t < 402))
    membrane = np.convolve(current, np.exp(-np.arange(0, 100, dt) / 15) * dt / 15)[: t.size] * 0.03
    v = -70 + membrane + 0.05 * current + 0.1 * np.random.default_rng(1).standard_normal(t.size)
    assert len(detect_spikes(v, dt, current=current)) == 0
    spiking = v + (trace([150.0, 250.0], dt, 500, noise=0) + 65)
    np.testing.assert_allclose(detect_spikes(spiking, dt, current=current), [149, 249], atol=0.6)


def test_plateau_of_block_and_slow_noise_hold_no_spikes():
    t = np.arange(0, 1000, 0.1)
    blocked = -70 + 55 / (1 + np.exp(-(t - 300) / 1.0))  # enters depolarisation block and stays
    assert len(detect_spikes(blocked, 0.1)) == 0
    noise = np.random.default_rng(0).standard_normal(t.size)
    slow = np.convolve(noise, np.exp(-np.arange(0, 100, 0.1) / 10), "same")
    assert len(detect_spikes(-60 + 6 * slow / slow.std(), 0.1)) == 0


def test_one_sample_glitch_is_not_a_spike():
    v = np.full(5000, -65.0) + 0.2 * np.random.default_rng(0).standard_normal(5000)
    v[2000] += 80
    assert len(detect_spikes(v, 0.05)) == 0


def test_missing_samples_hold_no_spikes():
    v = trace([100.0, 500.0])
    v[(np.arange(v.size) * 0.05 > 450) & (np.arange(v.size) * 0.05 < 550)] = np.nan
    assert len(detect_spikes(v, 0.05)) == 1


def test_flat_and_empty_traces():
    assert len(detect_spikes(np.full(1000, -65.0), 0.1)) == 0
    assert len(detect_spikes(np.empty(0), 0.1)) == 0
    assert len(detect_spikes(np.full(100, np.nan), 0.1)) == 0
    for n in (1, 2, 3):
        assert len(detect_spikes(np.zeros(n), 0.1, current=np.arange(n))) == 0


def test_limits_can_be_tuned():
    v = trace([100.0], height=80) + trace([300.0], height=20) + 65
    assert len(detect_spikes(v, 0.05)) == 2
    assert len(detect_spikes(v, 0.05, height=40)) == 1
    assert len(detect_spikes(v, 0.05, slope=1000)) == 0
    for bad in ({"height": -1}, {"slope": 0}, {"min_slope": float("nan")}):
        with pytest.raises(RecordingError, match="above 0"):
            detect_spikes(v, 0.05, **bad)
    with pytest.raises(RecordingError, match="must be equal"):
        detect_spikes(v, 0.05, current=np.zeros(3))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(5, 400), min_size=1, max_size=8),
    st.floats(25, 110),
    st.floats(-80, -45),
    st.sampled_from([0.02, 0.05, 0.1]),
)
def test_spikes_far_apart_are_all_found_and_no_more(gaps, height, base, dt):
    peaks = 50 + np.cumsum(np.asarray(gaps) + 10)
    v = trace(peaks, dt, peaks[-1] + 100, height=height, base=base)
    found = find_spikes(v, dt)
    assert len(found) == len(peaks)
    assert np.all(np.diff(found.times) > 0)
    np.testing.assert_allclose(found.peak_times, peaks, atol=0.3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf]), max_size=200), st.floats(0.001, 10))
def test_any_numbers_give_a_sorted_train_within_the_trace(values, dt):
    train = detect_spikes(np.array(values), dt)
    assert np.all(np.diff(train) > 0)
    assert train.size == 0 or (train[0] >= 0 and train[-1] <= len(values) * dt)


@pytest.mark.parametrize("cell", CELLS)
def test_against_efel_on_real_cells(cell):
    """Same spikes and onsets within two samples; what only eFEL sees are wiggles inside a depolarisation block."""
    efel = pytest.importorskip("efel")
    only, lags = [], []
    for sweep in shipped(cell):
        trace = {"T": sweep.times, "V": sweep.voltage, "stim_start": [0.0], "stim_end": [sweep.duration]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (found,) = efel.get_feature_values([trace], ["peak_time", "AP_begin_time"])
        ours = find_spikes(sweep.voltage, sweep.dt, current=sweep.current)
        gaps = np.abs(found["peak_time"][:, None] - ours.peak_times)
        assert np.all(gaps.min(axis=0) < 2.0)  # eFEL has each of ours
        only += [sweep.voltage[round(t / sweep.dt)] for t in found["peak_time"][gaps.min(axis=1) > 2.0]]
        onsets = found["AP_begin_time"]
        near = np.abs(onsets[:, None] - ours.times).argmin(axis=1)
        lags += list(onsets - ours.times[near])
    assert len(only) <= 9
    assert all(peak < 0 for peak in only)
    assert abs(np.median(lags)) < 0.2


def _fine(n=400_000, dt=0.05, seed=3, width=0.5, peak=25.0):
    """A leaky cell on noise, sampled finely, with spikes of this half width (ms) that peak at this potential."""
    rng = np.random.default_rng(seed)
    current, v, since = np.empty(n), -70.0, 1e9
    x, a = 0.0, np.exp(-dt / 5)
    times, volts, kicks = [], np.empty(n), rng.normal(size=n)
    shape = np.interp(np.arange(0, 6 * width, dt), [0, 0.8 * width, 2.2 * width, 6 * width], [-45, peak, -60, -62])
    k = 0
    while k < n:
        x = a * x + np.sqrt(1 - a * a) * kicks[k]
        current[k] = 200 + 120 * x
        v += dt / 20 * (-70 - v + 0.12 * current[k])
        volts[k] = v
        if v > -48 and since > 4:
            m = min(len(shape), n - k)
            times.append(k * dt)
            volts[k : k + m] = shape[:m]
            for j in range(k + 1, k + m):
                x = a * x + np.sqrt(1 - a * a) * kicks[j]
                current[j] = 200 + 120 * x
            k, v, since = k + m, -62.0, m * dt
            continue
        since += dt
        k += 1
    return current, volts + 0.2 * rng.normal(size=n), dt, np.array(times)


@pytest.mark.parametrize("averaged", [False, True])
@pytest.mark.parametrize("width", [0.25, 0.5, 1.5])
@pytest.mark.parametrize("peak", [25.0, -15.0])
def test_coarse_sampling_loses_no_spike_without_a_word(width, peak, averaged):
    current, volts, dt, truth = _fine(width=width, peak=peak)
    for every in (2, 4, 6, 10, 14, 20):
        step, n = every * dt, len(volts) // every * every
        coarse = volts[:n].reshape(-1, every).mean(axis=1) if averaged else volts[:n:every]
        found = search_spikes(coarse, step, current=current[:n].reshape(-1, every).mean(axis=1))
        lost = len(truth) - len(found.spikes)
        left = sum(one.count for one in found.removed)
        assert abs(lost) <= max(0.01 * len(truth), left) or found.warnings, (step, lost, left)


@pytest.mark.parametrize("cell", CELLS)
def test_real_cells_keep_their_spikes_at_coarse_steps_or_it_is_said(cell):
    sweep = load(SHIPPED / f"{cell}.nwb", sweeps=[0])[0]
    for every in (2, 5, 10):
        found = search_spikes(sweep.voltage[::every], every * sweep.dt, current=sweep.current[::every])
        assert abs(len(found.spikes) - len(sweep.spike_times)) <= 0.01 * len(sweep.spike_times) or found.warnings


def test_a_glitch_of_one_sample_among_resolved_spikes_is_left_out_and_counted():
    peaks = np.arange(50.0, 950.0, 60.0)
    for dt in (0.05, 0.1, 0.2):
        v = trace(peaks, dt)
        v[round(80 / dt)] += 70.0
        found = search_spikes(v, dt)
        assert len(found.spikes) == len(peaks)
        assert [(one.rule, one.count) for one in found.removed] == [("narrow event", 1)]


@pytest.mark.parametrize("bridge", [-12.0, -8.0, -6.0, -3.0, 0.0, 8.0, 30.0])
@pytest.mark.parametrize(("width", "delay"), [(0.5, 0), (1.5, 1), (2.0, 0), (5.0, 2)])
def test_edges_of_pulses_are_no_spikes_however_the_bridge_is_balanced(bridge, width, delay):
    """One spike in each pulse of 2 nA; MOhm of the electrode too little (+) or too much (-) taken off, samples late."""
    dt, rng = 0.05, np.random.default_rng(0)
    t = np.arange(0, 1300, dt)
    current = np.where((t % 50 < width) & (t > 49), 2000.0, 0.0)
    peaks = np.arange(50.0, 1299.0, 50.0) + 1.6
    v = trace(peaks, dt, 1300, noise=0.1) + np.roll(1e-3 * bridge * current, delay)
    found = search_spikes(v, dt, current=current + rng.normal(0, 1.0, t.size))
    assert len(found.spikes) == len(peaks)


def test_time_is_linear_in_the_length_of_a_sweep():
    """Work, not seconds: how many samples the search for onsets reads."""
    read = []

    class Counted(np.ndarray):
        def __getitem__(self, key):
            if isinstance(key, slice):
                read.append((key.stop or 0) - (key.start or 0))
            return super().__getitem__(key)

    rate = np.zeros(1_000_000).view(Counted)
    tops = np.arange(1000, 1_000_000, 1000)
    rate[tops] = 100.0
    for top in tops:
        _onset(rate, int(top), 0.1)
    assert sum(read) <= 200 * len(tops)


def test_spike_times_do_not_depend_on_the_number_of_threads(tmp_path):
    code = (
        "import sys, ephysfit as ef\n"
        "r = ef.load(sys.argv[1], sweeps=[1, 2])\n"
        "print([t.hex() for s in r for t in s.spike_times.tolist()])"
    )
    said = set()
    for threads in ("1", "2", "4"):
        env = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run([sys.executable, "-c", code, str(SHIPPED / "DRN164.nwb")], env=env, capture_output=True,
                              text=True, check=True)  # fmt: skip
        said.add(done.stdout)
    assert len(said) == 1


def test_spike_times_given_twice_count_once_and_it_is_said():
    train = np.arange(10.0, 900.0, 20.0)
    sweep = Sweep(np.sin(np.arange(10_000) / 50), 0.1, spike_times=np.r_[train, train + 0.05])
    np.testing.assert_array_equal(sweep.spike_times, train)
    assert str(sweep.removed[0]) == f"{len(train)} spikes (doubled spikes)"
    assert "the same spike twice" in sweep.warnings[0]
    assert sweep.cut(0, 500).removed == sweep.removed


def test_intervals_that_no_neuron_keeps_are_said_and_bursts_are_not():
    current = np.sin(np.arange(10_000) / 50)
    train = np.arange(10.0, 900.0, 20.0)
    assert "listed twice" in " ".join(list_findings(Sweep(current, 0.1, spike_times=np.r_[train, train + 0.3])))
    burst = np.r_[train, train + 1.5, train + 3.2]
    assert not any("listed twice" in f for f in list_findings(Sweep(current, 0.1, spike_times=burst)))


@pytest.mark.parametrize(("amp", "width"), [(1000.0, 2.0), (1500.0, 2.0), (700.0, 5.0)])
def test_a_passive_membrane_that_a_pulse_charges_does_not_spike(amp, width):
    dt, n, tau, capacity = 0.05, 20_000, 15.0, 100.0
    current, voltage, v = np.zeros(n), np.empty(n), 0.0
    for begin in range(1000, 18_000, 1000):
        current[begin : begin + round(width / dt)] = amp
    for k in range(n):
        v += dt * (current[k] / capacity - v / tau)
        voltage[k] = v - 70
    voltage += np.random.default_rng(0).normal(size=n) * 0.08
    found = search_spikes(voltage, dt, current=current)
    assert np.ptp(voltage) > 15
    assert len(found.spikes) == 0
    assert [(one.rule, one.count) for one in found.removed] == [("charging", 17)]


@pytest.mark.parametrize("width", [0.8, 1.0, 1.15, 1.3, 2.0])
@pytest.mark.parametrize("dt", [0.02, 0.05, 0.1])
def test_a_spike_that_peaks_as_its_pulse_ends_is_one(width, dt):
    t = np.arange(0, 60, dt)
    current = np.where((t >= 20) & (t < 20 + width), 2500.0, 0.0)
    charge = np.where(t < 20, 0.0, np.minimum(t - 20, width) * 5.0) * np.exp(-np.maximum(t - 20 - width, 0) / 15)
    shape = np.interp(t - 20.3, [0, 0.25, 0.45, 1.0, 1.8, 4], [0, 60, 85, 60, 30, 0], left=0.0, right=0.0)
    assert len(search_spikes(charge + shape - 68, dt, current=current).spikes) == 1
