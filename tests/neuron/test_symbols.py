"""The symbolic reading: equations as sympy, dead states gone, LaTeX and text."""

from __future__ import annotations

import sympy

from ephysfit.models import ALIF, LIF, AdLIF
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.symbolic_functions import dphi1, phi1, sigmoid, softplus
from ephysfit.neuron.symbols import MARGIN, equations, latex, symbol, text


class Chain(Neuron):
    tau = Parameter("ms", 1.0, 100.0, "time constant")
    kick = Parameter("mV", -10.0, 10.0, "kick")
    V = State("mV")
    a = State("mV")
    b = State("mV")
    unread = State("mV")

    def flow(self, x, I):
        return {
            "V": (x.a - x.V) / self.tau,
            "a": (x.b - x.a) / self.tau,
            "b": -x.b / self.tau,
            "unread": -x.unread / self.tau,
        }

    def margin(self, x):
        return x.V - 10 * self.kick

    def jump(self, x):
        return {"b": x.b + self.kick, "unread": self.kick}


def test_equations_are_the_declared_ones() -> None:
    eq = equations(AdLIF)
    s = {n: symbol(n) for n in ("V", "w", "I", "C", "g", "E_L", "a", "tau_w", "b", "theta", "V_reset", "delta")}
    assert sympy.simplify(eq.flow["V"] - (-s["g"] * (s["V"] - s["E_L"]) - s["w"] + s["I"]) / s["C"]) == 0
    assert sympy.simplify(eq.flow["w"] - (s["a"] * (s["V"] - s["E_L"]) - s["w"]) / s["tau_w"]) == 0
    assert eq.margin == s["V"] - s["theta"]
    assert eq.jump == {"V": s["V_reset"], "w": s["w"] + s["b"]}
    assert eq.rest["V"] == s["E_L"]
    assert float(eq.rest["w"]) == 0
    assert eq.held == ("V",)
    assert sympy.simplify(eq.hazard - sympy.exp(MARGIN / s["delta"])) == 0


def test_states_that_reach_the_margin_at_second_hand_stay_and_those_nothing_reads_go() -> None:
    assert equations(Chain).states == ("V", "a", "b")


def test_states_that_only_pinned_values_could_move_go() -> None:
    still = Chain.pin("Still", kick=0.0)
    assert equations(still).states == ()
    assert float(equations(still).margin) == 0


def test_latex_and_text() -> None:
    assert latex(ALIF)[-1].startswith(r"\lambda(u) = e^")
    assert any(r"\geq 0" in line for line in latex(ALIF))
    assert "V -> V_reset" in text(LIF)
    assert any(line.startswith("dV/dt = ") for line in text(LIF))


def test_special_functions_have_right_derivatives() -> None:
    """Against the plain forms, numerically."""
    z = sympy.Symbol("z", real=True)
    forms = {
        softplus: sympy.log(1 + sympy.exp(z)),
        sigmoid: 1 / (1 + sympy.exp(-z)),
        phi1: (sympy.exp(z) - 1) / z,
        dphi1: (sympy.exp(z) * (z - 1) + 1) / z**2,
    }
    plain = lambda e: e.replace(lambda a: type(a) in forms, lambda a: forms[type(a)].subs(z, a.args[0]))  # noqa: E731
    for function, form in forms.items():
        for at in (-2.3, 0.7, 3.1):
            got = plain(function(z).diff(z)).subs(z, at)
            assert abs(float(got - form.diff(z).subs(z, at))) < 1e-9
