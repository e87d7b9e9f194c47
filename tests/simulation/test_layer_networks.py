"""Layers as networks need them: engines, carried state, recurrence, readouts, batch axes, devices, refusals."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import torch

import ephysfit as ef
from ephysfit.errors import NotAffineError, SimulationError
from ephysfit.models import ALIF, LIF, AdEx, SoftLIF
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.layer import layer
from ephysfit.simulation.surrogate import Surrogate

DT = 0.5


def currents(batch, cells, steps, seed=0):
    g = torch.Generator().manual_seed(seed)
    return 250.0 + 150.0 * torch.randn(batch, cells, steps // 10, generator=g, dtype=torch.float64).repeat_interleave(
        10, -1
    )


def made(neuron=ALIF, n=3, **options):
    return layer(neuron, n, dt=DT, spread=0.3, surrogate=Surrogate(10.0), **options)


@pytest.mark.parametrize("engine", ["sequential", "blocks", "pmbc", "decoupled"])
def test_every_engine_gives_the_spikes_and_the_detached_gradient(engine):
    neuron = SoftLIF if engine in ("pmbc", "decoupled") else ALIF
    free_of_period = {"t_ref": 0.0} if neuron is SoftLIF else {}
    drive, found = currents(2, 3, 120), []
    for name in ("compiled", engine):
        cells = made(neuron.start().replace(**free_of_period), engine=name, detach=True)
        inside = drive.clone().requires_grad_()
        spikes = cells(inside)
        (spikes * torch.linspace(0, 1, 120)).sum().backward()
        found.append((spikes.detach(), cells.free_values.grad, inside.grad))
    assert found[0][0].sum() > 5
    assert torch.equal(found[0][0], found[1][0])
    for a, b in zip(found[0][1:], found[1][1:], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize(("engine", "detach"), [("compiled", False), ("sequential", False), ("blocks", True)])
def test_two_halves_are_the_whole_gradients_included(engine, detach):
    drive = currents(2, 3, 200)
    weights = torch.linspace(0, 1, 200, dtype=torch.float64)
    whole, halved = (made(engine=engine, detach=detach, returns=r) for r in (("spikes",), ("spikes", "end")))
    spikes = whole(drive)
    (spikes * weights).sum().backward()
    for cut in (3, 77, 120):
        halved.zero_grad()
        first, end = halved(drive[..., :cut])
        second, _ = halved(drive[..., cut:], end)
        assert torch.equal(torch.cat([first, second], -1), spikes)
        ((first * weights[:cut]).sum() + (second * weights[cut:]).sum()).backward()
        torch.testing.assert_close(halved.free_values.grad, whole.free_values.grad, rtol=1e-7, atol=1e-10)


def looped(cells, drive, weight, delay):
    """The network step by step: what spiked `delay` steps ago arrives now."""
    sent = torch.zeros_like(drive)
    for t in range(drive.shape[-1]):
        arriving = drive[..., : t + 1].clone()
        arriving[..., delay:] += torch.einsum("ij,bjt->bit", weight, sent[..., : t + 1 - delay]) if t >= delay else 0
        sent[..., t] = sequential(cells, arriving.transpose(0, 1), DT)[0].transpose(0, 1)[..., t]
    return sent


@pytest.mark.parametrize(("engine", "detach"), [("compiled", False), ("blocks", True)])
def test_recurrence_is_exact_with_the_delay_of_the_refractory_period(engine, detach):
    g = torch.Generator().manual_seed(3)
    weight = 300.0 * torch.randn(3, 3, generator=g, dtype=torch.float64)
    cells = made(ALIF, engine=engine, detach=detach, recurrent=weight, returns=("spikes", "end"))
    drive = currents(2, 3, 60)
    spikes, end = cells(drive)
    with torch.no_grad():
        want = looped(cells.cells(), drive, weight, cells.leap)
        alone = sequential(cells.cells(), drive.transpose(0, 1), DT)[0].transpose(0, 1)
    assert cells.leap == 5
    assert torch.equal(spikes.detach(), want)
    assert not torch.equal(alone, want)
    (spikes * torch.linspace(0, 1, 60)).sum().backward()
    assert detach or float(cells.recurrent.weight.grad.abs().sum()) > 0
    for cut in (2, 33):
        first, end = cells(drive[..., :cut])
        assert torch.equal(torch.cat([first, cells(drive[..., cut:], end)[0]], -1), spikes)


def test_recurrent_gradient_equals_autograd_through_the_definition():
    weight, grads = torch.full((2, 2), 120.0, dtype=torch.float64), []
    for engine in ("compiled", "sequential"):
        cells = made(ALIF, 2, engine=engine, recurrent=weight)
        (cells(currents(2, 2, 80)) * torch.linspace(0, 1, 80)).sum().backward()
        grads.append((cells.free_values.grad, cells.recurrent.weight.grad))
    for a, b in zip(*grads, strict=True):
        assert a.abs().sum() > 0
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-10)


def test_lateral_connections_are_any_module_of_the_last_spikes():
    class Neighbours(torch.nn.Module):
        def forward(self, spikes):
            return -200.0 * (spikes.roll(1, 1) + spikes.roll(-1, 1))

    drive = currents(1, 4, 60)
    ring = torch.roll(torch.eye(4, dtype=torch.float64), 1, 0)
    a = made(ALIF, 4, recurrent=Neighbours())(drive)
    b = made(ALIF, 4, recurrent=-200.0 * (ring + ring.T))(drive)
    assert torch.equal(a, b)
    assert not torch.equal(a, made(ALIF, 4)(drive))


def test_potentials_and_margins_are_read_out_with_gradients():
    drive = currents(2, 3, 60)
    cells = made(ALIF, returns=("V", "margin", "spikes"))
    potential, margin, spikes = cells(drive)
    s, x, u = sequential(cells.cells(), drive.transpose(0, 1), DT)
    assert torch.equal(spikes, s.transpose(0, 1))
    torch.testing.assert_close(potential, x[..., 0].transpose(0, 1))
    torch.testing.assert_close(margin, u.transpose(0, 1))
    potential[..., -1].sum().backward()
    assert float(cells.free_values.grad.abs().sum()) > 0


def test_any_batch_axes_and_none():
    cells, drive = made(), currents(6, 3, 60)
    want = cells(drive)
    assert torch.equal(cells(drive.reshape(2, 3, 3, 60)), want.reshape(2, 3, 3, 60))
    assert torch.equal(cells(drive[0]), want[0])
    assert cells(drive[:, :1]).shape == want.shape


def test_nothing_gives_nothing():
    cells = made(returns=("spikes", "end"))
    _, end = cells(currents(2, 3, 20))
    empty, same = cells(torch.zeros(2, 3, 0), end)
    assert empty.shape == (2, 3, 0)
    assert same is end
    assert made()(torch.zeros(0, 3, 20)).shape == (0, 3, 20)
    with pytest.raises(SimulationError, match="ends nowhere"):
        cells(torch.zeros(2, 3, 0))


@pytest.mark.parametrize("neuron", [LIF, AdEx])
def test_every_number_follows_to_another_device(neuron):
    cells = made(neuron, engine="sequential").to("meta")
    assert {v.device.type for v in cells.state_dict().values()} == {"meta"}
    spikes = cells(torch.zeros(2, 3, 4, device="meta"))
    assert (spikes.device.type, tuple(spikes.shape)) == ("meta", (2, 3, 4))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("engine", ["compiled", "blocks"])
def test_a_gpu_gives_the_spikes_and_gradients_of_the_cpu(engine):
    cells, drive = made(engine=engine, detach=True), currents(2, 3, 120)
    want = cells(drive)
    want.sum().backward()
    by_cpu = cells.free_values.grad.clone()
    cells.zero_grad()
    got = cells.to("cuda")(drive.to("cuda"))
    got.sum().backward()
    assert torch.equal(got.cpu(), want)
    torch.testing.assert_close(cells.free_values.grad.cpu(), by_cpu, rtol=1e-7, atol=1e-10)


def test_a_second_derivative_is_refused_by_kernels_and_given_by_the_definition():
    drive = currents(1, 2, 60)
    with pytest.raises(SimulationError, match="first derivatives only"):
        made(n=2)(drive).sum().backward(create_graph=True)
    cells = made(n=2, engine="sequential")
    (slope,) = torch.autograd.grad(cells(drive).sum(), cells.free_values, create_graph=True)
    slope.sum().backward()
    assert bool(torch.isfinite(cells.free_values.grad).all())
    assert cells.free_values.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (ALIF.start().replace(d_theta=0.0), "d_theta = 0"),
        (LIF.start().replace(C=2.0), "C = 2"),
        (LIF.start().replace(C=5000.0), "C = 5000"),
    ],
)
def test_cells_on_a_bound_or_beyond_are_kept_and_named(cell, said):
    with pytest.warns(UserWarning, match=f"{said} .*kept as given"):
        cells = layer(cell, 2, dt=DT)
    name = said.split(" =")[0]
    drive = currents(2, 2, 400)
    assert cells.cells().values()[name].tolist() == [getattr(cell, name)] * 2
    assert torch.equal(cells(drive), sequential(cell, drive.transpose(0, 1).expand(2, 2, 400), DT)[0].transpose(0, 1))
    cells(drive).sum().backward()
    assert cells.free_values.grad[:, cells.free.names.index(name)].abs().sum() == 0
    assert cells.free_values.grad.abs().sum() > 0


def test_cells_inside_cause_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(LIF.start().replace(g=7.0), 2)


def test_half_precision_moves_no_spike():
    drive = currents(2, 3, 120).float()
    want = made()(drive)
    half = made().half()
    assert half.free_values.dtype == torch.float32
    assert torch.equal(half(drive), made().float()(drive))
    assert half(drive.to(torch.bfloat16)).dtype == torch.bfloat16
    assert (made().float()(drive) != want).float().mean() < 0.001


def test_state_dictionaries_of_earlier_versions_load():
    cells = made()
    old = {k: v for k, v in cells.state_dict().items() if k != "constant"}
    assert not cells.load_state_dict(old).missing_keys


def test_refusals_say_the_way_out():
    with pytest.raises(SimulationError, match="did you mean blocks"):
        layer(LIF, 2, engine="block")
    with pytest.raises(SimulationError, match="detach=True"):
        layer(LIF, 2, engine="blocks")
    with pytest.raises(NotAffineError, match="not affine"):
        layer(AdEx, 2, engine="blocks", detach=True)
    with pytest.raises(SimulationError, match="cannot return 'v'; did you mean V"):
        layer(LIF, 2, returns=("spikes", "v"))
    with pytest.raises(SimulationError, match=r"shape \(3, 3\): 2 cells"):
        layer(LIF, 2, recurrent=torch.zeros(3, 3))
    with pytest.raises(SimulationError, match=r"torch\.func"):
        torch.func.vmap(made())(currents(2, 3, 20))
    with pytest.deprecated_call(match="engine='sequential'"):
        layer(LIF, 2, compiled=False)


def test_the_layer_is_public():
    assert ef.layer is layer


@pytest.mark.parametrize("engine", ["compiled", "sequential", "blocks"])
def test_a_start_of_another_batch_or_neuron_is_refused(engine):
    made = ef.layer(LIF, 2, engine=engine, detach=True, returns=("spikes", "end"))
    _, end = made(torch.full((3, 2, 40), 300.0))
    made(torch.full((3, 2, 40), 300.0), end)
    for batch in (1, 2, 6):
        with pytest.raises(SimulationError, match=r"\(2, 3, 1\), and this run of LIF of \(2, \d, 1\)"):
            made(torch.full((batch, 2, 40), 300.0), end)
    _, other = ef.layer(ALIF, 2, returns=("spikes", "end"))(torch.full((3, 2, 40), 300.0))
    with pytest.raises(SimulationError, match=r"states\) = \(2, 3, 2\)"):
        made(torch.full((3, 2, 40), 300.0), other)
    with pytest.raises(SimulationError, match="start = 3: give the 'end'"):
        made(torch.full((3, 2, 40), 300.0), 3)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("engine", ["compiled", "sequential", "blocks"])
def test_a_current_that_is_not_finite_is_refused(engine, bad):
    current = torch.full((3, 2, 40), 300.0)
    current[1, 0, 7] = bad
    with pytest.raises(SimulationError, match="1 of 240 samples are not finite"):
        ef.layer(LIF, 2, engine=engine, detach=True)(current)


def test_a_large_finite_current_is_no_fault():
    assert ef.layer(LIF, 1)(torch.full((1, 40), 3e38, dtype=torch.float32)).shape == (1, 40)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dt": 0.0}, "dt = 0.0: a step is a number of ms above 0"),
        ({"dt": -0.1}, "dt = -0.1"),
        ({"dt": float("nan")}, "dt = nan"),
        ({"dt": "a"}, "dt = 'a'"),
        ({"n": 0}, "n = 0: a layer has a whole number of cells"),
        ({"n": -1}, "n = -1"),
        ({"n": 2.5}, "n = 2.5"),
        ({"spread": -1.0}, "spread = -1.0: a standard deviation is 0 or more"),
        ({"recurrent": "yes"}, "recurrent = 'yes': give True, weights"),
        ({"dtype": "float32"}, "dtype = 'float32': kernels run in torch.float32 or torch.float64"),
    ],
)
def test_settings_out_of_range_are_refused(settings, said):
    with pytest.raises(SimulationError, match=re.escape(said)):
        ef.layer(LIF, **{"n": 2, **settings})


@pytest.mark.parametrize("current", [np.ones((2, 40)), [[1.0, 2.0]], torch.ones(2, 40, dtype=torch.complex64)])
def test_a_current_that_is_no_tensor_of_real_numbers_is_refused(current):
    with pytest.raises(SimulationError, match=r"a layer takes a tensor of real numbers: torch\.as_tensor"):
        ef.layer(LIF, 2)(current)
