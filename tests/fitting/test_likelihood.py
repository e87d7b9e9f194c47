"""The likelihood stage: it climbs, starts agree, and what leaves it is finite."""

from dataclasses import replace

import numpy as np
import pytest
from fitting_cells import DT, KNOWN, begun, known, problem, spikes_only, steps

from ephysfit.data.recording import Recording, Sweep
from ephysfit.errors import FitError
from ephysfit.fitting.ascent import OUTMOST, Posterior, ascend
from ephysfit.fitting.chain import default_stages
from ephysfit.fitting.stage import Estimate, Status
from ephysfit.fitting.stage_reports import LikelihoodReport
from ephysfit.fitting.stages.likelihood import Likelihood, drift_ramps, take_part, weight_by_recency
from ephysfit.models import AIGIF, ALIF, LIF, find
from ephysfit.neuron.declare import scalar_values
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Information, Replay

#: what spikes alone determine of a LIF or ALIF cell: not the scale of mV, nor its offset
IDENTIFIED = {
    "tau_m": lambda c: c.C / c.g,
    "rheobase": lambda c: (c.theta - c.E_L) * c.g,
    "softness": lambda c: c.delta / (c.theta - c.E_L),
}


@pytest.fixture(scope="module")
def climbed():
    p = problem(kind=ALIF)
    return p, Likelihood()(p, begun(p))


def test_it_ends_higher_than_the_truth(climbed):
    """The maximum of the likelihood lies above the value at the parameters that made the data."""
    p, found = climbed
    free = FreeParameters.of(ALIF, smooth_only=True)
    truth = -Replay(free, KNOWN, DT).value(free.to_vector(KNOWN), p.everything) / p.n_spikes
    assert found.train < truth
    assert found.train > truth - 0.15


def test_losses_are_the_likelihood_per_spike(climbed):
    p, found = climbed
    free = FreeParameters.of(ALIF, smooth_only=True)
    replay, z = Replay(free, found.neuron, DT), free.to_vector(found.neuron)
    assert found.train == pytest.approx(-replay.value(z, p.everything) / p.n_spikes, rel=1e-9)
    count = sum(s.n_spikes for s in p.validate)
    assert found.validation == pytest.approx(-replay.value(z, p.validate) / count, rel=1e-9)


def test_the_gradient_vanishes_at_the_top(climbed):
    p, found = climbed
    free = FreeParameters.of(ALIF, smooth_only=True)
    z = free.to_vector(found.neuron)
    target = Posterior(Replay(free, found.neuron, DT), p.everything, 1e-3, free.place(begun(p).neuron))
    at = target.information(z)
    expected_gain = 0.5 * at.gradient @ np.linalg.pinv(at.fisher, hermitian=True) @ at.gradient
    assert expected_gain < 0.5  # nats; a tenth of what separates neighbouring models


def test_the_posterior_has_the_gradient_of_its_value(climbed):
    p, found = climbed
    free = FreeParameters.of(ALIF, smooth_only=True)
    z = free.to_vector(KNOWN)
    slow = [replace(s, slow=drift_ramps(len(s.spikes), 2)) for s in p.everything]
    target = Posterior(Replay(free, KNOWN, DT), slow, 0.05, free.place(found.neuron), drift=2)
    q = np.append(z, [0.3, -0.2])
    h, eye = 1e-5, np.eye(len(q))
    slopes = [(target.value(q + h * e) - target.value(q - h * e)) / (2 * h) for e in eye]
    np.testing.assert_allclose(target.information(q).gradient, slopes, rtol=1e-4, atol=1e-3)


def test_two_seeds_find_the_same_optimum():
    p, q = problem(seed=1), problem(seed=2)
    one, two = Likelihood(starts=2)(p, begun(p)), Likelihood(starts=2)(q, begun(q))
    assert one.train == pytest.approx(two.train, abs=2e-3)
    for name, read in IDENTIFIED.items():
        assert read(one.neuron) == pytest.approx(read(two.neuron), rel=0.03), name


def test_named_parameters_alone_move():
    p = problem()
    before = begun(p)
    after = Likelihood(names=("theta", "delta"), starts=1)(p, before)
    moved = {n for n, v in scalar_values(after.neuron).items() if v != scalar_values(before.neuron)[n]}
    assert moved == {"theta", "delta"}
    assert set(after.reports.of(LikelihoodReport).standard_errors) == {"theta", "delta"}


