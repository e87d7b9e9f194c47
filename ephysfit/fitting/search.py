"""Derivative-free search in free run: for what a spike train depends on in jumps, and for neurons without a hazard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ephysfit.fitting.losses import Coincidence, Loss, within
from ephysfit.fitting.stage import MINIMUM_SPIKES, Estimate, Problem, Status
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free import Free, as_floats
from ephysfit.simulation.compiled import run

Array = npt.NDArray[np.float64]
Losses = Callable[[Array], Array]


@dataclass(frozen=True)
class Search:
    """Evolve parameters so that free runs coincide with the recorded spikes (CMA-ES, Hansen 2006).

    Candidates are the rows of one batch of the compiled engine. A stochastic neuron is judged on noisy runs with the
    same draws for every candidate. What wins on the training blocks is kept only if it also wins on the validation
    blocks.

    Parameters
    ----------
    evaluations : int
        Candidates in all.
    population : int
        Candidates a generation.
    sigma : float
        First step size in free coordinates.
    runs : int
        Noisy runs a candidate.
    loss : Loss
    names : tuple of str
        Parameters to move; all that are not measured unless given.
    noisy : bool
        False: judge the threshold run also of a stochastic neuron; the fit's causal run is then the threshold run.
    """

    evaluations: int = 2400
    population: int = 16
    sigma: float = 0.4
    runs: int = 8
    loss: Loss = field(default_factory=Coincidence)
    names: tuple[str, ...] = ()
    noisy: bool = True

    def __call__(self, problem: Problem, estimate: Estimate) -> Estimate:
        if problem.n_spikes < MINIMUM_SPIKES:
            return estimate.with_(stage="search", status=Status.TOO_FEW_SPIKES)
        free = Free.of(problem.neuron, self.names or None)
        arena = Arena(problem, free, estimate.neuron, self.loss, self.runs if self.noisy else 0)
        start = free.to_vector(estimate.neuron).numpy()
        best, curve = evolve(
            lambda z: arena.losses(z)[0], start, self.sigma, self.population, self.evaluations, problem, "search"
        )
        both = np.stack([start, best])
        train, validation = arena.losses(both)
        details: dict[str, Any] = {} if self.noisy else {"sharpen": None}
        details |= {
            "curves": [curve],
            "loss": type(self.loss).__name__,
            "train": train.tolist(),
            "held_out": validation.tolist(),
        }
        if not (train[1] < train[0] and validation[1] <= validation[0]):
            return estimate.with_(
                stage="search", status=Status.CONVERGED, details={**details, "kept": "the estimate before"}
            )
        cell = as_floats(free.to_neuron(torch.from_numpy(best), estimate.neuron))
        status = Status.AT_BOUND if free.on_bound(cell) else Status.CONVERGED
        return estimate.with_(
            neuron=cell, stage="search", status=status, train=np.nan, validation=np.nan, details=details
        )


@dataclass(frozen=True, eq=False)
class Arena:
    """Free runs of many candidates on the training sweeps, and their losses on training and validation blocks."""

    problem: Problem
    free: Free
    base: Neuron
    loss: Loss
    runs: int  #: noisy runs a candidate; 0 for the threshold run

    def losses(self, z: Array) -> tuple[Array, Array]:
        """Training and validation loss of each candidate; `z` is (candidate, parameter)."""
        p = self.problem
        totals, weights = np.zeros((2, len(z))), np.zeros(2)
        for k, current in enumerate(p.trials.current[0].numpy()):
            done = self._run(z, current, k)
            masks = (p.counted[k] & ~p.held_out[k], p.held_out[k])
            for side, mask in enumerate(masks):
                recorded = within(p.recording.sweeps[k].spike_times, mask, p.dt)
                duration, weight = float(mask.sum()) * p.dt, float(len(recorded)) + 1e-9
                weights[side] += weight
                for c, trains in enumerate(done):
                    kept = [within(t, mask, p.dt) for t in trains]
                    totals[side, c] += weight * self.loss(recorded, kept, duration)
        return totals[0] / weights[0], totals[1] / weights[1]

    def _run(self, z: Array, current: Array, k: int) -> list[list[Array]]:
        p = self.problem
        cell = self.free.to_neuron(torch.from_numpy(np.ascontiguousarray(z)), self.base)
        noisy = self.runs > 0 and p.neuron.stochastic()
        runs = self.runs if noisy else 1
        thresholds = None
        if noisy:
            most = min(len(current), int(len(current) * p.dt / 1.0) + 2)
            thresholds = p.rng(k).exponential(size=(1, runs, most))
        done = run(cell, current[None, None], p.dt, thresholds=thresholds)
        trains = done.spike_times(p.dt)
        return [trains[c * runs : (c + 1) * runs] for c in range(len(z))]


def evolve(
    losses: Losses, start: Array, sigma: float, population: int, evaluations: int, problem: Problem, stage: str
) -> tuple[Array, list[float]]:
    """CMA-ES from `start` where `cma` is installed, else differential evolution about it."""
    try:
        import cma
    except ImportError:
        return _differential(losses, start, sigma, population, evaluations, problem, stage)
    options = {"popsize": population, "maxfevals": evaluations, "seed": problem.seed + 1, "verbose": -9, "tolfun": 1e-4}
    strategy = cma.CMAEvolutionStrategy(start, sigma, options)
    curve: list[float] = []
    while not strategy.stop():
        candidates = strategy.ask()
        strategy.tell(candidates, losses(np.asarray(candidates)).tolist())
        curve.append(float(strategy.result.fbest))
        problem.tell(stage, min(strategy.result.evaluations / evaluations, 1.0), curve[-1])
    favourite, best = np.asarray(strategy.result.xfavorite), np.asarray(strategy.result.xbest)
    values = losses(np.stack([favourite, best, start]))
    return [favourite, best, start][int(np.argmin(values))], curve


def _differential(
    losses: Losses, start: Array, sigma: float, population: int, evaluations: int, problem: Problem, stage: str
) -> tuple[Array, list[float]]:
    """scipy's differential evolution in a box of three sigma about the start."""
    from scipy.optimize import differential_evolution

    curve: list[float] = []

    def watch(x: Array, convergence: float = 0.0) -> None:
        curve.append(float(losses(x[None])[0]))
        problem.tell(stage, min(len(curve) * population / evaluations, 1.0), curve[-1])

    found = differential_evolution(
        lambda x: losses(np.atleast_2d(x.T)), [(s - 3 * sigma, s + 3 * sigma) for s in start],
        x0=start, vectorized=True,
        updating="deferred", popsize=max(population // len(start), 4), maxiter=max(evaluations // population, 1),
        seed=problem.seed + 1, polish=False, callback=watch,
    )  # fmt: skip
    return np.asarray(found.x), curve
