"""The adjoint's nodes in torch's graph: a kernel forward, its reverse kernel backward."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ephysfit.errors import SimulationError
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.engines.compiled import Problem
from ephysfit.simulation.engines.kernel_call import KernelResult
from ephysfit.simulation.surrogate import Surrogate


def _problem(coefs: Tensor, current: Tensor, neuron: Neuron, dt: float, dtype: torch.dtype, **what: Any) -> Problem:
    return Problem.of(neuron, current, dt, dtype=dtype, coefs=coefs.detach().numpy(), **what)


def _back(
    ctx: Any, problem: Problem, result: KernelResult, weight: np.ndarray | float, **how: Any
) -> tuple[Tensor, Tensor | None, None, None, None]:
    """Gradients with respect to coefficients and current; `weight` (cell, trial) multiplies rows after the kernel."""
    per_row, driven = problem.reverse(result, drive=ctx.needs_input_grad[1], **how)
    return _collect(ctx, problem, per_row, driven, weight)


def _collect(
    ctx: Any, problem: Problem, per_row: np.ndarray, driven: np.ndarray, weight: np.ndarray | float
) -> tuple[Tensor, Tensor | None, None, None, None]:
    """What the reverse kernel gives by row and lane, in the shapes of coefficients and current."""
    wanted = ctx.needs_input_grad[1]
    by_cell = (per_row * weight).sum(-1)
    cells = problem.coef_cells
    by_coef = torch.from_numpy(by_cell if cells > 1 else by_cell.sum(-1, keepdims=True)).T
    if not wanted:
        return by_coef.contiguous(), None, None, None, None
    rows = problem.layout.scatter_traces(driven)  # (cell, trial, input, time)
    if not isinstance(weight, float):
        rows = rows * weight[..., None, None]
    full = torch.from_numpy(np.require(rows, requirements="W")).movedim(2, 3)
    by_current = full.sum_to_size(*ctx.current_shape[:2], *full.shape[2:])
    return by_coef.contiguous(), by_current.reshape(ctx.current_shape).to(ctx.current_dtype), None, None, None


def _first_derivative(backward: Callable) -> Callable:
    """Refuse a second derivative: the kernels' gradient would enter it as a constant, without a word.

    torch's ``once_differentiable`` refuses only where the incoming gradient depends on a parameter.
    """

    @wraps(backward)
    def once(ctx: Any, *grads: Tensor) -> tuple:
        if torch.is_grad_enabled():
            raise SimulationError(
                "create_graph=True: the compiled engine's adjoint gives first derivatives only; for second ones use "
                "engine='sequential', the definition as torch operations"
            )
        return backward(ctx, *grads)  # type: ignore[no-any-return]

    return once


def _remember(ctx: Any, current: Tensor, *values: Any) -> None:
    ctx.current_shape, ctx.current_dtype, ctx.values = current.shape, current.dtype, values


class Spikes(torch.autograd.Function):
    """Spikes of a run."""

    @staticmethod
    def forward(ctx: Any, coefs: Tensor, current: Tensor, neuron: Neuron, dt: float, settings: tuple) -> Tensor:  # type: ignore[override]
        surrogate, detach, dtype = settings
        problem = _problem(coefs, current, neuron, dt, dtype)
        result = problem.forward(keep=any(ctx.needs_input_grad))
        result.refuse_bad_input()
        _remember(ctx, current, problem, result, surrogate, detach)
        return torch.from_numpy(result.raster()).to(dtype)

    @staticmethod
    @_first_derivative
    def backward(ctx: Any, grad: Tensor) -> tuple:  # type: ignore[override]
        problem, result, surrogate, detach = ctx.values
        dense = grad.contiguous().numpy()
        return _back(
            ctx, problem, result, 1.0, source="spikes", surrogate=surrogate, detach=detach, tau=None, dense=dense
        )


class Carried(torch.autograd.Function):
    """Spikes of a run from a given state, the state at its end, and the refractory steps left."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, coefs: Tensor, current: Tensor, states: Tensor | None, hold: Tensor | None, neuron: Neuron,
        dt: float, settings: tuple,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        surrogate, detach, dtype = settings
        problem = _problem(coefs, current, neuron, dt, dtype)
        start = None
        if states is not None and hold is not None:
            left = hold.numpy().reshape(-1)[problem.layout.row]
            start = _by_lane(problem, states), left.astype(np.int32)
        result = problem.run(keep=any(ctx.needs_input_grad), start=start)
        result.refuse_bad_input()
        ctx.first = np.full(problem.refractory.size, float(start is None), problem.element)
        _remember(ctx, current, problem, result, surrogate, detach)
        final = np.moveaxis(problem.layout.scatter(result.final[: problem.states]), 0, -1)
        left = problem.layout.scatter(np.maximum(result.final_refractory_until - problem.steps, 0))
        spikes, ends, held = torch.from_numpy(result.raster()).to(dtype), torch.tensor(final), torch.tensor(left)
        held = held.to(torch.int64)
        ctx.mark_non_differentiable(held)
        return spikes, ends.to(torch.float64), held

    @staticmethod
    @_first_derivative
    def backward(ctx: Any, grad: Tensor, by_end: Tensor, _: Tensor) -> tuple:  # type: ignore[override]
        problem, result, surrogate, detach = ctx.values
        wanted = ctx.needs_input_grad[1]
        how = {"source": "spikes", "surrogate": surrogate, "detach": detach, "tau": None, "drive": wanted}
        dense = np.ascontiguousarray(grad.numpy(), problem.element)
        gradient, driven, earlier = problem.run_back(
            result, dense=dense, later=_by_lane(problem, by_end), first=ctx.first, **how
        )
        by_coef, by_current = _collect(ctx, problem, problem.layout.scatter(gradient), driven, 1.0)[:2]
        by_start = None
        if ctx.needs_input_grad[2]:
            by_start = torch.tensor(np.moveaxis(problem.layout.scatter(earlier), 0, -1)).to(torch.float64)
        return by_coef, by_current, by_start, None, None, None, None