def test_standard_errors_shrink_with_the_root_of_the_data():
    sizes = []
    for duration in (8_000.0, 32_000.0):
        p = problem(spikes_only(duration))
        after = Likelihood(names=("theta",), starts=1)(p, Estimate(LIF(**_shared(KNOWN))))
        sizes.append(after.reports.of(LikelihoodReport).standard_errors["theta"])
    assert sizes[0] / sizes[1] == pytest.approx(2.0, rel=0.25)


def _shared(cell):
    return {n: getattr(cell, n) for n in LIF.parameters}


def test_drift_finds_a_log_rate_that_moves():
    """A rate that doubles over the recording is a drift of -log 2 at its beginning."""
    rng = np.random.default_rng(3)
    t = np.arange(0.0, 40_000.0, DT)
    rate = 0.010 * 2.0 ** (t / t[-1])  # per ms
    times = t[rng.random(len(t)) < rate * DT] + DT / 2
    flat = Recording.of(np.random.default_rng(4).normal(0.0, 1.0, len(t)), DT, spike_times=times)
    p = problem(flat)
    start = LIF(C=100.0, g=5.0, E_L=-65.0, theta=-55.0, V_reset=-65.0, t_ref=0.0, delta=2.5)
    found = Likelihood(names=("theta",), drift=1, starts=1)(p, Estimate(start))
    # the weight multiplies a ramp from -1 to 0
    assert found.reports.of(LikelihoodReport).drift == pytest.approx([np.log(2.0)], abs=0.35)


@pytest.mark.parametrize(("change", "kept"), [(np.log(3.0), True), (0.0, False)])
def test_a_drift_that_is_looked_for_is_kept_where_the_data_show_it(change, kept):
    """Spikes of a cell that stands still; then thinned towards the end, to a third of its rate."""
    (sweep,) = known(24_000.0)
    times, rng = sweep.spike_times, np.random.default_rng(2)
    stay = rng.uniform(size=times.size) < np.exp(-change * times / 24_000.0)
    data = Recording((Sweep(sweep.current, DT, None, times[stay]),), cell="drifting")
    p = problem(data)
    found = Likelihood(names=("theta", "delta"), starts=1, drift=None)(p, begun(p))
    assert bool(found.reports.of(LikelihoodReport).drift) is kept
    if kept:
        assert -1.8 * change < found.reports.of(LikelihoodReport).drift[0] < -0.6 * change


def test_steps_have_no_drift_that_is_looked_for():
    p = problem(steps(), LIF)
    assert Likelihood(names=("theta",), starts=1, drift=None)(p, begun(p)).reports.of(LikelihoodReport).drift == ()


def test_drifts_are_ramps_that_end_at_zero():
    ramps = drift_ramps(101, 2)
    assert ramps.shape == (101, 2)
    assert not ramps[-1].any()
    np.testing.assert_allclose(ramps[0], -1.0)
    np.testing.assert_allclose(ramps[50], [0.0, -1.0], atol=1e-12)
    assert drift_ramps(10, 0) is None


@pytest.mark.parametrize("kind", [LIF, AIGIF], ids=lambda k: k.__name__)
@pytest.mark.parametrize("scale", [1e-3, 1e3], ids=["tiny current", "huge current"])
def test_no_nan_leaves_the_stage(kind, scale):
    """Currents that make the declared starts absurd (silent for ever, or firing always)."""
    (sweep,) = known(6_000.0)
    p = problem(Recording.of(sweep.current * scale, DT, spike_times=sweep.spike_times), kind)
    found = Likelihood(starts=2, steps=8, trial=4, first=3)(p, begun(p))
    assert all(np.isfinite(v) for v in scalar_values(found.neuron).values())
    assert np.isfinite(found.train) or found.status is Status.DIVERGED


def test_short_sweeps_of_steps_fit():
    p = problem(steps())
    before = begun(p)
    free = FreeParameters.of(LIF, smooth_only=True)
    at_start = -Replay(free, before.neuron, DT).value(free.to_vector(before.neuron), p.everything) / p.n_spikes
    found = Likelihood(starts=1)(p, before)
    assert found.status in (Status.CONVERGED, Status.AT_BOUND)
    assert found.train < at_start - 0.1


