"""The adjoint against torch autograd through the sequential definition, in float64 to 1e-10."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from compiled_cases import DT, Exponential, noise
from torch.testing import assert_close

from ephysfit.errors import SimulationError
from ephysfit.kernels.tiles import Lists
from ephysfit.models.adlif import AdLIF
from ephysfit.models.alif import ALIF
from ephysfit.models.lif import LIF
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation import adjoint
from ephysfit.simulation.engines.compiled import Problem
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.replay import Replay, ReplaySweep
from ephysfit.simulation.surrogate import Surrogate

STEPS, CELLS, TRIALS = 300, 9, 2


def cells_with_gradient(neuron, seed=1):
    rng = np.random.default_rng(seed)
    values = {k: v * torch.tensor(rng.uniform(0.95, 1.05, CELLS)) for k, v in neuron.start().values().items()}
    for name, value in values.items():
        value.requires_grad_(name != "t_ref")
    return neuron(**values)


def gradients(loss, cell, current):
    wanted = [v for k, v in cell.values().items() if k != "t_ref"] + [current]
    return [torch.zeros(()) if g is None else g for g in torch.autograd.grad(loss, wanted, allow_unused=True)]


def assert_same(ours, theirs, tolerance=1e-10):
    for a, b in zip(ours, theirs, strict=True):
        scale = float(b.abs().max()) or 1.0
        assert float((a - b).abs().max()) <= tolerance * scale


def van_rossum(spikes, targets, tau):
    """The plain loop."""
    decay = np.exp(-DT / tau)
    e, total = torch.zeros(spikes.shape[:2], dtype=torch.float64), 0.0
    for n in range(spikes.shape[-1]):
        e = decay * e + spikes[..., n] - targets[..., n]
        total = total + e * e
    return (total * 0.5 * (1 - decay**2)).sum(-1)


def ways(neuron):
    """With and without the reset in the graph, of one current and of many: ALIF in all four ways, others in two.

    Each way is four kernels, five seconds to compile; the other two are slow tests.
    """
    for detach, shared in product((False, True), repeat=2):
        quick = neuron is ALIF or detach != shared
        yield pytest.param(neuron, detach, shared, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(
    ("neuron", "detach", "shared"), [way for neuron in (LIF, ALIF, AdLIF, Exponential) for way in ways(neuron)]
)
def test_equals_autograd_through_the_definition(neuron, detach, shared):
    cell, surrogate = cells_with_gradient(neuron), Surrogate(12.0)
    current = torch.tensor(noise((1 if shared else CELLS, TRIALS, STEPS)), requires_grad=True)
    weights = torch.tensor(np.random.default_rng(2).normal(size=(CELLS, TRIALS, STEPS)))
    targets = torch.tensor(np.random.default_rng(3).random((1, TRIALS, STEPS)) < 0.02)
    scale = torch.tensor(np.random.default_rng(4).normal(size=CELLS))
    spikes, _, _ = sequential(cell, current.expand(CELLS, -1, -1), DT, surrogate=surrogate, detach=detach)
    assert spikes.sum() > 20

    ours = adjoint.run(cell, current, DT, surrogate=surrogate, detach=detach)
    assert_close(ours, spikes, rtol=0, atol=0)
    theirs = gradients(
        (weights * spikes).sum() + (scale * van_rossum(spikes, targets.double(), 10.0)).sum(), cell, current
    )
    dense = gradients((weights * ours).sum(), cell, current)
    loss = adjoint.van_rossum_loss(cell, current, targets, DT, 10.0, surrogate, detach)
    assert_close(loss, van_rossum(spikes.detach(), targets.double(), 10.0), rtol=1e-11, atol=1e-11)
    fused = gradients((scale * loss).sum(), cell, current)
    assert_same([a + b for a, b in zip(dense, fused, strict=True)], theirs)


@pytest.mark.parametrize("shape", ["box", "fast_sigmoid", "survival"])
def test_every_window_equals_autograd(shape):
    cell, surrogate = cells_with_gradient(ALIF), Surrogate(9.0, shape)
    current = torch.tensor(noise((1, 1, STEPS)), requires_grad=True)
    spikes, _, _ = sequential(cell, current.expand(CELLS, -1, -1), DT, surrogate=surrogate)
    ours = adjoint.run(cell, current, DT, surrogate=surrogate)
    assert_same(gradients(ours.sum(), cell, current), gradients(spikes.sum(), cell, current))


def test_one_cell_sums_over_rows():
    g = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    cell = LIF.start().replace(g=g)
    current = torch.tensor(noise((3, TRIALS, STEPS)))
    (ours,) = torch.autograd.grad(adjoint.run(cell, current, DT).sum(), g)
    spikes, _, _ = sequential(cell, current, DT, surrogate=Surrogate())
    (theirs,) = torch.autograd.grad(spikes.sum(), g)
    assert_same([ours], [theirs])


@pytest.mark.parametrize("neuron", [ALIF, pytest.param(AdLIF, marks=pytest.mark.slow)])
def test_margins_of_a_replay_carry_the_gradient(neuron):
    cell = cells_with_gradient(neuron)
    current = torch.tensor(noise((CELLS, TRIALS, STEPS)), requires_grad=True)
    forced = torch.tensor(np.random.default_rng(5).random((CELLS, TRIALS, STEPS)) < 0.02)
    weights = torch.tensor(np.random.default_rng(6).normal(size=forced.shape))
    _, _, theirs = sequential(cell, current, DT, forced=forced)
    ours = adjoint.margins(cell, current, DT, forced)
    assert_close(ours, theirs, rtol=0, atol=1e-9)
    assert_same(gradients((weights * ours).sum(), cell, current), gradients((weights * theirs).sum(), cell, current))


@pytest.mark.parametrize("neuron", [ALIF, pytest.param(AdLIF, marks=pytest.mark.slow)])
def test_the_escape_likelihood_is_that_of_replay(neuron):
    rng = np.random.default_rng(8)
    free = FreeParameters.of(neuron, smooth_only=True)
    start = free.to_vector(neuron.start())
    z = torch.tensor(start + 0.1 * rng.normal(size=(3, len(free.names))), requires_grad=True)
    current = noise((1, TRIALS, 900), 9, mean=60.0, std=150.0)
    spikes = (rng.random((TRIALS, 900)) < 0.01).astype(np.uint8)
    cell = neuron(**{k: torch.stack([getattr(free.to_neuron(q, neuron.start()), k) for q in z])
                     if k in free.names else v for k, v in neuron.start().values().items()})  # fmt: skip
    sweeps = [
        ReplaySweep(c[:, None].copy(), s, np.ones(900, np.uint8)) for c, s in zip(current[0], spikes, strict=True)
    ]
    truth = [Replay(free, neuron.start(), DT).information(q.detach(), sweeps) for q in z]
    for dtype, near in ((torch.float64, 1e-11), (torch.float32, 3e-4)):
        loss = adjoint.escape_loss(cell, torch.tensor(current), spikes[None], DT, dtype=dtype)
        assert_close(-loss.detach().numpy(), np.array([t.value for t in truth]), rtol=near, atol=0)
        (gradient,) = torch.autograd.grad(loss.sum(), z, retain_graph=True)
        assert_same(-gradient, torch.tensor(np.array([t.gradient for t in truth])), near)


def test_without_a_hazard_there_is_no_likelihood():
    class Mute(Neuron):
        tau = Parameter("ms", 1.0, 100.0, start=10.0)
        t_ref = Parameter("ms", 0.0, 20.0, start=2.0, smooth=False)
        V = State("mV")

        def flow(self, x, I):
            return {"V": -x.V / self.tau}

        def margin(self, x):
            return x.V

        def jump(self, x):
            return {"V": x.V - self.tau}

    with pytest.raises(SimulationError, match="hazard"):
        adjoint.escape_loss(Mute.start(), torch.zeros(1, 1, 5), [[[1]]], DT)


def test_a_lone_spike_counts_one_half():
    current = torch.zeros(1, 1, 5000, dtype=torch.float64)
    loss = adjoint.van_rossum_loss(LIF.start(), current, [[[50]]], DT, 10.0)
    assert_close(loss, torch.tensor([0.5], dtype=torch.float64), rtol=1e-9, atol=1e-9)


def test_float32_gradients_are_close():
    cell = cells_with_gradient(ALIF)
    current = torch.tensor(noise((1, 1, 1000)))
    targets = [[np.arange(50, 1000, 100)]]
    double, single = (
        adjoint.van_rossum_loss(cell, current, targets, DT, 10.0, dtype=d) for d in (torch.float64, torch.float32)
    )
    wanted = [v for k, v in cell.values().items() if k not in ("t_ref", "delta")]
    ours, theirs = torch.autograd.grad(single.sum(), wanted), torch.autograd.grad(double.sum(), wanted)
    assert_same(ours, theirs, 1e-3)


@pytest.mark.parametrize("left", [77, 0])
def test_a_long_record_in_stretches_has_the_gradient_of_the_record_in_one_go(left):
    cell = ALIF.start().replace(C=torch.tensor(90.0, dtype=torch.float64, requires_grad=True))
    current = noise((1, 1, 8 * 16_392 + left), 11)  # with 0, whole stretches fill it
    targets = Lists.of([[np.arange(40, current.shape[-1], 900)]], current.shape[-1])
    problem = Problem.of(cell, current, DT, targets=targets)
    how = {"surrogate": Surrogate(20.0), "detach": False, "drive": True}
    for tau, source, dense in ((10.0, "trace", None), (None, "spikes", np.sin(np.arange(current.size) / 50.0))):
        ours, by_current = problem.reverse(
            problem.forward(keep=True, tau=tau), source=source, tau=tau, dense=dense, **how
        )
        plain = problem.run_back(problem.run(keep=True, tau=tau), source=source, tau=tau, dense=dense, **how)
        np.testing.assert_allclose(ours[:, 0, 0], plain[0][:, 0], rtol=1e-9)
        np.testing.assert_allclose(by_current, plain[1], rtol=1e-9, atol=1e-12 * np.abs(plain[1]).max())
