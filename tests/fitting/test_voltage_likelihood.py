"""Voltage and spikes in one likelihood: what counts, exact slopes, and a scale in mV that spikes alone leave open."""

from dataclasses import replace

import numpy as np
import pytest
from fitting_cells import DT, KNOWN, begun, known, problem, spikes_only

import ephysfit as ef
from ephysfit.data.recording import Recording, Sweep
from ephysfit.errors import FitError, SimulationError
from ephysfit.fitting.chain import default_stages, run_stages
from ephysfit.fitting.stage import Problem
from ephysfit.fitting.stage_reports import LikelihoodReport
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.stages.passive import Passive
from ephysfit.fitting.stages.refractory_period import Refractory
from ephysfit.fitting.uncertainty.likelihood_surface import Surface
from ephysfit.fitting.voltage_likelihood import (
    Voltage,
    estimate_voltage_noise,
    select_voltage_samples,
    warn_of_unexplained_voltage,
)
from ephysfit.models import AGIF, AIGIF, ALIF, GIF, LIF
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Noise, Replay
from ephysfit.synthetic import recording

#: a cell whose mV are far from those that a fit of spikes alone begins with
CELL = ALIF(C=150.0, g=8.0, E_L=-78.0, theta=-55.0, d_theta=5.0, tau_a=80.0, V_reset=-66.0, t_ref=2.0, delta=2.0)
SCALE = ("C", "g", "E_L", "theta", "V_reset", "delta", "d_theta")


def cell_of_noise(seed: int = 0, tau: float = 8.0, spread: float = 1.5, duration: float = 20_000.0) -> Recording:
    """The cell, its voltage with noise that forgets over `tau` ms."""
    data = recording(CELL, duration=duration, repeats=0, dt=DT, rate=6.0, seed=seed)
    (sweep,) = data
    noise = ef.synthetic.noise_current(duration, DT, 0.0, spread, tau, seed + 50)
    return Recording((Sweep(sweep.current, DT, sweep.voltage + noise, sweep.spike_times),), cell="noisy voltage")


@pytest.fixture(scope="module")
def joint():
    data = cell_of_noise()
    chain = (Passive(), Likelihood(voltage=Voltage()), Refractory(Likelihood(starts=1, steps=30, voltage=Voltage())))
    return data, run_stages(Problem(data, ALIF, DT), chain)


def seen(kind=ALIF, how=None):
    p = problem(known(6_000.0), kind)
    return p, select_voltage_samples(p, p.everything, how or Voltage())


def test_spikes_and_what_follows_them_are_not_watched():
    p, (sweep,) = seen(how=Voltage(every=1.0, before=3.0, after=10.0))
    times = (np.flatnonzero(sweep.compared) + 1) * DT
    apart = times[:, None] - p.recording[0].spike_times
    assert not ((apart > -2.5) & (apart < 9.5)).any()
    assert ((sweep.compared > 0).sum() * 1.0) > 0.5 * p.recording.duration - 13.0 * len(p.recording[0].spike_times)


def test_a_sample_follows_another_only_within_a_stretch():
    _, (sweep,) = seen()
    every = round(1.0 / DT)
    follows = np.flatnonzero(sweep.compared == 2)
    assert (sweep.compared[follows - every] > 0).all()
    assert not any(sweep.spikes[k - every : k].any() for k in follows)


def test_the_voltage_is_that_at_the_end_of_a_step():
    """Of a slope of 1 mV/ms recorded at 0.1 ms; a sample is taken after the step of its current."""
    ramp = 0.1 * np.arange(1, 20_001) - 90.0
    for dt, samples in ((0.5, 5), (0.4, 4), (0.1, 1)):
        p = Problem(Recording.of(np.ones(20_000), 0.1, ramp, spike_times=[]), ALIF, dt)
        (sweep,) = select_voltage_samples(p, p.everything, Voltage(every=dt))
        found = sweep.compared > 0
        first = len(sweep.spikes) - 20_000 // samples
        expected = (np.arange(len(sweep.spikes)) - first + 1) * dt - 90.0
        np.testing.assert_allclose(sweep.voltage[found], expected[found], atol=1e-9)
        assert found.sum() >= 20_000 // samples - 2


def test_replayed_voltage_of_the_true_cell_is_the_recorded_one():
    """The neuron that made the data, its spikes replayed, misses nothing."""
    _, sweeps = seen()
    free = FreeParameters.of(ALIF, smooth_only=True)
    (errors,) = Replay(free, KNOWN, DT).misses(free.to_vector(KNOWN), sweeps)
    assert np.isfinite(errors).sum() > 1000
    assert np.nanmax(np.abs(errors)) < 1e-9


