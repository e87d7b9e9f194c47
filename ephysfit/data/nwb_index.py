"""Header index of an NWB 2 file: which series it holds and which stimulus belongs to which response.

Only attributes and scalars are read, no samples, so a file of hundreds of sweeps is indexed in about a second (pynwb
builds every object first and needs ten times as long).
"""

from __future__ import annotations

import json
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit.data import hdf5
from ephysfit.errors import RecordingError

RESPONSE, STIMULUS = "CurrentClampSeries", "CurrentClampStimulusSeries"
#: types that are found, named and refused
REFUSED = {
    "IZeroClampSeries": "recorded with the current held at zero (I = 0): nothing was injected",
    "VoltageClampSeries": "voltage clamp: the voltage was imposed, not the current",
}
#: where series live
PLACES = ("acquisition", "stimulus/presentation")
ICEPHYS = "general/intracellular_ephys"


@dataclass(frozen=True)
class Series:
    """The header of one series.

    Parameters
    ----------
    path, kind
        Place in the file; neurodata type, with extensions resolved to the core type they extend.
    key
        What identifies it.
    electrode
        Name of its electrode.
    start
        On the session clock, ms; None where the file does not say.
    dt
        Sampling step, ms; None where timestamps are given instead.
    size
        Number of samples.
    sweep_number, stimulus, description
        As found.
    """

    path: str
    kind: str
    key: int
    electrode: str
    start: float | None
    dt: float | None
    size: int
    sweep_number: int | None
    stimulus: str
    description: str

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def stop(self) -> float | None:
        """When it ended, ms on the session clock."""
        return None if self.start is None or self.dt is None else self.start + self.size * self.dt


@dataclass(frozen=True)
class Part:
    """A stretch of a series: all of it, or what a table's row points to."""

    series: Series
    first: int = 0
    count: int | None = None


@dataclass(frozen=True)
class Pair:
    """One response and the stimulus that caused it, as the file relates them.

    Parameters
    ----------
    response, stimulus
        Either may be missing.
    how
        What related them: ``"icephys tables"``, ``"sweep number"``, ``"electrode and time"`` or ``"order"``.
    kind
        Stimulus type from the tables, if any.
    """

    response: Part | None
    stimulus: Part | None
    how: str
    kind: str = ""

    @property
    def name(self) -> str:
        """The name of the sweep: that of its response where there is one."""
        part = self.response or self.stimulus
        return part.series.name if part else ""


#: indices of the files seen last, so that sweeps can be read one by one
_SEEN: OrderedDict[tuple[Any, ...], list[Pair]] = OrderedDict()
KEPT = 8


def pairs_of(path: Any, file: Any) -> list[Pair]:
    """The pairs of an open file; of a file seen before and not changed since, at once."""
    key = _identity(path)
    if key not in _SEEN:
        _SEEN[key] = pair(file, index(file))
        while len(_SEEN) > KEPT:
            _SEEN.popitem(last=False)
    return list(_SEEN[key])


def _identity(path: Any) -> tuple[Any, ...]:
    """What changes when a file changes; an address is asked for its size only."""
    if not isinstance(path, Path):
        return str(path), path.file.size
    there = path.stat()
    return str(path.resolve()), there.st_size, there.st_mtime_ns, there.st_ino


def index(file: Any) -> list[Series]:
    """Headers of all patch-clamp series, in file order."""
    electrodes = {
        hdf5.identity(item): name
        for name, item in _children(file, ICEPHYS)
        if hdf5.text(item.attrs.get("neurodata_type"))
    }
    parents = _extensions(file)
    found = []
    for place in PLACES:
        for name, item in _children(file, place):
            kind = _core(hdf5.text(item.attrs.get("neurodata_type")), parents)
            if kind.endswith(("ClampSeries", "ClampStimulusSeries")) and "data" in item:
                found.append(_header(f"{place}/{name}", item, kind, electrodes))
    return found


