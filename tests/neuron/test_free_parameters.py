"""Bounded parameters as a free vector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ephysfit.errors import NeuronError
from ephysfit.models import ALIF, LIF
from ephysfit.neuron.free_parameters import FreeParameters, as_floats

numbers = st.floats(-1e6, 1e6)


@given(st.lists(numbers, min_size=len(LIF.parameters), max_size=len(LIF.parameters)))
def test_no_vector_leaves_the_bounds(z) -> None:
    free = FreeParameters.of(LIF, list(LIF.parameters))
    cell, same = (free.to_neuron(v, LIF.start()) for v in (torch.tensor(z, dtype=torch.float64), np.array(z)))
    for name, p in LIF.parameters.items():
        assert p.low * (1 - 1e-12) - 1e-9 <= float(getattr(cell, name)) <= p.high * (1 + 1e-12) + 1e-9
        assert float(getattr(cell, name)) == pytest.approx(getattr(same, name), rel=1e-12, abs=1e-12)


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_there_and_back(a: float, b: float) -> None:
    low, high = LIF.parameters["C"].low, LIF.parameters["C"].high
    cell = LIF.start().replace(C=low * (high / low) ** a, E_L=-110.0 + 90.0 * b)
    free = FreeParameters.of(LIF, ["C", "E_L"])
    again = free.to_neuron(free.to_vector(cell), LIF.start())
    assert float(again.C) == pytest.approx(cell.C, rel=1e-9)
    assert float(again.E_L) == pytest.approx(cell.E_L, rel=1e-9)
    assert again.g == LIF.start().g


def test_values_on_a_bound_are_moved_inside_and_told() -> None:
    cell = ALIF.start().replace(d_theta=0.0, C=2000.0)
    free = FreeParameters.of(ALIF)
    z = free.to_vector(cell)
    assert np.isfinite(z).all()
    assert set(free.on_bound(cell)) == {("d_theta", "low"), ("C", "high")}
    assert free.on_bound(ALIF.start()) == ()


def test_gradient_is_the_chain_rule() -> None:
    free = FreeParameters.of(LIF, ["C", "theta"])
    z = torch.from_numpy(free.to_vector(LIF.start()))
    f = lambda z: free.to_neuron(z, LIF.start()).C + 3 * free.to_neuron(z, LIF.start()).theta  # noqa: E731
    assert torch.autograd.gradcheck(f, (z.requires_grad_(),))


def test_smooth_only_leaves_out_the_refractory_period() -> None:
    assert "t_ref" in FreeParameters.of(LIF).names
    assert "t_ref" not in FreeParameters.of(LIF, smooth_only=True).names


def test_unknown_names_are_refused_with_the_near_one() -> None:
    with pytest.raises(NeuronError, match="did you mean V_reset"):
        FreeParameters.of(LIF, ["Vreset"])


def test_many_cells_at_once() -> None:
    free = FreeParameters.of(LIF, ["C", "g"])
    cells = free.to_neuron(torch.zeros(7, 2, dtype=torch.float64), LIF.start())
    assert cells.C.shape == (7,)
    assert float(cells.C[0]) == pytest.approx((5.0 * 2000.0) ** 0.5)


def test_as_floats() -> None:
    cell = LIF.start().replace(C=torch.tensor([123.0], requires_grad=True))
    assert as_floats(cell).C == 123.0
    assert isinstance(as_floats(cell).C, float)
