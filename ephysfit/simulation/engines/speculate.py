"""Speculation to the next spike: a chunk is run as if it held no spike, and kept up to the first one.

Each row is at its own place in time. A pass computes the rest of the row's chunk as if there were no spike, accepts it
if that was true, and otherwise goes to the first crossing, jumps, and starts the next pass there. A row takes as many
passes as it has chunks and spikes. Only the linear motion between spikes is used, so hard resets, refractoriness and
kernels of any sign are exact, as in `blocks`, which is the case of chunks that can hold one spike.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ephysfit.errors import SimulationError
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.engines.affine_blocks import (
    DrivenBlock,
    Setup,
    Start,
    Tables,
    advance_to_crossing,
    cut_into_blocks,
    drive_all_blocks,
    join_blocks,
    limit_look_ahead,
    multiply_per_row,
    set_up,
    unroll,
)
from ephysfit.simulation.surrogate import Surrogate


def speculate(
    neuron: Neuron,
    current: Tensor,
    dt: float,
    *,
    surrogate: Surrogate | None = None,
    start: Start | None = None,
    chunk: int = 256,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one or many affine cells in chunks up to the next spike.

    Parameters
    ----------
    neuron : Neuron
        Affine; parameters are numbers or tensors over the axis `cell`.
    current : Tensor, (cell, trial, time) or (cell, trial, time, input)
        pA.
    dt : float
        Step in ms.
    surrogate
        Refused: this engine only runs forward.
    start : Start, optional
        Where to begin; rest unless given.
    chunk : int
        Steps looked ahead at most; about the steps between two spikes is a good choice. Neurons that grow by
        themselves are looked ahead no further than their digits last (`affine_blocks.limit_look_ahead`).

    Returns
    -------
    spikes : Tensor, (cell, trial, time)
    states : Tensor, (cell, trial, time, state)
        After each step, jump included.
    margins : Tensor, (cell, trial, time)
        mV, before the jump.

    Raises
    ------
    NotAffineError, SimulationError
    """
    if surrogate is not None:
        raise SimulationError("engine 'speculate' runs forward only; for gradients use adjoint.run or engine='blocks'")
    with torch.no_grad():
        setup = set_up(neuron, current, dt, "speculate", start)
        steps = setup.current.shape[2]
        pieces = _cut(setup, chunk)
        fired, starts, holds, _ = _chase(setup, pieces)
        states, margins, _ = unroll(setup.op, pieces, fired, starts, holds)
    return join_blocks(fired, steps).to(torch.float64), join_blocks(states, steps), join_blocks(margins, steps)


def passes(neuron: Neuron, current: Tensor, dt: float, *, chunk: int = 256) -> Tensor:
    """How many passes each row took, (cell, trial)."""
    with torch.no_grad():
        setup = set_up(neuron, current, dt, "speculate")
        return _chase(setup, _cut(setup, chunk))[3]


def _cut(setup: Setup, chunk: int) -> Tensor:
    """The current in chunks, shorter than asked where the neuron grows by itself."""
    longest = max(1, min(int(chunk), setup.current.shape[2]))
    return cut_into_blocks(setup.current, limit_look_ahead(setup.op, longest))


def _chase(setup: Setup, pieces: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Spikes, states and holds that enter each chunk, passes of each row."""
    op, (cells, trials) = setup.op, setup.rows
    count, length = pieces.shape[2:4]
    rows, tables, whole = cells * trials, Tables.of(op, length, trials), _Whole(drive_all_blocks(op, pieces))
    x, hold = setup.homogeneous.flatten(0, 1).clone(), setup.start.hold.flatten().clone()
    at = torch.zeros(2, rows, dtype=torch.int64, device=x.device)  # chunk, step in it
    fired = torch.zeros(rows, count, length, dtype=torch.bool, device=x.device)
    starts, holds = x.new_zeros(rows, count, x.shape[-1]), hold.new_zeros(rows, count)
    starts[:, 0], holds[:, 0] = x, hold
    taken = hold.new_zeros(rows)
    active = torch.arange(rows, device=x.device)
    while len(active):
        cell, (b, begin) = tables.cell[active], at[:, active]
        state, first, left = advance_to_crossing(tables, cell, whole.at(active, b), x[active], hold[active], begin)
        spiked = first < length
        state = torch.where(spiked[:, None], multiply_per_row(op.jump[cell], state), state)
        left = torch.where(spiked, op.n_ref[cell], left)
        fired[active[spiked], b[spiked], first[spiked]] = True
        offset = (first + 1).clamp(max=length)
        through = offset == length
        b, offset = b + through, torch.where(through, 0, offset)
        enters = through & (b < count)
        starts[active[enters], b[enters]], holds[active[enters], b[enters]] = state[enters], left[enters]
        x[active], hold[active], at[:, active] = state, left, torch.stack([b, offset])
        taken[active] += 1
        active = active[b < count]
    shape = (cells, trials, count)
    return fired.reshape(*shape, length), starts.reshape(*shape, -1), holds.reshape(shape), taken.reshape(cells, trials)


class _Whole:
    """The driven states of all chunks, to be picked by row and chunk."""

    def __init__(self, pieces: list[DrivenBlock]) -> None:
        self.free = torch.stack([p.free for p in pieces], 1)
        self.margin = torch.stack([p.margin for p in pieces], 1)
        self.held = None if pieces[0].held is None else torch.stack([p.held for p in pieces if p.held is not None], 1)

    def at(self, row: Tensor, chunk: Tensor) -> DrivenBlock:
        held = None if self.held is None else self.held[row, chunk]
        return DrivenBlock(self.free[row, chunk], held, self.margin[row, chunk])
