"""exp, softplus and their kin as polynomials over vectors; LLVM's own would call the scalar library lane by lane.

Worst relative errors against the exact value (measured in tests/kernels/test_compiled_math.py): 2.5 units in the
last place for exp, 4 for the others, over their whole range; overflow gives inf and underflow 0 as the library does.
"""

from __future__ import annotations

from math import factorial, log2
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
from numba import njit

#: a number or a vector of numbers, whose type numba infers
Value: TypeAlias = Any


def functions(v: SimpleNamespace) -> dict[str, Any]:
    """The mathematical functions a kernel may call, over the vectors of `v`."""
    return _exponentials(v)


def _exponentials(v: SimpleNamespace) -> dict[str, Any]:
    F, splat, fma, where, pow2 = v.F, v.splat, v.fma, v.where, v.pow2
    single = F is np.float32
    low, high = (F(-120.0), F(100.0)) if single else (F(-800.0), F(750.0))
    magic = F(1.5 * 2.0 ** (23 if single else 52))  # adding and taking it away rounds to an integer
    per_ln2 = F(log2(np.e))
    ln2 = np.log(np.longdouble(2))
    ln2_high = F(0.693359375) if single else F(0.693145751953125)
    ln2_low = F(ln2 - np.longdouble(ln2_high))
    ex = taylor(F, 8 if single else 14, lambda k: 1 / factorial(k))
    ph = taylor(F, 11 if single else 18, lambda k: 1 / factorial(k + 1))
    dp = taylor(F, 11 if single else 19, lambda k: (k + 1) / factorial(k + 2))
    at = taylor(F, 8 if single else 17, lambda k: 1 / (2 * k + 1))
    zero, half, one, two, top = F(0), F(0.5), F(1), F(2), F(20)
    polynomial = horner(v.splat, v.fma)

    @njit
    def exp(x: Value) -> Value:
        m = splat(magic)
        x = where(x < splat(low), splat(low), where(x > splat(high), splat(high), x))
        # x = n ln 2 + r with n whole and r small, so that a short polynomial is enough for e^r. ln 2 has two parts, the
        # first of so few bits that n times it is exact: as one number, it would put n times its rounding error into r
        n = fma(x, splat(per_ln2), m) - m
        r = fma(-n, splat(ln2_low), fma(-n, splat(ln2_high), x))
        # 2^n in two factors: at either end of the range it is no normal number, but each half is
        first = fma(n, splat(half), m) - m
        return polynomial(r, ex) * pow2(first) * pow2(n - first)

    @njit
    def sigmoid(x: Value) -> Value:
        return splat(one) / (splat(one) + exp(-x))

    @njit
    def softplus(x: Value) -> Value:
        # max(x, 0) + log(1 + z) with z = e^-|x| at most 1, so nothing overflows; log(1 + z) = 2 artanh(z / (2 + z))
        z = exp(-v_abs(x))
        s = z / (splat(two) + z)
        return where(x > splat(zero), x, splat(zero)) + splat(two) * s * polynomial(s * s, at)

    @njit
    def phi1(x: Value) -> Value:
        # all lanes compute both forms, so each gets an argument that it can take: the quotient never sees 0
        near = v_abs(x) < splat(one)
        safe = where(near, splat(one), x)
        return where(near, polynomial(where(near, x, splat(zero)), ph), (exp(safe) - splat(one)) / safe)

    @njit
    def dphi1(x: Value) -> Value:
        near = v_abs(x) < splat(one)
        safe = where(near, splat(one), x)
        far = fma(exp(safe), safe - splat(one), splat(one)) / (safe * safe)
        return where(near, polynomial(where(near, x, splat(zero)), dp), far)

    @njit
    def tanh(x: Value) -> Value:
        # tanh x = (e^2x - 1) / (e^2x + 1), with e^2x - 1 = 2x phi1(2x), which keeps its digits near 0
        z = where(x > splat(top), splat(top), where(x < splat(-top), splat(-top), x)) * splat(two)
        grown = z * phi1(z)
        return grown / (grown + splat(two))

    v_abs = v.fabs
    return {"exp": exp, "sigmoid": sigmoid, "softplus": softplus, "phi1": phi1, "dphi1": dphi1, "tanh": tanh}


def taylor(F: Any, terms: int, coefficient: Any) -> tuple[Any, ...]:
    """The first coefficients of a power series, rounded to the precision `F`."""
    return tuple(F(coefficient(k)) for k in range(terms))


def horner(splat: Any, fma: Any) -> Any:
    """A polynomial of a number or a vector, coefficients from the constant term on."""

    @njit
    def polynomial(x: Value, coefficients: tuple[Any, ...]) -> Value:
        total = splat(coefficients[-1])
        for k in range(len(coefficients) - 2, -1, -1):
            total = fma(total, x, splat(coefficients[k]))
        return total

    return polynomial
