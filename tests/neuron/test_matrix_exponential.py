"""Exponentials of matrices with zeros in known places, against scipy's of the full matrix."""

import numpy as np
import pytest
from scipy.linalg import expm, expm_frechet

from ephysfit.neuron.matrix_exponential import LANES, Pattern

#: rates, and what is not zero: one state, a chain, a circle of three, none that meet, nothing at all
PATTERNS = {
    "one": (1, ((0, 0), (0, 1))),
    "chain": (3, ((0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 4))),
    "circle": (3, ((0, 1), (1, 2), (2, 0), (2, 3), (0, 4))),
    "apart": (4, ((0, 0), (1, 1), (2, 2), (3, 3))),
    "nothing": (2, ()),
}
WIDTH = 5


def full(places, values):
    """Square matrices with these values, (matrix, row, column)."""
    out = np.zeros((values.shape[1], WIDTH, WIDTH), dtype=values.dtype)
    for k, place in enumerate(places):
        out[:, *place] = values[k]
    return out


def spread(pattern, entries):
    """Exponentials from their entries, (matrix, row, column)."""
    out = np.zeros((entries.shape[1], WIDTH, WIDTH), dtype=entries.dtype)
    for k, place in enumerate(pattern.found):
        out[:, *place] = entries[k]
    return out + np.eye(WIDTH)


@pytest.mark.parametrize("size", [1e-6, 0.03, 1.0, 8.0])
@pytest.mark.parametrize("name", list(PATTERNS))
def test_they_are_those_of_the_full_matrix(name, size):
    rates, places = PATTERNS[name]
    pattern = Pattern.of(rates, places)
    values = size * np.random.default_rng(0).normal(size=(len(places), 2 * LANES + 3))
    expected = expm(full(places, values))
    each = np.abs(expected).max((1, 2), keepdims=True)
    np.testing.assert_allclose(spread(pattern, pattern.exponentiate(values)) / each, expected / each, atol=2e-13)
    alone = [pattern.exponentiate(values[:, k : k + 1])[:, 0] for k in (0, LANES, 2 * LANES + 2)]
    together = pattern.exponentiate(values)[:, [0, LANES, 2 * LANES + 2]].T
    scale = np.abs(together).max(initial=1e-300)
    np.testing.assert_allclose(np.array(alone) / scale, together / scale, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["one", "chain", "circle"])
def test_imaginary_steps_are_derivatives(name):
    rates, places = PATTERNS[name]
    pattern, rng = Pattern.of(rates, places), np.random.default_rng(1)
    values, moved = rng.normal(size=(2, len(places), 4))
    found = pattern.exponentiate(values + 1e-30j * moved).imag / 1e-30
    for k in range(4):
        a, e = (full(places, v[:, k : k + 1])[0] for v in (values, moved))
        expected = expm_frechet(a, e, compute_expm=False)
        np.testing.assert_allclose(spread(pattern, found)[k] - np.eye(WIDTH), expected, rtol=1e-11, atol=1e-13)


def test_small_entries_keep_all_their_digits():
    """exp(x) - 1 as `expm1` gives it, where scipy's exponential less one has lost nine digits."""
    pattern = Pattern.of(1, ((0, 0),))
    x = np.array([[-1e-9, 1e-7, -0.3, -4.0]])
    np.testing.assert_allclose(pattern.exponentiate(x), np.expm1(x), rtol=1e-15)


def test_a_strong_drive_asks_for_no_smaller_steps():
    """What drives a state enters linearly: a million times of it is a million times the step, to the last digit."""
    pattern = Pattern.of(1, ((0, 0), (0, 1)))
    weak, strong = (pattern.exponentiate(np.array([[-0.1], [drive]]))[:, 0] for drive in (0.7, 0.7 * 2.0**20))
    assert strong.tolist() == [weak[0], weak[1] * 2.0**20]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_what_is_not_finite_ends_and_stays_with_its_own_matrices(bad):
    pattern = Pattern.of(1, ((0, 0), (0, 1)))
    values = np.full((2, LANES + 1), -0.5)
    values[0, 0] = bad
    found = pattern.exponentiate(values)
    assert not np.isfinite(found[0, 0])
    assert found[0, -1] == pytest.approx(np.expm1(-0.5), rel=1e-15)
