"""Γ and Md* against hand-worked values, a plain O(n^2) reading of the formulas, box-filtered traces and the scorer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metric_trains import DURATION, jittered, poisson, train, trains, unhurried

from ephysfit.errors import ScoreError
from ephysfit.metrics import coincidence_factor, gamma, gamma_over_reliability, md_star
from ephysfit.metrics.coincidence import mean_weight, pair_weights, self_weight, weight_table
from ephysfit.metrics.trains import pack_trains


def plain_gamma(d, m, T, D):
    """The formula, pair by pair."""
    if d.size + m.size == 0:
        return np.nan
    nu = m.size / T
    if 2 * nu * D >= 1:
        return np.nan
    if not (d.size and m.size):
        return 0.0
    hits = sum(any(abs(x - y) <= D + 1e-6 for y in m) for x in d)
    return (hits - 2 * nu * D * d.size) / (0.5 * (d.size + m.size)) / (1 - 2 * nu * D)


def plain_pairs(a, b, D):
    return sum(abs(x - y) <= D + 1e-6 for x in a for y in b)


def test_worked_by_hand():
    # d = 3 spikes, m = 2 spikes, T = 1000, D = 4: 100 meets 104 (closed window), 300 meets 298, 500 meets nothing
    # nu = .002, chance 2 * .002 * 4 * 3 = .048, mean count 2.5, norm 1 - .016
    expected = (2 - 0.048) / 2.5 / 0.984
    assert coincidence_factor([100.0, 300.0, 500.0], [104.0, 298.0], 1000.0, 4.0) == pytest.approx(expected, abs=1e-12)
    # the other way round the rate is that of three spikes: Γ is not symmetric
    back = (2 - 2 * 0.003 * 4 * 2) / 2.5 / (1 - 0.024)
    assert coincidence_factor([104.0, 298.0], [100.0, 300.0, 500.0], 1000.0, 4.0) == pytest.approx(back, abs=1e-12)
    # just outside the window
    assert coincidence_factor([100.0], [104.01], 1000.0, 4.0) == pytest.approx(-0.008 / 0.992, abs=1e-12)


def test_a_burst_of_the_cell_hits_one_spike_of_the_model_each_time():
    # N_coinc counts recorded spikes, so three spikes around one model spike are three hits
    expected = (3 - 2 * 0.001 * 4 * 3) / 2 / 0.992
    assert coincidence_factor([98.0, 100.0, 102.0], [100.0], 1000.0) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("d", "m", "value"), [([], [], np.nan), ([5.0], [], 0.0), ([], [5.0], 0.0), ([5.0], [5.0], 1.0)]
)
def test_silence_and_one_spike(d, m, value):
    assert coincidence_factor(d, m, 100.0) == pytest.approx(value, nan_ok=True)


def test_windows_that_cover_all_time_leave_gamma_undefined():
    fast = np.arange(0.0, 1000.0, 8.0)
    assert np.isnan(coincidence_factor(fast, fast, 1000.0, window=4.0))
    assert coincidence_factor(fast, fast, 1000.0, window=3.9) == pytest.approx(1.0)


def test_pairs_of_silent_trains_are_left_out_of_the_mean():
    assert gamma([[], [5.0]], [[], [5.0]], 100.0) == pytest.approx(1 / 3)
    assert np.isnan(gamma([[]], [[]], 100.0))
    assert np.isnan(gamma_over_reliability([[], []], [[]], 100.0))
    assert np.isnan(gamma_over_reliability([[5.0]], [[5.0]], 100.0)), "one repeat has no reliability"


@unhurried
@given(train, train, st.sampled_from([0.5, 2.0, 4.0, 8.0]))
def test_gamma_is_its_formula(d, m, D):
    assert coincidence_factor(d, m, DURATION, D) == pytest.approx(
        plain_gamma(d, m, DURATION, D), abs=1e-12, nan_ok=True
    )


@unhurried
@given(train)
def test_a_train_agrees_fully_with_itself(t):
    value = coincidence_factor(t, t, DURATION, 2.0)
    assert value == pytest.approx(1.0) if t.size else np.isnan(value)


@unhurried
@given(trains, trains)
def test_far_from_zero_nothing_changes(data, model):
    shift = 1e6
    far = [t + shift for t in data], [t + shift for t in model]
    # times of the strategy have 32-bit mantissas or are whole, so the shift moves distances by less than the edge
    assert gamma(*far, DURATION) == pytest.approx(gamma(data, model, DURATION), abs=1e-9, nan_ok=True)
    for kernel in ("kistler", "rectangular"):
        assert md_star(*far, kernel=kernel) == pytest.approx(md_star(data, model, kernel=kernel), abs=1e-7, nan_ok=True)


def test_chance_is_zero():
    rng = np.random.default_rng(0)
    data, model = poisson(rng, 10, 20_000, 30), poisson(rng, 15, 20_000, 30)
    assert gamma(data, model, 20_000.0) == pytest.approx(0.0, abs=0.01)


def test_md_star_worked_by_hand():
    data, model = [[10.0, 50.0], [12.0, 90.0]], [[10.0, 56.0]]
    # n_dd: one pair. n_dm: (1 + 1) / 2. n_mm: the run's own two.
    assert md_star(data, model) == pytest.approx(2 * 1.0 / (1 + 2))
    # triangle 1 - |t| / 8: n_dd = .75; n_dm = (1 + .25 + .75) / 2; n_mm = 2
    assert md_star(data, model, kernel="rectangular") == pytest.approx(2 * 1.0 / (0.75 + 2))
    two = [[10.0], [13.0]]
    # n_dm = (1 + 1 + 1 + 1) / 4; n_mm unbiased = 1, biased = (1 + 1 + 1 + 1) / 4 = 1
    assert md_star(data, two) == pytest.approx(2 * 1.0 / (1 + 1))
    apart = [[10.0], [30.0]]
    # n_dm = (1 + 0 + 1 + 0) / 4; unbiased n_mm = 0, biased = 2 / 4
    assert md_star(data, apart) == pytest.approx(2 * 0.5 / (1 + 0))
    assert md_star(data, apart, unbiased=False) == pytest.approx(2 * 0.5 / (1 + 0.5))


def test_md_star_where_it_is_not_defined():
    assert np.isnan(md_star([[10.0]], [[10.0]])), "one repeat"
    assert np.isnan(md_star([[], []], [[]])), "all silent"
    assert md_star([[10.0], [10.0]], [[]]) == 0.0
    with pytest.raises(ScoreError, match="did you mean kistler"):
        md_star([[1.0], [1.0]], [[1.0]], kernel="kister")


@unhurried
@given(trains, trains, st.sampled_from([1.0, 4.0]))
def test_pair_counts_are_plain_counts(a, b, D):
    expected = [[plain_pairs(x, y, D) for y in b] for x in a]
    assert weight_table(a, b, D).tolist() == expected
    if len(a) > 1:
        off = [plain_pairs(x, y, D) for i, x in enumerate(a) for j, y in enumerate(a) if i != j]
        assert self_weight(a, D) == pytest.approx(np.mean(off), abs=1e-12)
    every = [plain_pairs(x, y, D) for x in a for y in a]
    assert self_weight(a, D, unbiased=False) == pytest.approx(np.mean(every), abs=1e-12)


def test_rectangular_window_is_the_product_of_box_filtered_trains():
    rng = np.random.default_rng(5)
    step, D = 0.05, 4.0
    a, b = (np.sort(rng.integers(400, 5600, 30)) for _ in range(2))
    box = np.ones(round(2 * D / step))
    traces = [np.convolve(np.bincount(t, minlength=6000).astype(float), box) for t in (a, b)]
    product = (traces[0] @ traces[1]) / box.size
    assert weight_table([a * step], [b * step], D, "rectangular")[0, 0] == pytest.approx(product, rel=1e-9)


def test_same_distribution_gives_one_and_biased_is_lower():
    rng = np.random.default_rng(1)
    template = np.sort(rng.uniform(0, 20_000, 150))
    sets = [jittered(rng, template, n, 3.0, 0.8, 20_000) for n in (20, 60)]
    unbiased, biased = (md_star(*sets, window=4.0, unbiased=u) for u in (True, False))
    assert unbiased == pytest.approx(1.0, abs=0.03)
    assert biased < unbiased


@pytest.mark.parametrize("D", [2.0, 4.0, 8.0])
def test_the_independent_scorer_agrees(scorer, synthetic, D):
    data, model, T = synthetic
    assert gamma(data, model, T, window=D) == pytest.approx(scorer.mean_gamma(data, model, T, D), abs=1e-9)
    expected = scorer.mean_gamma(data, model, T, D) / scorer.reliability(data, T, D)
    assert gamma_over_reliability(data, model, T, window=D) == pytest.approx(expected, abs=1e-9)
    for unbiased in (True, False):
        ours, theirs = md_star(data, model, window=D, unbiased=unbiased), scorer.md_star(data, model, D, unbiased)
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_pair_weights_are_mean_weight_and_self_weight_to_the_bit():
    rng = np.random.default_rng(0)
    draw = lambda: np.sort(rng.uniform(0, 500, rng.integers(0, 40)))  # noqa: E731
    cells, sweeps, windows = 2, 3, (4.0, 16.0)
    for n in (1, 2, 8):
        recorded = [draw() for _ in range(sweeps)]
        groups = [[draw() for _ in range(n)] for _ in range(cells * sweeps)]
        packed = pack_trains(recorded), pack_trains([run for group in groups for run in group])
        for kernel in ("kistler", "rectangular"):
            n_dm, n_mm = pair_weights(*packed, n, windows, kernel)
            for g, runs in enumerate(groups):
                data = recorded[g % sweeps]
                assert n_dm[:, g].tolist() == [mean_weight([data], runs, w, kernel)[0] for w in windows]
                assert n_mm[:, g].tolist() == [self_weight(runs, w, kernel) for w in windows]
