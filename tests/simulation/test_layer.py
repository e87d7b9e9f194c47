"""A neuron as a torch layer: the same spikes as the engine, gradients to bounded parameters, and it learns."""

from __future__ import annotations

import pytest
import torch

from ephysfit.errors import SimulationError
from ephysfit.models import ALIF, GIF, LIF, SoftLIF, SpatialSTC
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.layer import layer
from ephysfit.simulation.surrogate import Surrogate


def currents(batch, cells, steps, seed=0):
    g = torch.Generator().manual_seed(seed)
    return 250.0 + 150.0 * torch.randn(batch, cells, steps // 10, generator=g, dtype=torch.float64).repeat_interleave(
        10, -1
    )


@pytest.mark.parametrize("engine", ["compiled", "sequential"])
def test_spikes_are_those_of_the_definition(engine):
    made = layer(ALIF, 3, dt=0.5, spread=0.3, engine=engine)
    drive = currents(2, 3, 400)
    spikes = made(drive)
    with torch.no_grad():
        expected = sequential(made.cells(), drive.transpose(0, 1), 0.5)[0].transpose(0, 1)
    assert spikes.sum() > 20
    assert torch.equal(spikes.detach(), expected)


def test_compiled_and_plain_gradients_agree():
    drive = currents(2, 2, 300)
    weights = torch.linspace(0, 1, 300, dtype=torch.float64)
    grads = []
    for engine in ("compiled", "sequential"):
        made = layer(ALIF, 2, dt=0.5, spread=0.3, engine=engine, surrogate=Surrogate(10.0))
        inside = drive.clone().requires_grad_()
        (made(inside) * weights).sum().backward()
        grads.append((made.free_values.grad, inside.grad))
    for a, b in zip(*grads, strict=True):
        assert a.abs().sum() > 0
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-12)


def test_no_step_leaves_the_bounds():
    made = layer(LIF, 2, dt=0.5, learn=["g", "theta"])
    with torch.no_grad():
        made.free_values += torch.tensor([[1e3, -1e3], [-1e3, 1e3]])
    cells = made.cells()
    for name in ("g", "theta"):
        p = LIF.parameters[name]
        assert float(getattr(cells, name).detach().min()) == pytest.approx(p.low)
        assert float(getattr(cells, name).detach().max()) == pytest.approx(p.high)


def test_fitted_cells_become_a_layer_and_come_back():
    cell = LIF.start().replace(g=7.0)
    made = layer(cell, 4)
    assert torch.allclose(made.cells().g.detach(), torch.full((4,), 7.0, dtype=torch.float64))
    assert torch.allclose(made.cells().t_ref, torch.full((4,), 2.0, dtype=torch.float64))  # not learnt, but kept
    again = layer(LIF, 4)
    again.load_state_dict(made.state_dict())
    assert torch.equal(again.cells().g, made.cells().g)


def test_banks_are_learnt_element_by_element():
    made = layer(GIF, 2, learn=["eta", "gamma_1"])
    assert made.free.names == ("eta_1", "eta_2", "eta_3", "eta_4", "eta_5", "gamma_1")
    assert made.free_values.shape == (2, 6)


def test_further_inputs_come_last():
    made = layer(SpatialSTC, 2, dt=0.5)
    drive = torch.stack([currents(3, 2, 100), torch.zeros(3, 2, 100)], -1)
    assert made(drive).shape == (3, 2, 100)
    with pytest.raises(SimulationError, match="takes"):
        made(currents(3, 2, 100))


def test_wrong_sizes_are_refused():
    with pytest.raises(SimulationError, match="needs the number of cells"):
        layer(LIF)
    with pytest.raises(SimulationError, match="layer of 3 LIF takes"):
        layer(LIF, 3)(currents(1, 2, 100))


@pytest.mark.slow
def test_a_block_of_linear_maps_and_neurons_learns_which_half_was_driven():
    """A readout on spikes behind a trained input map: chance is 1/2."""
    torch.manual_seed(0)
    n, steps = 96, 100
    label = torch.arange(n) % 2
    g = torch.Generator().manual_seed(1)
    x = torch.rand(n, 2, steps, generator=g, dtype=torch.float64)
    half = torch.arange(steps) < steps // 2
    x[label == 0] *= 0.5 + 0.5 * half
    x[label == 1] *= 0.5 + 0.5 * ~half
    mix = torch.nn.Linear(2, 8).double()
    cells = layer(SoftLIF, 8, dt=2.0, learn=["C", "g", "theta"], spread=0.5, surrogate=Surrogate(15.0))
    read = torch.nn.Linear(16, 2).double()
    opt = torch.optim.Adam([*mix.parameters(), *cells.parameters(), *read.parameters()], lr=0.02)

    def logits(x):
        s = cells(300.0 * mix(x.transpose(1, 2)).transpose(1, 2))
        return read(torch.cat([s[..., half].mean(-1), s[..., ~half].mean(-1)], 1) * 10)

    for _ in range(40):
        opt.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits(x[:64]), label[:64])
        loss.backward()
        opt.step()
    assert cells.free_values.grad.abs().sum() > 0
    assert (logits(x[64:]).argmax(1) == label[64:]).double().mean() > 0.85
