"""The reading in physical dimensions."""

from __future__ import annotations

import pytest

from ephysfit.errors import UnitsError
from ephysfit.models import ALIF, LIF, AdLIF, BlockALIF
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.dimensions import Dimension, check_units
from ephysfit.neuron.functions import exp, sqrt
from ephysfit.units import DIMENSIONS, find_dimension


def neuron(flow=None, margin=None, jump=None, hazard=None) -> type[Neuron]:
    class Test(Neuron):
        C = Parameter("pF", 10.0, 100.0)
        g = Parameter("nS", 1.0, 10.0)
        theta = Parameter("mV", 1.0, 10.0)
        tau = Parameter("ms", 1.0, 10.0)
        V = State("mV")
        h = State("mV", size=2)

    Test.flow = flow or (lambda self, x, I: {"V": (-self.g * x.V + I) / self.C, "h": -x.h / self.tau})
    Test.margin = margin or (lambda self, x: x.V - self.theta - x.h.sum())
    Test.jump = jump or (lambda self, x: {"V": 0.0, "h": x.h + self.theta})
    Test.hazard = hazard
    return Test


@pytest.mark.parametrize("model", [LIF, ALIF, AdLIF, BlockALIF, neuron()])
def test_right_units_pass(model) -> None:
    check_units(model)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"flow": lambda self, x, I: {"V": -self.g * x.V / self.C + I}}, r"mV/ms \+ pA"),
        ({"flow": lambda self, x, I: {"V": -self.g * x.V + I}}, "dV/dt has unit pA; it must be mV/ms"),
        ({"flow": lambda self, x, I: {"h": -x.h / self.C}}, "dh_1/dt has unit"),
        ({"margin": lambda self, x: (x.V - self.theta) * self.g}, "margin has unit pA; it must be mV"),
        ({"margin": lambda self, x: x.V - 50.0}, "mV - 1"),
        ({"jump": lambda self, x: {"V": self.tau}}, "V becomes ms, but it is in mV"),
        ({"hazard": lambda self, u: exp(u)}, r"exp\(u\): mV, but exp takes a pure number"),
        ({"hazard": lambda self, u: u / self.tau}, "hazard has unit mV/ms"),
    ],
)
def test_wrong_units_are_named(wrong, words) -> None:
    with pytest.raises(UnitsError, match=words):
        check_units(neuron(**wrong))


def test_hazards_may_be_pure_or_per_ms() -> None:
    check_units(neuron(hazard=lambda self, u: exp(u / self.theta)))
    check_units(neuron(hazard=lambda self, u: exp(u / self.theta) / self.tau))


def test_a_pinned_neuron_is_checked_as_declared() -> None:
    check_units(AdLIF.pin("P", a=0.0, tau_w=lambda p: p.C / p.g))


def test_the_units_are_coherent() -> None:
    """pF/nS = ms, nS mV = pA, GOhm pA = mV, pF mV/ms = pA: no hidden factors."""
    of = lambda unit: Dimension(find_dimension(unit), unit)  # noqa: E731
    assert (of("pF") / of("nS")).powers == find_dimension("ms")
    assert (of("nS") * of("mV")).powers == find_dimension("pA")
    assert (of("GOhm") * of("pA")).powers == find_dimension("mV")
    assert (of("pF") * of("mV") / of("ms")).powers == find_dimension("pA")
    assert (of("mV") ** 2 * of("pA/mV**2")).powers == find_dimension("pA")
    assert sqrt(of("mV") * of("mV")).powers == find_dimension("mV")
    assert len(set(DIMENSIONS.values())) == len(DIMENSIONS)
