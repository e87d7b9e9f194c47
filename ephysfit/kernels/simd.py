"""SIMD values for numba: a vector of floats, of int32 counters or of flags that LLVM keeps in registers.

numba's own vectoriser leaves a neuron's step scalar (measured: 3-18 ns per neuron-step against 0.3); typed vectors do
not. Arithmetic works through the usual operators, so a kernel's source is the same for one row (plain numbers) and for
a tile of rows. A vector may be wider than the machine's registers: LLVM splits it, which interleaves two chains.
"""

from __future__ import annotations

from functools import cache
from math import expm1
from types import SimpleNamespace
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ephysfit.kernels import simd_math
from ephysfit.kernels.simd_types import INDEX, Flags, Floats, Ints, emit_call, emit_splat, llvm_type
from ephysfit.kernels.tile_memory import COLUMNS, OF_COLUMNS


def _llvm_function(name: str) -> Any:
    """A function LLVM knows on vectors (`fabs`, `sqrt`; `log`, `sin`, `cos` become one library call per lane)."""

    def one(context: Any, x: Any) -> Any:
        return x(x), lambda c, b, s, a: emit_call(b, name, llvm_type(x), a)

    return intrinsic(one)


@intrinsic
def fma(context: Any, x: Any, y: Any, z: Any) -> Any:
    """x y + z of vectors, or of plain numbers, in one instruction where the machine has it."""
    return x(x, x, x), lambda c, b, s, a: emit_call(b, "fmuladd", llvm_type(x), a)


@intrinsic
def where(context: Any, flags: Any, x: Any, y: Any) -> Any:
    """x where the flag is set, else y."""
    return x(flags, x, y), lambda c, b, s, a: b.select(*a)


@intrinsic
def both(context: Any, x: Any, y: Any) -> Any:
    """Flags set in both."""
    return x(x, y), lambda c, b, s, a: b.and_(*a)


@intrinsic
def no(context: Any, x: Any) -> Any:
    """Flags not set."""
    return x(x), lambda c, b, s, a: b.not_(*a)


@intrinsic
def bits(context: Any, flags: Any) -> Any:
    """The flags as the low bits of an integer."""

    def emit(c: Any, b: Any, s: Any, a: Any) -> Any:
        return b.zext(b.bitcast(a[0], ir.IntType(flags.lanes)), ir.IntType(64))

    return types.int64(flags), emit


