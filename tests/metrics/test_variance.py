"""Explained variance: closed forms, SciPy's and elephant's smoothing, and the scorer."""

import warnings

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from ephysfit.errors import ScoreError
from ephysfit.metrics import (
    etv,
    explained_variance_of_runs,
    explained_variance_ratio,
    psth_explained_variance,
    smooth_trains,
)
from ephysfit.metrics.variance import REACH, Variances


def test_smoothing_is_that_of_scipy(synthetic):
    data, _, T = synthetic
    counts = np.stack([np.bincount(t.astype(int), minlength=int(T)) for t in data]).astype(float)
    expected = gaussian_filter1d(counts, 10.0, axis=-1, mode="constant", truncate=5.0) * 1e3
    assert smooth_trains(data, T, 10.0) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("sigma", [3.0, 15.0])
def test_elephant_agrees(synthetic, sigma):
    """Its rate by a Gaussian that is cut at the same width, of which it takes the area of the whole one."""
    data, _, T = synthetic
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import neo
        import quantities as pq
        from elephant.kernels import GaussianKernel
        from elephant.statistics import instantaneous_rate

        trains = [neo.SpikeTrain(t, units="ms", t_stop=T) for t in data]
        theirs = instantaneous_rate(
            trains, sampling_period=1.0 * pq.ms, kernel=GaussianKernel(sigma * pq.ms), cutoff=REACH
        ).magnitude.T
    ours = smooth_trains(data, T, sigma)
    np.testing.assert_allclose(ours, theirs, atol=2e-3 * ours.max())


def test_the_area_of_a_spike_is_one_whatever_the_bin():
    for bin_ms in (0.1, 0.5, 1.0):
        assert smooth_trains([[500.0]], 1000.0, 15.0, bin_ms).sum() * bin_ms * 1e-3 == pytest.approx(1.0)


def test_worked_by_hand():
    # two repeats whose smoothed trains do not overlap: var of each v, cov c = -mean^2, P_d the half sum
    data, T, sigma = [[2000.0], [8000.0]], 10_000.0, 10.0
    rate = smooth_trains(data, T, sigma)
    v, c = rate[0].var(), -(rate[0].mean() ** 2)
    own = 2 * (v + c) / 2 / (v + (v + c) / 2)
    first = np.mean([1.0, 2 * c / (2 * v)])  # against repeat 1 itself
    assert explained_variance_ratio(data, [[2000.0]], T, sigma=sigma) == pytest.approx(first / own, abs=1e-12)


def test_the_independent_scorer_agrees(scorer, synthetic):
    data, model, T = synthetic
    for sigma in (10.0, 15.0):
        theirs = scorer.explained_variance(data, model, T, sigma)
        ours = {
            "ev_ratio": explained_variance_ratio(data, model, T, sigma=sigma),
            "ev_run_ratio": explained_variance_of_runs(data, model, T, sigma=sigma),
            "ev_psth": psth_explained_variance(data, model, T, sigma=sigma),
            "ev_data": float(Variances.of(data, model, T, sigma).own(np.ones(len(data)))),
        }
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_etv_is_the_ratio_at_15_ms(synthetic):
    assert etv(*synthetic) == explained_variance_ratio(*synthetic, sigma=15.0)


def test_silence_is_defined():
    assert np.isnan(explained_variance_ratio([[], []], [[50.0]], 100.0)), "a silent cell"
    assert explained_variance_ratio([[50.0], [50.0]], [[]], 100.0) == 0.0
    assert psth_explained_variance([[]], [[]], 100.0) == 0.0


def test_the_cell_itself_scores_one_and_a_repeat_less(synthetic):
    data, _, T = synthetic
    assert explained_variance_ratio(data, data, T) == pytest.approx(1.0)
    assert explained_variance_ratio(data, data[:1], T) < 1.0
    top = Variances.of(data, data, T, 10.0).ceiling()
    assert 0.5 < top < 1.0
    assert np.isnan(Variances.of(data[:1], data, T, 10.0).ceiling())


def test_the_ceiling_is_each_repeat_by_the_mean_of_the_others(synthetic):
    data, _, T = synthetic
    rate = smooth_trains(data, T, 10.0)

    def ev(a, b):
        return 1 - (a - b).var() / (a.var() + b.var())

    others = [np.delete(rate, k, axis=0).mean(0) for k in range(len(data))]
    top, own = (np.mean([ev(r, o) for r, o in zip(rate, x, strict=True)]) for x in (others, [rate.mean(0)] * len(data)))
    assert Variances.of(data, data, T, 10.0).ceiling() == pytest.approx(top / own, abs=1e-12)


def test_bins_hardly_matter(synthetic):
    data, model, T = synthetic
    assert etv(data, model[:1], T, bin_ms=0.1) == pytest.approx(etv(data, model[:1], T), abs=0.005)


def test_spikes_outside_the_stretch_are_refused_not_clipped():
    for train in ([120.0], [-1.0]):
        with pytest.raises(ScoreError, match="outside"):
            etv([[50.0], [50.0]], [train], 100.0)
