"""Headers of the patch-clamp series of an NWB 2 file: their types, their sampling, and the gaps in their time stamps.

Only attributes and scalars are read, and time stamps if their ends show that there are gaps; no samples.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ephysfit import units
from ephysfit.arrays import Array, Float64
from ephysfit.data import hdf5
from ephysfit.data.assemble import round_step

RESPONSE, STIMULUS = "CurrentClampSeries", "CurrentClampStimulusSeries"
IMPOSED, IMPOSED_STIMULUS = "VoltageClampSeries", "VoltageClampStimulusSeries"
#: the type that does not state what was clamped: its content follows from the unit
PLAIN = "PatchClampSeries"
#: types that are listed and refused
REFUSED = {
    "IZeroClampSeries": "recorded with the current held at zero (I = 0): nothing was injected",
    IMPOSED: "voltage clamp: the voltage was imposed, not the current; clamp='current' says that its numbers are "
    "volts, recorded in current clamp",
    PLAIN: "a PatchClampSeries that is no voltage: what was recorded is a current, as in voltage clamp; "
    "clamp='current' says that its numbers are volts, recorded in current clamp",
}
#: where series are stored; templates count only if a table links them
PLACES, TEMPLATES = ("acquisition", "stimulus/presentation"), "stimulus/templates"
ICEPHYS = "general/intracellular_ephys"
#: time stamps may leave a regular grid by this part of a step
JITTER = 0.05
#: a step between time stamps as many times longer than usual is a gap; stretches without one hold so many samples
GAP, STRETCH = 1.5, 50


@dataclass(frozen=True)
class Stretch:
    """Samples of a series without a gap in their time stamps.

    Attributes
    ----------
    first, stop : int
        First sample, and one past the last.
    start, dt : float
        Time of the first sample on the session clock, and sampling step, ms.
    """

    first: int
    stop: int
    start: float
    dt: float


@dataclass(frozen=True)
class Series:
    """The header of one series.

    Parameters
    ----------
    path, kind
        Place in the file; neurodata type, with extensions resolved to the core type they extend.
    key
        Address of its group in the file, which identifies it.
    electrode
        Name of its electrode.
    start
        Start on the session clock, ms; None if the file does not give it.
    dt
        Sampling step, ms; None if neither a rate nor time stamps give one.
    size
        Number of samples.
    sweep_number, stimulus, description
        Sweep number, stimulus description and description, as found.
    stretches
        Parts without gaps, if the series has time stamps.
    declared
        Type in the file, if `kind` follows from the user or the unit instead.
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
    stretches: tuple[Stretch, ...] = ()
    declared: str = ""

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def stop(self) -> float | None:
        """When it ended, ms on the session clock."""
        return self.time(self.size)

    @property
    def template(self) -> bool:
        """Whether it is a template and not what was presented."""
        return self.path.startswith(TEMPLATES)

    def time(self, sample: int) -> float | None:
        """Time of a sample, ms on the session clock; the one after the last is the end of the series."""
        for stretch in self.stretches:
            if sample < stretch.stop or (sample == stretch.stop == self.size):
                return stretch.start + (sample - stretch.first) * stretch.dt
        return None if self.start is None or self.dt is None else self.start + sample * self.dt


@dataclass(frozen=True)
class Part:
    """A part of a series: all of it, or the samples that a row of a table points to."""

    series: Series
    first: int = 0
    count: int | None = None

    @property
    def steps(self) -> int:
        """Number of samples."""
        return self.series.size - self.first if self.count is None else self.count

    @property
    def dt(self) -> float | None:
        """Sampling step, ms, where it is known."""
        held = [stretch.dt for stretch in self.series.stretches if stretch.first <= self.first < stretch.stop]
        return held[0] if held else self.series.dt

    @property
    def start(self) -> float | None:
        """When it began, ms on the session clock, where that is known."""
        return self.series.start if not self.first and not self.series.stretches else self.series.time(self.first)

    @property
    def stop(self) -> float | None:
        """When it ended, ms on the session clock, where that is known."""
        start, dt = self.start, self.dt
        return None if start is None or dt is None else start + self.steps * dt

    def split_at_gaps(self) -> tuple[Part, ...]:
        """Split the part at the gaps in its time stamps."""
        stop = self.first + self.steps
        spans = [(max(s.first, self.first), min(s.stop, stop)) for s in self.series.stretches]
        inside = [(first, last) for first, last in spans if first < last]
        return tuple(Part(self.series, a, b - a) for a, b in inside) if len(inside) > 1 else (self,)


