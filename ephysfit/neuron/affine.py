"""A neuron read as matrices: an affine map is known from its values at zero and at the unit vectors.

One matrix exponential of ``[[A, c, b], 0, 0] dt`` is the exact step for a current that is constant over ``dt``: it
holds the transition, the constant drive and the input drive, with no case work where time constants coincide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import sympy
import torch
from torch import Tensor

from ephysfit.errors import NotAffineError
from ephysfit.neuron.declare import Neuron, cellwise, flatten, pack_state
from ephysfit.neuron.symbols import equations, symbol


@dataclass(frozen=True, eq=False)
class Operators:
    """The exact step of an affine neuron as matrices over (live states, 1); D = states + 1, K = inputs.

    Attributes
    ----------
    free, held : Tensor, (cell, D, D)
        Step between spikes and step while refractory.
    drive, held_drive : Tensor, (cell, D, K)
        Effect of one pA held over the step.
    jump : Tensor, (cell, D, D)
        What a spike does.
    margin : Tensor, (cell, D)
        Distance to threshold, mV.
    rest : Tensor, (cell, D)
        State a run starts from.
    n_ref : Tensor of int64, (cell,)
        Refractory steps.
    states : tuple of str
        Live states, in the order of the rows.
    """

    free: Tensor
    drive: Tensor
    held: Tensor
    held_drive: Tensor
    jump: Tensor
    margin: Tensor
    rest: Tensor
    n_ref: Tensor
    states: tuple[str, ...]


@cache
def is_affine(neuron: type[Neuron]) -> bool:
    """Whether flow, margin and jump are affine in the states and the input."""
    eq = equations(neuron)
    variables = [symbol(n) for n in (*eq.states, *eq.inputs)]
    return all(_affine(e, variables) for e in (*eq.flow.values(), *eq.jump.values(), eq.margin))


def _affine(expression: sympy.Expr, variables: list[sympy.Symbol]) -> bool:
    slopes = [sympy.diff(expression, v) for v in variables]
    return not any(s.has(v) for s in slopes for v in variables)


def refuse_unless_affine(neuron: type[Neuron], engine: str) -> None:
    """Raise NotAffineError with the way out."""
    if not is_affine(neuron):
        raise NotAffineError(
            f"{neuron.__name__} is not affine in its states and input, which engine {engine!r} needs; "
            f"use engine='sequential' or 'compiled', which step any neuron"
        )


def refractory_steps(neuron: Neuron, dt: float) -> Tensor:
    """Refractory period in whole steps, one per cell; 0 for a neuron without ``t_ref``."""
    t_ref = getattr(neuron, "t_ref", 0.0)
    cells = cellwise(neuron)
    steps = torch.round(torch.as_tensor(t_ref, dtype=torch.float64).detach() / dt)
    return steps.to(torch.int64).reshape(-1).expand(cells).contiguous()


def tensors(neuron: Neuron) -> Neuron:
    """The same cell(s) with every parameter a float64 tensor over the axis `cell`."""
    cells = cellwise(neuron)

    def one(v: Any) -> Tensor:
        t = v if isinstance(v, Tensor) else torch.tensor(float(v), dtype=torch.float64)
        return t.to(torch.float64).reshape(-1).expand(cells)

    return neuron.replace(**{k: v.map(one) if hasattr(v, "map") else one(v) for k, v in neuron.values().items()})


def matrices(neuron: Neuron) -> dict[str, Tensor]:
    """Continuous matrices of the live states: ``flow`` (cell, d, d+1+K), ``jump``, ``margin``, ``rest``."""
    cell = tensors(neuron)
    eq = equations(type(neuron))
    names, live = type(neuron).state_names(), eq.states
    cells, inputs = cellwise(cell), len(eq.inputs)
    rest = {n: _column(getattr(cell, r) if isinstance(r, str) else r, cells) for n, r in type(neuron).rests().items()}

    def at(equation: str, point: list[float]) -> Tensor:
        flat = {n: rest[n] for n in names} | {n: _column(p, cells) for n, p in zip(live, point, strict=False)}
        x = pack_state(type(neuron), flat)
        if equation == "flow":
            out = cell.flow(x, *[_column(p, cells) for p in point[len(live) :]])
            values = {n: torch.zeros(cells, dtype=torch.float64) for n in names} | _flat(neuron, out)
        elif equation == "jump":
            values = flat | _flat(neuron, cell.jump(x))
        else:
            return _column(cell.margin(x), cells)[:, None]
        return torch.stack([_column(values[n], cells) for n in live], -1)

    def read(equation: str) -> Tensor:
        d = len(live) + inputs
        zero = at(equation, [0.0] * d)
        columns = [at(equation, [float(i == j) for j in range(d)]) - zero for i in range(d)]
        return torch.stack([*columns[: len(live)], zero, *columns[len(live) :]], -1)

    d = len(live)
    return {
        "flow": read("flow"),
        "jump": read("jump")[..., : d + 1],
        "margin": read("margin")[:, 0, : d + 1],
        "rest": torch.stack([rest[n] for n in live], -1),
    }


def _flat(neuron: Neuron, given: dict[str, Any]) -> dict[str, Any]:
    return flatten({k: type(neuron).states[k] for k in given}, given)


def _column(value: Any, cells: int) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64).reshape(-1).expand(cells)


def operators(neuron: Neuron, dt: float) -> Operators:
    """The exact step of an affine neuron over ``dt`` ms, differentiable in its parameters.

    Raises
    ------
    NotAffineError
        If an equation is not affine in the states and the input.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> round(float(operators(cell, 0.1).free[0, 0, 0]), 6)   # exp(-dt g / C)
    0.995012
    """
    refuse_unless_affine(type(neuron), "operators")
    m = matrices(neuron)
    eq = equations(type(neuron))
    cells, d, _ = m["flow"].shape
    mask = torch.tensor([n not in eq.held for n in eq.states], dtype=torch.float64)[:, None]
    free, drive = _exact(m["flow"], dt)
    held, held_drive = _exact(m["flow"] * mask, dt)
    one = m["flow"].new_zeros(cells, 1, d + 1)
    one[..., -1] = 1
    return Operators(
        free=free,
        drive=drive,
        held=held,
        held_drive=held_drive,
        jump=torch.cat([m["jump"], one], 1),
        margin=m["margin"],
        rest=torch.cat([m["rest"], m["rest"].new_ones(cells, 1)], -1),
        n_ref=refractory_steps(neuron, dt),
        states=eq.states,
    )


def _exact(flow: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """Transition (cell, D, D) and drive (cell, D, K) of one step, by one matrix exponential."""
    cells, d, width = flow.shape
    square = torch.cat([flow, flow.new_zeros(cells, width - d, width)], 1)
    step = torch.linalg.matrix_exp(dt * square)
    D = d + 1
    drive = torch.cat([step[:, :d, D:], step.new_zeros(cells, 1, width - D)], 1)
    return step[:, :D, :D], drive
