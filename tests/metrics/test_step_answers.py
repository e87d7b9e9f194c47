"""Counts and first spikes of steps: known answers, a line between amplitudes, and what is quoted first."""

import numpy as np
import pytest

from ephysfit.data.recording import Recording
from ephysfit.data.sweep import Sweep
from ephysfit.errors import ScoreError
from ephysfit.metrics import METRICS, Answer, Step, count_error, find_steps, interpolate_answer, latency_error, score

DT, STEPS = 0.5, 2000
TIME = np.arange(STEPS) * DT


def play(amplitude, spikes=(), name="", pulse=0.0):
    """A sweep of 1 s with a step from 200 to 700 ms and, if given, a test pulse before it."""
    current = amplitude * ((TIME >= 200) & (TIME < 700)) + pulse * ((TIME >= 50) & (TIME < 60))
    return Sweep(current, DT, spike_times=np.array(spikes, float), name=name or f"{amplitude:g} pA")


def answer_linearly(amplitude):
    """As many spikes as the amplitude over 10 pA, the first after 100 ms less a tenth of it."""
    return play(amplitude, 300.0 - amplitude / 10 + 20.0 * np.arange(round(amplitude / 10)))


def record(*amplitudes):
    return Recording(tuple(answer_linearly(a) for a in amplitudes), cell="c", source="memory")


def test_the_step_is_where_the_currents_differ_and_not_the_test_pulse():
    steps = find_steps([play(a, pulse=-400.0) for a in (50.0, 80.0, 120.0)])
    assert [s.amplitude for s in steps] == [50.0, 80.0, 120.0]
    assert {(s.begin, s.end) for s in steps} == {(200.0, 700.0)}


def test_one_amplitude_alone_has_no_step():
    with pytest.raises(ScoreError, match=r"differ by 0 pA at most.*give sweeps of two amplitudes"):
        find_steps([play(50.0), play(50.0)])


def test_a_line_is_exact_where_answers_lie_on_it_and_passes_over_silence():
    steps = [Step(a, 200.0, 700.0) for a in (0.0, 50.0, 150.0, 150.0)]
    answers = [Answer(0.0, np.nan, np.nan), Answer(4.0, 30.0, 0.5), Answer(9.0, 10.0, 1.5), Answer(11.0, 10.0, 1.5)]
    found = interpolate_answer(steps, answers, 100.0)
    assert (found.count, found.latency, found.adaptation) == pytest.approx((7.0, 20.0, 1.0))
    assert interpolate_answer(steps, answers, 25.0).count == pytest.approx(2.0)
    assert interpolate_answer(steps, answers, 900.0).count == pytest.approx(10.0)


def test_errors_by_hand():
    data, runs = [[210.0, 250.0, 300.0]], [[205.0, 300.0], [225.0], []]
    assert count_error(data, runs, 1000.0) == pytest.approx(2.0)
    assert latency_error(data, runs, 1000.0, begin=200.0) == pytest.approx(5.0)
    assert np.isnan(latency_error([[]], runs, 1000.0))
    assert METRICS["latency_error"](data, runs, 1000.0, begin=220.0) == pytest.approx(12.5)


class TestScore:
    def test_counts_first_spikes_and_the_line_beside_them(self):
        test, train = record(50.0, 90.0), record(30.0, 70.0, 110.0)
        off = [[np.sort(np.r_[s.spike_times[1:] + 3.0, 800.0, 810.0])] for s in test.sweeps]
        found = score(off, test, train=train, start=0.0, stochastic=False)
        count, first = found.row("count_error"), found.row("latency_error")
        assert count.value == pytest.approx(1.0)
        assert first.value == pytest.approx(23.0)
        assert count.baseline == pytest.approx(0.0, abs=1e-9)
        assert first.baseline == pytest.approx(0.0, abs=1e-9)
        assert found.headline is count

    def test_without_training_sweeps_there_is_no_line(self):
        test = record(50.0, 90.0)
        found = score([[s.spike_times] for s in test.sweeps], test)
        assert found["count_error"] == 0.0
        assert np.isnan(found.row("count_error").baseline)

    def test_a_step_that_begins_before_the_scored_stretch_has_no_latency(self):
        test = record(50.0, 90.0)
        found = score([[s.spike_times] for s in test.sweeps], test, start=250.0)
        assert np.isnan(found["latency_error"])
        assert found["count_error"] == 0.0

    def test_noise_without_repeats_is_quoted_by_its_rate(self):
        rng = np.random.default_rng(0)
        recording = Recording.of(rng.normal(0, 50, 10_000), 0.5, spike_times=np.arange(600.0, 4900.0, 50.0), cell="c")
        found = score([np.arange(600.0, 4900.0, 25.0)], recording)
        assert found.headline.name == "rate_error"
        assert "count_error" not in {r.name for r in found}

    def test_repeated_steps_are_quoted_by_their_spike_times(self):
        one = record(90.0)
        both = Recording((*one.sweeps, *record(90.0).sweeps), cell="c", source="memory")
        found = score([[one.sweeps[0].spike_times]], both, stochastic=False, train=record(50.0))
        assert found.headline.name == "gamma_over_R_4"
        assert found["count_error"] == 0.0
