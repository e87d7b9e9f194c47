"""A prior from the cells fitted before: what it estimates, what it refuses, and that fits use it."""

import numpy as np
import pytest
import torch
from fitting_cells import DT, KNOWN, known, spikes_only, steps

import ephysfit as ef
from ephysfit.errors import FitError
from ephysfit.fitting.ascent import Posterior
from ephysfit.fitting.chain import run_stages
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.population_prior import population_prior, population_priors
from ephysfit.fitting.prior import Prior, load_priors, pack_symmetric, save_priors, unpack_symmetric
from ephysfit.fitting.stage import Problem
from ephysfit.fitting.stage_reports import LikelihoodReport, Quadratic, Reports
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.stages.passive import Passive
from ephysfit.fitting.uncertainty.likelihood_surface import Surface
from ephysfit.models import ALIF, LIF
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay

FREE = FreeParameters.of(LIF, smooth_only=True)
#: where cells of the population lie on the axes of LIF (C, g, E_L, theta, V_reset, delta), and how far apart
CENTRE = np.array([5.0, 1.8, -68.0, -48.0, -60.0, 0.5])
SPREAD = np.array([0.2, 0.3, 1.5, 2.0, 2.5, 0.25])


def pretended(place, information, model=LIF) -> Fit:
    """A fit whose likelihood is a known quadratic with its top at `place`."""
    free = FreeParameters.of(model, smooth_only=True)
    cell = free.to_neuron(free.inside(place), model.start())
    seen = Quadratic(free.names, tuple(place.tolist()), (0.0,) * len(place), pack_symmetric(information))
    return Fit(cell, "pretended", DT, reports=Reports(LikelihoodReport(seen=seen)))


def cells(n, error, seed=0):
    """Fits of n cells, each measured with errors of `error` spreads in correlated directions."""
    rng = np.random.default_rng(seed)
    mix = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0]
    out = []
    for _ in range(n):
        noise = (mix * (error * rng.uniform(0.3, 1.7, 6)) ** 2) @ mix.T * np.outer(SPREAD, SPREAD)
        true = CENTRE + SPREAD * rng.standard_normal(6)
        out.append(pretended(rng.multivariate_normal(true, noise), np.linalg.inv(noise)))
    return out


@pytest.fixture(scope="module")
def few():
    """A prior made of four short fits."""
    fits = []
    for seed in range(4):
        data = known(6_000.0, seed)
        fits.append(run_stages(Problem(data, LIF, DT), (Passive(), Likelihood(starts=1, steps=30))))
    return fits, population_prior(fits)


def test_mean_and_spread_of_a_known_population_come_back_without_the_errors_of_its_cells():
    prior = population_prior(cells(300, error=1.0))
    np.testing.assert_allclose((prior.centre - CENTRE) / SPREAD, 0.0, atol=0.25)
    spreads = np.array([prior.spreads[n] for n in FREE.names])
    np.testing.assert_allclose(spreads / SPREAD, 1.0, atol=0.3)
    raw = np.array([f.likelihood.seen.place for f in cells(300, error=1.0)]).std(0)
    assert (raw / SPREAD > 1.3).all()  # what a plain covariance of the fits would say


def test_correlations_come_back_where_cells_are_many_and_not_where_they_are_few():
    rng, base = np.random.default_rng(3), np.diag((0.1 * SPREAD) ** -2.0)
    made = []
    for _ in range(200):
        both = rng.standard_normal()
        made.append(pretended(CENTRE + SPREAD * np.r_[both, both, rng.standard_normal(4)], base))
    many, handful = population_prior(made), population_prior(made[:4])
    tie = lambda p: p.covariance[0, 1] / np.sqrt(p.covariance[0, 0] * p.covariance[1, 1])  # noqa: E731
    assert tie(many) > 0.85
    assert abs(tie(handful)) < 0.5
    assert handful.covariance[0, 0] > 2 * many.covariance[0, 0]  # four cells say little of the fifth


def test_a_far_fit_draws_little():
    usual = cells(40, error=0.3)
    far = pretended(CENTRE + np.array([0.0, 0.0, 0.0, 25.0, 0.0, 0.0]), np.diag((0.1 * SPREAD) ** -2.0))
    alone, spoilt = population_prior(usual), population_prior([*usual, far])
    assert abs(spoilt.centre[3] - alone.centre[3]) < 0.25 * SPREAD[3]
    assert abs(np.mean([*(f.likelihood.seen.place[3] for f in usual), CENTRE[3] + 25.0]) - alone.centre[3]) > 0.25


def test_what_no_cell_determines_stays_where_the_fits_have_it():
    """The place and size of mV, of which spikes say nothing: cells must not all meet where they happen to be alike."""
    fits = [
        run_stages(Problem(spikes_only(6_000.0, seed), LIF, DT), (Passive(), Likelihood(starts=1))) for seed in range(4)
    ]
    prior = population_prior(fits)
    places = np.array([f.likelihood.seen.place for f in fits])
    k = FREE.names.index("theta")
    assert prior.centre[k] == pytest.approx(places[:, k].mean(), abs=1.5)


