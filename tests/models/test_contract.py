"""The house contract on every neuron of the catalogue."""

from __future__ import annotations

import pytest

from ephysfit.check import check_neuron
from ephysfit.models import catalogue

#: all but the engines' twins and the adjoint, which compile kernels
QUICK = ("units", "states", "symbols", "parameters", "rest", "copies", "free vector", "hazard", "step")
ALL = list(catalogue().values())


#: the equations of AGIF, IGIF and AIGIF again, with more or fewer of the same parameters free
AGAIN = {"FreeAGIF", "FreeIGIF", "BankIGIF"}
EVERY_DAY = [pytest.param(n, id=n.__name__, marks=[pytest.mark.slow] * (n.__name__ in AGAIN)) for n in ALL]


@pytest.mark.parametrize("neuron", EVERY_DAY)
def test_keeps_the_contract(neuron):
    check_neuron(neuron, only=QUICK)


#: one of every build: banks, products of states, functions, two inputs, upstrokes, no reset (all were run once)
BUILDS = ("GLIF5", "BRF", "SpatialSTC", "IGIF", "AGIF", "AdEx", "Izhikevich", "MATV", "CSiLIF")


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDS)
def test_engines_and_adjoint_agree(name):
    check_neuron(catalogue()[name], only=("engines", "adjoint"))
