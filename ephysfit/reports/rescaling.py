"""Time rescaling: with the true hazard, the hazard integrated from spike to spike is exponential of mean 1."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import kstest

from ephysfit.arrays import Trace
from ephysfit.data.recording import Recording
from ephysfit.data.resampling import on_steps
from ephysfit.data.trials import Trials
from ephysfit.fitting.fit_result import Fit
from ephysfit.neuron.free_parameters import Free
from ephysfit.simulation.replay import Replay, ReplaySweep

#: fewer intervals than this say nothing
FEWEST = 10


@dataclass(frozen=True, eq=False)
class Rescaled:
    """Integrated hazards between recorded spikes as quantiles that are uniform if the model is right.

    Attributes
    ----------
    quantiles : (interval,) array, sorted, in [0, 1]
    distance : float
        Kolmogorov-Smirnov distance from the uniform distribution.
    band : float
        Distance that 95 % of right models stay below.
    """

    quantiles: Trace
    distance: float
    band: float

    @property
    def within(self) -> bool:
        return self.distance <= self.band


def rescaled(fit: Fit, recording: Recording, *, skip: float = 500.0, seed: int = 0) -> Rescaled | None:
    """Test the hazard of a fitted stochastic neuron on recorded spikes, which are replayed through it.

    Parameters
    ----------
    fit : Fit
    recording : Recording
        Recorded spikes; those that were not fitted make the stricter test.
    skip : float
        Intervals that begin within this many ms of the start of a sweep are left out (at most a twentieth of it).
    seed : int
        Of the place of a spike within its step, which discrete time leaves open.

    Returns
    -------
    Rescaled, or None without a hazard or with fewer than ten intervals.

    References
    ----------
    Brown, Barbieri, Ventura, Kass & Frank 2002, Neural Comput 14:325; for discrete time Haslinger, Pipa & Brown 2010,
    Neural Comput 22:2477.
    """
    kind = type(fit.neuron)
    if not kind.stochastic() or len(kind.inputs) != 1:
        return None
    free = Free.of(kind, smooth_only=True)
    trials = Trials.of(on_steps(recording, fit.dt), fit.dt)
    sweeps = [_taught(trials, k) for k in range(trials.shape[1])]
    log_rates = [r for _, r in Replay(free, fit.neuron, fit.dt).rates(free.to_vector(fit.neuron), sweeps)]
    held = round(float(fit.neuron.refractory_ms) / fit.dt)
    rng = np.random.default_rng(seed)
    each = [_intervals(np.exp(r) * fit.dt, s, held, round(skip / fit.dt), rng)
            for r, s in zip(log_rates, sweeps, strict=True)]  # fmt: skip
    quantiles = np.sort(1.0 - np.exp(-np.concatenate([np.empty(0), *each])))
    n = len(quantiles)
    if n < FEWEST:
        return None
    return Rescaled(quantiles, float(kstest(quantiles, "uniform").statistic), 1.358 / sqrt(n))


def _taught(trials: Trials, k: int) -> ReplaySweep:
    current, spikes, valid = (t[0, k].numpy() for t in (trials.current, trials.spikes, trials.valid))
    return ReplaySweep(np.ascontiguousarray(current[:, None]), spikes.astype(np.uint8), valid.astype(np.uint8))


def _intervals(expected: Trace, sweep: ReplaySweep, held: int, skip: int, rng: np.random.Generator) -> Trace:
    """Hazard integrated over the free steps of each interval that is valid throughout."""
    at = np.flatnonzero(sweep.spikes)
    total = np.concatenate([[0.0], np.cumsum(expected)])
    bad = np.concatenate([[0], np.cumsum(sweep.use == 0)])
    a, b = at[:-1], at[1:]
    first = np.minimum(a + 1 + held, b)
    good = (a >= min(skip, len(expected) // 20)) & (bad[b + 1] == bad[a])
    # the last step holds the spike somewhere: its part is drawn from where a spike falls, given that there is one
    part = -np.log1p(rng.random(len(b)) * np.expm1(-expected[b]))
    return ((total[b] - total[first]) + part)[good]
