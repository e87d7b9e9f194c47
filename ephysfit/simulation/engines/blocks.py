"""Whole blocks at once, because a refractory neuron spikes at most once in a block (Taylor, King & Harper 2023).

Within ``n_ref + 1`` steps a neuron can spike at most once, so up to the first crossing a block is a linear map of the
state that enters it and of its input: margins of the whole block follow without a loop, the first one at or above 0
is the spike, and what is left of the block is refractory. Time steps become ``T / (n_ref + 1)`` sequential block
steps. Here for any affine neuron: reset to any value or by any affine jump, any number of adaptation variables,
states that stay put or move while refractory (with or without input), a refractory period per cell, any start.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.engines.affine_blocks import (
    Setup,
    Start,
    Tables,
    advance_held,
    advance_to_crossing,
    cut_into_blocks,
    drive_all_blocks,
    join_blocks,
    limit_look_ahead,
    multiply_per_row,
    refuse_in_graph,
    set_up,
    straight_through,
    unroll,
)
from ephysfit.simulation.surrogate import Surrogate


def blocks(
    neuron: Neuron,
    current: Tensor,
    dt: float,
    *,
    surrogate: Surrogate | None = None,
    detach: bool = True,
    start: Start | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one or many cells in blocks of the shortest refractory period plus one step.

    Parameters
    ----------
    neuron : Neuron
        Affine; parameters are numbers or tensors over the axis `cell`, ``t_ref`` too.
    current : Tensor, (cell, trial, time)
        pA, constant over each step; (cell, trial, time, input) for several inputs.
    dt : float
        Step in ms.
    surrogate : Surrogate, optional
        Stand-in derivative of the spike.
    detach : bool
        Must stay True with a surrogate: autograd is right with the reset out of the graph, and is then the gradient of
        `sequential(..., detach=True)`. With the reset in the graph every step has its own Jacobian: see `adjoint`.
    start : Start, optional
        State at the start; rest unless given. `affine_blocks.compute_run_end` gives the end of a run as the start of
        the next.

    Returns
    -------
    spikes : Tensor, (cell, trial, time)
    states : Tensor, (cell, trial, time, state)
        True states after each step, jump included, also inside a block after its spike.
    margins : Tensor, (cell, trial, time)
        mV, before the jump.

    Raises
    ------
    NotAffineError, SimulationError

    Notes
    -----
    Work and memory are linear in time, forward and backward: about ``8 (4 D + 3)`` bytes for each step of each row
    (D = states + 1), three times that with gradients. With ``t_ref = 0`` a block is one step and nothing is gained.
    Runs in float64 on the device of `current`; TF32 concerns float32 products only and cannot shift spikes here.

    References
    ----------
    Taylor, King & Harper (2023), arXiv 2311.11390.

    Examples
    --------
    >>> import torch
    >>> from ephysfit.models.lif import LIF
    >>> cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)
    >>> spikes, states, margins = blocks(cell, torch.full((1, 1, 2000), 150.0), 0.1)
    >>> int(spikes.sum()), tuple(states.shape)
    (9, (1, 1, 2000, 1))
    """
    refuse_in_graph(detach, surrogate, "blocks")
    setup = set_up(neuron, current, dt, "blocks", start)
    steps = setup.current.shape[2]
    length = limit_look_ahead(setup.op, min(int(setup.op.n_ref.min()) + 1, steps))
    pieces = cut_into_blocks(setup.current, length)
    starts, holds, first = _leap(setup, pieces, length)
    fired = torch.arange(length, device=first.device) == first[..., None]
    states, margins, responsive = unroll(setup.op, pieces, fired, starts, holds)
    spikes = straight_through(fired, margins, responsive, surrogate)
    return join_blocks(spikes, steps), join_blocks(states, steps), join_blocks(margins, steps)


def _leap(setup: Setup, pieces: Tensor, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """From block to block: (cell, trial, block, D) states and (cell, trial, block) holds that enter, first crossing."""
    op, (cells, trials) = setup.op, setup.rows
    tables = Tables.of(op, length, trials)
    jump, n_ref = op.jump[tables.cell], op.n_ref[tables.cell]
    x, hold = setup.homogeneous.flatten(0, 1), setup.start.hold.flatten()
    zero = torch.zeros_like(hold)
    states, holds, firsts = [], [], []
    for block in drive_all_blocks(op, pieces):
        states.append(x)
        holds.append(hold)
        state, first, left = advance_to_crossing(tables, tables.cell, block, x, hold, zero)
        after = (first + 1).clamp(max=length)
        ended = advance_held(tables, tables.cell, block, multiply_per_row(jump, state), after, zero + length)
        spiked = first < length
        x = torch.where(spiked[:, None], ended, state)
        hold = torch.where(spiked, n_ref - (length - after), left)
        firsts.append(first)
    shape = (cells, trials, len(states))
    return (
        torch.stack(states, 1).reshape(*shape, -1),
        torch.stack(holds, 1).reshape(shape),
        torch.stack(firsts, 1).reshape(shape),
    )