@intrinsic
def lowest(context: Any, word: Any) -> Any:
    """Index of the lowest set bit."""

    def emit(c: Any, b: Any, s: Any, a: Any) -> Any:
        return b.cttz(a[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), emit


@intrinsic
def pow2(context: Any, x: Any) -> Any:
    """2 to an integral power given as floats, within the normal range: written straight into the exponent."""

    def emit(c: Any, b: Any, s: Any, a: Any) -> Any:
        single = x.element == types.float32
        integer = ir.VectorType(ir.IntType(32 if single else 64), x.lanes)
        constant = lambda k: ir.Constant(integer, [k] * x.lanes)  # noqa: E731
        # the exponent's bits hold n plus a bias, and stand above the 23 or 52 bits of the mantissa, which is 0 here
        n = b.add(b.fptosi(a[0], integer), constant(127 if single else 1023))
        return b.bitcast(b.shl(n, constant(23 if single else 52)), llvm_type(x))

    return x(x), emit


def _cast(b: Any, value: Any, to: ir.VectorType) -> Any:
    if value.type == to:
        return value
    return b.fptrunc(value, to) if isinstance(to.element, ir.FloatType) else b.fpext(value, to)


def _transposed(b: Any, rows: list[Any]) -> list[Any]:
    """A square of vectors transposed in registers, swapping ever smaller blocks across the diagonal."""
    # n log2 n shuffles of whole registers; copying value by value would take n^2 loads and as many stores
    n = len(rows)
    half = n // 2
    while half:
        shuffle = lambda order: ir.Constant(ir.VectorType(INDEX, n), order)  # noqa: E731
        upper = shuffle([l if not l & half else n + l - half for l in range(n)])
        lower = shuffle([l + half if not l & half else n + l for l in range(n)])
        swapped = list(rows)
        for i in (i for i in range(n) if not i & half):
            swapped[i] = b.shuffle_vector(rows[i], rows[i + half], upper)
            swapped[i + half] = b.shuffle_vector(rows[i], rows[i + half], lower)
        rows, half = swapped, half // 2
    return rows


def _memory(t: types.Type, bytes_: int) -> tuple[Any, Any]:
    """Load and store of a type from and to an array of its elements, at any place."""
    kind = llvm_type(t)

    def address(context: Any, b: Any, array: Any, args: Any) -> Any:
        data = context.make_array(array)(context, b, args[0]).data
        return b.bitcast(b.gep(data, [args[1]]), kind.as_pointer())

    def load(context: Any, array: Any, index: Any) -> Any:
        def emit(c: Any, b: Any, s: Any, a: Any) -> Any:
            value = b.load(address(c, b, array, a))
            value.align = bytes_
            return value

        return t(array, types.intp), emit

    def store(context: Any, array: Any, index: Any, value: Any) -> Any:
        def emit(c: Any, b: Any, s: Any, a: Any) -> Any:
            b.store(a[2], address(c, b, array, a)).align = bytes_
            return c.get_dummy_value()

        return types.void(array, types.intp, t), emit

    return intrinsic(load), intrinsic(store)


def _offset_memory(t: types.Type, bytes_: int, apart: int = 1) -> tuple[Any, Any]:
    """Load and store at a place counted from another, both in units of `apart` elements.

    One call where a sum and a call would be two for numba's front end, which takes a millisecond for either.
    """
    kind = llvm_type(t)

    def address(context: Any, b: Any, array: Any, args: Any) -> Any:
        place = b.add(args[1], args[2])
        place = place if apart == 1 else b.mul(place, ir.Constant(place.type, apart))
        return b.bitcast(b.gep(context.make_array(array)(context, b, args[0]).data, [place]), kind.as_pointer())

    def load(context: Any, array: Any, first: Any, index: Any) -> Any:
        def emit(c: Any, b: Any, s: Any, a: Any) -> Any:
            value = b.load(address(c, b, array, a))
            value.align = bytes_
            return value

        return t(array, types.intp, types.intp), emit

    def store(context: Any, array: Any, first: Any, index: Any, value: Any) -> Any:
        def emit(c: Any, b: Any, s: Any, a: Any) -> Any:
            b.store(a[3], address(c, b, array, a)).align = bytes_
            return c.get_dummy_value()

        return types.void(array, types.intp, types.intp, t), emit

    return intrinsic(load), intrinsic(store)


@cache
def single(element: str) -> tuple[Any, Any]:
    """Load and store of plain numbers: compiled in place, where a function would be compiled on its own first."""
    number = getattr(types, element)
    return _memory(number, number.bitwidth // 8)


@intrinsic
def scatter_columns(context: Any, array: Any, first: Any, apart: Any, value: Any) -> Any:
    """Write the elements of a vector to places `apart` from one another."""

    def emit(c: Any, b: Any, s: Any, a: Any) -> Any:
        data = b.gep(c.make_array(array)(c, b, a[0]).data, [a[1]])
        for l in range(value.lanes):
            place = b.gep(data, [b.mul(a[2], ir.Constant(ir.IntType(64), l))])
            b.store(b.extract_element(a[3], ir.Constant(INDEX, l)), place)
        return c.get_dummy_value()

    return types.void(array, types.intp, types.intp, value), emit


@intrinsic
def keep(context: Any, x: Any) -> Any:
    """x itself: a tile's vectors need no spreading over columns."""
    return x(x), lambda c, b, s, a: a[0]


@intrinsic
def add_products(context: Any, block: Any, first: Any, count: Any, columns: Any, total: Any, row: Any) -> Any:
    """Add the products of all pairs of columns, summed over the rows of a block, to the upper half of a matrix.

    ``total[row, a, b] += sum over n < count of block[n, a] block[n, b]`` for b >= a, both arrays flat, the block from
    place `first` on. `columns` is a multiple of `COLUMNS`; some products of the lower half are added too.
    """

    # squares of the triangle stay in registers while all rows pass: a general product does twice the work (AIGIF: 49 ns
    # a row against 85). Four accumulators fit the 16 registers of AVX2, where a vector takes two
    def emit(c: Any, b: Any, s: Any, a: Any) -> Any:
        index, vector = ir.IntType(64), ir.VectorType(c.get_data_type(block.dtype), COLUMNS)
        number_of = lambda k: ir.Constant(index, k)  # noqa: E731
        data, out = (c.make_array(s.args[k])(c, b, a[k]).data for k in (0, 4))
        width, bytes_ = a[3], block.dtype.bitwidth // 8
        sums = [cgutils.alloca_once(b, vector) for _ in range(COLUMNS // 2)]
        data = b.gep(data, [a[1]])
        out = b.gep(out, [b.mul(a[5], b.mul(width, width))])

        def vector_at(array: Any, place: Any) -> Any:
            return b.bitcast(b.gep(array, [place]), vector.as_pointer())

        def range_of(start: Any, stop: Any, step: Any) -> Any:
            return cgutils.for_range_slice(b, start, stop, step, index)

        with (
            range_of(number_of(0), width, number_of(len(sums))) as (i, _),
            range_of(b.and_(i, number_of(-COLUMNS)), width, number_of(COLUMNS)) as (j, _),
        ):
            for x in sums:
                b.store(ir.Constant(vector, None), x)
            with range_of(number_of(0), b.mul(a[2], width), width) as (n, _):
                right = b.load(vector_at(data, b.add(n, j)))
                right.align = bytes_
                for k, x in enumerate(sums):
                    left = emit_splat(b, vector, b.load(b.gep(data, [b.add(b.add(n, i), number_of(k))])))
                    b.store(emit_call(b, "fmuladd", vector, [left, right, b.load(x)]), x)
            for k, x in enumerate(sums):
                place = vector_at(out, b.add(b.mul(b.add(i, number_of(k)), width), j))
                before = b.load(place)
                before.align = bytes_
                b.store(b.fadd(before, b.load(x)), place).align = bytes_
        return c.get_dummy_value()

    return types.void(block, types.intp, types.intp, types.intp, total, types.intp), emit


@cache
def columns(element: str) -> dict[str, Any]:
    """What a kernel of one row calls to work on `COLUMNS` columns of its derivatives together."""
    v, number = floats(element, COLUMNS), getattr(types, element)
    bytes_ = number.bitwidth // 8
    load_columns, store_columns = _offset_memory(Floats(number, COLUMNS), bytes_)
    load_step, store_step = _offset_memory(number, bytes_)
    return {
        "STRIDE": COLUMNS, "load_columns": load_columns, "store_columns": store_columns, "load_step": load_step,
        "store_step": store_step, "scatter_columns": scatter_columns,
        "spread": v.splat, "add_products": add_products, **{f"{name}_columns": getattr(v, name) for name in OF_COLUMNS},
    }  # fmt: skip


@cache
def floats(element: str, lanes: int) -> SimpleNamespace:
    """What a kernel of this precision and width calls: loads, broadcasts, masks and functions.

    Parameters
    ----------
    element : str
        ``"float32"`` or ``"float64"``.
    lanes : int
        Rows in a tile.
    """
    number = getattr(types, element)
    square = min(lanes, 512 // number.bitwidth)
    vector, counter, flags = Floats(number, lanes), Ints(lanes), Flags(lanes)

    def broadcast(t: types.Type, scalar: types.Type) -> Any:
        def splat(context: Any, x: Any) -> Any:
            return t(scalar), lambda c, b, s, a: emit_splat(b, llvm_type(t), a[0])

        return intrinsic(splat)

    @intrinsic
    def mask(context: Any, word: Any) -> Any:
        def emit(c: Any, b: Any, s: Any, a: Any) -> Any:
            return b.bitcast(b.trunc(a[0], ir.IntType(lanes)), llvm_type(flags))

        return flags(types.int64), emit

    @intrinsic
    def turn(context: Any, source: Any, starts: Any, scratch: Any, target: Any, stride: Any) -> Any:
        """Read `square` values from each of `lanes` places of `source`, transpose, write rows `stride` apart."""
        part = ir.VectorType(llvm_type(vector).element, square)

        def emit(c: Any, b: Any, s: Any, a: Any) -> Any:
            data, starting, out = (c.make_array(s.args[k])(c, b, a[k]).data for k in (0, 1, 2))
            number_of = lambda k: ir.Constant(ir.IntType(64), k)  # noqa: E731
            read = ir.VectorType(c.get_data_type(s.args[0].dtype), square)
            for group in range(0, lanes, square):
                rows = []
                for l in range(group, group + square):
                    start = b.load(b.gep(starting, [number_of(l)]))
                    value = b.load(b.bitcast(b.gep(data, [start]), read.as_pointer()))
                    value.align = s.args[0].dtype.bitwidth // 8
                    rows.append(_cast(b, value, part))
                for q, column in enumerate(_transposed(b, rows)):
                    place = b.add(b.add(a[3], number_of(group)), b.mul(a[4], number_of(q)))
                    b.store(column, b.bitcast(b.gep(out, [place]), part.as_pointer())).align = number.bitwidth // 8
            return c.get_dummy_value()

        return types.void(source, starts, scratch, types.int64, types.int64), emit

    load, store = _memory(vector, number.bitwidth // 8)
    load_columns, store_columns = _offset_memory(vector, number.bitwidth // 8, lanes)
    loadi, storei = _memory(counter, 4)
    splat, splati = broadcast(vector, number), broadcast(counter, types.int32)
    space = SimpleNamespace(
        F=getattr(np, element), LANES=lanes, SQUARE=square, load=load, store=store, loadi=loadi, storei=storei,
        splat=splat, splati=splati, where=where, bits=bits, lowest=lowest, mask=mask, pow2=pow2,
        turn=turn, fma=fma, fabs=_llvm_function("fabs"), sqrt=_llvm_function("sqrt"), log=_llvm_function("log"),
        sin=_llvm_function("sin"), cos=_llvm_function("cos"), both=both, no=no, expm1=expm1,
        STRIDE=1, load_columns=load_columns, store_columns=store_columns,
        load_step=load_columns, store_step=store_columns, scatter_columns=scatter_columns,
        spread=keep, add_products=add_products,
    )  # fmt: skip
    space.__dict__.update(simd_math.functions(space))
    space.__dict__.update({f"{name}_columns": getattr(space, name) for name in OF_COLUMNS})
    return space
