"""The definition itself: closed forms, plain floats, replay, escape noise, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import twin_neurons as neurons

from ephysfit.errors import SimulationError
from ephysfit.models import ALIF, LIF, AdLIF
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.reference import integrate
from ephysfit.simulation.surrogate import WINDOWS, Surrogate

CELL = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)


def constant(I: float, steps: int) -> torch.Tensor:
    return torch.full((1, 1, steps), I, dtype=torch.float64)


def noise(trials: int, steps: int, mean: float = 110.0, std: float = 150.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    raw = mean + std * torch.randn(1, trials, steps // 10 + 1, generator=generator, dtype=torch.float64)
    return raw.repeat_interleave(10, -1)[..., :steps].contiguous()


def test_charging_is_the_exponential_at_any_step() -> None:
    """V(t) = E_L + I/g (1 - exp(-t g/C)), exact also at 5 ms steps."""
    for dt in (0.1, 5.0):
        V = sequential(CELL, constant(80.0, 20), dt)[1][0, 0, :, 0]
        t = dt * torch.arange(1, 21, dtype=torch.float64)
        torch.testing.assert_close(V, -70.0 + 16.0 * (1 - torch.exp(-t / 20.0)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("t_ref", [0.0, 2.0, 7.5])
def test_interspike_interval_is_the_textbook_formula(t_ref: float) -> None:
    """t_ref + tau ln((V_inf - V_reset)/(V_inf - theta)), rounded up to whole steps."""
    dt, I = 0.05, 200.0
    spikes = sequential(CELL.replace(t_ref=t_ref), constant(I, 4000), dt)[0][0, 0]
    steps = np.flatnonzero(spikes.numpy())
    free = 20.0 * math.log((-30.0 + 65.0) / (-30.0 + 50.0))
    first = 20.0 * math.log(40.0 / 20.0)
    assert steps[0] + 1 == math.ceil(first / dt)
    assert set(np.diff(steps)) == {math.ceil(free / dt) + round(t_ref / dt)}


def test_below_rheobase_never_a_spike() -> None:
    assert sequential(CELL, constant(99.9, 3000), 0.1)[0].sum() == 0
    assert sequential(CELL, constant(100.5, 3000), 0.1)[0].sum() > 0


def test_threshold_jumps_add_up_and_decay() -> None:
    cell = ALIF.start().replace(d_theta=3.0, tau_a=40.0)
    forced = torch.zeros(1, 1, 100, dtype=torch.bool)
    forced[..., [10, 30, 35]] = True
    h = sequential(cell, constant(0.0, 100), 0.5, forced=forced)[1][0, 0, :, 1]
    for n in (9, 10, 29, 34, 35, 99):
        want = sum(3.0 * math.exp(-0.5 * (n - s) / 40.0) for s in (10, 30, 35) if s <= n)
        assert float(h[n]) == pytest.approx(want, rel=1e-12, abs=1e-12)


def test_voltage_is_held_and_input_discarded_while_refractory() -> None:
    spikes, states, margins = sequential(CELL, constant(1e4, 120), 0.1)
    n = int(torch.nonzero(spikes[0, 0])[0])
    assert states[0, 0, n : n + 21, 0].tolist() == [-65.0] * 21
    assert float(states[0, 0, n + 21, 0]) > -65.0 or bool(spikes[0, 0, n + 21])
    assert margins[0, 0, n + 1 : n + 21].tolist() == [-15.0] * 20


@pytest.mark.parametrize("neuron", [LIF, ALIF, AdLIF, neurons.Running, neurons.Partial, neurons.SoftResonator])
def test_it_is_the_flow_integrated_in_plain_floats(neuron) -> None:
    cell, I = neuron.start().replace(t_ref=1.0), noise(1, 600, mean=260.0, std=250.0)
    spikes, states, margins = sequential(cell, I, 0.1)
    course = integrate(cell, I[0, 0].numpy(), 0.1)
    assert len(course.spikes) > 2
    assert tuple(np.flatnonzero(spikes[0, 0].numpy())) == course.spikes
    for k, name in enumerate(course.states):
        np.testing.assert_allclose(states[0, 0, :, k].numpy(), course.states[name], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(margins[0, 0].numpy(), course.margins, rtol=1e-7, atol=1e-7)


def test_replaying_own_spikes_is_the_free_run() -> None:
    cell, I = AdLIF.start(), noise(3, 700, mean=220.0)
    free = sequential(cell, I, 0.1)
    again = sequential(cell, I, 0.1, forced=free[0] > 0)
    assert free[0].sum() > 3
    assert all(torch.equal(a, b) for a, b in zip(free, again, strict=True))


def test_escape_noise_fires_at_its_hazard() -> None:
    """At a constant margin the train is a Poisson process with dead time: rate 1/(1/hazard + t_ref)."""
    flat = CELL.replace(V_reset=-70.0, delta=10.0, t_ref=3.0)
    hazard = math.exp(-20.0 / 10.0)
    generator = np.random.default_rng(0)
    thresholds = torch.from_numpy(generator.exponential(size=(1, 400, 400)))
    spikes = sequential(flat, constant(0.0, 2000).expand(1, 400, 2000), 0.1, thresholds=thresholds)[0]
    rate = float(spikes.sum()) / (400 * 200.0)
    want = 1 / (1 / hazard + 3.0 + 0.05)
    assert rate == pytest.approx(want, rel=0.03)
    first = np.array([np.flatnonzero(row)[0] for row in spikes[0].numpy() if row.any()]) * 0.1
    assert first.mean() == pytest.approx(1 / hazard, rel=0.12)


def test_integrated_hazard_reaches_the_threshold_when_it_should() -> None:
    flat = CELL.replace(V_reset=-70.0, delta=10.0, t_ref=0.0)
    per_step = 0.1 * math.exp(-2.0)
    spikes = sequential(flat, constant(0.0, 1000), 0.1, thresholds=torch.ones(1, 1, 50, dtype=torch.float64))[0]
    steps = np.flatnonzero(spikes[0, 0].numpy())
    assert set(np.diff(steps)) == {math.ceil(1 / per_step)}
    assert steps[0] + 1 == math.ceil(1 / per_step)


@pytest.mark.parametrize("shape", WINDOWS)
def test_surrogate_windows_have_unit_area_and_given_width(shape: str) -> None:
    u = torch.linspace(-4000, 4000, 800_001, dtype=torch.float64)
    slope = Surrogate(5.0, shape).slope(u)
    assert float(torch.trapezoid(slope, u)) == pytest.approx(1.0, abs=2e-3)
    assert float(slope.max()) == float(slope[len(u) // 2])


def test_surrogates_that_cannot_be_are_refused() -> None:
    with pytest.raises(SimulationError, match="did you mean triangle"):
        Surrogate(1.0, "triangel")
    with pytest.raises(SimulationError, match="must be positive"):
        Surrogate(0.0)


@pytest.mark.slow
def test_gradient_in_the_graph_has_the_size_of_finite_differences_and_the_detached_one_does_not() -> None:
    """Seed models, section 8: mean count by input gain; window as wide as the reset jump; dt 1 and 0.5 ms."""
    cell = neurons.SoftLIF.start().replace(C=90.0, g=6.0, theta=15.0, D=15.0)
    for dt, inflated in ((1.0, 4.0), (0.5, 8.0)):
        generator = torch.Generator().manual_seed(1)
        x = torch.zeros(1, 96, 1)
        OU = []
        for _ in range(round(300 / dt)):
            x = x * math.exp(-dt / 10.0) + math.sqrt(1 - math.exp(-dt / 5.0)) * torch.randn(
                1, 96, 1, generator=generator
            )
            OU.append(x)
        unit = 1.0 + 0.5 * torch.cat(OU, -1).to(torch.float64)

        def count(gain, dt=dt, unit=unit, **options) -> torch.Tensor:
            return sequential(cell, gain * 90.0 * unit, dt, **options)[0].sum() / 96

        with torch.no_grad():
            difference = float(count(1.1) - count(0.9)) / 0.2
        compute_slopes = []
        for detach in (False, True):
            gain = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
            (slope,) = torch.autograd.grad(count(gain, surrogate=Surrogate(15.0), detach=detach), gain)
            compute_slopes.append(float(slope))
        assert 0.75 < compute_slopes[0] / difference < 1.1, (compute_slopes, difference)
        assert compute_slopes[1] / difference > inflated


def test_several_cells_and_trials_are_rows_of_one_run() -> None:
    C = torch.tensor([80.0, 100.0, 130.0], dtype=torch.float64)
    many = sequential(CELL.replace(C=C), noise(2, 300).expand(3, 2, 300), 0.1)[0]
    for k in range(3):
        one: Neuron = CELL.replace(C=float(C[k]))
        assert torch.equal(many[k], sequential(one, noise(2, 300), 0.1)[0][0])
