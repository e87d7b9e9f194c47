"""The causal readout: a noise-free run of a stochastic neuron, sharpened so that it spikes where the noisy runs agree.

A noisy neuron answers with a distribution of trains. The noise-free run integrates the hazard to 1; taken at the fitted
softness it is ragged, so the hazard is sharpened, lambda(beta (u - offset)), with beta and offset chosen on the
*training* current: the run must coincide best with the model's own noisy runs and with the recorded training spikes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ephysfit.arrays import Array, Mask, Train
from ephysfit.data.holding_current import LEAD
from ephysfit.fitting.stage import Estimate, Need, Problem, Stage, Status
from ephysfit.fitting.stage_reports import CausalRun, Reports
from ephysfit.metrics.coincidence import count_hits
from ephysfit.metrics.trains import EDGE, cut
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.roles import Role
from ephysfit.simulation.simulate import simulate

#: weight of the relative miscount against coincidence
MISCOUNT = 1.0


@dataclass(frozen=True)
class CausalReadout(Stage):
    """Choose the sharpness of the causal run on the training data.

    Parameters
    ----------
    betas : tuple of float
        Sharpness to try.
    offsets : (float, float, int)
        Range of the offset in units of the margin's own scale (mV), and how many to try.
    runs : int
        Noisy runs to agree with.
    recorded : float
        Weight of the recorded training spikes beside the model's own runs.
    window : float
        Half width of a coincidence, ms.
    longest : float
        At most this many ms at the end of each training sweep are used.
    """

    name: ClassVar[str] = "readout"
    needs: ClassVar[tuple[Need, ...]] = (Need.HAZARD, Need.SPIKES)
    betas: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0, 5.0)
    offsets: tuple[float, float, int] = (-3.0, 2.0, 16)
    runs: int = 64
    recorded: float = 0.0
    window: float = 4.0
    longest: float = 30000.0

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        cell = estimate.neuron
        scale = margin_scale(cell)
        stretches = cut_stretches(problem, self.longest)
        aims = [self._simulate_aim(problem, cell, k, s) for k, s in enumerate(stretches)]
        offsets = np.linspace(*self.offsets) * scale
        settings = [(b, o) for b in self.betas for o in offsets]
        table = np.reshape(
            self._compute_agreements(problem, cell, settings, stretches, aims), (len(self.betas), len(offsets))
        )
        at = np.unravel_index(int(np.argmax(blur_over_offsets(table))), table.shape)
        chosen = CausalRun((float(self.betas[at[0]]), float(offsets[at[1]])), float(table[at]))
        return estimate.with_(status=Status.CONVERGED, reports=Reports(chosen))

    def _simulate_aim(self, problem: Problem, cell: Neuron, k: int, current: Array) -> tuple[list[Train], Train, float]:
        """What the noise-free run of a stretch should agree with: the model's noisy runs, the recorded train; ms."""
        runs = simulate(
            cell, current, dt=problem.dt, runs=self.runs, noise="escape", seed=problem.seed + k, settle=LEAD
        )
        duration = len(current) * problem.dt
        end = float(_end_of_valid(problem.trials.valid[0, k])) * problem.dt
        (recorded,) = cut([problem.recording.sweeps[k].spike_times], end - duration, end)
        return list(runs.spike_times[0]), recorded, duration

    def _compute_agreements(
        self,
        problem: Problem,
        cell: Neuron,
        settings: list[tuple[float, float]],
        stretches: list[Array],
        aims: list[Any],
    ) -> list[float]:
        """How well the run of each setting (beta, offset) agrees, all of them run at once."""
        done = simulate(cell, stretches, dt=problem.dt, noise="integrated", sharpen=settings, settle=LEAD)
        return [self._compute_agreement([t[k] for t in done.spike_times], aims) for k in range(len(settings))]

    def _compute_agreement(self, own: list[Train], aims: list[Any]) -> float:
        durations = [duration for _, _, duration in aims]
        value = measure_agreement([runs for runs, _, _ in aims], own, durations, self.window)
        if self.recorded:
            value += self.recorded * pooled_gamma([[r] for _, r, _ in aims], own, durations, self.window)
        return value / (1 + self.recorded)


def cut_stretches(problem: Problem, longest: float) -> list[Array]:
    """The current of the end of every training sweep, at most `longest` ms of it, pA, in steps of the grid."""
    n = round(longest / problem.dt)
    return [
        row[: _end_of_valid(valid)][-n:]
        for row, valid in zip(problem.trials.current[0], problem.trials.valid[0], strict=True)
    ]


def measure_agreement(
    runs: Sequence[Sequence[Train]], own: Sequence[Train], durations: Sequence[float], window: float
) -> float:
    """Coincidence of one train per sweep with the runs of that sweep, less its miscount.

    Coincidence alone does not fix the rate: in a tonic response to a step spikes drift out of phase, and a train of
    any rate coincides as well as another. So the miscount, summed over sweeps and relative to the spikes of all runs,
    is taken off.

    Parameters
    ----------
    runs : sequence of sequences of trains
        By sweep.
    own : sequence of trains
        By sweep.
    durations : sequence of float
        Of the sweeps, ms.
    window : float
        Half width of a coincidence, ms.
    """
    expected = [sum(map(len, trains)) / len(trains) for trains in runs]
    missed = sum(abs(len(train) - n) for train, n in zip(own, expected, strict=True))
    return pooled_gamma(runs, own, durations, window) - MISCOUNT * missed / max(sum(expected), 1.0)


def blur_over_offsets(table: Array) -> Array:
    """Mean of each entry (sharpness, offset) and its two neighbours in offset, weights 1 2 1; ends repeated."""
    wide = np.pad(table, ((0, 0), (1, 1)), mode="edge")
    return (wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) / 4


def pooled_gamma(
    runs: Sequence[Sequence[Train]], own: Sequence[Train], durations: Sequence[float], window: float
) -> float:
    """Γ of one train per sweep against the runs of that sweep, with coincidences, chance and spikes summed over sweeps.

    -1 where it is undefined: no spike anywhere, or a train so fast that its windows cover all time.
    """
    beyond, spikes, covered = 0.0, 0.0, 0.0
    for trains, train, duration in zip(runs, own, durations, strict=True):
        pool = np.sort(np.concatenate(trains))
        chance = min(2.0 * window * len(train) / duration, 1.0)
        beyond += (count_hits(pool, train, window + EDGE) - chance * len(pool)) / len(trains)
        spikes += 0.5 * (len(pool) / len(trains) + len(train))
        covered += chance * duration
    free = 1.0 - covered / sum(durations)
    return float(beyond / spikes / free) if spikes > 0 and free > 0 else -1.0


def margin_scale(cell: Neuron) -> float:
    """The margin over which the hazard grows e-fold, mV: its softness (declared or pinned), else 1."""
    return float(cell.value_of(Role.SOFTNESS, 1.0))


def _end_of_valid(valid: Mask) -> int:
    """Where the usable part of a sweep ends; what is masked before it (a test pulse) keeps its place in time."""
    return int(np.flatnonzero(valid)[-1]) + 1 if valid.any() else 0
