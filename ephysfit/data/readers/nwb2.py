"""NWB 2: current clamp with icephys tables, sweep tables, sweep numbers or plain pairs; spikes of a units table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit import units
from ephysfit.arrays import Trace
from ephysfit.data import hdf5
from ephysfit.data.assemble import Choice, align_traces, build, change_step
from ephysfit.data.clamp_mode import CLAMP, explain_voltage_clamp
from ephysfit.data.header import Header
from ephysfit.data.nwb_index import Pair, find_pairs
from ephysfit.data.nwb_pulses import mask_marked_pulses, read_marked_pulses
from ephysfit.data.nwb_series import (
    ICEPHYS,
    JITTER,
    PLACES,
    REFUSED,
    RESPONSE,
    STIMULUS,
    Part,
    Series,
    find_stamp_resolution,
)
from ephysfit.data.nwb_units import Unit, assign_spikes, find_unit
from ephysfit.data.recording import Recording, Rejected, Sweep
from ephysfit.errors import RecordingError, StimulusError, near

NAME = "NWB 2"
#: facts that a recording takes over, by their place in the file
FACTS = (
    "session_description", "general/notes", "general/data_collection", "general/related_publications",
    "general/institution", "general/subject/species", "general/subject/genotype", "general/subject/age",
)  # fmt: skip
#: amplifier settings of a series: name in the file, our name, factor
SETTINGS = (("bias_current", "bias_current_pA", 1e12), ("bridge_balance", "bridge_balance_MOhm", 1e-6),
            ("capacitance_compensation", "capacitance_compensation_pF", 1e12))  # fmt: skip


def recognises(path: Path) -> bool:
    """Whether a file is HDF5 with an NWB version that begins with 2."""
    if not hdf5.is_hdf5(path):
        return False
    with hdf5.open_file(path) as file:
        return hdf5.decode_text(file.attrs.get("nwb_version")).startswith("2") or (
            "acquisition" in file and "nwb_version" in file.attrs
        )


@dataclass(frozen=True)
class Options:
    """Options of reading; see `read`."""

    choice: Choice
    electrode: str | None = None
    add_bias: bool = False
    unit: int | None = None
    use_template: bool = False
    clamp: str | None = None


def read(
    path: Path,
    *,
    choice: Choice | None = None,
    electrode: str | None = None,
    add_bias: bool = False,
    unit: int | None = None,
    use_template: bool = False,
    clamp: str | None = None,
) -> Recording:
    """Read the current-clamp sweeps of one electrode.

    Parameters
    ----------
    path
        The file; it is opened for reading only.
    choice
        Sweeps to read; samples of others are not read.
    electrode
        Name of the electrode, needed if several recorded.
    add_bias
        Add the amplifier's bias current, which files store separately from the stimulus, to the injected current.
    unit
        Row of the units table that holds the spikes of this cell, if the table has several.
    use_template
        Take the template that the icephys tables link as the injected current, if they hold no stimulus.
    clamp
        ``"current"`` takes series of voltage clamp as current clamp, with their numbers in volts and amperes.
    """
    options = Options(choice or Choice(), electrode, add_bias, unit, use_template, clamp)
    with hdf5.open_file(path) as file:
        pairs = find_pairs(path, file, current=clamp == "current")
        if not pairs:
            raise _make_nothing_found_error(file)
        chosen = _choose_electrode(file, pairs, electrode)
        mine = [_take_template(p) if use_template else p for p in pairs if _find_series(p).electrode == chosen]
        options.choice.check([p.name for p in mine], [_name_stimulus(p) for p in mine])
        found, said = _find_unit_of_cell(file, pairs, mine, options)
        sweeps, rejected, settings = _read_sweeps(file, mine, options, found)
        sweeps, more = assign_spikes(sweeps, found)
        facts = {
            place.rsplit("/", 1)[-1]: hdf5.decode_text(file[place]) for place in FACTS if place in file
        } | _list_fits(file)
        return Recording(
            tuple(sweeps),
            cell=_name_cell(file, chosen, path),
            source=path.name,
            electrode=_read_electrode_facts(file, chosen) | settings,
            rejected=tuple(rejected),
            facts=facts | _describe_clamp(mine),
            warnings=(*said, *more),
        )


def _take_template(pair: Pair) -> Pair:
    if pair.stimulus is not None or pair.template is None:
        return pair
    said = f"the template {pair.template.series.name!r} is taken as the current"
    return replace(pair, stimulus=pair.template, template=None, warnings=(*pair.warnings, said))


def _describe_clamp(pairs: list[Pair]) -> dict[str, str]:
    """Describe what was clamped, in words; empty if the type of a series does not state it."""
    read = [p.response.series for p in pairs if p.response is not None and p.response.series.kind == RESPONSE]
    return {} if any(series.declared for series in read) else {CLAMP: "current clamp by the type of the series"}


def contents(path: Path) -> tuple[Header, ...]:
    """List the sweeps of all electrodes by their headers; no samples are read."""
    with hdf5.open_file(path) as file:
        count: Counter[str] = Counter()
        found = []
        for pair in find_pairs(path, file):
            electrode = _find_series(pair).electrode
            found.append(_make_header(pair, count[electrode], _name_cell(file, electrode, path)))
            count[electrode] += 1
        return tuple(found)


def _make_header(pair: Pair, position: int, cell: str) -> Header:
    part = pair.part
    dt = part.dt
    return Header(
        pair.name, _name_stimulus(pair), position, part.series.electrode, cell, part.start,
        None if dt is None else part.steps * dt, dt, _explain_refusal(pair),
    )  # fmt: skip


def _explain_refusal(pair: Pair) -> str:
    """Explain why a sweep is not current clamp with a known current, as far as headers show; empty if it is."""
    if pair.problem or pair.response is None:
        return pair.problem
    kind = pair.response.series.kind
    if kind != RESPONSE:
        return REFUSED.get(kind, f"{kind} is not current clamp")
    if pair.stimulus is None and pair.template is not None:
        return (
            f"a template is linked ({pair.template.series.name}), not what was injected, and it may have been scaled; "
            "use_template=True takes it as the current"
        )
    if pair.stimulus is None:
        return "no stimulus series belongs to it (by icephys tables, sweep number, or electrode and time)"
    if pair.stimulus.series.kind != STIMULUS:
        return f"its stimulus is a {pair.stimulus.series.kind}, not a current"
    return ""


def _make_nothing_found_error(file: Any) -> RecordingError:
    """Make the error for a file without patch-clamp series, which lists what there is."""
    units = file.get("units")
    if units is not None and "spike_times" in units:
        return StimulusError(
            "holds spike times in a units table and no injected current: there is nothing to drive a neuron with; "
            "put the current into stimulus/presentation, or give both as arrays to Recording.of"
        )
    found = [
        f"{name} ({hdf5.decode_text(item['data'].attrs.get('unit'), 'no unit')})"
        for name, item in _list_plain_series(file)
    ]
    there = f"; series of other types: {', '.join(found[:6])}" if found else ""
    more = (
        "; save them as CurrentClampSeries and CurrentClampStimulusSeries, which say what was clamped" if found else ""
    )
    return RecordingError(f"holds no patch-clamp series in acquisition or stimulus/presentation{there}{more}")


def _list_plain_series(file: Any) -> list[tuple[str, Any]]:
    """List the series of other types that may hold samples."""
    groups = [(place, file.get(place)) for place in PLACES]
    items = [(f"{place}/{name}", group.get(name)) for place, group in groups if group is not None for name in group]
    return [(path, item) for path, item in items if hasattr(item, "keys") and hasattr(item.get("data"), "attrs")]


def _list_fits(file: Any) -> dict[str, str]:
    """List the fits that were written back into the file."""
    module = file.get("processing/ephysfit")
    names = sorted(n.removesuffix("_fit") for n in module if n.endswith("_fit")) if module is not None else []
    return {"fits in this file": ", ".join(names)} if names else {}


def _find_series(pair: Pair) -> Series:
    return pair.part.series


def _choose_electrode(file: Any, pairs: list[Pair], wanted: str | None) -> str:
    """Choose the electrode: the only one with current clamp, or the one requested."""
    names = list(dict.fromkeys(_find_series(p).electrode for p in pairs))
    clamped = list(
        dict.fromkeys(_find_series(p).electrode for p in pairs if _find_series(p).kind in (RESPONSE, STIMULUS))
    )
    if wanted is not None:
        if wanted not in names:
            raise RecordingError(f"no electrode {wanted!r}; {near(wanted, names)}")
        return wanted
    if len(clamped) > 1:
        cells = ", ".join(f"{name!r} (cell {_read_cell_id(file, name) or 'not named'})" for name in clamped)
        raise RecordingError(
            f"{len(clamped)} electrodes recorded in current clamp: {cells}; a recording is one cell: give electrode="
        )
    return clamped[0] if clamped else names[0]


def _read_cell_id(file: Any, electrode: str) -> str:
    item = file.get(f"{ICEPHYS}/{electrode}") if electrode else None
    return hdf5.decode_text(item.get("cell_id")) if item is not None and hasattr(item, "keys") else ""


def _name_cell(file: Any, electrode: str, path: Path) -> str:
    return _read_cell_id(file, electrode) or hdf5.decode_text(file.get("general/session_id")) or path.stem


def _read_electrode_facts(file: Any, electrode: str) -> dict[str, float | str]:
    item = file.get(f"{ICEPHYS}/{electrode}") if electrode else None
    if item is None or not hasattr(item, "keys"):
        return {}
    names = ("description", "location", "resistance", "seal", "filtering", "initial_access_resistance")
    found: dict[str, float | str] = {name: hdf5.decode_text(item[name]) for name in names if name in item}
    return {"name": electrode} | found


def _name_stimulus(pair: Pair) -> str:
    described = [part.series.stimulus for part in (pair.stimulus, pair.response) if part and part.series.stimulus]
    return pair.kind or (described[0] if described else "")


SweepsRead = tuple[list[Sweep], list[Rejected], dict[str, float | str]]


def _find_unit_of_cell(
    file: Any, pairs: list[Pair], mine: list[Pair], options: Options
) -> tuple[Unit | None, tuple[str, ...]]:
    """Find the recorded unit of this cell, and warnings if the file holds units of which none is taken."""
    electrodes = {_find_series(p).electrode for p in pairs if _find_series(p).kind in (RESPONSE, STIMULUS)}
    needed = all(p.response is None for p in mine)
    return find_unit(file, options.unit, needed=needed, alone=len(electrodes) == 1)


def _read_sweeps(file: Any, pairs: list[Pair], options: Options, unit: Unit | None) -> SweepsRead:
    sweeps: list[Sweep] = []
    rejected: list[Rejected] = []
    settings: dict[str, set[float]] = {}
    for position, found in enumerate(pairs):
        if not options.choice.takes(position, found.name, _name_stimulus(found)):
            continue
        try:
            sweeps.append(_read_sweep(file, found, options, unit))
        except RecordingError as error:
            rejected.append(Rejected(found.name, str(error)))
        else:
            for name, value in _read_amplifier_settings(file, found).items():
                settings.setdefault(name, set()).add(value)
    return sweeps, rejected, {name: _summarise_setting(values) for name, values in settings.items()}


def _summarise_setting(values: set[float]) -> float | str:
    """Summarise the values of a setting: one value, or their range."""
    return next(iter(values)) if len(values) == 1 else f"{min(values):g} to {max(values):g}"


def _read_amplifier_settings(file: Any, pair: Pair) -> dict[str, float]:
    if pair.response is None:
        return {}
    group = file[pair.response.series.path]
    found = ((ours, hdf5.read_number(group, theirs), factor) for theirs, ours, factor in SETTINGS)
    return {name: value * factor for name, value, factor in found if value is not None}


def _read_sweep(file: Any, pair: Pair, options: Options, unit: Unit | None) -> Sweep:
    if pair.response is None:
        return _read_spikes_only(file, pair, unit)
    series, refused = pair.response.series, _explain_refusal(pair)
    if refused or pair.stimulus is None:
        raise RecordingError(refused) if series.kind != RESPONSE or pair.problem else StimulusError(refused)
    voltage, dt, start = _read_samples(file, pair.response, units.TO_MV, "volts")
    current, current_dt, current_start = _read_samples(file, pair.stimulus, units.TO_PA, "amperes")
    if _has_own_clock(pair, dt, current_dt):
        current_start = start
    current, voltage, note = align_traces(change_step(current, current_dt, dt), current_start, voltage, start, dt)
    current, warnings = _add_bias_current(file, series, current, options.add_bias)
    begin = max(start, current_start)
    sweep = build(current, voltage, dt, pair.name, _name_stimulus(pair), start=begin)
    said = (*sweep.warnings, *warnings, *([note] if note else []), *pair.warnings)
    imposed = explain_voltage_clamp(sweep) if not series.declared and options.clamp is None else ""
    sweep = replace(sweep, warnings=(*said, *([imposed] if imposed else [])))
    return mask_marked_pulses(sweep, read_marked_pulses(file, (series.key, pair.stimulus.series.key)))


def _has_own_clock(pair: Pair, dt: float, stimulus_dt: float) -> bool:
    """Whether the clock of a stimulus is to be ignored, because the file pairs it with a response at another time.

    Some writers start every stimulus at 0, a template was never played at the time it carries, and icephys rows give
    the samples themselves where only the response has time stamps with gaps.
    """
    response, stimulus = pair.response, pair.stimulus
    assert response is not None
    assert stimulus is not None
    if stimulus.series.template:
        return True
    alike = abs(response.steps * dt - stimulus.steps * stimulus_dt) < dt / 2
    if pair.how == "icephys tables" and alike and len(response.series.stretches) > 1 and not stimulus.series.stretches:
        return True
    return pair.how != "order" and _clocks_exclude(response, stimulus)


def _clocks_exclude(response: Part, stimulus: Part) -> bool:
    """Whether the clocks of a pair exclude each other."""
    start, stop, other_start, other_stop = response.start, response.stop, stimulus.start, stimulus.stop
    if start is None or stop is None or other_start is None or other_stop is None:
        return False
    return not (start < other_stop and other_start < stop)


def _add_bias_current(file: Any, series: Series, current: Trace, add: bool) -> tuple[Trace, list[str]]:
    bias = hdf5.read_number(file[series.path], "bias_current")
    if not bias:
        return current, []
    if add:
        return current + bias * 1e12, []
    return current, [f"a bias current of {bias * 1e12:g} pA is not part of the current; add_bias=True adds it"]


def _read_samples(file: Any, part: Part, factors: dict[str, float], default: str) -> tuple[Trace, float, float]:
    """Read the values of a part of a series, in pA or mV, with its step and start, ms."""
    series = part.series
    data = file[series.path]["data"]
    if len(data.shape) != 1 and not (len(data.shape) == 2 and data.shape[1] == 1):
        raise RecordingError(f"{series.name}: data of shape {data.shape}; one channel, shape (time,), wanted")
    factor = _find_scale(data, factors, default, series)
    raw = hdf5.read_samples(data, part.first, part.first + part.steps).reshape(-1)
    dt = _measure_regular_step(file[series.path], part) if part.dt is None or series.stretches else part.dt
    start = part.start
    return raw * factor[0] + factor[1], dt, (series.start or 0.0) + part.first * dt if start is None else start


def _find_scale(data: Any, factors: dict[str, float], default: str, series: Series) -> tuple[float, float]:
    """Find the scale and offset that convert stored values to pA or mV."""
    unit = hdf5.decode_text(data.attrs.get("unit"), default)
    if series.declared and unit in (units.TO_MV | units.TO_PA) and unit not in factors:
        unit = default  # the user states that the type, and the unit that comes with it, are wrong
    if unit not in factors:
        raise RecordingError(f"{series.name}: unit {unit!r} where {default} are wanted; {near(unit, factors)}")
    conversion, offset = float(data.attrs.get("conversion", 1.0)), float(data.attrs.get("offset", 0.0))
    if not (np.isfinite(conversion) and conversion and np.isfinite(offset)):
        raise RecordingError(f"{series.name}: conversion {conversion}, offset {offset}; a scale is finite and not 0")
    return conversion * factors[unit], offset * factors[unit]


def _measure_regular_step(item: Any, part: Part) -> float:
    """Measure the step, ms, of time stamps that lie on a grid."""
    name = part.series.name
    if "timestamps" not in item:
        raise RecordingError(f"{name}: no positive sampling rate and no time stamps")
    stamps = item["timestamps"]
    times = hdf5.read_column(stamps, part.first, part.first + part.steps).astype(np.float64) * 1e3
    if times.size < 2 or times.size < part.steps or not np.isfinite(times).all():
        raise RecordingError(f"{name}: time stamps are missing or not finite")
    dt = float(times[-1] - times[0]) / (times.size - 1)
    if not dt > 0:
        raise RecordingError(f"{name}: time stamps do not increase")
    off = float(np.abs(times - times[0] - np.arange(times.size) * dt).max())
    if off > max(JITTER * dt, 2 * find_stamp_resolution(stamps, float(np.abs(times).max()))):
        raise RecordingError(
            f"{name}: time stamps leave a regular grid of {dt:g} ms by {off:g} ms; resample the file first"
        )
    drift = abs((part.dt or 0.0) - dt) * times.size
    return part.dt if part.dt is not None and drift < max(2 * off, JITTER * dt) else dt


def _read_spikes_only(file: Any, pair: Pair, unit: Unit | None) -> Sweep:
    assert pair.stimulus is not None
    if unit is None:
        raise RecordingError("a stimulus with neither a response nor spike times in a units table")
    current, dt, start = _read_samples(file, pair.stimulus, units.TO_PA, "amperes")
    sweep = build(current, None, dt, pair.name, _name_stimulus(pair), start=start)
    return replace(unit.assign_to(sweep), warnings=(*sweep.warnings, *pair.warnings))
