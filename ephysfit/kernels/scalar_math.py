"""The vector functions for a tile of one row: plain numbers, no intrinsics; also the fallback where those fail."""

from __future__ import annotations

import math
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numba import njit


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


def _phi1_terms(x: Any) -> Any:
    total = 1.0
    for k in range(20, 0, -1):
        total = 1.0 + total * x / (k + 1)
    return total


def _dphi1_terms(x: Any) -> Any:
    total = 0.0
    for k in range(20, -1, -1):
        total = total * x / (k + 3) + (k + 1)
    return 0.5 * total


def _fused() -> Any:
    from ephysfit.kernels.simd import fused

    return fused


@cache
def numbers(element: str, plain: bool = False) -> SimpleNamespace:
    """As `vectors.floats`, for one row; `plain` does without any intrinsic."""
    F = getattr(np, element)
    multiply_add = fma if plain else _fused()
    phi1_near, dphi1_near = njit(_phi1_terms), njit(_dphi1_terms)

    @njit
    def splat(x):
        return F(x)

    @njit
    def exp(x):
        return F(math.exp(x)) if x < 709.0 else F(np.inf)

    @njit
    def log(x):
        return F(math.log(x))

    @njit
    def sqrt(x):
        return F(math.sqrt(x))

    @njit
    def sin(x):
        return F(math.sin(x))

    @njit
    def cos(x):
        return F(math.cos(x))

    @njit
    def tanh(x):
        return F(math.tanh(x))

    @njit
    def fabs(x):
        return F(math.fabs(x))

    @njit
    def sigmoid(x):
        return F(1) / (F(1) + exp(-x))

    @njit
    def softplus(x):
        return F(max(x, F(0))) + F(math.log1p(math.exp(-math.fabs(x))))

    @njit
    def phi1(x):
        return F(phi1_near(x)) if abs(x) < 1.0 else F((exp(x) - F(1)) / x)

    @njit
    def dphi1(x):
        return F(dphi1_near(x)) if abs(x) < 1.0 else F((exp(x) * (x - F(1)) + F(1)) / (x * x))

    return SimpleNamespace(
        F=F, LANES=1, SQUARE=1, load=load, store=store, loadi=loadi, storei=storei, splat=splat, splati=splati,
        where=where, bits=bits, lowest=lowest, mask=mask, turn=turn, fma=multiply_add, fabs=fabs, sqrt=sqrt, log=log,
        sin=sin, cos=cos, both=both, no=no, exp=exp, sigmoid=sigmoid, softplus=softplus, phi1=phi1, dphi1=dphi1,
        tanh=tanh,
    )  # fmt: skip
