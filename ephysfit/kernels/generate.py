"""Kernel source from a declaration, kept in a cache folder under its content's hash and compiled once per machine."""

from __future__ import annotations

from functools import cache
from typing import Any

from ephysfit.kernels import signature, templates
from ephysfit.kernels.background_build import Order
from ephysfit.kernels.kernel_files import module, store_source
from ephysfit.kernels.tile_memory import OF_COLUMNS
from ephysfit.kernels.tiles import vectors_work
from ephysfit.kernels.variant import Variant
from ephysfit.neuron.declaration_cache import remembered_on_disk
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.fingerprint import digest

#: what kernels call, of `simd.floats` or `scalar_math.numbers`
EXPORTED = (
    "F", "LANES", "SQUARE", "load", "store", "loadi", "storei", "splat", "splati", "where", "bits", "lowest", "mask",
    "both", "no", "turn", "fma", "fabs", "sqrt", "log", "sin", "cos", "exp", "sigmoid", "softplus", "phi1", "dphi1",
    "tanh", "expm1", "STRIDE", "load_columns", "store_columns", "load_step", "store_step", "scatter_columns",
    "spread", "add_products",
    *(f"{name}_columns" for name in OF_COLUMNS),
)  # fmt: skip
#: what a kernel's text imports and numba compiles into it
INLINED = (
    "kernels/tile_memory.py",
    "kernels/scalar_math.py",
    "kernels/simd_math.py",
    "kernels/simd.py",
    "kernels/simd_types.py",
)


@cache
def source(neuron: type[Neuron], kernel: str, variant: Variant) -> str:
    """Source of one kernel (`signature.KERNELS`) of a neuron class."""
    vector = variant.lanes > 1
    given = f'"{variant.element}", {variant.lanes}' if vector else f'"{variant.element}", {not vectors_work()}'
    header = templates.HEADER.format(
        neuron=neuron.__name__,
        variant=variant,
        library=library(),
        module="simd" if vector else "scalar_math",
        factory="floats" if vector else "numbers",
        arguments=given,
        imports="\n".join(f"{n} = v.{n}" for n in EXPORTED),
    )
    body: str = _write_body(neuron, kernel, variant)
    return header.rstrip("\n") + "\n" + body


@remembered_on_disk
def _write_body(neuron: type[Neuron], kernel: str, variant: Variant) -> str:
    # sympy, which takes half a second to import, is only needed for a kernel that is not on disk yet
    from ephysfit.kernels.writer import write_kernel

    return write_kernel(neuron, kernel, variant)


@cache
def kernel(neuron: type[Neuron], name: str, variant: Variant) -> Any:
    """The compiled kernel; its first call on a machine compiles it, later processes load it."""
    return getattr(module(name, source(neuron, name, variant)), name)


@cache
def sizes(neuron: type[Neuron], variant: Variant) -> tuple[int, int]:
    """Sizes of an information kernel's memory: numbers in a row of derivatives, and in all rows it keeps."""
    made = module("information", source(neuron, "information", variant))
    return made.WIDTH, made.WORK


@cache
def ahead(neuron: type[Neuron], kernel: str, variant: Variant) -> int:
    """Numbers that a likelihood's kernel keeps of a segment whose steps it computes side by side."""
    size: int = module(kernel, source(neuron, kernel, variant)).AHEAD
    return size


def order(neuron: type[Neuron], name: str, variant: Variant, current: str = "float64") -> Order:
    """What a worker needs to compile a kernel for currents of this type."""
    types = signature.types(name, variant.element, current)
    return Order(store_source(name, source(neuron, name, variant)), name, types)


@cache
def library() -> str:
    """A hash of the code that kernels inline, so that a changed library never meets a stale kernel."""
    return digest(INLINED)[:16]
