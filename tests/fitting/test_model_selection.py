"""Model "auto" where there are steps alone: counts and first spikes of free runs count beside the likelihood."""

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.fitting.model_selection import MOST, _log_normal, _score_free_runs, choose_neuron, holds_only_steps
from ephysfit.fitting.stage import Problem
from ephysfit.models import ALIF, LIF

CELL = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=1.0)
AMPLITUDES = (60.0, 90.0, 120.0, 150.0, 180.0, 210.0)


def record_steps(amplitudes=AMPLITUDES, seed=0):
    time = np.arange(2400) * 0.5
    currents = np.stack([np.where((time >= 100) & (time < 1100), a, 0.0) for a in amplitudes])
    trains = [
        ef.simulate(CELL, c, dt=0.5, runs=1, noise="escape", seed=seed + k, settle=1000.0).spike_times[0][0]
        for k, c in enumerate(currents)
    ]
    return ef.Recording.of(currents, 0.5, spike_times=trains)


@pytest.fixture(scope="module")
def problem():
    return Problem(record_steps(), LIF, 0.5)


def test_only_steps_of_different_amplitudes_are_judged_by_counts(problem):
    assert holds_only_steps(problem)
    same = Problem(record_steps((150.0,) * 3), LIF, 0.5)
    assert not holds_only_steps(same)
    noise = ef.Recording.of(np.random.default_rng(0).normal(0, 50, (3, 4000)), 0.5, spike_times=[[100.0]] * 3)
    assert not holds_only_steps(Problem(noise, LIF, 0.5))


def test_the_cell_itself_scores_better_than_one_that_miscounts_or_is_late(problem):
    own = sum(_score_free_runs(problem, CELL))
    assert len(_score_free_runs(problem, CELL)) == 2 * len(AMPLITUDES)
    assert own > sum(_score_free_runs(problem, CELL.replace(theta=-46.0))) + 5
    assert own > sum(_score_free_runs(problem, CELL.replace(C=220.0))) + 5


def test_log_density_is_that_of_a_normal_in_units_of_the_error():
    assert _log_normal(5.0, [5.0, 5.0], 0.5) == 0.0
    assert _log_normal(6.0, [5.0, 5.0], 0.5) == pytest.approx(-2.0)
    wide = np.hypot(3.0, 0.5)
    assert _log_normal(8.0, [2.0, 8.0], 0.5) == pytest.approx(-0.5 * (3 / wide) ** 2 - np.log(wide / 0.5))
    assert _log_normal(99.0, [2.0, 2.0], 0.5) == -MOST


@pytest.mark.slow
def test_the_choice_says_what_it_was_judged_by():
    chosen = choose_neuron([Problem(record_steps(), kind, 0.5) for kind in (LIF, ALIF)])
    assert "and spike counts and first spikes of its steps" in chosen.report.why
    assert chosen.report.candidates[chosen.ranking[0]].model == "LIF"
