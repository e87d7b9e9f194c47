"""Sweeps, recordings, groups of repeats and splits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import piece

from ephysfit.data.loading import load
from ephysfit.data.recording import NothingUsableError, Recording, Rejected, Sweep, join_recordings
from ephysfit.data.repeats import is_same_current
from ephysfit.errors import RecordingError, StimulusError


def noise(seed, n=5000, mean=50.0):
    return mean + 60 * np.random.default_rng(seed).standard_normal(n)


def recording_of(currents, dt=0.1, **facts):
    sweeps = [Sweep(c, dt, spike_times=np.array([len(c) * dt / 2]), name=f"s{k}") for k, c in enumerate(currents)]
    return Recording(tuple(sweeps), **facts)


class TestSweep:
    def test_cut_takes_current_voltage_spikes_and_valid_along(self):
        t = np.arange(1000) * 0.1
        sweep = Sweep(t, 0.1, t - 60, np.array([9.8, 10.0, 25.03, 50.0]), start=7.0, valid=((0, 20), (30, 100)))
        part = sweep.cut(10, 50)
        np.testing.assert_allclose(part.current, t[100:500])
        np.testing.assert_allclose(part.voltage, t[100:500] - 60)
        np.testing.assert_allclose(part.spike_times, [0.0, 15.03])
        assert part.valid == ((0.0, 10.0), (20.0, 40.0))
        assert part.start == 17.0

    def test_valid_masks_samples_and_spikes(self):
        sweep = Sweep(np.zeros(100), 1.0, spike_times=[5, 15, 25], valid=((10, 20), (50, 60)))
        assert sweep.mask().sum() == 20
        assert sweep.valid_spikes.tolist() == [15]
        assert sweep.rate == pytest.approx(50.0)

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"dt": 0.0}, "above 0"),
            ({"dt": -0.1}, "above 0"),
            ({"dt": np.nan}, "finite"),
            ({"dt": "fast"}, "not a number"),
            ({"dt": 1e-12}, "no recording is sampled so"),
            ({"current": np.array([1.0, np.nan])}, "must be known everywhere"),
            ({"current": np.empty(0)}, "no samples"),
            ({"current": np.zeros((2, 2))}, "1-D"),
            ({"current": ["a", "b"]}, "not an array of numbers"),
            ({"voltage": np.zeros(3)}, "3 voltage samples for 2 current"),
            ({"voltage": np.array([np.nan, np.nan])}, "voltage=None"),
            ({"spike_times": [3.0]}, "seconds, samples or session"),
            ({"spike_times": [-0.5]}, "outside"),
            ({"spike_times": [np.nan]}, "finite"),
            ({"valid": ((0.1, 0.05),)}, "end later"),
            ({"valid": ((0.0, 0.15), (0.1, 0.2))}, "overlap"),
        ],
    )
    def test_refuses_and_says_why(self, fields, says):
        with pytest.raises(RecordingError, match=says):
            Sweep(**({"current": np.zeros(2), "dt": 0.1} | fields))

    def test_spike_times_are_sorted(self):
        assert Sweep(np.zeros(10), 1.0, spike_times=[7, 2]).spike_times.tolist() == [2, 7]


class TestOf:
    def test_one_dimension_and_two(self):
        assert len(Recording.of(np.ones(9), 0.1, spike_times=[])) == 1
        assert [len(t) for t in Recording.of(np.ones((2, 9)), 0.1, spike_times=[[0.1], []]).spike_times] == [1, 0]
        assert Recording.of(np.ones(9), 0.1, spike_times=np.array([0.1, 0.2])).n_spikes == 2
        assert Recording.of([1, 2, 3], 0.1, spike_times=[[0.1]]).n_spikes == 1

    def test_spikes_are_detected_in_voltage(self):
        t = np.arange(0, 100, 0.1)
        recording = Recording.of(np.zeros(t.size), 0.1, voltage=-65 + 80 * np.exp(-(((t - 50) / 0.6) ** 2)))
        assert recording[0].spike_source == "detected"
        assert recording[0].spike_times == pytest.approx([49.0], abs=0.5)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({}, "neither voltage nor spike_times"),
            ({"spike_times": [[1.0], [2.0]]}, "2 entries for 1 trials"),
            ({"voltage": np.zeros((2, 5))}, "the current of each of the 2 trials is needed"),
            ({"current": np.zeros((1, 2, 3)), "spike_times": []}, "shape"),
            ({"current": [], "spike_times": []}, "not empty"),
            ({"current": None, "spike_times": []}, "shape|finite|numbers"),
        ],
    )
    def test_refuses_and_says_why(self, arguments, says):
        with pytest.raises(RecordingError, match=says):
            Recording.of(**({"current": np.zeros(5), "dt": 0.1} | arguments))


class TestRecording:
    def test_no_sweeps_names_the_reasons(self):
        with pytest.raises(NothingUsableError, match="a: too short") as caught:
            Recording((), rejected=(Rejected("a", "too short"),))
        assert isinstance(caught.value, StimulusError)
        assert caught.value.rejected[0].name == "a"

    def test_select(self):
        recording = recording_of([noise(k) for k in range(3)])
        assert [s.name for s in recording.select(names="s1")] == ["s1"]
        assert [s.name for s in recording.select(indices=[-1, 0])] == ["s2", "s0"]
        with pytest.raises(RecordingError, match="did you mean s1"):
            recording.select(names=["S1"])
        with pytest.raises(RecordingError, match="counted from 0"):
            recording.select(indices=3)
        with pytest.raises(RecordingError, match="stimuli"):
            recording.select(stimulus="noise")

    def test_steps_that_differ_have_no_one_dt(self):
        mixed = Recording((Sweep(np.zeros(5), 0.1), Sweep(np.zeros(5), 0.2)))
        with pytest.raises(RecordingError, match=r"0\.1, 0\.2"):
            _ = mixed.dt

    def test_join_keeps_every_sweep_and_unique_names(self):
        joined = join_recordings(
            [
                recording_of([noise(0)], cell="c1_a", source="c1_a.abf"),
                recording_of([noise(1)], cell="c1_b", source="c1_b.abf"),
            ]
        )
        assert joined.cell == "c1"
        assert [s.name for s in joined] == ["c1_a/s0", "c1_b/s0"]
        with pytest.raises(RecordingError, match="at least one"):
            join_recordings([])

    def test_with_spikes(self):
        recording = recording_of([noise(0)])
        assert recording.with_spikes([[1, 2, 3]]).n_spikes == 3
        with pytest.raises(RecordingError, match="no voltage"):
            recording.with_spikes()
        with pytest.raises(RecordingError, match="2 spike trains for 1"):
            recording.with_spikes([[], []])

    def test_facts_cannot_be_changed(self):
        with pytest.raises(TypeError):
            recording_of([noise(0)], facts={"a": "b"}).facts["a"] = "c"


class TestRepeats:
    def test_noise_with_offset_and_recording_noise_is_the_same(self):
        rng = np.random.default_rng(9)
        assert is_same_current(noise(0), noise(0) + rng.standard_normal(5000) + 2.0)
        assert not is_same_current(noise(0), noise(1))
        assert not is_same_current(noise(0), noise(0) + 30)

    @pytest.mark.parametrize("amplitude", [10.0, 100.0, 400.0])
    def test_neighbouring_steps_are_different(self, amplitude):
        step = np.repeat([0.0, 1.0, 0.0], 1000)
        assert not is_same_current(amplitude * step, (amplitude + 10) * step)

    def test_groups(self):
        recording = recording_of([noise(0), noise(1), noise(0) + 0.3, np.zeros(5000), np.zeros(5000), noise(0)[:4000]])
        groups = recording.stimuli()
        assert [[s.name for s in g.sweeps] for g in groups] == [["s0", "s2", "s5"], ["s1"], ["s3", "s4"]]
        assert groups[0].current.size == 5000
        np.testing.assert_allclose(groups[0].current[:4000], noise(0)[:4000] + 0.1)

    def test_real_steps_are_single_and_real_repeats_grouped(self):
        for name, sizes in (("steps_recorded", [1] * 3), ("steps_fine", [1] * 3), ("noise_test", [3])):
            assert [g.repeats for g in load(piece(name)).stimuli()] == sizes


class TestSplit:
    def test_repeats_are_kept_for_testing(self):
        train, test = recording_of([noise(0), noise(1), noise(1), noise(2), noise(1)]).split()
        assert [s.name for s in train] == ["s0", "s3"]
        assert [s.name for s in test] == ["s1", "s2", "s4"]

    def test_one_sweep_is_cut_in_time(self):
        train, test = recording_of([noise(0)]).split()
        assert (train.duration, test.duration) == (pytest.approx(400), pytest.approx(100))
        np.testing.assert_array_equal(np.concatenate([train[0].current, test[0].current]), noise(0))

    def test_one_stimulus_repeated_is_cut_in_time(self):
        train, test = recording_of([noise(0)] * 4).split()
        assert len(train) == len(test) == 4
        assert test.stimuli()[0].repeats == 4

    def test_many_single_sweeps_hold_out_whole_ones(self):
        train, test = recording_of([noise(k) for k in range(10)]).split()
        assert ([s.name for s in test], len(train)) == (["s2", "s7"], 8)

    def test_by_fraction_and_by_name(self):
        recording = recording_of([noise(0), noise(1)])
        assert recording.split(0.5)[1].duration == pytest.approx(500)
        assert [s.name for s in recording.split(["s1"])[1]] == ["s1"]

    @pytest.mark.parametrize("test", [0.0, 1.0, -3, "all", True, ["s0"], ["nope"]])
    def test_refuses_what_leaves_nothing(self, test):
        with pytest.raises(RecordingError):
            recording_of([noise(0)]).split(test)

    def test_one_sample_cannot_be_split(self):
        with pytest.raises(RecordingError, match="leaves nothing to"):
            Recording.of([1.0], 0.1, spike_times=[]).split()

    @settings(max_examples=80, deadline=None)
    @given(st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(2, 40))
    def test_never_shares_a_sample_and_loses_none(self, kinds, n):
        rng = np.random.default_rng(0)
        base = rng.standard_normal((5, n))
        recording = recording_of([base[k] for k in kinds])
        try:
            train, test = recording.split()
        except RecordingError:
            return
        span = lambda side: {(s.name.split("/")[0], round(s.start / 0.1) + i) for s in side for i in range(s.steps)}  # noqa: E731
        assert not span(train) & span(test)
        assert len(span(train) | span(test)) == n * len(kinds)
