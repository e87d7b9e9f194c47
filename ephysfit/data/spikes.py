"""Detection of spikes in a voltage trace, small or large, fast or broad, without an absolute threshold.

A spike is a steep and large enough rise that falls again. Steepness is measured against the noise of the trace, size
against the cell's own spikes, so that the same defaults suit spikes that peak at -10 mV and at +40 mV.

The time of a spike is its *onset*: the sub-sample time at which dV/dt passes a tenth of that spike's steepest rise
(the phase-plane threshold: Azouz & Gray 1999, J Neurosci 19:2209; Sekerli et al. 2004, IEEE TBME 51:1665).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Array, Bool, Float64, Mask, Trace, Train
from ephysfit.data.charging import Events, find_charging
from ephysfit.data.linear_membrane import find_accounted
from ephysfit.data.rules import Removed
from ephysfit.errors import RecordingError

#: dV/dt is the mean slope over this long: longer than the noise of the amplifier, shorter than an upstroke
SLOPE_WINDOW = 0.3  # ms
#: the peak follows the steepest rise within this time, for the broadest spikes
TO_PEAK = 5.0  # ms
#: and the fall follows the peak within this time
TO_FALL = 20.0  # ms
#: slopes below this many standard deviations of the noise are noise
NOISE = 6.0
#: part of the steepest slope at which a spike begins
ONSET = 0.1
#: but not below this slope (or half the steepest): a slow depolarisation before the spike is not the spike
SLOW = 5.0  # mV/ms
#: spikes of one cell are at least this part of its large ones: they shrink within bursts and near block
SHRUNK = 0.25
#: the fall is at least this part of the rise: a step through the electrode never falls
FALL = 0.25
#: taps of the electrode's response to the current, samples
TAPS = 4
#: an event narrower than this at half height is a capacitive transient or a glitch
NARROW = 0.12  # ms
#: and so is one that lasts one sample where the cell's own spikes last three or more
ONE, RESOLVED = 1.5, 3.0
#: spikes that last fewer samples than this at half height can fall between samples
COARSE = 2.0
#: an overcompensated bridge responds with at least this, GOhm; a smaller response is noise of the fit
OVER = -0.002
#: largest response of an electrode, GOhm (mV/pA)
LARGEST = 0.2
#: samples read at a time, so that an hour's recording needs no copies of itself
CHUNK = 1 << 20
#: samples from which a noise is estimated, at most
ENOUGH = 1 << 21

#: rules by which an event is dropped
LEFT_OUT = ("narrow event", "small event", "no fall", "charging", "refractory")


@dataclass(frozen=True, eq=False)
class Spikes:
    """Detected spikes with their shapes, one entry per spike.

    Parameters
    ----------
    times, threshold
        Time (ms) and voltage (mV) of the onset.
    peak_times, peaks
        Time (ms) and voltage (mV) of the peak.
    heights
        Height from onset to peak, mV.
    slopes
        Slope of the steepest rise, mV/ms.
    widths
        Width at half height, ms.
    sizes
        Mean of rise and fall, mV, which is compared with the limit: a spike that starts from a depolarised membrane
        rises little but still falls far.
    falls
        Fall from the peak to the lowest point within 20 ms, mV.
    """

    times: Float64[Array, " spike"]
    threshold: Float64[Array, " spike"]
    peak_times: Float64[Array, " spike"]
    peaks: Float64[Array, " spike"]
    heights: Float64[Array, " spike"]
    slopes: Float64[Array, " spike"]
    widths: Float64[Array, " spike"]
    sizes: Float64[Array, " spike"]
    falls: Float64[Array, " spike"]

    def __len__(self) -> int:
        return len(self.times)

    def select(self, which: Bool[Mask, " spike"]) -> Spikes:
        """Select spikes by a mask, shape (spike,)."""
        return Spikes(**{name: value[which] for name, value in vars(self).items()})


@dataclass(frozen=True, eq=False)
class Detection:
    """Detected spikes, and counts of the events that were dropped.

    Parameters
    ----------
    spikes
        The spikes with their shapes.
    removed
        Counts of the events that each rule dropped.
    warnings
        Reservations about the spikes, in sentences.
    """

    spikes: Spikes
    removed: tuple[Removed, ...] = ()
    warnings: tuple[str, ...] = ()


def detect_spikes(
    voltage: npt.ArrayLike,
    dt: float,
    *,
    current: npt.ArrayLike | None = None,
    height: float | None = None,
    slope: float | None = None,
    min_height: float = 10.0,
    min_slope: float = 5.0,
    refractory: float = 0.8,
) -> Train:
    """Detect spikes in a voltage trace.

    Parameters
    ----------
    voltage
        mV, shape (time,). NaN stretches hold no spikes.
    dt
        Sampling step, ms.
    current
        Injected current, pA, shape (time,). If given, the drop over the electrode is subtracted first, so that edges of
        the stimulus are not mistaken for spikes.
    height
        Smallest size (mean of rise from the onset and fall from the peak), mV. None: a quarter of that of the cell's
        large spikes, but at least `min_height`.
    slope
        Smallest dV/dt over 0.3 ms, mV/ms. None: six times the noise of the trace, but at least `min_slope`.
    min_height, min_slope
        Lower bounds of the automatic limits, mV and mV/ms.
    refractory
        Time, ms, within which a second onset is attributed to the first spike.

    Returns
    -------
    Train
        Onset times with sub-sample resolution, ms from the first sample, sorted, shape (spike,).

    Raises
    ------
    RecordingError
        If the trace is not 1-D, differs in length from `current`, or a setting is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(0, 100, 0.05)
    >>> v = -65 + 25 * np.exp(-(((t - 40) / 0.4) ** 2))            # a small spike: it peaks at -40 mV
    >>> detect_spikes(v, 0.05).round(1)
    array([39.2])
    """
    found = find_spikes(
        voltage, dt, current=current, height=height, slope=slope,
        min_height=min_height, min_slope=min_slope, refractory=refractory,
    )  # fmt: skip
    return found.times


def find_spikes(
    voltage: npt.ArrayLike,
    dt: float,
    *,
    current: npt.ArrayLike | None = None,
    height: float | None = None,
    slope: float | None = None,
    min_height: float = 10.0,
    min_slope: float = 5.0,
    refractory: float = 0.8,
) -> Spikes:
    """Detect spikes and measure the shape of each; the parameters are those of `detect_spikes`."""
    return search_spikes(
        voltage, dt, current=current, height=height, slope=slope,
        min_height=min_height, min_slope=min_slope, refractory=refractory,
    ).spikes  # fmt: skip


def search_spikes(
    voltage: npt.ArrayLike,
    dt: float,
    *,
    current: npt.ArrayLike | None = None,
    height: float | None = None,
    slope: float | None = None,
    min_height: float = 10.0,
    min_slope: float = 5.0,
    refractory: float = 0.8,
) -> Detection:
    """Detect spikes, measure their shapes and count the dropped events; parameters as for `detect_spikes`."""
    v = _check_voltage(
        voltage, dt, {"height": height, "slope": slope, "min_height": min_height, "min_slope": min_slope}
    )
    membrane = v if current is None else _subtract_electrode(v, np.asarray(current, dtype=np.float64))
    rate = _compute_slope(membrane, dt)
    if not rate.size:
        return Detection(_make_no_spikes())
    noise = _estimate_noise(rate)
    steep = slope if slope is not None else max(min_slope, NOISE * noise)
    spikes = _measure_shapes(membrane, rate, dt, _find_rises(rate, steep, dt), noise)
    charging = np.zeros(len(spikes), dtype=bool)
    if current is not None:
        # what is taken off for the electrode may be a part of the membrane's own response
        shown = ((v, 0), (membrane, 0), (v, TAPS + 1))
        events = Events(spikes.times, spikes.peak_times, SLOPE_WINDOW)
        injected = np.asarray(current, dtype=np.float64)
        charging = find_charging(events, shown, injected, dt)
        falls = (spikes.falls >= FALL * spikes.heights) & (spikes.sizes >= min_height)
        charging |= find_accounted(events, falls & ~charging, v, injected, dt)
    floor = (
        height
        if height is not None
        else max(min_height, SHRUNK * _find_large_size(spikes.sizes[~charging], min_height))
    )
    falls = (spikes.falls >= FALL * spikes.heights) & ~charging
    narrow = _find_narrow(spikes, dt, falls & (spikes.sizes >= floor))
    small = falls & ~narrow & (spikes.sizes < floor)
    kept = spikes.select(falls & ~narrow & (spikes.sizes >= floor))
    apart = np.diff(kept.times, prepend=-np.inf) >= refractory
    left = {
        "narrow event": int(np.sum(falls & narrow & (spikes.sizes >= floor))),
        "small event": int(np.sum(small & (spikes.sizes >= min_height))),
        "no fall": int(np.sum(~falls & ~charging & (spikes.heights >= floor))),
        "charging": int(np.sum(charging & (spikes.sizes >= floor))),
        "refractory": int(np.sum(~apart)),
    }
    removed = tuple(Removed(rule, count, "events") for rule, count in left.items() if count)
    return Detection(kept.select(apart), removed, _warn_of_coarse_sampling(kept, dt))


def _find_narrow(spikes: Spikes, dt: float, large: Bool[Mask, " spike"]) -> Bool[Mask, " spike"]:
    """Find the events that are too short for a spike of this cell.

    A single sample is a glitch where the large events of the sweep are resolved, and a spike where all of them last
    one sample because the sampling is coarse.
    """
    wide = large & (spikes.widths >= ONE * dt)
    resolved = wide.sum() > 0 and float(np.median(spikes.widths[wide])) >= RESOLVED * dt
    few = wide.sum() < (large & ~wide).sum()
    least = ONE * dt if resolved and not few else 0.0
    return spikes.widths < max(NARROW, least)


def _warn_of_coarse_sampling(spikes: Spikes, dt: float) -> tuple[str, ...]:
    """Warn if spikes are so short, in samples, that some may fall between samples."""
    if not len(spikes) or float(np.median(spikes.widths)) >= COARSE * dt:
        return ()
    single = int(np.sum(spikes.widths < ONE * dt))
    return (
        f"sampled every {dt:g} ms, which is coarse for this cell: {single} of {len(spikes)} spikes last one sample, so "
        "that some may have fallen between samples and a glitch cannot be distinguished from a spike",
    )


def _check_voltage(voltage: npt.ArrayLike, dt: float, settings: dict[str, float | None]) -> Trace:
    v = np.asarray(voltage, dtype=np.float64)
    if v.ndim != 1:
        raise RecordingError(f"voltage: shape {v.shape}; spikes are detected in one trace, shape (time,), mV")
    if not (np.isfinite(dt) and dt > 0):
        raise RecordingError(f"dt = {dt} ms; a sampling step is finite and above 0")
    for name, value in settings.items():
        if value is not None and not value > 0:
            raise RecordingError(f"{name} = {value}; spike detection needs it above 0")
    return v if np.isfinite(v).all() else np.where(np.isfinite(v), v, np.nan)  # what is infinite is missing, too


def _subtract_electrode(v: Trace, current: Trace) -> Trace:
    """Subtract from the voltage the part that follows the current within a few samples."""
    if current.shape != v.shape:
        raise RecordingError(f"current: {current.size} samples for {v.size} of voltage; they must be equal")
    if len(v) < 2:
        return v
    taps = _fit_taps(v, current)
    if not taps.any():
        return v
    out = v.copy()
    for k, tap in enumerate(taps):
        out[k:] -= tap * np.nan_to_num(current[: len(v) - k] - current[0])
    return out


def _fit_taps(v: Trace, current: Trace) -> Trace:
    """Fit the electrode response by least squares, twice: outliers of the first fit, such as spikes, are left out.

    It may have either sign, because an overcompensated bridge responds against the current.
    """
    none = np.zeros(min(TAPS, len(v) - 1))
    first = _solve_taps(v, current, none, np.inf)
    if first is None:
        return none
    limit = max(8 * _find_median_residue(v, current, first), 1e-9)
    taps = _solve_taps(v, current, first, limit)
    taps = first if taps is None else taps
    return taps if 0 < taps.sum() < LARGEST or -LARGEST < taps.sum() <= OVER else none


def _iterate_increments(
    v: Trace, current: Trace, taps: int
) -> Iterator[tuple[Float64[Array, "tap time"], Float64[Array, " time"]]]:
    """Iterate over increments of the current at each lag, (tap, time), and of the voltage, where all are known."""
    for begin in range(0, len(v) - 1, CHUNK):
        end = min(begin + CHUNK, len(v) - 1)
        lead = min(begin, taps - 1)
        di = np.diff(current[begin - lead : end + 1])
        di = np.concatenate([np.zeros(taps - 1 - lead), di])
        lagged = np.stack([di[taps - 1 - k : len(di) - k] for k in range(taps)])
        dv = np.diff(v[begin : end + 1])
        calm = np.isfinite(dv) & np.isfinite(lagged).all(axis=0)
        yield (lagged, dv) if calm.all() else (lagged[:, calm], dv[calm])


def _solve_taps(v: Trace, current: Trace, before: Trace, limit: float) -> Trace | None:
    """Solve the normal equations for the taps, over increments that `before` leaves within a limit.

    They are summed without BLAS, whose order of summation, and so the last bits of spike times, depends on the number
    of threads.
    """
    n = len(before)
    power, product = np.zeros((n, n)), np.zeros(n)
    for lagged, dv in _iterate_increments(v, current, n):
        if np.isfinite(limit):
            kept = np.abs(dv - np.einsum("k,kt->t", before, lagged)) <= limit
            lagged, dv = lagged[:, kept], dv[kept]
        power += np.einsum("it,jt->ij", lagged, lagged)
        product += np.einsum("it,t->i", lagged, dv)
    if not np.diag(power).all() or not np.isfinite(power).all():
        return None
    taps: Trace = np.linalg.lstsq(power, product, rcond=1e-12)[0].astype(np.float64)
    return taps


def _find_median_residue(v: Trace, current: Trace, taps: Trace) -> float:
    """Find the median residual of the increments of the voltage, mV."""
    left = [
        np.abs(dv - np.einsum("k,kt->t", taps, lagged)) for lagged, dv in _iterate_increments(v, current, len(taps))
    ]
    whole = np.concatenate(left)
    return float(np.median(whole[:: max(len(whole) // ENOUGH, 1)]))


def count_slope_samples(dt: float) -> int:
    """Count the samples over which a slope is taken; an onset may be off by half of them, plus one."""
    return max(1, round(SLOPE_WINDOW / dt))


def _compute_slope(v: Trace, dt: float) -> Trace:
    """Compute the mean dV/dt, mV/ms, over the window that begins at each sample."""
    k = count_slope_samples(dt)
    return (v[k:] - v[:-k]) / (k * dt) if len(v) > k else np.empty(0)


def _estimate_noise(rate: Trace) -> float:
    """Estimate the standard deviation of the slope between spikes, mV/ms."""
    some = rate[:: max(len(rate) // ENOUGH, 1)]
    finite = some[np.isfinite(some)]
    return 1.4826 * float(np.median(np.abs(finite - np.median(finite)))) if finite.size else 0.0


def _find_large_size(sizes: Trace, least: float) -> float:
    high = sizes[sizes >= least]
    return float(np.percentile(high, 90)) if high.size else 0.0


def _find_rises(rate: Trace, steep: float, dt: float) -> list[tuple[int, int]]:
    """Find stretches of steep slope, as (first, last) indices; a dip shorter than the window does not divide them."""
    above = np.flatnonzero(rate >= steep)
    if not above.size:
        return []
    gaps = np.flatnonzero(np.diff(above) > count_slope_samples(dt))
    firsts = above[np.concatenate([[0], gaps + 1])]
    lasts = above[np.concatenate([gaps, [len(above) - 1]])]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _measure_shapes(v: Trace, rate: Trace, dt: float, rises: list[tuple[int, int]], noise: float) -> Spikes:
    """Measure the shape of each rise that falls again."""
    ends = [first for first, _ in rises[1:]] + [len(v)] * bool(rises)
    rows = [
        _measure_shape(v, rate, dt, first, last, end, noise) for (first, last), end in zip(rises, ends, strict=True)
    ]
    kept = [row for row in rows if row is not None]
    return Spikes(*np.array(kept).T) if kept else _make_no_spikes()


def _make_no_spikes() -> Spikes:
    return Spikes(*(np.empty(0) for _ in range(9)))


def _measure_shape(
    v: Trace, rate: Trace, dt: float, first: int, last: int, end: int, noise: float
) -> tuple[float, ...] | None:
    k = count_slope_samples(dt)
    top = first + int(np.nanargmax(rate[first : last + 1]))
    stop = max(last + k + 1, min(end, top + k + round(TO_PEAK / dt)))
    peak = top + int(np.nanargmax(v[top:stop]))
    after = v[peak : max(peak + 1, min(end + k, peak + round(TO_FALL / dt)))]
    onset = _onset(rate, top, noise)
    if not np.isfinite(onset):
        return None
    at = onset + k / 2
    threshold = float(np.interp(at, (int(at), int(at) + 1), (v[int(at)], v[min(int(at) + 1, len(v) - 1)])))
    height = float(v[peak]) - threshold
    width = _measure_width(v, peak, threshold + height / 2, round(TO_FALL / dt)) * dt
    fall = float(v[peak] - np.nanmin(after))
    if not height > 0:
        return None
    return at * dt, threshold, peak * dt, float(v[peak]), height, float(rate[top]), width, (height + fall) / 2, fall


def _onset(rate: Trace, top: int, noise: float) -> float:
    """Find where the slope last rose through a tenth of its maximum, in fractions of samples."""
    steepest = rate[top]
    level = max(ONSET * steepest, min(max(3 * noise, SLOW), steepest / 2))
    reach = 64
    while True:  # the last sample below is near; searching the whole sweep for each spike would be quadratic
        begin = max(top - reach, 0)
        below = np.flatnonzero(~(rate[begin:top] >= level))
        if below.size or not begin:
            break
        reach *= 4
    if not below.size:
        return 0.0
    k = begin + int(below[-1])
    low = rate[k] if np.isfinite(rate[k]) else level
    return k + (level - low) / (rate[k + 1] - low) if rate[k + 1] > low else float(k)


def _measure_width(v: Trace, peak: int, half: float, most: int) -> float:
    """Measure the width of the peak at half height, in fractions of samples, up to `most` samples to either side."""
    first, last = max(peak - most, 0), min(peak + most, len(v) - 1)
    left = peak
    while left > first and v[left - 1] >= half:
        left -= 1
    right = peak
    while right < last and v[right + 1] >= half:
        right += 1
    before = _find_crossing(v, left, left - 1, half) if left > 0 else 0.0
    after = _find_crossing(v, right, right + 1, half) if right < len(v) - 1 else 0.0
    return right - left + before + after


def _find_crossing(v: Trace, inside: int, outside: int, level: float) -> float:
    drop = v[inside] - v[outside]
    return float((v[inside] - level) / drop) if drop > 0 else 1.0
