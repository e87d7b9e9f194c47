"""Seed 002's engine: padding, equivalences, gradient, refusals. Spike equality is in test_twins."""

from __future__ import annotations

import pytest
import torch
import twin_neurons as neurons

from ephysfit.errors import SimulationError
from ephysfit.models import LIF
from ephysfit.neuron.affine import operators
from ephysfit.simulation.engines.affine_blocks import compute_run_end, set_up
from ephysfit.simulation.engines.decoupled import decoupled
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.engines.soft_reset import potential_by_fft, potential_by_scan
from ephysfit.simulation.surrogate import Surrogate

DT = 0.1


def current(trials: int, steps: int, mean: float = 160.0, std: float = 260.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    raw = mean + std * torch.randn(1, trials, steps // 10 + 1, generator=generator, dtype=torch.float64)
    return raw.repeat_interleave(10, -1)[..., :steps].contiguous()


@pytest.mark.parametrize("neuron", [neurons.SoftALIF, neurons.Resonate])
def test_fft_and_scan_give_the_potential_of_a_neuron_that_never_jumps(neuron) -> None:
    """The definition with all spikes forced away is the oracle."""
    cell, I = neuron.start(), current(2, 1200)
    want = sequential(cell, I, DT, forced=torch.zeros(1, 2, 1200, dtype=torch.bool))[2]
    setup = set_up(cell, I, DT, "decoupled")
    torch.testing.assert_close(potential_by_fft(setup), want, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(potential_by_scan(setup), want, rtol=1e-10, atol=1e-10)


def test_without_padding_the_end_leaks_into_the_beginning() -> None:
    """The published, circular form: the reason for padding to twice the length, kept as a test of the oracle."""
    cell, I = neurons.SoftLIF.start().replace(C=800.0), current(4, 1000, mean=300.0)
    setup = set_up(cell, I, DT, "decoupled")
    padded = potential_by_fft(setup)
    op = setup.op
    kernel = torch.stack(
        [(op.margin[0] @ torch.linalg.matrix_power(op.free[0], k) @ op.drive[0])[0] for k in range(1000)]
    )
    circular = torch.fft.irfft(torch.fft.rfft(kernel) * torch.fft.rfft(I[0]), 1000) - cell.theta
    assert (circular[:, 0] - padded[0, :, 0]).abs().max() > 5.0
    assert (circular[:, -1] - padded[0, :, -1]).abs().max() < 1e-6


def test_soft_reset_lif_is_a_leaky_integrator_with_a_decaying_threshold() -> None:
    """Section 3a: same spikes as no reset and a threshold that jumps by D and decays with the *membrane's* factor."""
    cell, I = neurons.SoftLIF.start(), current(3, 2000)
    spikes = decoupled(cell, I, DT)[0]
    op = operators(cell, DT)
    beta, gain = float(op.free[0, 0, 0]), float(op.drive[0, 0, 0])
    for row, train in zip(I[0].numpy(), spikes[0].numpy(), strict=True):
        u = A = 0.0
        for t, c in enumerate(row):
            u, A = beta * u + gain * c, beta * A
            s = u >= cell.theta + A
            assert s == bool(train[t])
            A += cell.D * s


@pytest.mark.parametrize("neuron", [neurons.SoftALIF, neurons.SoftResonator, neurons.Resonate])
def test_gradient_is_that_of_the_definition_with_the_reset_detached(neuron) -> None:
    I, got = current(2, 250).requires_grad_(), []
    for engine in (sequential, decoupled):
        cell = neuron.start()
        free = {
            k: torch.tensor([v], dtype=torch.float64, requires_grad=True)
            for k, v in cell.values().items()
            if isinstance(v, float)
        }
        if "t_ref" in free:
            free["t_ref"] = torch.tensor([0.5], dtype=torch.float64)
        spikes, states, margins = engine(cell.replace(**free), I, DT, surrogate=Surrogate(10.0), detach=True)
        loss = (spikes * torch.linspace(0, 1, 250)).sum() + states.tanh().sum() + margins.tanh().sum()
        got.append(torch.autograd.grad(loss, [v for v in free.values() if v.requires_grad] + [I]))
    for want, have in zip(*got, strict=True):
        torch.testing.assert_close(have, want, rtol=1e-8, atol=1e-10)


def test_start_and_hold_are_taken_up() -> None:
    cell, I = neurons.SoftResonator.start().replace(t_ref=4.0), current(3, 600) + 200
    whole = decoupled(cell, I, DT)
    for cut in (3, 250, 599):
        first = decoupled(cell, I[..., :cut], DT)
        second = decoupled(cell, I[..., cut:], DT, start=compute_run_end(cell, DT, first[0], first[1]))
        assert torch.equal(torch.cat([first[0], second[0]], -1), whole[0])


def test_refusals() -> None:
    I = current(1, 50)
    with pytest.raises(SimulationError, match="did you mean fft"):
        decoupled(neurons.SoftLIF.start(), I, DT, method="ftt")
    with pytest.raises(SimulationError, match="V jumps to V_reset"):
        decoupled(LIF.start(), I, DT)
    with pytest.raises(SimulationError, match=r"adjoint\.run"):
        decoupled(neurons.SoftLIF.start(), I, DT, surrogate=Surrogate(), detach=False)


@pytest.mark.slow
def test_long_slow_and_strongly_driven_records_keep_their_spikes() -> None:
    """The no-reset potential runs far from threshold here; float64 and padding keep every spike."""
    cell = neurons.SoftLIF.start().replace(C=2000.0, g=1.0)
    I = current(1, 20_000, mean=3000.0, std=2000.0)
    want = sequential(cell, I, DT)[0]
    assert want.sum() > 150
    for method in ("fft", "scan"):
        assert torch.equal(decoupled(cell, I, DT, method=method)[0], want)
