"""Repeats of a cell that drifted, died or was copied are told; those of one that stood still are not."""

import numpy as np
import pytest
from metric_trains import jittered, poisson

from ephysfit.data.recording import Recording
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.provenance import Provenance
from ephysfit.metrics import score
from ephysfit.metrics.matching import Scored
from ephysfit.metrics.stationarity import find_dead_repeats, find_weak_repeats, warn_of_drift
from ephysfit.models.lif import LIF
from ephysfit.simulation.simulate import simulate
from ephysfit.synthetic import noise_current

T = 10_000.0


def told(*sets, duration=T):
    return list(warn_of_drift([Scored(f"s{k}", list(d), [], 0.0, duration) for k, d in enumerate(sets)], 4.0))


def falling(rng, count, first_hz, last_hz):
    return [poisson(rng, hz, T, 1)[0] for hz in np.linspace(first_hz, last_hz, count)]


def bursting(rng, count, rate_hz):
    """Bursts of three: counts with a Fano factor of 3."""
    starts = poisson(rng, rate_hz / 3, T - 20, count)
    return [np.sort(np.repeat(s, 3) + np.tile([0.0, 5.0, 10.0], s.size)) for s in starts]


@pytest.mark.parametrize("count", [2, 3, 5, 6, 10, 30])
def test_repeats_of_a_cell_that_stood_still_are_not_accused(count):
    rng = np.random.default_rng(count)
    frozen = np.sort(rng.uniform(0, T, 120))
    accused = 0
    for k in range(60):
        accused += bool(told(poisson(rng, (1, 5, 20, 40)[k % 4], T, count)))
        accused += bool(told(jittered(rng, frozen, count, 2.0, 0.7, T)))
    assert accused <= 1, "of 120, at 1 % at most"


def test_bursting_cells_are_hardly_accused():
    rng = np.random.default_rng(4)
    assert sum(bool(told(bursting(rng, count, 12.0))) for count in (2, 4, 6, 10) for _ in range(50)) <= 5


@pytest.mark.parametrize(("count", "last_hz"), [(3, 3.0), (5, 4.0), (10, 6.0), (10, 16.0)])
def test_a_rate_that_goes_with_the_order_is_told_with_its_numbers(count, last_hz):
    rng = np.random.default_rng(0)
    found = [told(falling(rng, count, 10.0, last_hz)) for _ in range(20)]
    assert sum(map(bool, found)) >= 14
    said = next(f for f in found if f)[0]
    assert "drifted over its repeats" in said
    assert "Hz in the first third" in said


def test_spike_times_that_move_at_a_constant_rate_are_told():
    rng = np.random.default_rng(1)
    template = np.sort(rng.uniform(0, T - 100, 100))
    moved = [np.sort(template + rng.normal(0, 1.0, 100) + k) for k in range(10)]
    (said,) = told(moved)
    assert "spike times drifted" in said
    order = rng.permutation(10)
    assert not told([moved[k] for k in order]) or order[0] in (0, 9)


def test_stimuli_share_one_test_so_that_many_of_them_accuse_nobody():
    rng = np.random.default_rng(2)
    assert sum(bool(told(*[poisson(rng, 8, T, 4) for _ in range(20)])) for _ in range(30)) <= 1
    assert told(*[falling(rng, 4, 10.0, 7.0) for _ in range(8)])


@pytest.mark.parametrize("dead", [[9], [0], [3, 7], [8, 9]])
def test_dead_repeats_are_counted_and_numbered(dead):
    rng = np.random.default_rng(3)
    data = poisson(rng, 6, T, 10)
    for k in dead:
        data[k] = np.empty(0)
    assert find_dead_repeats(data) == dead
    (said,) = told(data)
    assert f"{len(dead)} of 10 repeats hold no spike" in said
    assert ", ".join(str(k + 1) for k in dead) in said


def test_quiet_cells_have_no_dead_repeats():
    rng = np.random.default_rng(5)
    assert not any(told(poisson(rng, 0.3, T, 6)) for _ in range(50))
    assert find_dead_repeats([np.empty(0)]) == []
    assert not told([np.empty(0)] * 5)


