"""The consensus train: against exhaustive search, and what ten repeats of a cell say of one another."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_trains import jittered, unhurried

from ephysfit.errors import ScoreError
from ephysfit.metrics import (
    consensus,
    cut,
    gamma,
    gamma_ceiling,
    leave_one_out,
    md_ceiling,
    reliability,
    score,
)
from ephysfit.metrics.consensus import FEW


def test_no_train_on_the_grid_does_better_on_a_small_case():
    runs = [[20.0, 60.0], [21.0, 62.0], [19.0, 95.0], [58.0]]
    grid = np.arange(0.0, 101.0, 2.0)
    chosen = consensus(runs, 100.0, 4.0, smooth=0.5)
    every = (np.array(c) for n in (1, 2, 3) for c in combinations(grid, n))
    best = max(gamma(runs, [c], 100.0) for c in every)
    assert gamma(runs, [chosen], 100.0) == pytest.approx(best, abs=1e-12)


def test_it_beats_every_run_and_grows_sharper_than_its_noise():
    rng = np.random.default_rng(2)
    template = np.sort(rng.uniform(0, 9000, 70))
    runs = jittered(rng, template, 200, 3.0, 0.8, 9000)
    fresh = jittered(rng, template, 20, 3.0, 0.8, 9000)
    train = consensus(runs, 9000.0)
    medoid = max(gamma(fresh, [r], 9000.0) for r in runs)
    assert gamma(fresh, [train], 9000.0) > medoid
    assert gamma(fresh, [train], 9000.0) > gamma(fresh, [template], 9000.0) - 0.01, (
        "as good as the truth behind the runs"
    )


def test_a_long_stretch_is_the_sum_of_its_parts():
    """Choices far apart do not touch: the blocks in which the search is kept must not show."""
    rng = np.random.default_rng(9)
    runs = jittered(rng, np.arange(200.0, 4800.0, 300.0), 20, 2.0, 1.0, 5000)
    one = consensus(runs, 5000.0)
    thrice = consensus([np.concatenate([r, r + 5000, r + 10_000]) for r in runs], 15_000.0)
    assert thrice == pytest.approx(np.concatenate([one, one + 5000, one + 10_000]))


@pytest.mark.parametrize("shift", [13.5, 100.0, 130.5, 255.5])
def test_where_the_blocks_of_the_search_lie_does_not_matter(shift):
    rng = np.random.default_rng(10)
    runs = jittered(rng, np.sort(rng.uniform(100, 4600, 150)), 12, 5.0, 0.7, 4650)
    assert consensus([r + shift for r in runs], 5000.0) == pytest.approx(consensus(runs, 5000.0) + shift)


def test_silent_runs_and_runs_outside():
    assert consensus([[], []], 100.0).size == 0
    with pytest.raises(ScoreError, match="outside"):
        consensus([[120.0]], 100.0)


def test_edges_and_exact_end():
    assert consensus([[0.0, 100.0], [0.0, 100.0]], 100.0, 4.0).size == 2


def test_what_nine_repeats_say_of_the_tenth(repeats):
    """A reference run on the same repeats with other code: R .83 and a ceiling of 1.06 R."""
    trains = cut([s.spike_times for s in repeats.sweeps], 500.0, 9500.0)
    r = reliability(trains, 9000.0)
    assert r == pytest.approx(0.83, abs=0.005)
    assert gamma_ceiling(trains, 9000.0) / r == pytest.approx(1.06, abs=0.015)


def test_leave_one_out_does_not_see_the_one_left_out():
    rng = np.random.default_rng(4)
    data = jittered(rng, np.sort(rng.uniform(0, 5000, 40)), 5, 2.0, 0.9, 5000)
    other = [np.array([1.0]), *data[1:]]
    assert np.array_equal(leave_one_out(data, 5000.0)[0], leave_one_out(other, 5000.0)[0])
    assert leave_one_out(data[:1], 5000.0) == []
    assert np.isnan(gamma_ceiling(data[:1], 5000.0))


def repeats_of(seed, rate_hz, count, jitter_ms, burst, dead, duration_ms=3000.0):
    """Repeats around one train: jittered, each spike the first of a burst of three where asked, the last ones dead."""
    rng = np.random.default_rng(seed)
    train = np.sort(rng.uniform(0, duration_ms - 10, rng.poisson(rate_hz * duration_ms / 1e3)))
    if burst:
        train = np.sort(np.concatenate([train, train + 4, train + 8]))
    made = [np.sort(np.clip(train + rng.normal(0, 1, train.size) * jitter_ms, 0, duration_ms)) for _ in range(count)]
    return [*made[: count - dead], *[np.empty(0)] * dead]


def md_pairs(data, window):
    """Mean coincident pairs of two different repeats and of a repeat with itself, counted in the open."""

    def count(a, b):
        return np.sum(np.abs(np.subtract.outer(a, b)) < window + 1e-6)

    table = np.array([[count(a, b) for b in data] for a in data], dtype=float)
    n = len(data)
    return (table.sum() - np.trace(table)) / (n * (n - 1)), np.trace(table) / n


@pytest.mark.slow
@settings(unhurried, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    rate_hz=st.sampled_from([1, 5, 20, 50, 100]),
    count=st.sampled_from([2, 3, 5, 12, 50]),
    window=st.sampled_from([1.0, 2.0, 4.0, 8.0, 16.0]),
    jitter_ms=st.sampled_from([0.0, 0.5, 1.5, 5.0]),
    burst=st.booleans(),
    dead=st.integers(0, 2),
)
def test_a_ceiling_is_never_below_what_another_repeat_reaches(seed, rate_hz, count, window, jitter_ms, burst, dead):
    data = repeats_of(seed, rate_hz, count, jitter_ms, burst, dead)
    r, top = reliability(data, 3000.0, window=window), gamma_ceiling(data, 3000.0, window=window)
    assert top >= r or (np.isnan(r) and np.isnan(top))
    pairs, selves = md_pairs(data, window)
    top = md_ceiling(data, 3000.0, window=window)
    assert selves == 0 or np.isnan(pairs + selves) or top >= 2 * pairs / (pairs + selves) - 1e-12


@pytest.mark.parametrize("window", [1.0, 4.0, 16.0])
@pytest.mark.parametrize("rate_hz", [5, 20, 60])
@pytest.mark.parametrize("burst", [False, True])
def test_trains_that_agree_have_themselves_for_their_consensus(window, rate_hz, burst):
    """The blurred field peaks between two spikes, out of reach of both; the search once took that for its end."""
    for seed in range(10):
        data = repeats_of(seed, rate_hz, 2, 0.0, burst, 0)
        own = gamma(data, [data[0]], 3000.0, window=window)
        if not np.isnan(own):
            assert gamma(data, [consensus(data, 3000.0, window)], 3000.0, window=window) >= own - 1e-12


@pytest.mark.parametrize(("jitter_ms", "least"), [(0.5, 0.99), (2.0, 0.75)])
def test_repeats_that_agree_predict_each_other(jitter_ms, least):
    for seed in range(10):
        data = repeats_of(seed, 20, 2 + seed, jitter_ms, False, 0, 10_000.0)
        assert gamma_ceiling(data, 10_000.0) > least


@unhurried
@given(seed=st.integers(0, 10**6), count=st.integers(1, FEW), window=st.sampled_from([1.0, 2.0, 4.0, 8.0]))
def test_no_run_of_few_agrees_better_with_all_of_them_than_their_consensus(seed, count, window):
    rng = np.random.default_rng(seed)
    runs = jittered(rng, np.sort(rng.uniform(0, 2900, 60)), count, rng.uniform(0, 6), rng.uniform(0.3, 1), 3000)
    found = gamma(runs, [consensus(runs, 3000.0, window)], 3000.0, window=window)
    assert found >= max(gamma(runs, [r], 3000.0, window=window) for r in runs) - 1e-12


def test_a_grid_coarser_than_the_window_still_reaches_every_spike():
    assert consensus([[10.2], [10.2]], 100.0, 0.4, step=5.0) == pytest.approx([10.2], abs=0.2)


def test_the_ceilings_of_a_score_are_not_below_its_reliability():
    data = repeats_of(3, 20, 4, 3.0, True, 1, 6000.0)
    found = score([data[0]], data, duration=6000.0)
    for w in (4, 8):
        assert found.row(f"gamma_{w}").ceiling >= found[f"R_{w}"]
        assert found.row(f"gamma_over_R_{w}").ceiling >= 1.0
