"""The reset decoupled from the input (Huang et al. 2024).

The no-reset potential is one filter of the whole record (FFT, padded to twice the length, or scan); what remains in
time order is a moving threshold that only spikes raise, a few numbers per step and no autograd graph. A neuron without
jumps (the paper's parallel resonate-and-fire neuron) needs no time order at all: the filter alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ephysfit.compiling import compiled
from ephysfit.errors import SimulationError, near
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.engines.affine_blocks import Setup, Start
from ephysfit.simulation.engines.soft_reset import finish, kick, potential_by_fft, potential_by_scan, set_up_soft
from ephysfit.simulation.surrogate import Surrogate

#: ways to filter the input
METHODS = {"fft": potential_by_fft, "scan": potential_by_scan}


def decoupled(
    neuron: Neuron,
    current: Tensor,
    dt: float,
    *,
    surrogate: Surrogate | None = None,
    detach: bool = True,
    start: Start | None = None,
    method: str = "fft",
) -> tuple[Tensor, Tensor, Tensor]:
    """Run cells with a soft reset, or none: filter the input, then move the threshold.

    Parameters
    ----------
    neuron : Neuron
        Affine; every jump adds a constant; refractory by ``hold = ()`` (spikes forbidden, states move on) or not.
    current : Tensor, (cell, trial, time) or (cell, trial, time, input)
        pA.
    dt : float
        Step in ms.
    surrogate, detach, start
        As for `blocks`. The gradient is that of the detached reset, as published; for the other see `adjoint`.
    method : str
        ``"fft"`` (T log T, as published) or ``"scan"`` (T, and exact to rounding whatever the scale of the input).

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

    References
    ----------
    Huang et al. (2024), PRF, arXiv 2410.03530v2, section 3; the moving threshold decays as in its Algorithm 1, not as
    in the proof of Theorem 1.
    """
    if method not in METHODS:
        raise SimulationError(f"method {method!r} is unknown; {near(method, METHODS)}")
    setup = set_up_soft(neuron, current, dt, "decoupled", start)
    fired = _decide(setup, METHODS[method](setup))
    return finish(setup, fired, surrogate, detach, "decoupled")


def _decide(setup: Setup, potential: Tensor) -> Tensor:
    """Spikes from the no-reset potential; without jumps and refractoriness, by comparison alone."""
    jump = kick(setup).detach()
    if not bool((jump != 0).any()) and not bool((setup.op.n_ref > 0).any()) and not bool((setup.start.hold > 0).any()):
        return potential >= 0
    cells, trials, steps = potential.shape
    each = lambda a: a.detach().cpu().numpy().repeat(trials, 0)  # noqa: E731
    fired = np.zeros((cells * trials, steps), dtype=np.bool_)
    moving_threshold(
        np.ascontiguousarray(potential.detach().cpu().reshape(-1, steps).numpy()),
        each(setup.op.free[:, :-1, :-1]), each(setup.op.margin[:, :-1]), each(jump[:, :-1]), each(setup.op.n_ref),
        setup.start.hold.cpu().numpy().ravel(), fired,
    )  # fmt: skip
    return torch.from_numpy(fired).reshape(cells, trials, steps).to(potential.device)


@compiled()
def moving_threshold(potential, step, margin, jump, n_ref, hold, fired):  # type: ignore[no-untyped-def]
    """The scan: the part of the state due to past spikes, and the threshold it moves; writes `fired`, (row, time)."""
    rows, steps = potential.shape
    d = jump.shape[1]
    for r in range(rows):
        a, b = np.zeros(d), np.zeros(d)
        wait = hold[r]
        for t in range(steps):
            moved = 0.0
            for i in range(d):
                b[i] = 0.0
                for j in range(d):
                    b[i] += step[r, i, j] * a[j]
                moved += margin[r, i] * b[i]
            a, b = b, a
            if wait > 0:
                wait -= 1
            elif potential[r, t] + moved >= 0.0:
                fired[r, t] = True
                wait = n_ref[r]
                for i in range(d):
                    a[i] += jump[r, i]
