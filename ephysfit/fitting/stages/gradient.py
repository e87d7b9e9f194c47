"""Gradient descent in free run: the threshold run's van Rossum distance, through the adjoint of the compiled engine."""

from __future__ import annotations

from dataclasses import dataclass
from math import expm1
from typing import ClassVar

import numpy as np
import torch

from ephysfit.arrays import Array, Integers, Mask
from ephysfit.errors import SimulationError, near
from ephysfit.fitting.free_run.evaluation import SILENT, conclude_estimate
from ephysfit.fitting.free_run.losses import VanRossum, select_spikes_in
from ephysfit.fitting.free_run.surrogates import measure_drop_at_spike
from ephysfit.fitting.stage import Estimate, Need, Problem, Stage, Status
from ephysfit.fitting.stage_reports import CausalRun, SearchReport
from ephysfit.neuron.declare import Neuron, cellwise
from ephysfit.neuron.step_kinds import refuse_unless_affine
from ephysfit.simulation import adjoint
from ephysfit.simulation.engines.affine_blocks import refuse_in_graph
from ephysfit.simulation.engines.blocks import blocks
from ephysfit.simulation.engines.compiled import run
from ephysfit.simulation.engines.soft_reset import causal as filter_causally
from ephysfit.simulation.surrogate import Surrogate

ENGINES = ("compiled", "blocks")


@dataclass(frozen=True)
class Gradient(Stage):
    """Lower the van Rossum distance of the noise-free threshold run by Adam, from several starts at once.

    The distance is taken with time constants from coarse to fine, so that a spike first finds its neighbourhood and
    then its place. The reset stays in the graph, with a surrogate about as wide as the drop of the margin at a spike.
    The last part of the training data validates: the step that does best there is kept, and only if it beats the
    estimate the stage was given.

    Parameters
    ----------
    steps : int
    rate : float
        Adam's step in free coordinates.
    starts : int
        Rows of the batch: the estimate and random draws about it.
    spread : float
        Standard deviation of the random draws, in prior widths.
    taus : (float, float)
        First and last time constant of the distance, ms.
    detach : bool
        Keep the reset out of the graph, as the gradient of Taylor, King & Harper (2023) does.
    engine : {"compiled", "blocks"}
        Kernels and their adjoint, or the paper's block-parallel algorithm (with ``detach=True``): the same descent, by
        another way. On a CPU the kernels are much faster; blocks keep a record of every step in memory.
    width : float
        Half width of the surrogate, mV; 0 to measure the drop of the margin at a spike.
    check : int
        Steps between validations.
    names : tuple of str
        Parameters to move; all smooth ones unless given.
    """

    name: ClassVar[str] = "gradient"
    needs: ClassVar[tuple[Need, ...]] = (Need.SPIKES,)
    steps: int = 200
    rate: float = 0.03
    starts: int = 8
    spread: float = 0.15
    taus: tuple[float, float] = (60.0, 10.0)
    detach: bool = False
    engine: str = "compiled"
    width: float = 0.0
    check: int = 10
    names: tuple[str, ...] = ()

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        if self.engine not in ENGINES:
            raise SimulationError(f"the gradient stage has no engine {self.engine!r}; {near(self.engine, ENGINES)}")
        descent = _Descent(self, problem, estimate.neuron)
        if self.engine == "blocks":
            refuse_unless_affine(type(estimate.neuron), self.engine)
            refuse_in_graph(self.detach, descent.surrogate, self.engine)
        z, curve, held_out = descent.descend()
        report = SearchReport(
            curves=(tuple(curve),), held_out=tuple(held_out), surrogate_width=float(descent.surrogate.width)
        )
        end = None if z is None else z.numpy()
        return conclude_estimate(estimate, descent.free, end, report, Status.STEPS_USED, CausalRun(None))


def measure_distance(spikes: torch.Tensor, recorded: torch.Tensor, dt: float, tau: float) -> torch.Tensor:
    """Squared van Rossum distance of rasters, as `adjoint.van_rossum_loss` defines it, with gradients.

    Parameters
    ----------
    spikes, recorded : Tensor, (cell, trial, time)
    dt, tau : float
        ms.

    Returns
    -------
    Tensor, (cell, trial)

    Examples
    --------
    >>> lone = torch.zeros(1, 1, 100_000, dtype=torch.float64)
    >>> lone[0, 0, 0] = 1
    >>> round(float(measure_distance(lone, 0 * lone, 0.1, 10.0)), 6)
    0.5
    """
    steps = torch.arange(spikes.shape[-1], dtype=spikes.dtype, device=spikes.device)
    error = filter_causally(torch.exp(-dt / tau * steps)[None], spikes - recorded)
    return -0.5 * expm1(-2 * dt / tau) * (error * error).sum(-1)


