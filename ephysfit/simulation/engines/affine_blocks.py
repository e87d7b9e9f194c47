"""What the block-parallel torch engines share: affine steps over many blocks at once.

States carry a trailing 1 (homogeneous coordinates), so that a transition matrix holds the constant drive too. Nothing
here writes in place into a view and nothing slices one long tensor again and again: both make autograd quadratic in
the number of steps. Everything is float64, which TF32 (NVIDIA's 10-bit rounding of float32 products) never touches:
rounding a membrane convolution to 10 bits shifts spikes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite, log

import torch
from torch import Tensor

from ephysfit.errors import SimulationError
from ephysfit.neuron.affine import Operators, count_refractory_steps, operators
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.step_kinds import refuse_unless_affine
from ephysfit.simulation.surrogate import Surrogate

#: by how much a state may grow in one look-ahead: as many digits are lost when the driven part is taken off again
MOST_GROWTH = 1e4


@dataclass(frozen=True, eq=False)
class Start:
    """Where a run begins.

    Attributes
    ----------
    states : Tensor, (cell, trial, state)
        In the order of `Operators.states`.
    hold : Tensor of int64, (cell, trial)
        Refractory steps that are left.
    """

    states: Tensor
    hold: Tensor

    def detach(self) -> Start:
        """The same place without its history, for gradients that are cut between pieces of a long record."""
        return Start(self.states.detach(), self.hold)


@dataclass(frozen=True, eq=False)
class Setup:
    """An affine neuron and its input, ready for an engine: operators for every cell, current with an input axis."""

    op: Operators
    current: Tensor
    start: Start

    @property
    def rows(self) -> tuple[int, int]:
        """(cells, trials)."""
        return self.current.shape[0], self.current.shape[1]

    @property
    def homogeneous(self) -> Tensor:
        """Start states with their trailing 1, (cell, trial, D)."""
        one = self.start.states.new_ones(*self.rows, 1)
        return torch.cat([self.start.states, one], -1)


def set_up(neuron: Neuron, current: Tensor, dt: float, engine: str, start: Start | None = None) -> Setup:
    """Check the input against the neuron and bring operators and current to one shape.

    Raises
    ------
    NotAffineError
        If the neuron is not affine.
    SimulationError
        If the current's axes do not fit the neuron.
    """
    refuse_unless_affine(type(neuron), engine)
    inputs = len(type(neuron).inputs)
    if current.dim() == 3 and inputs == 1:
        current = current[..., None]
    if current.dim() != 4 or current.shape[-1] != inputs:
        raise SimulationError(
            f"current has shape {tuple(current.shape)}; {type(neuron).__name__} takes (cell, trial, time"
            f"{', input' if inputs > 1 else ''}) with inputs {', '.join(type(neuron).inputs)}"
        )
    op = operators(neuron, dt)
    cells, trials = current.shape[:2]
    if op.free.shape[0] not in (1, cells):
        raise SimulationError(
            f"the neuron holds {op.free.shape[0]} cells, the current has shape {tuple(current.shape)}; "
            f"give the current a cell axis of {op.free.shape[0]} (expand shares memory)"
        )
    op = _for_cells(op, cells, current.device)
    return Setup(op, current.to(torch.float64), _checked(start, op, cells, trials))


def _for_cells(op: Operators, cells: int, device: torch.device) -> Operators:
    def one(value: object) -> object:
        return value.to(device).expand(cells, *value.shape[1:]) if isinstance(value, Tensor) else value

    return Operators(**{f.name: one(getattr(op, f.name)) for f in fields(op)})  # type: ignore[arg-type]


def _checked(start: Start | None, op: Operators, cells: int, trials: int) -> Start:
    if start is None:
        rest = op.rest[:, None, :-1].expand(cells, trials, -1)
        return Start(rest, torch.zeros(cells, trials, dtype=torch.int64, device=rest.device))
    want = (cells, trials, len(op.states))
    if tuple(start.states.shape) != want or tuple(start.hold.shape) != want[:2]:
        raise SimulationError(
            f"start has states {tuple(start.states.shape)} and hold {tuple(start.hold.shape)}; this run needs "
            f"states {want} ({', '.join(op.states)}) and hold {want[:2]}"
        )
    return start


def refuse_in_graph(detach: bool, surrogate: Surrogate | None, engine: str) -> None:
    """Raise SimulationError when a gradient through the reset is requested from an engine without one."""
    if surrogate is not None and not detach:
        raise SimulationError(
            f"engine {engine!r} keeps the reset out of the graph (detach=True), because with the reset in the graph "
            f"every step has its own Jacobian; use adjoint.run, or engine='sequential', for that gradient"
        )


def compute_run_end(neuron: Neuron, dt: float, spikes: Tensor, states: Tensor, start: Start | None = None) -> Start:
    """The end of a run as the start of the next: the last state and the refractory steps left.

    Parameters
    ----------
    neuron, dt
        As they were run.
    spikes, states : Tensor
        What the engine returned.
    start : Start, optional
        Where that run began.
    """
    n_ref = count_refractory_steps(neuron, dt).to(spikes.device)[:, None]
    steps = spikes.shape[-1]
    fired = spikes.detach() > 0
    last = torch.where(fired.any(-1), steps - 1 - fired.flip(-1).to(torch.uint8).argmax(-1), -1)
    before = torch.zeros_like(last) if start is None else (start.hold - steps).clamp(min=0)
    hold = torch.where(last >= 0, (n_ref - (steps - 1 - last)).clamp(min=0), before)
    return Start(states[..., -1, :], hold)


def limit_look_ahead(op: Operators, steps: int) -> int:
    """At most `steps`, and no further than the free or the held step grows by `MOST_GROWTH`.

    A look-ahead adds the state that the input drives from zero to what is left of the state before. Where either
    map grows by itself both are huge and nearly opposite, and their sum has lost its digits: a neuron with a state that
    grows while its potential is held would spike at wrong times without a word.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> from ephysfit.neuron.affine import operators
    >>> limit_look_ahead(operators(LIF.start(), 0.1), 256)
    256
    """
    growth = max(float(torch.linalg.eigvals(m.detach()).abs().max()) for m in (op.free, op.held))
    if not isfinite(growth) or growth <= 1.0:
        return steps
    return max(1, min(steps, int(log(MOST_GROWTH) / log(growth))))


def compute_powers(matrix: Tensor, count: int) -> Tensor:
    """Powers 0 to count - 1 of square matrices, (cell, count, D, D), by doubling."""
    out = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device).expand_as(matrix)[:, None]
    top = matrix
    while out.shape[1] < count:
        out = torch.cat([out, top[:, None] @ out], 1)
        top = top @ top
    return out[:, :count]


def multiply_per_row(matrix: Tensor, x: Tensor) -> Tensor:
    """One matrix per row times one vector per row: (..., D, D), (..., D) -> (..., D)."""
    return (matrix * x[..., None, :]).sum(-1)


def multiply_per_cell(matrix: Tensor, x: Tensor) -> Tensor:
    """One matrix per cell times many vectors: (cell, i, j), (cell, ..., j) -> (cell, ..., i)."""
    flat = x.reshape(x.shape[0], -1, x.shape[-1])
    return (flat @ matrix.transpose(1, 2)).reshape(*x.shape[:-1], matrix.shape[1])


def cut_into_blocks(current: Tensor, length: int) -> Tensor:
    """Blocks of `length` steps, zeros at the end: (cell, trial, time, input) -> (cell, trial, block, length, input)."""
    cells, trials, steps, inputs = current.shape
    padded = torch.nn.functional.pad(current, (0, 0, 0, -steps % length))
    return padded.reshape(cells, trials, -1, length, inputs)


def join_blocks(blocks: Tensor, steps: int) -> Tensor:
    """The inverse of `cut_into_blocks` for (cell, trial, block, length, ...)."""
    cells, trials, count, length = blocks.shape[:4]
    return blocks.reshape(cells, trials, count * length, *blocks.shape[4:])[:, :, :steps]


def drive_from_zero(transition: Tensor, pushes: Tensor) -> Tensor:
    """States of a linear step started from zero in every block.

    Parameters
    ----------
    transition : Tensor, (cell, D, D)
    pushes : Tensor, (cell, trial, block, length, D)
        What is added in each step.

    Returns
    -------
    Tensor, (cell, trial, block, length + 1, D)
        Entry k is the state after k steps.
    """
    x = torch.zeros_like(pushes[:, :, :, 0])
    out = [x]
    for kick in pushes.unbind(3):
        x = multiply_per_cell(transition, x) + kick
        out.append(x)
    return torch.stack(out, 3)


def compute_drive(drive: Tensor, current: Tensor) -> Tensor:
    """What the input adds to the state: (cell, D, input), (cell, ..., input) -> (cell, ..., D)."""
    return multiply_per_cell(drive, current)


def unroll(op: Operators, current: Tensor, fired: Tensor, starts: Tensor, holds: Tensor) -> tuple[Tensor, ...]:
    """All blocks step by step together, spikes known: as many steps as a block is long.

    Parameters
    ----------
    op : Operators
    current : Tensor, (cell, trial, block, length, input)
    fired : Tensor of bool, (cell, trial, block, length)
    starts : Tensor, (cell, trial, block, D)
        State that enters each block.
    holds : Tensor of int64, (cell, trial, block)
        Refractory steps left then.

    Returns
    -------
    states : Tensor, (cell, trial, block, length, state)
        After each step, jump included.
    margins : Tensor, (cell, trial, block, length)
        mV, before the jump.
    responsive : Tensor of bool, (cell, trial, block, length)
        Steps that are not refractory.
    """
    x, hold, n_ref = starts, holds, op.n_ref[:, None, None]
    states, margins, responsive = [], [], []
    for I, s in zip(current.unbind(3), fired.unbind(3), strict=True):
        held = hold > 0
        free = multiply_per_cell(op.free, x) + compute_drive(op.drive, I)
        if bool(held.any()):
            free = torch.where(held[..., None], multiply_per_cell(op.held, x) + compute_drive(op.held_drive, I), free)
        margins.append(multiply_per_cell(op.margin[:, None], free)[..., 0])
        x = torch.where(s[..., None], multiply_per_cell(op.jump, free), free) if bool(s.any()) else free
        hold = torch.where(s, n_ref, (hold - 1).clamp(min=0))
        states.append(x[..., :-1])
        responsive.append(~held)
    return torch.stack(states, 3), torch.stack(margins, 3), torch.stack(responsive, 3)


def straight_through(fired: Tensor, margins: Tensor, responsive: Tensor, surrogate: Surrogate | None) -> Tensor:
    """Spikes as numbers: the decided ones, with the surrogate's derivative where a spike was possible."""
    spikes = fired.to(torch.float64)
    if surrogate is None:
        return spikes
    soft = surrogate.spike(margins) * responsive
    return spikes + (soft - soft.detach())


