"""Replay against the likelihood written out by hand over the definition's margins, and against torch's derivatives."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from twin_neurons import SoftALIF

from ephysfit.errors import SimulationError
from ephysfit.kernels.generate import kernel, sizes
from ephysfit.kernels.signature import arrange_arguments, scratch
from ephysfit.kernels.tiles import vectors_work
from ephysfit.models import AIGIF, ALIF, LIF, AdEx, AdLIF, Izhikevich, catalogue
from ephysfit.neuron.coefficients import coefficients
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.replay import Replay, ReplaySweep, _variant, moving_coefficients, whole_matrix

DT = 0.5
#: Izhikevich has a parameter k, by which a loop of the kernel was once named: its likelihood was that of another neuron
NEURONS = [LIF, ALIF, AdLIF, AdEx, Izhikevich, AIGIF]
CELLS = {
    AIGIF: AIGIF.start().replace(
        R=(0.4, 0.3, 0.5, 0.8, 0.6, 0.3, -0.2, 0.1), theta=3.0, gamma=(-0.5,) * 7, c=(0.3, 0.2, 0.1)
    ),
}


def cell_of(kind):
    """A cell that is neither silent nor saturated on `taught()`."""
    cell = CELLS.get(kind) or kind.start()
    return cell.replace(**{k: v for k, v in {"delta": 3.0, "t_ref": 2.0, "I_0": 90.0}.items() if k in kind.parameters})


def taught(steps=240, seed=0, spikes=(20, 60, 61, 63, 110, 200), use=None, slow=None):
    """Noise and spikes, two of them inside the refractory period of another."""
    rng = np.random.default_rng(seed)
    raster = np.zeros(steps, np.uint8)
    raster[[s for s in spikes if s < steps]] = 1
    mask = np.ones(steps, np.uint8) if use is None else use
    return ReplaySweep(90.0 + 60.0 * rng.standard_normal((steps, 1)), raster, mask, slow)


def counted(sweep, refractory):
    """Bins that enter the likelihood: used, and not within `refractory` steps after a spike."""
    held = np.zeros(len(sweep.spikes), bool)
    for n in np.flatnonzero(sweep.spikes):
        held[n + 1 : n + 1 + refractory] = True
    return torch.from_numpy((sweep.use > 0) & ~held)


def log_rates(free, base, z, sweep, drift=None):
    """Log hazard (per ms) of every step, by the definition."""
    cell = free.to_neuron(torch.as_tensor(z), base)
    forced = torch.from_numpy(sweep.spikes.astype(bool))[None, None]
    _, _, margins = sequential(cell, torch.from_numpy(sweep.current)[None, None], DT, forced=forced)
    rate = torch.log(cell.hazard(margins[0, 0]))
    return rate if drift is None else rate + torch.from_numpy(sweep.slow) @ drift


def by_hand(free, base, z, sweep, drift=None):
    """Sum of log(1 - exp(-r)) over spike bins less the sum of r over the others."""
    r = torch.exp(log_rates(free, base, z, sweep, drift)) * DT
    use = counted(sweep, round(float(base.t_ref) / DT))
    spike = torch.from_numpy(sweep.spikes.astype(bool))
    return torch.log(-torch.expm1(-r[spike & use])).sum() - r[~spike & use].sum()


def setting(kind):
    free, base = FreeParameters.of(kind, smooth_only=True), cell_of(kind)
    return free, base, free.to_vector(base), Replay(free, base, DT)


@pytest.mark.parametrize("kind", NEURONS, ids=lambda k: k.__name__)
def test_likelihood_is_the_sum_by_hand(kind):
    free, base, z, replay = setting(kind)
    sweeps = [taught(seed=1), taught(steps=150, seed=2, spikes=(0, 30, 149))]
    hand = sum(float(by_hand(free, base, z, s)) for s in sweeps)
    assert -500 < hand < -10
    assert replay.value(z, sweeps) == pytest.approx(hand, rel=1e-11)
    assert replay.information(z, sweeps).value == pytest.approx(hand, rel=1e-11)


@pytest.mark.parametrize("kind", NEURONS, ids=lambda k: k.__name__)
def test_log_rates_are_those_of_the_definition(kind):
    free, base, z, replay = setting(kind)
    sweep = taught()
    ((_, found),) = replay.rates(z, [sweep])
    np.testing.assert_allclose(found, log_rates(free, base, z, sweep).numpy(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", NEURONS, ids=lambda k: k.__name__)
def test_gradient_is_that_of_autograd(kind):
    free, base, z, replay = setting(kind)
    sweep = taught()
    leaf = torch.tensor(z, requires_grad=True)
    by_hand(free, base, leaf, sweep).backward()
    np.testing.assert_allclose(replay.information(z, [sweep]).gradient, leaf.grad.numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", NEURONS, ids=lambda k: k.__name__)
def test_gradient_is_the_slope_of_the_value(kind):
    _, _, z, replay = setting(kind)
    sweep, h = taught(), 1e-5
    steps = h * np.eye(len(z))
    slopes = [(replay.value(z + e, [sweep]) - replay.value(z - e, [sweep])) / (2 * h) for e in steps]
    np.testing.assert_allclose(replay.information(z, [sweep]).gradient, slopes, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", [LIF, ALIF, AdEx], ids=lambda k: k.__name__)
def test_fisher_information_is_the_weighted_gram_matrix_of_the_slopes(kind):
    """Of a Bernoulli bin with p = 1 - exp(-r): (dp)^2 / (p (1 - p)) = r^2 / (exp(r) - 1) (dlog r)^2."""
    free, base, z, replay = setting(kind)
    sweep = taught(steps=90)
    slopes = torch.autograd.functional.jacobian(lambda q: log_rates(free, base, q, sweep), torch.from_numpy(z))
    r = torch.exp(log_rates(free, base, z, sweep)) * DT
    weight = torch.where(counted(sweep, round(float(base.t_ref) / DT)), r**2 / torch.expm1(r), 0.0)
    expected = (slopes.T @ (weight[:, None] * slopes)).numpy()
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    found = replay.information(z, [sweep]).fisher
    # bins that weigh less than 1e-9 are left out, which shows in nearly silent coordinates only
    assert np.abs((found - expected) / scale).max() < (1e-6 if kind is AdEx else 1e-8)
    np.testing.assert_allclose(found, found.T, rtol=1e-9, atol=1e-12)


def test_a_recorded_spike_inside_the_refractory_period_is_replayed_but_not_counted():
    free, base, z, replay = setting(ALIF)
    refractory = round(base.t_ref / DT)
    inside = taught(spikes=(60, 60 + refractory))
    assert not counted(inside, refractory)[60 + refractory]
    assert replay.value(z, [inside]) == pytest.approx(float(by_hand(free, base, z, inside)), rel=1e-11)
    alone = taught(spikes=(60,))
    ((_, a),) = replay.rates(z, [inside])
    ((_, b),) = replay.rates(z, [alone])
    assert np.array_equal(a[: 61 + refractory], b[: 61 + refractory])
    assert np.all(a[61 + 2 * refractory : 100] < b[61 + 2 * refractory : 100])  # it raised the threshold all the same


def test_masked_bins_do_not_count_but_are_simulated():
    free, base, z, replay = setting(ALIF)
    first, second = np.zeros(240, np.uint8), np.zeros(240, np.uint8)
    first[:100], second[100:] = 1, 1
    halves = [replay.value(z, [taught(use=m)]) for m in (first, second)]
    assert sum(halves) == pytest.approx(replay.value(z, [taught()]), rel=1e-12)
    assert halves[1] == pytest.approx(float(by_hand(free, base, z, taught(use=second))), rel=1e-11)
    nothing = replay.information(z, [taught(use=np.zeros(240, np.uint8))])
    assert nothing.value == 0
    assert not nothing.gradient.any()
    assert not nothing.fisher.any()


def test_of_silence_only_the_expected_spikes_count():
    free, base, z, replay = setting(LIF)
    sweep = taught(spikes=())
    expected = float((torch.exp(log_rates(free, base, z, sweep)) * DT).sum())
    assert replay.value(z, [sweep]) == pytest.approx(-expected, rel=1e-12)
    assert np.isfinite(replay.information(z, [sweep]).gradient).all()


def test_a_constant_rate_has_the_likelihood_of_bernoulli_bins():
    """Closed form: with the margin held at zero the rate is 1 per ms in every bin."""
    cell = LIF(C=100.0, g=5.0, E_L=-65.0, theta=-65.0, V_reset=-65.0, t_ref=0.0, delta=2.0)
    free = FreeParameters.of(LIF, smooth_only=True)
    sweep = replace(taught(spikes=(3, 7, 8)), current=np.zeros((240, 1)))
    found = Replay(free, cell, DT).value(free.to_vector(cell), [sweep])
    assert found == pytest.approx(3 * log(1 - np.exp(-DT)) - 237 * DT, rel=1e-9)


def test_drift_covariates_shift_the_log_rate_and_have_a_gradient():
    free, base, z, replay = setting(ALIF)
    slow = np.column_stack([np.linspace(-1, 0, 240), np.r_[np.full(120, -1.0), np.zeros(120)]])
    sweep, drift = taught(slow=slow), np.array([0.7, -0.4])
    assert replay.value(z, [sweep], drift) == pytest.approx(
        float(by_hand(free, base, z, sweep, torch.from_numpy(drift))), rel=1e-11
    )
    assert replay.value(z, [sweep], np.zeros(2)) == pytest.approx(replay.value(z, [sweep]), rel=1e-13)
    leaf, weights = torch.tensor(z, requires_grad=True), torch.from_numpy(drift).clone().requires_grad_()
    by_hand(free, base, leaf, sweep, weights).backward()
    found = replay.information(z, [sweep], drift)
    expected = np.r_[leaf.grad.numpy(), weights.grad.numpy()]
    np.testing.assert_allclose(found.gradient, expected, rtol=1e-9, atol=1e-9)
    assert found.fisher.shape == (len(z) + 2, len(z) + 2)
    assert np.linalg.eigvalsh(found.fisher).min() > -1e-8 * np.diag(found.fisher).max()


def test_an_absurd_rate_stays_finite():
    """Far above threshold the log rate is capped at 12, and capped bins pull on nothing."""
    _, _, z, replay = setting(LIF)
    sweep = replace(taught(), current=np.full((240, 1), 5e4))
    found = replay.information(z, [sweep])
    ((_, rates),) = replay.rates(z, [sweep])
    assert rates.max() == 12.0
    assert all(np.isfinite(v).all() for v in (found.value, found.gradient, found.fisher))


def test_sweeps_add_up():
    _, _, z, replay = setting(AdLIF)
    a, b = taught(seed=3), taught(seed=4, spikes=(5, 90))
    both, one, other = (replay.information(z, s) for s in ([a, b], [a], [b]))
    np.testing.assert_allclose(both.fisher, one.fisher + other.fisher, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(both.gradient, one.gradient + other.gradient, rtol=1e-9, atol=1e-12)


def test_what_one_sweep_leaves_in_memory_is_not_counted_in_the_next():
    """Steps are computed eight at a time and kept a segment at a time: neither may be felt where a sweep ends."""
    _, _, z, replay = setting(AIGIF)
    for steps in (255, 256, 257, 511, 520):
        sweeps = [taught(520, seed=1), taught(steps, seed=2)]
        alone = [replay.information(z, [s]) for s in sweeps]
        both = replay.information(z, sweeps)
        assert replay.value(z, sweeps) == pytest.approx(sum(replay.value(z, [s]) for s in sweeps), rel=1e-13)
        assert both.value == pytest.approx(sum(a.value for a in alone), rel=1e-13)
        np.testing.assert_allclose(both.fisher, sum(a.fisher for a in alone), rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(both.gradient, sum(a.gradient for a in alone), rtol=1e-11, atol=1e-12)


def test_only_named_parameters_move():
    base, full = cell_of(ALIF), FreeParameters.of(ALIF, smooth_only=True)
    few = FreeParameters.of(ALIF, ["theta", "tau_a"])
    whole = Replay(full, base, DT).information(full.to_vector(base), [taught()])
    part = Replay(few, base, DT).information(few.to_vector(base), [taught()])
    at = [full.names.index(n) for n in few.names]
    np.testing.assert_allclose(part.gradient, whole.gradient[at], rtol=1e-9)
    np.testing.assert_allclose(part.fisher, whole.fisher[np.ix_(at, at)], rtol=1e-8)


def test_a_neuron_without_hazard_has_no_likelihood():
    with pytest.raises(SimulationError, match=r"SoftALIF declares no hazard.*add hazard"):
        Replay(FreeParameters.of(SoftALIF), SoftALIF.start(), DT)


@pytest.mark.parametrize("kind", [LIF, ALIF, AIGIF])
def test_slopes_of_coefficients_are_their_jacobian(kind):
    cell, free = cell_of(kind), FreeParameters.of(kind, smooth_only=True)
    replay, z = Replay(free, cell, DT), free.to_vector(cell)
    by_torch = lambda q: coefficients(free.to_neuron(q, cell), DT)[0]  # noqa: E731
    whole = torch.autograd.functional.jacobian(by_torch, torch.from_numpy(z)).numpy()
    rows = list(range(len(whole)))
    np.testing.assert_allclose(replay._slopes(z, rows), whole, rtol=1e-12, atol=1e-14)


def test_slopes_of_values_are_their_derivatives():
    free = FreeParameters.of(AIGIF, smooth_only=True)
    z = free.to_vector(cell_of(AIGIF))
    call = lambda q: torch.stack(list(free.values(q).values()))  # noqa: E731
    expected = torch.autograd.functional.jacobian(call, torch.from_numpy(z)).diagonal()
    np.testing.assert_allclose(free.slopes(z), expected, rtol=1e-12)


@pytest.fixture(scope="module")
def catalogue_errors(tmp_path_factory):
    """Of all kernels as plain Python, in one process: no compilation."""
    here = Path(__file__).parent
    path = os.pathsep.join(filter(None, [str(here), str(here.parents[1]), os.environ.get("PYTHONPATH")]))
    plain = {"NUMBA_DISABLE_JIT": "1", "EPHYSFIT_VECTORS": "0", "EPHYSFIT_CACHE": str(tmp_path_factory.mktemp("cache"))}
    done = subprocess.run(
        [sys.executable, here / "catalogue_likelihoods.py"],
        env={**os.environ, "PYTHONPATH": path, **plain}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, neuron in catalogue().items() if neuron.stochastic()])
def test_of_every_neuron_it_is_that_of_the_definition(name, catalogue_errors):
    row = catalogue_errors[name]
    assert row["rates"][0] < row["rates"][1]
    assert row["moved"] >= 3
    assert row["value"] < 1e-12
    assert row["gradient"] < 1e-10
    assert row["information"] < 1e-10


@pytest.mark.skipif(not vectors_work(), reason="this numba takes no vectors")
@pytest.mark.parametrize("kind", [ALIF, AIGIF])
def test_a_tile_of_cells_gives_what_each_gives_alone(kind):
    """Kernels for lanes are not asked for yet; what is written for them holds all the same."""
    _, _, z, replay = setting(kind)
    sweep, lanes = taught(), 4
    cells = [z + 0.02 * k for k in range(lanes)]
    alone = [replay.information(q, [sweep]) for q in cells]
    variant = replace(_variant(kind, moving_coefficients(replay.free)), lanes=lanes)
    coefs = np.stack([replay._coefficients(q) for q in cells], -1)
    n, (width, work) = len(variant.moving), sizes(kind, variant)
    total, gradient, information = np.zeros(lanes), np.zeros((width, lanes)), np.zeros(lanes * width**2)
    given = {**replay._cell_arguments(z), **replay._sweep_arguments(sweep, np.zeros(0)), "coefs": coefs.reshape(-1)}
    made = {"total": total, "gradient": gradient, "information": information}
    memory = scratch("information", "float64", lanes=lanes, work=work, gathered=128, columns=width, ahead=0)
    kernel(kind, "information", variant)(0, 1, *arrange_arguments("information", **given, **made), *memory)
    for k, one in enumerate(alone):
        slopes = replay._slopes(cells[k], list(variant.moving))
        matrix = whole_matrix(information[k * width**2 : (k + 1) * width**2])[:n, :n]
        assert total[k] == pytest.approx(one.value, rel=1e-12)
        np.testing.assert_allclose(slopes.T @ gradient[:n, k], one.gradient, rtol=1e-9, atol=1e-9)
        # a bin too faint to count for one cell is taken along where it counts for another of the tile
        off = (slopes.T @ matrix @ slopes - one.fisher) / np.sqrt(np.outer(*[np.diag(one.fisher)] * 2))
        assert np.abs(off).max() < 1e-4
