"""Missed and extra spikes against a count by hand."""

from __future__ import annotations

import numpy as np

from ephysfit.reports.agreement import mark_matched_spikes, match_train


def test_neighbours_agree_with_all_pairs() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        a, b = (np.sort(rng.uniform(0, 200, rng.integers(0, 20))) for _ in range(2))
        plain = [any(abs(x - y) <= 4.0 for y in b) for x in a]
        assert mark_matched_spikes(a, b, 4.0).tolist() == plain


def test_window_is_closed_on_float_grids() -> None:
    assert mark_matched_spikes(np.array([0.1 * 3]), np.array([0.3 + 4.0]), 4.0).all()


def test_shares_count_over_all_repeats() -> None:
    a = match_train([np.array([10.0, 50.0, 90.0]), np.array([11.0])], np.array([12.0, 52.0, 400.0, 500.0]))
    assert [m.tolist() for m in a.predicted] == [[True, True, False], [True]]
    assert a.shared.tolist() == [True, True, False, False]
    assert (a.predicted_share, a.extra_share) == (0.75, 0.5)


def test_nothing_to_compare_is_nan_not_zero() -> None:
    a = match_train([np.empty(0), np.empty(0)], np.empty(0))
    assert np.isnan(a.predicted_share)
    assert np.isnan(a.extra_share)
