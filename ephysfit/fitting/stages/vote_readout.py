"""The causal vote: noisy runs go forward side by side, and what enough of them agree on as it happens is a spike.

A single noise-free run is ragged where the cell is not: one spike too many or too late, and it goes on from there in a
state of its own. Many noisy runs do not. How long a spike counts and how many runs must agree are chosen on the
*training* current, where the vote must coincide best with other noisy runs of the same model and fire as often.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import numpy as np

from ephysfit.arrays import Array, Train
from ephysfit.data.holding_current import LEAD
from ephysfit.fitting.stage import Estimate, Need, Problem, Stage, Status
from ephysfit.fitting.stage_reports import CausalRun, Reports, VoteRule
from ephysfit.fitting.stages.causal_readout import cut_stretches, measure_agreement
from ephysfit.metrics.vote import Ballot
from ephysfit.simulation.simulate import simulate

#: noisy runs of a stretch of current (pA) from a seed: (current, runs, seed) -> trains
Runner = Callable[[Array, int, int], list[Train]]


@dataclass(frozen=True)
class VoteReadout(Stage):
    """Choose how a causal train is read off noisy runs, on the training data.

    Where no vote agrees better with the model's noisy runs than the sharpened noise-free run does, none is kept.

    Parameters
    ----------
    memories : tuple of float
        How long the spike of a run counts, ms, to try.
    shares : tuple of float
        Share of the runs that must agree, to try.
    voters, runs : int
        Runs that vote, and other runs that the vote should agree with.
    window : float
        Half width of a coincidence, ms.
    longest : float
        At most this many ms at the end of each training sweep are used.
    """

    name: ClassVar[str] = "vote"
    needs: ClassVar[tuple[Need, ...]] = (Need.HAZARD, Need.SPIKES)
    memories: tuple[float, ...] = (3.0, 4.0, 6.0, 8.0, 12.0)
    shares: tuple[float, ...] = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
    voters: int = 100
    runs: int = 40
    window: float = 4.0
    longest: float = 30000.0

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        cell = estimate.neuron

        def run(current: Array, runs: int, seed: int) -> list[Train]:
            done = simulate(cell, current, dt=problem.dt, runs=runs, noise="escape", seed=seed, settle=LEAD)
            return list(done.spike_times[0])

        rule = self.choose_rule(problem, run)
        causal = estimate.reports.of(CausalRun)
        if causal is not None and not rule.agreement > causal.agreement:
            return estimate.with_(status=Status.NOT_NEEDED)
        return estimate.with_(status=Status.CONVERGED, reports=Reports(rule))

    def choose_rule(self, problem: Problem, run: Runner) -> VoteRule:
        """The best rule for the noisy runs that `run` makes, whatever model makes them."""
        stretches = cut_stretches(problem, self.longest)
        durations = [len(s) * problem.dt for s in stretches]
        ballots, aims = [], []
        for k, current in enumerate(stretches):
            trains = run(current, self.voters + self.runs, problem.seed + k)
            ballots.append(Ballot(trains[: self.voters]))
            aims.append(trains[self.voters :])
        rules = list(product(self.memories, self.shares))
        found = [
            measure_agreement(aims, [b.count(memory, share) for b in ballots], durations, self.window)
            for memory, share in rules
        ]
        return self._choose_smoothed(rules, found)

    def _choose_smoothed(self, rules: Sequence[tuple[float, float]], found: Sequence[float]) -> VoteRule:
        """The best rule after blurring over neighbouring shares, which differ by chance more than in kind."""
        table = np.reshape(found, (len(self.memories), len(self.shares)))
        wide = np.pad(table, ((0, 0), (1, 1)), mode="edge")
        blurred = (wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 4
        at = int(np.argmax(blurred))
        return VoteRule(*rules[at], float(table.ravel()[at]))
