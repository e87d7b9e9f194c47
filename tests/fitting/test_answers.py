"""Answers of filter banks: gradients, analytic cases, and the bias of fits to the fit's own spikes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from fitting_cells import DT, spikes_only

from ephysfit.data.recording import Recording, Sweep
from ephysfit.errors import FitError
from ephysfit.fitting.fit import fit
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.stages import Likelihood, Passive
from ephysfit.fitting.uncertainty.answers import FEWEST, LEAST, PULSE, PUSH, find_answers
from ephysfit.fitting.uncertainty.derived_intervals import (
    bound_factor,
    derive_answers,
    find_held,
    find_reach,
    jackknife_answers,
    list_answers,
)
from ephysfit.fitting.uncertainty.identifiability import compute_reading_gradient
from ephysfit.fitting.uncertainty.intervals import intervals
from ephysfit.fitting.uncertainty.left_out_parts import compute_jackknife_spread, leave_parts_out
from ephysfit.fitting.uncertainty.likelihood_surface import Peak, Surface
from ephysfit.fitting.uncertainty.simulated_trains import refit_simulated_trains
from ephysfit.models import AIGIF, ALIF, BankGIF
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay, ReplaySweep

STAGES = [Passive(t_ref=False), Likelihood(starts=1, steps=8, first=3, trial=2)]


@cache
def fitted(kind: type[Neuron] = AIGIF) -> Fit:
    return fit(spikes_only(20_000.0), kind, STAGES, dt=DT)


@cache
def surface(kind: type[Neuron] = AIGIF) -> Surface:
    return Surface.of(fitted(kind), spikes_only(20_000.0))


def noise_sweep(steps: int = 60_000, rate: float = 0.01, seed: int = 1) -> ReplaySweep:
    rng = np.random.default_rng(seed)
    fired = (rng.random(steps) < rate * DT).astype(np.uint8)
    return ReplaySweep(rng.normal(0.0, 50.0, (steps, 1)), fired, np.ones(steps))


@pytest.mark.parametrize("kind", [AIGIF, BankGIF])
def test_gradients_of_answers_are_finite_differences(kind):
    replay = Replay(surface(kind).free, surface(kind).start, DT)
    z = surface(kind).free.to_vector(surface(kind).start)
    rng = np.random.default_rng(0)
    answers = list_answers(surface(kind))
    assert len(answers) == 9
    for answer in answers:
        value, slopes = answer.differentiate(replay, z)
        assert value == pytest.approx(answer.read(replay, z), rel=1e-12)
        for _ in range(2):
            step = 1e-5 * rng.normal(size=len(z))
            found = (answer.read(replay, z + step) - answer.read(replay, z - step)) / 2
            assert slopes @ step == pytest.approx(found, rel=2e-3, abs=1e-9 * value)


def test_an_answer_is_a_sum_of_rates_over_another_one():
    """The likelihood of places without a spike, against the rates that a replay shows."""
    replay = Replay(surface().free, surface().start, DT)
    z = surface().free.to_vector(surface().start)
    for answer in list_answers(surface()):
        sums = []
        for sweeps in (answer.with_it, answer.without_it):
            rates = replay.rates(z, sweeps)
            sums.append(sum(np.exp(r[s.use > 0]).sum() for (_, r), s in zip(rates, sweeps, strict=True)))
        assert answer.read(replay, z) == pytest.approx(sums[0] / sums[1], rel=1e-9)


def test_answers_of_the_glm_are_its_filters():
    """Far below its ceiling the rate is exponential, so that a spike and a pulse multiply it by what a filter says."""
    sweep = noise_sweep(steps=200_000)
    start = BankGIF.start().replace(I_0=0.0, I_s=50.0, theta=15.0, t_ref=2.0)
    # after a second nothing is left of a spike or a pulse, so that places do not disturb one another
    cell = start.replace(R=(0.0, 0.2, 0.0, 0.5, 0.3, 0.0, 0.0, 0.0), gamma=(-1.0, -0.5, -0.4, 0.1, 0.0, 0.0, 0.0))
    free = FreeParameters.of(BankGIF, ["R", "gamma"])
    replay, z = Replay(free, cell, DT), free.to_vector(cell)
    readings = {r.name: r.read(cell) for r in BankGIF.readings}
    height = PUSH * float(sweep.current.std())
    answers = {a.name: a for a in find_answers([sweep], DT, 2.0)}
    for lag in (10, 50, 200):
        known = readings[f"sum(gamma exp(-{lag} ms/tau_H))/delta"]
        assert np.log(answers[f"rate {lag} ms after a spike"].read(replay, z)) == pytest.approx(known, abs=1e-4)
    # the pulse is over one step before the end of the step in which the rate is read
    pairs = zip(cell.R, cell.tau_K, strict=True)
    fallen = sum(r * (1 - np.exp(-PULSE / tau)) * np.exp(-DT / tau) for r, tau in pairs)
    found = np.log(answers["rate 20 ms after a small pulse began"].read(replay, z)) * cell.I_s / height
    assert found == pytest.approx(fallen, rel=1e-3)


def test_readings_of_the_glm_have_the_gradients_of_torch():
    cell, free = surface(BankGIF).start, surface(BankGIF).free
    assert [r.unit for r in BankGIF.readings[:3]] == ["1/pA", "ms", "1"]
    for reading in BankGIF.readings:
        z = torch.tensor(free.to_vector(cell), requires_grad=True)
        expected = reading.read(free.to_neuron(z, cell))
        (slopes,) = torch.autograd.grad(expected, z)
        value, found = compute_reading_gradient(surface(BankGIF), cell, reading.read)
        assert value == pytest.approx(float(expected.detach()), rel=1e-12)
        np.testing.assert_allclose(found, slopes, rtol=1e-11, atol=1e-14 * float(slopes.abs().max()))


def test_a_rate_that_rounds_to_nothing_has_an_interval_from_nothing():
    """After a spike that forbids the next one for good, how much lower the rate is no digit tells."""
    top = surface().top()
    silent = replace(top, neuron=top.neuron.replace(gamma=(-60.0,) * 7), q=top.q.copy())
    silent.q[: len(surface().free.names)] = surface().free.to_vector(silent.neuron)
    first = derive_answers(surface(), (silent,), 0.95)[0]
    assert first.value == LEAST
    assert (first.low, first.high) == pytest.approx((0.0, LEAST * np.exp(10.0)))


def test_places_are_apart_and_hold_no_spike():
    sweep = noise_sweep()
    for answer in find_answers([sweep], DT, 2.0):
        (places,) = (np.flatnonzero(s.use) for s in answer.with_it)
        assert len(places) >= FEWEST
        assert np.diff(places).min() * DT >= 1000.0 - 1e-9
        assert not any(sweep.spikes[k - j] for k in places for j in range(5))


def test_a_short_recording_shows_no_answers():
    assert find_answers([noise_sweep(steps=2000)], DT, 2.0) == ()


def test_a_neuron_with_a_membrane_has_readings_and_no_answers():
    found = fit(spikes_only(20_000.0), ALIF, [Passive(t_ref=False), Likelihood(starts=1)], dt=DT)
    assert list_answers(Surface.of(found, spikes_only(20_000.0))) == ()
    report = intervals(found, spikes_only(20_000.0), "fisher", trains=10).intervals
    assert report.trains is None
    assert "C/g" in {d.name for d in report.derived}


#: a rate without memory: the Poisson GLM of one parameter, whose bias is known
Steady = BankGIF.pin("Steady", "", R=(0.0,) * 8, gamma=(0.0,) * 7, t_ref=0.0)


def log_rate(theta: Any) -> Any:
    """Of `Steady`, per ms."""
    return -np.logaddexp(0.0, theta)


def log_rate_of(counts: Any, steps: int) -> Any:
    """The rate per ms at which so many of these steps hold a spike."""
    return np.log(-np.log1p(-counts / steps) / DT)


def steady(count: int, steps: int) -> tuple[Surface, Peak]:
    """The likelihood of evenly spaced spikes about its top, and the top."""
    at = (np.arange(count) + 0.5) * steps * DT / count
    noise = np.random.default_rng(0).normal(0.0, 50.0, steps)  # to which a steady rate does not answer
    data = Recording((Sweep(noise, DT, None, at, name="training"),), cell="steady", source="synthetic")
    found = Surface.of(fit(data, Steady, [Likelihood(prior=1e-9, starts=1)], dt=DT), data)
    return found, found.top()


def test_refits_of_simulated_trains_have_the_known_bias_of_a_poisson_rate():
    """The logarithm of a count of N is off by -1/(2N) in the mean to first order, and spreads by N^(-1/2) and more."""
    known, top = steady(13, 6_000)
    used, count = int(known.sweeps[0].use.sum()), known.sweeps[0].n_spikes
    assert log_rate(top.neuron.theta) == pytest.approx(log_rate_of(count, used), abs=1e-3)
    refits = refit_simulated_trains(known, top, 400, 0, lambda f: None, 1)
    levels = log_rate(np.array([known.free.values(r.z)["theta"] for r in refits]))
    counts = np.array([sum(s.n_spikes for s in r.sweeps) for r in refits])
    np.testing.assert_allclose(levels, log_rate_of(counts, used), atol=2e-3)
    off = levels - log_rate(top.neuron.theta)
    expected = -1 / (2 * count) - 1 / (12 * count**2)
    assert off.mean() == pytest.approx(expected, abs=3 * off.std() / np.sqrt(len(off)))
    assert off.mean() < expected / 3
    assert off.std() == pytest.approx(count**-0.5, rel=0.2)


def test_the_bias_of_refits_is_taken_off_and_their_spread_counts():
    top = surface().top()
    refits = refit_simulated_trains(surface(), top, 6, 0, lambda f: None, 1)
    assert refits[0].sweeps[0].n_spikes != refits[1].sweeps[0].n_spikes
    plain, corrected = (derive_answers(surface(), (top,), 0.95, some) for some in ((), refits))
    for a, b in zip(plain, corrected, strict=True):
        assert (a.name, a.value, a.bias) == (b.name, b.value, 0.0)
        assert b.standard_error >= a.standard_error * np.sqrt(1 + 1 / 6)
        assert b.low <= b.value <= b.high
        low, high = bound_factor(b.value - b.bias, b.standard_error / b.value, find_reach(0.95))
        assert (b.low, b.high) == pytest.approx((min(low, b.value), max(high, b.value)))
    assert any(b.bias != 0.0 for b in corrected)


def test_a_jackknife_of_a_rate_is_that_of_its_counts():
    """Left-out parts, scored twice, against the rates that the counts of the remaining parts give in closed form."""
    known, top = steady(13, 6000)
    (sweep,) = known.sweeps
    found = leave_parts_out(known, top, find_held(known, top))
    rates = log_rate(np.array([known.free.values(z)["theta"] for z in found]))
    used = np.flatnonzero(sweep.use)
    rest = [np.setdiff1d(used, part) for part in np.array_split(used, 30)]
    expected = np.array([log_rate_of(int(sweep.spikes[r].sum()), len(r)) for r in rest])
    assert len(found) == 30
    np.testing.assert_allclose(rates, expected, atol=1e-4)
    spread = compute_jackknife_spread(rates[:, None])
    assert spread == pytest.approx(np.sqrt(29 * expected.var()), rel=1e-3)


def test_the_error_of_an_answer_is_at_least_that_of_the_jackknife():
    top = surface().top()
    refits = refit_simulated_trains(surface(), top, 2, 0, lambda f: None, 1)
    errors = [d.standard_error / d.value for d in derive_answers(surface(), (top,), 0.95, refits)]
    assert (errors >= jackknife_answers(surface(), top) * np.sqrt(1.5) * (1 - 1e-12)).all()


def test_bounds_of_a_factor():
    assert bound_factor(2.0, 0.01, 1.96) == pytest.approx((2.0 * (1 - 0.0196), 2.0 * np.exp(0.0196)), rel=1e-9)
    assert bound_factor(1e-3, 0.8, 1.96)[0] == 0.0  # how much lower than a thousandth no spike tells
    assert find_reach(0.95) == pytest.approx(1.959964, abs=1e-6)


def test_a_parameter_on_a_bound_lends_the_others_no_error():
    top = surface().top()
    q = top.q.copy()
    q[3] = 9.0
    held = find_held(surface(), replace(top, q=q))
    assert held[3]
    assert held.sum() == find_held(surface(), top).sum() + (abs(top.q[3]) <= 6.2)


def test_intervals_report_answers_and_keep_them(tmp_path):
    data = spikes_only(20_000.0)
    found = intervals(fitted(), data, "fisher", trains=3, names=["theta"])
    assert found.intervals.trains == 3
    again = Fit.load(found.save(tmp_path / "fit.json"))
    assert again.intervals.derived == found.intervals.derived
    assert intervals(fitted(), data, "fisher", names=["theta"]).intervals.trains is None
    assert len(intervals(fitted(), data, names=[], trains=0).intervals.derived) == 9
    with pytest.raises(FitError, match="trains = 1"):
        intervals(fitted(), data, trains=1)
    with pytest.raises(FitError, match=r"trains = 2\.5"):
        intervals(fitted(), data, trains=2.5)
