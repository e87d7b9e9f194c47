"""The causal readout: a noise-free run of a stochastic neuron, sharpened so that it spikes where the noisy runs agree.

A noisy neuron answers with a distribution of trains. The noise-free run integrates the hazard to 1; taken at the fitted
softness it is ragged, so the hazard is sharpened, lambda(beta (u - offset)), with beta and offset chosen on the
*training* current: the run must coincide best with the model's own noisy runs and with the recorded training spikes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ephysfit.data.holding import LEAD
from ephysfit.fitting.stage import Estimate, Problem, Status
from ephysfit.metrics.coincidence import gamma
from ephysfit.metrics.trains import cut
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.simulate import simulate

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Readout:
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

    betas: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0, 5.0)
    offsets: tuple[float, float, int] = (-3.0, 2.0, 16)
    runs: int = 16
    recorded: float = 0.0
    window: float = 4.0
    longest: float = 30000.0

    def __call__(self, problem: Problem, estimate: Estimate) -> Estimate:
        if not problem.neuron.stochastic():
            return estimate.with_(stage="readout", status=Status.NOT_NEEDED)
        cell = estimate.neuron
        scale = softness(cell)
        stretches = self._stretches(problem)
        aims = [self._aim(problem, cell, k, s) for k, s in enumerate(stretches)]
        table = [
            (self._agreement(problem, cell, beta, offset * scale, stretches, aims), beta, float(offset * scale))
            for beta in self.betas
            for offset in np.linspace(*self.offsets)
        ]
        gamma, beta, offset = max(table)
        details = {**estimate.details, "sharpen": (beta, offset), "agreement": gamma}
        return estimate.with_(stage="readout", status=Status.CONVERGED, details=details)

    def _stretches(self, problem: Problem) -> list[Array]:
        """The end of every training sweep, in steps of the grid."""
        n = round(self.longest / problem.dt)
        return [
            row[valid][-n:]
            for row, valid in zip(problem.trials.current[0].numpy(), problem.trials.valid[0].numpy(), strict=True)
        ]

    def _aim(self, problem: Problem, cell: Neuron, k: int, current: Array) -> tuple[list[Array], list[Array], float]:
        runs = simulate(
            cell, current, dt=problem.dt, runs=self.runs, noise="escape", seed=problem.seed + k, settle=LEAD
        )
        duration = len(current) * problem.dt
        end = float(problem.trials.valid[0, k].sum()) * problem.dt
        recorded = cut([problem.recording.sweeps[k].spike_times], end - duration, end)
        return list(runs.spike_times[0]), recorded, duration

    def _agreement(
        self, problem: Problem, cell: Neuron, beta: float, offset: float, stretches: list[Array], aims: list
    ) -> float:
        done = simulate(cell, stretches, dt=problem.dt, noise="integrated", sharpen=(beta, offset), settle=LEAD)
        values, weights = [], []
        for (own,), (runs, recorded, duration) in zip(done.spike_times, aims, strict=True):
            if not len(own):
                return -1.0
            value = gamma(runs, [own], duration, window=self.window)
            value += self.recorded * gamma(recorded, [own], duration, window=self.window)
            values.append(value / (1 + self.recorded))
            weights.append(duration)
        return float(np.average(np.nan_to_num(values, nan=-1.0), weights=weights))


def softness(cell: Neuron) -> float:
    """The margin over which the hazard grows e-fold, mV: its ``delta`` (declared or pinned), else 1."""
    return float(getattr(cell, "delta", 1.0))
