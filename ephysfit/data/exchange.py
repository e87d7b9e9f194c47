"""Sweeps and spike trains as objects of neo and pynapple."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ephysfit.arrays import Train
from ephysfit.data.sweep import Sweep
from ephysfit.errors import RecordingError

#: seconds between sweeps that are laid one after the other
GAP = 1.0


def make_neo_block(cell: str, sweeps: Sequence[Sweep]) -> Any:
    """Make a neo Block: a Segment a sweep, with its current, its voltage if there is one, and its spikes.

    Examples
    --------
    >>> block = make_neo_block("cell", [Sweep(np.zeros(100), 0.1, spike_times=np.array([5.0]))])
    >>> len(block.segments), float(block.segments[0].spiketrains[0].times[0])
    (1, 5.0)
    """
    import neo  # heavy, and only here

    block = neo.Block(name=cell)
    for s in sweeps:
        segment = neo.Segment(name=s.name, description=s.stimulus)
        train = neo.SpikeTrain(s.spike_times, units="ms", t_stop=s.duration, name="spikes")
        for name, values, unit in (("current", s.current, "pA"), ("voltage", s.voltage, "mV")):
            if values is not None:
                rows, period = np.asarray(values)[:, None], train.t_stop / s.steps
                segment.analogsignals.append(neo.AnalogSignal(rows, units=unit, sampling_period=period, name=name))
        segment.spiketrains.append(train)
        block.segments.append(segment)
    return block


def make_pynapple_objects(sweeps: Sequence[Sweep]) -> dict[str, Any]:
    """Make pynapple objects of sweeps, laid one after the other with a second between: times in seconds.

    Returns
    -------
    dict
        "current" (Tsd, pA), "voltage" (Tsd, mV; None where a sweep has none), "spikes" (Ts), "epochs" (IntervalSet).

    Raises
    ------
    RecordingError
        If pynapple is not installed.
    """
    nap = _import_pynapple()
    starts = np.cumsum([0.0, *(s.duration / 1e3 + GAP for s in sweeps[:-1])])
    times = [t0 + np.arange(s.steps) * s.dt / 1e3 for t0, s in zip(starts, sweeps, strict=True)]
    epochs = nap.IntervalSet(start=[t[0] for t in times], end=[t[-1] for t in times])
    spikes = np.concatenate([t0 + s.spike_times / 1e3 for t0, s in zip(starts, sweeps, strict=True)])
    series: Callable[[list[Any]], Any] = lambda parts: nap.Tsd(  # noqa: E731
        np.concatenate(times), np.concatenate(parts), time_support=epochs
    )
    recorded = [s.voltage for s in sweeps if s.voltage is not None]
    return {
        "current": series([s.current for s in sweeps]),
        "voltage": series(recorded) if len(recorded) == len(sweeps) else None,
        "spikes": nap.Ts(spikes, time_support=epochs),
        "epochs": epochs,
    }


def make_pynapple_trains(trains: Mapping[int, Train], duration: float) -> Any:
    """Make a pynapple TsGroup of spike trains of ms, such as the runs of one stimulus of `duration` ms."""
    nap = _import_pynapple()
    support = nap.IntervalSet(start=0.0, end=duration / 1e3)
    group = {k: nap.Ts(np.asarray(t) / 1e3, time_support=support) for k, t in trains.items()}
    return nap.TsGroup(group, time_support=support)


def _import_pynapple() -> Any:
    try:
        return importlib.import_module("pynapple")
    except ModuleNotFoundError:
        raise RecordingError("pynapple is not installed; pip install pynapple") from None