def _by_lane(problem: Problem, states: Tensor) -> np.ndarray:
    """(cell, trial, state) as the kernels keep it, (state, lane)."""
    flat = states.detach().numpy().reshape(-1, problem.states).T
    return np.ascontiguousarray(flat[:, problem.layout.row], problem.element)


class Margins(torch.autograd.Function):
    """Margins of a replay."""

    @staticmethod
    def forward(ctx: Any, coefs: Tensor, current: Tensor, neuron: Neuron, dt: float, settings: tuple) -> Tensor:  # type: ignore[override]
        forced, dtype = settings
        problem = _problem(coefs, current, neuron, dt, dtype, forced=forced)
        result = problem.forward(keep=any(ctx.needs_input_grad), save=(-1,))
        result.refuse_bad_input()
        _remember(ctx, current, problem, result)
        out = problem.layout.scatter_traces(result.saved[:, 0])
        return torch.from_numpy(np.ascontiguousarray(out))

    @staticmethod
    @_first_derivative
    def backward(ctx: Any, grad: Tensor) -> tuple:  # type: ignore[override]
        problem, result = ctx.values
        how = {"source": "margins", "surrogate": Surrogate(), "detach": True, "tau": None}
        return _back(ctx, problem, result, 1.0, dense=grad.contiguous().numpy(), **how)


class Replayed(torch.autograd.Function):
    """Sum of a weight over given spikes, by cell."""

    @staticmethod
    def forward(ctx: Any, coefs: Tensor, current: Tensor, neuron: Neuron, dt: float, settings: tuple) -> Tensor:  # type: ignore[override]
        lists, asked, surrogate, detach, dtype = settings
        problem = _problem(coefs, current, neuron, dt, dtype, forced=lists)
        result = problem.forward(keep=any(ctx.needs_input_grad))
        result.refuse_bad_input()
        dense = np.ascontiguousarray(asked, problem.element)
        _remember(ctx, current, problem, result, surrogate, detach, dense)
        rows = np.repeat(np.arange(len(lists.begin) - 1), np.diff(lists.begin))
        by_row = np.bincount(rows, dense.reshape(-1, dense.shape[-1])[rows, lists.at], len(lists.begin) - 1)
        return torch.from_numpy(by_row.reshape(lists.shape).sum(-1).astype(np.float64))

    @staticmethod
    @_first_derivative
    def backward(ctx: Any, grad: Tensor) -> tuple:  # type: ignore[override]
        problem, result, surrogate, detach, dense = ctx.values
        how = {"source": "spikes", "surrogate": surrogate, "detach": detach, "tau": None, "dense": dense}
        return _back(ctx, problem, result, grad.numpy()[:, None], **how)


class VanRossum(torch.autograd.Function):
    """Squared van Rossum distance to given spikes, by cell."""

    @staticmethod
    def forward(ctx: Any, coefs: Tensor, current: Tensor, neuron: Neuron, dt: float, settings: tuple) -> Tensor:  # type: ignore[override]
        lists, tau, surrogate, detach, dtype = settings
        problem = _problem(coefs, current, neuron, dt, dtype, targets=lists)
        result = problem.forward(keep=any(ctx.needs_input_grad), tau=tau)
        result.refuse_bad_input()
        unit = -0.5 * np.expm1(-2 * dt / tau)  # the integral over one step of a trace that decays from 1, over tau
        _remember(ctx, current, problem, result, tau, surrogate, detach, unit)
        return torch.from_numpy(problem.layout.scatter(result.loss).sum(-1) * unit)

    @staticmethod
    @_first_derivative
    def backward(ctx: Any, grad: Tensor) -> tuple:  # type: ignore[override]
        problem, result, tau, surrogate, detach, unit = ctx.values
        weight = grad.numpy()[:, None] * unit
        return _back(
            ctx, problem, result, weight, source="trace", surrogate=surrogate, detach=detach, tau=tau, dense=None
        )


class Escape(torch.autograd.Function):
    """Negative log-likelihood under escape noise, by cell."""

    @staticmethod
    def forward(ctx: Any, coefs: Tensor, current: Tensor, neuron: Neuron, dt: float, settings: tuple) -> Tensor:  # type: ignore[override]
        forced, dtype = settings
        problem = _problem(coefs, current, neuron, dt, dtype, forced=forced)
        result = problem.forward(keep=any(ctx.needs_input_grad), escape=True)
        result.refuse_bad_input()
        _remember(ctx, current, problem, result)
        return torch.from_numpy(-problem.layout.scatter(result.loss).sum(-1))

    @staticmethod
    @_first_derivative
    def backward(ctx: Any, grad: Tensor) -> tuple:  # type: ignore[override]
        problem, result = ctx.values
        how = {"source": "escape", "surrogate": Surrogate(), "detach": True, "tau": None, "dense": None}
        return _back(ctx, problem, result, -grad.numpy()[:, None], **how)
