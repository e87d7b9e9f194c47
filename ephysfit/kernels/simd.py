"""SIMD values for numba: a vector of floats, of int32 counters or of flags that LLVM keeps in registers.

numba's own vectoriser leaves a neuron's step scalar (measured: 3-18 ns per neuron-step against 0.3); typed vectors do
not. Arithmetic works through the usual operators, so a kernel's source is the same for one row (plain numbers) and for
a tile of rows. A vector may be wider than the machine's registers: LLVM splits it, which interleaves two chains.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

from ephysfit.kernels import simd_math
from ephysfit.kernels.tile_memory import COLUMNS

_INDEX = ir.IntType(32)


class Floats(types.Type):
    """A vector of `lanes` floats of type `element`."""

    def __init__(self, element: types.Float, lanes: int) -> None:
        self.element, self.lanes = element, lanes
        super().__init__(name=f"Floats({element}, {lanes})")


class Ints(types.Type):
    """A vector of int32 counters."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"Ints({lanes})")


class Flags(types.Type):
    """A vector of truth values."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"Flags({lanes})")


def _llvm(t: Any) -> ir.Type:
    if isinstance(t, Flags):
        return ir.VectorType(ir.IntType(1), t.lanes)
    if isinstance(t, Ints):
        return ir.VectorType(ir.IntType(32), t.lanes)
    element = ir.FloatType() if getattr(t, "element", t) == types.float32 else ir.DoubleType()
    return ir.VectorType(element, t.lanes) if isinstance(t, Floats) else element


def _register(kind: type[types.Type]) -> None:
    @register_model(kind)
    class _Model(models.PrimitiveModel):
        def __init__(self, manager: Any, t: types.Type) -> None:
            super().__init__(manager, t, _llvm(t))


for _kind in (Floats, Ints, Flags):
    _register(_kind)


def _binary(op: Callable[..., Any], kind: type[types.Type], emit: Callable[..., Any]) -> None:
    @type_callable(op)
    def type_binary(context: Any) -> Callable[..., Any]:
        return lambda a, b: a if isinstance(a, kind) and a == b else None

    @lower_builtin(op, kind, kind)
    def lower_binary(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return emit(b, *args)


def _compare(op: Callable[..., Any], symbol: str) -> None:
    @type_callable(op)
    def type_compare(context: Any) -> Callable[..., Any]:
        fits = lambda a, b: isinstance(a, (Floats, Ints)) and a == b  # noqa: E731
        return lambda a, b: Flags(a.lanes) if fits(a, b) else None

    @lower_builtin(op, Floats, Floats)
    def lower_floats(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.fcmp_ordered(symbol, *args)

    @lower_builtin(op, Ints, Ints)
    def lower_ints(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return b.icmp_signed(symbol, *args)


def _unary(op: Callable[..., Any], kind: type[types.Type], emit: Callable[..., Any]) -> None:
    @type_callable(op)
    def type_unary(context: Any) -> Callable[..., Any]:
        return lambda a: a if isinstance(a, kind) else None

    @lower_builtin(op, kind)
    def lower_unary(context: Any, b: Any, signature: Any, args: Any) -> Any:
        return emit(b, *args)


def _operators() -> None:
    floats = {
        operator.add: "fadd",
        operator.sub: "fsub",
        operator.mul: "fmul",
        operator.truediv: "fdiv",
    }
    for op, name in floats.items():
        _binary(op, Floats, lambda b, x, y, name=name: getattr(b, name)(x, y))
    _binary(operator.add, Ints, lambda b, x, y: b.add(x, y))
    _unary(operator.neg, Floats, lambda b, x: b.fneg(x))
    for op, symbol in {operator.ge: ">=", operator.gt: ">", operator.lt: "<", operator.le: "<="}.items():
        _compare(op, symbol)


_operators()


def _splat(builder: Any, vector: ir.VectorType, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_INDEX, vector.count), [0] * vector.count))


def _call(b: Any, name: str, of: ir.Type, args: Any) -> Any:
    vector = isinstance(of, ir.VectorType)
    single = isinstance(of.element if vector else of, ir.FloatType)
    kind = f"{f'v{of.count}' if vector else ''}f{32 if single else 64}"
    signature = ir.FunctionType(of, [of] * len(args))
    return b.call(cgutils.get_or_insert_function(b.module, signature, f"llvm.{name}.{kind}"), args)


def _llvm_function(name: str) -> Any:
    """A function LLVM knows on vectors (`fabs`, `sqrt`; `log`, `sin`, `cos` become one library call per lane)."""

    def one(context: Any, x: Any) -> Any:
        return x(x), lambda c, b, s, a: _call(b, name, _llvm(x), a)

    return intrinsic(one)


@intrinsic
def fma(context: Any, x: Any, y: Any, z: Any) -> Any:
    """x y + z of vectors, or of plain numbers, in one instruction where the machine has it."""
    return x(x, x, x), lambda c, b, s, a: _call(b, "fmuladd", _llvm(x), a)


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
        return b.bitcast(b.shl(n, constant(23 if single else 52)), _llvm(x))

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
        shuffle = lambda order: ir.Constant(ir.VectorType(_INDEX, n), order)  # noqa: E731
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
    kind = _llvm(t)

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


@cache
def single(element: str) -> tuple[Any, Any]:
    """Load and store of plain numbers: compiled in place, where a function would be compiled on its own first."""
    number = getattr(types, element)
    return _memory(number, number.bitwidth // 8)


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

        def range_of(*limits: Any) -> Any:
            return cgutils.for_range_slice(b, *limits, index)

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
                    left = _splat(b, vector, b.load(b.gep(data, [b.add(b.add(n, i), number_of(k))])))
                    b.store(_call(b, "fmuladd", vector, [left, right, b.load(x)]), x)
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
    v = floats(element, COLUMNS)
    return {
        "STRIDE": COLUMNS, "load_columns": v.load, "store_columns": v.store, "spread": v.splat,
        "add_products": add_products,
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
            return t(scalar), lambda c, b, s, a: _splat(b, _llvm(t), a[0])

        return intrinsic(splat)

    @intrinsic
    def mask(context: Any, word: Any) -> Any:
        def emit(c: Any, b: Any, s: Any, a: Any) -> Any:
            return b.bitcast(b.trunc(a[0], ir.IntType(lanes)), _llvm(flags))

        return flags(types.int64), emit

    @intrinsic
    def turn(context: Any, source: Any, starts: Any, scratch: Any, target: Any, stride: Any) -> Any:
        """Read `square` values from each of `lanes` places of `source`, transpose, write rows `stride` apart."""
        part = ir.VectorType(_llvm(vector).element, square)

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
    loadi, storei = _memory(counter, 4)
    splat, splati = broadcast(vector, number), broadcast(counter, types.int32)
    space = SimpleNamespace(
        F=getattr(np, element), LANES=lanes, SQUARE=square, load=load, store=store, loadi=loadi, storei=storei,
        splat=splat, splati=splati, where=where, bits=bits, lowest=lowest, mask=mask, pow2=pow2,
        turn=turn, fma=fma, fabs=_llvm_function("fabs"), sqrt=_llvm_function("sqrt"), log=_llvm_function("log"),
        sin=_llvm_function("sin"), cos=_llvm_function("cos"), both=both, no=no,
        STRIDE=1, load_columns=load, store_columns=store, spread=keep, add_products=add_products,
    )  # fmt: skip
    space.__dict__.update(simd_math.functions(space))
    return space
