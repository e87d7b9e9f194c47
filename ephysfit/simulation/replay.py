"""Teacher forcing: the recorded spikes run through a neuron; log-likelihood, exact gradient, Fisher information.

With the recorded spikes forced, the state is a smooth function of the parameters. A bin of length dt with rate
r = hazard dt holds no spike with probability exp(-r), so the log-likelihood of a train is

    L = sum over spike bins of log(1 - exp(-r)) - sum over the other bins of r,

bins within the refractory period left out (Paninski 2004, Network 15, 243-262; the bin form is exact for a rate that
is constant over the bin). Where a neuron has a membrane potential in mV, the recorded voltage away from spikes can be
added: its difference from the replayed potential is modelled as Gaussian noise with exponential memory (AR(1)).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ephysfit.arrays import Array, Float64
from ephysfit.errors import SimulationError
from ephysfit.kernels.background_build import Order
from ephysfit.kernels.generate import ahead, kernel, order, sizes
from ephysfit.kernels.signature import arrange_arguments, scratch
from ephysfit.kernels.tile_memory import fill_columns
from ephysfit.kernels.variant import Variant
from ephysfit.neuron.declare import Neuron, has_potential
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.numeric_coefficients import NumericCoefficients
from ephysfit.neuron.plan import plan

#: weights of the drift in a fit without one
NO_DRIFT: Array = np.zeros(0)
#: an array that the kernel neither reads nor writes
UNUSED: Array = np.zeros(0)
#: `ReplaySweep.compared` of a likelihood without the voltage
NO_COMPARISON = np.zeros(0, np.uint8)


@dataclass(frozen=True, eq=False)
class ReplaySweep:
    """One recorded sweep on the grid, ready to be replayed.

    Parameters
    ----------
    current : ndarray, (time, input)
        pA.
    spikes : ndarray of uint8, (time,)
    use : ndarray, (time,)
        Weight of each bin in the likelihood: 0 or 1, more where a bootstrap drew it several times, less where old data
        are given less weight.
    slow : ndarray, (time, component), optional
        Slow covariates of the log rate (drift), zero where the fitted state is meant to hold.
    voltage : ndarray, (time,), optional
        Recorded potential at the end of each bin, mV; used only at the samples that `compared` marks.
    compared : ndarray of uint8, (time,), optional
        0 where the voltage does not enter the likelihood, 1 at the first sample of an unbroken stretch, 2 at a sample
        that follows another one of the same stretch.
    """

    current: Float64[Array, "time input"]
    spikes: UInt8[np.ndarray, " time"]
    use: np.ndarray
    slow: Float64[Array, "time component"] | None = None
    voltage: Float64[Array, " time"] | None = None
    compared: UInt8[np.ndarray, " time"] | None = None

    @cached_property
    def counts(self) -> Float64[Array, " time"]:
        """The weights `use` as contiguous float64, the form in which kernels read them."""
        return np.ascontiguousarray(self.use, dtype=np.float64)

    @property
    def compared_voltage(self) -> tuple[Float64[Array, " time"], UInt8[np.ndarray, " time"]]:
        """The voltage, mV, and `compared`; zeros in a sweep without a voltage."""
        if self.voltage is None or self.compared is None:
            return np.zeros(len(self.spikes)), np.zeros(len(self.spikes), np.uint8)
        return self.voltage, self.compared

    def covariates(self, count: int) -> Float64[Array, "time component"]:
        """The slow covariates; without columns where the fit has no drift (`count` = 0)."""
        return self.slow if count and self.slow is not None else np.zeros((len(self.spikes), 0))

    @property
    def n_spikes(self) -> int:
        """Number of spikes in the bins that count, each with its weight."""
        return int((self.spikes * self.use).sum())


Sweeps = list[ReplaySweep] | tuple[ReplaySweep, ...]


@dataclass(frozen=True)
class Noise:
    """Gaussian noise by which the recorded voltage may differ from the replayed one, with exponential memory.

    Parameters
    ----------
    keep : float
        Correlation of the errors of neighbouring compared samples, from 0 to below 1.
    spread : float
        Standard deviation of an error, mV.
    weight : float
        Weight of the voltage's log-likelihood relative to that of the spikes; 1 gives the likelihood itself.
    """

    keep: float
    spread: float
    weight: float = 1.0

    @property
    def precision(self) -> float:
        """Weight over the variance of the innovations, the part the sample before does not predict, in 1/mV²."""
        return self.weight / max(self.spread**2 * (1 - self.keep**2), 1e-12)


@dataclass(frozen=True)
class Information:
    """Log-likelihood (nats) with its gradient and expected (Fisher) information in free coordinates."""

    value: float
    gradient: Float64[Array, " parameter"]
    fisher: Float64[Array, "parameter parameter"]


#: number of bins whose information is accumulated by one matrix product
BLOCK = 96


@cache
def _variant(neuron: type[Neuron], moving: tuple[str, ...] = (), voltage: bool = False) -> Variant:
    """The kernel of the likelihood, or of its information with respect to these coefficients."""
    names = plan(neuron).coefs
    return Variant(spikes="forced", moving=tuple(names.index(n) for n in moving), voltage=voltage)


def orders(neuron: type[Neuron], groups: Iterable[Sequence[str]]) -> list[Order]:
    """Kernels of the likelihood, and of its information with respect to each group of parameters (flat names)."""
    moving = [moving_coefficients(FreeParameters.of(neuron, names)) for names in groups]
    information = [order(neuron, "information", _variant(neuron, m)) for m in moving]
    return [order(neuron, "likelihood", _variant(neuron)), *information]


@cache
def moving_coefficients(free: FreeParameters) -> tuple[str, ...]:
    """Names of the coefficients that depend on the free parameters.

    Matrix entries do as soon as the flow names one of the parameters, because a matrix exponential mixes them all.
    """
    p, names = plan(free.neuron), set(free.names)
    entries = tuple(e[0] for e in p.entries) if names & set(p.moving) else ()
    return entries + tuple(n for n, reads in p.gathered if names & set(reads))


@dataclass(frozen=True, eq=False)
class Replay:
    """The likelihood of recorded sweeps as a function of a neuron's free coordinates.

    Parameters
    ----------
    free : FreeParameters
        The parameters to be varied.
    base : Neuron
        Values of all other parameters, of one cell and as numbers.
    dt : float
        Step, ms.
    noise : Noise, optional
        Noise of the recorded voltage, whose log-likelihood (up to a constant) is then added to that of the spikes.
    """

    free: FreeParameters
    base: Neuron
    dt: float
    noise: Noise | None = None

    def __post_init__(self) -> None:
        if not self.free.neuron.stochastic():
            name = self.free.neuron.__name__
            raise SimulationError(
                f"{name} declares no hazard, so spikes have no likelihood; add hazard(self, u) or fit by search"
            )
        if self.noise is not None and not has_potential(self.free.neuron):
            raise SimulationError(
                f"{self.free.neuron.__name__} has no state V in mV that a recorded voltage could be compared with; "
                "fit its spikes alone, or take a neuron with a membrane potential, such as GIF or ALIF"
            )

    @cached_property
    def _step(self) -> NumericCoefficients:
        return NumericCoefficients(self.free, self.base, self.dt)

    def _coefficients(self, z: Float64[Array, " parameter"]) -> Float64[Array, " coefficient"]:
        return self._step.values(np.asarray(z))

    def _slopes(self, z: Float64[Array, " parameter"], rows: list[int]) -> Float64[Array, "coefficient parameter"]:
        """Derivatives of some coefficients with respect to the free coordinates."""
        return self._step.slopes(np.asarray(z))[rows] if rows else np.zeros((0, len(z)))

    def _steps(self) -> int:
        return round(float(self.base.refractory_ms) / self.dt)

    def value(
        self, z: Float64[Array, " parameter"], sweeps: Sweeps, drift: Float64[Array, " component"] = NO_DRIFT
    ) -> float:
        """Log-likelihood in nats at free coordinates `z` (parameter,) and drift weights (component,)."""
        return sum(total for total, *_ in self._replayed(z, sweeps, drift, shown=False))

    def rates(
        self, z: Float64[Array, " parameter"], sweeps: Sweeps, drift: Float64[Array, " component"] = NO_DRIFT
    ) -> list[tuple[float, Array]]:
        """For each sweep the log-likelihood, and the log hazard (per ms, capped at 12) in every step, (time,)."""
        return [(total, rates) for total, rates, _ in self._replayed(z, sweeps, drift)]

    def misses(self, z: Float64[Array, " parameter"], sweeps: Sweeps) -> list[Array]:
        """For each sweep, recorded minus replayed voltage, mV, (time,); NaN where the two are not compared."""
        with_noise = replace(self, noise=self.noise or Noise(0.0, 1.0))
        return [misses for _, _, misses in with_noise._replayed(z, sweeps, NO_DRIFT)]

    def _replayed(self, z: Array, sweeps: Sweeps, drift: Array, shown: bool = True) -> list[tuple[float, Array, Array]]:
        """For each sweep the log-likelihood, the log hazards, and the errors of the voltage where it is compared.

        Where the hazards need not be `shown` the array of them may be empty.
        """
        neuron = self.free.neuron
        variant = _variant(neuron, voltage=self.noise is not None)
        go, size = kernel(neuron, "likelihood", variant), ahead(neuron, "likelihood", variant)
        memory = scratch("likelihood", variant.element, lanes=variant.lanes, ahead=size)
        cell, out = self._cell_arguments(z), []
        for s in sweeps:
            total, steps = np.zeros(1), len(s.spikes)
            rates = np.empty(steps) if shown or self.noise else UNUSED
            misses = np.full(steps, np.nan) if self.noise else UNUSED
            given = {**cell, **self._sweep_arguments(s, drift), "total": total, "rates": rates, "misses": misses}
            go(0, 1, *arrange_arguments("likelihood", **given), *memory)
            out.append((float(total[0]), rates, misses))
        return out

    def _cell_arguments(self, z: Float64[Array, " parameter"]) -> dict[str, Any]:
        """Arguments of the kernels that describe the cell and the noise of its voltage."""
        coefs = self._coefficients(z)
        noise = self.noise or Noise(0.0, 1.0)
        numbers = np.array([self.dt, noise.keep, noise.precision])
        return {"numbers": numbers, "coefs": coefs, "refractory": self._steps()}

    def _sweep_arguments(self, s: ReplaySweep, drift: Array) -> dict[str, Any]:
        """Arguments of the kernels that describe a sweep."""
        potential, compared = s.compared_voltage if self.noise else (UNUSED, NO_COMPARISON)
        slow = s.covariates(len(drift))
        return {
            "current": s.current, "spikes": s.spikes, "counts": s.counts, "potential": potential, "watch": compared,
            "slow": slow, "shift": slow @ drift if len(drift) else UNUSED,
        }  # fmt: skip

    def information(
        self, z: Float64[Array, " parameter"], sweeps: Sweeps, drift: Float64[Array, " component"] = NO_DRIFT
    ) -> Information:
        """Log-likelihood, gradient and Fisher information.

        Parameters
        ----------
        z : ndarray, (parameter,)
            Free coordinates.
        sweeps : sequence of ReplaySweep
        drift : ndarray, (component,)
            Weights of the slow covariates.

        Returns
        -------
        Information
            With respect to the free coordinates, then the drift weights.
        """
        neuron, moving = self.free.neuron, moving_coefficients(self.free)
        variant = _variant(neuron, moving, self.noise is not None)
        slopes = self._slopes(z, list(variant.moving))
        n, extra = len(moving), len(drift)
        go, (width, work) = kernel(neuron, "information", variant), sizes(neuron, variant)
        # the columns of coefficients, and behind them those of drift, are filled up to whole vectors
        kept = np.r_[:n, width : width + extra]
        columns = width + fill_columns(extra)
        total, grad, gram = np.zeros(1), np.zeros((columns, 1)), np.zeros(columns**2)
        memory = scratch(
            "information", variant.element,
            lanes=variant.lanes, work=work, gathered=BLOCK, columns=columns,
            ahead=ahead(neuron, "information", variant),
        )  # fmt: skip
        cell = {**self._cell_arguments(z), "total": total, "gradient": grad, "information": gram}
        for s in sweeps:
            go(0, 1, *arrange_arguments("information", **cell, **self._sweep_arguments(s, drift)), *memory)
        full = np.zeros((n + extra, slopes.shape[1] + extra))
        full[:n, : slopes.shape[1]] = slopes
        full[n:, slopes.shape[1] :] = np.eye(extra)
        return Information(
            float(total[0]), full.T @ grad[kept, 0], full.T @ whole_matrix(gram)[np.ix_(kept, kept)] @ full
        )


def whole_matrix(upper: Float64[Array, " entry"]) -> Float64[Array, "column column"]:
    """The symmetric matrix whose upper half a kernel wrote, row after row."""
    half = np.triu(upper.reshape(math.isqrt(upper.size), -1))
    return half + np.triu(half, 1).T
