"""Equations of every neuron are well-formed MathML that says what the declaration says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
import sympy

from ephysfit.models import catalogue
from ephysfit.models.aigif import AIGIF, BankGIF
from ephysfit.models.glif import GLIF1
from ephysfit.models.izhikevich import Izhikevich2003
from ephysfit.models.lif import LIF
from ephysfit.neuron.symbols import symbol
from ephysfit.reports.equations import (
    _general_element,
    _symbol_or_bank,
    _symbolic_neuron,
    find_live_states,
    write_equations,
)
from ephysfit.reports.mathml import name_subterms


def flat(math: str) -> str:
    return "".join(ET.fromstring(math).itertext()).replace("\u2062", "").replace(" ", "")


@pytest.mark.parametrize("name", catalogue())
def test_equations_are_well_formed(name: str) -> None:
    lines = write_equations(catalogue()[name])
    assert {"between spikes", "spike", "noise"} <= {what for what, _ in lines}
    assert all(flat(math) for _, math in lines)


def test_equations_of_the_integrator() -> None:
    assert [flat(m) for _, m in write_equations(LIF)] == ["CdVdt=I−g(V−EL)", "V−θ≥0", "V→Vreset", "λ(u)=eu/δ"]


def test_banks_stay_whole_and_what_is_pinned_to_zero_is_gone() -> None:
    whole = " ".join(flat(m) for _, m in write_equations(AIGIF))
    less = " ".join(flat(m) for _, m in write_equations(BankGIF))
    assert not re.search(r"[KH][1-8]", whole)
    assert "∑i=18(KiRi)" in whole
    assert "η" in whole
    assert "gA" in whole
    assert "η" not in less
    assert "gA" not in less


def test_a_sum_over_nothing_and_states_that_stand_still_are_gone() -> None:
    assert next(flat(m) for _, m in write_equations(GLIF1)) == "CdVdt=I−g(V−EL)"
    assert find_live_states(GLIF1) == ["V"]


def test_a_long_tie_keeps_its_name_and_the_distance_does_not_take_that_of_a_state() -> None:
    lines = dict(write_equations(Izhikevich2003))
    whole = " ".join(flat(m) for _, m in write_equations(Izhikevich2003))
    assert "k" in whole
    assert "0.04" not in whole
    assert flat(lines["noise"]).startswith("λ(x)=")


@pytest.mark.parametrize("name", catalogue())
def test_no_fraction_stands_within_a_fraction(name: str) -> None:
    for _, math in write_equations(catalogue()[name]):
        for fraction in ET.fromstring(math).iter("mfrac"):
            assert len(list(fraction.iter("mfrac"))) == 1
        for power in ET.fromstring(math).iter("msup"):
            assert not list(power.iter("mfrac"))


def test_shared_sums_and_long_functions_have_names() -> None:
    lines = write_equations(AIGIF)
    named = [flat(m) for what, m in lines if what == "where"]
    assert named[0] == "p=∑i=17(Hiηi)+∑i=18(KiRi)"
    assert all(len(flat(m)) < 60 for what, m in lines if what == "between spikes")


@pytest.mark.parametrize("name", catalogue())
def test_named_subterms_put_back_give_the_equations(name: str) -> None:
    neuron = catalogue()[name]
    cell = _symbolic_neuron(neuron)
    x = neuron.State(**{n: _symbol_or_bank(n, s.size) for n, s in neuron.states.items()})
    flow = cell.flow(x, *(symbol(n) for n in neuron.inputs))
    whole = [sympy.sympify(_general_element(e)) for e in [*flow.values(), cell.margin(x)]]
    short, named = name_subterms(whole, [*neuron.states, *neuron.parameters])
    for mark, e in reversed(named):
        short = [s.subs(mark, e) for s in short]
    assert all(sympy.expand(a - b) == 0 for a, b in zip(short, whole, strict=True))
