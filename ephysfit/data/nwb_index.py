"""Pairing of stimuli and responses in an NWB 2 file, by its headers alone.

No samples are read, so a file of hundreds of sweeps is indexed in about a second (pynwb builds every object first and
needs ten times as long).
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ephysfit.data import hdf5
from ephysfit.data.nwb_series import (
    ICEPHYS,
    IMPOSED_STIMULUS,
    RESPONSE,
    STIMULUS,
    Part,
    Series,
    as_current_clamp,
    list_series,
)


@dataclass(frozen=True)
class Pair:
    """One response and the stimulus that caused it, as the file relates them.

    Parameters
    ----------
    response, stimulus
        Either may be missing.
    how
        Evidence for the pair: ``"icephys tables"``, ``"sweep number"``, ``"electrode and time"`` or ``"order"``.
    kind
        Stimulus type according to the tables, if any.
    template
        Template that the tables link in place of a stimulus.
    label
        Name of its own, if several responses share a name.
    problem
        Why the pair cannot be read; empty otherwise.
    warnings
        Oddities of the pair.
    """

    response: Part | None
    stimulus: Part | None
    how: str
    kind: str = ""
    template: Part | None = None
    label: str = ""
    problem: str = ""
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def part(self) -> Part:
        """The response, or the stimulus if there is no response."""
        part = self.response or self.stimulus or self.template
        assert part is not None
        return part

    @property
    def name(self) -> str:
        """Name of the sweep: that of its response if there is one, with a number where the name repeats."""
        return self.label or self.part.series.name


#: indices of the files read last, so that sweeps can be read one by one
_INDICES: OrderedDict[tuple[Any, ...], list[Pair]] = OrderedDict()
MOST_STORED = 8


def find_pairs(path: Any, file: Any, current: bool = False) -> list[Pair]:
    """Find the pairs of an open file; an unchanged file is indexed only once.

    Parameters
    ----------
    path, file
        Its path or address, and the open HDF5 file.
    current
        Whether series of voltage clamp are to be taken as current clamp, as the user states.
    """
    key = (*_read_file_identity(path), current)
    if key not in _INDICES:
        series = list_series(file)
        _INDICES[key] = pair_series(file, [as_current_clamp(one) for one in series] if current else series)
        while len(_INDICES) > MOST_STORED:
            _INDICES.popitem(last=False)
    return list(_INDICES[key])


def _read_file_identity(path: Any) -> tuple[Any, ...]:
    """Read what changes when a file changes; of a file at an address, only its size."""
    if not isinstance(path, Path):
        return str(path), path.file.size
    there = path.stat()
    return str(path.resolve()), there.st_size, there.st_mtime_ns, there.st_ino


def pair_series(file: Any, series: list[Series]) -> list[Pair]:
    """Pair the stimulus and response of every sweep by the best evidence in the file, and name each pair uniquely.

    The evidence is, in this order, the icephys tables, the sweep table, sweep numbers, electrode and time, and the
    order within one electrode. If the time stamps of a series have gaps, each stretch is a sweep.
    """
    by_key = {s.key: s for s in series}
    series = [s for s in series if not s.template]
    pairs = _pair_by_tables(file, by_key)
    rest = _find_unpaired(series, pairs)
    for group in _group_by_sweep_number(file, rest, by_key):
        pairs += _pair_by_electrode(group, "sweep number")
    rest = _find_unpaired(series, pairs)
    pairs += _pair_by_electrode(rest, "electrode and time")
    rest = _find_unpaired(series, pairs)
    pairs += [Pair(Part(s), None, "") for s in rest if s.kind not in (STIMULUS, IMPOSED_STIMULUS)]
    pairs += [Pair(None, Part(s), "") for s in rest if s.kind == STIMULUS]
    pairs = [piece for whole in pairs for piece in _split_at_gaps(whole)]
    order = {s.key: k for k, s in enumerate(series)}
    return _mark_overlaps(_make_names_unique(sorted(pairs, key=lambda p: _make_sort_key(p, order))))


def _make_sort_key(pair: Pair, order: dict[int, int]) -> tuple[float, int, int]:
    part = pair.part
    start = part.start
    return 0.0 if start is None else start, order.get(part.series.key, 0), part.first


def _find_unpaired(series: list[Series], pairs: list[Pair]) -> list[Series]:
    used = {part.series.key for p in pairs for part in (p.response, p.stimulus) if part}
    return [s for s in series if s.key not in used]


def _split_at_gaps(pair: Pair) -> list[Pair]:
    """Split a pair at the gaps in the time stamps of its response, or of its stimulus if there is no response."""
    pieces = pair.part.split_at_gaps()
    if len(pieces) == 1:
        return [pair]
    said = f"one of {len(pieces)} stretches of {pair.part.series.name!r}, which has gaps in its time stamps"
    if pair.response is None:
        return [replace(pair, stimulus=piece, warnings=(*pair.warnings, said)) for piece in pieces]
    split = []
    for piece in pieces:
        stimulus, problem = _find_stimulus_part(piece, pair)
        split.append(
            replace(pair, response=piece, stimulus=stimulus, problem=pair.problem or problem,
                    warnings=(*pair.warnings, said))
        )  # fmt: skip
    return split


def _find_stimulus_part(piece: Part, pair: Pair) -> tuple[Part | None, str]:
    """Find the part of the stimulus that belongs to a piece of the response, or explain why that is not known."""
    stimulus, response = pair.stimulus, pair.response
    assert response is not None
    if stimulus is None:
        return None, ""
    others = stimulus.split_at_gaps()
    if len(others) == 1:
        return stimulus, (
            f"time stamps of {response.series.name!r} have gaps and those of its stimulus have none: which samples "
            "belong together is not known; give both the same time stamps, or icephys rows with first sample and count"
        )
    near = [part for part in others if _spans_overlap(piece.start, piece.stop, part.start, part.stop)]
    if len(near) == 1:
        return near[0], ""
    return stimulus, f"{len(near)} stretches of its stimulus {stimulus.series.name!r} lie at its time, not one"


def _make_names_unique(pairs: list[Pair]) -> list[Pair]:
    """Make the names of pairs unique: names that repeat get a number."""
    count, seen = Counter(p.part.series.name for p in pairs), Counter[str]()
    taken, named = set(count), []
    for one in pairs:
        name = one.part.series.name
        if count[name] > 1:
            label = f"{name}[{seen[name]}]"
            while label in taken:
                label += "'"
            taken.add(label)
            named.append(replace(one, label=label))
        else:
            named.append(one)
        seen[name] += 1
    return named


def _mark_overlaps(pairs: list[Pair]) -> list[Pair]:
    """Warn of sweeps that share samples, and refuse those that repeat another one."""
    rows: dict[int, list[int]] = defaultdict(list)
    for k, one in enumerate(pairs):
        if one.response is not None:
            rows[one.response.series.key].append(k)
    for group in rows.values():
        group.sort(key=lambda k: (pairs[k].part.first, pairs[k].part.steps))
        for earlier, later in pairwise(group):
            pairs[later] = _compare_rows(pairs[earlier], pairs[later])
    return pairs


def _compare_rows(earlier: Pair, later: Pair) -> Pair:
    a, b = earlier.part, later.part
    shared = min(a.first + a.steps, b.first + b.steps) - max(a.first, b.first)
    if shared <= 0:
        return later
    same = (a.first, a.steps) == (b.first, b.steps) and _find_extent(earlier.stimulus) == _find_extent(later.stimulus)
    if same:
        return replace(later, problem=later.problem or f"the same samples as {earlier.name!r}: a row that is repeated")
    return replace(later, warnings=(*later.warnings, f"shares {shared} samples with {earlier.name!r}"))


def _find_extent(part: Part | None) -> tuple[int, int, int] | None:
    return None if part is None else (part.series.key, part.first, part.steps)


def _pair_by_tables(file: Any, by_key: dict[int, Series]) -> list[Pair]:
    table = file.get(f"{ICEPHYS}/intracellular_recordings")
    if table is None or "responses/response" not in table:
        return []
    kinds = _read_stimulus_types(file)
    responses = hdf5.read_column(table["responses/response"])
    columns = [_read_references(table, f"stimuli/{name}", len(responses)) for name in ("stimulus", "stimulus_template")]
    pairs = []
    for row, references in enumerate(zip(responses, *columns, strict=True)):
        parts = [None if one is None else _read_part(file, one, by_key) for one in references]
        if any(parts):
            response, stimulus, template = parts
            problem = next((said for part in parts if (said := _check_extent(part))), "")
            pairs.append(
                Pair(response, stimulus, "icephys tables", kinds.get(row, ""), None if stimulus else template,
                     problem=problem)
            )  # fmt: skip
    return [one for one in pairs if one.response or one.stimulus]


def _read_references(table: Any, name: str, rows: int) -> list[Any]:
    """Read a column of references; None in each row if the table has none, or one of another length."""
    found: Any = hdf5.read_column(table[name]) if name in table else []
    return list(found) if len(found) == rows else [None] * rows


def _read_part(file: Any, row: Any, by_key: dict[int, Series]) -> Part | None:
    """Read the target of a time series reference; a start of -1 or a count of 0 means that there is none."""
    first, count, reference = int(row["idx_start"]), int(row["count"]), row["timeseries"]
    if first < 0 or count <= 0 or not reference:
        return None
    series = by_key.get(hdf5.find_address(file[reference]))
    return None if series is None else Part(series, first, count)


def _check_extent(part: Part | None) -> str:
    if part is None or part.first + part.steps <= part.series.size:
        return ""
    return (
        f"the icephys table points to samples {part.first} to {part.first + part.steps} of {part.series.path}, "
        f"which has {part.series.size}"
    )


def _read_stimulus_types(file: Any) -> dict[int, str]:
    """Read the stimulus type of each row of the recordings table, through the two tables above it."""
    simultaneous, sequential = (
        file.get(f"{ICEPHYS}/simultaneous_recordings"),
        file.get(f"{ICEPHYS}/sequential_recordings"),
    )
    if simultaneous is None or sequential is None or "stimulus_type" not in sequential:
        return {}
    groups = _read_ragged(simultaneous, "recordings")
    types = hdf5.read_strings(sequential, "stimulus_type")
    rows = _read_ragged(sequential, "simultaneous_recordings")
    return {
        int(row): kind
        for kind, members in zip(types, rows, strict=False)
        for m in members
        if m < len(groups)
        for row in groups[m]
    }


def _read_ragged(table: Any, name: str) -> list[npt.NDArray[Any]]:
    """Read the rows of an indexed column."""
    if name not in table or f"{name}_index" not in table:
        return []
    ends = hdf5.read_column(table[f"{name}_index"]).astype(np.int64)
    return np.split(hdf5.read_column(table[name]), ends)[: len(ends)]


def _group_by_sweep_number(file: Any, rest: list[Series], by_key: dict[int, Series]) -> Iterable[list[Series]]:
    """Group the series of each sweep, by the deprecated sweep table or by their sweep numbers."""
    wanted = {s.key for s in rest}
    groups: dict[int, list[Series]] = defaultdict(list)
    table = file.get(f"{ICEPHYS}/sweep_table")
    if table is not None and "series" in table and "sweep_number" in table:
        for number, references in zip(
            hdf5.read_column(table["sweep_number"]), _read_ragged(table, "series"), strict=False
        ):
            keys = [hdf5.find_address(file[reference]) for reference in references if reference]
            groups[int(number)] += [by_key[key] for key in keys if key in wanted and key in by_key]
    listed = {s.key for group in groups.values() for s in group}
    for s in rest:
        if s.sweep_number is not None and s.key not in listed:
            groups[s.sweep_number].append(s)
    return list(groups.values())


def _pair_by_electrode(series: list[Series], how: str) -> list[Pair]:
    """Pair series within one sweep, or a file without sweeps: by electrode, then overlap in time, then order."""
    pairs = []
    for electrode in dict.fromkeys(s.electrode for s in series):
        mine = [s for s in series if s.electrode == electrode]
        stimuli = [s for s in mine if s.kind == STIMULUS]
        responses = [s for s in mine if s.kind == RESPONSE]
        if how == "sweep number" and len(stimuli) == len(responses) == 1:
            pairs.append(Pair(Part(responses[0]), Part(stimuli[0]), how))
        elif stimuli and responses:
            pairs += _pair_by_time(responses, stimuli)
    return pairs


def _pair_by_time(responses: list[Series], stimuli: list[Series]) -> list[Pair]:
    """Pair series by overlap in time; by order only if the times do not decide and the counts agree."""
    starts = [s.start for s in responses]
    if len(set(starts)) == len(starts) and None not in starts:
        pairs = []
        for response in responses:
            near = [s for s in stimuli if _series_overlap(response, s)]
            if len(near) == 1:
                pairs.append(Pair(Part(response), Part(near[0]), "electrode and time"))
        return pairs
    if len(responses) != len(stimuli):
        return []
    return [Pair(Part(r), Part(s), "order") for r, s in zip(responses, stimuli, strict=True)]


def _series_overlap(a: Series, b: Series) -> bool:
    return _spans_overlap(a.start, a.stop, b.start, b.stop)


def _spans_overlap(
    start: float | None, stop: float | None, other_start: float | None, other_stop: float | None
) -> bool:
    """Whether two spans of time overlap; if their ends are unknown, whether they begin together."""
    if start is None or other_start is None:
        return False
    if stop is None or other_stop is None:
        return start == other_start
    return min(stop, other_stop) > max(start, other_start)
