"""Free runs begin as those of a fit do, and no fit that is wrong on its own training data passes in silence."""

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.data.holding_current import LEAD
from ephysfit.data.recording import Recording, Sweep
from ephysfit.fitting.chain import run_stages
from ephysfit.fitting.free_run.evaluation import FreeRunEvaluation
from ephysfit.fitting.free_run.free_runs import FreeRuns
from ephysfit.fitting.free_run.losses import Coincidence, KernelScore, VanRossum
from ephysfit.fitting.predictive_check import SpikeCounts, count_spikes
from ephysfit.fitting.stage import Estimate, Problem, Stage, Status
from ephysfit.fitting.stages.search import Search
from ephysfit.fitting.stages.softness import Softness
from ephysfit.models import find
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.simulate import simulate

DT = 0.5
AMPLITUDES = np.arange(-50.0, 401.0, 50.0)


def steps(cell, hold=-30.0):
    """A cell's answers to steps of 400 ms from a holding level, its own noise-free runs."""
    sweeps = []
    for amplitude in AMPLITUDES:
        current = np.full(1200, hold)
        current[200:1000] += amplitude
        times = simulate(cell, [current], dt=DT, settle=LEAD).spike_times[0][0]
        sweeps.append(Sweep(current, DT, None, times, name=f"step {amplitude:g}"))
    return Recording(tuple(sweeps), cell="stepped")


@pytest.fixture(scope="module")
def adex():
    return find("AdEx").start().replace(a=4.0, b=60.0, tau_w=150.0, E_L=-62.0)


@pytest.fixture(scope="module")
def stepped(adex):
    data = steps(adex)
    counts = [len(s.spike_times) for s in data.sweeps]
    assert counts[0] == 0
    assert counts[-1] >= 5
    return data


def test_free_runs_begin_as_simulations_of_a_fit_do(adex, stepped):
    """Spike for spike, holding level and run-up included."""
    problem = Problem(stepped, type(adex), DT)
    found = dict(FreeRuns(problem, 0).simulate_sweeps(adex))
    asked = simulate(adex, [s.current for s in stepped.sweeps], dt=DT, settle=LEAD).spike_times
    for k, runs in enumerate(asked):
        np.testing.assert_allclose(found[k][0][0], runs[0], atol=1e-9)
    cold = simulate(adex, [s.current for s in stepped.sweeps], dt=DT).spike_times
    assert any(len(a[0]) != len(b[0]) or not np.allclose(a[0], b[0]) for a, b in zip(asked, cold, strict=True))


def test_sweeps_with_and_without_a_holding_level_go_together(adex):
    noise = np.random.default_rng(0).normal(80, 120, 1200)
    data = Recording((*steps(adex).sweeps, Sweep(noise, DT, None, [100.0, 200.0], name="noise")), cell="both")
    problem = Problem(data, type(adex), DT)
    assert len(problem.run_up(0)) == round(LEAD / DT)
    assert len(problem.run_up(len(data) - 1)) == 0
    found = dict(FreeRuns(problem, 0).simulate_sweeps(adex))
    np.testing.assert_allclose(found[len(data) - 1][0][0], simulate(adex, [noise], dt=DT).spike_times[0][0], atol=1e-9)


@pytest.mark.parametrize("loss", [Coincidence(), KernelScore(), VanRossum()])
def test_a_spike_where_the_cell_was_silent_costs(loss):
    silent, fires = (loss(np.empty(0), [np.asarray(t)], 600.0) for t in ([], [100.0, 200.0, 300.0]))
    assert np.isfinite([silent, fires]).all()
    assert fires > silent + 0.1


