"""Threshold, height, width and after-hyperpolarisation of spikes that nothing shortly before has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ephysfit.card.measures import Measure, summarise
from ephysfit.card.pulses import Pulse, group_by_amplitude
from ephysfit.data.found_spikes import find_shapes
from ephysfit.data.spikes import Spikes
from ephysfit.data.sweep import Sweep

#: a spike of noise is used if none came so long before it, ms
REST = 50.0
#: the trough is looked for within so long after the peak, and lies so long before the end of the pulse at least, ms
TROUGH, INSIDE = 200.0, 5.0
#: at larger amplitudes the next spike cuts the after-hyperpolarisation short
SMALLEST = 5
#: two descriptions of a spike are one within, ms
SAME = 1.0

NAMES = ("threshold", "spike_height", "spike_width", "ahp_depth", "ahp_time")


@dataclass(frozen=True, eq=False)
class Chosen:
    """A spike whose shape is measured.

    Attributes
    ----------
    sweep : Sweep
    time : float, ms
    following : float, the next spike of the sweep, ms; inf for none
    end : float, until when the current stays the same, ms
    """

    sweep: Sweep
    time: float
    following: float
    end: float


def choose_spikes(sweeps: Sequence[Sweep], pulses: Sequence[Pulse]) -> tuple[list[Chosen], str]:
    """Choose the first spike of each pulse, or, without pulses, each spike after 50 ms of silence; and say so.

    Examples
    --------
    >>> from ephysfit.card.pulses import find_pulses
    >>> pulse = Sweep(np.repeat([0.0, 50.0], 2000), 0.1, np.full(4000, -70.0), np.array([250.0, 300.0]))
    >>> chosen, how = choose_spikes([pulse], find_pulses([pulse]))
    >>> [(c.time, c.following, c.end) for c in chosen], how
    ([(250.0, 300.0, 400.0)], 'first spike at the 5 smallest amplitudes that fire')
    """
    firing = [p for p in pulses if len(p.spikes) and p.sweep.voltage is not None and p.amplitude > 0]
    small = [p for _, group in group_by_amplitude(firing)[:SMALLEST] for p in group]
    if small:
        found = [_choose(p.sweep, float(p.spikes[0]), p.end) for p in small]
        return found, f"first spike at the {SMALLEST} smallest amplitudes that fire"
    found = [_choose(s, t, s.duration) for s in sweeps if s.voltage is not None for t in _find_rested(s)]
    return found, f"spikes after {REST:.0f} ms without one"


def _choose(sweep: Sweep, time: float, end: float) -> Chosen:
    later = sweep.spike_times[sweep.spike_times > time]
    return Chosen(sweep, time, float(later[0]) if len(later) else np.inf, end)


def measure_spikes(sweeps: Sequence[Sweep], pulses: Sequence[Pulse]) -> list[Measure]:
    """Measure threshold, height, width and trough of the chosen spikes.

    Parameters
    ----------
    sweeps
        All sweeps of a recording.
    pulses
        Its pulses.
    """
    if all(s.voltage is None for s in sweeps):
        return [Measure.missing(name, "no voltage, spike times only") for name in NAMES]
    chosen, how = choose_spikes(sweeps, pulses)
    if not chosen:
        return [Measure.missing(name, "no spikes") for name in NAMES]
    columns = np.array([_measure_one(c, find_shapes(c.sweep)) for c in chosen], dtype=np.float64).T
    why = "the spikes given are not found in the voltage"
    unfinished = "no spike is followed by a trough before the next one or the end of the pulse"
    return [
        summarise(name, column, how, unfinished if name.startswith("ahp") and np.isfinite(columns[0]).any() else why)
        for name, column in zip(NAMES, columns, strict=True)
    ]


def measure_model_spikes(sweeps: Sequence[Sweep], pulses: Sequence[Pulse]) -> list[Measure]:
    """Measure what the spikes of a point neuron have: the potential at which they start, and the trough after it."""
    drawn = "a point neuron draws no spike: it is reset at the threshold"
    missing = [Measure.missing(name, drawn) for name in ("spike_height", "spike_width")]
    chosen, how = choose_spikes(sweeps, pulses)
    rows = []
    for c in chosen:
        assert c.sweep.voltage is not None
        at = int(c.time / c.sweep.dt)  # the state after this step is that of the reset
        threshold = float(c.sweep.voltage[at - 1]) if at else np.nan
        rows.append((threshold, *_measure_trough(c, threshold, (at + 1) * c.sweep.dt)))
    if not rows:
        why = "no voltage, spike times only" if all(s.voltage is None for s in sweeps) else "no spikes"
        return [*missing, *(Measure.missing(name, why) for name in ("threshold", "ahp_depth", "ahp_time"))]
    columns = np.array(rows, dtype=np.float64).T
    why = "no spike is followed by a trough before the next one or the end of the pulse"
    names = ("threshold", "ahp_depth", "ahp_time")
    return [*missing, *(summarise(name, x, how, why) for name, x in zip(names, columns, strict=True))]


def _find_rested(sweep: Sweep) -> list[float]:
    t = sweep.valid_spikes
    return [float(x) for x in t[np.diff(t, prepend=-np.inf) >= REST]]


def _measure_one(spike: Chosen, shapes: Spikes) -> tuple[float, ...]:
    """Threshold (mV), height (mV), width (ms), depth (mV) and time (ms) of the trough; NaN where not there."""
    near = np.abs(shapes.times - spike.time)
    if not near.size or near.min() > SAME:
        return (np.nan,) * 5
    k = int(np.argmin(near))
    threshold = float(shapes.threshold[k])
    trough = _measure_trough(spike, threshold, float(shapes.peak_times[k]))
    return threshold, float(shapes.heights[k]), float(shapes.widths[k]), *trough


def _measure_trough(spike: Chosen, threshold: float, peak: float) -> tuple[float, float]:
    """Depth (mV below threshold) and time (ms after the peak) of the lowest potential before the next spike."""
    sweep = spike.sweep
    assert sweep.voltage is not None
    first, last = (round(t / sweep.dt) for t in (peak, min(spike.following, spike.end, peak + TROUGH)))
    after = sweep.voltage[first:last]
    if not len(after) or not np.isfinite(after).all():
        return np.nan, np.nan
    low = int(np.argmin(after))
    if spike.following > spike.end and (len(after) - low) * sweep.dt < INSIDE:
        return np.nan, np.nan  # where the potential still falls as the pulse ends is no trough
    return threshold - float(after[low]), low * sweep.dt
