"""Arrays kept (time, trial) are turned where a time axis tells and refused where nothing does; honest ones are read."""

import numpy as np
import pytest
from scipy.signal import lfilter

from ephysfit.data.loading import load
from ephysfit.data.recording import Recording
from ephysfit.data.time_axis import find_smooth_axis
from ephysfit.errors import RecordingError

N, TRIALS = 3000, 5
T = np.arange(N) * 0.1
RNG = np.random.default_rng(0)


def membrane(current, noise=0.15, rng=RNG):
    """A leaky membrane with noise and without spikes, mV."""
    step = 0.1 / 15
    return -70 + lfilter([step * 0.1], [1, step - 1], current, axis=-1) + rng.normal(0, noise, current.shape)


I = np.stack([50 * np.sin(T / 40) + 10 * k for k in range(TRIALS)])
V = membrane(I)


def saved(folder, **arrays):
    np.savez(folder / "cell.npz", **arrays)
    return folder / "cell.npz"


def read(folder, **arrays):
    return load(saved(folder, **arrays), spikes="auto")


def holds(recording):
    assert len(recording) == TRIALS
    for sweep, current, voltage in zip(recording, I, V, strict=True):
        np.testing.assert_allclose(sweep.current, current)
        np.testing.assert_allclose(sweep.voltage, voltage)
    return True


class TestFiles:
    def test_a_time_axis_tells(self, tmp_path):
        assert holds(read(tmp_path, current_pA=I, voltage_mV=V, time_ms=T))
        turned = read(tmp_path, current_pA=I.T, voltage_mV=V.T, time_ms=T)
        assert holds(turned)
        assert "current of shape (3000, 5) read as (time, trial): there are 3000 times" in turned[0].notes[0]

    def test_a_time_axis_tells_for_each_array(self, tmp_path):
        assert holds(read(tmp_path, current_pA=I, voltage_mV=V.T, time_ms=T))
        assert holds(read(tmp_path, current_pA=I.T, voltage_mV=V, time_ms=T[:, None]))

    def test_times_of_every_trial_tell(self, tmp_path):
        times = np.tile(T, (TRIALS, 1))
        assert holds(read(tmp_path, current_pA=I, voltage_mV=V, time_ms=times))
        assert holds(read(tmp_path, current_pA=I.T, voltage_mV=V.T, time_ms=times.T))

    def test_trials_and_spike_trains_tell(self, tmp_path):
        trains = np.full((TRIALS, 3), np.nan)
        trains[:, 0] = 20.0
        for more in ({"trial": np.arange(TRIALS)}, {"spike_times_ms": trains}):
            assert holds(read(tmp_path, current_pA=I.T, voltage_mV=V.T, dt_ms=0.1, **more))

    def test_without_them_transposed_arrays_are_refused_with_both_readings(self, tmp_path):
        for arrays in ({"voltage_mV": V.T}, {"spike_trial": [0], "spike_times_ms": [5.0]}):
            with pytest.raises(RecordingError) as caught:
                read(tmp_path, current_pA=I.T, dt_ms=0.1, **arrays)
            assert "3000 sweeps of 5 samples; transposed it would be 5 sweeps of 300 ms" in str(caught.value)
        path = saved(tmp_path, current_pA=I.T, voltage_mV=V.T, dt_ms=0.1)
        assert holds(load(path, time_axis=0))
        few = saved(tmp_path, current_pA=I.T[:100], voltage_mV=V.T[:100], dt_ms=0.1)  # thousands of sweeps take seconds
        assert len(load(few, time_axis=1)) == 100

    def test_matlab_too(self, tmp_path):
        from scipy.io import savemat

        savemat(tmp_path / "a.mat", {"current_pA": I.T, "voltage_mV": V.T, "time_ms": T[:, None]})
        assert holds(load(tmp_path / "a.mat"))
        savemat(tmp_path / "b.mat", {"current_pA": I.T, "voltage_mV": V.T, "dt_ms": 0.1})
        with pytest.raises(RecordingError, match=r"shape \(3000, 5\)"):
            load(tmp_path / "b.mat")

    def test_arrays_turned_against_each_other_are_refused(self, tmp_path):
        with pytest.raises(RecordingError, match="one of them is transposed"):
            read(tmp_path, current_pA=I, voltage_mV=V.T, dt_ms=0.1)

    def test_one_current_for_many_voltages_is_not_guessed(self, tmp_path):
        for voltage in (V, V.T):
            with pytest.raises(RecordingError, match=r"np\.tile\(current, \(5, 1\)\)"):
                read(tmp_path, current_pA=I[0], voltage_mV=voltage, dt_ms=0.1)

    def test_a_trial_as_a_column_is_one_sweep(self, tmp_path):
        recording = read(tmp_path, current_pA=I[0][:, None], voltage_mV=V[0], dt_ms=0.1)
        assert [s.steps for s in recording] == [N]

    def test_square_arrays_are_told_by_the_voltage_or_refused(self, tmp_path):
        square = np.stack([50 * np.sin(T[:60] / 2 + 5 * k) for k in range(60)])
        voltage = membrane(square)
        assert find_smooth_axis(voltage) == 1
        recording = read(tmp_path, current_pA=square, voltage_mV=voltage, time_ms=T[:60])
        np.testing.assert_allclose(recording[3].voltage, voltage[3])
        with pytest.raises(RecordingError, match=r"shape \(60, 60\).*smooth along the first axis"):
            read(tmp_path, current_pA=square.T, voltage_mV=voltage.T, time_ms=T[:60])
        with pytest.raises(RecordingError, match="nothing decides which it is"):
            load(saved(tmp_path, current_pA=RNG.normal(0, 9, (60, 60)), time_ms=T[:60]), planned=True)

    def test_times_and_trains_that_disagree_are_refused(self, tmp_path):
        with pytest.raises(RecordingError, match="give time_axis="):
            read(tmp_path, current_pA=I, voltage_mV=V, time_ms=T, spike_times_ms=np.zeros((N, 1)))

    def test_spikes_as_a_matrix(self, tmp_path):
        trains = np.array([[5.0, 50.0], [6.0, 60.0], [7.0, np.nan], [8.0, np.nan], [9.0, np.nan]])
        recording = read(tmp_path, current_pA=I, dt_ms=0.1, spike_times_ms=trains)
        assert [s.spike_times.tolist() for s in recording] == [[5.0, 50.0], [6.0, 60.0], [7.0], [8.0], [9.0]]
        square = np.sort(np.random.default_rng(2).uniform(0, 200, (5, 5)), axis=1)
        assert read(tmp_path, current_pA=I, dt_ms=0.1, spike_times_ms=square).n_spikes == 25
        with pytest.raises(RecordingError, match="rise down the columns"):
            read(tmp_path, current_pA=I, dt_ms=0.1, spike_times_ms=square.T)
        with pytest.raises(RecordingError, match="mark the samples with a spike"):
            read(tmp_path, current_pA=I, dt_ms=0.1, spike_times_ms=(V > -69.9).astype(float))

    def test_times_and_steps_that_disagree_are_refused(self, tmp_path):
        with pytest.raises(RecordingError, match=r"0\.1 ms apart and its step or rate says 0\.05 ms"):
            read(tmp_path, current_pA=I, voltage_mV=V, time_ms=T, dt_ms=0.05)


