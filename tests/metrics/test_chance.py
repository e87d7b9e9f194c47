"""The chance level of Md* against Poisson trains that are drawn, and standard errors against repeats drawn anew."""

import numpy as np
import pytest
from metric_trains import jittered, poisson

from ephysfit.errors import ScoreError
from ephysfit.metrics import chance_md_star, md_star, score
from ephysfit.metrics.weights import choose_pairs, jackknife_variance, leave_one_out_weights, leave_two_out_weights

T = 10_000.0


@pytest.mark.parametrize("kernel", ["kistler", "rectangular"])
@pytest.mark.parametrize("window", [4.0, 8.0])
@pytest.mark.parametrize("rate_hz", [10.0, 40.0, 80.0])
def test_chance_is_what_drawn_poisson_trains_reach(rate_hz, window, kernel):
    rng = np.random.default_rng(int(rate_hz))
    data = jittered(rng, np.sort(rng.uniform(0, T, int(rate_hz * T / 1e3))), 10, 2.0, 0.9, T)
    drawn = poisson(rng, np.mean([t.size for t in data]) / T * 1e3, T, 300)
    found = chance_md_star(data, T, window=window, kernel=kernel)
    assert found == pytest.approx(md_star(data, drawn, window=window, kernel=kernel), abs=0.01)
    if kernel == "kistler":
        alone = [md_star(data, [t], window=window) for t in drawn[:100]]
        assert chance_md_star(data, T, window=window, noisy=False) == pytest.approx(np.mean(alone), abs=0.01)


def test_chance_grows_with_the_rate_and_is_all_there_is_of_a_poisson_cell():
    rng = np.random.default_rng(1)
    levels = []
    for rate_hz in (5, 20, 80):
        template = np.sort(rng.uniform(0, T, int(rate_hz * T / 1e3)))
        levels.append(chance_md_star(jittered(rng, template, 6, 2.0, 0.9, T), T, window=8.0))
    assert levels == sorted(levels)
    assert levels[0] < 0.2
    assert levels[-1] > 0.6
    assert chance_md_star(poisson(rng, 20.0, T, 20), T) == pytest.approx(1.0, abs=0.05)


def test_one_repeat_has_no_chance_level_and_a_window_must_be_positive():
    assert np.isnan(chance_md_star([[10.0, 20.0]], T))
    with pytest.raises(ScoreError, match="window is 0"):
        chance_md_star([[1.0], [2.0]], T, window=0.0)


class TestInAScore:
    @pytest.fixture(scope="class")
    def trains(self):
        rng = np.random.default_rng(2)
        template = np.sort(rng.uniform(0, T, 600))
        data = jittered(rng, template, 8, 2.0, 0.9, T)
        return data, poisson(rng, 54.0, T, 100), jittered(rng, template, 100, 2.0, 0.9, T)

    def test_it_stands_beside_md_star_and_zero_beside_gamma(self, trains):
        data, random, _ = trains
        found = score(random, data, duration=T, start=0.0)
        assert found.row("md_star_8").baseline == pytest.approx(chance_md_star(data, T, window=8.0))
        assert found.row("gamma_runs_4").baseline == 0.0
        assert "no model" in str(found)
        assert found.row("md_star_8").to_dict()["baseline"] == found.row("md_star_8").baseline

    def test_a_model_that_has_the_rate_alone_is_named_and_the_cell_itself_is_not(self, trains):
        data, random, own = trains
        assert any("spikes at random at the recorded rate" in w for w in score(random, data, duration=T).warnings)
        assert not any("spikes at random" in w for w in score(own, data, duration=T).warnings)


class TestStandardErrors:
    def test_a_mean_is_left_as_it_is(self):
        x = np.random.default_rng(0).normal(size=9)
        pairs = choose_pairs(9)
        one, two = leave_one_out_weights(9), leave_two_out_weights(9, pairs)
        found = jackknife_variance(one @ x / 8, x.mean(), two @ x / 7, pairs)
        assert found == pytest.approx(x.var(ddof=1) / 9)

    @pytest.mark.parametrize("n", [6, 10])
    def test_what_only_pairs_do_is_no_longer_overstated(self, n):
        """Means over pairs of independent numbers: their true variance is 2 / n(n - 1)."""
        rng, pairs = np.random.default_rng(n), choose_pairs(n)
        one, two = leave_one_out_weights(n), leave_two_out_weights(n, pairs)
        plain, corrected = [], []
        for _ in range(400):
            q = np.triu(rng.normal(size=(n, n)), 1)
            q = q + q.T
            over = lambda w, q=q: ((w @ q) * w).sum(-1) / (w.sum(-1) * (w.sum(-1) - 1))  # noqa: E731
            plain.append(jackknife_variance(over(one)))
            corrected.append(jackknife_variance(over(one), float(over(np.ones(n))), over(two), pairs))
        true = 2 / (n * (n - 1))
        assert np.mean(plain) > 2.0 * true
        assert 0.95 * true < np.mean(corrected) < min(1.8 * true, 0.75 * np.mean(plain))

    @pytest.mark.parametrize("good", [True, False])
    def test_of_md_star_is_the_spread_over_repeats_drawn_anew(self, good):
        rng = np.random.default_rng(3)
        template = np.sort(rng.uniform(0, T, 100))
        values, errors = [], []
        for _ in range(60):
            data = jittered(rng, template, 10, 3.0, 0.8, T)
            model = jittered(rng, template, 200, *((3.0, 0.8) if good else (6.0, 0.7)), T)
            row = score(model, data, duration=T, windows=[4.0], sigmas=[10.0]).row("md_star_4")
            values.append(row.value)
            errors.append(row.error)
        assert 0.7 < np.sqrt(np.mean(np.square(errors))) / np.std(values) < 1.45