class _Descent:
    """One descent of a batch of starts on one problem."""

    def __init__(self, stage: Gradient, problem: Problem, cell: Neuron) -> None:
        self.stage, self.problem, self.cell = stage, problem, cell
        self.free = problem.free(stage.names or None, smooth_only=True)
        self.surrogate = Surrogate(width=stage.width or measure_drop_at_spike(problem, cell))
        self.parts = [self._cut_part(k) for k in range(len(problem.counted))]

    def _cut_part(self, k: int) -> tuple[torch.Tensor, list[list[Integers]], Mask]:
        """Current and events of the part that trains, and the mask of the part that validates."""
        p = self.problem
        before = p.run_up(k)
        current, counted = p.trials.current[0, k], p.counted[k]
        length = (
            int(np.flatnonzero(p.trials.valid[0, k])[-1]) + 1
        )  # what follows is padding, where nothing was recorded
        cut = round(length * (1 - p.validation))
        events = len(before) + np.flatnonzero(p.trials.spikes[0, k, :cut])
        later = counted.copy()
        later[:cut] = False
        played = torch.from_numpy(np.concatenate([before, current[:cut]]))
        return played[None, None], [[events]], later

    def descend(self) -> tuple[torch.Tensor | None, list[float], list[float]]:
        """The best coordinates on the validation part (None where the start was best), the curve, and its values."""
        z = self._draw_starts().requires_grad_()
        adam = torch.optim.Adam([z], lr=self.stage.rate)
        best, floor = None, float(self.validate(z[:1])[0])
        curve, held_out = [], [floor]
        for n in range(self.stage.steps):
            adam.zero_grad()
            loss = self.compute_loss(z, n / max(self.stage.steps - 1, 1))
            loss.sum().backward()
            if z.grad is None or not torch.isfinite(z.grad).all():
                break
            torch.nn.utils.clip_grad_norm_([z], 10.0 * len(z))
            adam.step()
            curve.append(float(loss.detach().min()))
            if (n + 1) % self.stage.check == 0:
                now = self.validate(z)
                held_out.append(float(now.min()))
                if now.min() < floor:
                    floor, best = float(now.min()), z.detach()[int(np.argmin(now))].clone()
                self.problem.report_progress(self.stage.name, (n + 1) / self.stage.steps, floor)
        return best, curve, held_out

    def _draw_starts(self) -> torch.Tensor:
        rng = self.problem.rng(2)
        rows = [self.free.to_vector(self.cell)]
        rows += [self.free.drawn(self.cell, self.stage.spread, rng) for _ in range(self.stage.starts - 1)]
        return torch.from_numpy(np.stack(rows))

    def compute_loss(self, z: torch.Tensor, done: float) -> torch.Tensor:
        """Distance per recorded spike of each start, (start,)."""
        first, last = self.stage.taus
        tau = first * (last / first) ** done
        neuron = self.free.to_neuron(z, self.cell)
        losses = [self._compute_distance(neuron, current, events, tau) for current, events, _ in self.parts]
        total = torch.stack(losses).sum(0)
        return total / max(sum(len(e[0][0]) for _, e, _ in self.parts), 1)

    def _compute_distance(
        self, neuron: Neuron, current: torch.Tensor, events: list[list[Integers]], tau: float
    ) -> torch.Tensor:
        """Squared van Rossum distance of each start in one sweep, (start,)."""
        dt, surrogate = self.problem.dt, self.surrogate
        if self.stage.engine == "compiled":
            return adjoint.van_rossum_loss(neuron, current, events, dt, tau, surrogate, self.stage.detach)
        rows = cellwise(neuron)
        spikes = blocks(neuron, current.expand(rows, *current.shape[1:]), dt, surrogate=surrogate)[0]
        recorded = torch.zeros_like(current)
        recorded[..., events[0][0]] = 1.0
        return measure_distance(spikes, recorded, dt, tau).sum(-1)

    def validate(self, z: torch.Tensor) -> Array:
        """Relative van Rossum distance of each start on the validation part."""
        p, measure = self.problem, VanRossum(self.stage.taus[1])
        neuron = self.free.to_neuron(z.detach(), self.cell)
        totals, weights = np.zeros(len(z)), 0.0
        for k, (_, _, later) in enumerate(self.parts):
            recorded = select_spikes_in(p.recording.sweeps[k].spike_times, later, p.dt)
            before = p.run_up(k)
            played = np.concatenate([before, p.trials.current[0, k]])
            trains = [t - len(before) * p.dt for t in run(neuron, played[None, None], p.dt).spike_times(p.dt)]
            trains = [t[t >= 0] for t in trains]
            weights += len(recorded) + SILENT
            duration = len(later) * p.dt
            found = [measure(recorded, [select_spikes_in(t, later, p.dt)], duration) for t in trains]
            totals += (len(recorded) + SILENT) * np.array(found)
        return totals / weights
