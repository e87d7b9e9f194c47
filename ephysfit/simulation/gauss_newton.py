"""Forward mode: loss, gradient and Gauss-Newton matrix of the van Rossum distance in one pass, without checkpoints.

For fewer than about ten parameters: second-order fits and standard errors from the residual trace itself. Costs about
two to four times the adjoint's gradient and grows with the number of coefficients; the adjoint wins beyond ten.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ephysfit.errors import SimulationError
from ephysfit.kernels.generate import kernel
from ephysfit.kernels.signature import arrange_arguments
from ephysfit.kernels.threads import share
from ephysfit.kernels.tiles import NARROW, Lists
from ephysfit.neuron.affine import tensors
from ephysfit.neuron.coefficients import coefficients
from ephysfit.neuron.declare import Neuron, flatten, unflatten
from ephysfit.simulation.engines.compiled import Problem
from ephysfit.simulation.engines.kernel_call import apply_tiles
from ephysfit.simulation.surrogate import Surrogate

#: tangents a kernel carries at most; beyond, compiling takes minutes and the adjoint is faster anyway
MOST = 80


@dataclass(frozen=True, eq=False)
class GaussNewton:
    """Van Rossum distance and its local quadratic model, per cell and summed over trials.

    Attributes
    ----------
    names : tuple of str
        Parameters, banks unrolled.
    loss : Tensor, (cell,)
    gradient : Tensor, (cell, parameter)
    matrix : Tensor, (cell, parameter, parameter)
        Gauss-Newton approximation of the second derivative.
    """

    names: tuple[str, ...]
    loss: Tensor
    gradient: Tensor
    matrix: Tensor


def gauss_newton(
    neuron: Neuron,
    current: Any,
    target_events: Any,
    dt: float,
    tau: float,
    surrogate: Surrogate | None = None,
    detach: bool = False,
    *,
    dtype: Any = np.float64,
) -> GaussNewton:
    """Loss, gradient and Gauss-Newton matrix by the physical parameters; arguments as `adjoint.van_rossum_loss`."""
    from ephysfit.kernels.step_algebra import pieces

    lists = target_events if isinstance(target_events, Lists) else Lists.of(target_events, current.shape[2])
    size = len(pieces(type(neuron)).tangents(detach).active) * len(pieces(type(neuron)).y)
    if size > MOST:
        raise SimulationError(
            f"{type(neuron).__name__} has {size} tangents (states times coefficients), more than {MOST}; "
            f"use adjoint.van_rossum_loss and its gradient"
        )
    names, coefs, slopes = _by_parameter(neuron, dt)
    given = {"targets": lists, "dtype": dtype, "coefs": coefs.numpy()}
    problem = Problem.of(neuron, current, dt, **given)
    if problem.layout.lanes * problem.coefs.itemsize > NARROW:  # tangents fill the registers: one vector each
        problem = Problem.of(neuron, current, dt, lanes=NARROW // problem.coefs.itemsize, **given)
    surrogate = surrogate or Surrogate()
    rows, count = problem.refractory.size, coefs.shape[1]
    go = kernel(problem.neuron, "tangent", problem.variant(trace=True, window=surrogate.shape, detach=detach))
    loss, gradient, matrix = np.zeros(rows), np.zeros((count, rows)), np.zeros((count, count, rows))
    numbers = problem.numbers(tau=tau, width=surrogate.width)
    arguments = arrange_arguments(
        "tangent", numbers=numbers, **problem.row(), loss=loss, gradient=gradient, matrix=matrix
    )
    work = 8 * rows * problem.steps
    share(partial(apply_tiles, go, arguments, problem.scratch("tangent")), problem.layout.tiles, work)
    unit = -0.5 * np.expm1(-2 * dt / tau)
    per_cell = lambda x: torch.from_numpy(np.moveaxis(problem.layout.scatter(x).sum(-1), -1, 0) * unit)  # noqa: E731
    full = per_cell(matrix)
    full = full + full.transpose(1, 2) - torch.diag_embed(full.diagonal(dim1=1, dim2=2))
    return GaussNewton(
        names=names,
        loss=per_cell(loss),
        gradient=2 * torch.einsum("ck,ckp->cp", per_cell(gradient), slopes),
        matrix=2 * torch.einsum("ckp,ckl,clq->cpq", slopes, full, slopes),
    )


def _by_parameter(neuron: Neuron, dt: float) -> tuple[tuple[str, ...], Tensor, Tensor]:
    """Parameter names, coefficients (cell, coef) and their derivatives (cell, coef, parameter)."""
    cell = tensors(neuron)
    declared = type(neuron).parameters
    flat = {k: v.detach().clone().requires_grad_() for k, v in flatten(declared, cell.values()).items()}
    coefs = coefficients(type(neuron)(**unflatten(declared, flat)), dt)
    columns = [
        torch.autograd.grad(coefs[:, k].sum(), list(flat.values()), retain_graph=True, allow_unused=True)
        if coefs[:, k].requires_grad
        else (None,) * len(flat)
        for k in range(coefs.shape[1])
    ]
    zero = torch.zeros(coefs.shape[0], dtype=torch.float64)
    slopes = torch.stack([torch.stack([zero if g is None else g for g in row], -1) for row in columns], 1)
    return tuple(flat), coefs.detach(), slopes
