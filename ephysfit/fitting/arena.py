"""Where free runs of candidates are compared with the recorded spikes: what every free-running stage judges by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ephysfit.fitting.losses import Coincidence, KernelScore, Loss, Mask, within
from ephysfit.fitting.stage import Estimate, Problem, Status
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free import Free, as_floats
from ephysfit.simulation.compiled import Run, run

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Arena:
    """Free runs of many candidates on the training sweeps, and their losses on training and validation blocks."""

    problem: Problem
    free: Free
    base: Neuron
    loss: Loss
    runs: int  #: noisy runs a candidate; 0 for the threshold run

    @property
    def noisy(self) -> bool:
        return self.runs > 0 and self.problem.neuron.stochastic()

    @property
    def masks(self) -> list[Mask]:
        """Per sweep the samples that train."""
        p = self.problem
        return [m & ~h for m, h in zip(p.counted, p.held_out, strict=True)]

    def training(self, z: Array, draw: int = 0) -> Array:
        """Loss of each candidate on the training blocks, in the noise number `draw`; `z` is (candidate, parameter)."""
        return self._losses(z, draw, [self.masks])[0]

    def losses(self, z: Array) -> tuple[Array, Array]:
        """Training and validation loss of each candidate, in a noise that no `training` saw.

        The rate costs nothing on validation blocks: of a dozen seconds it says little, and a drift decides it.
        """
        both = self._losses(z, -1, [self.masks, list(self.problem.held_out)])
        return both[0], both[1]

    def better(self, z: Array) -> tuple[int, dict[str, Any]]:
        """Which of the candidates after the first to keep, 0 for none of them; and losses of the first and of the best.

        It must be better on the training blocks, and still better where these and the validation blocks count alike.
        """
        train, held = self.losses(z)
        best = 1 + int(np.argmin(np.nan_to_num(train[1:], nan=np.inf)))
        gain, later = train[0] - train[best], held[0] - held[best]
        told = {"train": train[[0, best]].tolist(), "held_out": held[[0, best]].tolist()}
        return best if gain > 0 and gain + later > 0 else 0, told

    def _losses(self, z: Array, draw: int, sides: list[list[Mask]]) -> Array:
        """Means over sweeps, weighted by their spikes, (side, candidate)."""
        p = self.problem
        free = replace(self.loss, rate=0.0) if isinstance(self.loss, Coincidence | KernelScore) else self.loss
        losses = [self.loss, free]
        totals, weights = np.zeros((len(sides), len(z))), np.zeros((len(sides), 1))
        for k in range(len(p.counted)):
            done = self.drawn(z, k, draw)
            trains, runs = done.spike_times(p.dt), done.shape[1]
            for side, masks in enumerate(sides):
                recorded = within(p.recording.sweeps[k].spike_times, masks[k], p.dt)
                duration, weight = float(masks[k].sum()) * p.dt, float(len(recorded)) + 1e-9
                weights[side] += weight
                for c in range(len(z)):
                    kept = [within(t, masks[k], p.dt) for t in trains[c * runs : (c + 1) * runs]]
                    totals[side, c] += weight * losses[side](recorded, kept, duration)
        return totals / weights

    def drawn(self, z: Array, k: int, draw: int, part: slice = slice(None)) -> Run:
        """Free runs of the candidates on sweep k or a part of it, (candidate, run), in the noise number `draw`."""
        p = self.problem
        cell = self.free.to_neuron(torch.from_numpy(np.ascontiguousarray(z)), self.base)
        current, thresholds, precise = p.trials.current[0, k, part].numpy(), None, True
        if self.noisy:  # single precision moves a noisy run as little as another draw would
            most = min(len(current), int(len(current) * p.dt / 1.0) + 2)
            thresholds, precise = p.rng(k, draw + 1).exponential(size=(1, self.runs, most)), False
        return run(cell, current[None, None], p.dt, thresholds=thresholds, dtype=np.float64 if precise else np.float32)


def outcome(
    estimate: Estimate, stage: str, free: Free, z: Array | None, details: dict[str, Any], ended: Status
) -> Estimate:
    """The estimate with the coordinates a stage ended with; as it was, and told so, where it found none (None)."""
    if z is None:
        told = {**details, "kept": "the estimate before"}
        return estimate.with_(stage=stage, status=Status.CONVERGED, details=told)
    cell = as_floats(free.to_neuron(torch.as_tensor(z), estimate.neuron))
    status = Status.AT_BOUND if free.on_bound(cell) else ended
    return estimate.with_(neuron=cell, stage=stage, status=status, train=np.nan, validation=np.nan, details=details)
