"""The level a sweep begins at, and what simulations and fits do with it."""

from __future__ import annotations

import numpy as np
import pytest

from ephysfit.data.holding_current import LEAD, find_holding_current, make_run_up
from ephysfit.data.recording import Recording
from ephysfit.fitting.stage import Problem
from ephysfit.models.lif import LIF
from ephysfit.simulation.simulate import simulate

STEP = np.repeat([-30.0, 120.0, -30.0], 1000)
CELL = LIF(C=100.0, g=5.0, E_L=-65.0, theta=-50.0, V_reset=-60.0, t_ref=2.0, delta=2.0)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_step_has_its_first_level(noise):
    current = STEP + np.random.default_rng(0).normal(0.0, noise, STEP.size)
    assert find_holding_current(current, 0.1) == pytest.approx(-30.0, abs=0.3)


@pytest.mark.parametrize("current", [np.random.default_rng(1).normal(0, 40, 3000), np.linspace(0, 10, 100)])
def test_what_moves_from_the_first_sample_has_none(current):
    assert find_holding_current(current, 0.1) is None
    assert make_run_up(current, 0.1).size == 0


def test_a_run_begins_where_the_cell_sat():
    rested = simulate(CELL, STEP, dt=0.1, save=("V",))
    settled = simulate(CELL, STEP, dt=0.1, save=("V",), settle=LEAD)
    assert rested.traces["V"][0][0] == pytest.approx(CELL.E_L, abs=0.1)
    assert settled.traces["V"][0][0] == pytest.approx(CELL.E_L - 30.0 / CELL.g, abs=1e-6)
    assert len(settled.traces["V"][0]) == STEP.size
    assert settled.durations == rested.durations


def test_spikes_of_the_run_up_are_left_out():
    tonic = np.full(5000, 120.0)
    whole = simulate(CELL, np.full(15000, 120.0), dt=0.1).spike_times[0][0]
    settled = simulate(CELL, tonic, dt=0.1, settle=1000.0).spike_times[0][0]
    np.testing.assert_allclose(settled, whole[whole >= 1000.0] - 1000.0)


def test_a_fit_replays_the_run_up_and_does_not_count_it():
    problem = Problem(Recording.of(STEP, 0.1, spike_times=[120.0, 140.0]), LIF, 0.1)
    (taught,) = problem.everything
    n = round(LEAD / 0.1)
    assert taught.use[:n].sum() == 0
    assert (taught.current[:n] == -30.0).all()
    assert np.flatnonzero(taught.spikes).tolist() == [n + 1200, n + 1400]
    assert taught.use[n:].sum() == problem.counted[0].sum()
