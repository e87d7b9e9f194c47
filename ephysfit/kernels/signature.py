"""What each kernel is called with, declared once: its text, its types, its scratch memory and its calls follow from it.

The first two arguments are the tiles a call runs, so that threads can share a run; those marked `scratch` come last and
are allocated for every call, so that no two threads write into the same memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import prod
from textwrap import wrap
from typing import Any

import numpy as np

#: letters of `compile_worker.types_of` for elements of a kernel's own precision
_LETTERS = {"float32": "f", "float64": "d"}
#: bytes
_CACHE_LINE = 64
_ELEMENTS = {"q": "int64", "i": "int32", "d": "float64", "b": "uint8"}


@dataclass(frozen=True)
class Argument:
    """One argument of a kernel.

    Attributes
    ----------
    name : str
    type : str
        Letter of `compile_worker.types_of`; besides, ``F`` is the kernel's element, ``C`` the element of currents.
    shape : tuple of str
        Size of every axis, as a product of names (``"segment*lanes"``); empty for a number.
    scratch : bool
        Memory of one call.
    """

    name: str
    type: str
    shape: tuple[str, ...] = ()
    scratch: bool = False


def _memory(name: str, type: str, *shape: str) -> Argument:
    return Argument(name, type, shape, scratch=True)


_TILES = (Argument("lo", "q"), Argument("hi", "q"))
#: a row's constants: numbers (dt, decay of the van Rossum trace, surrogate width, ...), coefficients, refractory steps
_CELL = (
    Argument("numbers", "d", ("numbers",)),
    Argument("coefs", "F", ("coefs*rows",)),
    Argument("refractory", "i", ("rows",)),
)
#: currents, and lists of events: which of them a row reads
_SOURCES = (
    Argument("source", "q", ("rows",)),
    Argument("current", "C", ("sources", "inputs", "steps")),
    Argument("current_flat", "C", ("sources*inputs*steps",)),
    Argument("marked", "q", ("rows",)),
    Argument("begin", "q", ("lists",)),
    Argument("at", "q", ("events",)),
)
#: a segment of a tile's currents and events, step by step
_SEGMENT = (_memory("drive", "F", "segment*inputs*lanes"), _memory("marks", "F", "segment*lanes"))
#: one value per lane, and where each lane's row begins
_LANES = (_memory("line", "F", "lanes"), _memory("starts", "q", "lanes"))
_CHECKPOINTS = (Argument("kept", "F", ("parts*slots*rows",)), Argument("woken", "i", ("parts*rows",)))

#: a recorded sweep, and the cells (rows) that replay it
_SWEEP = (
    Argument("numbers", "d", ("numbers",)),
    Argument("coefs", "F", ("coefs*rows",)),
    Argument("refractory", "q"),
    Argument("current", "C", ("steps", "inputs")),
    Argument("spikes", "b", ("steps",)),
    Argument("counts", "d", ("steps",)),
    Argument("slow", "d", ("steps", "drifts")),
    Argument("shift", "d", ("steps",)),
    Argument("potential", "d", ("steps",)),
    Argument("watch", "b", ("steps",)),
    Argument("total", "d", ("rows",)),
)

KERNELS: dict[str, tuple[Argument, ...]] = {
    "forward": (
        *_TILES, Argument("since", "q"), Argument("steps", "q"), Argument("segment", "q"), *_CELL, *_SOURCES,
        Argument("drawing", "q", ("rows",)), Argument("thresholds", "d", ("draws", "count")),
        Argument("start", "F", ("slots*rows",)), Argument("awake", "i", ("rows",)),
        Argument("events", "i", ("rows", "room")), Argument("counts", "q", ("rows",)), *_CHECKPOINTS,
        Argument("loss", "d", ("rows",)), Argument("saved", "F", ("rows", "saved", "steps")),
        Argument("final", "F", ("slots*rows",)), Argument("asleep", "i", ("rows",)),
        *_SEGMENT, *_LANES, _memory("drawn", "q", "lanes"),
    ),
    "reverse": (
        *_TILES, Argument("steps", "q"), Argument("segment", "q"), *_CELL, *_SOURCES,
        Argument("own", "q", ("rows",)), Argument("dense", "F", ("rows", "one", "steps")),
        Argument("dense_flat", "F", ("rows*steps",)), *_CHECKPOINTS, Argument("later", "F", ("slots*rows",)),
        Argument("first", "F", ("rows",)), Argument("earlier", "F", ("slots*rows",)),
        Argument("gradient", "d", ("coefs", "rows")), Argument("driven", "F", ("rows", "inputs", "steps")),
        *_SEGMENT, _memory("asked", "F", "segment*lanes"), _memory("pushed", "F", "segment*inputs*lanes"),
        _memory("entered", "F", "segment*states*lanes"), _memory("flags", "q", "segment"), *_LANES,
        _memory("total", "d", "coefs*lanes"),
    ),
    "tangent": (
        *_TILES, Argument("steps", "q"), Argument("segment", "q"), *_CELL, *_SOURCES, Argument("loss", "d", ("rows",)),
        Argument("gradient", "d", ("coefs", "rows")), Argument("matrix", "d", ("coefs", "coefs", "rows")),
        *_SEGMENT, *_LANES,
    ),
    "likelihood": (
        *_TILES, *_SWEEP, Argument("rates", "F", ("steps*rows",)), Argument("misses", "F", ("steps*rows",)),
        _memory("line", "F", "lanes"), _memory("ahead", "F", "ahead"),
    ),
    "information": (
        *_TILES, *_SWEEP, Argument("gradient", "d", ("columns", "rows")),
        Argument("information", "d", ("rows*columns*columns",)),
        _memory("work", "F", "work*lanes"), _memory("slope", "F", "columns*lanes"),
        _memory("pulled", "F", "columns*lanes"),
        _memory("block", "F", "lanes*gathered*columns"), _memory("line", "F", "lanes"), _memory("ahead", "F", "ahead"),
    ),
}  # fmt: skip


def head(kernel: str) -> list[str]:
    """The line, or lines, that begin a kernel's definition.

    Examples
    --------
    >>> head("tangent")[0][:45]
    'def tangent(lo, hi, steps, segment, numbers, '
    """
    names = ", ".join(a.name for a in KERNELS[kernel])
    begin = f"def {kernel}("
    first, *others = wrap(f"{begin}{names}):", 120, subsequent_indent=" " * len(begin))
    return [first, *others]


def types(kernel: str, element: str, current: str) -> str:
    """The types of all arguments, as `compile_worker.types_of` reads them.

    Examples
    --------
    >>> types("tangent", "float32", "float64")[:26]
    'q q q q d1 f1 i1 q1 d3 d1 '
    """
    put = {"F": _LETTERS[element], "C": _LETTERS[current]}
    return " ".join(f"{put.get(a.type, a.type)}{len(a.shape) or ''}" for a in KERNELS[kernel])


def arrange_arguments(kernel: str, **given: Any) -> tuple[Any, ...]:
    """Arguments between the tiles and the scratch memory, in the kernel's order.

    Raises
    ------
    TypeError
        If one is missing or unknown.
    """
    wanted = _given(kernel)
    if given.keys() != wanted.keys():
        wrong = sorted(given.keys() ^ wanted.keys())
        raise TypeError(f"kernel {kernel!r} is called with {list(wanted)}; missing or unknown here: {wrong}")
    return tuple(map(given.__getitem__, wanted))


@cache
def _given(kernel: str) -> dict[str, Argument]:
    """Arguments between the tiles and the scratch memory, by name."""
    return {a.name: a for a in KERNELS[kernel][len(_TILES) :] if not a.scratch}


def scratch(kernel: str, element: str, **sizes: int) -> tuple[np.ndarray, ...]:
    """The last arguments of a kernel, zeros: memory of one call.

    Parameters
    ----------
    kernel, element : str
    **sizes : int
        By the names that the shapes use.

    Examples
    --------
    >>> [a.shape for a in scratch("tangent", "float32", segment=4, inputs=1, lanes=8)]
    [(32,), (32,), (8,), (8,)]
    """
    element_of = {"F": element, **_ELEMENTS}
    return tuple(
        _zeros([prod(sizes[name] for name in axis.split("*")) for axis in a.shape], element_of[a.type])
        for a in KERNELS[kernel]
        if a.scratch
    )


def _zeros(shape: list[int], element: str) -> np.ndarray:
    """As `np.zeros`, but from the beginning of a cache line on: vectors across two lines cost a fifth (GIF)."""
    size = prod(shape) * np.dtype(element).itemsize
    memory = np.zeros(size + _CACHE_LINE, np.uint8)
    first = -memory.__array_interface__["data"][0] % _CACHE_LINE
    return memory[first : first + size].view(element).reshape(shape)
