"""Speculation to the next spike: passes, streaming, refusals. Spike equality is in test_twins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import twin_neurons as neurons

from ephysfit.errors import NotAffineError, SimulationError
from ephysfit.models import ALIF, LIF
from ephysfit.simulation.engines.affine_blocks import compute_run_end
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.engines.speculate import passes, speculate
from ephysfit.simulation.surrogate import Surrogate

DT = 0.1


def current(trials: int, steps: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    raw = 160 + 260 * torch.randn(1, trials, steps // 10 + 1, generator=generator, dtype=torch.float64)
    return raw.repeat_interleave(10, -1)[..., :steps].contiguous()


@pytest.mark.parametrize("chunk", [1, 10, 64, 5000])
def test_passes_are_chunks_and_spikes(chunk: int) -> None:
    cell, I = ALIF.start(), current(5, 1000)
    spikes = speculate(cell, I, DT, chunk=chunk)[0].sum(-1)
    count = passes(cell, I, DT, chunk=chunk)
    assert spikes.max() > 3
    assert bool((count <= -(-1000 // chunk) + spikes).all())
    assert bool((count >= -(-1000 // chunk)).all())


@pytest.mark.parametrize("neuron", [ALIF, neurons.Running])
def test_a_run_in_two_parts_is_the_run_in_one(neuron) -> None:
    cell, I = neuron.start().replace(t_ref=3.0), current(3, 600) + 200
    whole = speculate(cell, I, DT)
    for cut in (3, 250, 599):
        first = speculate(cell, I[..., :cut], DT)
        second = speculate(cell, I[..., cut:], DT, start=compute_run_end(cell, DT, first[0], first[1]))
        assert torch.equal(torch.cat([first[0], second[0]], -1), whole[0])


def test_growth_between_spikes_stays_exact() -> None:
    """A negative conductance: the potential without spikes explodes, the one with spikes does not."""
    cell, I = neurons.SoftResonator.start().replace(a=-6.0, D=20.0, b=30.0), current(2, 800)
    want = sequential(cell, I, DT)
    got = speculate(cell, I, DT)
    assert torch.equal(got[0], want[0])


def test_refusals() -> None:
    with pytest.raises(NotAffineError, match="compiled"):
        speculate(neurons.Exponential.start(), current(1, 50), DT)
    with pytest.raises(SimulationError, match=r"adjoint\.run or engine='blocks'"):
        speculate(LIF.start(), current(1, 50), DT, surrogate=Surrogate())


def test_a_held_map_that_grows_is_not_looked_past_its_digits() -> None:
    drawn = torch.from_numpy(np.random.default_rng(0).normal(0, 3, 600))[None, None]
    for cell in (neurons.Dendrite.start(), neurons.Dendrite.start().replace(t_ref=0.0)):
        want = sequential(cell, drawn, 1.0)[0]
        assert want.sum() > 20
        assert torch.equal(speculate(cell, drawn, 1.0)[0], want)
