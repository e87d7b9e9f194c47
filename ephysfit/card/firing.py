"""How a cell fires at pulses of current: rheobase, latency, f-I curve, adaptation, regularity. Spike times suffice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ephysfit.arrays import Train
from ephysfit.card.measures import Measure, student, summarise
from ephysfit.card.pulses import Pulse, group_by_amplitude
from ephysfit.data.depolarisation_block import find_blocks
from ephysfit.data.sweep import Sweep

#: spikes of a pulse from which intervals are compared
ENOUGH = 4
#: amplitudes that fire, for a slope
AMPLITUDES = 3
#: a cell fires by itself if this part of the stretches before pulses holds spikes
BY_ITSELF = 0.5

PULSED = ("rheobase", "first_spike_latency", "fi_slope", "max_rate")


def measure_firing(sweeps: Sequence[Sweep], pulses: Sequence[Pulse]) -> list[Measure]:
    """Measure how a cell fires.

    Parameters
    ----------
    sweeps
        All sweeps of a recording.
    pulses
        Its pulses.

    Examples
    --------
    >>> from ephysfit.card.pulses import find_pulses
    >>> inside = np.repeat([0.0, 1.0, 0.0], 10000)
    >>> trains = [[], [1500.0], np.arange(1100.0, 2000.0, 100.0), np.arange(1050.0, 2000.0, 50.0)]
    >>> given = [Sweep(20.0 * (k + 1) * inside, 0.1, spike_times=np.array(t)) for k, t in enumerate(trains)]
    >>> found = {m.name: m for m in measure_firing(given, find_pulses(given))}
    >>> found["rheobase"].value, found["first_spike_latency"].value, round(found["fi_slope"].value, 2)
    (30.0, 500.0, 0.45)
    """
    played = sorted({p.position for p in pulses if p.amplitude > 0})
    blocked = {played[k] for k in find_blocks([sweeps[k] for k in played])}
    usable = [p for p in choose_usual(pulses) if p.amplitude > 0]
    sound = [p for p in usable if p.position not in blocked]
    if not usable:
        why = "no depolarising pulse of constant current" if pulses else "no pulses of constant current"
        found = [Measure.missing(name, why) for name in PULSED]
    elif not sound:
        found = [Measure.missing(name, "depolarisation block in every depolarising pulse") for name in PULSED]
    else:
        found = [
            _measure_rheobase(usable, pulses),
            _measure_latency(usable),
            *_measure_rates(sound, len(usable) - len(sound)),
        ]
    return [*found, *_measure_intervals(sweeps, pulses, sound)]


def choose_usual(pulses: Sequence[Pulse]) -> list[Pulse]:
    """Choose the depolarising pulses of the length (within 2 %) that most of them have."""
    up = [p for p in pulses if p.amplitude > 0]
    if not up:
        return []
    lengths = Counter(round(np.log(p.duration) / 0.02) for p in up)
    usual, _ = lengths.most_common(1)[0]
    return [p for p in up if abs(round(np.log(p.duration) / 0.02) - usual) <= 1]


def _measure_rheobase(usable: Sequence[Pulse], pulses: Sequence[Pulse]) -> Measure:
    before = [len(p.spikes_before) > 0 for p in pulses]
    if np.mean(before) >= BY_ITSELF:
        return Measure.missing("rheobase", f"the cell fires without a pulse ({sum(before)} of {len(before)} baselines)")
    levels = group_by_amplitude(usable)
    x = np.array([0.0, *(amplitude for amplitude, _ in levels)])
    fires = np.array([0.0, *(np.mean([len(p.spikes) > 0 for p in group]) for _, group in levels)])
    over = np.flatnonzero(fires >= 0.5)
    if not over.size:
        return Measure.missing("rheobase", f"no pulse makes spikes (the largest is {x[-1]:.0f} pA)")
    k = int(over[0])
    value = x[k - 1] + (x[k] - x[k - 1]) * (0.5 - fires[k - 1]) / (fires[k] - fires[k - 1])
    lengths = f"{usable[0].duration:.0f} ms, from {np.median([p.holding for p in usable]):.0f} pA"
    silent = (
        "silent at the holding current" if k == 1 else "between the largest silent and the smallest firing amplitude"
    )
    return Measure("rheobase", value, x[k - 1], x[k], len(usable), f"{silent}, pulses of {lengths}")


def _measure_latency(usable: Sequence[Pulse]) -> Measure:
    for amplitude, group in group_by_amplitude(usable):
        delays = [float(p.spikes[0] - p.begin) for p in group if len(p.spikes)]
        if 2 * len(delays) >= len(group):
            return summarise("first_spike_latency", delays, f"pulses of {amplitude:.0f} pA", "no pulse makes spikes")
    return Measure.missing("first_spike_latency", "no pulse makes spikes")


def _measure_rates(sound: Sequence[Pulse], blocked: int) -> list[Measure]:
    levels = [(amplitude, np.array([p.rate for p in group])) for amplitude, group in group_by_amplitude(sound)]
    means = np.array([rates.mean() for _, rates in levels])
    if not means.any():
        why = f"no pulse makes spikes (the largest is {levels[-1][0]:.0f} pA)"
        return [Measure.missing(name, why) for name in ("fi_slope", "max_rate")]
    top = int(np.argmax(means))
    note = f"; {blocked} pulse{'s' * (blocked > 1)} with depolarisation block left out" if blocked else ""
    bound = (
        "; the largest amplitude played, so the cell may fire faster" if top == len(levels) - 1 and not blocked else ""
    )
    most = summarise(
        "max_rate", levels[top][1], f"pulses of {levels[top][0]:.0f} pA{bound}{note}", "no pulse makes spikes"
    )
    firing = [(a, rates) for a, rates in levels[: top + 1] if rates.mean() > 0]
    if len(firing) < AMPLITUDES:
        few = "1 amplitude fires" if len(firing) == 1 else f"{len(firing)} amplitudes fire"
        why = f"{few} up to the largest rate; a slope needs {AMPLITUDES}"
        return [Measure.missing("fi_slope", why), most]
    return [_measure_slope(firing, note), most]


def _measure_slope(firing: Sequence[tuple[float, np.ndarray]], note: str) -> Measure:
    x = np.concatenate([np.full(len(rates), amplitude) for amplitude, rates in firing])
    y = np.concatenate([rates for _, rates in firing])
    apart = x - x.mean()
    slope = float(apart @ y / (apart @ apart))
    rest = y - y.mean() - slope * apart
    freedom = len(x) - 2
    half = float(np.sqrt(rest @ rest / freedom / (apart @ apart))) * student(freedom)
    how = f"line through {len(firing)} amplitudes of {firing[0][0]:.0f} to {firing[-1][0]:.0f} pA{note}"
    return Measure("fi_slope", slope, slope - half, slope + half, len(x), how)


def _measure_intervals(sweeps: Sequence[Sweep], pulses: Sequence[Pulse], sound: Sequence[Pulse]) -> list[Measure]:
    trains = [p.spikes for p in sound if len(p.spikes) >= ENOUGH]
    fewest = f"no pulse makes {ENOUGH} spikes or more"
    adaptation = summarise(
        "adaptation_index",
        [compute_adaptation(t) for t in trains],
        f"pulses of {ENOUGH} spikes or more",
        fewest if pulses else "no pulses of constant current",
    )
    if pulses:
        how = f"pulses of {ENOUGH} spikes or more"
    else:
        trains, how = [s.valid_spikes for s in sweeps if len(s.valid_spikes) >= ENOUGH], "intervals of each sweep"
        fewest = f"no sweep holds {ENOUGH} spikes or more"
    return [adaptation, summarise("isi_cv", [compute_cv(t) for t in trains], how, fewest)]


def compute_adaptation(train: Train) -> float:
    """Compute the mean relative change from one interval to the next.

    Examples
    --------
    >>> round(compute_adaptation(np.array([0.0, 10.0, 30.0, 50.0])), 3)
    0.167
    """
    gaps = np.diff(train)
    return float(np.mean(np.diff(gaps) / (gaps[1:] + gaps[:-1])))


def compute_cv(train: Train) -> float:
    """Compute the standard deviation of the intervals over their mean.

    Examples
    --------
    >>> compute_cv(np.array([0.0, 10.0, 20.0, 30.0]))
    0.0
    """
    gaps = np.diff(train)
    return float(np.std(gaps, ddof=1) / np.mean(gaps))
