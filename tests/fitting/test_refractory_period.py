"""The refractory period by its profile."""

import numpy as np
import pytest
from fitting_cells import DT, KNOWN, Plain, begun, known, problem, silent_cell

from ephysfit.fitting.chain import choose_refractory_stage
from ephysfit.fitting.stage import Status
from ephysfit.fitting.stage_reports import LikelihoodReport, RefractoryReport
from ephysfit.fitting.stages import LengthenRefractory, Likelihood, Refractory
from ephysfit.models import ALIF, GIF, MAT
from ephysfit.synthetic import level_for, recording

STAGE = Refractory(Likelihood(starts=1, steps=20))


@pytest.fixture(scope="module")
def profiled():
    p = problem(known(), ALIF)
    before = Likelihood(starts=1, steps=40)(p, begun(p))
    return p, before, STAGE(p, before)


def test_the_true_period_is_within_what_is_claimed(profiled):
    """A strong reset makes the period hard to tell: a spike never comes early enough to show it."""
    _, _, after = profiled
    assert abs(after.neuron.t_ref - KNOWN.t_ref) <= 3 * after.reports.of(LikelihoodReport).standard_errors["t_ref"]
    assert after.reports.of(LikelihoodReport).standard_errors["t_ref"] < 3.0


def test_it_is_at_least_as_likely_as_before(profiled):
    _, before, after = profiled
    assert after.train <= before.train + 1e-9
    assert after.stage == "refractory"


def test_standard_errors_take_in_the_periods_own(profiled):
    _, _, after = profiled
    profile = after.reports.of(RefractoryReport).t_ref_profile
    assert sum(row.share for row in profile) == pytest.approx(1.0)
    best = max(profile, key=lambda row: row.share)
    assert best.t_ref == after.neuron.t_ref
    errors = after.reports.of(LikelihoodReport).standard_errors
    assert errors["t_ref"] >= DT / np.sqrt(12) - 1e-12
    means = [row.share * row.parameters["V_reset"] for row in profile]
    between = sum(r.share * (r.parameters["V_reset"] - sum(means)) ** 2 for r in profile)
    assert errors["V_reset"] ** 2 > between


def test_no_period_is_as_long_as_the_shortest_interval(profiled):
    p, _, after = profiled
    shortest = np.diff(p.recording.sweeps[0].spike_times).min()
    assert all(row.t_ref < shortest for row in after.reports.of(RefractoryReport).t_ref_profile)


def test_what_has_no_period_or_no_spikes_is_left_alone():
    p = problem(silent_cell(), ALIF)
    assert STAGE(p, begun(p)).status is Status.TOO_FEW_SPIKES
    q = problem(known(6_000.0), Plain)
    assert STAGE(q, begun(q)).status is Status.NOT_NEEDED


def test_a_period_several_steps_off_is_found_from_nearby():
    """What is read off the intervals is too long where a spike holds the membrane low; each step shorter gains."""
    cell = GIF(
        C=106.0, g=5.65, E_L=-67.6, theta=-45.6, eta=(52.3, 90.7, -63.0, 83.8, 73.7), gamma=(9.9, 4.7, -1.0, 9.7, 12.6),
        V_reset=-51.1, t_ref=2.0, delta=2.2,
    )  # fmt: skip
    level = level_for(cell, 10.0, dt=DT, noise="escape", seed=0)
    data = recording(cell, dt=DT, mean=level, std=level, duration=20_000.0, repeats=0, noise="escape", seed=0)
    p = problem(data, GIF)
    longer = cell.t_ref + 2 * DT
    assert np.diff(data.sweeps[0].spike_times).min() > longer
    before = Likelihood(starts=1, steps=15)(p, begun(p).with_(neuron=cell.replace(t_ref=longer)))
    after = choose_refractory_stage(GIF, Likelihood())(p, before)
    assert abs(after.neuron.t_ref - cell.t_ref) <= DT
    assert (before.train - after.train) * p.n_spikes > 5.0


def test_a_period_that_only_bars_is_lengthened_where_the_data_say_so():
    """The data tell how long a neuron was barred from spiking: no spike where many were due."""
    drive = {"mean": 130.0, "std": 60.0, "repeats": 0, "noise": "escape", "duration": 12_000.0, "dt": DT}
    cell = MAT.start().replace(alpha=(2.0, 2.0))
    data = recording(cell.replace(t_ref=6.0), **drive)
    p = problem(data, MAT)
    before = Likelihood(starts=1, steps=15)(p, begun(p).with_(neuron=cell.replace(t_ref=2.0)))
    after = LengthenRefractory()(p, before)
    shortest = np.diff(data.sweeps[0].spike_times).min()
    assert 2.0 < after.neuron.t_ref < shortest
    assert after.train < before.train
    assert LengthenRefractory(gain=np.inf)(p, before).status is Status.NOT_NEEDED