class TestOf:
    def test_transposed_arrays_are_refused(self):
        with pytest.raises(
            RecordingError, match=r"3000 sweeps of 5 samples; transposed it would be 5 sweeps of 300 ms"
        ):
            Recording.of(I.T, 0.1, voltage=V.T)
        with pytest.raises(RecordingError, match=r"read as \(time, trial\): there are 5 spike trains"):
            Recording.of(I.T, 0.1, spike_times=[[5.0]] * TRIALS)
        assert holds(Recording.of(I.T, 0.1, voltage=V.T, time_axis=0))
        assert holds(Recording.of(I, 0.1, voltage=V))

    def test_a_column_is_one_sweep(self):
        assert [s.steps for s in Recording.of(I[0][:, None], 0.1, spike_times=[5.0])] == [N]

    @pytest.mark.parametrize(
        "dt", [np.float32(0.1), float(np.float32(0.1)), 1e3 * float(np.float32(1e-4)), 0.0999999739]
    )
    def test_a_step_of_single_precision_is_the_decimal_it_was(self, dt):
        assert Recording.of(I, dt, voltage=V).dt == 0.1

    def test_a_step_of_no_short_decimal_is_kept(self):
        assert Recording.of(I, 1 / 30, voltage=V).dt == 1 / 30


def honest(rng, trials, samples):
    """Voltages of short sweeps: noise, steps that rise, windows of one long sweep."""
    noise = rng.normal(0, 80, (trials, samples)).cumsum(axis=1) / 3
    steps = np.linspace(-200, 200, trials)[:, None] * (np.arange(samples) >= samples // 4)
    return {
        "noise": membrane(noise, rng=rng), "steps": membrane(steps, rng=rng),
        "windows": membrane(noise.reshape(1, -1), rng=rng).reshape(trials, samples),
    }  # fmt: skip


SHORT = [(200, 150), (400, 100), (1000, 100), (60, 60), (300, 250)]


def test_honest_short_sweeps_are_read():
    """200 sweeps of 15 ms are short, and are sweeps. Only staircases in order, of as many steps as samples or more, are
    as smooth from sweep to sweep as along time, and are refused: 5 of 15."""
    refused = []
    for trials, samples in SHORT:
        for name, voltage in honest(np.random.default_rng(1), trials, samples).items():
            try:
                assert len(Recording.of(np.zeros((trials, samples)), 0.1, voltage=voltage)) == trials
            except RecordingError:
                refused.append((name, trials, samples))
    assert refused == [("steps", trials, samples) for trials, samples in SHORT]


def test_as_many_sweeps_transposed_are_refused():
    for trials, samples in [(3, 6000), (17, 30_000), (100, 1000), (200, 400)]:
        for name, voltage in honest(np.random.default_rng(1), trials, samples).items():
            with pytest.raises(RecordingError, match="transposed it would be"):
                raise AssertionError(f"{name}: {Recording.of(np.zeros((samples, trials)), 0.1, voltage=voltage.T)}")