def test_an_information_that_overflows_ends_the_ascent_and_not_the_fit():
    """Of an upstroke neuron far from the data the slopes overflow (Izhikevich on a raphe cell did)."""
    calls = []

    class Overflowing:
        def information(self, z):
            calls.append(z)
            big = np.inf if len(calls) == bad else 1.0
            return Information(-1.0 / len(calls), np.ones(1), np.full((1, 1), big))

        def value(self, z):
            return -0.1

    for bad, status in ((1, Status.DIVERGED), (2, Status.STEPS_USED)):
        calls.clear()
        found = ascend(Overflowing(), np.zeros(1), steps=5, tolerance=0.01)
        assert found.status is status
        assert np.isfinite(found.information.fisher).all()
        assert (found.value == -np.inf) == (bad == 1)


@pytest.mark.parametrize("name", ["AdEx", "EIF", "Izhikevich", "Izhikevich2003"])
def test_a_neuron_whose_likelihood_is_no_guide_is_searched(name):
    kind = find(name)
    assert "too narrow" in kind.searched
    assert [type(s).__name__ for s in default_stages(kind)] == ["Passive", "Search", "Softness"]


def test_recent_data_weigh_more_across_sweeps():
    p = problem(steps(3), LIF)
    plain, weighted = p.everything, weight_by_recency(p.everything, 300.0, DT)
    counts = [s.use > 0 for s in plain]
    assert all(np.array_equal(w.use > 0, c) for w, c in zip(weighted, counts, strict=True))
    assert weighted[-1].use.max() == 1.0
    whole = np.concatenate([w.use[c] for w, c in zip(weighted, counts, strict=True)])
    back = round(300.0 / DT)
    assert whole[-1 - back] == pytest.approx(0.5)
    assert whole[-1 - 2 * back] == pytest.approx(0.25)
    assert all(a is b for a, b in zip(weight_by_recency(plain, None, DT), plain, strict=True))


def test_a_fit_of_recent_data_is_of_the_cell_as_it_was_last():
    """A Poisson cell whose rate doubles: the fitted rate is nearer that of the end."""
    rng = np.random.default_rng(3)
    t = np.arange(0.0, 40_000.0, DT)
    times = t[rng.random(len(t)) < 0.010 * 2.0 ** (t / t[-1]) * DT] + DT / 2
    p = problem(Recording.of(np.random.default_rng(4).normal(0.0, 1.0, len(t)), DT, spike_times=times))
    start = LIF(C=100.0, g=5.0, E_L=-65.0, theta=-55.0, V_reset=-65.0, t_ref=0.0, delta=2.5)
    rate = lambda c: 1e3 * np.exp((c.E_L - c.theta) / c.delta)  # noqa: E731
    found = [Likelihood(names=("theta",), starts=1, recent=r)(p, Estimate(start)).neuron for r in (None, 6_000.0)]
    assert rate(found[0]) < 16.0 < rate(found[1])


def test_a_half_life_is_a_time():
    with pytest.raises(FitError, match="a half-life is a time above 0 ms"):
        Likelihood(recent=0.0)


class Hill:
    """A quadratic whose top lies outside the bounds of its first coordinate."""

    top = np.array([30.0, 1.5, -20.0])
    fisher = np.array([[2.0, 0.1, 0.3], [0.1, 1.0, 0.2], [0.3, 0.2, 1.0]])

    def information(self, z):
        off = self.top - z
        return Information(-0.5 * float(off @ self.fisher @ off), self.fisher @ off, self.fisher)

    def value(self, z):
        return self.information(z).value


def test_a_coordinate_that_is_drawn_out_stays_at_its_bound_and_the_others_reach_their_top():
    found = ascend(Hill(), np.zeros(3), steps=200, tolerance=1e-6, bounded=2)
    z = found.z
    assert z[0] == OUTMOST
    assert z[2] < -OUTMOST
    # with the first one held, the best place of the others: a linear system of their own
    rest = Hill.fisher[1:, 1:]
    best = Hill.top[1:] + np.linalg.solve(rest, Hill.fisher[1:, 0] * (30.0 - OUTMOST))
    np.testing.assert_allclose(z[1:], best, atol=1e-2)  # the last has no bounds
    assert found.status is Status.CONVERGED


def test_part_of_the_data_is_part_of_each_protocol_and_enough_or_all():
    p = problem(kind=ALIF)
    (whole,) = p.everything
    (part,) = take_part([whole])
    assert len(part.spikes) == len(whole.spikes) // 3
    assert part.current.shape[0] == part.use.shape[0] == len(part.spikes)
    few = [replace(whole, spikes=np.zeros_like(whole.spikes))]
    assert take_part(few) is few
    assert len(take_part([whole] * 7)) == 2