@dataclass(frozen=True, eq=False)
class Tables:
    """Powers of the free and the held step, for looking up to `length` steps ahead; rows are cell by trial.

    Attributes
    ----------
    free, held : Tensor, (cell, length + 1, D, D)
    look : Tensor, (cell, length + 1, D)
        Margin after each number of free steps.
    cell : Tensor of int64, (row,)
        Which cell a row belongs to.
    """

    free: Tensor
    held: Tensor
    look: Tensor
    cell: Tensor

    @classmethod
    def of(cls, op: Operators, length: int, trials: int) -> Tables:
        free = compute_powers(op.free, length + 1)
        look = (op.margin[:, None, None].detach() @ free.detach())[:, :, 0]
        cell = torch.arange(len(op.free), device=free.device).repeat_interleave(trials)
        return cls(free, compute_powers(op.held, length + 1), look, cell)


@dataclass(frozen=True, eq=False)
class DrivenBlock:
    """Input of one block of each row, as the states it drives from zero.

    Attributes
    ----------
    free : Tensor, (row, length + 1, D)
        By free steps.
    held : Tensor, (row, length + 1, D), or None
        By held steps; None where refractory neurons discard their input.
    margin : Tensor, (row, length)
        Margin of `free`, without gradient.
    """

    free: Tensor
    held: Tensor | None
    margin: Tensor


