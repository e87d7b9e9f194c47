"""Forward mode against the adjoint, and its Gauss-Newton matrix against derivatives of the residual trace."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from compiled_cases import DT, Exponential, noise

from ephysfit.models.adlif import AdLIF
from ephysfit.models.alif import ALIF
from ephysfit.simulation import adjoint
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.gauss_newton import gauss_newton
from ephysfit.simulation.surrogate import Surrogate

CELLS, STEPS, TAU = 5, 300, 10.0


@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("neuron", [ALIF, AdLIF, Exponential])
def test_gradient_equals_the_adjoint(neuron, detach):
    rng = np.random.default_rng(1)
    values = {k: v * torch.tensor(rng.uniform(0.95, 1.05, CELLS)) for k, v in neuron.start().values().items()}
    for name, value in values.items():
        value.requires_grad_(name != "t_ref")
    cell, current = neuron(**values), torch.tensor(noise((1, 2, STEPS)))
    targets = [[np.arange(40, STEPS, 70)] * 2]
    loss = adjoint.van_rossum_loss(cell, current, targets, DT, TAU, Surrogate(12.0), detach)
    out = gauss_newton(cell, current, targets, DT, TAU, Surrogate(12.0), detach)
    torch.testing.assert_close(out.loss, loss.detach(), rtol=1e-12, atol=1e-12)
    for k, name in enumerate(out.names):
        (expected,) = (
            torch.autograd.grad(loss.sum(), values[name], retain_graph=True, allow_unused=True)
            if (name != "t_ref")
            else (None,)
        )
        expected = torch.zeros(CELLS, dtype=torch.float64) if expected is None else expected
        torch.testing.assert_close(out.gradient[:, k], expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


def test_matrix_is_that_of_the_residual_trace():
    values = {k: torch.tensor(float(v), dtype=torch.float64) for k, v in ALIF.start().values().items()}
    names = ("C", "theta", "d_theta", "V_reset")
    current, targets = torch.tensor(noise((1, 1, 150))), np.array([40, 90])
    target = torch.zeros(150, dtype=torch.float64)
    target[targets] = 1

    def residuals(*chosen):
        cell = ALIF(**{**values, **dict(zip(names, chosen, strict=True))})
        spikes, _, _ = sequential(cell, current, DT, surrogate=Surrogate(12.0))
        e, out = torch.zeros((), dtype=torch.float64), []
        for n in range(150):
            e = np.exp(-DT / TAU) * e + spikes[0, 0, n] - target[n]
            out.append(e)
        return torch.stack(out)

    slopes = torch.stack(torch.autograd.functional.jacobian(residuals, tuple(values[n] for n in names)), -1)
    expected = slopes.T @ slopes * (1 - np.exp(-2 * DT / TAU))
    out = gauss_newton(ALIF.start(), current, [[targets]], DT, TAU, Surrogate(12.0))
    at = [out.names.index(n) for n in names]
    torch.testing.assert_close(out.matrix[0][at][:, at], expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))
