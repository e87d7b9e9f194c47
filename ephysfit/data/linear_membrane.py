"""What the recorded current makes of a linear membrane: an event that it accounts for is no spike.

Currents of the shape of synaptic ones, strong sines and short steps charge a membrane as steeply as some spikes rise,
and what they leave falls again. A membrane of one time constant behind an electrode is fitted to the sweep itself, and
driven by its current past each event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Array, Bool, Float64, Mask, Trace
from ephysfit.data.charging import FAILED, UNFIRED, Events

#: length of the stretches that a membrane is fitted to, ms: noise of an amplifier is averaged over them
STRETCH = 1.5
#: stretches that are left out of a fit: off by more than this many median residuals, and by more than this, mV
OUTLIERS, UNLIKE = 8.0, 3.0
#: times a membrane is fitted, the later ones without the outliers of the one before
ROUNDS = 4
#: an event is followed from so long before its onset until so long after its peak, ms
AHEAD, BEHIND = 1.0, 3.0
#: part of its rise, at least `FAILED` mV, within which the current accounts for an event
ACCOUNTED = 0.15


@dataclass(frozen=True)
class LinearMembrane:
    """dV/dt = drift + leak V + charge I, behind a series resistance.

    Attributes
    ----------
    drift
        mV/ms.
    leak
        The negative inverse of the time constant, 1/ms.
    charge
        The inverse of the capacitance, mV/ms per pA.
    series
        GOhm (mV/pA).
    """

    drift: float
    leak: float
    charge: float
    series: float

    def drive(self, start: float, current: Trace, dt: float) -> Trace:
        """The voltage that begins at `start`, mV, while this current flows, pA, (time,)."""
        decay = 1.0 + dt * self.leak
        put_in = dt * (self.drift + self.charge * current[:-1])
        powers = decay ** np.arange(len(current))
        membrane = powers * (start - self.series * current[0])
        membrane[1:] += np.convolve(put_in, powers[:-1])[: len(put_in)]
        out: Trace = membrane + self.series * current
        return out


def fit_linear_membrane(v: Trace, current: Trace, dt: float) -> LinearMembrane | None:
    """The linear membrane that follows most of a sweep; None where the sweep does not show one.

    Over stretches of `STRETCH` the change of the voltage is regressed on its own integral, that of the current and the
    change of the current. Stretches that are off, such as those with spikes, are left out.

    Examples
    --------
    >>> current = 100.0 * (np.sin(np.arange(20_000) / 300) > 0.5)
    >>> v = LinearMembrane(-3.5, -0.05, 0.01, 0.005).drive(-70.0, current, 0.1)
    >>> found = fit_linear_membrane(v, current, 0.1)
    >>> round(-1 / found.leak), round(1 / found.charge)
    (20, 100)
    """
    columns, change = _sum_stretches(v, current, dt)
    known = np.isfinite(change) & np.isfinite(columns).all(axis=0)
    columns, change = columns[:, known], change[known]
    used = np.ones(len(change), dtype=bool)
    weights = None
    for _ in range(ROUNDS):
        weights = _solve(columns[:, used], change[used])
        if weights is None:
            return None
        off = np.abs(change - np.einsum("k,kt->t", weights, columns))
        used = off <= max(OUTLIERS * float(np.median(off)), UNLIKE)
    assert weights is not None
    drift, leak, total, series = map(float, weights)
    found = LinearMembrane(drift, leak, total + leak * series, series)  # the drop over the series resistance leaks not
    return found if found.charge > 0 and -1 / dt < found.leak < 0 else None


def _sum_stretches(
    v: Trace, current: Trace, dt: float
) -> tuple[Float64[Array, "column stretch"], Float64[Array, " stretch"]]:
    """The columns of the regression and the change of the voltage, mV, of stretches that overlap by half.

    Halves are summed apart, not as differences of one running sum: a sample that is missing spoils the stretches that
    hold it, not all that follow, and a long recording needs no copy of itself.
    """
    half = max(round(STRETCH / dt / 2), 1)
    count = (len(v) - 1) // half
    if count < 2:
        return np.empty((4, 0)), np.empty(0)
    ends = []
    integrals = []
    for x in (v, current):
        at = x[: count * half + 1 : half]
        sums = x[: count * half].reshape(count, half).sum(axis=1) + 0.5 * (at[1:] - at[:-1])  # trapezia
        ends.append(at[2:] - at[:-2])
        integrals.append(dt * (sums[1:] + sums[:-1]))
    return np.stack([np.full(count - 1, 2 * half * dt), *integrals, ends[1]]), ends[0]


def _solve(columns: Float64[Array, "column stretch"], change: Float64[Array, " stretch"]) -> Array | None:
    """Least squares without BLAS, whose last bits depend on the number of threads; None where a column is left open."""
    scale = np.sqrt(np.einsum("it,it->i", columns, columns))
    if not (scale[:3] > 0).all():
        return None
    scale[3] = scale[3] or 1.0
    scaled = columns / scale[:, None]
    power, product = np.einsum("it,jt->ij", scaled, scaled), np.einsum("it,t->i", scaled, change)
    weights, _, rank, _ = np.linalg.lstsq(power, product, rcond=1e-10)
    found: Array = weights / scale
    return found if rank >= 3 else None


def find_accounted(
    events: Events, which: Bool[Mask, " event"], v: Trace, current: Trace, dt: float
) -> Bool[Mask, " event"]:
    """Find those of some events that the current accounts for: a linear membrane does the same, from before them on.

    Parameters
    ----------
    events : Events
    which : mask, (event,)
        Those that are looked at. One that rises by more than a membrane is charged without a spike is not.
    v, current : array, (time,)
        mV and pA.
    dt : float
        ms.
    """
    out = np.zeros(len(events.peaks), dtype=bool)
    begins = np.clip(np.floor((events.onsets - AHEAD) / dt).astype(np.int64), 0, len(v) - 1)
    peaks = np.rint(events.peaks / dt).astype(np.int64)
    few = which & (v[peaks] - v[begins] <= UNFIRED)
    membrane = fit_linear_membrane(v, current, dt) if few.any() else None
    if membrane is None:
        return out
    ends = np.minimum(peaks + round(BEHIND / dt), len(v))
    ends[:-1] = np.maximum(np.minimum(ends[:-1], np.floor(events.onsets[1:] / dt).astype(np.int64)), peaks[:-1] + 1)
    for k in np.flatnonzero(few):
        seen = v[begins[k] : ends[k]]
        before = float(np.mean(v[max(begins[k] - round(AHEAD / dt) // 2, 0) : begins[k] + 1]))
        off = np.abs(seen - membrane.drive(before, current[begins[k] : ends[k]], dt))
        out[k] = off.max() <= max(FAILED, ACCOUNTED * float(v[peaks[k]] - before))
    return out