def test_silent_sweeps_weigh_in_a_search(adex, stepped):
    """A cell that fires at every level is worse on the training data than one that fires where it should."""
    problem, free = Problem(stepped, type(adex), DT), FreeParameters.of(type(adex))
    always = adex.replace(E_L=-40.0)
    z = np.stack([free.to_vector(cell) for cell in (adex, always)])
    silent = [k for k, s in enumerate(stepped.sweeps) if not len(s.spike_times)]
    fired = dict(FreeRuns(problem, 0).simulate_sweeps(always))
    assert all(len(fired[k][0][0]) for k in silent)
    good, bad = FreeRunEvaluation(problem, free, adex, KernelScore(), 0).training_losses(z)
    assert good < bad


def test_counts_are_those_of_the_fits_own_simulation(stepped):
    fit = ef.fit(stepped, "AdEx", stages=(Search(evaluations=64, population=8, noisy=False), Softness()), dt=DT)
    counts = fit.counts
    alone = simulate(fit.neuron, [s.current for s in stepped.sweeps], dt=DT, settle=LEAD).spike_times
    assert counts.noise_free == pytest.approx([len(runs[0]) for runs in alone])
    assert list(counts.recorded) == [len(s.spike_times) for s in stepped.sweeps]
    assert counts.sweeps == tuple(s.name for s in stepped.sweeps)


@pytest.mark.parametrize(
    ("model", "failed", "says"),
    [
        ([0, 0, 5, 9], False, ""),
        ([1, 0, 6, 11], False, ""),
        ([0, 0, 12, 22], True, "fires 34 spikes (its noisy runs), the cell 15"),
        ([0, 0, 1, 2], True, "fires 3 spikes (its noisy runs), the cell 15"),
        (
            [4, 0, 5, 9],
            True,
            "the fit (its noisy runs) fires where the cell was silent ('a': 4 for 0)",
        ),
        (
            [0, 0, 5, 21],
            True,
            "in 1 of 4 training sweeps the fit (its noisy runs) counts wrong by more than a fifth ('d': 21 for 10)",
        ),
        (
            [0, 0, 0, 15],
            True,
            "the fit (its noisy runs) is silent where the cell fired ('c': 0 for 5)",
        ),
    ],
)
def test_what_fails_is_said_with_the_numbers(model, failed, says):
    counts = SpikeCounts(("a", "b", "c", "d"), (0, 0, 5, 10), tuple(map(float, model)), (0, 0, 5, 10), "causal run")
    assert counts.failed is failed
    assert len(counts.warnings()) == bool(says)
    assert all(says in w for w in counts.warnings())


def test_a_fit_that_is_silent_is_not_converged(adex, stepped):
    class Silence(Stage):
        """A stage that leaves the cell far below threshold and finds that well done."""

        name = "silence"

        def improve(self, problem, estimate):
            return Estimate(estimate.neuron.replace(V_T=-25.0, E_L=-85.0, g=20.0), status=Status.CONVERGED)

    fit = run_stages(Problem(stepped, type(adex), DT), (Silence(),))
    assert fit.status is Status.MISSES
    assert any("does not describe the cell's rate" in w for w in fit.warnings)


def test_softness_keeps_the_rate_of_noisy_runs(adex, stepped):
    """At the softness of the declaration noisy runs of this cell fire far too often."""
    problem = Problem(stepped, type(adex), DT)
    soft = adex.replace(delta=20.0)
    before = count_spikes(problem, soft, None)
    after = count_spikes(problem, Softness()(problem, Estimate(soft)).neuron, None)
    total = sum(before.recorded)
    assert sum(before.noisy) > 2 * total
    assert abs(sum(after.noisy) - total) < 0.5 * total
    assert after.noise_free == before.noise_free


def test_adex_is_found_on_steps(stepped):
    fit = ef.fit(stepped, "AdEx", dt=DT)
    counts = fit.counts
    assert fit.status in (Status.CONVERGED, Status.AT_BOUND)
    assert np.abs(np.subtract(counts.noise_free, counts.recorded)).mean() < 1.0
    assert [h.stage for h in fit.history] == ["passive", "search", "softness"]
