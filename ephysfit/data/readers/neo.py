"""Formats that neo reads and that record the current as a channel: WinWCP, WinEDR, Spike2, AxoGraph, NIX, Igor ...

A segment is a sweep; its signals are identified by unit. neo's own NWB reader is not used, because it ignores offsets
and flattens sweeps.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit import units
from ephysfit.arrays import Trace, Train
from ephysfit.data import hdf5
from ephysfit.data.assemble import Choice, align_traces, build, change_step
from ephysfit.data.recording import Recording, Rejected, Sweep
from ephysfit.errors import RecordingError, StimulusError, needed

NAME = "neo"
#: suffixes handed to neo; formats that have a reader of their own are not among them
SUFFIXES = {".wcp", ".edr", ".smr", ".smrx", ".axgx", ".axgd", ".nix", ".pxp"}
#: the package that neo needs for a kind of file, and the extra that installs it
_NEEDS = {".nix": ("nixio", "nix"), ".pxp": ("igor2", "igor")}
#: program that finds a neo Block in a Matlab file, run by another interpreter: SciPy crashes on some damaged files
HOLDS_BLOCK = """
import sys
from scipy.io import whosmat
sys.exit(0 if any(name == "block" and kind in ("struct", "object") for name, _, kind in whosmat(sys.argv[1])) else 3)
"""


def recognises(path: Path) -> bool:
    """Whether neo knows the suffix (these formats share no signature), or a Matlab file holds a neo Block."""
    if path.suffix.lower() == ".mat":
        return _holds_block(path)
    if path.suffix.lower() not in SUFFIXES:
        return False
    with path.open("rb") as file:
        return any(file.read(512))  # none begins with zeros only, and neo would go through gigabytes of them


def _holds_block(path: Path) -> bool:
    with path.open("rb") as file:
        if not file.read(8).startswith(b"MATLAB 5"):
            return False
    done = subprocess.run([sys.executable, "-c", HOLDS_BLOCK, str(path)], capture_output=True, check=False, timeout=600)
    return done.returncode == 0


def read(
    path: Path,
    *,
    choice: Choice | None = None,
    voltage_channel: int | None = None,
    current_channel: int | None = None,
) -> Recording:
    """Read the sweeps of a file with neo.

    Parameters
    ----------
    path
        The file.
    choice
        Sweeps to read.
    voltage_channel, current_channel
        Positions among the signals of a segment, counted from 0, if several have a fitting unit.
    """
    blocks = _read_blocks(path)
    segments = [segment for block in blocks for segment in block.segments]
    return from_segments(segments, choice or Choice(), path.name, path.stem, voltage_channel, current_channel)


def _read_blocks(path: Path) -> list[Any]:
    import neo  # half a second, and only for its formats

    suffix = path.suffix.lower()
    if suffix in _NEEDS:
        needed(*_NEEDS[suffix], f"{path.name}: a file of this kind", RecordingError)
    try:
        if suffix == ".mat":
            return list(neo.io.NeoMatlabIO(str(path)).read(lazy=False))
        if suffix == ".nix":
            hdf5.check_file(path)
            with neo.io.NixIO(str(path), "ro") as io:
                return list(io.read(lazy=False))
        return list(neo.io.get_io(str(path)).read(lazy=False))
    except ImportError as error:
        raise RecordingError(f"{path.name}: neo needs another package for {suffix} files: {error}") from None


def from_segments(
    segments: list[Any],
    choice: Choice,
    source: str,
    cell: str,
    voltage_channel: int | None = None,
    current_channel: int | None = None,
) -> Recording:
    """Make a recording from neo segments, one sweep each.

    Parameters
    ----------
    segments
        The segments.
    choice
        Sweeps to read.
    source, cell
        Names of the file and the cell.
    voltage_channel, current_channel
        As for `read`.
    """
    names = [str(segment.name or f"segment_{k:03d}") for k, segment in enumerate(segments)]
    choice.check(names, [""])
    sweeps, rejected = [], []
    for k, (name, segment) in enumerate(zip(names, segments, strict=True)):
        if choice.takes(k, name, ""):
            try:
                sweeps.append(_read_sweep(segment, name, voltage_channel, current_channel))
            except RecordingError as error:
                rejected.append(Rejected(name, str(error)))
    return Recording(tuple(sweeps), cell=cell, source=source, rejected=tuple(rejected))


def _read_sweep(segment: Any, name: str, voltage_channel: int | None, current_channel: int | None) -> Sweep:
    signals = [signal for signal in segment.analogsignals if np.asarray(signal.magnitude).dtype.kind in "fiu"]
    traces = [trace for signal in signals for trace in _split_channels(signal)]
    listed = ", ".join(f"{k}: {unit}" for k, (unit, *_) in enumerate(traces)) or "none"
    amps = _choose_channel(traces, units.TO_PA, current_channel, "current", listed)
    volts = _choose_channel(traces, units.TO_MV, voltage_channel, "voltage", listed)
    if amps is None:
        raise StimulusError(f"no signal has a unit of current (signals: {listed}): what was injected is not known")
    _, current, current_dt, current_start = amps
    if volts is None:
        return _read_spikes_only(segment, name, current, current_dt, current_start)
    _, voltage, dt, start = volts
    current, voltage, note = align_traces(change_step(current, current_dt, dt), current_start, voltage, start, dt)
    sweep = build(current, voltage, dt, name, start=start)
    return replace(sweep, warnings=(*sweep.warnings, note)) if note else sweep


#: one channel: unit, values in it, step and start, ms
Channel = tuple[str, Trace, float, float]


def _split_channels(signal: Any) -> list[Channel]:
    """Split a neo signal into its channels."""
    unit = str(signal.units.dimensionality)
    dt = float(signal.sampling_period.rescale("ms").magnitude)
    start = float(signal.t_start.rescale("ms").magnitude)
    return [(unit, np.asarray(column, dtype=np.float64), dt, start) for column in np.asarray(signal.magnitude).T]


def _choose_channel(
    traces: list[Channel], known: dict[str, float], wanted: int | None, what: str, listed: str
) -> Channel | None:
    fitting = [k for k, (unit, *_) in enumerate(traces) if unit in known]
    if wanted is not None and wanted not in fitting:
        raise RecordingError(f"{what}_channel={wanted}: not a signal in a unit of {what}; signals: {listed}")
    if wanted is None and len(fitting) > 1:
        raise RecordingError(f"{len(fitting)} signals in a unit of {what} ({listed}): give {what}_channel=")
    if not fitting:
        return None
    unit, values, dt, start = traces[fitting[0] if wanted is None else wanted]
    return unit, values * known[unit], dt, start


def _read_spikes_only(segment: Any, name: str, current: Trace, dt: float, start: float) -> Sweep:
    if len(segment.spiketrains) != 1:
        raise RecordingError(
            f"no signal has a unit of voltage and there are {len(segment.spiketrains)} spike trains, not one"
        )
    train: Train = np.asarray(segment.spiketrains[0].rescale("ms").magnitude, dtype=np.float64) - start
    sweep = build(current, None, dt, name, start=start)
    inside = train[(train >= 0) & (train < sweep.duration)]
    return replace(sweep, spike_times=inside, spike_source="given")
