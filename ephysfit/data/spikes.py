"""Spikes in a voltage trace, for small and large, fast and broad ones, without an absolute threshold.

A spike is a steep rise, high enough, that falls again. Steep is measured against the trace's own noise, high against
the cell's own spikes, so a cell whose spikes peak at -10 mV and one that overshoots to +40 mV take the same defaults.

The time of a spike is its *onset*: the sub-sample time at which dV/dt passes a tenth of that spike's steepest rise
(the phase-plane threshold: Azouz & Gray 1999, J Neurosci 19:2209; Sekerli et al. 2004, IEEE TBME 51:1665).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Trace, Train
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
#: narrower than this at half height is a capacitive transient or a glitch
NARROW = 0.12  # ms

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Spikes:
    """Detected spikes with their shapes, one entry a spike.

    Parameters
    ----------
    times, threshold
        Onset: ms, and mV.
    peak_times, peaks
        Peak: ms, and mV.
    heights
        From onset to peak, mV.
    slopes
        Steepest rise, mV/ms.
    widths
        At half height, ms.
    sizes
        Mean of rise and fall, mV: what is compared with the limit, because a spike that starts from a depolarised
        membrane rises little and still falls far.
    """

    times: Train
    threshold: Trace
    peak_times: Train
    peaks: Trace
    heights: Trace
    slopes: Trace
    widths: Trace
    sizes: Trace

    def __len__(self) -> int:
        return len(self.times)

    def take(self, which: npt.NDArray[np.bool_]) -> Spikes:
        """Those selected by a mask."""
        return Spikes(**{name: value[which] for name, value in vars(self).items()})


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
    """Onset times of the spikes in a voltage trace.

    Parameters
    ----------
    voltage
        mV, shape (time,). NaN stretches hold no spikes.
    dt
        Sampling step, ms.
    current
        Injected current, pA, shape (time,). With it the drop over the electrode is removed before looking, which keeps
        stimulus edges from passing for spikes.
    height
        Least size (mean of rise from the onset and fall from the peak), mV. None: a quarter of the cell's large spikes,
        at least `min_height`.
    slope
        Least dV/dt over 0.3 ms, mV/ms. None: six times the noise of the trace, at least `min_slope`.
    min_height, min_slope
        Floors of the automatic limits.
    refractory
        Of two onsets closer than this, ms, the later is part of the earlier spike.

    Returns
    -------
    Train
        Sorted sub-sample times, ms from the first sample.

    Raises
    ------
    RecordingError
        If the trace is not 1-D, has other length than `current`, or a setting is not positive.

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
    """`detect_spikes` with the shape of every spike; the same parameters."""
    v = _checked(voltage, dt, {"height": height, "slope": slope, "min_height": min_height, "min_slope": min_slope})
    membrane = v if current is None else _without_electrode(v, np.asarray(current, dtype=np.float64))
    rate = _slope(membrane, dt)
    if not rate.size:
        return _none()
    noise = _noise(rate)
    steep = slope if slope is not None else max(min_slope, NOISE * noise)
    spikes = _shapes(membrane, rate, dt, _rises(rate, steep, dt), noise)
    floor = height if height is not None else max(min_height, SHRUNK * _large(spikes.sizes, min_height))
    spikes = spikes.take(spikes.sizes >= floor)
    return spikes.take(np.diff(spikes.times, prepend=-np.inf) >= refractory)


def _checked(voltage: npt.ArrayLike, dt: float, settings: dict[str, float | None]) -> Trace:
    v = np.asarray(voltage, dtype=np.float64)
    if v.ndim != 1:
        raise RecordingError(f"voltage: shape {v.shape}; spikes are detected in one trace, shape (time,), mV")
    if not (np.isfinite(dt) and dt > 0):
        raise RecordingError(f"dt = {dt} ms; a sampling step is finite and above 0")
    for name, value in settings.items():
        if value is not None and not value > 0:
            raise RecordingError(f"{name} = {value}; spike detection needs it above 0")
    return v if np.isfinite(v).all() else np.where(np.isfinite(v), v, np.nan)  # what is infinite is missing, too


def _without_electrode(v: Trace, current: Trace) -> Trace:
    """The voltage less the part that follows the current within a few samples."""
    if current.shape != v.shape:
        raise RecordingError(f"current: {current.size} samples for {v.size} of voltage; they must be equal")
    if len(v) < 2:
        return v
    dv, di = np.diff(v), np.diff(current)
    lagged = np.stack([np.concatenate([np.zeros(k), di[: len(di) - k]]) for k in range(min(TAPS, len(di)))])
    calm = np.isfinite(dv) & np.isfinite(lagged).all(axis=0)
    power = lagged[:, calm] @ lagged[:, calm].T
    if not calm.any() or not np.diag(power).all() or not np.isfinite(power).all():
        return v
    taps = _fit_taps(lagged[:, calm], dv[calm])
    return v - np.convolve(np.nan_to_num(current - current[0]), taps)[: len(v)]


