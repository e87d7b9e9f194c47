"""Model "auto": which of a nested ladder of neurons predicts held-out parts of the training data best.

Held out are blocks of every sweep. Where the training data are nothing but steps, each candidate is also run freely on
every sweep: how many spikes it makes there and how soon counts beside the likelihood, all of it in nats.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ephysfit.errors import ScoreError
from ephysfit.fitting.free_run.free_runs import FreeRuns
from ephysfit.fitting.stage import Estimate, Problem, Progress
from ephysfit.fitting.stage_reports import Candidate, SelectionReport
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.stages.passive import Passive
from ephysfit.metrics.step_answers import Answer, find_steps, is_step
from ephysfit.metrics.trains import mean_defined
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay

#: noisy runs of a sweep of steps
RUNS = 40
#: errors below which a count (spikes) and a first spike (ms) are as good as right
COUNT_ERROR, LATENCY_ERROR = 0.5, 2.0
#: most that one of them may cost, nats: one sweep must not decide alone
MOST = 8.0
#: a richer neuron must gain this many standard errors of the held-out difference
CONVINCED = 1.0


@dataclass(frozen=True, eq=False)
class Selection:
    """Which neuron to keep.

    Attributes
    ----------
    ranking : tuple of int
        Places of the candidates: the neuron to keep, then the others from the best on held-out data down.
    estimates : tuple of Estimate
        Of each candidate, from the blocks it was fitted to.
    report : SelectionReport
        For the fit of the winner.
    """

    ranking: tuple[int, ...]
    estimates: tuple[Estimate, ...]
    report: SelectionReport


def choose_neuron(problems: Sequence[Problem]) -> Selection:
    """Fit every candidate on part of the training data and choose the one that predicts the rest best.

    A richer neuron replaces a simpler one only if its held-out log-likelihood is higher by more than its standard
    error. The test data are never looked at.

    Parameters
    ----------
    problems : sequence of Problem
        The same training data for candidates from simple to rich.
    """
    table: list[Candidate] = []
    begin = time.perf_counter()
    by_steps = holds_only_steps(problems[0])
    found = [_fit_with_held_out(name_progress(problem), by_steps) for problem in problems]
    spent = time.perf_counter() - begin
    kinds = [problem.neuron for problem in problems]
    best, best_blocks = 0, found[0][1]
    for k, (estimate, blocks) in enumerate(found):
        row = Candidate(kinds[k].__name__, len(FreeParameters.of(kinds[k]).names), estimate.validation, estimate.train)
        if k > 0:
            gains = blocks - best_blocks
            row = replace(row, gain=float(gains.sum()), error=float(gains.std(ddof=1) * np.sqrt(len(gains))))
            if row.gain > CONVINCED * row.error:
                best, best_blocks = k, blocks
        table.append(row)
    report = SelectionReport(tuple(table), spent, _explain_choice(table, kinds[best].__name__, by_steps))
    others = sorted((k for k in range(len(found)) if k != best), key=lambda k: -float(found[k][1].sum()))
    return Selection((best, *others), tuple(estimate for estimate, _ in found), report)


class _NamedProgress:
    """Progress that says of which candidate it is."""

    def __init__(self, tell: Progress, who: str) -> None:
        self.tell, self.who = tell, who
        if show := getattr(tell, "show_estimate", None):
            self.show_estimate = show

    def __call__(self, stage: str, fraction: float) -> None:
        self.tell(f"{self.who}: {stage}", fraction)


def name_progress(problem: Problem, note: str = "") -> Problem:
    """The problem with progress that says of which candidate it is."""
    return replace(problem, progress=_NamedProgress(problem.progress, problem.neuron.__name__ + note))


def _fit_with_held_out(problem: Problem, by_steps: bool) -> tuple[Estimate, np.ndarray]:
    """An estimate from the training blocks, and the log-likelihood of each stretch of the held-out ones."""
    estimate = Passive()(problem, Estimate(problem.start()))
    estimate = Likelihood(starts=2, draws=0, held_out=True, drift=0)(problem, estimate)
    free = FreeParameters.of(problem.neuron, smooth_only=True)
    replay, z = Replay(free, estimate.neuron, problem.dt), free.to_vector(estimate.neuron)
    stretches = []
    for sweep in problem.validate:
        where = np.flatnonzero(sweep.use)
        for part in np.array_split(where, max(len(where) // max(round(1000.0 / problem.dt), 1), 1)):
            use = np.zeros_like(sweep.use)
            use[part] = 1
            stretches.append(replace(sweep, use=use))
    blocks = [_stretch_log_likelihood(replay, z, s) for s in stretches]
    if by_steps:
        blocks += _score_free_runs(problem, estimate.neuron)
    return estimate, np.array(blocks)


def holds_only_steps(problem: Problem) -> bool:
    """Whether the training data are steps alone, of two amplitudes at least."""
    sweeps = problem.recording.sweeps
    if not all(map(is_step, sweeps)):
        return False
    try:
        find_steps(sweeps)
    except ScoreError:  # all of them play the same current
        return False
    return True


def _score_free_runs(problem: Problem, cell: Neuron) -> list[float]:
    """For each sweep the log-probability of its count and of its first spike, by the runs of a cell, nats."""
    steps, sweeps = find_steps(problem.recording.sweeps), problem.recording.sweeps
    out: list[tuple[int, float]] = []
    for k, trains in FreeRuns(problem, RUNS).simulate_sweeps(cell):
        recorded = Answer.of(sweeps[k].spike_times, steps[k])
        runs = [Answer.of(train, steps[k]) for train in trains[0]]
        out.append((k, _log_normal(recorded.count, [a.count for a in runs], COUNT_ERROR)))
        timed = [a.latency for a in runs if np.isfinite(a.latency)]
        known = np.isfinite(recorded.latency) and len(timed) > 1
        out.append((k, _log_normal(recorded.latency, timed, LATENCY_ERROR) if known else 0.0))
    return [value for _, value in sorted(out, key=lambda pair: pair[0])]


def _log_normal(value: float, draws: Sequence[float], error: float) -> float:
    """Log-density of a value under a normal fitted to draws, no narrower than `error`, in units of that error."""
    spread = float(np.hypot(np.std(draws), error))
    miss = (value - float(np.mean(draws))) / spread
    return max(-0.5 * miss**2 - np.log(spread / error), -MOST)


def _stretch_log_likelihood(replay: Replay, z: Any, sweep: Any) -> float:
    return float(np.clip(mean_defined([replay.value(z, [sweep])]), -1e6, 1e6))


def _explain_choice(table: list[Candidate], winner: str, by_steps: bool) -> str:
    rows = ", ".join(f"{c.model} {c.held_out:.3f}" for c in table)
    what = ", and spike counts and first spikes of its steps," if by_steps else ""
    return (
        f"{winner} predicts held-out blocks of the training data{what} best (negative log-likelihood per spike: "
        f"{rows}); a richer neuron had to gain more than one standard error"
    )