class TestScore:
    def test_says_it(self):
        rng = np.random.default_rng(6)
        data = falling(rng, 10, 12.0, 5.0)
        warnings = score([data[0]], data, duration=T).warnings
        assert any("drifted over its repeats" in w for w in warnings)

    def test_copies_are_no_repeats(self):
        rng = np.random.default_rng(7)
        one, other = poisson(rng, 10, T, 2)
        found = score([one], [one, one, other, one], duration=T)
        assert any("3 of 4 repeats are identical" in w for w in found.warnings)
        assert not any("equal" in w for w in score([one], [one, other], duration=T).warnings)

    def test_a_silent_cell_is_said_to_be_silent(self):
        found = score([[900.0, 1000.0]], [[], []], duration=T)
        assert any("the cell is silent in the scored stretch" in w for w in found.warnings)

    def test_a_model_at_another_rate(self):
        rng = np.random.default_rng(8)
        data, model = poisson(rng, 10, T, 3), poisson(rng, 30, T, 1)
        assert any("times what the cell fires" in w for w in score(model, data, duration=T).warnings)
        assert any(
            "only" in w and "of what the cell" in w
            for w in score(data[:1], poisson(rng, 40, T, 3), duration=T).warnings
        )
        assert not any("what the cell fires" in w for w in score(data[:1], data, duration=T).warnings)

    def test_spikes_that_are_there_twice(self):
        rng = np.random.default_rng(9)
        data = [np.sort(np.concatenate([t, t[::5] + 0.01])) for t in poisson(rng, 10, T, 3)]
        found = score(data[:1], data, duration=T)
        assert any("follow another within 0.3 ms" in w for w in found.warnings)

    def test_a_fit_of_another_cell_is_told_and_of_another_file_is_not(self):
        cell = LIF(C=80.0, g=5.0, E_L=-65.0, theta=-48.0, V_reset=-60.0, t_ref=3.0, delta=2.0)
        current = noise_current(2000.0, 0.5, 70.0, 120.0, 5.0, 1)
        train = simulate(cell, current, dt=0.5).spike_times[0][0]
        for cell_name, made, other in (
            ("DRN164", Provenance(), True),
            ("DRN158", Provenance(), False),
            ("alpha", Provenance(recording="DRN158_train.abf"), False),
            ("DRN158_5ht_training", Provenance(), False),
        ):
            fit = Fit(cell, cell_name, 0.5, provenance=made)
            names = {"cell": "DRN158_5ht_test", "source": "DRN158_5ht_test.abf"}
            recording = Recording.of(current, 0.5, spike_times=train, **names)
            said = score(fit.simulate(recording, runs=2), recording).warnings
            assert any("another cell by its name" in w for w in said) == other, cell_name

    def test_steps_that_do_not_divide_are_simulated_and_said(self):
        cell = LIF(C=80.0, g=5.0, E_L=-65.0, theta=-48.0, V_reset=-60.0, t_ref=3.0, delta=2.0)
        current = noise_current(4000.0, 0.2, 70.0, 200.0, 5.0, 1)
        train = simulate(cell, current, dt=0.2).spike_times[0][0]
        recording = Recording.of(current, 0.2, spike_times=train, cell="c7")
        found = score(simulate(cell, recording, dt=0.5), recording)
        assert any("sampled every 0.2 ms and simulated every 0.5 ms" in w for w in found.warnings)
        assert found["gamma_4"] > 0.8


class TestRepeatsThatInflateAScore:
    """A model that is the cell scores 1; lost repeats raise that, because R falls with the square of what is left."""

    @staticmethod
    def draw(seed, rate_hz, count=10):
        rng = np.random.default_rng(seed)
        template = np.sort(rng.uniform(0, T, int(rate_hz * T / 1e3)))
        return rng, jittered(rng, template, count, 2.0, 0.85, T), jittered(rng, template, 100, 2.0, 0.85, T)

    @pytest.mark.parametrize("rate_hz", [2, 5, 10])
    def test_the_inflation_is_never_without_its_reason(self, rate_hz):
        _, data, model = self.draw(rate_hz, rate_hz)
        assert score(model, data, duration=T)["gamma_over_R_runs_4"] == pytest.approx(1.0, abs=0.1)
        for lost in ((7, 8, 9), (2, 5, 7)):
            left = [np.empty(0) if k in lost else t for k, t in enumerate(data)]
            found = score(model, left, duration=T)
            assert found["gamma_over_R_runs_4"] > 1.3
            assert any("3 of 10 repeats hold no spike" in w for w in found.warnings)

    def test_weak_repeats_in_any_order_are_numbered(self):
        rng, data, model = self.draw(1, 10)
        weak = [t[rng.random(t.size) < 0.2] if k in (2, 5, 7) else t for k, t in enumerate(data)]
        found = score(model, weak, duration=T)
        assert found["gamma_over_R_runs_4"] > 1.15
        (said,) = [w for w in found.warnings if "far fewer spikes than the usual" in w]
        assert "number 3:" in said
        assert "number 8:" in said

    def test_bursting_cells_are_hardly_accused(self):
        rng = np.random.default_rng(5)
        sets = [bursting(rng, n, hz) for n in (3, 6, 10) for hz in (0.5, 1, 1.5, 5, 20) for _ in range(30)]
        assert sum(bool(find_dead_repeats(d)) for d in sets) <= 9
        assert not any(find_weak_repeats(d, []) for d in sets)
