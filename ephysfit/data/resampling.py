"""Currents on another grid: what was held from sample to sample, averaged over the steps of a simulation or a fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from math import gcd, lcm

import numpy as np
import numpy.typing as npt

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


def average_over_steps(samples: npt.NDArray[np.float64], have: float, want: float) -> npt.NDArray[np.float64]:
    """Means over steps of `want` ms of samples that were each held for `have` ms, (time,) or (time, input).

    Where one step is a whole multiple of the other that is the mean of each block; otherwise a sample on the border
    of two steps counts in both, for the time that it was held in each. What does not fill a last step is left out.

    Examples
    --------
    >>> average_over_steps(np.array([0.0, 3.0, 6.0]), 0.2, 0.3).round(9).tolist()
    [1.0, 5.0]
    """
    k = round(want / have)
    if divides(have, want):
        n = len(samples) // k
        return samples[: n * k].reshape(n, k, *samples.shape[1:]).mean(1) if k > 1 else samples
    n = int(len(samples) * have / want + WHOLE)
    held = np.concatenate([np.zeros((1, *samples.shape[1:])), np.cumsum(samples - samples[0], axis=0)])
    at = np.minimum(np.arange(n + 1) * (want / have), len(samples))
    whole = np.minimum(at.astype(np.int64), len(samples) - 1)
    part = (at - whole).reshape(-1, *[1] * (samples.ndim - 1))
    area = held[whole] + part * (samples[whole] - samples[0])
    return samples[0] + np.diff(area, axis=0) * (have / want)


def average_recording(recording: Recording, dt: float) -> Recording:
    """A recording whose steps all divide `dt`, ms: sweeps that do not are averaged over it, without their voltage."""
    return replace(recording, sweeps=tuple(s if divides(s.dt, dt) else _average_sweep(s, dt) for s in recording.sweeps))


def _average_sweep(sweep: Sweep, dt: float) -> Sweep:
    current = average_over_steps(sweep.current, sweep.dt, dt)
    stop = len(current) * dt
    spikes = sweep.spike_times[sweep.spike_times <= stop]
    valid = tuple((a, min(b, stop)) for a, b in sweep.valid if a < stop)
    return replace(sweep, current=current, dt=dt, voltage=None, spike_times=spikes, valid=valid)


def find_common_step(steps: Iterable[float]) -> float:
    """The least step, ms, that is a whole multiple of each.

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
