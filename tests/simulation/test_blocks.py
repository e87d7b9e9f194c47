"""Seed 000's engine: gradient, streaming, cost, refusals. Spike equality is in test_twins."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
import twin_neurons as neurons

from ephysfit.errors import NotAffineError, SimulationError
from ephysfit.models import ALIF, LIF, AdLIF
from ephysfit.simulation.engines.affine_blocks import Start, compute_run_end
from ephysfit.simulation.engines.blocks import blocks
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.surrogate import Surrogate

DT = 0.1


def current(cells: int, trials: int, steps: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    raw = 160 + 260 * torch.randn(cells, trials, steps // 10 + 1, generator=generator, dtype=torch.float64)
    return raw.repeat_interleave(10, -1)[..., :steps].contiguous()


def leaves(neuron, t_ref):
    cell = neuron.start().replace(t_ref=t_ref)
    values = {
        k: torch.tensor([v, 1.05 * v], dtype=torch.float64, requires_grad=k != "t_ref")
        for k, v in cell.values().items()
        if not hasattr(v, "map")
    }
    return cell.replace(**values), {k: v for k, v in values.items() if v.requires_grad}


@pytest.mark.parametrize("t_ref", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("neuron", [LIF, ALIF, AdLIF, neurons.Running, neurons.Partial, neurons.SoftResonator])
def test_gradient_is_that_of_the_definition_with_the_reset_detached(neuron, t_ref) -> None:
    """Of spikes, states and margins together, to parameters and current: autograd through the loop is the oracle."""
    I = current(2, 2, 250).requires_grad_()
    got = []
    for engine in (sequential, blocks):
        cell, free = leaves(neuron, t_ref)
        spikes, states, margins = engine(cell, I, DT, surrogate=Surrogate(10.0), detach=True)
        ramp = torch.linspace(0, 1, 250, dtype=torch.float64)
        loss = (spikes * ramp).sum() + (states * ramp[:, None]).tanh().sum() + (margins * ramp).tanh().sum()
        got.append(torch.autograd.grad(loss, [*free.values(), I], allow_unused=True))
    assert any(g is not None and bool((g != 0).any()) for g in got[0])
    for want, have in zip(*got, strict=True):
        zero = torch.zeros(2, dtype=torch.float64)
        torch.testing.assert_close(
            zero if have is None else have, zero if want is None else want, rtol=1e-8, atol=1e-10
        )


@pytest.mark.parametrize("t_ref", [(0.3, 2.0, 7.0), (0.0, 1.0, 5.0), (1.2, 1.2, 20.0)])
@pytest.mark.parametrize("neuron", [ALIF, neurons.Running, neurons.Partial])
def test_each_row_keeps_its_own_refractory_period(neuron, t_ref) -> None:
    """Blocks are as long as the shortest; longer ones last over several blocks, for spikes, states and gradient."""
    I = current(3, 2, 600, seed=4) + 500
    got = []
    for engine in (sequential, blocks):
        theta = (neuron.start().theta * torch.tensor([1.0, 1.02, 1.01], dtype=torch.float64)).requires_grad_()
        cell = neuron.start().replace(theta=theta, t_ref=torch.tensor(t_ref, dtype=torch.float64))
        spikes, states, margins = engine(cell, I, DT, surrogate=Surrogate(10.0), detach=True)
        ramp = torch.linspace(0, 1, 600, dtype=torch.float64)
        loss = (spikes * ramp).sum() + (states * ramp[:, None]).tanh().sum() + (margins * ramp).tanh().sum()
        got.append([spikes.detach(), states.detach(), margins.detach(), *torch.autograd.grad(loss, theta)])
    assert (got[0][0].sum(2) > 1).all()
    assert torch.equal(got[0][0], got[1][0])
    for want, have in zip(got[0][1:], got[1][1:], strict=True):
        torch.testing.assert_close(have, want, rtol=1e-10, atol=1e-10)
    for row, hold in zip(got[1][0].flatten(0, 1), np.repeat(t_ref, 2), strict=True):
        gaps = np.diff(np.flatnonzero(row.numpy()))
        assert gaps.min() > round(hold / DT)


def test_reset_in_the_graph_is_refused_with_the_way_out() -> None:
    with pytest.raises(SimulationError, match=r"adjoint\.run"):
        blocks(LIF.start(), current(1, 1, 50), DT, surrogate=Surrogate(), detach=False)


def test_not_affine_is_refused_with_the_way_out() -> None:
    with pytest.raises(NotAffineError, match="compiled"):
        blocks(neurons.Exponential.start(), current(1, 1, 50), DT)


@pytest.mark.parametrize("shape", [(50,), (1, 50), (1, 1, 50, 2)])
def test_current_of_a_wrong_shape_is_refused(shape) -> None:
    with pytest.raises(SimulationError, match=r"\(cell, trial, time"):
        blocks(LIF.start(), torch.zeros(shape, dtype=torch.float64), DT)


def test_cells_that_do_not_match_are_refused() -> None:
    with pytest.raises(SimulationError, match="cell axis of 3"):
        blocks(LIF.start().replace(C=torch.tensor([90.0, 100.0, 110.0])), current(2, 1, 50), DT)


@pytest.mark.parametrize("cut", [1, 7, 100, 149])
@pytest.mark.parametrize("neuron", [ALIF, neurons.Running])
def test_a_run_in_two_parts_is_the_run_in_one(neuron, cut: int) -> None:
    cell = neuron.start().replace(t_ref=torch.tensor([0.5, 2.0, 5.0], dtype=torch.float64))
    I = current(3, 2, 150, seed=5) + 200
    whole = blocks(cell, I, DT)
    first = blocks(cell, I[..., :cut], DT)
    middle = compute_run_end(cell, DT, first[0], first[1])
    second = blocks(cell, I[..., cut:], DT, start=middle)
    assert whole[0].sum() > 7
    assert torch.equal(torch.cat([first[0], second[0]], -1), whole[0])
    torch.testing.assert_close(torch.cat([first[1], second[1]], -2), whole[1], rtol=1e-10, atol=1e-10)


def test_hold_that_outlasts_several_parts_is_carried() -> None:
    cell = LIF.start().replace(t_ref=5.0)
    I = torch.full((1, 1, 120), 900.0, dtype=torch.float64)
    whole, parts, start = blocks(cell, I, DT)[0], [], None
    for n in range(0, 120, 8):
        spikes, states, _ = blocks(cell, I[..., n : n + 8], DT, start=start)
        start = compute_run_end(cell, DT, spikes, states, start)
        parts.append(spikes)
    assert torch.equal(torch.cat(parts, -1), whole)


def test_start_of_a_wrong_shape_is_refused() -> None:
    start = Start(torch.zeros(1, 1, 3), torch.zeros(1, 1, dtype=torch.int64))
    with pytest.raises(SimulationError, match=r"needs states \(1, 1, 2\) \(V, h\)"):
        blocks(ALIF.start(), current(1, 1, 20), DT, start=start)


def _seconds(steps: int) -> tuple[float, float]:
    cell, _ = leaves(ALIF, 2.0)
    I = current(2, 8, steps)
    best = [1e9, 1e9]
    for _ in range(3):
        begin = time.thread_time()
        spikes, _, _ = blocks(cell, I, DT, surrogate=Surrogate(10.0))
        middle = time.thread_time()
        spikes.sum().backward()
        best = [min(best[0], middle - begin), min(best[1], time.thread_time() - middle)]
    return best[0], best[1]


@pytest.mark.slow
def test_time_is_linear_forward_and_backward() -> None:
    """Eight times the steps cost at most about eight times the time; in-place writes into views make it 30 to 60."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        short, long = _seconds(5_000), _seconds(40_000)
    finally:
        torch.set_num_threads(threads)
    assert long[0] < 13 * short[0]
    assert long[1] < 13 * short[1]