def _fit_taps(lagged: npt.NDArray[np.float64], dv: Trace) -> Trace:
    """Electrode response by least squares, twice: spikes are outliers of the first fit and left out of the second."""
    taps = _solve(lagged, dv)
    rest = np.abs(dv - taps @ lagged)
    kept = rest <= max(8 * float(np.median(rest)), 1e-9)
    taps = _solve(lagged[:, kept], dv[kept]) if np.any(lagged[0, kept]) else taps
    return taps if 0 < taps.sum() < 0.2 else np.zeros_like(taps)  # 0 to 200 MOhm (mV/pA is GOhm)


def _solve(lagged: npt.NDArray[np.float64], dv: Trace) -> Trace:
    taps: Trace = np.linalg.lstsq(lagged @ lagged.T, lagged @ dv, rcond=1e-12)[0].astype(np.float64)
    return taps


def _span(dt: float) -> int:
    return max(1, round(SLOPE_WINDOW / dt))


def _slope(v: Trace, dt: float) -> Trace:
    """Mean dV/dt, mV/ms, over the window that begins at each sample."""
    k = _span(dt)
    return (v[k:] - v[:-k]) / (k * dt) if len(v) > k else np.empty(0)


def _noise(rate: Trace) -> float:
    """Standard deviation of the slope between spikes."""
    finite = rate[np.isfinite(rate)]
    return 1.4826 * float(np.median(np.abs(finite - np.median(finite)))) if finite.size else 0.0


def _large(sizes: Trace, least: float) -> float:
    high = sizes[sizes >= least]
    return float(np.percentile(high, 90)) if high.size else 0.0


def _rises(rate: Trace, steep: float, dt: float) -> list[tuple[int, int]]:
    """Stretches of steep slope, as (first, last) indices; a dip shorter than the window does not part them."""
    above = np.flatnonzero(np.nan_to_num(rate, nan=-np.inf) >= steep)
    if not above.size:
        return []
    gaps = np.flatnonzero(np.diff(above) > _span(dt))
    firsts = above[np.concatenate([[0], gaps + 1])]
    lasts = above[np.concatenate([gaps, [len(above) - 1]])]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _shapes(v: Trace, rate: Trace, dt: float, rises: list[tuple[int, int]], noise: float) -> Spikes:
    """The shape of each rise that falls again."""
    ends = [first for first, _ in rises[1:]] + [len(v)] * bool(rises)
    rows = [_shape(v, rate, dt, first, last, end, noise) for (first, last), end in zip(rises, ends, strict=True)]
    kept = [row for row in rows if row is not None]
    return Spikes(*np.array(kept).T) if kept else _none()


def _none() -> Spikes:
    return Spikes(*(np.empty(0) for _ in range(8)))


def _shape(v: Trace, rate: Trace, dt: float, first: int, last: int, end: int, noise: float) -> tuple[float, ...] | None:
    k = _span(dt)
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
    width = _width(v, peak, threshold + height / 2) * dt
    fall = float(v[peak] - np.nanmin(after))
    if not height > 0 or fall < FALL * height or width < max(NARROW, 1.5 * dt):
        return None
    return at * dt, threshold, peak * dt, float(v[peak]), height, float(rate[top]), width, (height + fall) / 2


def _onset(rate: Trace, top: int, noise: float) -> float:
    """Where the slope last rose through a tenth of its maximum, in samples, between samples."""
    steepest = rate[top]
    level = max(ONSET * steepest, min(max(3 * noise, SLOW), steepest / 2))
    below = np.flatnonzero(~(rate[:top] >= level))
    if not below.size:
        return 0.0
    k = int(below[-1])
    low = rate[k] if np.isfinite(rate[k]) else level
    return k + (level - low) / (rate[k + 1] - low) if rate[k + 1] > low else float(k)


def _width(v: Trace, peak: int, half: float) -> float:
    """Samples around the peak above half height, between samples."""
    left = peak
    while left > 0 and v[left - 1] >= half:
        left -= 1
    right = peak
    while right < len(v) - 1 and v[right + 1] >= half:
        right += 1
    before = _cross(v, left, left - 1, half) if left > 0 else 0.0
    after = _cross(v, right, right + 1, half) if right < len(v) - 1 else 0.0
    return right - left + before + after


def _cross(v: Trace, inside: int, outside: int, level: float) -> float:
    drop = v[inside] - v[outside]
    return float((v[inside] - level) / drop) if drop > 0 else 1.0
