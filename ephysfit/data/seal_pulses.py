"""Test pulses: the small step before the stimulus that probes the electrode. They are masked, never deleted.

A masked stretch is neither scored nor fitted, but its current remains, so that the model receives it as the cell did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ephysfit.data.recording import Recording, Sweep
from ephysfit.data.sides import Sides

#: a test pulse ends this early in a sweep, ms
EARLY = 400.0
#: and is as long as this, ms
SHORTEST, LONGEST = 1.0, 150.0
#: the stretch after it in which the membrane still settles, ms
SETTLE = 20.0
#: as many sweeps must begin with the same pulse, and this part of all
ENOUGH, MOST = 3, 0.8
#: pulses are the same up to this part of their size
SAME = 0.03


@dataclass(frozen=True)
class Pulse:
    """A rectangular pulse: start and stop (ms), and amplitude relative to the current before it (pA)."""

    start: float
    stop: float
    amplitude: float


def mask_test_pulses(recording: Recording, sides: Sides | None = None) -> Recording:
    """Mark the test pulses at the beginning of the sweeps as not valid.

    Sweeps that train decide by themselves which pulse is one; those that test, by that pulse and by their own.

    A pulse is a test pulse if nearly all sweeps begin with the same one, it does not make the cell spike, and other
    stimuli follow it. Pulses that the file marks itself are left alone.
    """
    sides = sides or Sides(tuple(range(len(recording))))
    sweeps = list(recording.sweeps)
    trained = find_shared_pulse([sweeps[k] for k in sides.train])
    tested = find_shared_pulse([sweeps[k] for k in sides.test])
    for side, pulses in ((sides.train, (trained,)), (sides.test, (trained, tested))):
        for k in side:
            for pulse in filter(None, dict.fromkeys(pulses)):
                sweeps[k] = _mask_pulse(sweeps[k], pulse)
    return replace(recording, sweeps=tuple(sweeps))


def find_shared_pulse(sweeps: Sequence[Sweep]) -> Pulse | None:
    """Find the test pulse with which the sweeps begin; None if there is none.

    Examples
    --------
    >>> t = np.arange(5000) * 0.1
    >>> steps = [-20.0 * ((t >= 10) & (t < 20)) + k * ((t >= 200) & (t < 400)) for k in (10.0, 20.0, 30.0)]
    >>> find_shared_pulse([Sweep(current, 0.1) for current in steps])
    Pulse(start=10.0, stop=20.0, amplitude=-20.0)
    """
    found = [(sweep, pulse) for sweep in sweeps if (pulse := find_first_pulse(sweep)) is not None]
    if len(found) < max(ENOUGH, MOST * len(sweeps)):
        return None
    first = found[len(found) // 2][1]
    same = [sweep for sweep, pulse in found if _is_same_pulse(pulse, first, sweep.dt)]
    if len(same) < max(ENOUGH, MOST * len(sweeps)):
        return None
    stop = first.stop + SETTLE
    spiking = [s for s in same if np.any((s.spike_times >= first.start) & (s.spike_times < stop))]
    follows = [s for s in same if _is_followed(s, first)]
    return first if len(spiking) <= (1 - MOST) * len(same) and len(follows) >= len(same) / 2 else None


def find_first_pulse(sweep: Sweep) -> Pulse | None:
    """Find the first excursion of a current, if it is a short rectangular pulse early in the sweep; else None."""
    current, dt = sweep.current, sweep.dt
    calm = max(round(SHORTEST / dt), 3)
    last = min(round((EARLY + LONGEST) / dt), len(current))
    if last < 3 * calm:
        return None
    head = current[:last] - np.median(current[:calm])
    noise = max(float(np.abs(head[:calm]).max()), 1e-9)
    away = np.flatnonzero(np.abs(head) > 3 * noise)
    if not away.size or away[0] < calm:
        return None
    begin = int(away[0])
    back = np.flatnonzero(np.abs(head[begin:]) <= 3 * noise)
    if not back.size:
        return None
    end = begin + int(back[0])
    plateau = head[begin:end]
    amplitude = float(np.median(plateau))
    flat = np.abs(plateau - amplitude) <= max(3 * noise, SAME * abs(amplitude))
    rests = np.all(np.abs(head[end : end + max(calm, (end - begin) // 4)]) <= 3 * noise)
    sound = SHORTEST <= (end - begin) * dt <= LONGEST and end * dt <= EARLY and flat.mean() > 0.9 and rests
    return Pulse(round(begin * dt, 9), round(end * dt, 9), round(amplitude, 9)) if sound else None


def _is_same_pulse(a: Pulse, b: Pulse, dt: float) -> bool:
    times = abs(a.start - b.start) <= 1.5 * dt and abs(a.stop - b.stop) <= 1.5 * dt
    return times and abs(a.amplitude - b.amplitude) <= max(SAME * abs(b.amplitude), 1e-6)


def _is_followed(sweep: Sweep, pulse: Pulse) -> bool:
    """Whether another stimulus follows the pulse."""
    rest = sweep.current[round(pulse.stop / sweep.dt) + 1 :]
    return bool(rest.size and float(np.ptp(rest)) > 0.2 * abs(pulse.amplitude))


def _mask_pulse(sweep: Sweep, pulse: Pulse) -> Sweep:
    own = find_first_pulse(sweep)
    stop = pulse.stop + SETTLE
    if own is None or not _is_same_pulse(own, pulse, sweep.dt) or stop >= sweep.duration:
        return sweep
    return mask_beginning(
        sweep, stop, f"test pulse of {pulse.amplitude:g} pA, {pulse.start:g} to {pulse.stop:g} ms, masked"
    )


def mask_beginning(sweep: Sweep, until: float, note: str) -> Sweep:
    """Mark the beginning of a sweep, up to `until` ms, as not valid."""
    whole = sweep.valid or ((0.0, sweep.duration),)
    valid = tuple((max(a, until), b) for a, b in whole if b > until)
    if not valid or valid == whole:
        return sweep
    return replace(sweep, valid=valid, notes=(*sweep.notes, note))