@pytest.mark.parametrize("kind", [LIF, ALIF, GIF, AGIF], ids=lambda k: k.__name__)
def test_slopes_of_the_joint_likelihood_are_those_of_its_value(kind):
    p, sweeps = seen(kind)
    free, cell = FreeParameters.of(kind, smooth_only=True), begun(p).neuron
    replay = Replay(free, cell, DT, Noise(0.8, 2.0, 0.3))
    z, eye = free.to_vector(cell), np.eye(len(free.names))
    h = 1e-5
    slopes = [(replay.value(z + h * e, sweeps) - replay.value(z - h * e, sweeps)) / (2 * h) for e in eye]
    at = replay.information(z, sweeps)
    assert at.value == pytest.approx(replay.value(z, sweeps), rel=1e-11)
    np.testing.assert_allclose(at.gradient, slopes, rtol=2e-5, atol=2e-4 * np.abs(slopes).max())


def test_its_information_is_that_of_spikes_and_of_the_errors_slopes():
    """Gauss-Newton by hand: the errors' derivatives by differences."""
    _, sweeps = seen()
    free, cell = FreeParameters.of(ALIF, smooth_only=True), KNOWN
    noise = Noise(0.7, 1.5)
    z, eye, h = free.to_vector(cell), np.eye(len(free.names)), 1e-5
    spikes = Replay(free, cell, DT)
    miss = lambda q: spikes.misses(q, sweeps)[0]  # noqa: E731
    slopes = np.array([(miss(z + h * e) - miss(z - h * e)) / (2 * h) for e in eye])
    (sweep,) = sweeps
    first = np.flatnonzero((sweep.compared == 1) & (sweep.use > 0))
    next_ = np.flatnonzero((sweep.compared == 2) & (sweep.use > 0))
    rows = np.hstack(
        [slopes[:, next_] - 0.7 * slopes[:, next_ - 2], np.sqrt(1 - 0.7**2) * slopes[:, first]]
    ) / (1.5 * np.sqrt(1 - 0.7**2))  # fmt: skip
    expected = spikes.information(z, sweeps).fisher + rows @ rows.T
    found = Replay(free, cell, DT, noise).information(z, sweeps).fisher
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())


def test_noise_is_measured_as_it_was_made():
    data = cell_of_noise(tau=8.0, spread=1.5, duration=40_000.0)
    p = Problem(data, ALIF, DT)
    sweeps = select_voltage_samples(p, p.everything, Voltage())
    found, thinned = (
        estimate_voltage_noise(FreeParameters.of(ALIF, smooth_only=True), CELL, DT, sweeps, Voltage(noise=n))
        for n in ("ar", "thinned")
    )
    alike = np.exp(-1 / 8.0)
    assert found.keep == pytest.approx(alike, abs=0.01)
    assert found.spread == pytest.approx(1.5, rel=0.06)
    assert found.weight == 1.0
    assert thinned.keep == 0.0
    assert thinned.spread == pytest.approx(1.5, rel=0.06)
    assert thinned.weight == pytest.approx((1 - alike) / (1 + alike), rel=0.1)


def test_a_cell_comes_back_in_mV_within_its_standard_errors(joint):
    _, fit = joint
    assert fit.neuron.t_ref == CELL.t_ref
    errors = fit.likelihood.standard_errors
    off = {n: (getattr(fit.neuron, n) - getattr(CELL, n)) / errors[n] for n in SCALE}
    assert all(abs(x) < 3.0 for x in off.values()), off
    assert errors["E_L"] < 1.0
    assert errors["C"] < 0.1 * CELL.C
    assert errors["g"] < 0.1 * CELL.g
    assert fit.voltage.explained > 0.7


def test_spikes_alone_leave_the_scale_open_and_intervals_say_so(joint):
    data, fit = joint
    alone = run_stages(Problem(data, ALIF, DT), (Passive(), Likelihood(starts=1)))
    assert alone.likelihood.standard_errors["E_L"] > 20.0
    assert set(Surface.of(alone, data).held) == {"E_L", "theta"}
    assert "spikes alone fix no mV" in ef.intervals(alone, data, "fisher").intervals.scale
    found = ef.intervals(fit, data, "fisher").intervals
    assert found.scale == ""
    assert not found.held
    low, high = found.parameters["E_L"]
    assert low < fit.neuron.E_L < high
    assert high - low < 2.0


