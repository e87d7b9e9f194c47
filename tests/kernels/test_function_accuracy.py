"""Every implementation of phi1, its derivative, sigmoid and softplus against 60 digits.

Within 8 units in the last place for arguments from -700 to 700. Beyond, results leave the range of normal numbers:
dphi1 overflows from 703 on (the function itself from 709 on), sigmoid and softplus become subnormal below -708, and
the exported Python file holds its exponents at 700.
"""

from __future__ import annotations

import math
import re
from importlib.resources import files

import mpmath
import numpy as np
import pytest
import sympy
import torch
from numba import njit

from ephysfit.kernels.scalar_math import numbers
from ephysfit.kernels.simd import floats
from ephysfit.neuron import formula, functions, symbolic_functions

FUNCTIONS = ("phi1", "dphi1", "sigmoid", "softplus")
ALLOWED = 8.0


def grid():
    """Where formulas change over to others and where digits cancel, and at random between."""
    places = [
        1e-300,
        1e-16,
        1e-8,
        1e-5,
        1e-3,
        1e-2,
        2.0**-5,
        0.1,
        0.5,
        1.0,
        2.0,
        4.0,
        8.0,
        30.0,
        36.0,
        80.0,
        300.0,
        697.0,
    ]
    factors = [0.99, 1 - 1e-9, 1.0, 1 + 1e-9, 1.003]
    edges = np.outer(places, factors).ravel()
    rng = np.random.default_rng(0)
    drawn = [rng.uniform(-700, 700, 200), rng.uniform(-40, 40, 300), rng.normal(0, 1, 400), rng.normal(0, 1e-3, 200)]
    return np.concatenate([[0.0, 700.0, -700.0], edges, -edges, *drawn])


def exact(name, x):
    x = mpmath.mpf(float(x))
    if name == "sigmoid":
        return 1 / (1 + mpmath.exp(-x))
    if name == "softplus":
        return max(x, 0) + mpmath.log1p(mpmath.exp(-abs(x)))
    if name == "phi1":
        return mpmath.expm1(x) / x if x else mpmath.mpf(1)
    if abs(x) < 1:
        return mpmath.fsum((k + 1) * x**k / mpmath.factorial(k + 2) for k in range(60))
    return (mpmath.exp(x) * (x - 1) + 1) / x**2


def compiled(space, name):
    """A kernel's function over an array, tile by tile."""
    function, lanes, load, store = getattr(space, name), space.LANES, space.load, space.store

    @njit
    def go(x, out):
        for k in range(0, x.size, lanes):
            store(out, k, function(load(x, k)))

    def run(x):
        padded, out = np.zeros(-(-x.size // lanes) * lanes), np.zeros(-(-x.size // lanes) * lanes)
        padded[: x.size] = x
        go(padded, out)
        return out[: x.size]

    return run


def one_by_one(function):
    return lambda x: np.array([float(function(float(v))) for v in x])


def exported():
    """The functions of an exported Python file, by name."""
    template = files("ephysfit.reports.export.templates").joinpath("python.py.j2").read_text(encoding="utf-8")
    space = {"math": math, "np": np}
    for text in re.findall(r"^def (?:exp|sigmoid|softplus|phi1)\(x\):\n(?: .*\n)+", template, re.M):
        exec(text, space)
    return {name: space[name] for name in FUNCTIONS if name in space}


def of_symbols(name):
    """What sympy's function, or the derivative that it says it has, comes to as a function of tensors."""
    x = sympy.Symbol("x", real=True)
    e = sympy.diff(symbolic_functions.phi1(x), x) if name == "dphi1" else getattr(symbolic_functions, name)(x)
    made = formula.torch_function([x], e)
    return lambda values: made(torch.from_numpy(values)).numpy()


def implementations():
    tensors = lambda function: lambda x: function(torch.from_numpy(x)).numpy()  # noqa: E731
    for name in FUNCTIONS:
        yield name, "scalar_math", lambda name=name: compiled(numbers("float64"), name)
        yield name, "scalar_math, plain", lambda name=name: compiled(numbers("float64", plain=True), name)
        yield name, "simd_math", lambda name=name: compiled(floats("float64", 8), name)
        yield name, "formula", lambda name=name: tensors(formula._tensor_functions()[name])
        yield name, "symbolic_functions", lambda name=name: of_symbols(name)
        if name != "dphi1":
            yield name, "functions, numbers", lambda name=name: one_by_one(getattr(functions, name))
            yield name, "functions, tensors", lambda name=name: tensors(getattr(functions, name))
            yield name, "exported file", lambda name=name: one_by_one(exported()[name])


@pytest.fixture(scope="module")
def truth():
    x = grid()
    with mpmath.workdps(60):
        return {name: [exact(name, v) for v in x] for name in FUNCTIONS}


CASES = [pytest.param(name, make, id=f"{name}, {where}") for name, where, make in implementations()]


@pytest.mark.parametrize(("name", "make"), CASES)
def test_within_eight_units_in_the_last_place(name, make, truth):
    x = grid()
    found = make()(x)
    with mpmath.workdps(60):
        units = [mpmath.mpf(float(np.spacing(abs(float(e))))) for e in truth[name]]
        pairs = zip(found, truth[name], units, strict=True)
        errors = np.array([float(abs(mpmath.mpf(float(f)) - e) / u) for f, e, u in pairs])
    worst = int(np.nanargmax(errors))
    assert np.isfinite(found).all()
    assert errors[worst] <= ALLOWED, f"{errors[worst]:.3g} units at {x[worst]!r}"
