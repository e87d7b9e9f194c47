"""Drift over the training data: slopes by hand, known cells, and silence where time and amplitude go together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ephysfit import synthetic
from ephysfit.data.recording import Recording
from ephysfit.fitting.drift_check import (
    Part,
    count_spikes_in_parts,
    find_refractory_steps,
    fit_slope,
    group_by_drive,
    warn_of_drift,
)
from ephysfit.fitting.stage import Problem
from ephysfit.models.lif import LIF

CELL = LIF(C=100.0, g=5.0, E_L=-65.0, theta=-50.0, V_reset=-60.0, t_ref=2.0, delta=2.0)


def draw(rng, drives, misfit, slope, noise=False, per=25.0):
    """Parts in order, with counts drawn about what is expected times a misfit of the drive and a drift."""
    times = (np.arange(len(drives)) + 0.5) / len(drives)
    return tuple(
        Part(int(rng.poisson(per * misfit(d) * np.exp(slope * t))), per, float(t), float(d), 40.0, noise)
        for d, t in zip(drives, times, strict=True)
    )


def even(drive):
    return 1.0


def steep(drive):
    """A model that errs ten-fold over the amplitudes."""
    return 0.3 * 10.0 ** (drive / 200.0)


LADDER = np.arange(10.0, 210.0, 10.0)


def test_amplitudes_that_rise_with_time_are_no_drift_however_bad_the_model():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        assert warn_of_drift(draw(rng, LADDER, steep, 0.0)) == ""
        assert warn_of_drift(draw(rng, LADDER, even, -1.0)) == "", "not told apart, so not claimed"


def test_a_ladder_played_several_times_shows_a_drift_and_no_misfit():
    accused, found = 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        drives = np.tile(LADDER[::4], 5)
        accused += bool(warn_of_drift(draw(rng, drives, steep, 0.0)))
        found += bool(warn_of_drift(draw(rng, drives, steep, -1.0)))
    assert accused <= 1
    assert found >= 38


def test_the_slope_is_the_true_one_and_its_error_the_spread():
    slopes = [fit_slope(draw(np.random.default_rng(k), np.full(24, 50.0), even, -0.6, noise=True)) for k in range(200)]
    values, errors = np.array([s.value for s in slopes]), np.array([s.error for s in slopes])
    assert values.mean() == pytest.approx(-0.6, abs=4 * values.std() / np.sqrt(200))
    assert errors.mean() == pytest.approx(values.std(), rel=0.2)


def test_scatter_that_the_model_misses_widens_the_error():
    rng = np.random.default_rng(0)
    accused = 0
    for _ in range(100):
        parts = draw(rng, np.full(24, 50.0), even, 0.0, noise=True)
        rough = tuple(replace(p, recorded=int(rng.poisson(p.expected * np.exp(rng.normal(0, 0.5))))) for p in parts)
        accused += bool(warn_of_drift(rough))
    assert accused <= 2


def test_sentences_name_the_size_and_only_ways_that_work():
    rng = np.random.default_rng(1)
    fell = draw(rng, np.full(24, 50.0), even, -1.0, noise=True, per=200.0)
    said = warn_of_drift(fell, duration=60_000.0)
    assert "less in the last quarter of the training data than in the first" in said
    assert "--drift auto" in said
    for sweeps, duration in ((8, 60_000.0), (1, 10_000.0)):
        other = warn_of_drift(fell, sweeps=sweeps, duration=duration)
        assert "--drift" not in other
        assert f"--recent {duration / 2e3:.0f}" in other
    assert "takes this in" in warn_of_drift(fell, modelled=True)
    rose = draw(rng, np.full(24, 50.0), even, 2.0, noise=True, per=200.0)
    assert "times as much in the last quarter of the training data as in the first" in warn_of_drift(rose)


def test_few_or_empty_parts_say_nothing():
    assert warn_of_drift(()) == ""
    assert fit_slope((Part(5, 5.0, 0.2), Part(9, 5.0, 0.8))) is None
    assert fit_slope(tuple(Part(0, 20.0, k / 9) for k in range(10))) is None


def test_drives_are_alike_within_noise_and_not_between_steps():
    rng = np.random.default_rng(2)
    noisy = [Part(1, 1.0, 0.0, 50.0 + rng.normal(0, 5), 60.0, True) for _ in range(20)]
    assert len(set(group_by_drive(noisy))) == 1
    assert len(set(group_by_drive([*noisy, *(Part(1, 1.0, 0.0, a, 40.0) for a in LADDER)]))) == 1 + len(LADDER)


def test_steps_after_a_spike_carry_no_likelihood():
    spikes = np.array([0, 1, 0, 0, 0, 1, 0], dtype=np.uint8)
    assert find_refractory_steps(spikes, 2).tolist() == [False, False, True, True, False, False, True]


class TestKnownCells:
    @staticmethod
    def problem(sweeps):
        return Problem(Recording(tuple(sweeps), cell="known", source="memory"), LIF, 0.5)

    def test_the_cell_that_made_the_spikes_expects_them_and_does_not_drift(self):
        current = synthetic.noise_current(40_000.0, 0.5, mean=60.0, std=40.0, tau=10.0, seed=1)
        found = count_spikes_in_parts(
            self.problem([synthetic.respond(CELL, current, 0.5, noise="escape", seed=2)]), CELL
        )
        recorded, expected = sum(p.recorded for p in found), sum(p.expected for p in found)
        assert len(found) == 24
        assert recorded > 100
        assert abs(recorded - expected) < 4 * np.sqrt(expected)
        assert warn_of_drift(found) == ""

    def test_a_threshold_that_rose_by_the_end_is_found(self):
        current = synthetic.noise_current(20_000.0, 0.5, mean=60.0, std=40.0, tau=10.0, seed=1)
        early, late = (
            synthetic.respond(CELL.replace(theta=theta), current, 0.5, noise="escape", seed=seed)
            for theta, seed in ((-50.0, 2), (-47.0, 3))
        )
        found = count_spikes_in_parts(self.problem([early, late]), CELL)
        assert "less in the last quarter" in warn_of_drift(found, sweeps=2, duration=40_000.0)

    def test_a_bad_model_on_a_ladder_of_steps_is_not(self):
        t = np.arange(2000) * 0.5
        sweeps = [
            synthetic.respond(CELL, pA * ((t >= 100) & (t < 900)), 0.5, noise="escape", seed=k)
            for k, pA in enumerate(np.linspace(40, 160, 13))
        ]
        problem = self.problem(sweeps)
        wrong = CELL.replace(g=9.0, theta=-53.0)
        parts = count_spikes_in_parts(problem, wrong)
        ratios = [(p.recorded + 1) / (p.expected + 1) for p in parts]
        assert max(ratios) > 1.5 * min(ratios), "the model is bad indeed"
        assert warn_of_drift(parts) == ""