def test_a_fit_keeps_the_gradient_and_information_of_its_likelihood_alone(few):
    fits, _ = few
    fit, data = fits[0], known(6_000.0, 0)
    kept = fit.likelihood.seen
    problem = Problem(data, LIF, DT)
    z = FREE.to_vector(fit.neuron)
    at = Replay(FREE, fit.neuron, DT).information(z, problem.everything)
    slopes = FREE.axis_slopes(z)
    np.testing.assert_allclose(kept.gradient, at.gradient / slopes, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(unpack_symmetric(kept.information, 6), at.fisher / np.outer(slopes, slopes), rtol=1e-3)


def test_slopes_of_the_axes_are_those_of_the_axes():
    z = torch.linspace(-3.0, 3.0, len(FREE.names), dtype=torch.float64)
    by_torch = torch.autograd.functional.jacobian(FREE.axis, z).diagonal()
    torch.testing.assert_close(FREE.axis_slopes(z), by_torch)
    np.testing.assert_allclose(FREE.axis_slopes(z.numpy()), by_torch, rtol=1e-12)


def test_the_posterior_with_a_population_has_the_slopes_of_its_value(few):
    _, prior = few
    base = LIF(**{n: getattr(KNOWN, n) for n in LIF.parameters})
    problem = Problem(known(6_000.0), LIF, DT)
    target = Posterior(
        Replay(FREE, base, DT), problem.everything, 1e-3, FREE.place(prior.cell(base)),
        precision=prior.precision(FREE.names),
    )  # fmt: skip
    z, h = FREE.to_vector(base), 1e-5
    eye = np.eye(len(z))
    slopes = [(target.value(z + h * e) - target.value(z - h * e)) / (2 * h) for e in eye]
    np.testing.assert_allclose(target.information(z).gradient, slopes, rtol=1e-4, atol=1e-3)


def test_a_prior_draws_as_much_as_it_is_narrow(few):
    _, prior = few
    narrow = Prior(prior.model, prior.names, prior.centre, 1e-4 * prior.covariance, prior.cells)
    data = known(6_000.0, 9)
    chain = (Passive(), Likelihood(starts=1))
    tight = run_stages(Problem(data, LIF, DT, priors=(narrow,)), chain)
    np.testing.assert_allclose(FREE.place(tight.neuron), prior.centre, rtol=0.02, atol=0.1)
    whole = Prior(prior.model, prior.names, prior.centre, 1e6 * prior.covariance, prior.cells)
    free, alone = (run_stages(Problem(data, LIF, DT, priors=p), chain) for p in ((whole,), ()))
    assert free.loss == pytest.approx(alone.loss, abs=5e-3)


def test_the_prior_of_another_neuron_is_not_taken(few):
    _, prior = few
    assert Problem(known(6_000.0), ALIF, DT, priors=(prior,)).prior is None
    with pytest.raises(FitError, match=r"no prior of ALIF among those given \(LIF\)"):
        ef.fit(known(6_000.0), "ALIF", prior=prior)
    with pytest.raises(FitError, match="no prior of BankGIF, BankIGIF, AIGIF"):
        ef.fit(known(6_000.0), prior=prior)


def test_the_typical_cell_is_one_of_the_starts(few):
    _, prior = few
    problem = Problem(known(6_000.0), LIF, DT, priors=(prior,))
    starts = Likelihood()._list_starts(problem, problem.start())
    typical = prior.cell(problem.start())
    assert any(s.values() == typical.values() for s in starts)
    assert FREE.place(typical) == pytest.approx(prior.centre, abs=1e-6)


def test_intervals_of_a_fit_with_a_prior_are_those_of_its_posterior(few, tmp_path):
    _, prior = few
    data = known(6_000.0, 9)
    fit = run_stages(Problem(data, LIF, DT, priors=(prior,)), (Passive(), Likelihood()))
    assert fit.provenance.prior
    loaded = ef.Fit.load(fit.save(tmp_path / "fit.json"))
    surface = Surface.of(loaded, data)
    np.testing.assert_allclose(surface.precision, prior.precision(FREE.names), rtol=1e-5)
    top = surface.top()
    assert np.abs(top.q - FREE.to_vector(fit.neuron)).max() < 0.05
    low, high = ef.intervals(loaded, data, "fisher").intervals.parameters["delta"]
    assert low < fit.neuron.delta < high


def test_priors_survive_their_file(few, tmp_path):
    _, prior = few
    (back,) = load_priors(save_priors(tmp_path / "sub" / "prior.json", [prior]))
    assert (back.model, back.names, back.cells) == (prior.model, prior.names, prior.cells)
    np.testing.assert_allclose(back.covariance, prior.covariance, rtol=1e-6)
    assert repr(back) == "Prior(LIF, 6 parameters, of 4 fits)"
    (tmp_path / "other.json").write_text('{"format": "else"}')
    with pytest.raises(FitError, match="holds no priors"):
        load_priors(tmp_path / "other.json")
    with pytest.raises(FitError, match="No such file"):
        load_priors(tmp_path / "none.json")


def test_too_few_or_unlike_fits_are_refused(few):
    fits, _ = few
    with pytest.raises(FitError, match="2 of 2 fits hold"):
        population_prior(fits[:2])
    other = run_stages(Problem(steps(), ALIF, DT), (Passive(),))
    with pytest.raises(FitError, match="fits of ALIF, LIF"):
        population_prior([*fits, other])
    with pytest.raises(FitError, match="found 2 of LIF"):
        population_priors(fits[:2])
    with pytest.raises(FitError, match="found no fit"):
        population_priors([])
    assert [p.model for p in population_priors([*fits, other])] == ["LIF"]
