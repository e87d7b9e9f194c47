"""Parametric bootstrap: trains that the fit fires on the recorded stimulus, each fitted again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8

from ephysfit.arrays import Array, Train
from ephysfit.fitting.stage import MINIMUM_SPIKES
from ephysfit.fitting.uncertainty.likelihood_surface import Peak, Surface
from ephysfit.simulation.replay import ReplaySweep
from ephysfit.simulation.simulate import simulate

#: most steps of a climb; with 6 in place of 40 three quarters of the bias of AIGIF's answers were found
STEPS = 40


@dataclass(frozen=True, eq=False)
class Refit:
    """The training data with spikes of the fit in place of the cell's, and the free coordinates that fit them best.

    Attributes
    ----------
    sweeps : tuple of ReplaySweep
    z : ndarray, (parameter,)
    """

    sweeps: tuple[ReplaySweep, ...]
    z: Array


def refit_simulated_trains(
    surface: Surface, peak: Peak, trains: int, seed: int, report: Callable[[float], None], workers: int
) -> list[Refit]:
    """Fit trains of the fit again, without those of too few spikes.

    What the refits miss the fit by is what the fit can be expected to miss the cell by: in the mean its bias, about the
    mean its spread. Prior, refractory period and what counts are those of the fit, a drift is left out of the spikes
    and fitted again.

    Notes
    -----
    Davison & Hinkley 1997, Bootstrap Methods and their Application, ch. 2.
    """
    n, dt = len(surface.free.names), surface.problem.dt
    currents = [s.current for s in surface.sweeps]
    # a recording of one input is simulated as (time,): the layout of a neuron of one input
    given = [c[:, 0] if c.shape[1] == 1 else c for c in currents]
    fired = simulate(peak.neuron, given, dt=dt, runs=trains, noise="escape", seed=seed).spike_times
    start = np.append(peak.q[:n], np.zeros(len(surface.drift)))
    done = [0]

    def refit(k: int) -> Refit | None:
        sweeps = [
            replace(s, spikes=_mark_spikes(runs[k], len(s.spikes), dt))
            for s, runs in zip(surface.sweeps, fired, strict=True)
        ]
        done[0] += 1
        report(done[0] / trains)
        if sum(s.n_spikes for s in sweeps) < MINIMUM_SPIKES:
            return None
        found = surface.climb(surface.target(peak.neuron, sweeps), start, steps=STEPS)
        return Refit(tuple(sweeps), found.z[:n])

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        return [r for r in pool.map(refit, range(trains)) if r is not None]


def _mark_spikes(times: Train, steps: int, dt: float) -> UInt8[np.ndarray, " time"]:
    """Spikes of a simulation, (n + 1/2) dt for one in step n, as flags of steps."""
    out = np.zeros(steps, np.uint8)
    out[np.floor(np.asarray(times) / dt).astype(int)] = 1
    return out
