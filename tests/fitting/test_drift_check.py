"""Drift over the training data: counts by hand, and a warning only where the change is large and sure."""

from __future__ import annotations

import numpy as np
import pytest

from ephysfit import synthetic
from ephysfit.fitting.drift_check import Part, count_spikes_in_parts, find_refractory_steps, warn_of_drift
from ephysfit.fitting.stage import Problem
from ephysfit.models.lif import LIF


def test_a_drop_by_half_is_told():
    sentence = warn_of_drift((Part(140, 100.0), Part(100, 100.0), Part(100, 100.0), Part(70, 100.0)))
    assert "50%" in sentence
    assert "less" in sentence


@pytest.mark.parametrize("last", [Part(95, 100.0), Part(3, 5.0)])
def test_small_or_unsure_changes_are_not(last):
    first = Part(100, 100.0) if last.expected > 10 else Part(6, 5.0)
    assert warn_of_drift((first, last)) == ""


def test_steps_after_a_spike_carry_no_likelihood():
    spikes = np.array([0, 1, 0, 0, 0, 1, 0], dtype=np.uint8)
    assert find_refractory_steps(spikes, 2).tolist() == [False, False, True, True, False, False, True]


def test_the_cell_that_made_the_spikes_expects_them():
    cell = LIF(C=100.0, g=5.0, E_L=-65.0, theta=-50.0, V_reset=-60.0, t_ref=2.0, delta=2.0)
    current = synthetic.noise_current(20_000.0, 0.5, mean=60.0, std=40.0, tau=10.0, seed=1)
    sweep = synthetic.respond(cell, current, 0.5, noise="escape", seed=2)
    from ephysfit.data.recording import Recording

    problem = Problem(Recording((sweep,), cell="known", source="memory"), LIF, 0.5)
    found = count_spikes_in_parts(problem, cell)
    recorded, expected = sum(p.recorded for p in found), sum(p.expected for p in found)
    assert recorded > 50
    assert abs(recorded - expected) < 4 * np.sqrt(expected)


def test_small_steps_before_large_ones_are_no_drift():
    assert warn_of_drift((Part(0, 0.01), Part(5, 4.0), Part(40, 44.0), Part(115, 110.0))) == ""
