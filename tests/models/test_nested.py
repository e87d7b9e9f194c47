"""Every rung of the ladder: the pinned rich neuron is the simple one, term by term."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from model_runs import noise, run

from ephysfit.errors import NeuronError
from ephysfit.models import LIF, MAT, AdEx, AdLIF, above, below, ladder, rung
from ephysfit.neuron.functions import elements, sigmoid, softplus
from ephysfit.neuron.symbols import equations, symbol
from ephysfit.synthetic import draw


@pytest.fixture(params=ladder(), ids=lambda r: f"{r.simple.__name__}<{r.rich.__name__}")
def a_rung(request):
    return request.param


def number(expression, put):
    function = sympy.lambdify(
        [symbol(n) for n in put], expression, [{"softplus": softplus, "sigmoid": sigmoid}, "numpy"]
    )
    return float(function(*put.values()))


def test_pinned_rich_neuron_has_the_simple_ones_equations(a_rung):
    pinned, simple = equations(a_rung.model()), equations(a_rung.simple)
    assert set(pinned.parameters) == set(simple.parameters)
    assert set(pinned.states) == set(simple.states)
    assert set(pinned.held) == set(simple.held)
    rng = np.random.default_rng(0)
    names = {*simple.states, *simple.inputs, *simple.parameters, *pinned.inputs}
    for _ in range(3):
        put = dict(zip(sorted(names), rng.uniform(0.5, 2.0, len(names)), strict=True))
        pairs = [(pinned.margin, simple.margin)]
        pairs += [(pinned.flow[n], simple.flow[n]) for n in simple.states]
        pairs += [(pinned.jump[n], simple.jump[n]) for n in simple.states]
        pairs += [(pinned.rest[n], simple.rest[n]) for n in simple.states]
        for a, b in pairs:
            assert number(a, put) == pytest.approx(number(b, put), rel=1e-12)


def test_freedoms_count_the_free_numbers(a_rung):
    free = sum(a_rung.rich.parameters[n].size for n in a_rung.pins)
    assert a_rung.freedoms == free > 0


def test_pinned_and_simple_neuron_spike_alike():
    r = rung(LIF, AdLIF)
    current = noise(4000, 0.1, 130.0, 80.0)
    values = LIF.start().values()
    a, *_ = run(r.model()(**values), current, 0.1)
    b, *_ = run(LIF(**values), current, 0.1)
    assert a.sum() > 3
    assert (a == b).all()


def test_a_lifted_cell_is_the_same_cell_and_moves_from_there_towards_the_declared_start(a_rung):
    cell = draw(a_rung.simple, 1, seed=1)[0]
    same, there = a_rung.lift(cell), a_rung.lift(cell, away=1.0)
    assert type(same) is type(there) is a_rung.rich
    for name, value in cell.values().items():
        assert getattr(same, name) == getattr(there, name) == value
    for name, pin in a_rung.pins.items():
        start = getattr(a_rung.rich.start(), name)
        assert np.allclose(list(elements(getattr(there, name))), list(elements(start)))
        if not callable(pin):
            assert np.allclose(list(elements(getattr(same, name))), pin)
    with pytest.raises(NeuronError, match="is not"):
        a_rung.lift(a_rung.rich.start())


def test_the_ladder_leads_up_and_down():
    assert AdLIF in [r.rich for r in above(LIF)]
    assert [r.simple.__name__ for r in below(AdEx)] == ["EIF"]
    with pytest.raises(NeuronError, match="no rung MAT < AdEx"):
        rung(MAT, AdEx)