@pytest.mark.parametrize(("noise", "least"), [("ar", 0.4), ("thinned", 0.1)])
def test_standard_errors_hold_over_cells(noise, least):
    """Errors in standard errors, of six recordings: their mean square is about 1, less where errors are thinned."""
    off = []
    for seed in range(6):
        data = cell_of_noise(seed, duration=8_000.0)
        p = Problem(data, ALIF, DT)
        start, how = p.start().replace(t_ref=CELL.t_ref), Voltage(noise=noise)
        fit = run_stages(p, (Passive(t_ref=False), Likelihood(starts=1, voltage=how)), start=start)
        errors = fit.likelihood.standard_errors
        off += [(getattr(fit.neuron, n) - getattr(CELL, n)) / errors[n] for n in ("C", "g", "E_L", "V_reset")]
    assert least < np.mean(np.square(off)) < 2.2


def test_a_saved_fit_keeps_what_its_intervals_need(joint, tmp_path):
    data, fit = joint
    loaded = ef.Fit.load(fit.save(tmp_path / "fit.json"))
    assert loaded.voltage == fit.voltage
    assert ef.intervals(loaded, data, "fisher").intervals.scale == ""


def test_what_cannot_be_compared_is_refused():
    p = problem(known(6_000.0), AIGIF)
    with pytest.raises(FitError, match="AIGIF has no membrane potential in mV"):
        Likelihood(voltage=Voltage())(p, begun(p))
    p = problem(spikes_only(6_000.0), ALIF)
    with pytest.raises(FitError, match="no sweep has a recorded voltage"):
        Likelihood(voltage=Voltage())(p, begun(p))
    with pytest.raises(SimulationError, match="no state V in mV"):
        Replay(FreeParameters.of(AIGIF, smooth_only=True), AIGIF.start(), DT, Noise(0.5, 1.0))
    with pytest.raises(FitError, match="give a number above 0"):
        Voltage(weight=0.0)
    with pytest.raises(FitError, match="thinned"):
        Voltage(noise="white")
    q = problem(known(6_000.0), ALIF)
    with pytest.raises(FitError, match="samples of the voltage lie away from spikes"):
        Likelihood(voltage=Voltage(after=1e5))(q, begun(q))


def test_sweeps_without_voltage_count_by_their_spikes():
    (sweep,) = known(6_000.0)
    bare = Sweep(sweep.current, DT, None, sweep.spike_times)
    p = Problem(Recording((sweep, bare), cell="half"), LIF, DT)
    found = Likelihood(starts=1, voltage=Voltage())(p, begun(p))
    assert np.isfinite(found.train)
    assert found.reports.of(LikelihoodReport).voltage.samples < p.recording.duration / 2


def test_the_default_chain_with_a_voltage_reads_the_refractory_period_off_it_and_searches_nothing():
    chain = default_stages(ALIF, Likelihood(voltage=Voltage(), drift=1))
    assert [type(s).__name__ for s in chain] == ["Passive", "Likelihood", "Refractory", "CausalReadout", "VoteReadout"]
    assert chain[2].likelihood.voltage == Voltage()
    assert chain[2].likelihood.drift == 1


@pytest.mark.parametrize("model", ["auto", "AIGIF", "AdEx"])
def test_models_that_no_voltage_helps_are_refused_before_they_are_fitted(model):
    with pytest.raises(FitError, match=r"GIF|likelihood"):
        ef.fit(known(6_000.0), model, likelihood=Likelihood(voltage=Voltage()))


def test_a_voltage_that_is_not_explained_is_told(joint):
    _, fit = joint
    kept = fit.voltage
    assert warn_of_unexplained_voltage(None) == warn_of_unexplained_voltage(replace(kept, explained=0.95)) == ""
    assert "explains 70% of the variance" in warn_of_unexplained_voltage(replace(kept, explained=0.7))
    assert bool(warn_of_unexplained_voltage(kept)) == any("explains" in w for w in fit.warnings)


def test_a_fit_that_went_on_by_spikes_alone_is_no_fit_of_the_voltage():
    """The voltage as a place to begin: what comes of it has the intervals, and the open scale, of spikes alone."""
    data = cell_of_noise(duration=8_000.0)
    begin = Likelihood(starts=1, voltage=Voltage())
    fit = run_stages(Problem(data, ALIF, DT), (Passive(), begin, Likelihood(starts=1)))
    assert fit.history[1].reports.of(LikelihoodReport).voltage
    assert fit.voltage is None
    assert Surface.of(fit, data).noise is None
