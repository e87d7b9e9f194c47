"""Parallel max-min boundary compression, exact (Zhong et al. 2024).

Two bounds on the spike train are kept: the spikes that are certain, and the spikes that are still possible. What all
possible spikes could do to the margin brackets it, and wherever the bracket lies on one side of the threshold the step
is settled. Silences are settled first and the upper train rebuilt before spikes are settled (Gauss-Seidel order): one
pass then settles everything up to and including the next spike, so that ``n + 1`` passes suffice for n spikes in a
row (kernels of one sign). Kernels of both signs use interval arithmetic: the rising part of a kernel meets one bound,
the falling part the other; it is exact too, but without that limit on the number of passes. A pass is two filters of
the whole record.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.engines.affine_blocks import Setup, Start
from ephysfit.simulation.engines.soft_reset import finish, kick, margin_ahead, potential_by_fft, recent, set_up_soft
from ephysfit.simulation.surrogate import Surrogate


def pmbc(
    neuron: Neuron,
    current: Tensor,
    dt: float,
    *,
    surrogate: Surrogate | None = None,
    detach: bool = True,
    start: Start | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run cells with a soft reset by boundary compression, to the end: no step is left undecided.

    Parameters
    ----------
    neuron : Neuron
        Affine; every jump adds a constant; refractory by ``hold = ()`` (spikes forbidden, states move on) or not.
    current : Tensor, (cell, trial, time) or (cell, trial, time, input)
        pA.
    dt : float
        Step in ms.
    surrogate, detach, start
        As for `blocks`.

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
    Zhong et al. (2024), SPikE-SSM, arXiv 2410.17268; bounds on passes: reference/seed_models section 2.
    """
    setup = set_up_soft(neuron, current, dt, "pmbc", start)
    with torch.no_grad():
        fired, _ = _compress(setup)
    return finish(setup, fired, surrogate, detach, "pmbc")


def passes(neuron: Neuron, current: Tensor, dt: float, *, start: Start | None = None) -> tuple[Tensor, Tensor]:
    """How many passes each row took, (cell, trial), and its spikes, bool (cell, trial, time)."""
    setup = set_up_soft(neuron, current, dt, "pmbc", start)
    with torch.no_grad():
        fired, count = _compress(setup)
    return count, fired


@dataclass(frozen=True, eq=False)
class _Bracket:
    """Kernels of some rows in the frequency domain, split by sign; rising is None where no kernel rises."""

    potential: Tensor
    falling: Tensor
    rising: Tensor | None
    n_ref: Tensor
    hold: Tensor
    size: int

    @classmethod
    def of(cls, setup: Setup) -> _Bracket:
        steps, trials = setup.current.shape[2], setup.rows[1]
        size = next_fast_len(2 * steps, real=True)
        kernel = (margin_ahead(setup, steps) * kick(setup).detach()[:, None]).sum(-1)
        kernel = torch.cat([torch.zeros_like(kernel[:, :1]), kernel[:, 1:]], 1).repeat_interleave(trials, 0)
        return cls(
            potential=potential_by_fft(setup).flatten(0, 1),
            falling=torch.fft.rfft(kernel.clamp(max=0), size),
            rising=torch.fft.rfft(kernel.clamp(min=0), size) if bool((kernel > 0).any()) else None,
            n_ref=setup.op.n_ref.repeat_interleave(trials),
            hold=setup.start.hold.flatten(),
            size=size,
        )

    def rows(self, keep: Tensor) -> _Bracket:
        rising = None if self.rising is None else self.rising[keep]
        return _Bracket(self.potential[keep], self.falling[keep], rising, self.n_ref[keep], self.hold[keep], self.size)

    def margin(self, falling_by: Tensor, rising_by: Tensor) -> Tensor:
        """The margin if kernels' falling parts come from one train and their rising parts from the other."""
        total = self.falling * torch.fft.rfft(falling_by.to(torch.float64), self.size)
        if self.rising is not None:
            total = total + self.rising * torch.fft.rfft(rising_by.to(torch.float64), self.size)
        return self.potential + torch.fft.irfft(total, self.size)[..., : self.potential.shape[-1]]

    def refractory(self, spikes: Tensor) -> Tensor:
        return recent(spikes, self.n_ref, self.hold)


def _compress(setup: Setup) -> tuple[Tensor, Tensor]:
    """Tighten certain <= spikes <= possible until they meet; passes of every row."""
    bracket = _Bracket.of(setup)
    rows, steps = bracket.potential.shape
    certain = torch.zeros(rows, steps, dtype=torch.bool, device=bracket.potential.device)
    possible = torch.ones_like(certain)
    count = torch.zeros(rows, dtype=torch.int64)
    open_ = torch.arange(rows)
    while len(open_):
        part = bracket.rows(open_) if len(open_) < rows else bracket
        low, high = _tighten(part, certain[open_], possible[open_])
        certain, possible = certain.index_copy(0, open_, low), possible.index_copy(0, open_, high)
        count[open_] += 1
        open_ = open_[(low != high).any(-1)]
    return certain.reshape(*setup.rows, steps), count.reshape(setup.rows)


def _tighten(bracket: _Bracket, certain: Tensor, possible: Tensor) -> tuple[Tensor, Tensor]:
    """One pass: silences first, then spikes with the upper train rebuilt."""
    highest = bracket.margin(falling_by=certain, rising_by=possible)
    fits = (highest >= 0) & ~bracket.refractory(certain)
    high = possible & (fits | certain)
    lowest = bracket.margin(falling_by=high, rising_by=certain)
    low = certain | (high & (lowest >= 0) & ~bracket.refractory(high))
    stuck = ((low == certain) & (high == possible)).all(-1, keepdim=True)
    return low | (stuck & _first_open(low, high)), high


def _first_open(low: Tensor, high: Tensor) -> Tensor:
    """The first open step of each row. In a row where a whole pass changed nothing its past is settled and silence is
    ruled out, so it is a spike that only rounding kept open."""
    undecided = low != high
    return undecided & (undecided.cumsum(-1) == 1)
