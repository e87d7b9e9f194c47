"""The log-posterior of recorded spikes and the climb to its top: smooth, exact, second order.

Fisher scoring with Levenberg's damping: the expected information replaces the Hessian, so each step is a damped
weighted least-squares step, and the prior is a quadratic pull towards the declared starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ephysfit.arrays import Array, Mask
from ephysfit.fitting.prior import expand_log_likelihood
from ephysfit.fitting.stage import Status
from ephysfit.fitting.stage_reports import Quadratic
from ephysfit.simulation.replay import Information, Replay, ReplaySweep

#: damping that an ascent begins with, of each parameter's own information
DAMPING = 1e-2
#: shares of the promised gain below which the damping grows and above which it falls
POOR, GOOD = 0.25, 0.6
#: longest step of one free coordinate: a factor of e in the odds of where it lies between its bounds
LONGEST = 1.0
#: farthest a bounded coordinate goes: a ten-thousandth of the way between its bounds from one of them
OUTMOST = 9.21
#: a gain in nats so small that a shortened step is worth a second try
SLIGHT = 1.0


@dataclass(frozen=True, eq=False)
class Posterior:
    """Log-likelihood plus log-prior of free coordinates (and drift weights behind them), over some sweeps.

    The prior is normal about `centre` with the declared widths, weighted by ``strength`` per recorded spike: light
    enough to lose against the data, heavy enough to settle what the data leave open. Where a population is known its
    inverse covariance stands in (`precision`, on the parameters' axes), as it is. Drift weights are normal about 0.
    Sweeps that are assumed, not recorded, count in the likelihood, but not as data.
    """

    replay: Replay
    sweeps: list[ReplaySweep]
    strength: float
    centre: Array
    drift: int = 0
    drift_width: float = 0.5
    precision: Array | None = None
    assumed: tuple[ReplaySweep, ...] = ()

    @cached_property
    def _replayed(self) -> list[ReplaySweep]:
        return [*self.sweeps, *self.assumed]

    @property
    def weight(self) -> float:
        """Weight of the declared prior: its strength times the number of recorded spikes."""
        return self.strength * max(sum(s.n_spikes for s in self.sweeps), 1)

    def append_zero_drift(self, z: Array) -> Array:
        """`z` with drift weights of zero behind it."""
        return np.append(z, np.zeros(self.drift))

    def split_coordinates(self, q: Array) -> tuple[Array, Array]:
        """Free coordinates and drift weights."""
        n = len(self.replay.free.names)
        return q[:n], q[n:]

    def _distance_from_centre(self, z: Array) -> Array:
        off: Array = self.replay.free.axis(z) - self.centre
        return off

    @cached_property
    def _prior_curvature(self) -> Array:
        """Curvature of the prior on the axes."""
        return np.diag(self.weight / self.replay.free.widths**2) if self.precision is None else self.precision

    def _prior_gradient_and_curvature(self, q: Array) -> tuple[Array, Array]:
        """Gradient of the log-prior (negative) and its curvature."""
        z, d = self.split_coordinates(q)
        off, slopes, n = self._distance_from_centre(z), self.replay.free.axis_slopes(z), len(z)
        pull = np.r_[(self._prior_curvature @ off) * slopes, d / self.drift_width**2]
        curvature = np.diag(np.r_[np.zeros(n), np.full(len(d), self.drift_width**-2)])
        curvature[:n, :n] = self._prior_curvature * np.outer(slopes, slopes)
        return pull, curvature

    def _penalty(self, q: Array) -> float:
        z, d = self.split_coordinates(q)
        off = self._distance_from_centre(z)
        return 0.5 * float(off @ self._prior_curvature @ off) + 0.5 * float(d @ d) / self.drift_width**2

    def value(self, q: Array) -> float:
        """Log-posterior up to a constant; minus infinity where it is not finite, so that no step goes there."""
        z, d = self.split_coordinates(q)
        total = self.replay.value(z, self._replayed, d) - self._penalty(q)
        return total if np.isfinite(total) else -np.inf

    def information(self, q: Array) -> Information:
        """The same with its gradient and Fisher information, the prior in both."""
        z, d = self.split_coordinates(q)
        pull, curvature = self._prior_gradient_and_curvature(q)
        found = self.replay.information(z, self._replayed, d)
        value = found.value - self._penalty(q)
        return Information(value, found.gradient - pull, found.fisher + curvature)

    def expand_data_likelihood(self, q: Array, at: Information) -> Quadratic:
        """The log-likelihood of the data alone about the place where a climb ended."""
        pull, curvature = self._prior_gradient_and_curvature(q)
        z, d = self.split_coordinates(q)
        n, gradient, fisher = len(z), at.gradient + pull, at.fisher - curvature
        if self.assumed:
            known = self.replay.information(z, list(self.assumed), d)
            gradient, fisher = gradient - known.gradient, fisher - known.fisher
        return expand_log_likelihood(self.replay.free, z, gradient[:n], fisher[:n, :n])


@dataclass(frozen=True)
class Ascent:
    """Where an ascent ended, and the posterior it climbed."""

    z: Array
    value: float
    status: Status
    values: tuple[float, ...]
    information: Information
    target: Any


def ascend(
    target: Posterior, z: Array, *, steps: int, tolerance: float, bounded: int = 0, report: Any = None
) -> Ascent:
    """Damped Fisher scoring from `z`; `tolerance` is the gain in nats under which it stops.

    The first `bounded` coordinates are kept `OUTMOST` from their middle. One that is there and is drawn further out is
    held for a step, so that the others are solved for without it: farther out nothing would draw it back.
    """
    damping, here = DAMPING, target.information(z)
    values, small, again, status = [here.value], 0, False, Status.STEPS_USED
    if not _is_usable(here):
        return Ascent(z, -np.inf, Status.DIVERGED, (-np.inf,), _zero_information(here), target)
    for k in range(steps):
        if report is not None:
            report(k / steps, z, here.value)
        moved, damping = _find_gaining_step(target, z, here, damping, bounded)
        there = here if moved is None else target.information(moved)
        if not _is_usable(there):
            break
        gain = there.value - here.value
        small = small + 1 if gain < tolerance else 0
        if moved is not None:
            z, here = moved, there
            values.append(here.value)
        if moved is None or small >= 3:
            if again or damping > DAMPING:
                status = Status.CONVERGED
                break
            # long steps of little damping may have gone astray for a while: once more from careful ones
            damping, small, again = DAMPING, 0, True
        elif gain > SLIGHT:
            again = False
    return Ascent(z, here.value, status, tuple(values), here, target)


def _is_usable(at: Information) -> bool:
    """Whether a step can be made from here: of an upstroke far from the data the slopes overflow."""
    return bool(np.isfinite(at.value) and np.isfinite(at.gradient).all() and np.isfinite(at.fisher).all())


def _zero_information(at: Information) -> Information:
    return Information(-np.inf, np.zeros_like(at.gradient), np.zeros_like(at.fisher))


def _find_gaining_step(
    target: Posterior, z: Array, here: Information, damping: float, bounded: int
) -> tuple[Array | None, float]:
    """The first damped step that gains, and the damping for the next one; None where none does."""
    held = _find_held(z, here.gradient, bounded)
    for _ in range(14):
        whole = _solve_scoring_step(here, damping, held)
        trial = _keep_inside(z + whole / max(1.0, float(np.abs(whole).max()) / LONGEST), bounded)
        gain = target.value(trial) - here.value
        if gain < max(SLIGHT, 0.02 * abs(here.value)) and np.abs(whole).max() > LONGEST:
            # one parameter that hardly matters may hold up all others: let each go as far as it may by itself
            apart = _keep_inside(z + np.clip(whole, -LONGEST, LONGEST), bounded)
            further = target.value(apart) - here.value
            trial, gain = (apart, further) if further > gain else (trial, gain)
        if gain > 0:
            return trial, _adapt_damping(damping, gain, trial - z, here)
        damping *= 5
    return None, damping


def _adapt_damping(damping: float, gain: float, step: Array, at: Information) -> float:
    """Less damping where a step gained what the quadratic promised, more where it gained little of that."""
    promised = float(at.gradient @ step - 0.5 * step @ at.fisher @ step)
    if gain < POOR * promised:
        return damping * 4
    return damping if gain < GOOD * promised else max(damping / 6, 1e-7)


def _find_held(z: Array, gradient: Array, bounded: int) -> Mask:
    """Which coordinates stand at their end and are drawn further out."""
    out = (np.abs(z) >= OUTMOST) & (gradient * z > 0)
    out[bounded:] = False
    return out


def _keep_inside(z: Array, bounded: int) -> Array:
    return np.append(z[:bounded].clip(-OUTMOST, OUTMOST), z[bounded:])


def _solve_scoring_step(at: Information, damping: float, held: Mask) -> Array:
    """The damped step of Fisher scoring, in the scale of each parameter's own information; 0 for what is held."""
    free = np.flatnonzero(~held)
    fisher, out = at.fisher[np.ix_(free, free)], np.zeros(len(held))
    scale = np.sqrt(np.maximum(np.diag(fisher), 1e-12))
    scaled = fisher / np.outer(scale, scale) + damping * np.eye(len(scale))
    out[free] = np.linalg.lstsq(scaled, at.gradient[free] / scale, rcond=1e-12)[0] / scale
    return out
