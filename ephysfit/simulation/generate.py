"""Kernel source from a declaration, kept in a cache folder under its content's hash and compiled once per machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.kept import kept
from ephysfit.simulation import templates
from ephysfit.simulation.ahead import Order
from ephysfit.simulation.cache import module, written
from ephysfit.simulation.layout import vectors_work

#: what kernels call, of `vectors.floats` or `scalars.numbers`
EXPORTED = (
    "F", "LANES", "SQUARE", "load", "store", "loadi", "storei", "splat", "splati", "where", "bits", "lowest", "mask",
    "both", "no", "turn", "fma", "fabs", "sqrt", "log", "sin", "cos", "exp", "sigmoid", "softplus", "phi1", "dphi1",
    "tanh",
)  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """What a kernel is asked to do; each variant is compiled on its own, when first used.

    Attributes
    ----------
    element : str
        ``"float32"`` or ``"float64"``.
    lanes : int
        Rows in a tile; 1 is plain numbers.
    shared : bool
        The rows of a tile have one current (and one list of marked events).
    spikes : str
        ``"own"``, ``"forced"`` (recorded events replayed) or ``"drawn"`` (integrated hazard reaches a threshold).
    trace : bool
        Carry the filtered difference to the marked events (van Rossum).
    escape : bool
        Forward: add up the log-likelihood of the forced spikes.
    keep : bool
        Forward: write checkpoints.
    save : tuple of int
        Forward: states to write out at every step; -1 is the margin.
    source : str
        Reverse: ``"spikes"`` (dense dL/ds), ``"margins"`` (dense dL/du), ``"trace"`` or ``"escape"``.
    window, detach :
        Reverse: the surrogate's shape; whether the reset stays out of the graph.
    drive : bool
        Reverse: also the derivative with respect to the current.
    resume : bool
        Begin from given states (forward) or derivatives (reverse): rows are stretches of one record.
    """

    element: str = "float64"
    lanes: int = 1
    shared: bool = True
    spikes: str = "own"
    trace: bool = False
    escape: bool = False
    keep: bool = False
    save: tuple[int, ...] = ()
    source: str = "spikes"
    window: str = "triangle"
    detach: bool = False
    drive: bool = False
    resume: bool = False


@cache
def source(neuron: type[Neuron], kernel: str, variant: Variant) -> str:
    """Source of one kernel (``"forward"``, ``"reverse"`` or ``"tangent"``) of a neuron class."""
    vector = variant.lanes > 1
    given = f'"{variant.element}", {variant.lanes}' if vector else f'"{variant.element}", {not vectors_work()}'
    header = templates.HEADER.format(
        neuron=neuron.__name__,
        variant=variant,
        library=library(),
        module="vectors" if vector else "scalars",
        factory="floats" if vector else "numbers",
        arguments=given,
        imports="\n".join(f"{n} = v.{n}" for n in EXPORTED),
    )
    return header.rstrip("\n") + "\n" + _woven(neuron, kernel, variant)


@kept
def _woven(neuron: type[Neuron], kernel: str, variant: Variant) -> str:
    from ephysfit.simulation.weaving import woven

    return woven(neuron, kernel, variant)


@cache
def kernel(neuron: type[Neuron], name: str, variant: Variant) -> Any:
    """The compiled kernel; its first call on a machine compiles it, later processes load it."""
    return getattr(module(name, source(neuron, name, variant)), name)


def order(neuron: type[Neuron], name: str, variant: Variant, current: str = "float64") -> Order:
    """What a worker needs to compile a kernel for currents of this type."""
    letter = {"float32": "f", "float64": "d"}
    types = templates.TYPES[name].replace("F", letter[variant.element]).replace("C", letter[current])
    return Order(written(name, source(neuron, name, variant)), name, types)


@cache
def library() -> str:
    """A hash of the code that kernels inline, so that a changed library never meets a stale kernel."""
    here = Path(__file__).parent
    texts = [(here / f"{m}.py").read_bytes() for m in ("vectors", "vectormath", "scalars", "rows")]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]
