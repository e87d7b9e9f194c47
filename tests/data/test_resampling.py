"""Currents on other grids: the mean over each step, whatever the ratio."""

from itertools import pairwise

import numpy as np
import pytest

from ephysfit.data.recording import Recording, Sweep
from ephysfit.data.resampling import average_over_steps, average_recording, divides, find_common_step


@pytest.mark.parametrize(("have", "want"), [(0.1, 0.5), (0.2, 0.5), (0.07, 0.5), (0.5, 0.1), (0.3, 0.2), (1 / 30, 0.5)])
def test_each_step_holds_the_mean_of_the_current_held_from_sample_to_sample(have, want):
    samples = np.random.default_rng(0).normal(100, 50, 400)
    found = average_over_steps(samples, have, want)
    fine = np.repeat(samples, 1000)  # the held current, a thousand points a sample
    edges = np.round(np.arange(len(found) + 1) * want / have * 1000).astype(int)
    mean = [fine[a:b].mean() for a, b in pairwise(edges)]
    assert len(found) == int(400 * have / want + 1e-6)
    np.testing.assert_allclose(found, mean, rtol=0, atol=0.2)


def test_charge_is_kept_over_a_long_recording():
    samples = np.random.default_rng(1).normal(1e3, 1.0, 500_000)
    found = average_over_steps(samples, 0.07, 0.5)
    assert found.mean() == pytest.approx(samples.mean(), rel=1e-9)
    assert average_over_steps(np.full(500_000, 123.456), 0.07, 0.5) == pytest.approx(123.456, rel=1e-15)


def test_several_inputs_are_averaged_each():
    samples = np.random.default_rng(2).normal(size=(100, 2))
    both = average_over_steps(samples, 0.2, 0.5)
    for k in (0, 1):
        np.testing.assert_allclose(both[:, k], average_over_steps(samples[:, k], 0.2, 0.5))


def test_common_steps():
    assert find_common_step([0.1]) == 0.1
    assert find_common_step([0.1, 0.2, 0.05]) == 0.2
    assert find_common_step([0.2, 0.25]) == pytest.approx(1.0)
    assert find_common_step([1 / 3, 0.1]) == pytest.approx(1.0)
    assert divides(0.1, 0.1 + 1e-12)
    assert not divides(0.2, 0.1)


def test_only_sweeps_that_do_not_fit_are_changed():
    kept = Sweep(np.ones(100), 0.1, spike_times=np.array([5.0]), name="kept")
    other = Sweep(np.ones(70), 0.2, spike_times=np.array([5.0, 13.99]), name="other", valid=((0.0, 14.0),))
    first, second = average_recording(Recording((kept, other)), 0.5)
    assert first is kept
    assert (second.dt, second.steps, second.valid) == (0.5, 28, ((0.0, 14.0),))
    assert second.spike_times.tolist() == [5.0, 13.99]
