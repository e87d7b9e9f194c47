"""What the engines for soft resets share: the no-reset potential and what one spike takes from it later.

When a spike adds a constant to the state, and refractoriness only forbids spikes, the margin is linear in the spikes:

.. math:: u_t = u^0_t + \\sum_{s < t} \\kappa_{t - s} S_s, \\qquad \\kappa_j = m^T A^j \\Delta .
"""

from __future__ import annotations

import sympy
import torch
from scipy.fft import next_fast_len
from torch import Tensor

from ephysfit.errors import SimulationError
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.symbols import equations, symbol
from ephysfit.simulation.engines.affine_blocks import (
    Setup,
    Start,
    compute_drive,
    compute_powers,
    cut_into_blocks,
    drive_from_zero,
    join_blocks,
    multiply_per_row,
    refuse_in_graph,
    set_up,
    straight_through,
)
from ephysfit.simulation.surrogate import Surrogate

#: how far an eigenvalue of the step may exceed 1: a perfect integrator is at 1
GROWTH = 1e-9


def soft_jumps(neuron: type[Neuron]) -> str:
    """Why a neuron's reset is not soft, as a phrase; empty where every jump adds a constant.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> soft_jumps(LIF)
    'V jumps to V_reset, which is not V plus a constant'
    """
    eq = equations(neuron)
    states = {symbol(n) for n in eq.states}
    for n, after in eq.jump.items():
        if sympy.expand(after - symbol(n)).free_symbols & states:
            return f"{n} jumps to {after}, which is not {n} plus a constant"
    return ""


def set_up_soft(neuron: Neuron, current: Tensor, dt: float, engine: str, start: Start | None) -> Setup:
    """`set_up`, and refuse a neuron whose spikes do not act by fixed kernels.

    Raises
    ------
    NotAffineError, SimulationError
    """
    setup = set_up(neuron, current, dt, engine, start)
    name, way_out = type(neuron).__name__, "use engine='blocks', 'speculate' or 'compiled'"
    why = soft_jumps(type(neuron))
    if why:
        raise SimulationError(f"{name}: {why}; engine {engine!r} needs resets that add a constant; {way_out}")
    held = equations(type(neuron)).held
    if held and bool((setup.op.n_ref > 0).any()):
        raise SimulationError(
            f"{name} holds {', '.join(held)} while refractory (t_ref = {_shown(neuron)} ms); engine {engine!r} needs "
            f"t_ref = 0 or hold = (), where refractoriness only forbids spikes; {way_out}"
        )
    growth = float(torch.linalg.eigvals(setup.op.free[:, :-1, :-1].detach()).abs().max())
    if growth > 1 + GROWTH:
        raise SimulationError(
            f"{name} without spikes grows by a factor {growth:.6g} per step; the no-reset potential that engine "
            f"{engine!r} starts from would leave the range of floats; {way_out}"
        )
    return setup


def _shown(neuron: Neuron) -> str:
    return f"{float(torch.as_tensor(neuron.refractory_ms).max()):g}"


def kick(setup: Setup) -> Tensor:
    """What a spike adds to the state, (cell, D), trailing 0."""
    step = setup.op.jump[..., -1].clone()
    return torch.cat([step[:, :-1], torch.zeros_like(step[:, -1:])], -1)


def margin_ahead(setup: Setup, count: int) -> Tensor:
    """Margin as a function of the state 0 to count - 1 free steps earlier, (cell, count, D), by doubling."""
    rows, top = setup.op.margin.detach()[:, None], setup.op.free.detach()
    while rows.shape[1] < count:
        rows = torch.cat([rows, rows @ top], 1)
        top = top @ top
    return rows[:, :count]


def causal(kernel: Tensor, signal: Tensor) -> Tensor:
    """Causal convolution of (cell, time) with (cell, trial, time) by FFT.

    Padded to twice the length: without padding the end of the record leaks into its beginning, and the published
    decoupled form spikes wrongly (reference/seed_models section 3a).
    """
    size = next_fast_len(2 * signal.shape[-1], real=True)
    product = torch.fft.rfft(kernel, size)[:, None] * torch.fft.rfft(signal, size)
    return torch.fft.irfft(product, size)[..., : signal.shape[-1]]


def potential_by_fft(setup: Setup) -> Tensor:
    """Margin of the neuron that never jumps, (cell, trial, time), by FFT."""
    steps = setup.current.shape[2]
    ahead = margin_ahead(setup, steps + 1)
    kernels = (ahead[:, :-1] @ setup.op.drive.detach()).unbind(-1)
    u = torch.einsum("ckd,ctd->ctk", ahead[:, 1:], setup.homogeneous.detach())
    for kernel, signal in zip(kernels, setup.current.detach().unbind(-1), strict=True):
        u = u + causal(kernel, signal)
    return u


def potential_by_scan(setup: Setup) -> Tensor:
    """The same by a two-level scan: exact to rounding for any scale of input."""
    with torch.no_grad():
        return (filter_states(setup, None) * setup.op.margin[:, None, None]).sum(-1)


def filter_states(setup: Setup, fired: Tensor | None) -> Tensor:
    """States after each step with the spikes' kicks, (cell, trial, time, D), in about 2 sqrt(time) sequential steps."""
    op, steps = setup.op, setup.current.shape[2]
    length = max(1, round(steps**0.5))
    pushes = compute_drive(op.drive, setup.current)
    if fired is not None:
        pushes = pushes + fired.to(pushes.dtype)[..., None] * kick(setup)[:, None, None]
    local = drive_from_zero(op.free, cut_into_blocks(pushes, length))[:, :, :, 1:]
    ahead = compute_powers(op.free, length + 1)
    x, starts = setup.homogeneous, []
    for end in local[:, :, :, -1].unbind(2):
        starts.append(x)
        x = end + multiply_per_row(ahead[:, None, length], x)
    states = local + torch.einsum("ckij,ctbj->ctbki", ahead[:, 1:], torch.stack(starts, 2))
    return join_blocks(states, steps)


def finish(
    setup: Setup, fired: Tensor, surrogate: Surrogate | None, detach: bool, engine: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Spikes (cell, trial, time), states after each step and margins before the jump, from the decided spikes."""
    refuse_in_graph(detach, surrogate, engine)
    x = filter_states(setup, fired)
    margin = setup.op.margin[:, None, None]
    lost = fired.to(x.dtype) * (kick(setup) * setup.op.margin).sum(-1)[:, None, None]
    margins = (x * margin).sum(-1) - lost
    responsive = ~recent(fired, setup.op.n_ref[:, None].expand(setup.rows), setup.start.hold)
    return straight_through(fired, margins, responsive, surrogate), x[..., :-1], margins


def recent(spikes: Tensor, n_ref: Tensor, hold: Tensor) -> Tensor:
    """Which steps lie within ``n_ref`` steps after a spike or within the first ``hold`` steps; axes (..., time)."""
    count = torch.nn.functional.pad(spikes.to(torch.int64).cumsum(-1), (1, 0))
    t = torch.arange(spikes.shape[-1], device=spikes.device).expand(spikes.shape)
    since = count.gather(-1, t) - count.gather(-1, (t - n_ref[..., None]).clamp(min=0))
    return (since > 0) | (t < hold[..., None])
