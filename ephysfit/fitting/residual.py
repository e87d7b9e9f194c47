"""A small network on the log hazard of AIGIF, fitted to what the named terms leave unexplained.

The neuron is fitted first and stays as it is. The recorded spikes are replayed through it, and the network, which reads
its states, is trained to raise the likelihood of those same spikes: with the states given this is an ordinary
regression. The result is a neuron like any other (`ResidualAIGIF`), with the network among its equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # loads its parts when they are first used

from ephysfit.arrays import Array, Mask
from ephysfit.fitting.chain import one_thread
from ephysfit.fitting.stage import Problem
from ephysfit.models.aigif import AIGIF, BankGIF, BankIGIF
from ephysfit.models.residual_aigif import LIMIT, NETWORK, POTENTIALS, PURE, SILENT, UNITS, AIGIFFeatures, ResidualAIGIF
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.plan import plan
from ephysfit.simulation.engines.compiled import run
from ephysfit.simulation.replay import ReplaySweep
from ephysfit.simulation.warm_up import start_noisy_runs, start_replay
from ephysfit.torch_on_use import torch

#: how far below `SILENT` a bin still takes part in the training, mV
BELOW = 2.0


def can_have_residual(neuron: type[Neuron]) -> bool:
    """Whether a neuron is one that the network extends: AIGIF, or a neuron nested in it."""
    return neuron in (AIGIF, BankIGIF, BankGIF)


def compile_residual() -> None:
    """Compile in the background what an ensemble with networks runs: noisy runs, and the replay of its features."""
    start_noisy_runs(ResidualAIGIF)
    start_replay(AIGIFFeatures)


@dataclass(frozen=True)
class Residual:
    """How the network is trained.

    Parameters
    ----------
    steps : int
        Full-batch steps of Adam; few, so that it stops early.
    rate : float
        Learning rate.
    decay : float
        Weight of the squared weights (those of the inputs standardised), per unit, beside the loss in nats per spike.
    seed : int
        Of the initial weights.
    """

    steps: int = 100
    rate: float = 5e-3
    decay: float = 0.03
    seed: int = 0

    def fit(self, problem: Problem, cell: Neuron, sweeps: Sequence[ReplaySweep]) -> Neuron:
        """Train the network of a fitted cell on the bins of these sweeps that count.

        Parameters
        ----------
        problem : Problem
            For its step.
        cell : Neuron
            A fitted AIGIF, or a neuron nested in it.
        sweeps : sequence of ReplaySweep

        Returns
        -------
        Neuron
            A `ResidualAIGIF` whose parameters of AIGIF are those of `cell`.
        """
        parts = [replay_features(cell, s, problem.dt) for s in sweeps]
        features = np.concatenate([f for f, _ in parts])
        margin = np.concatenate([u for _, u in parts])
        spikes = np.concatenate([s.spikes for s in sweeps]) > 0
        weight = np.concatenate([np.asarray(s.use, dtype=np.float64) for s in sweeps])
        barred = np.concatenate([find_barred_steps(s, cell, problem.dt) for s in sweeps])
        counted = weight > 0
        centre = features[counted].mean(axis=0)
        scale = np.maximum(features[counted].std(axis=0), 1e-6)
        keep = counted & (spikes | (~barred & (margin > SILENT - BELOW)))
        with one_thread():
            trained = self._train(
                (features[keep] - centre) / scale, margin[keep], spikes[keep], weight[keep], problem.dt
            )
        inner, offsets, outer, offset = (np.asarray(p, dtype=np.float64) for p in trained)
        inner = inner / scale[:, None]
        return embed(
            cell,
            W=tuple(inner[:PURE].T.ravel()),
            W_v=tuple(inner[PURE:].T.ravel()),
            b=tuple(offsets - centre @ inner),
            w=tuple(outer),
            b_0=float(offset[0]),
        )

    def _train(self, features: Array, margin: Array, spikes: Mask, weight: Array, dt: float) -> list[Array]:
        f, u, s, use = (torch.as_tensor(a, dtype=torch.float32) for a in (features, margin, spikes, weight))
        generator = torch.Generator().manual_seed(self.seed)
        inputs = f.shape[1]
        inner = (torch.randn(inputs, UNITS, generator=generator) / inputs**0.5).requires_grad_()
        offsets, outer = torch.zeros(UNITS, requires_grad=True), torch.zeros(UNITS, requires_grad=True)
        offset = torch.zeros(1, requires_grad=True)
        parameters = [inner, offsets, outer, offset]
        gate = torch.sigmoid(u - SILENT)
        count = (s * use).sum()
        adam = torch.optim.Adam(parameters, lr=self.rate)
        for _ in range(self.steps):
            adam.zero_grad()
            total = torch.tanh(torch.addmm(offsets, f, inner)) @ outer + offset
            expected = torch.sigmoid(u + LIMIT * torch.tanh(total / LIMIT) * gate) * dt
            lost = torch.where(s > 0, -torch.log(-torch.expm1(-expected)), expected)
            loss = (lost * use).sum() / count + self.decay / UNITS * (inner.square().sum() + outer.square().sum())
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
        return [p.detach().numpy() for p in parameters]


def embed(cell: Neuron, kind: type[Neuron] = ResidualAIGIF, **network: float | tuple[float, ...]) -> Neuron:
    """A fitted AIGIF, or a neuron nested in it, as a neuron with a network; one that changes nothing if none is given.

    What BankGIF and BankIGIF leave out of AIGIF is pinned in them, so that they too hold a value of each parameter.
    """
    shared = {n: getattr(cell, n) for n in kind.parameters if n not in NETWORK}
    return kind(**{**kind.start().values(), **shared, **network})


def compute_margin(cell: Any, features: Array, margin: Array) -> Array:
    """The margin of a `ResidualAIGIF`, (time,), mV, from what `replay_features` returns; as its equations have it."""
    shape = (UNITS, -1)
    inner = np.hstack([np.reshape(cell.W, shape), np.reshape(cell.W_v, shape)])
    total = np.tanh(features @ inner.T + np.asarray(cell.b)) @ np.asarray(cell.w) + cell.b_0
    return margin + LIMIT * np.tanh(total / LIMIT) * scipy.special.expit(margin - SILENT)


def replay_features(cell: Neuron, sweep: ReplaySweep, dt: float) -> tuple[Array, Array]:
    """What the network reads while the recorded spikes are replayed, and the margin of the neuron without it.

    Parameters
    ----------
    cell : Neuron
        A fitted AIGIF, or a neuron nested in it.
    sweep : ReplaySweep
    dt : float
        Step, ms.

    Returns
    -------
    features : ndarray, (time, feature)
        Pure numbers (K, H, n, A, Z), then potentials (y, margin, P; mV), as they stand where the hazard is read:
        before the jump of a spike in the same step.
    margin : ndarray, (time,)
        mV.
    """
    plain: Any = embed(cell, AIGIFFeatures)
    states = plan(AIGIFFeatures).states
    spikes = (sweep.spikes > 0).astype(np.uint8)
    done = run(
        plain, np.ascontiguousarray(sweep.current.T)[None], dt, forced=spikes[None, None], save=(*states, "margin")
    )
    saved = {name: np.asarray(trace)[0, 0] for name, trace in done.traces.items()}
    margin = saved.pop("margin")
    decayed = np.exp(-dt / plain.tau_Z) * np.r_[0.0, saved["Z"][:-1]]
    saved["Z"] = np.where(spikes > 0, decayed, saved["Z"])
    for name in (n for n in states if n.startswith("H")):
        saved[name] = saved[name] - spikes
    bank = lambda letter: [saved[n] for n in states if n == letter or n.startswith(f"{letter}_")]  # noqa: E731
    pure = [*bank("K"), *bank("H"), *bank("n"), *bank("A"), *bank("Z")]
    potentials = [*bank("y"), margin, *bank("P")]
    assert (len(pure), len(potentials)) == (PURE, POTENTIALS)
    return np.stack([*pure, *potentials], axis=1), margin


def find_barred_steps(sweep: ReplaySweep, cell: Neuron, dt: float) -> Mask:
    """Steps within the refractory period after a recorded spike, (time,); they do not count in a likelihood."""
    steps = round(float(cell.refractory_ms) / dt)
    barred = np.zeros(len(sweep.spikes), dtype=bool)
    for k in np.flatnonzero(sweep.spikes):
        barred[k + 1 : k + 1 + steps] = True
    return barred
