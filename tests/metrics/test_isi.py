"""Rates and intervals: the papers' formulas and SciPy as oracles."""

import numpy as np
import pytest
from metric_trains import poisson
from scipy.stats import ks_2samp

from ephysfit.errors import ScoreError
from ephysfit.metrics import cv, cv2, isi_distance, lv, lvr, rate_error, rate_hz


@pytest.fixture(scope="module")
def trains():
    return poisson(np.random.default_rng(6), 12, 10_000, 6)


def test_interval_statistics_are_their_formulas(trains):
    """Elephant's, in milliseconds, against what the papers write."""
    for t in trains:
        gaps = np.diff(t)
        both, contrast = gaps[1:] + gaps[:-1], np.diff(gaps) / (gaps[1:] + gaps[:-1])
        assert cv(t) == pytest.approx(gaps.std() / gaps.mean(), rel=1e-12)
        assert cv2(t) == pytest.approx(2 * np.abs(contrast).mean(), rel=1e-12)
        assert lv(t) == pytest.approx(3 * (contrast**2).mean(), rel=1e-12)
        assert lvr(t, 4.0) == pytest.approx(3 * (contrast**2 * (1 + 16.0 / both)).mean(), rel=1e-9)
        assert lvr(t, 0.0) == pytest.approx(lv(t), rel=1e-9)


def test_a_refractory_period_below_zero_is_refused(trains):
    with pytest.raises(ScoreError, match="refractory_ms is -1"):
        lvr(trains[0], -1.0)


@pytest.mark.parametrize("same", [[5.0, 5.0, 5.0], [5.0, 5.0, 5.0, 9.0]])
def test_spikes_that_share_a_time_leave_local_variation_undefined(same):
    assert all(np.isnan(f(same)) for f in (cv2, lv, lvr))


def test_poisson_and_clockwork():
    rng = np.random.default_rng(7)
    (long,) = poisson(rng, 20, 500_000, 1)
    assert [cv(long), cv2(long), lv(long), lvr(long, 0.0)] == pytest.approx([1.0, 1.0, 1.0, 1.0], abs=0.04)
    clock = np.arange(10) * 20.0
    assert [cv(clock), cv2(clock), lv(clock)] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("short", [[], [1.0], [1.0, 2.0]])
def test_too_few_intervals_are_undefined(short):
    assert all(np.isnan(f(short)) for f in (cv, cv2, lv, lvr))


def test_ks_distance_is_that_of_scipy(trains):
    data, model = trains[:3], [t * 1.3 for t in trains[3:]]
    pooled = [np.concatenate([np.diff(t) for t in x]) for x in (data, model)]
    assert isi_distance(data, model) == pytest.approx(ks_2samp(*pooled).statistic)
    assert isi_distance(data, data) == 0.0
    assert np.isnan(isi_distance([[1.0]], data))


def test_rates():
    assert rate_hz([[1.0, 2.0], []], 500.0) == 2.0
    assert rate_error([[1.0, 2.0]], [[1.0]]) == -0.5
    assert np.isnan(rate_error([[]], [[1.0]]))
    with pytest.raises(ScoreError, match="duration"):
        rate_hz([[1.0]], 0.0)
