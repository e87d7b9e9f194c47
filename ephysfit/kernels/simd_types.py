"""The types of SIMD values as numba sees them, and their operators: vectors of floats, of int32 counters, of flags."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, models, register_model, type_callable

INDEX = ir.IntType(32)


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


def llvm_type(t: Any) -> ir.Type:
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
            super().__init__(manager, t, llvm_type(t))


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


def emit_splat(builder: Any, vector: ir.VectorType, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(INDEX, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(INDEX, vector.count), [0] * vector.count))


def emit_call(b: Any, name: str, of: ir.Type, args: Any) -> Any:
    vector = isinstance(of, ir.VectorType)
    single = isinstance(of.element if vector else of, ir.FloatType)
    kind = f"{f'v{of.count}' if vector else ''}f{32 if single else 64}"
    signature = ir.FunctionType(of, [of] * len(args))
    return b.call(cgutils.get_or_insert_function(b.module, signature, f"llvm.{name}.{kind}"), args)
