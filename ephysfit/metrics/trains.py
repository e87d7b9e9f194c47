"""Spike trains for the metrics: checked, cut to a window, packed for the kernels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Array, Float64, Int64, Integers, Train, Trains, TrainsLike
from ephysfit.errors import ScoreError

#: ms; closed windows stay closed on float grids: two spikes exactly one window apart coincide
EDGE = 1e-6

#: all spike times, ms, and where each train starts
PackedTrains: TypeAlias = tuple[Float64[Array, " spike"], Int64[Integers, " boundary"]]


def check_train(times: npt.ArrayLike, name: str = "train") -> Train:
    """Check that a train is sorted, finite spike times in ms, and return it as float64; nothing is repaired.

    Raises
    ------
    ScoreError
    """
    try:
        train = np.ascontiguousarray(times, dtype=np.float64)
    except (TypeError, ValueError):
        raise ScoreError(f"{name} is not an array of numbers; give spike times in ms, axis (spike,)") from None
    if np.ndim(times) != 1:
        raise ScoreError(f"{name} has {np.ndim(times)} axes; a train is one axis of spike times in ms, [] when silent")
    if not np.isfinite(train).all():
        bad = int(np.flatnonzero(~np.isfinite(train))[0])
        raise ScoreError(
            f"{name}[{bad}] is {train[bad]}; spike times must be finite; drop spikes that were not detected"
        )
    steps = np.diff(train)
    if (steps < 0).any():
        late = int(np.flatnonzero(steps < 0)[0])
        raise ScoreError(
            f"{name} is not sorted: {train[late]:g} ms is followed by {train[late + 1]:g} ms; sort the times first"
        )
    return train


def check_trains(trains: TrainsLike, name: str = "trains") -> list[Train]:
    """Check several trains; one flat train is refused, because its repeats would have to be guessed.

    Examples
    --------
    >>> check_trains([[1.0, 5.0], []], "data")
    [array([1., 5.]), array([], dtype=float64)]
    """
    if not isinstance(trains, Iterable) or isinstance(trains, str):
        raise ScoreError(f"{name} is {type(trains).__name__}; give a sequence of trains, one per repeat or run")
    several = list(trains)
    if not several:
        raise ScoreError(f"{name} holds no trains; give at least one, [[]] when the neuron stayed silent")
    if any(np.ndim(t) == 0 for t in several):
        raise ScoreError(f"{name} is one flat train; wrap it in a list: [train]")
    return [check_train(t, f"{name}[{k}]") for k, t in enumerate(several)]


def check_duration(duration_ms: float) -> float:
    """Check that a duration (ms) is positive and finite."""
    if not (np.isfinite(duration_ms) and duration_ms > 0):
        raise ScoreError(f"duration is {duration_ms} ms; it must be positive and finite")
    return float(duration_ms)


def check_positive(value: float, name: str) -> float:
    """Check that a setting such as a window or a time constant (ms) is positive and finite."""
    if not (np.isfinite(value) and value > 0):
        raise ScoreError(f"{name} is {value}; it must be positive and finite")
    return float(value)


def refuse_spikes_outside(trains: Trains, duration_ms: float, name: str) -> None:
    """Refuse spikes outside [0, duration_ms]: a smoothed train has no bin for them."""
    for k, t in enumerate(trains):
        if t.size and (t[0] < 0 or t[-1] > duration_ms):
            out = t[0] if t[0] < 0 else t[-1]
            raise ScoreError(
                f"{name}[{k}] has a spike at {out:g} ms, outside [0, {duration_ms:g}] ms; cut() the trains first"
            )


def cut(trains: TrainsLike, start: float, stop: float) -> list[Train]:
    """The spikes in [start, stop), counted from start.

    Parameters
    ----------
    trains : sequence of (spike,) arrays, ms
    start, stop : float, ms

    Examples
    --------
    >>> cut([[100.0, 600.0, 900.0]], 500.0, 900.0)
    [array([100.])]
    """
    if not stop > start:
        raise ScoreError(f"window [{start:g}, {stop:g}) ms is empty; stop must come after start")
    return [t[(t >= start) & (t < stop)] - start for t in check_trains(trains)]


def pack_trains(trains: Trains) -> PackedTrains:
    """Concatenate trains for the kernels: all times, and where each train starts, (train + 1,)."""
    starts = np.zeros(len(trains) + 1, dtype=np.int64)
    np.cumsum([t.size for t in trains], out=starts[1:])
    return np.concatenate([np.empty(0), *trains]), starts


def mean_defined(values: npt.ArrayLike) -> float:
    """Mean of the values that are defined (not NaN); NaN when none is."""
    array = np.asarray(values, dtype=np.float64)
    known = array[~np.isnan(array)]
    return float(known.mean()) if known.size else float("nan")
