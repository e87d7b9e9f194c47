"""Maximum likelihood with the recorded spikes replayed: smooth, exact, second order.

Fisher scoring with Levenberg's damping: the expected information replaces the Hessian, so each step is a damped
weighted least-squares step, and the prior is a quadratic pull towards the declared starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ephysfit.fitting.stage import MINIMUM_SPIKES, Estimate, Problem, Status
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free import Free, as_floats
from ephysfit.simulation.replay import Information, Replay, Taught

Array = npt.NDArray[np.float64]

#: longest step of one free coordinate: a factor of e in the odds of where it lies between its bounds
LONGEST = 1.0


@dataclass(frozen=True, eq=False)
class Posterior:
    """Log-likelihood plus log-prior of free coordinates, over some sweeps.

    The prior is normal about the declared starts with the declared widths, weighted by ``strength`` per recorded
    spike: light enough to lose against the data, heavy enough to settle what the data leave open.
    """

    replay: Replay
    sweeps: list[Taught]
    strength: float
    centre: torch.Tensor

    @property
    def weight(self) -> float:
        return self.strength * max(sum(s.n_spikes for s in self.sweeps), 1)

    def _pull(self, z: torch.Tensor) -> tuple[Array, Array]:
        """Prior residuals and their slopes in z."""
        free = self.replay.free
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            r = (free.axis(z) - self.centre) / free.widths
            (slope,) = torch.autograd.grad(r.sum(), z)
        return r.detach().numpy(), slope.numpy()

    def value(self, z: torch.Tensor) -> float:
        r, _ = self._pull(z)
        total = self.replay.value(z, self.sweeps) - 0.5 * self.weight * float(r @ r)
        return total if np.isfinite(total) else -np.inf

    def information(self, z: torch.Tensor) -> Information:
        r, slope = self._pull(z)
        found = self.replay.information(z, self.sweeps)
        value = found.value - 0.5 * self.weight * float(r @ r)
        gradient = found.gradient - self.weight * r * slope
        return Information(value, gradient, found.fisher + np.diag(self.weight * slope**2))


@dataclass(frozen=True)
class Ascent:
    """Where an ascent ended."""

    z: torch.Tensor
    value: float
    status: Status
    steps: int
    values: tuple[float, ...]


def ascend(target: Posterior, z: torch.Tensor, *, steps: int, tolerance: float, report: Any = None) -> Ascent:
    """Damped Fisher scoring from `z`; `tolerance` is the gain in nats under which it stops."""
    damping, here = 1e-2, target.information(z)
    values, small = [here.value], 0
    if not np.isfinite(here.value):
        return Ascent(z, here.value, Status.DIVERGED, 0, tuple(values))
    for k in range(steps):
        if report is not None:
            report(k / steps)
        moved = None
        for _ in range(14):
            step = _solve(here, damping)
            trial = z + torch.from_numpy(step)
            if target.value(trial) > here.value:
                moved = trial
                break
            damping *= 5
        if moved is None:
            return Ascent(z, here.value, Status.CONVERGED, k, tuple(values))
        there = target.information(moved)
        gain = there.value - here.value
        z, here, damping = moved, there, max(damping / 6, 1e-7)
        values.append(here.value)
        small = small + 1 if gain < tolerance else 0
        if small >= 3:
            return Ascent(z, here.value, Status.CONVERGED, k + 1, tuple(values))
    return Ascent(z, here.value, Status.STEPS_USED, steps, tuple(values))


def _solve(at: Information, damping: float) -> Array:
    scale = np.sqrt(np.maximum(np.diag(at.fisher), 1e-12))
    scaled = at.fisher / np.outer(scale, scale) + damping * np.eye(len(scale))
    step = np.linalg.lstsq(scaled, at.gradient / scale, rcond=1e-12)[0] / scale
    largest = np.abs(step).max()
    return step * min(1.0, LONGEST / largest) if largest > 0 else step


@dataclass(frozen=True)
class Likelihood:
    """Fit by maximum likelihood with the recorded spikes replayed.

    Parameters
    ----------
    steps : int
        Most Fisher-scoring steps of each ascent.
    prior : float
        Weight of the prior per recorded spike.
    tolerance : float
        Stop when three steps in a row gain less, in nats.
    names : tuple of str
        Parameters to move; all smooth ones unless given.
    """

    steps: int = 150
    prior: float = 4e-4
    tolerance: float = 0.05
    names: tuple[str, ...] = ()

    def __call__(self, problem: Problem, estimate: Estimate) -> Estimate:
        if not problem.neuron.stochastic():
            return estimate.with_(stage="likelihood", status=Status.NOT_NEEDED)
        if problem.n_spikes < MINIMUM_SPIKES:
            return estimate.with_(stage="likelihood", status=Status.TOO_FEW_SPIKES)
        cell, curves = estimate.neuron, []
        centre = estimate.details.get("centre", estimate.neuron)
        for names in self._order(problem.neuron):
            cell, found = self._climb(problem, cell, centre, names)
            curves.append([-v / problem.n_spikes for v in found.values])
        free = Free.of(problem.neuron, self.names or None, smooth_only=True)
        replay, z = Replay(free, cell, problem.dt), free.to_vector(cell)
        bounds = free.on_bound(cell)
        status = Status.AT_BOUND if bounds and found.status is Status.CONVERGED else found.status
        return estimate.with_(
            neuron=cell,
            stage="likelihood",
            status=status,
            train=-replay.value(z, problem.everything) / problem.n_spikes,
            validation=-replay.value(z, problem.validate) / max(sum(s.n_spikes for s in problem.validate), 1),
            details={"curves": curves, "at_bound": bounds, "steps": [len(c) - 1 for c in curves]},
        )

    def _order(self, neuron: type[Neuron]) -> list[tuple[str, ...]]:
        """A cold start moves the near-linear parameters first, then all."""
        everything = Free.of(neuron, self.names or None, smooth_only=True).names
        early = [n for n, p in neuron.parameters.items() if p.early]
        first = tuple(n for n in Free.of(neuron, early, smooth_only=True).names if n in everything) if early else ()
        return [first, everything] if first else [everything]

    def _climb(self, problem: Problem, cell: Neuron, centre: Neuron, names: tuple[str, ...]) -> tuple[Neuron, Ascent]:
        free = Free.of(problem.neuron, names)
        target = Posterior(Replay(free, cell, problem.dt), problem.everything, self.prior, free.place(centre))
        report = lambda f: problem.progress("likelihood", f)  # noqa: E731
        found = ascend(target, free.to_vector(cell), steps=self.steps, tolerance=self.tolerance, report=report)
        return as_floats(free.to_neuron(found.z, cell)), found
