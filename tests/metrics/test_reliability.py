"""Reliability of repeats: by hand, and against the scorer."""

import numpy as np
import pytest

from ephysfit.metrics import md_ceiling, md_reliability, md_star, reliability


def test_by_hand():
    data = [[100.0, 300.0], [102.0, 500.0], []]
    pair = (1 - 2 * 0.002 * 4 * 2) / 2 / (1 - 0.016)  # the same both ways; pairs with the silent train are 0
    assert reliability(data, 1000.0) == pytest.approx(2 * pair / 6)
    # coincident pairs of different repeats: 2 of 6 ordered pairs have one; own pairs 2, 2, 0
    assert md_reliability(data) == pytest.approx((2 / 6) / (4 / 3))


def test_alike_repeats_are_fully_reliable_and_one_repeat_says_nothing():
    same = [np.array([10.0, 60.0])] * 3
    assert reliability(same, 100.0) == pytest.approx(1.0)
    assert md_reliability(same) == pytest.approx(1.0)
    assert md_ceiling(same, 100.0) == pytest.approx(1.0)
    for value in (reliability(same[:1], 100.0), md_reliability(same[:1]), md_ceiling(same[:1], 100.0)):
        assert np.isnan(value)
    assert np.isnan(md_reliability([[], []]))


def test_far_apart_repeats_are_unreliable():
    assert md_reliability([[10.0], [50.0]]) == 0.0
    assert reliability([[10.0], [50.0]], 1000.0) < 0


@pytest.mark.parametrize("window", [2.0, 4.0, 8.0])
def test_the_independent_scorer_agrees(scorer, synthetic, window):
    data, _, T = synthetic
    assert reliability(data, T, window=window) == pytest.approx(scorer.reliability(data, T, window), abs=1e-9)


def test_md_ceiling_is_md_star_of_a_train_of_the_cell(synthetic):
    data, _, T = synthetic
    single = np.mean([md_star(data, [t]) for t in data if t.size])
    assert md_ceiling(data, T) > single
