"""The noise of a membrane before pulses, and what it does to means of the voltage over stretches of time.

What synapses and channels do to a membrane decays as slowly as its response to a pulse: neighbouring stretches share
it, and where the voltage is when a pulse begins, it begins. Least squares count stretches right once they are whitened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import nnls

from ephysfit.arrays import Array, Float64
from ephysfit.card.pulses import BASELINE, Pulse

#: what the voltage is when a pulse begins is its mean over so long before, ms
FOOT = 0.5
#: lags over which the noise of the baselines is measured, ms, and the time constants it may have
LAGS, NOISE_TIMES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0), np.geomspace(1.0, 100.0, 25)


@dataclass(frozen=True, eq=False)
class BaselineNoise:
    """Noise of a voltage: white, and what a membrane has made of synapses and channels, which decays with a time.

    Attributes
    ----------
    white : float, mV^2 per sample
    slow : float, mV^2
    time : float, ms
    """

    white: float
    slow: float
    time: float


@dataclass(frozen=True, eq=False)
class Bins:
    """Stretches of time over which a response is averaged; the first ends where the pulse begins.

    Attributes
    ----------
    begin, end : array, (bin,), ms after the beginning of the pulse
    weights : array, (bin, bin) or (bin,)
        Takes means of the noise to numbers of equal variance that are independent of one another; a diagonal as a row.
    """

    begin: Float64[Array, " bin"]
    end: Float64[Array, " bin"]
    weights: Float64[Array, "..."]

    @classmethod
    def of(cls, edges: Float64[Array, " edge"], noise: BaselineNoise, lead: float, dt: float) -> Bins:
        """Between these edges and before them, for responses counted from the mean of `lead` ms."""
        begin, end = np.r_[-FOOT, edges[:-1]], np.r_[0.0, edges[1:]]
        a, b = np.r_[min(-lead, -2 * FOOT), begin], np.r_[-FOOT, end]
        # a response is counted from the baseline, whose noise is the same in all bins
        less = np.eye(len(a))[1:] - np.eye(len(a))[:1]
        covariance = less @ _covary_means(a, b, noise, dt) @ less.T
        return cls(begin, end, np.linalg.inv(np.linalg.cholesky(covariance)))

    def unwhitened(self) -> Bins:
        """The same bins, each counted by its length, without the one before the pulse."""
        return replace(self, weights=np.sqrt(np.r_[0.0, self.widths[1:]]))

    def whiten(self, values: Array) -> Array:
        """Weigh values of the bins, (bin, ...), so that what noise does to them is independent and alike."""
        out: Array = self.weights @ values if self.weights.ndim == 2 else (self.weights * values.T).T
        return out

    @property
    def widths(self) -> Float64[Array, " bin"]:
        """Of the bins, ms."""
        return self.end - self.begin


def _covary_means(begin: Array, end: Array, noise: BaselineNoise, dt: float) -> Float64[Array, "bin bin"]:
    """Covariance of the means of a noise over stretches that follow one another, mV^2."""
    wide, time = end - begin, noise.time
    apart = np.maximum(begin[None, :] - end[:, None], 0.0)
    share = time / wide * -np.expm1(-wide / time)
    upper = np.triu(np.exp(-apart / time) * share[:, None] * share[None, :], 1)
    own = 2 * time / wide * (1 - share)
    return noise.slow * (upper + upper.T + np.diag(own)) + np.diag(noise.white * np.minimum(dt / wide, 1.0))


def measure_noise(pulses: Sequence[Pulse]) -> BaselineNoise:
    """Measure the noise before pulses, by how far samples some time apart differ: a slow drift then counts little."""
    sums: dict[float, list[float]] = {}
    for p in pulses:
        dt = p.sweep.dt
        assert p.sweep.voltage is not None
        v = p.sweep.voltage[max(round((p.begin - min(p.lead, BASELINE)) / dt), 0) : round(p.begin / dt)]
        for steps in sorted({max(round(lag / dt), 1) for lag in LAGS}):
            if 2 * steps <= len(v):
                sums.setdefault(steps * dt, []).append(float(np.nanmean((v[steps:] - v[:-steps]) ** 2)) / 2)
    lags = np.array(sorted(sums))
    seen = np.array([np.mean(sums[lag]) for lag in lags])
    if not lags.size or not seen.max() > 0:
        return BaselineNoise(1.0, 0.0, 1.0)
    fits = []
    for time in NOISE_TIMES:
        columns = np.column_stack([np.ones(len(lags)), -np.expm1(-lags / time)]) / seen.max()
        (white, slow), left = nnls(columns, seen / seen.max())
        fits.append((left, float(time), float(white), float(slow)))
    _, time, white, slow = min(fits)
    return BaselineNoise(max(white, 1e-6 * seen.max()), slow, time)
