"""Time rescaling accepts the model that made the spikes and refuses another."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from ephysfit.data.recording import Recording
from ephysfit.reports.rescaling import measure_distance_from_uniform, rescale_time
from tests.reports.conftest import BareQuadratic, by_hand, cell, recorded


def test_the_model_that_made_the_spikes_passes() -> None:
    distances = []
    for seed in range(8):
        found = rescale_time(by_hand(cell()), recorded(cell(), 30.0, 1, seed=100 + seed))
        assert found is not None
        distances.append(found.distance / found.band)
    # 95 % of right models stay below the band
    assert np.sum(np.array(distances) > 1.0) <= 2
    assert np.median(distances) < 0.8


def test_another_threshold_fails(train_recording: Recording) -> None:
    found = rescale_time(by_hand(cell().replace(theta=-44.0)), train_recording)
    assert found is not None
    assert not found.within


def test_fewer_spikes_than_ten_or_no_hazard_say_nothing() -> None:
    few = Recording.of(np.zeros(4000), 0.5, spike_times=[700.0, 900.0])
    assert rescale_time(by_hand(cell()), few) is None
    assert rescale_time(by_hand(BareQuadratic.start()), few) is None


def test_intervals_across_gaps_are_left_out(train_recording: Recording) -> None:
    whole = rescale_time(by_hand(cell()), train_recording)
    (sweep,) = train_recording.sweeps
    gap = type(sweep)(sweep.current, sweep.dt, None, sweep.spike_times, valid=((0.0, 8000.0), (12000.0, 20000.0)))
    part = rescale_time(by_hand(cell()), Recording((gap,)))
    assert whole is not None
    assert part is not None
    inside = np.sum((sweep.spike_times > 8000.0) & (sweep.spike_times < 12000.0))
    assert len(whole.quantiles) - len(part.quantiles) >= inside
    assert len(part.quantiles) > 20


@pytest.mark.parametrize("n", [10, 11, 500])
def test_the_distance_is_that_of_kolmogorov_and_smirnov(n: int) -> None:
    sample = np.sort(np.random.default_rng(n).beta(2.0, 1.0, n))
    expected = scipy.stats.kstest(sample, "uniform").statistic
    assert measure_distance_from_uniform(sample) == pytest.approx(expected, rel=1e-12)
