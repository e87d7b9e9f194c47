"""Equations of every neuron are well-formed MathML that says what the declaration says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from ephysfit.models import catalogue
from ephysfit.models.aigif import AIGIF, BankGIF
from ephysfit.models.glif import GLIF1
from ephysfit.models.izhikevich import Izhikevich2003
from ephysfit.models.lif import LIF
from ephysfit.reports.equations import find_live_states, write_equations


def flat(math: str) -> str:
    return "".join(ET.fromstring(math).itertext()).replace("\u2062", "").replace(" ", "")


@pytest.mark.parametrize("name", catalogue())
def test_equations_are_well_formed(name: str) -> None:
    lines = write_equations(catalogue()[name])
    assert {"between spikes", "spike", "noise"} <= {what for what, _ in lines}
    assert all(flat(math) for _, math in lines)


def test_equations_of_the_integrator() -> None:
    assert [flat(m) for _, m in write_equations(LIF)] == ["dVdt=I−g(−EL+V)C", "V−θ≥0", "V→Vreset", "λ(u)=euδ"]


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
    assert next(flat(m) for _, m in write_equations(GLIF1)) == "dVdt=I−g(−EL+V)C"
    assert find_live_states(GLIF1) == ["V"]


def test_a_long_tie_keeps_its_name_and_the_distance_does_not_take_that_of_a_state() -> None:
    lines = dict(write_equations(Izhikevich2003))
    whole = " ".join(flat(m) for _, m in write_equations(Izhikevich2003))
    assert "k" in whole
    assert "0.04" not in whole
    assert flat(lines["noise"]).startswith("λ(x)=")
