"""Vector functions against exact values: error in units of the last place, over the whole range."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_array_equal
from scipy.special import expit

from ephysfit.kernels.scalar_math import numbers
from ephysfit.kernels.simd import floats

L = np.longdouble


def _phi1(x):
    x = x.astype(L)
    return np.where(x == 0, L(1), np.expm1(x) / np.where(x == 0, L(1), x))


def _dphi1(x):
    x = x.astype(L)
    series = sum((k + 1) * x**k / L(np.prod(np.arange(1, k + 3, dtype=L))) for k in range(30))
    far = np.where(np.abs(x) < 2, L(1), x)
    return np.where(np.abs(x) < 2, series, (np.exp(far) * (far - 1) + 1) / far**2)


EXACT = {
    "exp": (lambda x: np.exp(x.astype(L)), (-80.0, 80.0), 2.5),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x.astype(L))), (-80.0, 80.0), 4.0),
    "softplus": (lambda x: np.logaddexp(L(0), x.astype(L)), (-80.0, 80.0), 4.0),
    "phi1": (_phi1, (-80.0, 80.0), 4.0),
    "dphi1": (_dphi1, (-80.0, 80.0), 6.0),
    "tanh": (lambda x: np.tanh(x.astype(L)), (-30.0, 30.0), 6.0),
}


def mapped(space, name, x):
    """The function over an array, tile by tile."""
    function, lanes, load, store = getattr(space, name), space.LANES, space.load, space.store

    @njit
    def go(x, out):
        for k in range(0, x.size, lanes):
            store(out, k, function(load(x, k)))

    out = np.empty_like(x)
    go(x, out)
    return out


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize(("element", "lanes"), [("float32", 16), ("float64", 8), ("float64", 1)])
def test_stated_errors_hold(name, element, lanes):
    exact, (low, high), allowed = EXACT[name]
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(low, high, 40_000), rng.normal(0, 1, 20_000), rng.normal(0, 1e-4, 4000)])
    x = x.astype(element)
    space = numbers(element) if lanes == 1 else floats(element, lanes)
    true = exact(x)
    unit = np.spacing(np.abs(true).astype(element)).astype(L)
    error = np.abs(mapped(space, name, x).astype(L) - true) / unit
    assert float(error.max()) <= allowed


@pytest.mark.parametrize(("element", "lanes"), [("float32", 16), ("float64", 8)])
def test_ends_of_the_range_behave_as_the_library(element, lanes):
    x = np.array([-1e4, -np.inf, 1e4, np.inf, 0, np.nan, 1, -1] * 2, element)
    out = mapped(floats(element, lanes), "exp", x)[:8]
    with np.errstate(over="ignore"):
        assert_array_equal(out[:5], np.exp(x[:5]))
    assert np.isnan(out[5])
    assert_array_equal(mapped(floats(element, lanes), "sigmoid", x)[:5], expit(x[:5]))
