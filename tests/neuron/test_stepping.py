"""The discrete step in symbols: affine steps exact, others exponential Euler; coefficients with gradients."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from ephysfit.models import ALIF, LIF, AdLIF
from ephysfit.neuron.affine import operators
from ephysfit.neuron.coefficients import coefficients
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.formula import torch_function
from ephysfit.neuron.functions import exp, phi1
from ephysfit.neuron.stepping import step
from ephysfit.neuron.symbols import symbol
from ephysfit.simulation.engines.sequential import sequential


class Sharp(Neuron):
    C = Parameter("pF", 10.0, 1000.0, start=100.0)
    g = Parameter("nS", 1.0, 100.0, start=6.0)
    slope = Parameter("mV", 0.5, 10.0, start=2.0)
    theta = Parameter("mV", 1.0, 50.0, start=12.0)
    tau = Parameter("ms", 1.0, 100.0, start=30.0)
    V = State("mV")
    w = State("pA")

    def flow(self, x, I):
        upstroke = self.g * self.slope * exp((x.V - self.theta) / self.slope)
        return {"V": (-self.g * x.V + upstroke - x.w + I) / self.C, "w": (self.g * x.V - x.w) / self.tau}

    def margin(self, x):
        return x.V - 2 * self.theta

    def jump(self, x):
        return {"V": 0.0 * self.theta, "w": x.w}


def test_coefficients_are_the_entries_of_the_exact_step() -> None:
    cell = AdLIF.start()
    op, s = operators(cell, 0.1), step(AdLIF)
    values = dict(zip(s.coefs, coefficients(cell, 0.1)[0].tolist(), strict=True))
    for name, operator, i, j in s.entries:
        less = 1.0 if operator in ("free", "held") and i == j else 0.0
        assert values[name] == pytest.approx(float(getattr(op, operator)[0, i, j]) - less, rel=1e-12, abs=1e-15)


def test_entries_that_must_be_zero_are_not_asked_for() -> None:
    names = {(operator, i, j) for _, operator, i, j in step(ALIF).entries}
    assert ("free", 0, 1) not in names
    assert ("free", 1, 0) not in names
    assert ("drive", 1, 0) not in names
    assert ("held", 0, 0) not in names
    assert {("free", 0, 0), ("free", 0, 2), ("free", 1, 1), ("drive", 0, 0)} <= names


def test_gradient_of_coefficients() -> None:
    def of(C, g, slope):
        return coefficients(Sharp.start().replace(C=C, g=g, slope=slope), 0.1)

    leaves = [torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (100.0, 6.0, 2.0)]
    assert torch.autograd.gradcheck(of, leaves)


class Kicked(Neuron):
    C = Parameter("pF", 10.0, 1000.0, start=100.0)
    tau = Parameter("ms", 1.0, 100.0, start=7.0)
    kick = Parameter("mV", 1.0, 50.0, start=12.0)
    V = State("mV")
    h = State("mV")

    def flow(self, x, I):
        return {"V": -x.V * exp(x.V / self.kick) / self.tau + I / self.C, "h": -x.h / self.tau}

    def margin(self, x):
        return x.V - self.kick - x.h

    def jump(self, x):
        return {"h": x.h + self.kick}


def test_exponential_euler_is_exact_for_a_linear_state_that_stands_alone() -> None:
    """h decays by itself: however long the step, it is the exponential."""
    assert not step(Kicked).affine
    forced = torch.zeros(1, 1, 6, dtype=torch.bool)
    forced[..., 0] = True
    h = sequential(Kicked.start(), torch.zeros(1, 1, 6, dtype=torch.float64), 9.0, forced=forced)[1][0, 0, :, 1]
    assert h.tolist() == pytest.approx([12.0 * math.exp(-9.0 * k / 7.0) for k in range(6)], rel=1e-12)


def test_exponential_euler_converges_to_an_ode_solver() -> None:
    cell, I, T = Sharp.start(), 75.0, 40.0
    rhs = lambda t, x: [  # noqa: E731
        (-cell.g * x[0] + cell.g * cell.slope * np.exp((x[0] - cell.theta) / cell.slope) - x[1] + I) / cell.C,
        (cell.g * x[0] - x[1]) / cell.tau,
    ]
    want = solve_ivp(rhs, (0.0, T), [0.0, 0.0], rtol=1e-11, atol=1e-11).y[:, -1]
    errors = []
    for dt in (0.4, 0.2, 0.1, 0.05):
        steps = round(T / dt)
        none = torch.zeros(1, 1, steps, dtype=torch.bool)
        got = sequential(cell, torch.full((1, 1, steps), I, dtype=torch.float64), dt, forced=none)[1][0, 0, -1]
        errors.append(float(np.abs(got.numpy() - want).max()))
    ratios = [a / b for a, b in pairwise(errors)]
    assert errors[-1] < 0.1
    assert all(1.7 < r < 2.6 for r in ratios), (errors, ratios)


def test_functions_keep_their_digits_and_gradients() -> None:
    z = symbol("z")
    from ephysfit.neuron.symbolic_functions import phi1 as symbolic

    value = torch_function([z], symbolic(z))
    slope = torch_function([z], symbolic(z).diff(z))
    for at in (-30.0, -1.0, -1e-3, -1e-9, 0.0, 1e-9, 5e-3, 1.0, 20.0):
        x = torch.tensor(at, dtype=torch.float64)
        exact = math.expm1(at) / at if at else 1.0
        assert float(value(x)) == pytest.approx(exact, rel=1e-12)
        assert float(phi1(x)) == pytest.approx(exact, rel=1e-12)
        h = 1e-4 * max(1.0, abs(at))
        near = (math.expm1(at + h) / (at + h) - math.expm1(at - h) / (at - h)) / (2 * h)
        assert float(slope(x)) == pytest.approx(near, rel=2e-6)


def test_a_flow_with_phi1_in_it_steps() -> None:
    class Rational(Neuron):
        tau = Parameter("ms", 1.0, 100.0, start=10.0)
        k = Parameter("mV", 1.0, 100.0, start=10.0)
        R = Parameter("GOhm", 0.01, 1.0, start=0.1)
        V = State("mV")

        def flow(self, x, I):
            return {"V": (-x.V * phi1(x.V / self.k) + self.R * I) / self.tau}

        def margin(self, x):
            return x.V - self.k

        def jump(self, x):
            return {"V": 0.0}

    out = sequential(Rational.start(), torch.full((1, 1, 400), 200.0, dtype=torch.float64), 0.1)
    assert torch.isfinite(out[1]).all()
    assert out[0].sum() > 1


def test_steps_are_read_once() -> None:
    assert step(LIF) is step(LIF)
