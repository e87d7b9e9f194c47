"""Equations of every neuron are well-formed MathML that says what the declaration says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from ephysfit.models import catalogue
from ephysfit.models.best import AIGIF, BankGIF
from ephysfit.models.lif import LIF
from ephysfit.reports.equations import equation_lines


def flat(math: str) -> str:
    return "".join(ET.fromstring(math).itertext()).replace("\u2062", "").replace(" ", "")


@pytest.mark.parametrize("name", catalogue())
def test_equations_are_well_formed(name: str) -> None:
    lines = equation_lines(catalogue()[name])
    assert {"between spikes", "spike", "noise"} <= {what for what, _ in lines}
    assert all(flat(math) for _, math in lines)


def test_equations_of_the_integrator() -> None:
    assert [flat(m) for _, m in equation_lines(LIF)] == ["dVdt=I−g(−EL+V)C", "V−θ≥0", "V→Vreset", "λ(u)=euδ"]


def test_banks_stay_whole_and_what_is_pinned_to_zero_is_gone() -> None:
    whole = " ".join(flat(m) for _, m in equation_lines(AIGIF))
    less = " ".join(flat(m) for _, m in equation_lines(BankGIF))
    assert not re.search(r"[KH][1-8]", whole)
    assert "∑i=18(KiRi)" in whole
    assert "η" in whole
    assert "gA" in whole
    assert "η" not in less
    assert "gA" not in less
