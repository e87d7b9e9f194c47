"""Nested models by construction: pinning fixes, ties follow, only pinned values drop states."""

from __future__ import annotations

import pytest
import torch

from ephysfit.errors import NeuronError
from ephysfit.models import AIGIF, ALIF, LIF, AdLIF
from ephysfit.neuron.symbols import equations
from ephysfit.simulation.engines.sequential import sequential

RAW = torch.randn(1, 2, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
CURRENT = (150 + 200 * RAW).repeat_interleave(10, -1)


def test_adlif_without_adaptation_is_lif() -> None:
    nested = AdLIF.pin("Nested", a=0.0, b=0.0, tau_w=100.0)
    assert equations(nested).states == ("V",)
    assert set(nested.parameters) == set(LIF.parameters)
    cell = LIF.start()
    ours, theirs = sequential(nested(**cell.values()), CURRENT, 0.1), sequential(cell, CURRENT, 0.1)
    assert ours[0].sum() > 3
    assert torch.equal(ours[0], theirs[0])


def test_alif_without_threshold_jumps_is_lif() -> None:
    nested = ALIF.pin("Nested2", d_theta=0.0, tau_a=100.0)
    assert equations(nested).states == ("V",)
    cell = LIF.start()
    assert torch.equal(sequential(nested(**cell.values()), CURRENT, 0.1)[2], sequential(cell, CURRENT, 0.1)[2])


def test_a_free_parameter_that_is_zero_drops_nothing() -> None:
    assert equations(AdLIF).states == ("V", "w")
    assert sequential(AdLIF.start().replace(a=0.0, b=0.0), CURRENT, 0.1)[1].shape[-1] == 2


def test_a_tie_follows_the_parameters_it_is_tied_to() -> None:
    tied = AdLIF.pin("Tied", tau_w=lambda p: 2 * p.C / p.g)
    assert "tau_w" not in tied.parameters
    assert tied.start().replace(C=200.0, g=4.0).tau_w == 100.0
    plain = AdLIF.start().replace(C=200.0, g=4.0, tau_w=100.0)
    same = sequential(tied.start().replace(C=200.0, g=4.0), CURRENT, 0.1)[2]
    torch.testing.assert_close(same, sequential(plain, CURRENT, 0.1)[2])


def test_the_gradient_goes_through_a_tie() -> None:
    tied = AdLIF.pin("Tied2", tau_w=lambda p: 2 * p.C / p.g)
    C = torch.tensor([100.0], dtype=torch.float64, requires_grad=True)
    loss = lambda c: sequential(tied.start().replace(C=c), CURRENT[..., :40], 0.1)[2].sum()  # noqa: E731
    (slope,) = torch.autograd.grad(loss(C), C)
    with torch.no_grad():
        difference = (loss(C + 1e-3) - loss(C - 1e-3)) / 2e-3
    assert float(slope) == pytest.approx(float(difference), rel=1e-6)


def test_pins_of_pins_add_up() -> None:
    once = AdLIF.pin("Once", a=0.0)
    twice = once.pin("Twice", doc="Two pins.", b=10.0)
    assert twice.pinned == {"a": 0.0, "b": 10.0}
    assert twice.__doc__ == "Two pins."
    assert twice.reference == AdLIF.reference
    assert twice.base is once


def test_pins_of_what_does_not_exist_are_refused() -> None:
    with pytest.raises(NeuronError, match="did you mean tau_w"):
        AdLIF.pin("Wrong", tauw=10.0)
    with pytest.raises(NeuronError, match="no free parameter 'a'"):
        AdLIF.pin("Once2", a=0.0).pin("Again", a=0.0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"g": (2.0, 4.0)}, r"Wrong.g has 1 value and was given \(2.0, 4.0\).*Parameter\('nS', low, high\)"),
        ({"g": float("nan")}, "Wrong.g = nan is not a finite number of nS"),
        ({"g": "2"}, "Wrong.g = '2' is not a finite number"),
        ({"g": True}, "Wrong.g = True is not a finite number"),
    ],
)
def test_a_value_that_cannot_be_pinned_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(NeuronError, match=said):
        ALIF.pin("Wrong", **values)


def test_a_bank_is_pinned_as_a_whole() -> None:
    name, size = next((n, p.size) for n, p in AIGIF.parameters.items() if p.size > 1)
    assert AIGIF.pin("Held", **{name: (0.5,) * size}).pinned[name] == (0.5,) * size
    with pytest.raises(NeuronError, match=f"has {size} values and was given 0.5"):
        AIGIF.pin("Half", **{name: 0.5})


def test_rest_at_a_pinned_parameter() -> None:
    fixed = LIF.pin("Fixed", E_L=-70.0)
    assert float(sequential(fixed.start(), torch.zeros(1, 1, 5), 0.1)[1][0, 0, 0, 0]) == pytest.approx(-70.0)
