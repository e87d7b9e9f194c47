"""Teacher forcing: the recorded spikes run through a neuron; log-likelihood, exact gradient, Fisher information.

With the recorded spikes forced, the state is a smooth function of the parameters. A bin of length dt with rate
r = hazard dt holds no spike with probability exp(-r), so the log-likelihood of a train is

    L = sum over spike bins of log(1 - exp(-r)) - sum over the other bins of r,

bins within the refractory period left out (Paninski 2004, Network 15, 243-262; the bin form is exact for a rate that
is constant over the bin). Where a neuron has a membrane potential in mV, the recorded voltage away from spikes can be
added: what it differs from the replayed potential by is taken for Gaussian noise that forgets exponentially (AR(1)).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ephysfit.errors import SimulationError
from ephysfit.kernels.background_build import Order
from ephysfit.kernels.generate import kernel, order, sizes
from ephysfit.kernels.signature import arranged, scratch
from ephysfit.kernels.variant import Variant
from ephysfit.neuron.coefficients import coefficients
from ephysfit.neuron.declare import Neuron, has_potential
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.plan import plan

Array = npt.NDArray[np.float64]

#: the drift of a fit that has none
NO_DRIFT: Array = np.zeros(0)
#: what a kernel neither reads nor writes
NOTHING: Array = np.zeros(0)
UNWATCHED = np.zeros(0, np.uint8)


@dataclass(frozen=True, eq=False)
class Taught:
    """One recorded sweep on the grid, ready to be replayed.

    Parameters
    ----------
    current : ndarray, (time, input)
        pA.
    spikes : ndarray of uint8, (time,)
    use : ndarray, (time,)
        How much the bin counts in the likelihood: 0 or 1, more where a bootstrap drew it several times, less where
        old data weigh less.
    slow : ndarray, (time, component), optional
        Slow covariates of the log rate (drift), zero where the fitted state is meant to hold.
    voltage : ndarray, (time,), optional
        Recorded potential at the end of each bin, mV; read where `watch` says so.
    watch : ndarray of uint8, (time,), optional
        0: the voltage does not count; 1: it does; 2: and the watched sample before it is the last of the same stretch.
    """

    current: Array
    spikes: npt.NDArray[np.uint8]
    use: npt.NDArray[Any]
    slow: Array | None = None
    voltage: Array | None = None
    watch: npt.NDArray[np.uint8] | None = None

    @cached_property
    def counts(self) -> Array:
        """`use` as kernels read it."""
        return np.ascontiguousarray(self.use, dtype=np.float64)

    @property
    def seen(self) -> tuple[Array, npt.NDArray[np.uint8]]:
        """Voltage and `watch`; nothing is watched in a sweep without voltage."""
        if self.voltage is None or self.watch is None:
            return np.zeros(len(self.spikes)), np.zeros(len(self.spikes), np.uint8)
        return self.voltage, self.watch

    def covariates(self, count: int) -> Array:
        """`slow`, or none where the fit has no drift."""
        return self.slow if count and self.slow is not None else np.zeros((len(self.spikes), 0))

    @property
    def n_spikes(self) -> int:
        return int((self.spikes * self.use).sum())


Sweeps = list[Taught] | tuple[Taught, ...]


@dataclass(frozen=True)
class Noise:
    """What the recorded voltage may differ from the replayed one by.

    Parameters
    ----------
    keep : float
        Correlation of the errors of neighbouring watched samples, 0 to below 1.
    spread : float
        Standard deviation of an error, mV.
    weight : float
        Of the voltage's log-likelihood beside that of the spikes; 1 for the likelihood itself.
    """

    keep: float
    spread: float
    weight: float = 1.0

    @property
    def precision(self) -> float:
        """Weight over the variance of what the sample before does not foretell, 1/mV^2."""
        return self.weight / max(self.spread**2 * (1 - self.keep**2), 1e-12)


@dataclass(frozen=True)
class Information:
    """Log-likelihood (nats) with its gradient and expected (Fisher) information in free coordinates."""

    value: float
    gradient: Array
    fisher: Array


#: bins whose information is gathered at once, by one matrix product
BLOCK = 128


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
    """Coefficients that can change with the free parameters: matrix entries if the flow names one, and expressions."""
    p, names = plan(free.neuron), set(free.names)
    entries = tuple(e[0] for e in p.entries) if names & set(p.moving) else ()
    return entries + tuple(n for n, reads in p.gathered if names & set(reads))


@dataclass(frozen=True, eq=False)
class Replay:
    """The likelihood of recorded sweeps as a function of a neuron's free coordinates.

    Parameters
    ----------
    free : FreeParameters
        Which parameters move.
    base : Neuron
        Values of all others; one cell, numbers.
    dt : float
        Step, ms.
    noise : Noise, optional
        Of the recorded voltage, whose log-likelihood (up to a constant) is then added to that of the spikes.
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

    def _coefficients(self, z: torch.Tensor) -> torch.Tensor:
        return coefficients(self.free.to_neuron(z, self.base), self.dt)[0]

    def _slopes(self, z: torch.Tensor, rows: list[int]) -> Array:
        """Derivatives of some coefficients, (coefficient, parameter): each of a copy of the cell, in one pass back.

        What `torch.func.jacrev` gives, without the second that importing it takes.
        """
        if not rows:
            return np.zeros((0, len(z)))
        values = torch.stack(list(self.free.values(z.detach()).values()))
        copies = values.expand(len(rows), -1).clone().requires_grad_()
        with torch.enable_grad():
            cell = self.free.put(dict(zip(self.free.names, copies.unbind(-1), strict=True)), self.base)
            asked = coefficients(cell, self.dt)[range(len(rows)), rows]
            (slopes,) = torch.autograd.grad(asked.sum(), copies)
        return (slopes * self.free.slopes(z)).numpy()

    def _steps(self) -> int:
        return round(float(self.base.refractory_ms) / self.dt)

    def value(self, z: torch.Tensor, sweeps: Sweeps, drift: Array = NO_DRIFT) -> float:
        """Log-likelihood in nats at free coordinates `z` (parameter,) and drift weights (component,)."""
        return sum(total for total, *_ in self._replayed(z, sweeps, drift))

    def rates(self, z: torch.Tensor, sweeps: Sweeps, drift: Array = NO_DRIFT) -> list[tuple[float, Array]]:
        """Per sweep the log-likelihood and the log hazard (per ms, capped at 12) of every step."""
        return [(total, rates) for total, rates, _ in self._replayed(z, sweeps, drift)]

    def misses(self, z: torch.Tensor, sweeps: Sweeps) -> list[Array]:
        """Per sweep what the recorded voltage lies above the replayed one, mV, (time,); NaN where it is not watched."""
        watched = replace(self, noise=self.noise or Noise(0.0, 1.0))
        return [misses for _, _, misses in watched._replayed(z, sweeps, NO_DRIFT)]

    def _replayed(self, z: torch.Tensor, sweeps: Sweeps, drift: Array) -> list[tuple[float, Array, Array]]:
        """Per sweep log-likelihood, log hazards, and errors of the voltage where it counts."""
        neuron = self.free.neuron
        variant = _variant(neuron, voltage=self.noise is not None)
        go, memory = kernel(neuron, "likelihood", variant), scratch("likelihood", variant.element, lanes=variant.lanes)
        cell, out = self._cell(z), []
        for s in sweeps:
            total, rates, misses = np.zeros(1), np.empty(len(s.spikes)), np.full(len(s.spikes), np.nan)
            given = {**cell, **self._sweep(s, drift), "total": total, "rates": rates, "misses": misses}
            go(0, 1, *arranged("likelihood", **given), *memory)
            out.append((float(total[0]), rates, misses))
        return out

    def _cell(self, z: torch.Tensor) -> dict[str, Any]:
        """What kernels read of the cell and the noise of its voltage."""
        with torch.no_grad():
            coefs = self._coefficients(z).numpy()
        noise = self.noise or Noise(0.0, 1.0)
        numbers = np.array([self.dt, noise.keep, noise.precision])
        return {"numbers": numbers, "coefs": coefs, "refractory": self._steps()}

    def _sweep(self, s: Taught, drift: Array) -> dict[str, Any]:
        """What kernels read of a sweep."""
        potential, watch = s.seen if self.noise else (NOTHING, UNWATCHED)
        slow = s.covariates(len(drift))
        return {
            "current": s.current, "spikes": s.spikes, "counts": s.counts, "potential": potential, "watch": watch,
            "slow": slow, "shift": slow @ drift if len(drift) else NOTHING,
        }  # fmt: skip

    def information(self, z: torch.Tensor, sweeps: Sweeps, drift: Array = NO_DRIFT) -> Information:
        """Log-likelihood, gradient and Fisher information at `z` (parameter,) and drift weights, in that order."""
        neuron, moving = self.free.neuron, moving_coefficients(self.free)
        variant = _variant(neuron, moving, self.noise is not None)
        slopes = self._slopes(z, list(variant.moving))
        n, extra = len(moving), len(drift)
        total, grad, gram = np.zeros(1), np.zeros((n + extra, 1)), np.zeros((1, n + extra, n + extra))
        go, (width, work) = kernel(neuron, "information", variant), sizes(neuron, variant)
        memory = scratch(
            "information", variant.element,
            lanes=variant.lanes, work=work, slopes=width + extra, gathered=BLOCK, columns=n + extra,
        )  # fmt: skip
        cell = {**self._cell(z), "total": total, "gradient": grad, "information": gram}
        for s in sweeps:
            go(0, 1, *arranged("information", **cell, **self._sweep(s, drift)), *memory)
        full = np.zeros((n + extra, slopes.shape[1] + extra))
        full[:n, : slopes.shape[1]] = slopes
        full[n:, slopes.shape[1] :] = np.eye(extra)
        return Information(float(total[0]), full.T @ grad[:, 0], full.T @ gram[0] @ full)
