"""The Block-ALIF paper's own way to fit a cell, written from its description, on our blocks engine: a baseline.

As published (Taylor, King & Harper 2023, arXiv 2311.11390; section 2 of their code's description): steps of 0.1 ms,
absolute refractory period of 2 ms, current divided by 100 times its maximum, one-second segments from the rest state,
raw per-step numbers clamped to [0.001, 0.999], multi-Gaussian surrogate with the reset detached, van Rossum distance
of 10 ms over the whole batch, Adam at 1e-4 with eps 1e-5, at most 200 epochs, stopped by a patience of five, the epoch
of the lowest training loss kept. One start.

Its flaws come with it, on purpose: the decay of adaptation starts beyond its clamp, so its gradient is 0 and it stays
at 100 ms; at this rate 200 steps move no number by more than 0.02; a few noisy epochs end the fit; no validation data,
no escape noise, spikes of one run only. What is not copied: the size of their block gradient (Adam hides it), and the
scaling of the test current by its own maximum (a slip that would change the cell's gain).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

import numpy as np
import torch
from torch import Tensor

from ephysfit.data.recording import Recording
from ephysfit.data.trials import Trials
from ephysfit.models import ALIF
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.engines.blocks import blocks

DT, T_REF, TAU = 0.1, 2.0, 10.0
#: their clamp of raw per-step numbers
LOW, HIGH = 0.001, 0.999
RATE, EPS, EPOCHS, PATIENCE = 1e-4, 1e-5, 200, 5
#: where their three segments begin, ms, and how long each is
STARTS, SEGMENT = (2000.0, 10_000.0, 18_000.0), 1000.0


class _Spike(torch.autograd.Function):
    """Heaviside with the multi-Gaussian of Yin et al. (2021) as its derivative."""

    @staticmethod
    def forward(ctx, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        return grad * MultiGaussian.slope(u)


class MultiGaussian:
    """Their surrogate, in threshold units."""

    @staticmethod
    def slope(u: Tensor) -> Tensor:
        normal = lambda at, width: torch.exp(-0.5 * ((u - at) / width) ** 2) / (width * (2 * torch.pi) ** 0.5)  # noqa: E731
        return 0.5 * (1.15 * normal(0.0, 0.5) - 0.15 * normal(0.5, 3.0) - 0.15 * normal(-0.5, 3.0))

    @staticmethod
    def spike(u: Tensor) -> Tensor:
        return _Spike.apply(u)


@dataclass(frozen=True)
class Recipe:
    """How a fit of theirs ended: the cell in physical units, epochs run, and the lowest training loss."""

    neuron: Neuron
    epochs: int
    loss: float
    segments: int


def segments(recording: Recording) -> tuple[Tensor, Tensor, float]:
    """Currents and spikes (segment, time) of their three seconds, and the largest current of the recording, pA."""
    trials = Trials.of(recording, DT)
    current, spikes = (torch.tensor(t[0, 0], dtype=torch.float64) for t in (trials.current, trials.spikes))
    n = round(SEGMENT / DT)
    starts = [round(s / DT) for s in STARTS]
    return (
        torch.stack([current[s : s + n] for s in starts]),
        torch.stack([spikes[s : s + n] for s in starts]),
        float(current.max()),
    )


def van_rossum(difference: Tensor) -> Tensor:
    """Their loss: root of the squared, exponentially filtered difference, summed over batch and time."""
    n = difference.shape[-1]
    kernel = torch.exp(-torch.arange(n, dtype=difference.dtype) * DT / TAU)
    filtered = torch.fft.irfft(torch.fft.rfft(difference, 2 * n) * torch.fft.rfft(kernel, 2 * n), 2 * n)[..., :n]
    return torch.sqrt(DT / TAU * filtered.square().sum())


def run(raw: dict[str, Tensor], scaled: Tensor) -> Tensor:
    """Spikes (segment, time) of their neuron: V = beta V + w x + bias, threshold 1 + b a, reset to 0."""
    beta, p, b = (raw[k].clamp(LOW, HIGH if k != "b" else 1.0) for k in ("beta", "p", "b"))
    tau_m, tau_a = -DT / torch.log(beta), -DT / torch.log(p)
    g = 1 - beta  # so that a current of 1 adds 1 a step
    cell = ALIF(C=tau_m * g, g=g, E_L=0.0, theta=1.0, d_theta=b / p, tau_a=tau_a, V_reset=0.0, t_ref=T_REF, delta=0.1)
    return blocks(cell, (raw["w"] * scaled + raw["bias"])[None], DT, surrogate=MultiGaussian())[0][0]  # type: ignore[arg-type]


def physical(raw: dict[str, float], largest: float) -> Neuron:
    """The same neuron with its input in pA (potentials stay in distances to threshold, written mV)."""
    beta, p, b = (min(max(raw[k], LOW), HIGH if k != "b" else 1.0) for k in ("beta", "p", "b"))
    g = (1 - beta) * 100 * largest / raw["w"]
    tau_m, tau_a = -DT / log(beta), -DT / log(p)
    rest = raw["bias"] / (1 - beta)
    return ALIF(C=tau_m * g, g=g, E_L=rest, theta=1.0, d_theta=b / p, tau_a=tau_a, V_reset=0.0, t_ref=T_REF, delta=0.1)


def fit(recording: Recording) -> Recipe:
    """Fit as published."""
    current, spikes, largest = segments(recording)
    start = {"beta": exp(-DT / 20.0), "p": exp(-DT / 100.0), "w": 1.0, "bias": 0.0, "b": 0.1}
    raw = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in start.items()}
    optimiser = torch.optim.Adam(list(raw.values()), lr=RATE, eps=EPS)
    losses: list[float] = []
    best, kept = np.inf, start
    for _ in range(EPOCHS):
        optimiser.zero_grad()
        loss = van_rossum(run(raw, current / (100 * largest)) - spikes)
        losses.append(float(loss.detach()))
        if losses[-1] < best:
            best, kept = losses[-1], {k: float(v.detach()) for k, v in raw.items()}
        if len(losses) > PATIENCE and min(losses[-PATIENCE:]) > min(losses[:-PATIENCE]):
            break
        if losses[-1] == 0.0:
            break
        loss.backward()
        optimiser.step()
    return Recipe(physical(kept, largest), len(losses), best, len(current))
