"""Residual networks and ensembles: exact against the regression, better on what they have not seen, kept and saved."""

import json
from dataclasses import replace

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.cli import main
from ephysfit.errors import FitError
from ephysfit.fitting.ensemble import Ensemble, bounded_loss, mean_loss, residual_loss
from ephysfit.fitting.folds import Fold
from ephysfit.fitting.members import simulate_members
from ephysfit.fitting.residual import Residual, compute_margin, embed, replay_features
from ephysfit.fitting.stage import Estimate, Problem
from ephysfit.fitting.stage_reports import EnsembleReport, VoteRule
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.models.aigif import AIGIF, BankGIF
from ephysfit.models.residual_aigif import POTENTIALS, PURE, UNITS, AIGIFFeatures, ResidualAIGIF
from ephysfit.simulation.engines.compiled import run
from ephysfit.synthetic import recording


@pytest.fixture(scope="module")
def problem():
    cell = BankGIF.start().replace(
        I_s=40.0, theta=4.5, R=(0.5, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0, 0.0), gamma=(-4.0, -2.0, -1.0, 0.0, 0.0, 0.0, 0.0)
    )
    return Problem(
        recording(cell, duration=20000.0, repeats=0, dt=0.5, mean=0.0, std=40.0, seed=4).split(0.1)[0], BankGIF, 0.5
    )


@pytest.fixture(scope="module")
def fitted(problem):
    return Likelihood(starts=1)(problem, Estimate(problem.start())).neuron


def forced_margin(cell, sweep, dt):
    done = run(cell, sweep.current.T[None], dt, forced=sweep.spikes[None, None].astype(np.uint8), save=("margin",))
    return np.asarray(done.traces["margin"])[0, 0]


def test_features_leave_the_neuron_as_it_is(problem, fitted):
    (sweep,) = problem.everything
    features, margin = replay_features(fitted, sweep, problem.dt)
    assert features.shape == (len(sweep.spikes), PURE + POTENTIALS)
    np.testing.assert_allclose(margin, forced_margin(fitted, sweep, problem.dt), atol=1e-11)


@pytest.mark.slow
def test_network_of_the_regression_is_the_network_in_the_equations(problem, fitted):
    """What was trained outside is what the compiled engine runs, at spikes too, to rounding."""
    (sweep,) = problem.everything
    rich = Residual(steps=20).fit(problem, fitted, [sweep])
    features, margin = replay_features(fitted, sweep, problem.dt)
    outside = compute_margin(rich, features, margin)
    assert np.ptp(outside - margin) > 0.05
    np.testing.assert_allclose(forced_margin(rich, sweep, problem.dt), outside, atol=1e-10)


def test_an_embedded_neuron_without_weights_changes_nothing(fitted):
    rich = embed(fitted)
    assert type(rich) is ResidualAIGIF
    assert len(rich.w) == UNITS
    assert rich.theta == fitted.theta
    assert set(rich.W) == {0.0}
    features, margin = np.random.default_rng(0).normal(size=(50, PURE + POTENTIALS)), np.linspace(-9, 3, 50)
    np.testing.assert_array_equal(compute_margin(rich, features, margin), margin)
    assert type(embed(fitted, AIGIFFeatures)) is AIGIFFeatures


def test_network_moves_the_log_rate_by_three_at_most(fitted):
    rng = np.random.default_rng(1)
    wild = embed(fitted, w=tuple(rng.normal(0, 50, UNITS)), W=tuple(rng.normal(0, 5, UNITS * PURE)), b_0=-4.0)
    features, margin = rng.normal(size=(500, PURE + POTENTIALS)), np.linspace(-20, 5, 500)
    moved = compute_margin(wild, features, margin) - margin
    assert np.abs(moved).max() <= 3.0
    assert np.abs(moved[margin < -18]).max() < 2e-4


def test_folds_cover_each_counted_sample_once(problem):
    folds = [Fold.of(problem, k, 5, 2000.0) for k in range(5)]
    times = sum(f.held_out[0].astype(int) for f in folds)
    np.testing.assert_array_equal(times, problem.counted[0].astype(int))
    short = replace(problem, recording=ef.Recording.of(np.zeros((7, 1000)) + np.arange(7)[:, None], 0.5,
                                                       spike_times=[[100.0]] * 7))  # fmt: skip
    whole = Fold.of(short, 1, 5, 2000.0).held_out
    assert [bool(m.any()) for m in whole] == [False, True, False, False, False, False, True]


def test_training_lowers_the_loss_it_is_trained_on(problem, fitted):
    fold = Fold.of(problem, 0, 5, 2000.0)
    rich = Residual(decay=0.0, steps=60).fit(fold, fitted, fold.train)
    assert residual_loss(rich, fold.train, 0.5) < bounded_loss(fitted, fold.train, 0.5) - 0.005
    assert residual_loss(embed(fitted), fold.train, 0.5) == pytest.approx(
        bounded_loss(fitted, fold.train, 0.5), rel=1e-9
    )
    again = Residual(decay=0.0, steps=60).fit(fold, fitted, fold.train)
    assert again.W == rich.W


