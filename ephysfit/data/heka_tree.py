"""HEKA Patchmaster files: the bundle, its trees of records, and the samples of a trace.

A bundle holds a file of samples (.dat) and trees: the pulse tree (.pul: root, groups, series, sweeps, traces) describes
what was recorded, the stimulus tree (.pgf: root, stimuli, channels, segments) what was commanded. Offsets of fields are
those of HEKA's published descriptions PulsedFile_v9, StimFile_v9 and StimFile_v1000; sizes of records are read from the
file, because they grew from version to version. Nothing is taken from a count before it is known to fit in the file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit.arrays import Trace
from ephysfit.errors import RecordingError

#: signatures of a bundle, and of samples whose trees are files beside them; four bytes of zeros follow
BUNDLE, SEPARATE = b"DAT2\0\0\0\0", b"DAT1\0\0\0\0"
#: bytes of the bundle's header, where it lists its items, and how many there may be
HEADER, ITEMS_AT, ITEMS = 256, 64, 12
#: first bytes of a tree, and the byte order that they mean
ORDERS = {b"Tree": ">", b"eerT": "<"}
#: a field of a record: first byte and form as in `struct`
Field = tuple[int, str]
#: the pulse tree
ROOT: dict[str, Field] = {"version": (8, "32s"), "start": (520, "d")}
GROUP: dict[str, Field] = {"label": (4, "32s")}
SERIES: dict[str, Field] = {"label": (4, "32s"), "comment": (36, "80s")}
SWEEP: dict[str, Field] = {"stimulus": (40, "i"), "number": (44, "i"), "time": (48, "d")}
TRACE: dict[str, Field] = {
    "label": (4, "32s"), "at": (40, "i"), "points": (44, "i"), "averages": (52, "i"), "leaks": (60, "i"),
    "kind": (64, "H"), "mode": (68, "B"), "form": (70, "B"), "scale": (72, "d"), "offset": (80, "d"),
    "zero": (88, "d"), "unit": (96, "8s"), "step": (104, "d"), "begin": (112, "d"), "step_unit": (120, "8s"),
    "output": (216, "i"), "block": (292, "i"), "skip": (296, "i"), "holding": (408, "d"), "pedestal": (504, "d"),
}  # fmt: skip
#: the stimulus tree
STIMULUS: dict[str, Field] = {
    "name": (4, "32s"), "first_segment": (100, "i"), "first_time": (104, "d"), "sweeps": (144, "i"),
    "scan_rates": (166, "B"), "lock_in": (168, "B"), "expanded": (173, "B"), "chirp": (175, "B"),
    "gap_free": (240, "B"), "external": (241, "B"),
}  # fmt: skip
CHANNEL: dict[str, Field] = {
    "mode": (25, "B"), "own_times": (26, "B"), "keeps_last": (27, "B"), "number": (28, "h"), "kind": (30, "B"),
    "square": (31, "B"), "unit": (40, "8s"), "holding": (48, "d"), "flags": (76, "H"), "sine": (86, "B"),
    "breaks": (87, "B"), "other_sweep": (92, "i"), "offset": (200, "d"), "chirp": (217, "B"),
}  # fmt: skip
SEGMENT: dict[str, Field] = {
    "kind": (4, "B"), "store": (5, "B"), "level_mode": (6, "B"), "time_mode": (7, "B"), "level": (8, "d"),
    "level_source": (16, "i"), "level_factor": (20, "d"), "level_step": (28, "d"), "time": (36, "d"),
    "time_source": (44, "i"), "time_factor": (48, "d"), "time_step": (56, "d"),
}  # fmt: skip
PULSE_LEVELS = (ROOT, GROUP, SERIES, SWEEP, TRACE)
STIMULUS_LEVELS = (ROOT, STIMULUS, CHANNEL, SEGMENT)
#: smallest records of each level: with less, a field that is always needed would be missing
PULSE_SIZES, STIMULUS_SIZES = (40, 36, 116, 64, 292), (40, 152, 96, 64)
#: largest record of a trace; PatchMaster Next 1.6 and later write longer ones, in which fields moved
LARGEST_TRACE = 512
#: bits of a trace's kind
LITTLE_ENDIAN, LEAK, VIRTUAL, CLIPPED = 1 << 0, 1 << 1, 1 << 2, 1 << 5
#: formats of samples
FORMATS = ("i2", "i4", "f4", "f8")
#: HEKA's clock in seconds, as its TimeFormat describes it: what is taken off, its overflow, and what leads to 1601
CLOCK, OVERFLOW, TO_1601 = 1580970496.0, 4294967296.0, 9561652096.0


@dataclass(frozen=True)
class Node:
    """A record of a tree.

    Attributes
    ----------
    fields : mapping
        Values by name; those behind the end of a record of an older version are missing.
    children : tuple of Node
        Records of the level below.
    """

    fields: Mapping[str, Any]
    children: tuple[Node, ...]


@dataclass(frozen=True)
class Tree:
    """A tree of records.

    Attributes
    ----------
    root : Node
        The one record of the first level.
    sizes : tuple of int
        Bytes per record of each level.
    """

    root: Node
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Bundle:
    """A recording of Patchmaster: its two trees, and where its samples end.

    Attributes
    ----------
    path : Path
        The file of samples.
    version : str
        Version of Patchmaster that wrote it.
    pulse : Tree
        What was recorded.
    stimulus : Tree or None
        What was commanded; None if it is missing.
    end : int
        First byte behind the samples.
    """

    path: Path
    version: str
    pulse: Tree
    stimulus: Tree | None
    end: int


def is_heka(path: Path) -> bool:
    """Whether a file begins with the signature of a bundle, or of samples whose trees lie beside."""
    with path.open("rb") as file:
        return file.read(len(BUNDLE)) in (BUNDLE, SEPARATE)


def open_bundle(path: Path) -> Bundle:
    """Open a recording by its trees, without reading samples.

    Parameters
    ----------
    path
        A bundle (``DAT2``), or samples (``DAT1``) beside which the trees are files of the same name, .pul and .pgf.

    Raises
    ------
    RecordingError
        If the pulse tree is missing, or something does not fit in the file.
    """
    there = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEADER)
    if len(head) < HEADER:
        raise RecordingError(f"truncated: the header of a HEKA file takes {HEADER} bytes, the file has {there}")
    if head.startswith(SEPARATE):
        found = {s: _read_beside(path, s) for s in (".pul", ".pgf")}
        end = there
    else:
        items = _list_items(head, there)
        found = {s: _read_part(path, *items[s]) if s in items else None for s in (".pul", ".pgf")}
        end = sum(items[".dat"]) if ".dat" in items else there
    if not found[".pul"]:
        raise RecordingError(
            "the pulse tree (.pul), which describes the samples, is missing: copy the .pul and .pgf files of the "
            "recording beside it, or save it as a bundle in Patchmaster"
        )
    pulse = read_tree(found[".pul"], PULSE_LEVELS, PULSE_SIZES, "the pulse tree (.pul)")
    if pulse.sizes[-1] > LARGEST_TRACE:
        raise RecordingError(
            f"trace records of {pulse.sizes[-1]} bytes, as PatchMaster Next 1.6 and later writes them, are not read "
            f"(up to {LARGEST_TRACE} are): export the recording as Igor waves or Matlab, or convert it to NWB"
        )
    stored = found[".pgf"]
    stimulus = read_tree(stored, STIMULUS_LEVELS, STIMULUS_SIZES, "the stimulus tree (.pgf)") if stored else None
    return Bundle(path, _decode_text(head[8:40]) or pulse.root.fields["version"], pulse, stimulus, end)


def _list_items(head: bytes, there: int) -> dict[str, tuple[int, int]]:
    """List the items of a bundle: first byte and number of bytes, by ending."""
    order = "<" if head[52] else ">"
    items: dict[str, tuple[int, int]] = {}
    for start, length, ending in struct.iter_unpack(f"{order}ii8s", head[ITEMS_AT : ITEMS_AT + 16 * ITEMS]):
        name = _decode_text(ending)
        if not length or not name:
            continue
        if start < 0 or length < 0 or start + length > there:
            raise RecordingError(
                f"truncated or damaged: its part {name!r} of {length} bytes from byte {start} does not fit in {there} "
                "bytes"
            )
        items.setdefault(name, (start, length))
    return items


def _read_part(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(length)


def _read_beside(path: Path, suffix: str) -> bytes | None:
    """Read a file of the same name with another suffix; None if there is none."""
    beside = path.with_suffix(suffix)
    return beside.read_bytes() if beside.is_file() else None


def read_tree(data: bytes, levels: Sequence[Mapping[str, Field]], least: Sequence[int], what: str) -> Tree:
    """Read a tree of records.

    Parameters
    ----------
    data
        Its bytes.
    levels
        Fields of the records of each level.
    least
        Smallest size of the records of each level, bytes.
    what
        Name of the tree in messages.

    Raises
    ------
    RecordingError
        If it is no tree of these levels, or its records do not fit in the bytes.

    Examples
    --------
    >>> data = b"Tree" + struct.pack(">3i", 1, 8, 42) + b"cell" + struct.pack(">i", 0)
    >>> read_tree(data, [{"number": (0, "i"), "name": (4, "4s")}], [8], "a tree").root.fields
    {'number': 42, 'name': 'cell'}
    """
    order = ORDERS.get(data[:4])
    if order is None or len(data) < 8:
        raise RecordingError(f"damaged: {what} does not begin as a tree of HEKA does")
    (count,) = struct.unpack_from(f"{order}i", data, 4)
    if count != len(levels) or len(data) < 8 + 4 * count:
        raise RecordingError(f"damaged: {what} has {count} levels, not {len(levels)}")
    sizes = struct.unpack_from(f"{order}{count}i", data, 8)
    if any(size < smallest for size, smallest in zip(sizes, least, strict=True)):
        raise RecordingError(f"damaged, or older than can be read: {what} has records of {sizes} bytes")
    root, _ = _read_node(data, 8 + 4 * count, order, levels, sizes, what)
    return Tree(root, sizes)


def _read_node(
    data: bytes, at: int, order: str, levels: Sequence[Mapping[str, Field]], sizes: Sequence[int], what: str
) -> tuple[Node, int]:
    """Read a record and those below it; also return the byte behind them."""
    behind = at + sizes[0]
    if behind + 4 > len(data):
        raise RecordingError(f"truncated or damaged: {what} ends within its records")
    fields = {
        name: _unpack_field(data, at + first, order, form)
        for name, (first, form) in levels[0].items()
        if first + struct.calcsize(order + form) <= sizes[0]
    }
    (count,) = struct.unpack_from(f"{order}i", data, behind)
    behind += 4
    least = sizes[1] + 4 if len(sizes) > 1 else len(data) + 1
    if count < 0 or behind + count * least > len(data):
        raise RecordingError(
            f"truncated or damaged: {what} lists {count} records, which do not fit in its {len(data)} bytes"
        )
    children = []
    for _ in range(count):
        child, behind = _read_node(data, behind, order, levels[1:], sizes[1:], what)
        children.append(child)
    return Node(fields, tuple(children)), behind


def _unpack_field(data: bytes, at: int, order: str, form: str) -> Any:
    (value,) = struct.unpack_from(order + form, data, at)
    return _decode_text(value) if isinstance(value, bytes) else value


def _decode_text(value: bytes) -> str:
    return value.split(b"\0")[0].decode("latin-1").strip()


def read_samples(bundle: Bundle, trace: Mapping[str, Any]) -> Trace:
    """Read the samples of a trace, in the unit that the trace names (A or V).

    The mean of the "zero segment", which Patchmaster can subtract for display, is not subtracted: stored samples are
    whole, and a membrane potential is needed with its rest.

    Parameters
    ----------
    bundle
        The recording.
    trace
        Fields of the trace.

    Returns
    -------
    Trace
        Shape (time,).

    Raises
    ------
    RecordingError
        If they do not lie within the file, or their scaling is not known.
    """
    what = f"trace {trace['label']!r}"
    if trace["form"] >= len(FORMATS):
        raise RecordingError(f"{what} has samples of an unknown format ({trace['form']})")
    form = np.dtype(("<" if trace["kind"] & LITTLE_ENDIAN else ">") + FORMATS[trace["form"]])
    scale = trace["scale"]
    if not np.isfinite(scale) or not scale:
        raise RecordingError(f"{what} has a scale of {scale:g}, by which no sample can be converted")
    if form.kind == "f" and scale != 1:
        raise RecordingError(
            f"{what} holds floating-point numbers and a scale of {scale:g}: whether they are scaled already is not "
            "known; export the recording from Patchmaster as Igor waves or Matlab"
        )
    if trace.get("pedestal"):
        raise RecordingError(f"{what} has a pedestal of {trace['pedestal']:g}, whose meaning is not published")
    raw = np.frombuffer(_read_bytes(bundle, trace, form.itemsize, what), form)
    values: Trace = raw.astype(np.float64) * scale
    return values


def count_bytes(trace: Mapping[str, Any]) -> int:
    """Count the bytes that the samples of a trace take in its file."""
    form = trace["form"]
    return max(int(trace["points"]), 0) * np.dtype(FORMATS[form]).itemsize if form < len(FORMATS) else 0


def _read_bytes(bundle: Bundle, trace: Mapping[str, Any], width: int, what: str) -> bytes:
    """Read the bytes of a trace, which may lie in blocks between those of other traces."""
    at, total = trace["at"], trace["points"] * width
    block, skip = trace.get("block", 0), trace.get("skip", 0)
    if not block or not skip:
        block = skip = max(total, 1)
    if block < 0 or skip < block or (block < total and block % width):
        raise RecordingError(f"damaged: {what} lies in blocks of {block} bytes every {skip} bytes")
    blocks = -(-total // block)
    behind = at + (blocks - 1) * skip + total - (blocks - 1) * block
    if at < 0 or total < 0 or behind > bundle.end:
        raise RecordingError(
            f"truncated or damaged: {what} of {trace['points']} samples from byte {at} does not fit in {bundle.end} "
            "bytes"
        )
    pieces = []
    with bundle.path.open("rb") as file:
        for k in range(blocks):
            file.seek(at + k * skip)
            pieces.append(file.read(min(block, total - k * block)))
    return b"".join(pieces)


def describe_time(seconds: float) -> str:
    """Describe a time of HEKA's clock, local to the recording; empty if it is none.

    Examples
    --------
    >>> describe_time(4922414972.0)[:10], describe_time(float("nan"))
    ('2009-11-19', '')
    """
    since = seconds - CLOCK
    since += OVERFLOW if since < 0 else 0.0
    try:
        return (datetime(1601, 1, 1) + timedelta(seconds=since + TO_1601)).isoformat(" ", "seconds")
    except (OverflowError, ValueError):
        return ""
