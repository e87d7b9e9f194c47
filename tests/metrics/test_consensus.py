"""The consensus train: against exhaustive search, and what ten repeats of a cell say of one another."""

from itertools import combinations

import numpy as np
import pytest
from metric_trains import jittered

from ephysfit.errors import ScoreError
from ephysfit.metrics import consensus, cut, gamma, gamma_ceiling, leave_one_out, reliability


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
