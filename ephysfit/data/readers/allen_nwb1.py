"""NWB 1 as written by the Allen Cell Types Database; no other library reads these files any more.

Epochs ``Sweep_N`` hold links to stimulus and response, ``Experiment_N`` marks the part without the test pulse, spike
times are stored under ``analysis``. Trap: files whose pipeline version is below 1.1 carry a `conversion` although their
samples are already in volts and amperes.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit import units
from ephysfit.arrays import Trace, Train
from ephysfit.data import hdf5
from ephysfit.data.assemble import Choice, align_traces, build, change_step
from ephysfit.data.clamp_mode import CLAMP
from ephysfit.data.header import Header
from ephysfit.data.recording import Recording, Rejected, Sweep
from ephysfit.errors import RecordingError, StimulusError

NAME = "Allen NWB 1"
#: first pipeline version whose `conversion` is right
HONEST = (1, 1)
SPIKES = ("analysis/spike_times", "analysis/aibs_spike_times")
NAMES = ("aibs_stimulus_name", "aibs_stimulus_description")
SETTINGS = (("initial_access_resistance", "initial_access_resistance_MOhm"), ("seal", "seal_GOhm"))


def recognises(path: Path) -> bool:
    """Whether a file is HDF5 with an NWB version that begins with 1."""
    if not hdf5.is_hdf5(path):
        return False
    with hdf5.open_file(path) as file:
        return hdf5.decode_text(file.get("nwb_version")).upper().startswith("NWB-1") and "epochs" in file


def read(path: Path, *, choice: Choice | None = None) -> Recording:
    """Read the current-clamp sweeps of a file of the Allen Cell Types Database.

    Parameters
    ----------
    path
        The file.
    choice
        Sweeps to read; samples of others are not read.
    """
    choice = choice or Choice()
    with hdf5.open_file(path) as file:
        names = _list_sweeps(file)
        stimuli = [_read_stimulus_name(file, name) for name in names]
        choice.check(names, stimuli)
        sweeps, rejected = [], []
        for k, (name, stimulus) in enumerate(zip(names, stimuli, strict=True)):
            if choice.takes(k, name, stimulus):
                try:
                    sweeps.append(_read_sweep(file, name, stimulus))
                except RecordingError as error:
                    rejected.append(Rejected(name, str(error)))
        return Recording(
            tuple(sweeps),
            cell=path.stem,
            source=path.name,
            electrode=_read_electrode(file, names),
            rejected=tuple(rejected),
            facts={
                "session_description": hdf5.decode_text(file.get("session_description")),
                CLAMP: "current clamp by the type of the series",
            },
        )


def contents(path: Path) -> tuple[Header, ...]:
    """List the sweeps by their headers, without reading samples."""
    with hdf5.open_file(path) as file:
        return tuple(_read_header(file, name, k, path.stem) for k, name in enumerate(_list_sweeps(file)))


def _list_sweeps(file: Any) -> list[str]:
    numbers = sorted(int(m[1]) for m in (re.fullmatch(r"Sweep_(\d+)", name) for name in file["epochs"]) if m)
    return [f"Sweep_{n}" for n in numbers]


def _read_header(file: Any, name: str, position: int, cell: str) -> Header:
    response = file.get(f"epochs/{name}/response/timeseries")
    if response is None or "starting_time" not in response:
        return Header(name, _read_stimulus_name(file, name), position, cell=cell, refused="no response in its epoch")
    clamped = "VoltageClamp" in hdf5.decode_text(response.attrs.get("ancestry"))
    rate = float(response["starting_time"].attrs.get("rate", np.nan))
    count = hdf5.read_number(file[f"epochs/{name}/response"], "count")
    dt = 1e3 / rate if np.isfinite(rate) and rate > 0 else None
    return Header(
        name, _read_stimulus_name(file, name), position, "", cell, _read_start(response),
        None if dt is None or count is None else count * dt, dt,
        "voltage clamp: the voltage was imposed, not the current" if clamped else "",
    )  # fmt: skip


def _read_stimulus_name(file: Any, name: str) -> str:
    group = file.get(f"acquisition/timeseries/{name}")
    found = [hdf5.decode_text(group[key]) for key in NAMES if key in group] if group is not None else []
    return found[0] if found else ""


def _read_electrode(file: Any, names: list[str]) -> dict[str, float | str]:
    group = file.get(f"acquisition/timeseries/{names[0]}") if names else None
    if group is None:
        return {}
    found = ((ours, hdf5.read_number(group, theirs)) for theirs, ours in SETTINGS)
    return {ours: value for ours, value in found if value is not None}


def _read_pipeline_version(file: Any) -> tuple[int, int]:
    """Read the version of the pipeline that wrote the file; (0, 0) if it is not given."""
    info = file.get("general/generated_by")
    words = [] if info is None else [hdf5.decode_text(word) for word in np.asarray(info[()]).ravel()]
    for key, value in pairwise(words):
        match = re.match(r"(\d+)\.(\d+)", value)
        if key == "version" and match:
            return int(match[1]), int(match[2])
    return 0, 0


def _read_sweep(file: Any, name: str, stimulus: str) -> Sweep:
    epoch = file[f"epochs/{name}"]
    for part in ("stimulus", "response"):
        if part not in epoch or "timeseries" not in epoch[part]:
            error = StimulusError if part == "stimulus" else RecordingError
            raise error(f"no {part} in its epoch")
    if "VoltageClamp" in hdf5.decode_text(epoch["response/timeseries"].attrs.get("ancestry")):
        raise RecordingError("voltage clamp: the voltage was imposed, not the current")
    scaled = _read_pipeline_version(file) >= HONEST
    current, current_dt = _read_samples(epoch["stimulus"], units.TO_PA, "Amps", scaled)
    voltage, dt = _read_samples(epoch["response"], units.TO_MV, "Volts", scaled)
    current, voltage, note = align_traces(change_step(current, current_dt, dt), 0.0, voltage, 0.0, dt)
    sweep = build(current, voltage, dt, name, stimulus, start=_read_start(epoch["response/timeseries"]))
    sweep = replace(
        sweep, valid=_read_valid_part(file, name, sweep), warnings=(*sweep.warnings, *([note] if note else []))
    )
    train = _read_spikes(file, name)
    return sweep if train is None else replace(sweep, spike_times=train[train < sweep.duration], spike_source="given")


def _read_start(series: Any) -> float:
    return (hdf5.read_number(series, "starting_time") or 0.0) * 1e3


def _read_samples(part: Any, factors: dict[str, float], default: str, scaled: bool) -> tuple[Trace, float]:
    """Read the samples of a part of an epoch, in pA or mV, and their step, ms."""
    series = part["timeseries"]
    first = int(hdf5.read_number(part, "idx_start") or 0)
    count = hdf5.read_number(part, "count")
    data = series["data"]
    stop = len(data) if count is None else first + int(count)
    unit = hdf5.decode_text(data.attrs.get("unit"), default)
    factor = factors.get(unit, factors.get(unit.lower()))
    if factor is None:
        raise RecordingError(f"{series.name}: unit {unit!r} where {default} are wanted")
    rate = float(series["starting_time"].attrs["rate"])
    if not (np.isfinite(rate) and rate > 0):
        raise RecordingError(f"{series.name}: sampling rate {rate}; it is finite and above 0")
    conversion = float(data.attrs.get("conversion", 1.0)) if scaled else 1.0
    return hdf5.read_samples(data, first, stop) * (conversion * factor), 1e3 / rate


def _read_valid_part(file: Any, name: str, sweep: Sweep) -> tuple[tuple[float, float], ...]:
    """Read the part of a sweep without the test pulse, ms."""
    part = file.get(f"epochs/{name.replace('Sweep', 'Experiment')}/stimulus")
    first, count = (
        (None, None) if part is None else (hdf5.read_number(part, "idx_start"), hdf5.read_number(part, "count"))
    )
    if first is None or count is None:
        return sweep.valid
    start, stop = first * sweep.dt, min((first + count) * sweep.dt, sweep.duration)
    whole = sweep.valid or ((0.0, sweep.duration),)
    return tuple((max(a, start), min(b, stop)) for a, b in whole if max(a, start) < min(b, stop))


def _read_spikes(file: Any, name: str) -> Train | None:
    """Read the spike times of the file, ms from the start of the sweep."""
    for place in SPIKES:
        if f"{place}/{name}" in file:
            return np.sort(np.asarray(file[f"{place}/{name}"][()], dtype=np.float64).ravel()) * 1e3
    return None