def select_entry(table: Tensor, at: Tensor) -> Tensor:
    """Entry `at` of each row: (row, k, D), (row,) -> (row, D)."""
    return table.gather(1, at[:, None, None].expand(-1, 1, table.shape[-1]))[:, 0]


def advance_held(tables: Tables, cell: Tensor, block: DrivenBlock, x: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """States after held steps from `begin` to `end` of the block (after so many steps)."""
    matrix = tables.held[cell, end - begin]
    if block.held is None:
        return multiply_per_row(matrix, x)
    return select_entry(block.held, end) + multiply_per_row(matrix, x - select_entry(block.held, begin))


def advance_to_crossing(
    tables: Tables, cell: Tensor, block: DrivenBlock, x: Tensor, hold: Tensor, begin: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """From `begin`: held for `hold` steps, then free up to the first crossing or the end of the block.

    Returns
    -------
    state : Tensor, (row, D)
        At the crossing before the jump, or at the end.
    first : Tensor, (row,)
        Step of the crossing, the block's length where there is none.
    hold : Tensor, (row,)
        Refractory steps left where there is none.
    """
    length = block.margin.shape[1]
    refractory_until = torch.minimum(begin + hold, torch.full_like(begin, length))
    y = advance_held(tables, cell, block, x, begin, refractory_until)
    w = y - select_entry(block.free, refractory_until)
    k = torch.arange(length, device=x.device)
    since = (k + 1 - refractory_until[:, None]).clamp(min=0)
    u = block.margin + (tables.look[cell[:, None], since] * w.detach()[:, None]).sum(-1)
    crossed = (u >= 0) & (k >= refractory_until[:, None])
    first = torch.where(crossed.any(-1), crossed.to(torch.uint8).argmax(-1), length)
    end = (first + 1).clamp(max=length)
    state = select_entry(block.free, end) + multiply_per_row(tables.free[cell, end - refractory_until], w)
    return state, first, hold - (refractory_until - begin)


def drive_all_blocks(op: Operators, blocks: Tensor) -> list[DrivenBlock]:
    """The driven states of every block, one `DrivenBlock` per block, rows flattened."""
    driven_freely = drive_from_zero(op.free, compute_drive(op.drive, blocks))
    margin = multiply_per_cell(op.margin.detach()[:, None], driven_freely[:, :, :, 1:].detach())[..., 0].flatten(0, 1)
    free = driven_freely.flatten(0, 1)
    count = blocks.shape[2]
    held: list[Tensor | None] = [None] * count
    if bool((op.held_drive != 0).any()):
        held = list(drive_from_zero(op.held, compute_drive(op.held_drive, blocks)).flatten(0, 1).unbind(1))
    return [DrivenBlock(f, h, m) for f, h, m in zip(free.unbind(1), held, margin.unbind(1), strict=True)]
