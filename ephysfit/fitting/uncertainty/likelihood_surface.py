"""The likelihood about a finished fit: its tops, one per refractory period, and the directions it is blind to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ephysfit.arrays import Array, Mask
from ephysfit.data.holding_current import SKIP
from ephysfit.data.recording import Recording
from ephysfit.errors import FitError
from ephysfit.fitting.ascent import Ascent, Posterior, ascend
from ephysfit.fitting.assumed_steps import make_assumed_sweeps
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.prior import unpack_symmetric
from ephysfit.fitting.recording_identity import matches_recording
from ephysfit.fitting.stage import MINIMUM_SPIKES, Problem
from ephysfit.fitting.stage_reports import AssumedStep, LikelihoodReport
from ephysfit.fitting.stages.likelihood import Likelihood, drift_ramps, weight_by_recency
from ephysfit.fitting.stages.refractory_period import find_longest_period
from ephysfit.fitting.voltage_likelihood import Voltage, select_voltage_samples
from ephysfit.neuron.declare import Neuron, scalar_values, unflatten
from ephysfit.neuron.free_parameters import FreeParameters, as_floats
from ephysfit.neuron.roles import Role
from ephysfit.simulation.replay import Information, Noise, Replay, ReplaySweep
from ephysfit.units import find_dimension

#: squared standard errors in one prior width under which the likelihood does not see a direction at all
BLIND = 1e-4
#: and, as a share of the largest eigenvalue, what rounding leaves of 0
ROUNDING = 1e-13
#: least eigenvalue of an information that is scaled to a diagonal of ones
FLAT = 1e-10
#: gain in nats under which a climb stops: small, because narrow valleys are followed by many small gains
CLOSE = 2e-3
#: parameters that carry the place and the size of the mV scale
SCALE = (Role.REST, Role.THRESHOLD)
#: weight of the prior per spike where the fit does not say
PRIOR = Likelihood.prior
#: gain in nats from which another refractory period is preferred to the fit's (the end of a 95 % interval)
PREFERRED = 1.92
#: most refractory periods to look at on either side
MOST = 8
#: a refractory period this much less likely (nats) than the best one is left out
UNLIKELY = 6.0


@dataclass(frozen=True, eq=False)
class HeldPosterior:
    """A posterior with some coordinates held where they are: their gradient is 0, so no step moves them."""

    target: Posterior
    where: Mask

    def value(self, q: Array) -> float:
        return self.target.value(q)

    def information(self, q: Array) -> Information:
        found = self.target.information(q)
        fisher = np.where(self.where[:, None] | self.where[None, :], 0.0, found.fisher) + np.diag(self.where * 1.0)
        return Information(found.value, np.where(self.where, 0.0, found.gradient), fisher)


@dataclass(frozen=True, eq=False)
class Peak:
    """The top of the posterior at one refractory period.

    Attributes
    ----------
    t_ref : float
        ms; NaN for a neuron that has none to choose.
    neuron : Neuron
    q : ndarray, (coordinate,)
        Free coordinates, and drift weights behind them.
    value : float
        Log-posterior, nats.
    target : Posterior
    covariance : ndarray, (parameter, parameter)
        Of the free coordinates, with those that are held at 0.
    """

    t_ref: float
    neuron: Neuron
    q: Array
    value: float
    target: Posterior
    covariance: Array


@dataclass(frozen=True, eq=False)
class Surface:
    """The posterior of a finished fit on the data it was fitted to.

    Parameters
    ----------
    problem : Problem
    start : Neuron
        Where the likelihood stage ended, or the fit where that is not known.
    centre : Neuron
        Centre of the prior.
    strength : float
        Weight of the prior per spike.
    drift : tuple of float
        Weights of the slow drift the fit had; empty without.
    names : tuple of str
        Parameters that moved in the fit.
    voltage : Voltage, optional
        How the recorded voltage entered the fit, if it did.
    noise : Noise, optional
        Noise of that voltage.
    precision : ndarray, optional
        Inverse covariance of a population's prior, if the fit had one.
    recent : float, optional
        Half-life of the data's weight, ms.
    assumed : tuple of AssumedStep
        Steps that the fit assumed beside the data.
    """

    problem: Problem
    start: Neuron
    centre: Neuron
    strength: float
    drift: tuple[float, ...]
    names: tuple[str, ...]
    voltage: Voltage | None = None
    noise: Noise | None = None
    precision: Array | None = None
    recent: float | None = None
    assumed: tuple[AssumedStep, ...] = ()

    @classmethod
    def of(cls, fit: Fit, recording: Recording) -> Surface:
        """The posterior of a fit on the recording it was fitted to.

        Raises
        ------
        FitError
            If the neuron has no likelihood, the recording is another one, or it holds too few spikes.
        """
        kind = type(fit.neuron)
        if not kind.stochastic():
            raise FitError(
                f"{fit.model} declares no hazard, so its spikes have no likelihood and its parameters no intervals; "
                "add hazard(self, u) to the neuron, or fit the stochastic neuron of the same family"
            )
        known = fit.provenance.data_sha256
        if known and not matches_recording(known, recording):
            raise FitError(
                f"{fit.cell}: {recording.source} is not what this fit was fitted to (other currents, steps or spikes); "
                "intervals need the training data: give the same file and the same --train and --test"
            )
        skip = fit.provenance.skip_ms
        problem = Problem(recording, kind, fit.dt, skip=SKIP if skip is None else skip)
        if problem.n_spikes < MINIMUM_SPIKES:
            raise FitError(
                f"{fit.cell}: {problem.n_spikes} spikes in the training data; intervals need {MINIMUM_SPIKES} or more"
            )
        found = fit.likelihood or LikelihoodReport()
        prior, voltage = found.prior, found.voltage
        every = FreeParameters.of(kind, smooth_only=True).names
        moved = tuple(n for n in every if prior is None or n in prior.names) or every
        of = lambda values: kind(**unflatten(kind.parameters, dict(values)))  # noqa: E731
        return cls(
            problem,
            of(found.top) if found.top else fit.neuron,
            of(prior.centre) if prior else problem.start(),
            prior.strength if prior else PRIOR,
            found.drift,
            moved,
            Voltage(**voltage.settings) if voltage else None,
            Noise(voltage.keep, voltage.spread, voltage.weight) if voltage else None,
            unpack_symmetric(prior.precision, len(moved)) if prior and prior.precision else None,
            found.recent,
            found.assumed,
        )

    @cached_property
    def free(self) -> FreeParameters:
        """The free coordinates of the parameters that moved in the fit."""
        return FreeParameters.of(self.problem.neuron, self.names)

    @cached_property
    def sweeps(self) -> list[ReplaySweep]:
        data = weight_by_recency(self.problem.everything, self.recent, self.problem.dt)
        sweeps = [replace(t, slow=drift_ramps(len(t.spikes), len(self.drift))) for t in data]
        return sweeps if self.voltage is None else select_voltage_samples(self.problem, sweeps, self.voltage)

    def target(self, base: Neuron, sweeps: Sequence[ReplaySweep] | None = None) -> Posterior:
        """The posterior over some sweeps; the prior weighs what it weighs on all of them."""
        replay = Replay(self.free, base, self.problem.dt, self.noise)
        chosen = list(self.sweeps if sweeps is None else sweeps)
        count, whole = (max(sum(s.n_spikes for s in some), 1) for some in (chosen, self.sweeps))
        strength = self.strength * whole / count
        place = self.free.place(self.centre)
        assumed = make_assumed_sweeps(self.assumed, self.problem.dt, len(self.drift))
        return Posterior(replay, chosen, strength, place, len(self.drift), precision=self.precision, assumed=assumed)

    @cached_property
    def data_information(self) -> Information:
        """Information of the spikes (and of the voltage, if it was fitted) where the fit ended, without a prior."""
        replay = Replay(self.free, self.start, self.problem.dt, self.noise)
        return replay.information(self.free.to_vector(self.start), self.sweeps, np.array(self.drift))

    @cached_property
    def information_directions(self) -> tuple[Array, Array]:
        """Eigenvalues and eigenvectors (parameter, direction) of the information, blindest first.

        Parameters count in prior widths, so that an eigenvalue is how many squared standard errors one prior width
        is worth along its direction.
        """
        n = len(self.free.names)
        z = self.free.to_vector(self.start)
        slopes = self.free.axis_slopes(z)
        scale = self.free.widths / np.maximum(np.abs(slopes), 1e-12)
        found = np.linalg.eigh(self.data_information.fisher[:n, :n] * np.outer(scale, scale))
        return found.eigenvalues, found.eigenvectors

    @cached_property
    def held(self) -> tuple[str, ...]:
        """Parameters of the mV scale to hold where the likelihood is blind to it, so that the others have a meaning.

        The resting potential where all potentials could be shifted, the threshold where they could be stretched about
        rest, and conductances and capacitance with them, without moving a spike.
        """
        rest, threshold = self.scale
        if rest is None or threshold is None:
            return ()
        moves = {rest: self._shift_potentials(), threshold: self._stretch_potentials(rest)}
        return tuple(n for n, by in moves.items() if self._is_blind_to(by))

    @property
    def scale(self) -> tuple[str | None, str | None]:
        """Names of the resting potential and the threshold, where they are moved."""
        rest, threshold = (self.problem.neuron.free_name_of(role) for role in SCALE)
        moved = self.free.names
        return (rest if rest in moved else None), (threshold if threshold in moved else None)

    def _shift_potentials(self) -> dict[str, float]:
        """All potentials up by 1 mV: change of each parameter on its axis."""
        return {n: 1.0 for n in self.free.names if n in self.problem.neuron.places()}

    def _stretch_potentials(self, rest: str) -> dict[str, float]:
        """All mV larger, potentials about rest: change of each parameter on its axis."""
        inside = self.free.to_neuron(self.free.to_vector(self.start), self.start)  # values on a bound are moved inside
        values = scalar_values(as_floats(inside))
        moves, places = {}, self.problem.neuron.places()
        for n, p in zip(self.free.names, self.free.parameters, strict=True):
            power = find_dimension(p.unit)[1]
            value = values[n] - values[rest] if n in places else values[n]
            moves[n] = power * (1.0 if p.logarithmic else value)
        return moves

    def _is_blind_to(self, moves: dict[str, float]) -> bool:
        """Whether the information along a direction is nothing but rounding."""
        values, vectors = self.information_directions
        v = np.array([moves.get(n, 0.0) for n in self.free.names]) / self.free.widths
        along = float(values @ (vectors.T @ v) ** 2) / max(float(v @ v), 1e-300)
        return along < max(BLIND, ROUNDING * float(values[-1]))

    @cached_property
    def fixed(self) -> Mask:
        """Which coordinates, drift weights included, are held."""
        return np.array([n in self.held for n in self.free.names] + [False] * len(self.drift))

    def climb(self, target: Posterior, q: Array, steps: int = 60, fixed: Mask | None = None) -> Ascent:
        """Climb to the top from `q`, with the blind directions held and, if given, further coordinates."""
        where = self.fixed if fixed is None else self.fixed | fixed
        held = HeldPosterior(target, where)
        return ascend(held, q, steps=steps, tolerance=CLOSE, bounded=len(self.free.names))  # type: ignore[arg-type]

    def peak(self, base: Neuron, q: Array) -> Peak:
        """The top with the refractory period of `base`."""
        target = self.target(base)
        found = self.climb(target, q)
        n = len(self.free.names)
        neuron = as_floats(self.free.to_neuron(found.z[:n], base))
        t_ref = float(base.refractory_ms) if self.period else float("nan")
        return Peak(
            t_ref,
            neuron,
            found.z,
            found.value,
            target,
            invert_information(found.information.fisher, self.fixed)[:n, :n],
        )

    @property
    def period(self) -> str | None:
        """Name of the refractory period, where it is free."""
        return self.problem.neuron.free_name_of(Role.REFRACTORY)

    def top(self) -> Peak:
        """The top at the refractory period of the fit."""
        z = self.free.to_vector(self.start)
        return self.peak(self.start, np.append(z, self.drift))

    def peaks(self, report: Any = None) -> tuple[Peak, ...]:
        """The tops at every refractory period about that of the fit that is likely, the highest first.

        Where a neighbour is clearly more likely than that of the fit, the fit took another one on purpose (an interval
        never contradicts a longer refractory period until it is as long): then the fit's alone, and the neighbour last.
        """
        first = self.top()
        if self.period is None:
            return (first,)
        limit = find_longest_period(self.problem, self.problem.neuron.parameters[self.period].high)
        found, better = [first], None
        for way in (-1, 1):
            here, k, tried = first, round(first.t_ref / self.problem.dt), 0
            while 0 < k + way <= limit and here.value > first.value - UNLIKELY and tried < MOST:
                tried += 1
                k = max(min(k + way * (1 + tried // 3), limit), 1)  # a refractory period that hardly matters has many
                here = self.peak(here.neuron.replace(**{self.period: k * self.problem.dt}), here.q)
                if here.value > first.value + PREFERRED:
                    better = here
                    break
                found.append(here)
                if report is not None:
                    report(min(len(found) / 10, 1.0))
        if better is not None:
            return (first, better)
        return tuple(sorted((p for p in found if p.value > first.value - UNLIKELY), key=lambda p: -p.value))


def invert_information(fisher: Array, held: Mask) -> Array:
    """Inverse of the information over what is not held; 0 for what is.

    Each parameter counts in its own information, so that a direction of little is not taken for one of none.
    """
    out = np.zeros_like(fisher)
    free = np.ix_(~held, ~held)
    scale = np.sqrt(np.maximum(np.diag(fisher)[~held], 1e-12))
    values, vectors = np.linalg.eigh(fisher[free] / np.outer(scale, scale))
    out[free] = (vectors / np.maximum(values, FLAT)) @ vectors.T / np.outer(scale, scale)
    return out


def find_values_at(surface: Surface, peak: Peak, q: Array) -> dict[str, float]:
    """All scalar parameters at coordinates `q` of a peak."""
    n = len(surface.free.names)
    return scalar_values(as_floats(surface.free.to_neuron(q[:n], peak.neuron)))
