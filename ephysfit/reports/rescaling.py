"""Time-rescaling test: under the true hazard, the hazard integrated between spikes is exponential with mean 1."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import kstest

from ephysfit.arrays import Array, Float64
from ephysfit.data.recording import Recording
from ephysfit.data.resampling import average_recording
from ephysfit.data.trials import Trials
from ephysfit.fitting.fit_result import Fit
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay, ReplaySweep

#: fewest intervals of the test
FEWEST = 10


@dataclass(frozen=True, eq=False)
class RescaledIntervals:
    """Hazards integrated between recorded spikes, as quantiles that are uniform if the hazard is right.

    Attributes
    ----------
    quantiles : (interval,) array, sorted, in [0, 1]
    distance : float
        Kolmogorov-Smirnov distance from the uniform distribution.
    band : float
        95 % limit of the distance under the true hazard.
    """

    quantiles: Float64[Array, " interval"]
    distance: float
    band: float

    @property
    def within(self) -> bool:
        """Whether the distance lies within the 95 % limit."""
        return self.distance <= self.band


def rescale_time(fit: Fit, recording: Recording, *, skip: float = 500.0, seed: int = 0) -> RescaledIntervals | None:
    """Test the hazard of a fitted stochastic neuron on recorded spikes, which are replayed.

    Parameters
    ----------
    fit : Fit
    recording : Recording
        Recorded spikes; spikes that were not used by the fit make the stricter test.
    skip : float
        Intervals that begin within this time (ms) of the start of a sweep are left out, at most a twentieth of it.
    seed : int
        Seed of the position of each spike within its step, which discrete time leaves undetermined.

    Returns
    -------
    RescaledIntervals or None
        None for a neuron without hazard, or with fewer than ten intervals.

    References
    ----------
    Brown, Barbieri, Ventura, Kass & Frank 2002, Neural Comput 14:325; for discrete time Haslinger, Pipa & Brown 2010,
    Neural Comput 22:2477.
    """
    kind = type(fit.neuron)
    if not kind.stochastic() or len(kind.inputs) != 1:
        return None
    free = FreeParameters.of(kind, smooth_only=True)
    trials = Trials.of(average_recording(recording, fit.dt), fit.dt)
    sweeps = [_make_replay_sweep(trials, k) for k in range(trials.shape[1])]
    log_rates = [r for _, r in Replay(free, fit.neuron, fit.dt).rates(free.to_vector(fit.neuron), sweeps)]
    held = round(float(fit.neuron.refractory_ms) / fit.dt)
    rng = np.random.default_rng(seed)
    each = [_integrate_hazard(np.exp(r) * fit.dt, s, held, round(skip / fit.dt), rng)
            for r, s in zip(log_rates, sweeps, strict=True)]  # fmt: skip
    quantiles = np.sort(1.0 - np.exp(-np.concatenate([np.empty(0), *each])))
    n = len(quantiles)
    if n < FEWEST:
        return None
    return RescaledIntervals(quantiles, float(kstest(quantiles, "uniform").statistic), 1.358 / sqrt(n))


def _make_replay_sweep(trials: Trials, k: int) -> ReplaySweep:
    current, spikes, valid = (t[0, k].numpy() for t in (trials.current, trials.spikes, trials.valid))
    return ReplaySweep(np.ascontiguousarray(current[:, None]), spikes.astype(np.uint8), valid.astype(np.uint8))


def _integrate_hazard(
    expected: Float64[Array, " time"], sweep: ReplaySweep, held: int, skip: int, rng: np.random.Generator
) -> Float64[Array, " interval"]:
    """Integrate the hazard over the non-refractory steps of each interval that is valid throughout."""
    at = np.flatnonzero(sweep.spikes)
    total = np.concatenate([[0.0], np.cumsum(expected)])
    bad = np.concatenate([[0], np.cumsum(sweep.use == 0)])
    a, b = at[:-1], at[1:]
    first = np.minimum(a + 1 + held, b)
    good = (a >= min(skip, len(expected) // 20)) & (bad[b + 1] == bad[a])
    # the spike lies somewhere in the last step: its position is drawn given that there is a spike (Haslinger et al.)
    part = -np.log1p(rng.random(len(b)) * np.expm1(-expected[b]))
    return ((total[b] - total[first]) + part)[good]
