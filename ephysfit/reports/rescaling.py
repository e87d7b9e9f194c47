"""Time-rescaling test: under the true hazard, the hazard integrated between spikes is exponential with mean 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np

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


def describe_rescaling(found: Mapping[str, RescaledIntervals]) -> str:
    """Describe the tests of a hazard in words: whether it is right from moment to moment, and how it is off.

    Parameters
    ----------
    found : mapping of str to RescaledIntervals
        By name of the sweeps, "test" and "training".

    Examples
    --------
    >>> uniform = (np.arange(100) + 0.5) / 100
    >>> print(describe_rescaling({"test": RescaledIntervals(uniform**2, 0.25, 0.136)}))
    On the test sweeps the model's probability of a spike is not right at every moment (time-rescaling test failed: \
the distance is 0.25, and 0.14 is the limit): it expects fewer spikes than there are.
    """
    return " ".join(_describe_side(name, test) for name, test in found.items())


def _describe_side(name: str, test: RescaledIntervals) -> str:
    numbers = f"the distance is {test.distance:.2f}, and {test.band:.2f} is the limit"
    if test.within:
        return (
            f"On the {name} sweeps the model's probability of a spike is right from moment to moment, as far as "
            f"{len(test.quantiles)} intervals tell (time-rescaling test passed: {numbers})."
        )
    return (
        f"On the {name} sweeps the model's probability of a spike is not right at every moment (time-rescaling test "
        f"failed: {numbers}): {_describe_deviation(test.quantiles)}."
    )


def _describe_deviation(quantiles: Float64[Array, " interval"]) -> str:
    """In words, how rescaled intervals deviate from uniform: by their mean or, where that is right, their spread."""
    n = len(quantiles)
    above = quantiles - (np.arange(n) + 0.5) / n
    if abs(above.mean()) > 0.5 * np.abs(above).mean():
        return f"it expects {'more' if above.mean() > 0 else 'fewer'} spikes than there are"
    regular = float(above[: n // 2].mean()) > 0
    return f"the cell's intervals are {'more regular' if regular else 'more variable'} than it expects"


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
    return RescaledIntervals(quantiles, measure_distance_from_uniform(quantiles), 1.358 / sqrt(n))


def measure_distance_from_uniform(quantiles: Float64[Array, " interval"]) -> float:
    """The statistic of Kolmogorov and Smirnov of sorted quantiles; `scipy.stats` has it too, but takes long to load.

    Examples
    --------
    >>> round(measure_distance_from_uniform(np.array([0.1, 0.4, 0.9])), 3)
    0.267
    """
    steps = np.arange(len(quantiles) + 1) / len(quantiles)
    return float(max((steps[1:] - quantiles).max(), (quantiles - steps[:-1]).max()))


def _make_replay_sweep(trials: Trials, k: int) -> ReplaySweep:
    current, spikes, valid = (t[0, k] for t in (trials.current, trials.spikes, trials.valid))
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
