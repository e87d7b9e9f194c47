"""The vector functions for a tile of one row: plain numbers, no intrinsics; also the fallback where those fail."""

from __future__ import annotations

import math
from functools import cache
from math import factorial
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import njit

from ephysfit.kernels.simd_math import horner, taylor


@njit
def load(array, index):
    return array[index]


@njit
def store(array, index, value):
    array[index] = value


@njit
def loadi(array, index):
    return np.int64(array[index])


@njit
def storei(array, index, value):
    array[index] = value


@njit
def where(flag, x, y):
    return x if flag else y


@njit
def bits(flag):
    return np.int64(1) if flag else np.int64(0)


@njit
def lowest(word):
    return np.int64(0)


@njit
def mask(word):
    return (word & 1) != 0


@njit
def turn(source, starts, scratch, target, stride):
    scratch[target] = source[starts[0]]


@njit
def fma(x, y, z):
    return x * y + z


@njit
def both(x, y):
    return x and y


@njit
def no(x):
    return not x


@njit
def splati(x):
    return np.int64(x)


def _fused() -> Any:
    from ephysfit.kernels.simd import fused

    return fused


@cache
def numbers(element: str, plain: bool = False) -> SimpleNamespace:
    """As `vectors.floats`, for one row; `plain` does without any intrinsic."""
    F = getattr(np, element)
    multiply_add = fma if plain else _fused()
    quotient = njit(error_model="numpy")  # a division by zero gives inf, as everywhere in kernels
    ph = taylor(F, 8, lambda k: 1 / factorial(k + 1))
    dp = taylor(F, 19, lambda k: (k + 1) / factorial(k + 2))

    @quotient
    def splat(x):
        return F(x)

    polynomial = horner(splat, multiply_add)

    @quotient
    def exp(x):
        return F(math.exp(x))

    @quotient
    def log(x):
        return F(math.log(x))

    @quotient
    def sqrt(x):
        return F(math.sqrt(x))

    @quotient
    def sin(x):
        return F(math.sin(x))

    @quotient
    def cos(x):
        return F(math.cos(x))

    @quotient
    def tanh(x):
        return F(math.tanh(x))

    @quotient
    def fabs(x):
        return F(math.fabs(x))

    @quotient
    def sigmoid(x):
        return F(1) / (F(1) + exp(-x))

    @quotient
    def softplus(x):
        return F(max(x, F(0))) + F(math.log1p(math.exp(-math.fabs(x))))

    @quotient
    def phi1(x):
        return polynomial(x, ph) if abs(x) < F(0.03125) else F(math.expm1(x) / x)

    @quotient
    def dphi1(x):
        return polynomial(x, dp) if abs(x) < F(1) else F((exp(x) * (x - F(1)) + F(1)) / (x * x))

    return SimpleNamespace(
        F=F, LANES=1, SQUARE=1, load=load, store=store, loadi=loadi, storei=storei, splat=splat, splati=splati,
        where=where, bits=bits, lowest=lowest, mask=mask, turn=turn, fma=multiply_add, fabs=fabs, sqrt=sqrt, log=log,
        sin=sin, cos=cos, both=both, no=no, exp=exp, sigmoid=sigmoid, softplus=softplus, phi1=phi1, dphi1=dphi1,
        tanh=tanh,
    )  # fmt: skip
