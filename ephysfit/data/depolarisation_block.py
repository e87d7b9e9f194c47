"""Depolarisation block: at large steps a cell fires a burst and then stays depolarised and silent.

Sodium channels that stay inactivated cause it. Models whose spikes need only a potential above a threshold fire on
throughout such a step; fitted to it they bend everything else to fall silent.

With a voltage it shows: after the last spike the membrane stays above the potential from which the spikes of the same
step started. A cell that adapted is silent below it. Beside a smaller step a fall of the count tells it: at most half
the spikes, no slower to begin with, and then silence while the smaller step kept on firing; where there is a voltage,
the silence lies where the spikes of the smaller step started, or above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ephysfit.arrays import Array, Float64, Trace, Train
from ephysfit.data.leaks import find_spike_samples, find_step_levels
from ephysfit.data.recording import Recording, Rejected
from ephysfit.data.sides import Sides
from ephysfit.data.sweep import Sweep

#: a step and a silence at its end are at least this long, ms
SHORTEST, SILENT = 100.0, 50.0
#: the silence is this many times longer than the longest interval before it
LONGER = 4.0
#: spikes of a burst, at least; and spikes whose start gives the threshold, at most
FEWEST, FIRST = 2, 3
#: where spikes start from: the lowest potential within so many ms before one; and how far above it a blocked membrane
#: stays, mV, for this part of the silence, of which the first ms are the fall of the spike
BEFORE, ABOVE, MOST, FALL = 1.5, 5.0, 0.9, 10.0
#: without a voltage: spikes of the smaller step, at least, and the part of them that is left
ENOUGH, LEFT = 10, 0.5
#: and with one: how far below where those started the silence may lie, mV
NEAR = 3.0


@dataclass(frozen=True)
class Burst:
    """The spikes of a step and the silence after them.

    Attributes
    ----------
    amplitude : float, pA, level of the current during the step
    begin, end : float, ms, of the step, as far as it was recorded
    spikes : (spike,) array, ms
    """

    amplitude: float
    begin: float
    end: float
    spikes: Train

    @property
    def silence(self) -> float:
        """Time from the last spike to the end of the step, ms."""
        return self.end - float(self.spikes[-1]) if len(self.spikes) else self.end - self.begin

    @property
    def ceases(self) -> bool:
        """Whether the spikes cease long before the step ends, against the intervals between them."""
        longest = float(np.diff(self.spikes).max()) if len(self.spikes) > 1 else 0.0
        return len(self.spikes) > 0 and self.silence >= max(SILENT, LONGER * longest)


def find_burst(sweep: Sweep) -> Burst | None:
    """Find the largest step of a sweep with its spikes; None if its current does not move in steps.

    Examples
    --------
    >>> current = np.repeat([0.0, 300.0, 0.0], [1000, 5000, 1000])
    >>> sweep = Sweep(current, 0.1, spike_times=np.array([110.0, 118.0, 127.0]))
    >>> found = find_burst(sweep)
    >>> found.amplitude, found.silence, found.ceases
    (300.0, 473.0, True)
    """
    levels = find_step_levels(sweep.current, sweep.dt, find_spike_samples(sweep))
    if levels is None:
        return None
    edges = np.r_[0, 1 + np.flatnonzero(np.diff(levels)), len(levels)]
    stop = sweep.valid[-1][1] if sweep.valid else sweep.duration
    spans = [(float(levels[a]), a * sweep.dt, min(b * sweep.dt, stop)) for a, b in pairwise(edges)]
    long = [span for span in spans if span[2] - span[1] >= SHORTEST]
    if not long:
        return None
    amplitude, begin, end = max(long)
    inside = sweep.spike_times[(sweep.spike_times >= begin) & (sweep.spike_times < end)]
    return Burst(amplitude, begin, end, inside)


def explain_block(sweep: Sweep, burst: Burst) -> str:
    """Explain how the voltage shows a block after the burst of a step; empty if it shows none."""
    if sweep.voltage is None or not burst.ceases:
        return ""
    start = float(np.max(_find_starts(sweep, burst.spikes[:FIRST])))
    silent = _cut_silence(sweep, burst)
    if len(burst.spikes) < FEWEST or not silent.size or np.mean(silent > start + ABOVE) < MOST:
        return ""
    return (
        f"depolarisation block: {len(burst.spikes)} spikes, then silence for {burst.silence:.0f} ms of the step of "
        f"{burst.amplitude:.0f} pA at {float(np.median(silent)):.0f} mV, above the {start:.0f} mV where they started"
    )


def _find_starts(sweep: Sweep, spikes: Train) -> Float64[Array, " spike"]:
    """The lowest potential just before each spike, mV: where its rise began, or below."""
    assert sweep.voltage is not None
    back = max(round(BEFORE / sweep.dt), 1)
    at = np.floor(spikes / sweep.dt).astype(np.int64)
    return np.array([np.nanmin(sweep.voltage[max(k - back, 0) : k + 1]) for k in at], dtype=np.float64)


def _cut_silence(sweep: Sweep, burst: Burst) -> Trace:
    """The voltage from shortly after the last spike to the end of the step, mV, where it was recorded."""
    assert sweep.voltage is not None
    silent = sweep.voltage[int((float(burst.spikes[-1]) + FALL) / sweep.dt) : int(burst.end / sweep.dt)]
    return silent[np.isfinite(silent)]


def find_blocks(sweeps: Sequence[Sweep]) -> dict[int, str]:
    """Find the sweeps with depolarisation block: position to how it shows.

    Parameters
    ----------
    sweeps
        Sweeps with their spikes: each by its voltage, if it has one, and by smaller steps.
    """
    bursts = {k: burst for k, s in enumerate(sweeps) if (burst := find_burst(s)) is not None}
    found = {k: said for k, burst in bursts.items() if (said := explain_block(sweeps[k], burst))}
    for k, burst in bursts.items():
        smaller = [j for j, b in bursts.items() if b.amplitude < burst.amplitude and len(b.spikes) >= ENOUGH]
        if k in found or not smaller:
            continue
        most = max(smaller, key=lambda j: len(bursts[j].spikes))
        best = bursts[most]
        if _falls_short(burst, best) and _stays_above(sweeps[k], burst, sweeps[most], best):
            count = f"{len(burst.spikes)} spike{'s' * (len(burst.spikes) > 1)}"
            found[k] = (
                f"depolarisation block: {count} at {burst.amplitude:.0f} pA and silence for {burst.silence:.0f} ms, "
                f"where {best.amplitude:.0f} pA made {len(best.spikes)} spikes"
            )
    return dict(sorted(found.items()))


def _falls_short(burst: Burst, best: Burst) -> bool:
    """Whether a burst at a larger step ends early that began as fast as the smaller step, which fired on."""
    length = min(burst.end - burst.begin, best.end - best.begin)  # as far as both were recorded
    there = best.spikes[best.spikes < best.begin + length]
    if not burst.ceases or len(burst.spikes) > LEFT * len(there):
        return False
    soon = bool(burst.spikes[0] - burst.begin <= best.spikes[0] - best.begin)
    fast = len(burst.spikes) < 2 or bool(np.diff(burst.spikes)[0] <= np.diff(best.spikes)[0])
    return soon and fast and not best.ceases


def _stays_above(sweep: Sweep, burst: Burst, other: Sweep, best: Burst) -> bool:
    """Whether the silence lies where the spikes of the smaller step started, or above; true where no voltage tells."""
    if sweep.voltage is None or other.voltage is None:
        return True
    silent = _cut_silence(sweep, burst)
    return bool(silent.size and np.median(silent) > np.median(_find_starts(other, best.spikes[-ENOUGH:])) - NEAR)


def find_blocks_by_side(recording: Recording, sides: Sides) -> dict[int, str]:
    """Find the sweeps with depolarisation block: training sweeps by training sweeps, test sweeps by all."""
    trained = find_blocks([recording.sweeps[k] for k in sides.train])
    every = find_blocks(recording.sweeps) if sides.test else {}
    found = {sides.train[k]: said for k, said in trained.items()} | {k: every[k] for k in sides.test if k in every}
    return dict(sorted(found.items()))


def refuse_blocked(recording: Recording, sides: Sides) -> Recording:
    """Reject the sweeps with depolarisation block."""
    found = find_blocks_by_side(recording, sides)
    ways = "few models can fall silent so, and a fit to it would bend all else; block='keep' takes it all the same"
    kept = tuple(s for k, s in enumerate(recording.sweeps) if k not in found)
    lost = tuple(Rejected(recording.sweeps[k].name, f"{said}; {ways}") for k, said in found.items())
    return replace(recording, sweeps=kept, rejected=(*recording.rejected, *lost)) if found else recording


def warn_of_blocks(recording: Recording, sides: Sides) -> Recording:
    """Add to each sweep with depolarisation block, kept as requested, how it shows."""
    sweeps = list(recording.sweeps)
    for k, said in find_blocks_by_side(recording, sides).items():
        sweeps[k] = replace(sweeps[k], warnings=(*sweeps[k].warnings, f"{said}; kept as requested"))
    return replace(recording, sweeps=tuple(sweeps))
