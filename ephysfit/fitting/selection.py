"""Model "auto": walk a nested ladder and keep what predicts held-out blocks of the training data best."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ephysfit.data.recording import Recording
from ephysfit.fitting.fit import Fit, default_stages, default_step, one_thread, run
from ephysfit.fitting.likelihood import Likelihood
from ephysfit.fitting.passive import Passive
from ephysfit.fitting.population import Prior, admit_priors
from ephysfit.fitting.stage import MINIMUM_SPIKES, Estimate, Problem, Progress, Stage, silent
from ephysfit.metrics.trains import mean_defined
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free import Free
from ephysfit.simulation.prepare import start as compile_ahead
from ephysfit.simulation.replay import Replay

#: a richer neuron must gain this many standard errors of the held-out difference
CONVINCED = 1.0


@dataclass(frozen=True)
class Candidate:
    """What a neuron reached on blocks of the training data that it was not fitted to.

    Attributes
    ----------
    model : str
    parameters : int
    held_out, train : float
        Negative log-likelihood per spike, nats.
    gain, error : float
        How much lower than the best simpler neuron, summed over the held-out spikes, with its standard error over
        stretches of the held-out blocks; NaN for the first.
    """

    model: str
    parameters: int
    held_out: float
    train: float
    gain: float = np.nan
    error: float = np.nan


def select(
    recording: Recording,
    stages: Sequence[Stage] | None = None,
    *,
    among: Sequence[type[Neuron]] = (),
    likelihood: Likelihood | None = None,
    priors: Sequence[Prior] = (),
    dt: float | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Fit:
    """Fit every candidate on part of the training data, keep the one that predicts the rest, fit it on all.

    A richer neuron replaces a simpler one only if its held-out log-likelihood is higher by more than its standard
    error. The test data are never looked at.

    Parameters
    ----------
    among : sequence of type[Neuron]
        Candidates from simple to rich; those of `ephysfit.models.candidates` unless given.
    likelihood : Likelihood, optional
        Settings of the winner's likelihood stage, as in `fit`; candidates are compared without them.
    priors : sequence of Prior
        Of populations; each candidate takes its own.

    Returns
    -------
    Fit
        Of the winner; ``details["selection"]`` holds the table, ``details["selection_seconds"]`` what it took (not in
        `Fit.seconds`) and ``details["why"]`` the reason in a sentence.
    """
    from ephysfit.models import candidates

    kinds = tuple(among) or candidates()
    for kind in kinds if likelihood is not None else ():
        default_stages(kind, likelihood)  # refuses what it could not keep to
    step = dt or default_step(recording)
    admit_priors(priors, *kinds)
    problems = [Problem(recording, k, step, seed=seed, progress=progress, priors=tuple(priors)) for k in kinds]
    if problems[0].n_spikes < MINIMUM_SPIKES:
        return run(problems[0], stages or default_stages(kinds[0]))
    compile_ahead(*kinds)
    table: list[Candidate] = []
    begin = time.perf_counter()
    with one_thread():
        found = [_held_out(_named(problem)) for problem in problems]
    spent = time.perf_counter() - begin
    best, kept, best_blocks = 0, *found[0]
    for k, (estimate, blocks) in enumerate(found):
        row = Candidate(kinds[k].__name__, len(Free.of(kinds[k]).names), estimate.validation, estimate.train)
        if k > 0:
            gains = blocks - best_blocks
            row = replace(row, gain=float(gains.sum()), error=float(gains.std(ddof=1) * np.sqrt(len(gains))))
            if row.gain > CONVINCED * row.error:
                best, kept, best_blocks = k, estimate, blocks
        table.append(row)
    fitted = _refit(_named(problems[best], " (kept)"), kept, stages, likelihood)
    details = {
        **fitted.details,
        "selection": [vars(c) for c in table],
        "selection_seconds": spent,
        "why": _why(table, kinds[best].__name__),
    }
    return replace(fitted, details=details)


class _Named:
    """Progress that says of which candidate it is."""

    def __init__(self, tell: Progress, who: str) -> None:
        self.tell, self.who = tell, who
        if watch := getattr(tell, "watch", None):
            self.watch = watch

    def __call__(self, stage: str, fraction: float) -> None:
        self.tell(f"{self.who}: {stage}", fraction)


def _named(problem: Problem, note: str = "") -> Problem:
    return replace(problem, progress=_Named(problem.progress, problem.neuron.__name__ + note))


def _held_out(problem: Problem) -> tuple[Estimate, np.ndarray]:
    """An estimate from the training blocks, and the log-likelihood of each stretch of the held-out ones."""
    estimate = Passive()(problem, Estimate(problem.start()))
    estimate = Likelihood(starts=2, held_out=True, drift=0)(problem, estimate)
    free = Free.of(problem.neuron, smooth_only=True)
    replay, z = Replay(free, estimate.neuron, problem.dt), free.to_vector(estimate.neuron)
    stretches = []
    for sweep in problem.validate:
        where = np.flatnonzero(sweep.use)
        for part in np.array_split(where, max(len(where) // max(round(1000.0 / problem.dt), 1), 1)):
            use = np.zeros_like(sweep.use)
            use[part] = 1
            stretches.append(replace(sweep, use=use))
    return estimate, np.array([_value(replay, z, s) for s in stretches])


def _value(replay: Replay, z: Any, sweep: Any) -> float:
    return float(np.clip(mean_defined([replay.value(z, [sweep])]), -1e6, 1e6))


def _refit(problem: Problem, kept: Estimate, stages: Sequence[Stage] | None, likelihood: Likelihood | None) -> Fit:
    """The winner on all training data, from where the held-out fit ended."""
    chain = tuple(stages or default_stages(problem.neuron, likelihood))
    chain = tuple(replace(s, starts=1, first=0) if isinstance(s, Likelihood) and stages is None else s for s in chain)
    return run(problem, chain, start=kept.neuron)


def _why(table: list[Candidate], winner: str) -> str:
    rows = ", ".join(f"{c.model} {c.held_out:.3f}" for c in table)
    return (
        f"{winner} predicts held-out blocks of the training data best (negative log-likelihood per spike: {rows}); "
        "a richer neuron had to gain more than one standard error"
    )
