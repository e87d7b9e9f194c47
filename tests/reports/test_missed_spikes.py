"""Where a model is wrong: currents about missed and invented spikes, and rates by level, on answers that are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from ephysfit.reports.agreement import match_train
from ephysfit.reports.missed_spikes import compute_rate_calibration, compute_spike_triggered_currents

DT = 0.5


def evidence(current, repeats, single, runs=None, scored=(500.0, 9500.0)):
    """What `misses` reads of an Evidence."""
    stimulus = SimpleNamespace(current=current, dt=DT)
    return SimpleNamespace(
        stimulus=stimulus, repeats=repeats, prediction=single, scored=scored, many="noisy runs",
        agreement=match_train(repeats, single), runs=lambda name: runs or [single],
    )  # fmt: skip


@pytest.fixture
def pulses():
    """Upstrokes before some spikes only: the model knows these, and no others."""
    current = np.zeros(20_000)
    seen, unseen = np.arange(1000.0, 9000.0, 400.0), np.arange(1200.0, 9000.0, 400.0)
    for t in seen:
        current[round((t - 10) / DT) : round(t / DT)] = 100.0
    return current, seen, unseen


def test_kinds_of_spikes_have_the_current_that_was_before_them(pulses):
    current, seen, unseen = pulses
    invented = np.arange(1100.0, 9000.0, 800.0)
    repeats = [np.sort(np.r_[seen, unseen])] * 3
    found = {
        t.kind: t for t in compute_spike_triggered_currents(evidence(current, repeats, np.sort(np.r_[seen, invented])))
    }
    assert found["predicted"].count == 3 * len(seen)
    assert found["missed"].count == 3 * len(unseen)
    assert found["invented"].count == len(invented)
    before = (found["predicted"].times >= -10) & (found["predicted"].times < 0)
    assert found["predicted"].mean[before] == pytest.approx(100.0)
    assert found["missed"].mean == pytest.approx(0.0)


def test_only_scored_spikes_count(pulses):
    current, seen, _ = pulses
    found = compute_spike_triggered_currents(evidence(current, [seen], seen, scored=(2000.0, 4000.0)))
    assert [t.count for t in found] == [int(((seen >= 2000) & (seen < 4000)).sum())]


def test_a_step_is_not_averaged_about_its_spikes():
    current, seen = np.zeros(20_000), np.arange(3000.0, 6000.0, 100.0)
    current[round(2500 / DT) : round(6500 / DT)] = 200.0
    assert compute_spike_triggered_currents(evidence(current, [seen], seen)) == []


def test_too_few_spikes_have_no_mean():
    assert compute_spike_triggered_currents(evidence(np.zeros(20_000), [np.array([1000.0])], np.array([1000.0]))) == []


def test_a_model_that_fires_double_shows_double_at_every_level():
    rng = np.random.default_rng(0)
    current = np.repeat(rng.normal(size=200), 100)
    rate = 5.0 + 20.0 * (current > 0)
    spikes = np.flatnonzero(rng.random(len(current)) < rate * DT / 1e3) * DT
    found = compute_rate_calibration(
        evidence(current, [spikes, spikes], spikes, runs=[np.sort(np.r_[spikes, spikes + 0.1])])
    )
    np.testing.assert_allclose(found.predicted, 2 * found.recorded, rtol=0.05, atol=0.5)
    assert np.mean(found.recorded[-3:]) > 2 * np.mean(found.recorded[:3])
    assert (np.diff(found.current) > 0).all()


def test_a_constant_current_has_no_levels():
    assert compute_rate_calibration(evidence(np.full(20_000, 50.0), [np.array([1000.0])], np.array([1000.0]))) is None
