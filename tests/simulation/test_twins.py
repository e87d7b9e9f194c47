"""Every engine against the definition, spike for spike in float64. A new engine or neuron is one line."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import pytest
import torch
import twin_neurons as neurons
from torch import Tensor

from ephysfit.models import ALIF, LIF, AdLIF, BlockALIF
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.engines.blocks import blocks
from ephysfit.simulation.engines.decoupled import decoupled
from ephysfit.simulation.engines.pmbc import pmbc
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.engines.speculate import speculate

DT = 0.1
AFFINE = (
    LIF, ALIF, AdLIF, BlockALIF, neurons.SoftLIF, neurons.SoftALIF, neurons.SoftResonator, neurons.Resonate,
    neurons.Running, neurons.Partial, neurons.TwoInputs,
)  # fmt: skip
SOFT = (neurons.SoftLIF, neurons.SoftALIF, neurons.SoftResonator, neurons.Resonate)
Engine = Callable[[Neuron, Tensor, float], Tensor]


def _compiled(neuron: Neuron, current: Tensor, dt: float) -> Tensor:
    from ephysfit.simulation.engines import compiled

    run = compiled.run(neuron, current, dt)
    spikes = torch.zeros(current.shape[0] * current.shape[1], current.shape[2], dtype=torch.float64)
    for row, steps in enumerate(run.events):
        spikes[row, torch.as_tensor(steps, dtype=torch.int64)] = 1.0
    return spikes.reshape(current.shape[:3])


ENGINES: dict[str, tuple[Engine, tuple[type[Neuron], ...]]] = {
    "blocks": (lambda *a: blocks(*a)[0], AFFINE),
    "speculate": (lambda *a: speculate(*a)[0], AFFINE),
    "speculate-17": (lambda *a: speculate(*a, chunk=17)[0], AFFINE),
    "pmbc": (lambda *a: pmbc(*a)[0], SOFT),
    "decoupled-fft": (lambda *a: decoupled(*a)[0], SOFT),
    "decoupled-scan": (lambda *a: decoupled(*a, method="scan")[0], SOFT),
}
if find_spec("ephysfit.simulation.engines.compiled"):
    ENGINES["compiled"] = (_compiled, (*AFFINE, neurons.Exponential))

PAIRS = [pytest.param(e, n, id=f"{name}-{n.__name__}") for name, (e, many) in ENGINES.items() for n in many]
#: rheobase-like scale of input, pA, where the declared start is not in ordinary units
SCALE = {BlockALIF: 1.6}
VALUES = {BlockALIF: {"d_theta": 0.3}}
cache: dict = {}


def cell_of(neuron: type[Neuron], t_ref: object = 0.0) -> Neuron:
    cell = neuron.start().replace(**VALUES.get(neuron, {}))
    return cell.replace(t_ref=t_ref) if "t_ref" in neuron.parameters else cell


def noise(neuron: type[Neuron], cells: int, trials: int, steps: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (cells, trials, steps // 10 + 1, len(neuron.inputs))
    raw = 160 + 260 * torch.randn(shape, generator=generator, dtype=torch.float64)
    current = SCALE.get(neuron, 1.0) * raw.repeat_interleave(10, 2)[:, :, :steps]
    return current if shape[-1] > 1 else current[..., 0]


def reference(key: object, cell: Neuron, current: Tensor) -> Tensor:
    if key not in cache:
        cache[key] = sequential(cell, current, DT)[0]
    return cache[key]


#: chunks of 17 steps end in the same places whatever the period: three of five are enough for every day
REFRACTORY = [
    pytest.param(
        *pair.values,
        steps,
        id=f"{pair.id}-{steps}",
        marks=[pytest.mark.slow] * (pair.id.startswith("speculate-17") and steps in (1, 5)),
    )
    for pair in PAIRS
    for steps in ([0, 1, 2, 5, 50] if "t_ref" in pair.values[1].parameters else [0])
]


@pytest.mark.parametrize(("engine", "neuron", "refractory"), REFRACTORY)
def test_every_refractory_period(engine: Engine, neuron: type[Neuron], refractory: int) -> None:
    cell, current = cell_of(neuron, refractory * DT), noise(neuron, 1, 3, 613)
    want = reference((neuron, refractory), cell, current)
    assert want.sum() > 3
    assert torch.equal(engine(cell, current, DT), want)


@pytest.mark.parametrize(("engine", "neuron"), PAIRS)
def test_silent_input(engine: Engine, neuron: type[Neuron]) -> None:
    current = torch.zeros_like(noise(neuron, 1, 2, 101))
    assert engine(cell_of(neuron, 0.5), current, DT).sum() == 0


@pytest.mark.parametrize("refractory", [0, 5])
@pytest.mark.parametrize(("engine", "neuron"), PAIRS)
def test_spike_in_first_and_last_sample(engine: Engine, neuron: type[Neuron], refractory: int) -> None:
    cell = cell_of(neuron, refractory * DT)
    current = torch.zeros_like(noise(neuron, 1, 1, 97))
    current[:, :, [0, -1]] = 5e5
    want = sequential(cell, current, DT)[0]
    assert want[0, 0, 0] == 1
    assert want[0, 0, -1] == 1
    assert torch.equal(engine(cell, current, DT), want)


def varied(neuron: type[Neuron], cells: int) -> Neuron:
    """Cells that differ in every parameter, refractory period included."""
    spread = torch.linspace(0.9, 1.1, cells, dtype=torch.float64)
    values = {
        k: v.map(lambda e: e * spread) if hasattr(v, "map") else v * spread for k, v in cell_of(neuron).values().items()
    }
    if "t_ref" in values:
        values["t_ref"] = torch.arange(cells, dtype=torch.float64) * 0.7 + 0.2
    return neuron(**values)


@pytest.mark.parametrize("steps", [1, 2, 3, 400])
@pytest.mark.parametrize(("engine", "neuron"), PAIRS)
def test_rows_that_differ(engine: Engine, neuron: type[Neuron], steps: int) -> None:
    # ten rows: two tiles, of the kernels that the other tests compile; of twelve on, tiles may be wider
    cell, current = varied(neuron, 5), noise(neuron, 5, 2, steps, seed=1)
    want = reference((neuron, "rows", steps), cell, current)
    assert torch.equal(engine(cell, current, DT), want)
    if steps == 400:
        assert len({tuple(row) for row in want.flatten(0, 1).tolist()}) > 3


@pytest.mark.parametrize("extra", range(-2, 3))
@pytest.mark.parametrize(("engine", "neuron"), PAIRS)
def test_length_that_is_no_multiple_of_the_block(engine: Engine, neuron: type[Neuron], extra: int) -> None:
    cell, current = cell_of(neuron, 2.0), noise(neuron, 1, 2, 10 * 21 + extra, seed=2)
    want = reference((neuron, "length", extra), cell, current)
    assert torch.equal(engine(cell, current, DT), want)


@pytest.mark.parametrize(
    ("engine", "neuron"), [(e, n) for n in AFFINE for e in (blocks, speculate, *[pmbc, decoupled] * (n in SOFT))]
)
def test_states_and_margins(engine: Callable, neuron: type[Neuron]) -> None:
    cell, current = varied(neuron, 3), noise(neuron, 3, 2, 300, seed=3)
    want, got = sequential(cell, current, DT), engine(cell, current, DT)
    torch.testing.assert_close(got[1], want[1], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(got[2], want[2], rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "neuron"), PAIRS)
def test_long_record(engine: Engine, neuron: type[Neuron]) -> None:
    cell, current = cell_of(neuron, 1.5), noise(neuron, 1, 4, 8000, seed=4)
    assert torch.equal(engine(cell, current, DT), reference((neuron, "long"), cell, current))
