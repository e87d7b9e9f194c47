"""Pulses of constant current: where they begin and end, how large they are, and the cell before and in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ephysfit.arrays import Train
from ephysfit.data.leaks import find_spike_samples, find_step_levels
from ephysfit.data.stimulus_kinds import find_kind_by_waveform
from ephysfit.data.sweep import Sweep

#: a pulse lasts as long, and the current before it stays as long at its level, ms
SHORTEST, LEAD = 100.0, 20.0
#: of which as much gives the potential before the pulse, ms
BASELINE = 500.0
#: stretches shorter than this, ms, are the edge of a pulse (the rise of a filtered command)
EDGE = 5.0
#: levels nearer than this, pA, or than this part of the largest, are one
SAME, ALIKE = 1.5, 0.02


@dataclass(frozen=True, eq=False)
class Pulse:
    """One pulse of constant current.

    Attributes
    ----------
    sweep : Sweep
    position : int, of the sweep in its recording
    holding : float, pA, the current before it
    amplitude : float, pA, above `holding`
    begin, end : float, ms
    lead : float, ms, for how long the current was at `holding` before
    """

    sweep: Sweep
    position: int
    holding: float
    amplitude: float
    begin: float
    end: float
    lead: float

    @property
    def duration(self) -> float:
        """Length, ms."""
        return self.end - self.begin

    @property
    def spikes(self) -> Train:
        """Spikes during the pulse, ms from the start of the sweep."""
        t = self.sweep.spike_times
        return t[(t >= self.begin) & (t < self.end)]

    @property
    def spikes_before(self) -> Train:
        """Spikes in the stretch that gives the potential before the pulse."""
        t = self.sweep.spike_times
        return t[(t >= self.begin - min(self.lead, BASELINE)) & (t < self.begin)]

    @property
    def rate(self) -> float:
        """Spikes over the length, Hz."""
        return 1e3 * len(self.spikes) / self.duration

    @property
    def baseline(self) -> float:
        """Median voltage of up to 500 ms before the pulse, mV; NaN without a voltage or with spikes there."""
        if self.sweep.voltage is None or len(self.spikes_before):
            return float("nan")
        first, last = (round(t / self.sweep.dt) for t in (self.begin - min(self.lead, BASELINE), self.begin))
        part = self.sweep.voltage[first:last]
        return float(np.median(part)) if part.size and np.isfinite(part).all() else float("nan")


def find_pulses(sweeps: Sequence[Sweep]) -> list[Pulse]:
    """Find the pulses of sweeps: 100 ms or more at one level, from the level at which the sweep began.

    A pulse that follows another at once is left out, since the cell has not settled before it.

    Examples
    --------
    >>> current = np.repeat([0.0, -50.0, 0.0, 80.0, 0.0], 2000)
    >>> [(p.amplitude, p.begin, p.end) for p in find_pulses([Sweep(current, 0.1)])]
    [(-50.0, 200.0, 400.0), (80.0, 600.0, 800.0)]
    """
    return [pulse for k, sweep in enumerate(sweeps) for pulse in _find_in_sweep(sweep, k)]


def _find_in_sweep(sweep: Sweep, position: int) -> list[Pulse]:
    if find_kind_by_waveform(sweep.current) in ("noise", "ramp"):
        return []  # at once; looking for steps in a minute of noise takes seconds
    levels = find_step_levels(sweep.current, sweep.dt, find_spike_samples(sweep))
    if levels is None:
        return []
    stretches = _merge_stretches(levels, sweep.dt)
    if not stretches:
        return []
    largest = max(abs(level - stretches[0][0]) for level, _, _ in stretches)
    slack = max(SAME, ALIKE * largest)
    out = []
    for (before, start, _), (level, begin, end) in pairwise(stretches):
        lasts = end - begin >= SHORTEST and begin - start >= LEAD
        if lasts and abs(before - stretches[0][0]) <= slack < abs(level - before) and _is_valid(sweep, begin, end):
            out.append(Pulse(sweep, position, before, level - before, begin, end, begin - start))
    return out


def _merge_stretches(levels: np.ndarray, dt: float) -> list[tuple[float, float, float]]:
    """(level, begin, end) of the stretches of a command; short ones are the beginning of the next."""
    edges = np.r_[0, 1 + np.flatnonzero(np.diff(levels)), len(levels)]
    slack = max(SAME, ALIKE * float(np.ptp(levels)))
    out: list[tuple[float, float, float]] = []
    opened = 0.0
    for a, b in pairwise(edges):
        level, begin, end = float(levels[a]), float(a * dt), float(b * dt)
        if end - begin < EDGE:
            continue
        begin = opened
        opened = end
        if out and abs(out[-1][0] - level) <= slack:
            level, begin = (out[-1][0], out[-1][1]) if end - begin < out[-1][2] - out[-1][1] else (level, out[-1][1])
            out.pop()
        out.append((level, begin, end))
    return out


def _is_valid(sweep: Sweep, begin: float, end: float) -> bool:
    return not sweep.valid or any(a <= begin - LEAD and end <= b for a, b in sweep.valid)


def group_by_amplitude(pulses: Sequence[Pulse]) -> list[tuple[float, list[Pulse]]]:
    """Group pulses whose amplitudes differ by less than the noise of a recorded current, pA; sorted.

    Examples
    --------
    >>> pulses = [Pulse(None, 0, 0.0, a, 0.0, 100.0, 50.0) for a in (20.3, 9.8, 10.1)]
    >>> [(round(amplitude, 2), len(group)) for amplitude, group in group_by_amplitude(pulses)]
    [(9.95, 2), (20.3, 1)]
    """
    ordered = sorted(pulses, key=lambda p: p.amplitude)
    groups: list[list[Pulse]] = []
    for pulse in ordered:
        if groups and pulse.amplitude - groups[-1][0].amplitude <= max(SAME, ALIKE * abs(pulse.amplitude)):
            groups[-1].append(pulse)
        else:
            groups.append([pulse])
    return [(float(np.mean([p.amplitude for p in group])), group) for group in groups]
