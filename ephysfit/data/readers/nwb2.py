"""NWB 2: current clamp with icephys tables, sweep tables, sweep numbers or bare pairs; spikes from a units table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit import units
from ephysfit.arrays import Trace, Train
from ephysfit.data import hdf5
from ephysfit.data.building import Choice, aligned, build, onto
from ephysfit.data.contents import Header
from ephysfit.data.nwb_index import ICEPHYS, REFUSED, RESPONSE, STIMULUS, Pair, Part, Series, pairs_of
from ephysfit.data.nwb_pulses import marked, pulses_of
from ephysfit.data.recording import Recording, Rejected, Sweep
from ephysfit.errors import RecordingError, StimulusError, near

NAME = "NWB 2"
#: time stamps may leave a regular grid by this part of a step
JITTER = 0.05
#: facts worth carrying along, by their place in the file
FACTS = (
    "session_description", "general/notes", "general/data_collection", "general/related_publications",
    "general/institution", "general/subject/species", "general/subject/genotype", "general/subject/age",
)  # fmt: skip
#: amplifier settings of a series: name in the file, our name, factor
SETTINGS = (("bias_current", "bias_current_pA", 1e12), ("bridge_balance", "bridge_balance_MOhm", 1e-6),
            ("capacitance_compensation", "capacitance_compensation_pF", 1e12))  # fmt: skip


def recognises(path: Path) -> bool:
    """HDF5 with an NWB version that begins with 2."""
    if not hdf5.is_hdf5(path):
        return False
    with hdf5.opened(path) as file:
        return hdf5.text(file.attrs.get("nwb_version")).startswith("2") or (
            "acquisition" in file and "nwb_version" in file.attrs
        )


@dataclass(frozen=True)
class Options:
    """How to read; see `read`."""

    choice: Choice
    electrode: str | None = None
    add_bias: bool = False
    unit: int | None = None


def read(
    path: Path,
    *,
    choice: Choice | None = None,
    electrode: str | None = None,
    add_bias: bool = False,
    unit: int | None = None,
) -> Recording:
    """The current-clamp sweeps of one electrode.

    Parameters
    ----------
    path
        The file; it is opened for reading only.
    choice
        Sweeps to read; samples of others are not touched.
    electrode
        Name of the electrode, needed where several recorded.
    add_bias
        Add the amplifier's bias current, which files keep apart from the stimulus, to the injected current.
    unit
        Row of the units table that holds the spikes, where there is no voltage and several units.
    """
    options = Options(choice or Choice(), electrode, add_bias, unit)
    with hdf5.opened(path) as file:
        pairs = pairs_of(path, file)
        if not pairs:
            raise _nothing(file)
        chosen = _electrode(file, pairs, electrode)
        mine = [p for p in pairs if _of(p).electrode == chosen]
        options.choice.check([p.name for p in mine], [_stimulus(p) for p in mine])
        sweeps, rejected, settings = _sweeps(file, mine, options)
        return Recording(
            tuple(sweeps),
            cell=_cell(file, chosen, path),
            source=path.name,
            electrode=_electrode_facts(file, chosen) | settings,
            rejected=tuple(rejected),
            facts={place.rsplit("/", 1)[-1]: hdf5.text(file[place]) for place in FACTS if place in file} | _fits(file),
        )


def contents(path: Path) -> tuple[Header, ...]:
    """Sweeps of all electrodes by their headers; no samples are touched."""
    with hdf5.opened(path) as file:
        count: Counter[str] = Counter()
        found = []
        for pair in pairs_of(path, file):
            electrode = _of(pair).electrode
            found.append(_header(pair, count[electrode], _cell(file, electrode, path)))
            count[electrode] += 1
        return tuple(found)


def _header(pair: Pair, position: int, cell: str) -> Header:
    part = pair.response or pair.stimulus
    assert part is not None
    series = part.series
    count = series.size - part.first if part.count is None else part.count
    start = None if series.start is None else series.start + part.first * (series.dt or 0.0)
    return Header(
        pair.name, _stimulus(pair), position, series.electrode, cell, start,
        None if series.dt is None else count * series.dt, series.dt, _refused(pair),
    )  # fmt: skip


def _refused(pair: Pair) -> str:
    """Why a sweep is no current clamp with a known current, as far as headers tell."""
    if pair.response is None:
        return ""
    if pair.response.series.kind != RESPONSE:
        return REFUSED.get(pair.response.series.kind, f"{pair.response.series.kind} is not current clamp")
    if pair.stimulus is None:
        return "no stimulus series belongs to it (by icephys tables, sweep number, or electrode and time)"
    if pair.stimulus.series.kind != STIMULUS:
        return f"its stimulus is a {pair.stimulus.series.kind}, not a current"
    return ""


def _nothing(file: Any) -> RecordingError:
    """The error for a file with no patch clamp in it, which says what there is."""
    units = file.get("units")
    if units is not None and "spike_times" in units:
        return StimulusError(
            "holds spike times in a units table and no injected current: there is nothing to drive a neuron with; "
            "put the current into stimulus/presentation, or give both as arrays to Recording.of"
        )
    return RecordingError("holds no patch-clamp series in acquisition or stimulus/presentation")


def _fits(file: Any) -> dict[str, str]:
    """The fits that were written back into the file."""
    module = file.get("processing/ephysfit")
    names = sorted(n.removesuffix("_fit") for n in module if n.endswith("_fit")) if module is not None else []
    return {"fits in this file": ", ".join(names)} if names else {}


def _of(pair: Pair) -> Series:
    part = pair.response or pair.stimulus
    assert part is not None
    return part.series


def _electrode(file: Any, pairs: list[Pair], wanted: str | None) -> str:
    """The electrode to read: the only one that has current clamp, or the one asked for."""
    names = list(dict.fromkeys(_of(p).electrode for p in pairs))
    clamped = list(dict.fromkeys(_of(p).electrode for p in pairs if _of(p).kind in (RESPONSE, STIMULUS)))
    if wanted is not None:
        if wanted not in names:
            raise RecordingError(f"no electrode {wanted!r}; {near(wanted, names)}")
        return wanted
    if len(clamped) > 1:
        cells = ", ".join(f"{name!r} (cell {_cell_id(file, name) or 'not named'})" for name in clamped)
        raise RecordingError(
            f"{len(clamped)} electrodes recorded in current clamp: {cells}; a recording is one cell: give electrode="
        )
    return clamped[0] if clamped else names[0]


def _cell_id(file: Any, electrode: str) -> str:
    item = file.get(f"{ICEPHYS}/{electrode}") if electrode else None
    return hdf5.text(item.get("cell_id")) if item is not None and hasattr(item, "keys") else ""


def _cell(file: Any, electrode: str, path: Path) -> str:
    return _cell_id(file, electrode) or hdf5.text(file.get("general/session_id")) or path.stem


def _electrode_facts(file: Any, electrode: str) -> dict[str, float | str]:
    item = file.get(f"{ICEPHYS}/{electrode}") if electrode else None
    if item is None or not hasattr(item, "keys"):
        return {}
    names = ("description", "location", "resistance", "seal", "filtering", "initial_access_resistance")
    found: dict[str, float | str] = {name: hdf5.text(item[name]) for name in names if name in item}
    return {"name": electrode} | found


def _stimulus(pair: Pair) -> str:
    described = [part.series.stimulus for part in (pair.stimulus, pair.response) if part and part.series.stimulus]
    return pair.kind or (described[0] if described else "")


Taken = tuple[list[Sweep], list[Rejected], dict[str, float | str]]


def _sweeps(file: Any, pairs: list[Pair], options: Options) -> Taken:
    sweeps: list[Sweep] = []
    rejected: list[Rejected] = []
    settings: dict[str, set[float]] = {}
    train = _units(file, options.unit) if any(p.response is None for p in pairs) else None
    for position, found in enumerate(pairs):
        if not options.choice.takes(position, found.name, _stimulus(found)):
            continue
        try:
            sweeps.append(_sweep(file, found, options, train))
        except RecordingError as error:
            rejected.append(Rejected(found.name, str(error)))
        else:
            for name, value in _amplifier(file, found).items():
                settings.setdefault(name, set()).add(value)
    return sweeps, rejected, {name: _one(values) for name, values in settings.items()}


def _one(values: set[float]) -> float | str:
    """A setting, or the range it went through."""
    return next(iter(values)) if len(values) == 1 else f"{min(values):g} to {max(values):g}"


def _amplifier(file: Any, pair: Pair) -> dict[str, float]:
    if pair.response is None:
        return {}
    group = file[pair.response.series.path]
    found = ((ours, hdf5.number(group, theirs), factor) for theirs, ours, factor in SETTINGS)
    return {name: value * factor for name, value, factor in found if value is not None}


def _sweep(file: Any, pair: Pair, options: Options, train: Train | None) -> Sweep:
    if pair.response is None:
        return _spikes_only(file, pair, train)
    series, refused = pair.response.series, _refused(pair)
    if refused or pair.stimulus is None:
        raise RecordingError(refused) if series.kind != RESPONSE else StimulusError(refused)
    voltage, dt, start = _samples(file, pair.response, units.TO_MV, "volts")
    current, current_dt, current_start = _samples(file, pair.stimulus, units.TO_PA, "amperes")
    if pair.how != "order" and _apart(series, pair.stimulus.series):
        current_start = (
            start  # the file pairs them, so their clocks do not count: some writers start every stimulus at 0
        )
    current, voltage, note = aligned(onto(current, current_dt, dt), current_start, voltage, start, dt)
    current, warnings = _with_bias(file, series, current, options.add_bias)
    sweep = build(current, voltage, dt, pair.name, _stimulus(pair), start=start)
    sweep = replace(sweep, warnings=(*sweep.warnings, *warnings, *([note] if note else [])))
    return marked(sweep, pulses_of(file, (series.key, pair.stimulus.series.key)))


def _apart(response: Series, stimulus: Series) -> bool:
    """Whether the clocks of a pair exclude each other."""
    if None in (response.start, response.stop, stimulus.start, stimulus.stop):
        return False
    return not (response.start < stimulus.stop and stimulus.start < response.stop)  # type: ignore[operator]


def _with_bias(file: Any, series: Series, current: Trace, add: bool) -> tuple[Trace, list[str]]:
    bias = hdf5.number(file[series.path], "bias_current")
    if not bias:
        return current, []
    if add:
        return current + bias * 1e12, []
    return current, [f"a bias current of {bias * 1e12:g} pA is not part of the current; add_bias=True adds it"]


def _samples(file: Any, part: Part, factors: dict[str, float], default: str) -> tuple[Trace, float, float]:
    """Values in our unit, the step and the start in ms of a stretch of a series."""
    series = part.series
    data = file[series.path]["data"]
    if len(data.shape) != 1 and not (len(data.shape) == 2 and data.shape[1] == 1):
        raise RecordingError(f"{series.name}: data of shape {data.shape}; one channel, shape (time,), wanted")
    stop = series.size if part.count is None else part.first + part.count
    factor = _factor(data, factors, default, series.name)
    raw = hdf5.column(data, part.first, stop).astype(np.float64).reshape(-1)
    dt = series.dt if series.dt is not None else _regular(file[series.path], series)
    return raw * factor[0] + factor[1], dt, (series.start or 0.0) + part.first * dt


def _factor(data: Any, factors: dict[str, float], default: str, name: str) -> tuple[float, float]:
    """Scale and offset of stored values into our unit."""
    unit = hdf5.text(data.attrs.get("unit"), default)
    if unit not in factors:
        raise RecordingError(f"{name}: unit {unit!r} where {default} are wanted; {near(unit, factors)}")
    conversion, offset = float(data.attrs.get("conversion", 1.0)), float(data.attrs.get("offset", 0.0))
    if not (np.isfinite(conversion) and conversion and np.isfinite(offset)):
        raise RecordingError(f"{name}: conversion {conversion}, offset {offset}; a scale is finite and not 0")
    return conversion * factors[unit], offset * factors[unit]


def _regular(item: Any, series: Series) -> float:
    """The step, ms, of time stamps that lie on a grid."""
    if "timestamps" not in item:
        raise RecordingError(f"{series.name}: no positive sampling rate and no time stamps")
    stamps = hdf5.column(item["timestamps"]).astype(np.float64) * 1e3
    if stamps.size < 2 or not np.isfinite(stamps).all():
        raise RecordingError(f"{series.name}: time stamps are missing or not finite")
    dt = (stamps[-1] - stamps[0]) / (stamps.size - 1)
    if not dt > 0:
        raise RecordingError(f"{series.name}: time stamps do not increase")
    off = np.abs(stamps - stamps[0] - np.arange(stamps.size) * dt).max()
    if off > JITTER * dt:
        raise RecordingError(
            f"{series.name}: time stamps leave a regular grid of {dt:g} ms by {off:g} ms; resample the file first"
        )
    return float(dt)


def _units(file: Any, wanted: int | None) -> Train | None:
    """Spike times, ms on the session clock, of the only unit or the one asked for."""
    table = file.get("units")
    if table is None or "spike_times" not in table or "spike_times_index" not in table:
        return None
    ends = hdf5.column(table["spike_times_index"]).astype(np.int64)
    if wanted is None and len(ends) != 1:
        raise RecordingError(
            f"{len(ends)} units and no voltage: give unit= a row of the units table, 0 to {len(ends) - 1}"
        )
    row = wanted or 0
    if not 0 <= row < len(ends):
        raise RecordingError(f"no unit {row}; the units table has {len(ends)} rows, counted from 0")
    begin = int(ends[row - 1]) if row else 0
    return np.sort(hdf5.column(table["spike_times"], begin, int(ends[row])).astype(np.float64)) * 1e3


def _spikes_only(file: Any, pair: Pair, train: Train | None) -> Sweep:
    assert pair.stimulus is not None
    if train is None:
        raise RecordingError("a stimulus with neither a response nor spike times in a units table")
    current, dt, start = _samples(file, pair.stimulus, units.TO_PA, "amperes")
    sweep = build(current, None, dt, pair.name, _stimulus(pair), start=start)
    inside = train[(train >= start) & (train < start + sweep.duration)] - start
    return replace(sweep, spike_times=inside, spike_source="given")
