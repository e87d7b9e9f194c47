"""The vector functions for a tile of one row: plain numbers, no intrinsics; also the fallback where those fail."""

from __future__ import annotations

import math
import operator
from functools import cache
from math import factorial
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import njit

from ephysfit.kernels.simd_math import Value, horner, taylor
from ephysfit.kernels.tile_memory import OF_COLUMNS


@njit
def load(array: np.ndarray, index: int) -> Any:
    """The value at a place of an array."""
    return array[index]


@njit
def store(array: np.ndarray, index: int, value: float) -> None:
    """Write a value to a place of an array."""
    array[index] = value


@njit
def loadi(array: np.ndarray, index: int) -> np.int64:
    """The counter at a place of an array."""
    return np.int64(array[index])


@njit
def storei(array: np.ndarray, index: int, value: int) -> None:
    """Write a counter to a place of an array."""
    array[index] = value


@njit
def where(flag: bool, x: float, y: float) -> float:
    """x where the flag is set, else y."""
    return x if flag else y


@njit
def lowest(word: int) -> np.int64:
    """Index of the lowest set bit: the only lane."""
    return np.int64(0)


@njit
def mask(word: int) -> bool:
    """The flag of the only lane."""
    return (word & 1) != 0


@njit
def turn(source: np.ndarray, starts: np.ndarray, scratch: np.ndarray, target: int, stride: int) -> None:
    """Copy one value, where a tile of several lanes transposes a square of them."""
    scratch[target] = source[starts[0]]


@njit
def load_step(array: np.ndarray, first: int, index: int) -> Any:
    """The value at a place counted from another."""
    return array[first + index]


@njit
def store_step(array: np.ndarray, first: int, index: int, value: float) -> None:
    """Write a value there."""
    array[first + index] = value


@njit
def scatter_columns(array: np.ndarray, first: int, apart: int, value: float) -> None:
    """Write the only step's value."""
    array[first] = value


@njit
def add_products(block: np.ndarray, first: int, count: int, columns: int, total: np.ndarray, row: int) -> None:
    """As `simd.add_products`, in plain loops."""
    for a in range(columns):
        for b in range(a, columns):
            product = 0.0
            for n in range(count):
                product += block[first + n * columns + a] * block[first + n * columns + b]
            total[(row * columns + a) * columns + b] += product


@njit
def fma(x: float, y: float, z: float) -> float:
    """x y + z."""
    return x * y + z


@njit
def exp(x: float) -> float:
    """e to the power of x, infinite beyond the range of floats."""
    # plain Python, where kernels run with NUMBA_DISABLE_JIT=1, raises what compiled code gives as infinity
    return x * np.inf if x > 709.78 else math.exp(x)


@cache
def numbers(element: str, plain: bool = False) -> SimpleNamespace:
    """The names that a kernel calls, for one row per tile; the counterpart of `simd.floats`.

    Parameters
    ----------
    element : str
        ``"float32"`` or ``"float64"``.
    plain : bool
        Do without any intrinsic.
    """
    F = getattr(np, element)
    space = SimpleNamespace(
        F=F, LANES=1, SQUARE=1, load=load, store=store, loadi=loadi, storei=storei, splat=F, splati=np.int64,
        where=where, bits=np.int64, lowest=lowest, mask=mask, turn=turn, fma=fma, both=operator.and_, no=operator.not_,
        fabs=math.fabs, sqrt=math.sqrt, log=math.log, sin=math.sin, cos=math.cos, exp=exp, tanh=math.tanh,
        expm1=math.expm1,
        STRIDE=1, load_columns=load_step, store_columns=store_step, load_step=load_step, store_step=store_step,
        scatter_columns=scatter_columns, spread=F, add_products=add_products,
    )  # fmt: skip
    space.__dict__.update(_functions(F, space.exp, space.fma))
    space.__dict__.update({f"{name}_columns": getattr(space, name) for name in OF_COLUMNS})
    if not plain:
        # where numba refuses vector types this import fails, and plain numbers are the way out (`tiles.vectors_work`)
        from ephysfit.kernels import simd

        # a function of two lines takes a twentieth of a second to compile on its own, an intrinsic nothing
        space.load, space.store = simd.single(element)
        space.where, space.fma, space.exp = simd.where, simd.fma, math.exp
        space.__dict__.update(simd.columns(element))
        space.__dict__.update(_functions(F, space.exp, space.fma))
    return space


def _functions(F: Any, exp: Any, fma: Any) -> dict[str, Any]:
    """Functions that the machine's library lacks or computes less exactly."""
    quotient = njit(error_model="numpy")  # a division by zero gives inf, as everywhere in kernels
    expm1, log1p, fabs = math.expm1, math.log1p, math.fabs
    polynomial = horner(F, fma)
    c1, c2, c3, c4, c5, c6, c7, c8 = taylor(F, 8, lambda k: 1 / factorial(k + 1))
    dp = taylor(F, 19, lambda k: (k + 1) / factorial(k + 2))
    zero, one, near = F(0), F(1), F(2.0**-5)

    @quotient
    def sigmoid(x: Value) -> Value:
        return one / (one + exp(-x))

    @quotient
    def softplus(x: Value) -> Value:
        return max(x, zero) + log1p(exp(-fabs(x)))

    @quotient
    def phi1(x: Value) -> Value:
        # most bins expect few spikes: eight terms are faster than a call of the library, and as exact
        if fabs(x) < near:
            return fma(fma(fma(fma(fma(fma(fma(c8, x, c7), x, c6), x, c5), x, c4), x, c3), x, c2), x, c1)
        return (exp(x) - one) / x if x > one else expm1(x) / x

    @quotient
    def dphi1(x: Value) -> Value:
        return polynomial(x, dp) if fabs(x) < one else (exp(x) * (x - one) + one) / (x * x)

    return {"sigmoid": sigmoid, "softplus": softplus, "phi1": phi1, "dphi1": dphi1}
