"""A neuron read as matrices: the slopes and the constants of its affine equations.

One matrix exponential of ``[[A, c, b], 0, 0] dt`` is the exact step for a current that is constant over ``dt``: it
holds the transition, the constant drive and the input drive, with no case work where time constants coincide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ephysfit.neuron.declare import Neuron, cellwise, flatten
from ephysfit.neuron.formula import of_tensors
from ephysfit.neuron.plan import plan
from ephysfit.neuron.step_kinds import refuse_unless_affine

#: rates below this, 1/ms, set no unit for what drives the states
TINY = 1e-6


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


def count_refractory_steps(neuron: Neuron, dt: float) -> Tensor:
    """`step_kinds.refractory_steps` as a tensor on the device that holds the cells."""
    steps = torch.round(torch.as_tensor(neuron.refractory_ms, dtype=torch.float64).detach() / dt)
    return steps.to(torch.int64).reshape(-1).expand(cellwise(neuron)).contiguous()


def device_of(neuron: Neuron) -> torch.device:
    """The device that holds a cell's parameters; the CPU where they are numbers."""
    flat = flatten(neuron.parameters, neuron.values()).values()
    return next((v.device for v in flat if isinstance(v, Tensor)), torch.device("cpu"))


def tensors(neuron: Neuron) -> Neuron:
    """The same cell(s) with every parameter as a float64 tensor over the axis `cell`."""
    cells, where = cellwise(neuron), device_of(neuron)

    def one(v: Any) -> Tensor:
        t = v if isinstance(v, Tensor) else torch.tensor(float(v), dtype=torch.float64, device=where)
        return t.to(torch.float64).reshape(-1).expand(cells)

    return neuron.replace(**{k: v.map(one) if hasattr(v, "map") else one(v) for k, v in neuron.values().items()})


def matrices(neuron: Neuron) -> dict[str, Tensor]:
    """Continuous matrices of the live states.

    Returns
    -------
    dict
        ``flow`` (cell, d, d+1+K), ``jump`` (cell, d, d+1), ``margin`` (cell, d+1), ``rest`` (cell, d); the column after
        the d states is the constant; those of the K inputs follow.
    """
    cell, p = tensors(neuron), plan(type(neuron))
    cells, d = cellwise(cell), len(p.states)
    flat = flatten(cell.parameters, cell.values())
    where = device_of(neuron)
    values = of_tensors(p.matrices)(*[flat[n] for n in p.parameters])
    shapes = {"flow": (d, d + 1 + len(p.inputs)), "jump": (d, d + 1), "margin": (1, d + 1), "rest": (d, d + 1)}
    out = {}
    for what, shape in shapes.items():
        mine = [(i * shape[1] + j, v) for (name, i, j), v in zip(p.places, values, strict=True) if name == what]
        full = torch.zeros(cells, shape[0] * shape[1], dtype=torch.float64, device=where)
        if mine:
            columns = torch.stack([_column(v, cells).to(where) for _, v in mine], -1)
            full = full.index_copy(1, torch.tensor([k for k, _ in mine], device=where), columns)
        out[what] = full.reshape(cells, *shape)
    return out | {"margin": out["margin"][:, 0], "rest": out["rest"][..., d]}


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
    p = plan(type(neuron))
    cells, d, _ = m["flow"].shape
    mask = torch.tensor([n not in p.held for n in p.states], dtype=torch.float64, device=m["flow"].device)[:, None]
    free, drive = _exact(m["flow"], dt)
    held, held_drive = _exact(m["flow"] * mask, dt) if p.held else (free, drive)
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
        n_ref=count_refractory_steps(neuron, dt),
        states=p.states,
    )


def _exact(flow: Tensor, dt: float) -> tuple[Tensor, Tensor]:
    """Transition (cell, D, D) and drive (cell, D, K) of one step, by one matrix exponential."""
    cells, d, width = flow.shape
    # what drives the states enters the step linearly: in units in which it is no larger than the rates, the exponential
    # need not be squared for its sake, which costs digits
    rates, driven = flow[..., :d], flow[..., d:]
    largest = [part.detach().abs().amax((-2, -1), keepdim=True) for part in (rates, driven)]
    unit = torch.exp2(torch.ceil(torch.log2((largest[1] / largest[0].clamp(min=TINY)).clamp(min=1.0))))
    square = torch.cat([torch.cat([rates, driven / unit], -1), flow.new_zeros(cells, width - d, width)], 1)
    step = _Exponential.apply(dt * square)
    by_drive = unit * step[:, :d, d:]
    one = step.new_zeros(cells, 1, d + 1)
    one[..., -1] = 1
    transition = torch.cat([torch.cat([step[:, :d, :d], by_drive[..., :1]], -1), one], 1)
    return transition, torch.cat([by_drive[..., 1:], step.new_zeros(cells, 1, width - d - 1)], 1)


def exponentiate(a: Tensor) -> Tensor:
    """The matrix exponential of each matrix, (cell, D, D), to the last digits.

    Of one matrix alone whose norm lies between .003 and .05 torch (2.13) loses digits, 1.5e-10 at .045; of the same
    matrix in a stack of two it keeps them all. So one is never alone.
    """
    found: Tensor = torch.linalg.matrix_exp(torch.cat([a, a]) if len(a) == 1 else a)
    return found[: len(a)]


class _Exponential(torch.autograd.Function):
    """The matrix exponential, with a derivative that keeps its digits whatever the size of the incoming gradient.

    Its backward pass is the exponential of a block matrix that holds the gradient. torch's own scales that block to
    norm 1 as a whole and squares it back, so a gradient of 1e6, as a likelihood of thousands of bins has, costs half
    the digits (4e-8 measured); here each matrix's gradient is taken at size 1.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor) -> Tensor:
        return exponentiate(a)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        a: Tensor = ctx.saved_tensors[0]
        transposed, d = a.transpose(-1, -2), a.shape[-1]
        size = grad.abs().amax((-2, -1), keepdim=True).clamp(min=torch.finfo(grad.dtype).tiny)
        above = torch.cat([transposed, grad / size], -1)
        below = torch.cat([torch.zeros_like(a), transposed], -1)
        blocks = exponentiate(torch.cat([above, below], -2))
        return size * blocks[..., :d, d:]
