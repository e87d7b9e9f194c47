"""Gradient descent in noisy free runs: a loss of spike-pair counts is differentiated through the adjoint."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch

from ephysfit.arrays import Array
from ephysfit.errors import FitError, near
from ephysfit.fitting.free_run.evaluation import FreeRunEvaluation, conclude_estimate
from ephysfit.fitting.free_run.likelihood_axes import compute_likelihood_axes
from ephysfit.fitting.free_run.losses import Coincidence, KernelScore
from ephysfit.fitting.free_run.spike_gradients import RunField, compute_spike_slopes, compute_step_credits
from ephysfit.fitting.free_run.surrogates import measure_drop_at_spike
from ephysfit.fitting.stage import Estimate, Need, Problem, Stage, Status
from ephysfit.fitting.stage_reports import SearchReport
from ephysfit.kernels.tiles import Lists
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.roles import Role
from ephysfit.neuron.step_kinds import refractory_steps
from ephysfit.simulation import adjoint
from ephysfit.simulation.engines.compiled import Run
from ephysfit.simulation.surrogate import Surrogate

#: ways to differentiate the expected loss of noisy runs
SLOPES = ("likelihood ratio", "survival", "in graph", "detached")


@dataclass(frozen=True)
class NoisyGradient(Stage):
    """Lower a loss of the noisy runs by Adam, from several starts at once.

    Every step draws fresh runs of every start. Windows shrink from coarse to their own width over the first half of
    the steps; the mean of the coordinates over the last third is what a start ends with. The best of them on the
    training blocks is kept if it beats the estimate the stage was given, over many further runs, there and where the
    validation blocks count as much. Steps are in errors of the likelihood (`compute_likelihood_axes`).

    Parameters
    ----------
    steps : int
    rate : float
        Adam's step, in errors of the likelihood.
    starts : int
        Rows of the batch: the estimate and random draws about it.
    spread : float
        Standard deviation of the random draws, in prior widths.
    loss : KernelScore or Coincidence
    runs : int
        Noisy runs of every start at every step.
    coarse : float
        How many times as wide the windows are at first.
    slope : str
        How the expected loss is differentiated with respect to the margin, one of `SLOPES`. "likelihood ratio" is
        exact up to noise, as far as `memory` reaches; the others put a surrogate window in the place of a spike:
        "survival" as wide as the softness of the threshold, "in graph" and "detached" a triangle as wide as the drop
        of the margin at a spike, with the reset in the graph and without.
    memory : float
        How long a spike is taken to change those after it, ms; used by the likelihood ratio.
    names : tuple of str
        Parameters to move; all smooth ones unless given.
    judged : int
        Runs that decide what is kept.
    longest : float
        The longest stretch of a sweep that a step uses, ms, at a random place.
    """

    name: ClassVar[str] = "noisy gradient"
    needs: ClassVar[tuple[Need, ...]] = (Need.HAZARD, Need.SPIKES)
    steps: int = 80
    rate: float = 0.4
    starts: int = 1
    spread: float = 0.15
    loss: KernelScore | Coincidence = field(default_factory=KernelScore)
    runs: int = 8
    coarse: float = 4.0
    slope: str = "likelihood ratio"
    memory: float = 100.0
    names: tuple[str, ...] = ()
    judged: int = 64
    longest: float = 60_000.0

    def __post_init__(self) -> None:
        if self.slope not in SLOPES:
            raise FitError(f"slope {self.slope!r} is unknown; {near(self.slope, SLOPES)}")

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        descent = _Descent(self, problem, estimate.neuron)
        ends, curve = descent.descend()
        z = np.concatenate([descent.free.to_vector(estimate.neuron)[None], ends])
        best, train, held_out = replace(descent.evaluation, runs=self.judged).choose_best(z)
        report = SearchReport(type(self.loss).__name__, (tuple(curve),), train, held_out, slope=self.slope)
        return conclude_estimate(estimate, descent.free, z[best] if best else None, report, Status.STEPS_USED)


class _Descent:
    """One descent of a batch of starts on one problem."""

    def __init__(self, stage: NoisyGradient, problem: Problem, cell: Neuron) -> None:
        self.stage, self.problem, self.cell = stage, problem, cell
        self.free = problem.free(stage.names or None, smooth_only=True)
        self.evaluation = FreeRunEvaluation(problem, self.free, cell, stage.loss, stage.runs)
        self.spikes = list(problem.trials.spikes[0])
        if stage.slope == "survival":
            self.surrogate = Surrogate(float(cell.value_of(Role.SOFTNESS, 1.0)), "survival")
        elif stage.slope != "likelihood ratio":
            self.surrogate = Surrogate(measure_drop_at_spike(problem, cell))

    def descend(self) -> tuple[Array, list[float]]:
        """Where every start ends, (start, parameter), and the mean slope met on the way."""
        begun, axes = self._draw_starts(), torch.from_numpy(compute_likelihood_axes(self.problem, self.free, self.cell))
        moved = torch.zeros_like(begun).requires_grad_()
        adam = torch.optim.Adam([moved], lr=self.stage.rate, betas=(0.9, 0.95))
        last, curve, passed = self.stage.steps - max(self.stage.steps // 3, 1), [], []
        for n in range(self.stage.steps):
            adam.zero_grad()
            wide = max(1.0, self.stage.coarse ** (1.0 - 2.0 * n / self.stage.steps))
            self.backward(begun + moved @ axes, n, wide)
            if moved.grad is None or not torch.isfinite(moved.grad).all():
                break
            curve.append(float(moved.grad.norm(dim=1).mean()))
            adam.step()
            if n >= last:
                passed.append((begun + moved @ axes).detach())
            self.problem.report_progress(self.stage.name, (n + 1) / self.stage.steps, curve[-1])
        ends = torch.stack(passed).mean(0) if passed else begun
        return ends.numpy(), curve

    def _draw_starts(self) -> torch.Tensor:
        rng = self.problem.rng(2)
        rows = [self.free.to_vector(self.cell)]
        rows += [self.free.drawn(self.cell, self.stage.spread, rng) for _ in range(self.stage.starts - 1)]
        return torch.from_numpy(np.stack(rows))

    def backward(self, z: torch.Tensor, draw: int, wide: float) -> None:
        """Take the gradient of the expected loss of every start back to what `z` came from."""
        neuron, counts = self.free.to_neuron(z, self.cell), [int(s.sum()) for s in self.spikes]
        total = torch.zeros(())
        for k, use in enumerate(self.evaluation.training_masks):
            part = self._cut_part(k, draw)
            played = self.evaluation.free_runs.current_with_run_up(k, part)
            before = np.zeros(len(played) - len(self.spikes[k][part]), bool)
            use = use[part].copy()
            use[: round(self.problem.skip / self.problem.dt) if part.start else 0] = False
            use = np.r_[before, use]
            done = self.evaluation.free_runs.simulate_part(
                self.evaluation.candidates(z.detach().numpy()), k, part, draw
            )
            rows = [done.begin[c * self.stage.runs : (c + 1) * self.stage.runs + 1] for c in range(len(z))]
            trains = [(begin - begin[0], done.at[begin[0] : begin[-1]]) for begin in rows]
            recorded = len(before) + np.flatnonzero(self.spikes[k][part])
            asked = [
                compute_spike_slopes(self.stage.loss, t[0], t[1], recorded, use, self.problem.dt, wide) for t in trains
            ]
            value = self._likelihood_ratio_loss if self.stage.slope == "likelihood ratio" else self._surrogate_loss
            current, share = torch.from_numpy(played)[None, None], counts[k] / max(sum(counts), 1)
            total = total + value(neuron, current, done, trains, asked) * share
        total.backward()  # type: ignore[no-untyped-call]

    def _cut_part(self, k: int, draw: int) -> slice:
        """The stretch of a sweep that a step uses."""
        steps, most = len(self.spikes[k]), round(self.stage.longest / self.problem.dt)
        if steps <= most:
            return slice(0, steps)
        start = int(self.problem.rng(4, k, draw).integers(0, steps - most))
        return slice(start, start + most)

    def _surrogate_loss(
        self, neuron: Neuron, current: torch.Tensor, done: Run, trains: Any, asked: list[RunField]
    ) -> torch.Tensor:
        """The derivatives of the loss with respect to the spikes, through the surrogate window."""
        lists = Lists(done.begin, done.at, done.shape)
        detach = self.stage.slope != "in graph"
        field = np.stack(asked)
        return adjoint.replayed(
            neuron, current, lists, field, self.problem.dt, self.surrogate, detach, dtype=torch.float32
        ).sum()

    def _likelihood_ratio_loss(
        self, neuron: Neuron, current: torch.Tensor, done: Run, trains: Any, asked: list[RunField]
    ) -> torch.Tensor:
        """The log-probability of every step of the runs, weighted by its credit: its gradient is that of the loss."""
        p = self.problem
        nref, length = refractory_steps(neuron, p.dt).tolist(), round(self.stage.memory / p.dt)
        held = nref if len(nref) == len(asked) else nref * len(asked)
        weight = torch.from_numpy(
            np.stack(
                [compute_step_credits(f, t[0], t[1], length, h) for f, t, h in zip(asked, trains, held, strict=True)]
            )
        )
        lists = Lists(done.begin, done.at, done.shape)
        margin = adjoint.margins(neuron, current, p.dt, lists, dtype=torch.float32).float()
        rate = neuron.hazard(margin.movedim(0, -1)).movedim(-1, 0).float() * p.dt  # type: ignore[attr-defined]
        rate = rate.clamp(1e-12, 1e4)
        row = torch.from_numpy(np.repeat(np.arange(done.shape[0] * done.shape[1]), np.diff(done.begin)))
        at = torch.from_numpy(done.at)
        spiked, reward = rate.flatten(0, 1)[row, at], weight.flatten(0, 1)[row, at]
        silent = weight.clone()
        silent.flatten(0, 1)[row, at] = 0.0
        return (torch.log(-torch.expm1(-spiked)) * reward).sum() - (rate * silent).sum()
