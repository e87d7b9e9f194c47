"""Recordings from objects of other tools in memory: neo Blocks and Segments, pynapple time series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ephysfit import units
from ephysfit.arrays import Trace
from ephysfit.data.assemble import Choice, align_traces, build, change_step
from ephysfit.data.readers.neo import from_segments
from ephysfit.data.recording import Recording, Rejected, Sweep
from ephysfit.errors import RecordingError, near

#: time stamps of a series may leave a regular grid by this part of a step
JITTER = 0.05


def is_neo_object(source: Any) -> bool:
    """Whether a source is a neo Block or Segment, determined without importing neo."""
    return type(source).__module__.split(".")[0] == "neo" and type(source).__name__ in ("Block", "Segment")


def load_neo(source: Any, choice: Choice, options: Mapping[str, Any]) -> Recording:
    """Read the sweeps of a neo Block (one per segment) or Segment; spikes are not detected yet."""
    known = {"voltage_channel", "current_channel"}
    for name in options:
        if name not in known:
            raise RecordingError(f"a neo {type(source).__name__} takes no option {name!r}; {near(name, known)}")
    segments = list(source.segments) if type(source).__name__ == "Block" else [source]
    found = from_segments(segments, choice, "memory", str(source.name or "cell"), **options)
    return replace(found, loaded={"reader": f"neo {type(source).__name__} in memory", "options": dict(options)})


def from_pynapple(
    current: Any,
    voltage: Any = None,
    spikes: Any = None,
    epochs: Any = None,
    *,
    current_unit: str = "pA",
    voltage_unit: str = "mV",
    cell: str = "cell",
) -> Recording:
    """Make a recording from pynapple objects, one sweep per epoch.

    Parameters
    ----------
    current
        Tsd of the injected current; times in seconds, as pynapple keeps them.
    voltage
        Tsd of the membrane voltage, or None.
    spikes
        Ts of the spike times; None detects them in the voltage.
    epochs
        IntervalSet of the sweeps; by default the time support of the current.
    current_unit, voltage_unit
        Units of the values, which pynapple does not record.
    cell
        Name of the cell.

    Raises
    ------
    RecordingError
        If a unit is unknown, samples are not regular, or there is neither voltage nor spikes.

    Examples
    --------
    >>> import pynapple as nap  # doctest: +SKIP
    >>> t = np.arange(0, 1, 1e-4)  # doctest: +SKIP
    >>> from_pynapple(nap.Tsd(t, 100 * np.sin(t)), spikes=nap.Ts([0.2, 0.7]))  # doctest: +SKIP
    Recording('cell' from 'memory': 1 sweeps, 1 s, 2 spikes)
    """
    if voltage is None and spikes is None:
        raise RecordingError("neither voltage nor spikes: give one of them (an empty Ts says the cell was silent)")
    factors = _find_factor(current_unit, units.TO_PA, "current"), _find_factor(voltage_unit, units.TO_MV, "voltage")
    support = current.time_support if epochs is None else epochs
    sweeps, rejected = [], []
    for k, (start, stop) in enumerate(np.atleast_2d(np.asarray(support, dtype=np.float64))):
        try:
            sweeps.append(_read_epoch(current, voltage, spikes, (float(start), float(stop)), factors, f"epoch_{k:03d}"))
        except RecordingError as error:
            rejected.append(Rejected(f"epoch_{k:03d}", str(error)))
    found = Recording(tuple(sweeps), cell=cell, rejected=tuple(rejected), loaded={"reader": "pynapple in memory"})
    return found if spikes is not None else found.with_spikes()


def _find_factor(unit: str, known: Mapping[str, float], what: str) -> float:
    if unit not in known:
        raise RecordingError(f"{what}_unit={unit!r}; {near(unit, known)}")
    return known[unit]


def _read_epoch(
    current: Any, voltage: Any, spikes: Any, span: tuple[float, float], factors: tuple[float, float], name: str
) -> Sweep:
    stim, dt, start = _read_series(current, span, factors[0], "current")
    if voltage is None:
        sweep = build(stim, None, dt, name, start=start)
    else:
        v, v_dt, v_start = _read_series(voltage, span, factors[1], "voltage")
        stim, v, note = align_traces(change_step(stim, dt, v_dt), start, v, v_start, v_dt)
        start = max(start, v_start)
        sweep = build(stim, v, v_dt, name, start=start)
        sweep = replace(sweep, warnings=(*sweep.warnings, note)) if note else sweep
    if spikes is None:
        return sweep
    train = np.asarray(spikes.t, dtype=np.float64) * 1e3 - start
    return replace(sweep, spike_times=train[(train >= 0) & (train < sweep.duration)], spike_source="given")


def _read_series(series: Any, span: tuple[float, float], factor: float, what: str) -> tuple[Trace, float, float]:
    """Read the samples of an epoch in pA or mV, their step and their start, ms."""
    times = np.asarray(series.t, dtype=np.float64)
    inside = (times >= span[0]) & (times <= span[1])
    t, values = times[inside] * 1e3, np.asarray(series.d, dtype=np.float64)[inside]
    if values.ndim != 1:
        raise RecordingError(f"{what}: values of shape {values.shape}; give one channel, a Tsd")
    if t.size < 2:
        raise RecordingError(f"{what}: {t.size} samples from {span[0]:g} to {span[1]:g} s")
    dt = float(t[-1] - t[0]) / (t.size - 1)
    off = float(np.abs(t - t[0] - np.arange(t.size) * dt).max())
    if not dt > 0 or off > JITTER * dt:
        raise RecordingError(f"{what}: samples leave a regular grid of {dt:g} ms by {off:g} ms; resample first")
    return values * factor, round(dt, 9), float(t[0])
