"""Steps assumed beside noise: read off its slow part, kept out of the data, and said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.cli import main
from ephysfit.data.recording import Recording, Sweep
from ephysfit.fitting.ascent import Posterior
from ephysfit.fitting.assumed_steps import SHARE, WEIGHT, assume_steps, make_assumed_sweeps
from ephysfit.fitting.ensemble import Ensemble
from ephysfit.fitting.folds import Fold
from ephysfit.fitting.stage import Estimate, Problem
from ephysfit.fitting.stage_reports import AssumedStep, LikelihoodReport
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.models import AIGIF, LIF, BankGIF
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay, ReplaySweep

DT = 0.5
CELL = Path(__file__).parents[2] / "data" / "DRN164.nwb"


def noise(slow, seed=0, minutes=1.0, held=0.0):
    """Noise whose slow part is uniform in `slow` pA, and spikes at a tenth of that per second."""
    rng = np.random.default_rng(seed)
    count = round(minutes * 120)
    level = np.repeat(rng.uniform(*slow, count), 1000)
    current = level + rng.normal(0.0, 50.0, len(level))
    fired = (rng.random(len(level)) < np.maximum(level, 0) * 1e-4 * DT).astype(np.uint8)
    return ReplaySweep(current[:, None], fired, np.ones(len(level)))


def recorded(sweep, name="noise"):
    times = (np.flatnonzero(sweep.spikes) + 0.5) * DT
    return Recording((Sweep(sweep.current[:, 0], DT, spike_times=times, name=name),))


def test_the_rate_of_a_level_is_that_share_of_the_rate_in_noise():
    found = assume_steps([noise((0.0, 200.0), minutes=20.0)], DT, -30.0)
    assert len(found) == 5
    assert [s.holding for s in found] == [-30.0] * 5
    assert [s.weight for s in found] == [WEIGHT] * 5
    for s in found:
        assert s.rate == pytest.approx(SHARE * 0.1 * s.amplitude, rel=0.15)
    assert found[0].amplitude < 80
    assert 180 < found[-1].amplitude < 200


def test_a_sweep_of_a_step_holds_its_rate_exactly_and_leaves_the_onset_open():
    step = AssumedStep(120.0, 7.3, SHARE, -20.0, 0.8)
    (sweep,) = make_assumed_sweeps([step], DT, pieces=2)
    on = np.flatnonzero(sweep.current[:, 0] == 120.0)
    assert sweep.spikes.sum() / (len(on) * DT / 1000) == pytest.approx(7.3, rel=1e-3)
    assert (sweep.use[: on[0] + 200] == 0).all()
    assert (sweep.use[on[0] + 200 :] == 0.8).all()
    assert sweep.current[0, 0] == -20.0
    assert not sweep.spikes[: on[0]].any()
    assert sweep.slow.shape == (len(sweep.spikes), 2)
    assert not sweep.slow.any()


@pytest.mark.parametrize(("slow", "minutes"), [((95.0, 105.0), 3.0), ((40.0, 100.0), 3.0), ((0.0, 200.0), 0.15)])
def test_nothing_is_assumed_where_the_slow_part_moves_the_rate_little_or_data_are_few(slow, minutes):
    assert assume_steps([noise(slow, minutes=minutes)], DT, 0.0) == ()


def test_windows_that_are_held_out_are_not_read():
    sweep = noise((0.0, 200.0), minutes=2.0)
    fired = sweep.spikes.copy()
    half = len(fired) // 2
    hidden = sweep.use.copy()
    hidden[half:] = 0
    one = assume_steps([replace(sweep, use=hidden)], DT, 0.0)
    fired[half:] = 0
    other = assume_steps([replace(sweep, use=hidden, spikes=fired)], DT, 0.0)
    assert one == other != ()


@pytest.fixture(scope="module")
def real():
    """A minute of noise of a real cell."""
    return ef.load(CELL).split()[0]


@pytest.fixture(scope="module")
def fitted(real):
    return {ask: ef.fit(real, "AIGIF", assume_steps=ask) for ask in (False, True)}


def test_a_fit_to_noise_alone_meets_the_assumed_rates_and_says_so(fitted, tmp_path):
    off, on = fitted.values()
    assert off.premises == []
    assert off.likelihood.assumed == ()
    (said,) = on.premises
    steps = on.likelihood.assumed
    assert f"5 assumed steps of {steps[0].amplitude:.0f} to {steps[-1].amplitude:.0f} pA" in said
    assert said in on._repr_html_()
    back = ef.Fit.load(on.save(tmp_path / "fit.json"))
    assert back.likelihood.assumed == steps
    assert back.premises == [said]

    def miss(fit):
        rates = []
        for s in steps:
            current = np.r_[np.full(1000, s.holding), np.full(2000, s.amplitude)]
            runs = fit.simulate(Recording((Sweep(current, DT, spike_times=[]),)), runs=60, seed=1).spike_times[0]
            rates.append(np.mean([(t > 500.0).sum() for t in runs]))
        return np.mean(np.abs(np.array(rates) - [s.rate for s in steps]))

    assert miss(on) < 0.75 * miss(off)


def test_losses_and_the_information_of_the_data_leave_assumed_steps_out(real):
    problem = Problem(real, BankGIF, DT)
    found = Likelihood(starts=1, first=2, steps=4)(problem, Estimate(problem.start()))
    free, top = FreeParameters.of(BankGIF, smooth_only=True), found.neuron
    replay, z = Replay(free, top, DT), free.to_vector(top)
    loss = -replay.value(z, problem.everything) / problem.n_spikes
    assert found.train == pytest.approx(loss, rel=1e-9)
    assumed = make_assumed_sweeps(found.reports.of(LikelihoodReport).assumed, DT)
    with_steps, bare = (Posterior(replay, problem.everything, 1e-3, free.place(top), assumed=a) for a in (assumed, ()))
    seen = [t.expand_data_likelihood(z, t.information(z)) for t in (with_steps, bare)]
    assert seen[0].gradient == pytest.approx(seen[1].gradient, rel=1e-6, abs=1e-6)
    assert with_steps.value(z) < bare.value(z)


def test_the_posterior_with_assumed_steps_has_the_gradient_of_its_value():
    sweep = noise((0.0, 200.0), minutes=0.5)
    cell = BankGIF.start().replace(I_0=100.0, I_s=80.0)
    free = FreeParameters.of(BankGIF, smooth_only=True)
    steps = (AssumedStep(120.0, 8.0, SHARE, 0.0, 0.8),)
    target = Posterior(Replay(free, cell, DT), [sweep], 0.05, free.place(cell), assumed=make_assumed_sweeps(steps, DT))
    z = free.to_vector(cell) + 0.05
    h, eye = 1e-5, np.eye(len(z))
    slopes = [(target.value(z + h * e) - target.value(z - h * e)) / (2 * h) for e in eye]
    np.testing.assert_allclose(target.information(z).gradient, slopes, rtol=1e-4, atol=1e-3)


def test_recorded_steps_take_their_place_and_neurons_that_need_none_get_none():
    sweep = noise((0.0, 200.0))
    both = Recording((
        *recorded(sweep).sweeps,
        Sweep(np.repeat([0.0, 150.0, 0.0], 1000), DT, spike_times=[600.0, 800.0], name="step"),
    ))  # fmt: skip
    stage = Likelihood(starts=1, first=1, steps=1)
    for data, kind, expected in ((recorded(sweep), BankGIF, 5), (both, BankGIF, 0), (recorded(sweep), LIF, 0)):
        problem = Problem(data, kind, DT)
        assert len(stage(problem, Estimate(problem.start())).reports.of(LikelihoodReport).assumed) == expected


def test_levels_of_less_than_a_spike_in_two_seconds_are_left_out():
    rarely = noise((0.0, 15.0), minutes=12.0)
    found = assume_steps([rarely], DT, 0.0)
    assert 0 < len(found) < 5
    assert all(s.rate >= 0.5 for s in found)


def test_nothing_is_assumed_of_few_spikes():
    sweep = noise((0.0, 200.0), minutes=1.0)
    where = np.flatnonzero(sweep.spikes)
    few = np.zeros_like(sweep.spikes)
    few[where[:: len(where) // 25]] = 1
    assert assume_steps([sweep], DT, 0.0) != ()
    assert assume_steps([replace(sweep, spikes=few)], DT, 0.0) == ()


@pytest.mark.slow
@pytest.mark.parametrize(("model", "effort"), [("auto", "fast"), ("BankGIF", Ensemble(folds=2))])
def test_whoever_asks_for_none_gets_none_in_any_fit(real, model, effort):
    stage = Likelihood(starts=1, first=1, steps=2)
    off, on = (ef.fit(real, model, likelihood=stage, effort=effort, assume_steps=a) for a in (False, True))
    assert off.premises == []
    assert len(on.premises) == 1


def test_folds_assume_what_their_problem_does(real):
    stage = Likelihood(starts=1, first=1, steps=2)
    for ask in (False, True):
        problem = Problem(real, BankGIF, DT, assume_steps=ask)
        for data in (problem, Fold.of(problem, 0, 5, 2000.0)):
            assumed = stage(data, Estimate(data.start())).reports.of(LikelihoodReport).assumed
            assert bool(assumed) is ask


def test_the_shell_leaves_them_out_where_asked(tmp_path):
    quick = ("-m", "BankGIF", "--runs", "10", "--intervals", "none", "--no-report", "-o", str(tmp_path))
    with pytest.raises(SystemExit, match="0"):
        main(["fit", str(CELL), "--no-assumed-steps", *quick])
    assert ef.Fit.load(tmp_path / "fit.json").premises == []


def test_neurons_that_need_none_are_fitted_as_without(real):
    stage = Likelihood(starts=1, first=1, steps=2)
    problems = [Problem(real, LIF, DT, assume_steps=ask) for ask in (False, True)]
    off, on = (stage(p, Estimate(p.start())).neuron for p in problems)
    assert off.values() == on.values()


def test_it_is_passed_on_to_pinned_neurons():
    assert AIGIF.sustained
    assert BankGIF.sustained == AIGIF.sustained
    assert not LIF.sustained
