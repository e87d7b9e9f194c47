"""Short pulses of current, each of which makes a spike or none: how often the model does what the cell does.

Around threshold a cell answers some of the pulses. What a recording tells of a model is then its hit rate (the pulses
that made the cell spike at which the model spikes) against its false alarms (the others at which it does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Trace, Train, Trains
from ephysfit.metrics.trains import mean_defined

#: a pulse is this short at most, ms, and this long at least
SHORTEST, LONGEST = 0.1, 20.0
#: a spike answers a pulse if it comes within so many ms of its onset, and before the next one
ANSWER = 50.0
#: smallest pulse, pA
LEAST = 20.0


@dataclass(frozen=True)
class PulseRates:
    """What a model does at short pulses, as means over its runs.

    Attributes
    ----------
    hits : float
        Part of the pulses that made the cell spike at which the model does; NaN where none did.
    false_alarms : float
        Part of the other pulses at which the model spikes; NaN where there is none.
    answered, silent : int
        Pulses, over all repeats, at which the cell spikes, and does not.
    """

    hits: float
    false_alarms: float
    answered: int
    silent: int


def find_short_pulses(current: Trace, dt: float) -> list[tuple[float, float]]:
    """Find the depolarising pulses of at most 20 ms in a current that is otherwise at one level.

    Parameters
    ----------
    current : (time,) array, pA
    dt : float, ms

    Returns
    -------
    list of (begin, end), ms
        Empty where the current holds anything else.

    Examples
    --------
    >>> t = np.arange(10000) * 0.1
    >>> find_short_pulses(500.0 * ((t % 250 >= 100) & (t % 250 < 103)), 0.1)
    [(100.0, 103.0), (350.0, 353.0), (600.0, 603.0), (850.0, 853.0)]
    >>> find_short_pulses(50.0 * (t > 100), 0.1)
    []
    """
    rise = current - np.median(current)
    top = float(rise.max())
    if top < LEAST or float(-rise.min()) > 0.5 * top:
        return []
    edges = np.flatnonzero(np.diff(np.r_[0, (rise > 0.5 * top).astype(int), 0]))
    pulses = [(float(a * dt), float(b * dt)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    pulses = [(round(a, 6), round(b, 6)) for a, b in pulses]
    return pulses if all(SHORTEST <= b - a <= LONGEST for a, b in pulses) else []


def compare_pulses(stimuli: Sequence[tuple[Sequence[float], Trains, Trains]]) -> PulseRates:
    """Compare cell and model at short pulses.

    Parameters
    ----------
    stimuli : sequence of (onsets, recorded, simulated)
        Onsets of the pulses, ms; trains of the repeats and of the runs, ms.

    Examples
    --------
    >>> compare_pulses([([100.0, 200.0, 300.0], [[105.0, 205.0]], [[104.0], [104.0, 206.0, 304.0]])])
    PulseRates(hits=0.75, false_alarms=0.5, answered=2, silent=1)
    """
    hits, alarms = [], []
    for onsets, recorded, simulated in stimuli:
        often = np.mean([_find_answers(onsets, np.asarray(t)) for t in simulated], axis=0)
        for train in recorded:
            found = _find_answers(onsets, np.asarray(train))
            hits += list(often[found])
            alarms += list(often[~found])
    return PulseRates(mean_defined(hits), mean_defined(alarms), len(hits), len(alarms))


def _find_answers(onsets: Sequence[float], train: Train) -> np.ndarray:
    """Which pulses a train answers."""
    ends = np.minimum(np.r_[onsets[1:], np.inf], np.asarray(onsets) + ANSWER)
    return np.array([bool(((train >= a) & (train < b)).any()) for a, b in zip(onsets, ends, strict=True)])
