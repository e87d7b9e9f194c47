"""The exact step against closed forms and against integration that knows no matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from ephysfit.errors import NotAffineError
from ephysfit.models import ALIF, LIF, AdLIF, BlockALIF
from ephysfit.neuron.affine import exponentiate, operators
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.step_kinds import is_affine, refractory_steps

LIF_CELL = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)


class Square(Neuron):
    k = Parameter("pA/mV**2", 0.1, 10.0, "curvature")
    C = Parameter("pF", 10.0, 1000.0, "capacitance")
    V = State("mV")

    def flow(self, x, I):
        return {"V": (self.k * x.V * x.V + I) / self.C}

    def margin(self, x):
        return x.V

    def jump(self, x):
        return {"V": 0.0}


@pytest.mark.parametrize("dt", [0.01, 0.1, 1.0, 50.0])
def test_lif_step_is_the_textbook_formula(dt: float) -> None:
    op = operators(LIF_CELL, dt)
    beta = math.exp(-dt * 5.0 / 100.0)
    assert float(op.free[0, 0, 0]) == pytest.approx(beta, rel=1e-13)
    assert float(op.free[0, 0, 1]) == pytest.approx(-70.0 * (1 - beta), rel=1e-11)
    assert float(op.drive[0, 0, 0]) == pytest.approx((1 - beta) / 5.0, rel=1e-11)
    assert op.held[0].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert op.held_drive.abs().max() == 0
    assert op.jump[0].tolist() == [[0.0, -65.0], [0.0, 1.0]]
    assert op.margin[0].tolist() == [1.0, 50.0]
    assert op.rest[0].tolist() == [-70.0, 1.0]


def test_two_steps_are_one_of_twice_the_length() -> None:
    cell = AdLIF.start()
    one, two = operators(cell, 0.3), operators(cell, 0.6)
    torch.testing.assert_close(one.free @ one.free, two.free, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one.free @ one.drive + one.drive, two.drive, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("a", [0.5, 40.0])
def test_adlif_step_against_an_ode_solver(a: float) -> None:
    """Overdamped and resonating."""
    cell, dt, I = AdLIF.start().replace(a=a, tau_w=20.0), 5.0, 130.0
    op = operators(cell, dt)
    x0 = [-60.0, 25.0]
    rhs = lambda t, x: [  # noqa: E731
        (-cell.g * (x[0] - cell.E_L) - x[1] + I) / cell.C,
        (a * (x[0] - cell.E_L) - x[1]) / cell.tau_w,
    ]
    want = solve_ivp(rhs, (0.0, dt), x0, rtol=1e-11, atol=1e-11).y[:, -1]
    got = op.free[0] @ torch.tensor([*x0, 1.0], dtype=torch.float64) + op.drive[0, :, 0] * I
    assert got[:2].tolist() == pytest.approx(want.tolist(), rel=1e-8)


def test_equal_time_constants_need_no_case_work() -> None:
    equal = operators(AdLIF.start().replace(tau_w=20.0, C=100.0, g=5.0, a=0.0), 0.1)
    near = operators(AdLIF.start().replace(tau_w=20.0 + 1e-6, C=100.0, g=5.0, a=0.0), 0.1)
    assert torch.isfinite(equal.free).all()
    torch.testing.assert_close(equal.free, near.free, rtol=1e-6, atol=1e-9)


def test_gradient_of_the_step() -> None:
    def entries(C, g, tau_a):
        op = operators(ALIF.start().replace(C=C, g=g, tau_a=tau_a), 0.1)
        return op.free, op.drive

    leaves = [torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (100.0, 5.0, 80.0)]
    assert torch.autograd.gradcheck(entries, leaves)


def test_cells_are_an_axis() -> None:
    C = torch.tensor([50.0, 100.0, 200.0], dtype=torch.float64)
    many = operators(LIF_CELL.replace(C=C), 0.1)
    for k in range(3):
        one = operators(LIF_CELL.replace(C=float(C[k])), 0.1)
        torch.testing.assert_close(many.free[k], one.free[0], rtol=1e-14, atol=0.0)


@pytest.mark.parametrize(
    ("t_ref", "dt", "steps"), [(0.0, 0.1, 0), (2.0, 0.1, 20), (0.3, 0.1, 3), (2.04, 0.1, 20), (2.0, 4.0, 0)]
)
def test_refractory_steps(t_ref: float, dt: float, steps: int) -> None:
    assert refractory_steps(LIF_CELL.replace(t_ref=t_ref), dt).tolist() == [steps]


def test_refractory_steps_per_cell() -> None:
    cell = LIF_CELL.replace(t_ref=torch.tensor([0.0, 1.0, 2.5]), C=torch.tensor([1.0, 2.0, 3.0]) * 100)
    assert refractory_steps(cell, 0.5).tolist() == [0, 2, 5]


def test_what_is_not_affine_is_refused_with_the_way_out() -> None:
    assert is_affine(ALIF)
    assert not is_affine(Square)
    with pytest.raises(NotAffineError, match="engine='sequential' or 'compiled'"):
        operators(Square.start(), 0.1)


@pytest.mark.parametrize("size", [1e-8, 1.0, 1e9])
def test_a_large_gradient_keeps_its_digits(size: float) -> None:
    """A loss times a number has the gradient times that number: torch's own matrix exponential loses half of it."""
    cell = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in AdLIF.start().values().items()}
    op = operators(AdLIF(**cell), 0.1)
    loss = (op.free * torch.arange(1.0, 10.0, dtype=torch.float64).reshape(3, 3).cos()).sum() + 0.3 * op.drive.sum()
    plain, scaled = (
        torch.autograd.grad(k * loss, [cell["C"], cell["g"], cell["tau_w"], cell["a"]], retain_graph=True)
        for k in (1.0, size)
    )
    for a, b in zip(plain, scaled, strict=True):
        torch.testing.assert_close(b / size, a, rtol=1e-13, atol=0)


def test_the_matrix_exponential_has_its_derivative() -> None:
    from ephysfit.neuron.affine import _Exponential

    a = torch.randn(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(_Exponential.apply, (a,))
    assert torch.autograd.gradgradcheck(_Exponential.apply, (a,))
    jacobian = torch.func.jacrev(_Exponential.apply)(a)
    torch.testing.assert_close(jacobian, torch.func.jacrev(torch.linalg.matrix_exp)(a.detach()))


@pytest.mark.parametrize("x", [3e-4, 3e-3, 0.01, 0.02, 0.03, 0.045, 0.049, 0.06, 0.3])
def test_one_cell_alone_has_the_last_digits_of_its_exponential(x):
    """torch's exponential of a single matrix loses six digits here; of two it loses none."""
    flow = torch.tensor([[[-x, 0.0], [0.0, -x / 5]]], dtype=torch.float64)
    np.testing.assert_allclose(exponentiate(flow)[0].diagonal(), np.exp([-x, -x / 5]), rtol=1e-15)
    cell = BlockALIF.start().replace(C=1.0, g=x)
    assert float(operators(cell, 1.0).drive[0, 0, 0]) == pytest.approx(-np.expm1(-x) / x, rel=4e-15)
