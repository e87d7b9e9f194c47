"""The definition: between spikes step, at a crossing jump, then hold. A torch loop over time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from ephysfit.errors import SimulationError
from ephysfit.neuron.affine import count_refractory_steps
from ephysfit.neuron.coefficients import coefficients
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.formula import torch_function
from ephysfit.neuron.stepping import newest, step
from ephysfit.neuron.symbols import MARGIN, symbol
from ephysfit.simulation.engines.affine_blocks import Start
from ephysfit.simulation.surrogate import Surrogate


@dataclass(frozen=True)
class _Maps:
    """The step of a neuron class as torch functions of lists of tensors (states, inputs, coefficients)."""

    advance: Callable
    held: Callable
    margin: Callable
    jump: Callable
    hazard: Callable | None
    rest: Callable


@cache
def maps(neuron: type[Neuron]) -> _Maps:
    """Torch functions of one step: the same expressions that kernels are generated from."""
    s = step(neuron)
    x = [symbol(n) for n in s.states]
    i = [symbol(n) for n in s.inputs]
    c = [symbol(n) for n in s.coefs]

    def advancing(rule: tuple) -> Callable:
        pieces = [torch_function([*x, *[newest(n) for n in s.states[:k]], *i, *c], e) for k, (_, e) in enumerate(rule)]

        def go(states: list, inputs: list, coefs: list) -> list:
            new: list = []
            for piece in pieces:
                new.append(piece(*states, *new, *inputs, *coefs))
            return new

        return go

    after = dict(s.jump)
    return _Maps(
        advance=advancing(s.advance),
        held=advancing(s.advance_held),
        margin=torch_function([*x, *c], s.margin),
        jump=torch_function([*x, *c], [after.get(n, symbol(n)) for n in s.states]),
        hazard=None if s.hazard is None else torch_function([MARGIN, *c], s.hazard),
        rest=torch_function(c, list(s.rest)),
    )


def sequential(
    neuron: Neuron,
    current: Tensor,
    dt: float,
    *,
    forced: Tensor | None = None,
    thresholds: Tensor | None = None,
    surrogate: Surrogate | None = None,
    detach: bool = False,
    start: Start | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run one or many cells, step by step.

    Parameters
    ----------
    neuron : Neuron
        Parameters are numbers or tensors over the axis `cell`.
    current : Tensor, (cell, trial, time)
        Injected current in pA, constant over each step; (cell, trial, time, input) for several inputs.
    dt : float
        Step in ms.
    forced : Tensor of bool, (cell, trial, time), optional
        Recorded spikes to replay (teacher forcing) instead of the neuron's own.
    thresholds : Tensor, (cell, trial, count), optional
        Escape noise: spike k happens when the hazard integrated since the last spike reaches ``thresholds[..., k]``
        (draw them from an exponential law of mean 1; all 1 gives the noise-free integrated run).
    surrogate : Surrogate, optional
        Stand-in derivative of the spike for autograd; none needed without gradients.
    detach : bool
        Keep the reset out of the graph (the gradient of Taylor, King & Harper 2023) instead of in it.
    start : Start, optional
        Where to begin; rest unless given.

    Returns
    -------
    spikes : Tensor, (cell, trial, time)
    states : Tensor, (cell, trial, time, state)
        After each step, jump included.
    margins : Tensor, (cell, trial, time)
        mV, before the jump; defined also while refractory.
    """
    where = current.device
    m, c = maps(type(neuron)), coefficients(neuron, dt).to(where)
    if thresholds is not None and m.hazard is None:
        raise SimulationError(f"{type(neuron).__name__} declares no hazard, so it cannot run on thresholds of one")
    coefs = [c[:, k, None] for k in range(c.shape[1])]
    if current.dim() == 3:
        current = current[..., None]
    cells, trials, steps, inputs = current.shape
    shape = (cells, trials)
    full = lambda v: torch.as_tensor(v, dtype=torch.float64, device=where).expand(shape)  # noqa: E731
    x = [full(r) for r in (m.rest(*coefs) if start is None else start.states.unbind(-1))]
    n_ref = count_refractory_steps(neuron, dt).to(where)[:, None].expand(shape)
    hold = torch.zeros(shape, dtype=torch.int64, device=where) if start is None else start.hold
    drawn = _Drawn(None if thresholds is None else thresholds.to(where), shape, where)
    spikes, states, margins = [], [], []
    for n in range(steps):
        drive = [current[:, :, n, k] for k in range(inputs)]
        held = hold > 0
        x = [
            torch.where(held, full(h), full(a))
            for h, a in zip(m.held(x, drive, coefs), m.advance(x, drive, coefs), strict=True)
        ]
        u = full(m.margin(*x, *coefs))
        if forced is not None:
            s = forced[:, :, n].to(u)
        elif thresholds is not None:
            s = drawn.spikes(full(m.hazard(u, *coefs)) * dt, held)  # type: ignore[misc]
        else:
            s = (u >= 0).to(u.dtype) if surrogate is None else surrogate.spike(u)
            s = s * ~held
        kept = s.detach() if detach else s
        x = [kept * full(j) + (1 - kept) * a for j, a in zip(m.jump(*x, *coefs), x, strict=True)]
        hold = torch.where(s > 0, n_ref, (hold - 1).clamp(min=0))
        spikes.append(s)
        states.append(torch.stack(x, -1))
        margins.append(u)
    return torch.stack(spikes, -1), torch.stack(states, -2), torch.stack(margins, -1)


class _Drawn:
    """Integrated hazard since the last spike, against the threshold drawn for the next one."""

    def __init__(self, thresholds: Tensor | None, shape: tuple[int, int], where: torch.device) -> None:
        self.thresholds = thresholds
        self.count = torch.zeros(shape, dtype=torch.int64, device=where)
        self.total = torch.zeros(shape, dtype=torch.float64, device=where)

    def spikes(self, rate: Tensor, held: Tensor) -> Tensor:
        assert self.thresholds is not None
        self.total = self.total + torch.where(held, 0.0, rate.detach())
        at = self.count.clamp(max=self.thresholds.shape[-1] - 1)
        s = (self.total >= self.thresholds.gather(-1, at[..., None])[..., 0]) & ~held
        self.count = self.count + s
        self.total = torch.where(s, 0.0, self.total)
        return s.to(torch.float64)
