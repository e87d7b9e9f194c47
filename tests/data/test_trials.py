"""From recordings to one grid of tensors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import shipped

from ephysfit.data.recording import Recording, Sweep
from ephysfit.data.trials import Trials
from ephysfit.errors import RecordingError


def test_axes_padding_and_validity():
    a = Recording.of(np.arange(6.0).reshape(2, 3), 0.5, spike_times=[[0.0, 1.4], []], cell="a")
    b = Recording((Sweep(np.arange(5.0), 0.5, np.arange(5.0) - 60, np.array([2.49]), valid=((0.5, 2.0),)),), cell="b")
    trials = Trials.of([a, b])
    assert trials.shape == (2, 2, 5)
    assert trials.names == ("a", "b")
    assert trials.current.dtype == np.float64
    assert trials.current[0, 1].tolist() == [3, 4, 5, 0, 0]
    assert trials.spikes[0, 0].tolist() == [True, False, True, False, False]
    assert trials.spikes[1, 0].tolist() == [False, False, False, False, True]
    assert trials.valid.astype(int).tolist() == [[[1, 1, 1, 0, 0]] * 2, [[0, 1, 1, 1, 0], [0] * 5]]
    assert np.isnan(trials.voltage[0]).all()
    assert trials.voltage[1, 0].tolist() == [-60, -59, -58, -57, -56]
    assert [len(t) for t in trials.spike_times[0]] == [2, 0]


def test_real_recording_averages_into_longer_steps():
    train, _ = shipped("DRN164").split()
    trials = Trials.of(train, dt=0.5)
    np.testing.assert_allclose(trials.current[0, 0], train[0].current.reshape(-1, 5).mean(1))
    assert trials.spikes.sum() == train.n_spikes
    steps = np.flatnonzero(trials.spikes[0, 0])
    late = train.spike_times[0] - (steps + 1) * 0.5  # the state after step n is that at (n + 1) dt
    assert np.all(np.abs(late) <= 0.25 + 1e-9)
    assert abs(late.mean()) < 0.03  # rounded down, spikes would lie 0.25 ms before the state they end


@pytest.mark.parametrize(
    ("dt", "says"), [(0.05, "0.05 ms is not an"), (0.15, "not an integer"), (0.0, "above 0"), (1e9, "shorter than")]
)
def test_refuses_steps_that_would_resample(dt, says):
    with pytest.raises(RecordingError, match=says):
        Trials.of(Recording.of(np.zeros(100), 0.1, spike_times=[]), dt)


def test_refuses_mixed_steps_without_dt():
    mixed = [Recording.of(np.zeros(100), dt, spike_times=[]) for dt in (0.1, 0.05)]
    with pytest.raises(RecordingError, match="give dt"):
        Trials.of(mixed)
    assert Trials.of(mixed, 0.1).shape == (2, 1, 100)
    with pytest.raises(RecordingError, match="at least one"):
        Trials.of([])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 999), max_size=20), st.sampled_from([0.1, 0.05, 1 / 3]), st.integers(1, 7))
def test_a_spike_given_as_a_sample_belongs_to_the_step_that_ends_nearest_to_its_middle(samples, dt, k):
    """Times computed as sample x dt round either way; the raster must not."""
    recording = Recording.of(np.zeros(1000), dt, spike_times=np.array(samples) * dt)
    found = np.flatnonzero(Trials.of(recording, k * dt).spikes[0, 0])
    steps = {max((2 * n + 1 - k) // (2 * k), 0) for n in samples}  # in halves of samples, exact
    assert found.tolist() == sorted(m for m in steps if m < 1000 // k)


def test_spikes_of_a_simulation_come_back_in_the_steps_they_happened_in():
    """A simulation gives a spike of step n as (n + 1/2) dt, a detector of samples as n dt: both mean step n."""
    for offset in (0.0, 0.5):
        recording = Recording.of(np.zeros(100), 0.5, spike_times=(np.array([0, 7, 99]) + offset) * 0.5)
        assert np.flatnonzero(Trials.of(recording).spikes[0, 0]).tolist() == [0, 7, 99]


def test_a_spike_finer_than_the_samples_belongs_to_the_step_that_ends_nearest():
    recording = Recording.of(np.zeros(20), 0.5, spike_times=[0.1, 1.26, 4.74, 7.76, 9.9])
    assert np.flatnonzero(Trials.of(recording).spikes[0, 0]).tolist() == [0, 2, 8, 15, 19]