def test_a_fit_is_reported_beside_a_constant_rate(problem, fitted):
    _, reports = Ensemble(folds=2, residual=None).fit(problem, fitted)
    report = reports.of(EnsembleReport)
    assert len(report.held_out) == 2
    assert report.held_out_residual == ()
    assert all(a < b for a, b in zip(report.held_out, report.uninformed, strict=True))
    assert report.carried == 0.0
    assert "2 fits" in str(report)


@pytest.mark.parametrize(("settings", "words"), [({"folds": 1}, "folds=1"), ({"block_ms": 0.0}, "block_ms=0")])
def test_settings_of_no_ensemble_are_refused(settings, words):
    with pytest.raises(FitError, match=words):
        Ensemble(**settings)


def test_runs_of_members_are_pooled_in_turn(fitted):
    silent = fitted.replace(theta=50.0)
    done = simulate_members([fitted, silent], np.random.default_rng(0).normal(0, 60, 4000), dt=0.5, runs=7, seed=1)
    counts = [len(t) for t in done.spike_times[0]]
    assert len(counts) == 7
    assert all(n > 0 for n in counts[::2])
    assert not any(counts[1::2])


def test_an_ensemble_is_saved_with_its_fit_and_runs_the_same(problem, tmp_path):
    fit = ef.fit(problem.recording, BankGIF, effort=Ensemble(folds=2, residual=None))
    assert len(fit.members) == 2
    assert type(fit.neuron) is BankGIF
    again = ef.Fit.load(fit.save(tmp_path / "fit.json"))
    assert again.to_dict() == fit.to_dict()
    current = problem.recording.sweeps[0].current[:4000]
    for one, other in zip(fit.simulate(current, runs=20).spike_times, again.simulate(current, runs=20).spike_times,
                          strict=True):  # fmt: skip
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    alone = fit.single
    assert not alone.members
    assert alone.report(EnsembleReport) is None
    assert alone.neuron is fit.neuron
    assert fit.report(VoteRule) is not None
    assert "vote" in fit.simulate(current, runs=20).companions
    assert "vote" not in fit.simulate(current, runs=10).companions


def test_a_member_of_an_unknown_kind_is_refused(problem, fitted):
    fit = ef.Fit(fitted, "cell", 0.5, members=(fitted,))
    saved = json.loads(json.dumps(fit.to_dict()))
    saved["members"][0]["model"] = "Elsewhere"
    with pytest.raises(FitError, match=r"'Elsewhere' that this version does not know"):
        ef.Fit.from_dict(saved)


@pytest.mark.parametrize(
    ("effort", "model", "words"),
    [("most", "AIGIF", "effort='most' is unknown"), ("best", "AdEx", "AdEx is not")],
)
def test_an_effort_that_cannot_be_made_is_refused(problem, effort, model, words):
    with pytest.raises(FitError, match=words):
        ef.fit(problem.recording, model, effort=effort)


@pytest.mark.slow
def test_best_effort_predicts_a_real_cell_better_than_one_fit():
    """Whole way on a shipped cell's training noise: the last fifth, of which no member has seen anything."""
    train, _ = ef.load("data/DRN158.nwb").split()
    seen, held = train.split(0.2)
    fit = ef.fit(seen, "AIGIF", effort="best")
    assert len(fit.members) == 5
    assert type(fit.members[0]) is ResidualAIGIF
    assert fit.ensemble.with_residual
    assert 0 < fit.ensemble.carried < 0.2
    (sweep,) = Problem(held, AIGIF, fit.dt).everything
    margins = [compute_margin(m, *replay_features(m, sweep, fit.dt)) for m in fit.members]
    pooled = np.mean([-np.logaddexp(0.0, -u) for u in margins], axis=0)  # the mean of the log rates
    assert mean_loss(fit.neuron, [sweep], [pooled], fit.dt) < bounded_loss(fit.neuron, [sweep], fit.dt)
    assert set(fit.simulate(held, runs=40).companions) == {"causal", "vote", "consensus"}


def test_the_shell_says_that_an_export_is_of_the_one_neuron(fitted, tmp_path, capsys):
    saved = ef.Fit(fitted, "cell", 0.5, members=(fitted, fitted)).save(tmp_path / "fit.json")
    with pytest.raises(SystemExit) as end:
        main(["export", str(saved), "--to", "json", "-o", str(tmp_path / "cell.json")])
    assert not end.value.code
    assert "not its ensemble of 2 fits" in " ".join(capsys.readouterr().err.split())
