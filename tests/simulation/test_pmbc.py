"""Seed 001's engine: passes, refusals, gradient. Spike equality is in test_twins."""

from __future__ import annotations

import pytest
import torch
import twin_neurons as neurons

from ephysfit.errors import NotAffineError, SimulationError
from ephysfit.models import LIF
from ephysfit.simulation.engines.affine_blocks import compute_run_end
from ephysfit.simulation.engines.pmbc import passes, pmbc
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.surrogate import Surrogate

DT = 0.1


def current(trials: int, steps: int, mean: float = 160.0, std: float = 260.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    raw = mean + std * torch.randn(1, trials, steps // 10 + 1, generator=generator, dtype=torch.float64)
    return raw.repeat_interleave(10, -1)[..., :steps].contiguous()


@pytest.mark.parametrize("t_ref", [0.0, 2.0])
@pytest.mark.parametrize("neuron", [neurons.SoftLIF, neurons.SoftALIF])
def test_at_most_one_pass_a_spike_and_one_more(neuron, t_ref: float) -> None:
    """The bound of Gauss-Seidel order for kernels of one sign, row by row."""
    cell, I = neuron.start().replace(t_ref=t_ref), current(12, 1500)
    count, fired = passes(cell, I, DT)
    spikes = fired.sum(-1)
    assert spikes.max() > 5
    assert bool((count <= spikes + 1).all())
    assert bool((count >= 1).all())


def test_tonic_drive_attains_the_bound() -> None:
    cell, I = neurons.SoftLIF.start(), torch.full((1, 1, 3000), 300.0, dtype=torch.float64)
    count, fired = passes(cell, I, DT)
    assert int(fired.sum()) > 20
    assert int(count) >= int(fired.sum())


def test_kernels_of_both_signs_stay_exact_and_finish() -> None:
    cell, I = neurons.SoftResonator.start().replace(a=120.0, tau_w=15.0), current(6, 1500, mean=250.0)
    count, fired = passes(cell, I, DT)
    assert torch.equal(fired.to(torch.float64), sequential(cell, I, DT)[0])
    assert bool((count <= 4 * fired.sum(-1) + 4).all())


def test_silence_takes_one_pass() -> None:
    count, fired = passes(neurons.SoftLIF.start(), torch.zeros(1, 3, 400, dtype=torch.float64), DT)
    assert not fired.any()
    assert count.tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("neuron", [neurons.SoftALIF, neurons.SoftResonator])
def test_gradient_is_that_of_the_definition_with_the_reset_detached(neuron) -> None:
    I, got = current(2, 250).requires_grad_(), []
    for engine in (sequential, pmbc):
        cell = neuron.start().replace(t_ref=0.5)
        free = {
            k: torch.tensor([v], dtype=torch.float64, requires_grad=True)
            for k, v in cell.values().items()
            if k in ("C", "g", "D", "theta")
        }
        spikes, states, margins = engine(cell.replace(**free), I, DT, surrogate=Surrogate(10.0), detach=True)
        loss = (spikes * torch.linspace(0, 1, 250)).sum() + states.tanh().sum() + margins.tanh().sum()
        got.append(torch.autograd.grad(loss, [*free.values(), I]))
    for want, have in zip(*got, strict=True):
        torch.testing.assert_close(have, want, rtol=1e-8, atol=1e-10)


def test_start_and_hold_are_taken_up() -> None:
    cell, I = neurons.SoftALIF.start().replace(t_ref=4.0), current(3, 600) + 200
    whole = pmbc(cell, I, DT)
    for cut in (3, 250, 599):
        first = pmbc(cell, I[..., :cut], DT)
        second = pmbc(cell, I[..., cut:], DT, start=compute_run_end(cell, DT, first[0], first[1]))
        assert torch.equal(torch.cat([first[0], second[0]], -1), whole[0])


def test_hard_resets_are_refused_with_the_reason() -> None:
    with pytest.raises(SimulationError, match=r"V jumps to V_reset.*engine='blocks'"):
        pmbc(LIF.start(), current(1, 50), DT)


def test_states_held_while_refractory_are_refused() -> None:
    held = neurons.SoftLIF.pin("HeldSoft", g=6.0)
    held.hold = ("V",)
    with pytest.raises(SimulationError, match="holds V while refractory"):
        pmbc(held.start().replace(t_ref=2.0), current(1, 50), DT)
    assert pmbc(held.start().replace(t_ref=0.0), current(1, 50), DT)[0].shape == (1, 1, 50)


def test_growth_without_spikes_is_refused() -> None:
    with pytest.raises(SimulationError, match="grows by a factor"):
        pmbc(neurons.SoftResonator.start().replace(a=-20.0), current(1, 50), DT)


def test_not_affine_is_refused() -> None:
    with pytest.raises(NotAffineError):
        pmbc(neurons.Exponential.start(), current(1, 50), DT)


def test_reset_in_the_graph_is_refused() -> None:
    with pytest.raises(SimulationError, match=r"adjoint\.run"):
        pmbc(neurons.SoftLIF.start(), current(1, 50), DT, surrogate=Surrogate(), detach=False)