def list_series(file: Any) -> list[Series]:
    """List the headers of all patch-clamp series, in file order; templates last."""
    electrodes = {
        hdf5.find_address(item): name
        for name, item in _iterate_groups(file, ICEPHYS)
        if hdf5.decode_text(item.attrs.get("neurodata_type"))
    }
    parents = _read_extensions(file)
    found: dict[int, Series] = {}
    for place in (*PLACES, TEMPLATES):
        for name, item in _iterate_groups(file, place):
            kind = _find_core_type(hdf5.decode_text(item.attrs.get("neurodata_type")), parents)
            if kind.endswith(("ClampSeries", "ClampStimulusSeries")) and "data" in item:
                series = _read_header(f"{place}/{name}", item, kind, electrodes)
                found.setdefault(series.key, series)
    return list(found.values())


def as_current_clamp(series: Series) -> Series:
    """Take a series of voltage clamp as one of current clamp, as the user states."""
    kind = {IMPOSED: RESPONSE, PLAIN: RESPONSE, IMPOSED_STIMULUS: STIMULUS}.get(series.kind)
    return series if kind is None else replace(series, kind=kind, declared=series.declared or series.kind)


def _iterate_groups(file: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Iterate over the groups of a place; broken and circular links are left out."""
    group = file.get(place)
    for name in group if hasattr(group, "keys") else ():
        try:
            item = group[name]
        except (KeyError, RuntimeError, OSError):
            continue
        if hasattr(item, "keys"):
            yield name, item


def _read_extensions(file: Any) -> dict[str, str]:
    """Read which type extends which from the specifications cached in the file."""
    parents: dict[str, str] = {}
    for namespace, versions in _iterate_groups(file, "specifications"):
        if namespace in ("core", "hdmf-common", "hdmf-experimental"):
            continue
        for _, version in _iterate_groups(versions, "."):
            for source in version:
                parents |= _parse_specification(hdf5.decode_text(version[source]))
    return parents


def _parse_specification(source: str) -> dict[str, str]:
    try:
        groups = json.loads(source).get("groups", [])
    except (ValueError, AttributeError):
        return {}
    return {g["neurodata_type_def"]: g.get("neurodata_type_inc", "") for g in groups if g.get("neurodata_type_def")}


def _find_core_type(kind: str, parents: dict[str, str]) -> str:
    for _ in range(len(parents)):
        kind = parents.get(kind, kind)
    return kind


def _read_header(path: str, item: Any, kind: str, electrodes: dict[int, str]) -> Series:
    electrode = item.get("electrode")
    number = item.attrs.get("sweep_number")
    shape = item["data"].shape
    size = shape[0] if shape else 0
    start, dt, stretches = _read_clock(item, size)
    meant = _find_type_by_unit(path, item) if kind == PLAIN else kind
    return Series(
        path=path,
        kind=meant,
        key=hdf5.find_address(item),
        electrode="" if electrode is None else electrodes.get(hdf5.find_address(electrode), electrode.name),
        start=start,
        dt=dt,
        size=size,
        sweep_number=None if number is None or int(number) >= 2**32 - 1 else int(number),
        stimulus=_read_description(item, "stimulus_description"),
        description=_read_description(item, "description"),
        stretches=stretches,
        declared=kind if meant != kind else "",
    )


def _find_type_by_unit(path: str, item: Any) -> str:
    """Find the type of a series whose declared type does not state what was clamped."""
    unit = hdf5.decode_text(item["data"].attrs.get("unit"))
    if path.startswith("acquisition"):
        return RESPONSE if unit in units.TO_MV else PLAIN
    return STIMULUS if unit in units.TO_PA else IMPOSED_STIMULUS if unit in units.TO_MV else PLAIN


def _read_description(item: Any, name: str) -> str:
    value = hdf5.decode_text(item.attrs.get(name))
    return "" if value.lower() in ("no description", "no comments", "n/a", "none", "not available") else value


def _read_clock(item: Any, size: int) -> tuple[float | None, float | None, tuple[Stretch, ...]]:
    """Read the start and step of a series, ms, from its header, and its stretches if it has time stamps."""
    begin = item.get("starting_time")
    if begin is not None:
        rate = float(begin.attrs.get("rate", np.nan))
        start = float(begin[()]) * 1e3
        step = 1e3 / rate if np.isfinite(rate) and rate > 0 else None
        return (start if np.isfinite(start) else None), step, ()
    stamps = item.get("timestamps")
    if stamps is None or len(stamps.shape) != 1 or stamps.shape[0] < 2:
        return None, None, ()
    stretches = _find_stretches(stamps, min(size, stamps.shape[0]))
    if not stretches:
        return float(stamps[0]) * 1e3, None, ()
    return stretches[0].start, stretches[0].dt, stretches


def _find_stretches(stamps: Any, size: int) -> tuple[Stretch, ...]:
    """Find the parts of time stamps without gaps; empty if they lie on no grid.

    If steps like the first lead to the last there is no gap, and the others are not read.
    """
    ends = np.array([float(stamps[k]) for k in (0, 1, size - 1)]) * 1e3
    if np.isfinite(ends).all() and ends[1] > ends[0]:
        fine = find_stamp_resolution(stamps, ends[2])
        step = round_step(float(ends[1] - ends[0]), 2 * fine)
        if abs(ends[2] - ends[0] - (size - 1) * step) < step / 2:
            count = size - 1
            return (
                Stretch(0, size, float(ends[0]), round_step(float(ends[2] - ends[0]) / count, max(fine, 1e-9) / count)),
            )
    times = hdf5.read_column(stamps, 0, size).astype(np.float64) * 1e3
    if not np.isfinite(times).all():
        return ()
    steps, fine = np.diff(times), find_stamp_resolution(stamps, float(np.abs(times).max()))
    usual = float(np.median(steps))
    if not usual > 0:
        return ()
    breaks = np.flatnonzero((steps > GAP * usual + 2 * fine) | (steps < -fine)) + 1
    if len(breaks) > size / STRETCH:
        return ()
    bounds = [0, *breaks.tolist(), size]
    dts = _find_steps(times, bounds, usual, fine)
    return tuple(Stretch(a, b, float(times[a]), dt) for (a, b), dt in zip(pairwise(bounds), dts, strict=True))


def _find_steps(times: Float64[Array, " time"], bounds: list[int], usual: float, fine: float) -> list[float]:
    """Find the step of each stretch, ms: a common one if that is within their errors."""
    own, errors = [], []
    for a, b in pairwise(bounds):
        count = max(b - a - 1, 1)
        dt = float(times[b - 1] - times[a]) / count if b - a > 1 else usual
        off = float(np.abs(times[a:b] - times[a] - np.arange(b - a) * dt).max())
        own.append(dt)
        errors.append(2 * max(off, fine, 1e-9) / count if b - a > 1 else usual)
    counts = np.diff(bounds)
    pooled = round_step(float(np.average(own, weights=counts)), min(errors))
    alike = all(abs(dt - pooled) <= error for dt, error in zip(own, errors, strict=True))
    return [pooled] * len(own) if alike else [round_step(dt, error) for dt, error in zip(own, errors, strict=True)]


def find_stamp_resolution(stamps: Any, largest: float) -> float:
    """Find the resolution, ms, of stored time stamps of this size, ms."""
    if stamps.dtype.kind != "f":
        return 0.0
    return float(np.spacing(np.abs(np.asarray(largest / 1e3, dtype=stamps.dtype)))) * 1e3
