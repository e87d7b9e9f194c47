"""Responses of a membrane to short pulses of current look like spikes: as steep, as large, and they fall again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Array, Bool, Float64, Mask, Trace

#: part of the rise within which the response to a pulse is that of a linear membrane, and how far, mV, one that failed
#: to spike may go on to rise
PASSIVE, FAILED = 0.1, 5.0
#: no membrane that can spike is charged so far, mV, without a spike
UNFIRED = 60.0
#: samples by which a recorded voltage may follow the current
LATE = (0, 1, 3)
#: samples of a pulse whose halves can be compared
FEWEST = 4
#: samples behind an edge from which a trace shows what it was before the next one
SETTLED = 5
#: what a pulse leaves is compared at times so far apart, for so long, ms
APART, HORIZON = 0.3, 5.0
#: of what a pulse leaves, a passive membrane keeps this part so long, ms
REMAINS, AT_ONCE = 0.2, 1.0


@dataclass(frozen=True, eq=False)
class Events:
    """Steep rises in a voltage trace.

    Attributes
    ----------
    onsets, peaks
        Times, ms; an onset is known to half the `window` over which slopes are taken.
    window
        ms.
    """

    onsets: Float64[Array, " event"]
    peaks: Float64[Array, " event"]
    window: float


def find_charging(
    events: Events, traces: Sequence[tuple[Trace, int]], current: Trace, dt: float
) -> Bool[Mask, " event"]:
    """Find the events that are the response of a passive membrane to a pulse.

    They rise from its beginning and fall from its end, as a membrane does that is linear. A spike accelerates before
    its peak, goes on after the pulse, or falls faster than charge can leave a membrane that has risen as it did.

    Parameters
    ----------
    events : Events
    traces : sequence of (array, int)
        The voltage, mV, (time,), as it was recorded and otherwise, each looked at from so many samples behind an edge
        on. One of them has to show a passive response.
    current : array, (time,)
        pA.
    dt : float
        ms.

    Returns
    -------
    mask, (event,)

    Examples
    --------
    >>> t = np.arange(0, 60, 0.05)
    >>> current = np.where((t >= 20) & (t < 22), 1000.0, 0.0)
    >>> v = np.convolve(current / 100.0, 0.05 * np.exp(-t / 15))[: len(t)] - 70  # 100 pF, 15 ms: to -51 mV
    >>> find_charging(Events(np.array([20.0]), np.array([21.95]), 0.3), [(v, 0)], current, 0.05)
    array([ True])
    """
    out = np.zeros(len(events.peaks), dtype=bool)
    jumps = np.diff(current)
    large = np.flatnonzero(np.abs(jumps) > np.nan_to_num(np.ptp(current[np.isfinite(current)])) / 4)
    rises, falls = large[jumps[large] > 0], large[jumps[large] < 0]
    latest = np.rint((events.onsets + events.window / 2) / dt).astype(np.int64)
    next_onset = np.r_[events.onsets[1:] / dt, np.inf].clip(max=len(current) - 1)
    for k, which in enumerate(np.searchsorted(rises, latest, side="right") - 1):
        following = int(np.searchsorted(falls, rises[which], side="right")) if which >= 0 else falls.size
        if following == falls.size:
            continue
        begin, end = int(rises[which]), int(falls[following])
        before, behind = np.searchsorted(large, begin) - 1, np.searchsorted(large, end, side="right")
        calm = int(large[before]) + SETTLED if before >= 0 else 0
        calm = max(min(calm, begin), 2 * begin - end)
        after = min(int(large[behind]) if behind < large.size else len(current) - 1, int(next_onset[k]))
        late = [_Pulse(begin + by, end + by, calm, after, round(events.peaks[k] / dt)) for by in LATE]
        if _follow_baseline(traces[0][0], late[0], dt)(late[0].peak) <= UNFIRED:
            out[k] = any(_is_passive(v, pulse, dt, skip) for v, skip in traces for pulse in late)
    return out


@dataclass(frozen=True)
class _Pulse:
    """A pulse of current as a voltage trace shows it, in samples.

    Attributes
    ----------
    begin, end
        The last sample before it rises, and the last before it falls.
    calm, after
        The stretch before it without an edge, no longer than the pulse, begins here; that behind it ends there.
    peak
        Where the event peaks.
    """

    begin: int
    end: int
    calm: int
    after: int
    peak: int


def _is_passive(v: Trace, pulse: _Pulse, dt: float, skip: int) -> bool:
    """Whether a linear membrane may answer like this to a pulse; so many samples after each edge are not looked at.

    Charge that spreads through a passive tree relaxes with a sum of decaying exponentials, so that the response to a
    step has a slope that falls, and by no larger a part in the second half of a pulse than it goes on to fall. With the
    rises a and b in the two halves of a pulse, at least ``a r**m`` with ``r = b / a`` follows in the m-th half after
    them if the current goes on; what a pulse leaves so long after its end is the difference. It falls slower and
    slower. A spike rises more in the second half, goes on to rise after the pulse, or falls faster, or not at once.
    """
    half = (pulse.end - pulse.begin - skip) / 2
    if pulse.end - pulse.begin < 2 * skip or pulse.end + skip >= pulse.after:
        return False
    level = _follow_baseline(v, pulse, dt)
    foot, middle, top = (level(at) for at in (pulse.begin + skip, pulse.end - half, pulse.end))
    first, second = middle - foot, top - middle
    room, start = PASSIVE * (top - foot), level(pulse.end + skip)
    beyond = level(pulse.peak) - max(top, start)
    if not (first > 0 and second <= first + room and beyond <= max(room, FAILED)):
        return False
    if 2 * half >= FEWEST:
        ratio = min(max(second / first, 0.0), 1.0)
        for m, risen in ((1, first), (2, first + second)):
            goes_on = first * ratio ** (2 + skip / half) * (1 if m == 1 else 1 + ratio)
            at = pulse.end + skip + m * half
            if at < pulse.after and start - level(at) > risen - goes_on + room:
                return False
    return _falls_slower_and_slower(level, pulse, start, room, dt, skip)


def _follow_baseline(v: Trace, pulse: _Pulse, dt: float) -> Callable[[float], float]:
    """The trace above what it would be without the pulse, mV: above the line that it followed before."""
    back = np.arange(pulse.calm, pulse.begin + 1)
    slope = float(np.polyfit(back, v[back], 1)[0]) if len(back) > 2 and len(back) * dt >= APART else 0.0
    rest = float(np.mean(v[back])) + slope * (len(back) - 1) / 2

    def level(at: float) -> float:
        k = int(at)
        between = (at - k) * float(v[min(k + 1, len(v) - 1)] - v[k]) if at > k else 0.0
        return float(v[k]) + between - rest - slope * (at - pulse.begin)

    return level


def _falls_slower_and_slower(
    level: Callable[[float], float], pulse: _Pulse, start: float, room: float, dt: float, skip: int
) -> bool:
    """Whether what a pulse leaves falls fastest at first, and not whole within a millisecond."""
    apart = max(APART / dt, 1.0)
    behind = np.arange(1, int(HORIZON / APART)) * apart + pulse.end + skip
    left = np.array([start, *(level(float(at)) for at in behind[behind < pulse.after])])
    drops = -np.diff(left)
    fastest = np.maximum.accumulate(np.r_[0.0, drops])[:-1]
    soon = left[: 1 + round(AT_ONCE / (apart * dt))]
    return bool(np.all(drops[1:] <= fastest[1:] + room) and soon[-1] > REMAINS * start)
