"""Derivative-free search in free run: for what a spike train depends on in jumps, and for neurons without a hazard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import scipy  # loads its parts when they are first used

from ephysfit.arrays import Array
from ephysfit.fitting.free_run.evaluation import FreeRunEvaluation, conclude_estimate
from ephysfit.fitting.free_run.likelihood_axes import compute_likelihood_axes, parameter_axes
from ephysfit.fitting.free_run.losses import Coincidence, KernelScore, Loss
from ephysfit.fitting.stage import Estimate, Need, Problem, Stage, Status
from ephysfit.fitting.stage_reports import CausalRun, SearchReport
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import as_floats
from ephysfit.neuron.roles import Role

Losses = Callable[[Array, int], Array]
#: of the median interval, the part that is the window of a fast cell, and the narrowest window, ms
PART, NARROWEST = 1 / 6, 1.0


@dataclass(frozen=True)
class Search(Stage):
    """Evolve parameters so that free runs coincide with the recorded spikes (CMA-ES, Hansen 2006).

    Candidates are the rows of one batch of the compiled engine. A stochastic neuron is judged on noisy runs: the
    candidates of one generation share their draws, the next has fresh ones, so that no candidate wins by the noise it
    was dealt; what the search ends with is the mean of its last distribution. It begins where, of the places that the
    stages before it reached, free runs are best: the most likely place need not be that. What is near a bound there is
    first moved in, for on a bound steps of a free coordinate lead nowhere. A result is kept only if it beats
    the estimate the stage was given over many further runs, on the training blocks and where the validation blocks
    count as much.

    Parameters
    ----------
    evaluations : int
        Candidates in all.
    population : int
        Candidates per generation.
    sigma : float
        First step size, in the units of `whiten`.
    runs : int
        Noisy runs per candidate.
    loss : Loss, optional
        `KernelScore` of noisy runs and that of `make_threshold_loss` for the threshold run unless given.
    names : tuple of str
        Parameters to move; all that are not measured unless given.
    noisy : bool
        False: judge the threshold run also of a stochastic neuron; the fit's causal run is then the threshold run.
    judged : int
        Noisy runs of the result and of the estimate before, with the same draws, that decide which is kept.
    whiten : bool
        Search noisy runs along the standard errors of the likelihood (`compute_likelihood_axes`); otherwise along the
        parameters, in fifths of their free coordinates.
    farthest : float
        How far from the middle between its bounds a free coordinate may begin where runs are noisy; 3 is a twentieth
        of the way from a bound.
    """

    name: ClassVar[str] = "search"
    needs: ClassVar[tuple[Need, ...]] = (Need.SPIKES,)
    evaluations: int = 4000
    population: int = 32
    sigma: float = 2.0
    runs: int = 4
    loss: Loss | None = None
    names: tuple[str, ...] = ()
    noisy: bool = True
    judged: int = 64
    whiten: bool = True
    farthest: float = 3.0

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        free = problem.free(self.names or self._default_names(problem.neuron))
        noisy = self.noisy and problem.neuron.stochastic()
        loss = self.loss or (KernelScore() if noisy else make_threshold_loss(problem))
        evaluation = FreeRunEvaluation(problem, free, estimate.neuron, loss, self.runs if noisy else 0)
        known = np.stack([free.to_vector(c) for c in (estimate.neuron, *estimate.others)])
        judge = replace(evaluation, runs=self.judged if noisy else 0)
        start = known[int(np.argmin(np.nan_to_num(judge.training_losses(known), nan=np.inf)))] if noisy else known[0]
        inside = np.clip(start, -self.farthest, self.farthest) if noisy else start
        begun = as_floats(free.to_neuron(inside, estimate.neuron))
        axes = compute_likelihood_axes(problem, free, begun) if noisy and self.whiten else parameter_axes(free)
        moved, curve = evolve_by_cma(
            lambda w, draw: evaluation.training_losses(inside + w @ axes, draw),
            np.zeros_like(start),
            self.sigma,
            self.population,
            self.evaluations,
            problem,
            self.name,
            noisy,
        )
        begun_elsewhere = [] if start is known[0] or np.array_equal(start, known[0]) else [start]
        further = [*begun_elsewhere, inside + moved @ axes]
        kept, train, held_out = judge.choose_best(np.stack([known[0], *further]))
        report = SearchReport(type(loss).__name__, (tuple(curve),), train, held_out)
        runs = () if self.noisy else (CausalRun(None),)
        return conclude_estimate(estimate, free, (None, *further)[kept], report, Status.CONVERGED, *runs)

    def _default_names(self, neuron: type[Neuron]) -> list[str] | None:
        """What is searched unless named: all but the softness, on which noise-free runs do not depend."""
        if self.noisy or not neuron.stochastic():
            return None
        return [n for n, p in neuron.parameters.items() if not p.measured and n != neuron.name_of(Role.SOFTNESS)]


def make_threshold_loss(problem: Problem) -> Coincidence:
    """What threshold runs are judged by: coincidences, in a narrow window where the cell fires fast.

    A window that is most of an interval calls every train of about that rate right, and what a wrong rate costs is
    then too little to be felt: searches on a fast-spiking cell ended at four thirds of its rate. The window is a sixth
    of the median interval where that is below the usual one, and a wrong rate costs more in proportion.

    Examples
    --------
    >>> import numpy as np
    >>> from ephysfit.data.recording import Recording
    >>> from ephysfit.models import LIF
    >>> def fires(every): return Recording.of(np.zeros(20_000), 0.1, spike_times=np.arange(every, 1990.0, every))
    >>> [make_threshold_loss(Problem(fires(ms), LIF, 0.5)).window for ms in (100.0, 12.0)]
    [4.0, 2.0]
    """
    gaps = np.concatenate([np.diff(s.spike_times) for s in problem.recording.sweeps])
    usual = Coincidence()
    if not len(gaps):
        return usual
    window = float(np.clip(PART * np.median(gaps), NARROWEST, usual.window))
    return replace(usual, window=window, rate=usual.rate * usual.window / window)


def evolve_by_cma(
    losses: Losses,
    start: Array,
    sigma: float,
    population: int,
    evaluations: int,
    problem: Problem,
    stage: str,
    noisy: bool = False,
) -> tuple[Array, list[float]]:
    """CMA-ES from `start` where `cma` is installed, else differential evolution about it.

    Losses are called with the candidates and the number of the generation. Of noisy ones the mean of the last
    distribution is returned, of others the best of that mean and of all candidates.
    """
    try:
        import cma
    except ImportError:
        return _evolve_by_scipy(losses, start, sigma, population, evaluations, problem, stage)
    options: dict[str, Any] = {"popsize": population, "maxfevals": evaluations, "seed": problem.seed + 1, "verbose": -9}
    if noisy:  # noisy losses never settle, except where all candidates are silent: neither is an end
        options |= {"tolfun": 0.0, "tolfunhist": 0.0, "tolx": 0.0, "tolflatfitness": evaluations}
    else:
        options["tolfun"] = 1e-4
    strategy = cma.CMAEvolutionStrategy(start, sigma, options)
    curve: list[float] = []
    while not strategy.stop():
        candidates = strategy.ask()
        values = np.nan_to_num(losses(np.asarray(candidates), len(curve) if noisy else 0), nan=1e6)
        strategy.tell(candidates, values.tolist())
        curve.append(float(np.median(values)) if noisy else float(strategy.result.fbest))
        problem.report_progress(stage, min(strategy.result.evaluations / evaluations, 1.0), curve[-1])
    favourite, best = np.asarray(strategy.result.xfavorite), np.asarray(strategy.result.xbest)
    if noisy:
        return favourite, curve
    values = losses(np.stack([favourite, best, start]), 0)
    return [favourite, best, start][int(np.argmin(values))], curve


def _evolve_by_scipy(
    losses: Losses, start: Array, sigma: float, population: int, evaluations: int, problem: Problem, stage: str
) -> tuple[Array, list[float]]:
    """scipy's differential evolution in a box of three sigma about the start."""
    curve: list[float] = []

    def record(x: Array, convergence: float = 0.0) -> None:
        curve.append(float(losses(x[None], 0)[0]))
        problem.report_progress(stage, min(len(curve) * population / evaluations, 1.0), curve[-1])

    found = scipy.optimize.differential_evolution(
        lambda x: losses(np.atleast_2d(x.T), 0), [(s - 3 * sigma, s + 3 * sigma) for s in start],
        x0=start, vectorized=True,
        updating="deferred", popsize=max(population // len(start), 4), maxiter=max(evaluations // population, 1),
        seed=problem.seed + 1, polish=False, callback=record,
    )  # fmt: skip
    return np.asarray(found.x), curve
