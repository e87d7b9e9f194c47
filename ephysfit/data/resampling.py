"""Currents on another grid: samples, each held for one step, averaged over the steps of a simulation or a fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from math import gcd, lcm

import numpy as np

from ephysfit.arrays import Array, Float64
from ephysfit.data.recording import Recording, Sweep

#: a step is a whole multiple of another up to this part
WHOLE = 1e-6
#: steps are taken for fractions of a millisecond with denominators up to this
FINEST = 10**6


def divides(have: float, want: float) -> bool:
    """Whether `want` is a whole multiple of `have`, both in ms.

    Examples
    --------
    >>> divides(0.1, 0.5), divides(0.2, 0.5), divides(0.5, 0.1)
    (True, False, False)
    """
    k = round(want / have)
    return k >= 1 and abs(want / have - k) <= WHOLE * k


def average_over_steps(samples: Float64[Array, "time ..."], have: float, want: float) -> Float64[Array, "step ..."]:
    """Average samples over longer steps.

    If `want` is a whole multiple of `have`, this is the mean of each block; otherwise a sample at the border of two
    steps counts in both, for the time that it was held in each. Samples that do not fill a last step are left out.

    Parameters
    ----------
    samples
        Samples that were each held for `have` ms, shape (time,) or (time, input).
    have, want
        Sampling step and the step of the averages, ms.

    Returns
    -------
    ndarray
        Means, shape (step,) or (step, input).

    Examples
    --------
    >>> average_over_steps(np.array([0.0, 3.0, 6.0]), 0.2, 0.3).round(9).tolist()
    [1.0, 5.0]
    """
    k = round(want / have)
    if divides(have, want):
        n = len(samples) // k
        means: Float64[Array, "step ..."] = samples[: n * k].reshape(n, k, *samples.shape[1:]).mean(1)
        return means if k > 1 else samples
    n = int(len(samples) * have / want + WHOLE)
    held = np.concatenate([np.zeros((1, *samples.shape[1:])), np.cumsum(samples - samples[0], axis=0)])
    at = np.minimum(np.arange(n + 1) * (want / have), len(samples))
    whole = np.minimum(at.astype(np.int64), len(samples) - 1)
    part = (at - whole).reshape(-1, *[1] * (samples.ndim - 1))
    area = held[whole] + part * (samples[whole] - samples[0])
    shares: Float64[Array, "step ..."] = samples[0] + np.diff(area, axis=0) * (have / want)
    return shares


def average_recording(recording: Recording, dt: float) -> Recording:
    """Average the currents of sweeps whose step does not divide `dt`, ms, over that step; they lose their voltage."""
    return replace(recording, sweeps=tuple(s if divides(s.dt, dt) else _average_sweep(s, dt) for s in recording.sweeps))


def _average_sweep(sweep: Sweep, dt: float) -> Sweep:
    current = average_over_steps(sweep.current, sweep.dt, dt)
    stop = len(current) * dt
    spikes = sweep.spike_times[sweep.spike_times <= stop]
    valid = tuple((a, min(b, stop)) for a, b in sweep.valid if a < stop)
    return replace(sweep, current=current, dt=dt, voltage=None, spike_times=spikes, valid=valid)


def find_common_step(steps: Iterable[float]) -> float:
    """Find the smallest step, ms, that is a whole multiple of each of these steps.

    Examples
    --------
    >>> find_common_step([0.1, 0.2]), find_common_step([0.04, 0.05]), round(find_common_step([1 / 30, 0.05]), 9)
    (0.2, 0.2, 0.1)
    """
    have = sorted(set(steps))
    if all(divides(step, have[-1]) for step in have):
        return have[-1]
    parts = [Fraction(step).limit_denominator(FINEST) for step in have]
    return lcm(*(p.numerator for p in parts)) / gcd(*(p.denominator for p in parts))
