"""Compute the current around predicted, missed and invented spikes, and the rates at levels of the current."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from ephysfit.arrays import Array, Float64, Int64, Integers, Trace, Train
from ephysfit.data.resampling import average_over_steps
from ephysfit.reports.evidence import Evidence

#: window of the current around a spike, ms before and after
BEFORE, AFTER = 60.0, 10.0
#: time constant of the smoothing of the current, ms, and number of levels
FILTER, LEVELS = 10.0, 10
#: fewest spikes for which a mean current is shown
FEWEST = 5


@dataclass(frozen=True, eq=False)
class SpikeTriggeredCurrent:
    """Mean current around spikes of one kind, within the scored stretch.

    Attributes
    ----------
    kind : str
        "predicted", "missed" or "invented".
    count : int
    times : (time,) array, ms from the spike
    mean, error : (time,) arrays, pA
        Mean, and its standard error over spikes.
    """

    kind: str
    count: int
    times: Float64[Array, " time"]
    mean: Float64[Array, " time"]
    error: Float64[Array, " time"]


@dataclass(frozen=True, eq=False)
class RateCalibration:
    """Recorded and predicted rates at levels of the smoothed current; all levels have equal durations.

    Attributes
    ----------
    current : (level,) array, pA
    recorded, error, predicted : (level,) arrays, Hz
        ``error``: standard error of the recorded rate over repeats.
    """

    current: Float64[Array, " level"]
    recorded: Float64[Array, " level"]
    error: Float64[Array, " level"]
    predicted: Float64[Array, " level"]


def compute_spike_triggered_currents(evidence: Evidence) -> list[SpikeTriggeredCurrent]:
    """Compute the mean current around spikes that the single noise-free train predicts, misses and invents.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    list of SpikeTriggeredCurrent
        Empty for a current of fewer than `LEVELS` steps; a kind with fewer than `FEWEST` spikes is left out.
    """
    stimulus, found = evidence.stimulus, evidence.agreement
    if np.count_nonzero(np.diff(stimulus.current)) < LEVELS:  # for a few steps a mean around spikes is meaningless
        return []
    empty = [np.empty(0)]
    kinds = {
        "predicted": np.concatenate([*empty, *(t[m] for t, m in zip(evidence.repeats, found.predicted, strict=True))]),
        "missed": np.concatenate([*empty, *(t[~m] for t, m in zip(evidence.repeats, found.predicted, strict=True))]),
        "invented": evidence.prediction[~found.shared],
    }
    made = [
        _average_current_about(k, _cut_to_scored(t, evidence), stimulus.current, stimulus.dt) for k, t in kinds.items()
    ]
    return [m for m in made if m is not None]


def _cut_to_scored(times: Train, evidence: Evidence) -> Train:
    start, stop = evidence.scored
    return times[(times >= start) & (times < stop)]


def _average_current_about(kind: str, spikes: Train, current: Trace, dt: float) -> SpikeTriggeredCurrent | None:
    lags = np.arange(-round(BEFORE / dt), round(AFTER / dt) + 1)
    at = np.floor(spikes / dt).astype(int)
    at = at[(at + lags[0] >= 0) & (at + lags[-1] < len(current))]
    if len(at) < FEWEST:
        return None
    cut = current[at[:, None] + lags]
    return SpikeTriggeredCurrent(
        kind, len(at), lags * np.float64(dt), cut.mean(0), cut.std(0, ddof=1) / np.sqrt(len(at))
    )


def compute_rate_calibration(evidence: Evidence) -> RateCalibration | None:
    """Compute recorded and predicted rates at levels of the smoothed current.

    Parameters
    ----------
    evidence : Evidence

    Returns
    -------
    RateCalibration or None
        None for less than one second of current, or for a current of fewer than `LEVELS` levels.
    """
    stimulus, (start, stop) = evidence.stimulus, evidence.scored
    level = _smooth(average_over_steps(stimulus.current, stimulus.dt, 1.0))[int(start) : int(stop)]  # bins of 1 ms
    edges = np.quantile(level, np.linspace(0, 1, LEVELS + 1))
    if len(level) < 1000 or np.ptp(np.unique(np.round(edges, 6))) == 0 or len(np.unique(edges)) <= LEVELS:
        return None
    bins = np.clip(np.searchsorted(edges, level, side="right") - 1, 0, LEVELS - 1)
    each = np.array([_rate_by_level(t, bins, start, stop) for t in evidence.repeats])
    own = np.mean([_rate_by_level(t, bins, start, stop) for t in evidence.runs(evidence.many)], axis=0)
    centre = np.array([level[bins == k].mean() for k in range(LEVELS)])
    error = each.std(0, ddof=1) / np.sqrt(len(each)) if len(each) > 1 else np.full(LEVELS, np.nan)
    return RateCalibration(centre, each.mean(0), error, own)


def _smooth(current: Trace) -> Trace:
    """A current in steps of 1 ms as a membrane of time constant `FILTER` averages it."""
    keep = float(np.exp(-1.0 / FILTER))
    # SciPy's filter would be the library's answer; importing scipy.signal takes longer than a minute of this loop
    return np.fromiter(accumulate(current.tolist(), lambda old, new: keep * old + (1 - keep) * new), float)


def _rate_by_level(train: Train, bins: Int64[Integers, " bin"], start: float, stop: float) -> Float64[Array, " level"]:
    """Compute the rate of one train at each level, Hz."""
    inside = train[(train >= start) & (train < stop)]
    at = np.clip((inside - int(start)).astype(int), 0, len(bins) - 1)
    time = np.bincount(bins, minlength=LEVELS)
    return 1e3 * np.bincount(bins[at], minlength=LEVELS) / np.maximum(time, 1)