def _children(file: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Groups of a place; broken and circular links are left out."""
    group = file.get(place)
    for name in group if hasattr(group, "keys") else ():
        try:
            item = group[name]
        except (KeyError, RuntimeError, OSError):
            continue
        if hasattr(item, "keys"):
            yield name, item


def _extensions(file: Any) -> dict[str, str]:
    """Which type extends which, from the specifications cached in the file."""
    parents: dict[str, str] = {}
    for namespace, versions in _children(file, "specifications"):
        if namespace in ("core", "hdmf-common", "hdmf-experimental"):
            continue
        for _, version in _children(versions, "."):
            for source in version:
                parents |= _spec(hdf5.text(version[source]))
    return parents


def _spec(source: str) -> dict[str, str]:
    try:
        groups = json.loads(source).get("groups", [])
    except (ValueError, AttributeError):
        return {}
    return {g["neurodata_type_def"]: g.get("neurodata_type_inc", "") for g in groups if g.get("neurodata_type_def")}


def _core(kind: str, parents: dict[str, str]) -> str:
    for _ in range(len(parents)):
        kind = parents.get(kind, kind)
    return kind


def _header(path: str, item: Any, kind: str, electrodes: dict[int, str]) -> Series:
    start, dt = _clock(item)
    electrode = item.get("electrode")
    number = item.attrs.get("sweep_number")
    shape = item["data"].shape
    return Series(
        path=path,
        kind=kind,
        key=hdf5.identity(item),
        electrode="" if electrode is None else electrodes.get(hdf5.identity(electrode), electrode.name),
        start=start,
        dt=dt,
        size=shape[0] if shape else 0,
        sweep_number=None if number is None or int(number) >= 2**32 - 1 else int(number),
        stimulus=_said(item, "stimulus_description"),
        description=_said(item, "description"),
    )


def _said(item: Any, name: str) -> str:
    value = hdf5.text(item.attrs.get(name))
    return "" if value.lower() in ("no description", "no comments", "n/a", "none", "not available") else value


def _clock(item: Any) -> tuple[float | None, float | None]:
    """Start and step of a series in ms, as far as its header says."""
    begin = item.get("starting_time")
    if begin is not None:
        rate = float(begin.attrs.get("rate", np.nan))
        start = float(begin[()]) * 1e3
        return (start if np.isfinite(start) else None), (1e3 / rate if np.isfinite(rate) and rate > 0 else None)
    stamps = item.get("timestamps")
    if stamps is not None and stamps.shape and stamps.shape[0] > 1:
        return float(stamps[0]) * 1e3, None
    return None, None


def pair(file: Any, series: list[Series]) -> list[Pair]:
    """Stimulus and response of every sweep, by the best evidence in the file.

    That is its icephys tables, then its sweep table, sweep numbers, electrode and time, and at last the order within
    one electrode.
    """
    by_key = {s.key: s for s in series}
    pairs = _by_tables(file, by_key)
    rest = _unpaired(series, pairs)
    for group in _numbered(file, rest, by_key):
        pairs += _match(group, "sweep number")
    rest = _unpaired(series, pairs)
    pairs += _match(rest, "electrode and time")
    used = {id(part.series) for p in pairs for part in (p.response, p.stimulus) if part}
    pairs += [
        Pair(Part(s), None, "")
        for s in series
        if id(s) not in used and s.kind not in (STIMULUS, "VoltageClampStimulusSeries")
    ]
    pairs += _lone_stimuli(series, pairs)
    order = {s.key: k for k, s in enumerate(series)}
    return sorted(pairs, key=lambda p: _place(p, order))


def _place(pair: Pair, order: dict[int, int]) -> tuple[float, int, int]:
    part = pair.response or pair.stimulus
    assert part is not None
    dt = part.series.dt or 0.0
    start = part.series.start if part.series.start is not None else 0.0
    return start + part.first * dt, order.get(part.series.key, 0), part.first


def _unpaired(series: list[Series], pairs: list[Pair]) -> list[Series]:
    used = {part.series.key for p in pairs for part in (p.response, p.stimulus) if part}
    return [s for s in series if s.key not in used]


def _lone_stimuli(series: list[Series], pairs: list[Pair]) -> list[Pair]:
    """Stimuli with no response: usable where the file holds spike times instead of a voltage."""
    used = {part.series.key for p in pairs for part in (p.response, p.stimulus) if part}
    return [Pair(None, Part(s), "") for s in series if s.kind == STIMULUS and s.key not in used]


def _by_tables(file: Any, by_key: dict[int, Series]) -> list[Pair]:
    table = file.get(f"{ICEPHYS}/intracellular_recordings")
    if table is None or "responses/response" not in table or "stimuli/stimulus" not in table:
        return []
    kinds = _stimulus_types(file)
    rows = zip(*(hdf5.column(table[name]) for name in ("responses/response", "stimuli/stimulus")), strict=True)
    pairs = []
    for row, (response, stimulus) in enumerate(rows):
        parts = _part(file, response, by_key), _part(file, stimulus, by_key)
        if parts[0] or parts[1]:
            pairs.append(Pair(*parts, how="icephys tables", kind=kinds.get(row, "")))
    return pairs


def _part(file: Any, row: Any, by_key: dict[int, Series]) -> Part | None:
    """What a time series reference points to; -1 says that there is nothing."""
    first, count, reference = int(row["idx_start"]), int(row["count"]), row["timeseries"]
    if first < 0 or count < 0 or not reference:
        return None
    series = by_key.get(hdf5.identity(file[reference]))
    if series is None:
        return None
    if first + count > series.size:
        raise RecordingError(
            f"{series.path}: the icephys table points to samples {first} to {first + count}, it has {series.size}"
        )
    return Part(series, first, count)


def _stimulus_types(file: Any) -> dict[int, str]:
    """Stimulus type of each row of the recordings table, through the two tables above it."""
    simultaneous, sequential = (
        file.get(f"{ICEPHYS}/simultaneous_recordings"),
        file.get(f"{ICEPHYS}/sequential_recordings"),
    )
    if simultaneous is None or sequential is None or "stimulus_type" not in sequential:
        return {}
    groups = _ragged(simultaneous, "recordings")
    types = hdf5.strings(sequential, "stimulus_type")
    rows = _ragged(sequential, "simultaneous_recordings")
    return {
        int(row): kind
        for kind, members in zip(types, rows, strict=False)
        for m in members
        if m < len(groups)
        for row in groups[m]
    }


def _ragged(table: Any, name: str) -> list[np.ndarray]:
    """The rows of an indexed column."""
    if name not in table or f"{name}_index" not in table:
        return []
    ends = hdf5.column(table[f"{name}_index"]).astype(np.int64)
    return np.split(hdf5.column(table[name]), ends)[: len(ends)]


def _numbered(file: Any, rest: list[Series], by_key: dict[int, Series]) -> Iterable[list[Series]]:
    """Series of the same sweep, by the deprecated sweep table or by the number each carries."""
    wanted = {s.key for s in rest}
    groups: dict[int, list[Series]] = defaultdict(list)
    table = file.get(f"{ICEPHYS}/sweep_table")
    if table is not None and "series" in table and "sweep_number" in table:
        for number, references in zip(hdf5.column(table["sweep_number"]), _ragged(table, "series"), strict=False):
            keys = [hdf5.identity(file[reference]) for reference in references if reference]
            groups[int(number)] += [by_key[key] for key in keys if key in wanted and key in by_key]
    listed = {s.key for group in groups.values() for s in group}
    for s in rest:
        if s.sweep_number is not None and s.key not in listed:
            groups[s.sweep_number].append(s)
    return list(groups.values())


def _match(series: list[Series], how: str) -> list[Pair]:
    """Pairs within one sweep, or within a file without sweeps: same electrode, then overlap in time, then order."""
    pairs = []
    for electrode in dict.fromkeys(s.electrode for s in series):
        mine = [s for s in series if s.electrode == electrode]
        stimuli = [s for s in mine if s.kind == STIMULUS]
        responses = [s for s in mine if s.kind == RESPONSE]
        if how == "sweep number" and len(stimuli) == len(responses) == 1:
            pairs.append(Pair(Part(responses[0]), Part(stimuli[0]), how))
        elif stimuli and responses:
            pairs += _by_time(responses, stimuli)
    return pairs


def _by_time(responses: list[Series], stimuli: list[Series]) -> list[Pair]:
    """Pairs by overlap in time; by order only where the clock cannot tell and the counts agree."""
    starts = [s.start for s in responses]
    if len(set(starts)) == len(starts) and None not in starts:
        pairs = []
        for response in responses:
            near = [s for s in stimuli if _overlap(response, s)]
            if len(near) == 1:
                pairs.append(Pair(Part(response), Part(near[0]), "electrode and time"))
        return pairs
    if len(responses) != len(stimuli):
        return []
    return [Pair(Part(r), Part(s), "order") for r, s in zip(responses, stimuli, strict=True)]


def _overlap(a: Series, b: Series) -> bool:
    if a.start is None or b.start is None:
        return False
    if a.stop is None or b.stop is None:
        return a.start == b.start
    return min(a.stop, b.stop) - max(a.start, b.start) > 0
