"""scikit-learn's tools run on NeuronEstimator; recordings go to pynapple and neo and come back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

import ephysfit as ef
from ephysfit.errors import FitError
from ephysfit.fitting.estimator import NeuronEstimator
from ephysfit.models import ALIF

CELL = ALIF(C=100.0, g=5.0, E_L=-70.0, theta=-52.0, d_theta=4.0, tau_a=60.0, V_reset=-62.0, t_ref=2.0, delta=1.0)


@pytest.fixture(scope="module")
def sweeps() -> list:
    return list(ef.synthetic.recording(CELL, duration=1500.0, repeats=3, dt=0.5))


def test_cross_validation_over_sweeps(sweeps):
    scores = cross_val_score(NeuronEstimator("LIF"), sweeps, cv=2, error_score="raise")
    assert (scores > 0.5).all()  # nats per spike above a constant rate


def test_a_grid_search_finds_the_model_that_predicts_best(sweeps):
    search = GridSearchCV(NeuronEstimator(), {"model": ["LIF", "ALIF"]}, cv=2, error_score="raise").fit(sweeps)
    assert search.best_params_ == {"model": "ALIF"}
    assert search.best_estimator_.fit_.model == "ALIF"


def test_settings_are_read_set_and_cloned():
    one = NeuronEstimator("ALIF", seed=3)
    assert clone(one).get_params() == one.get_params()
    assert one.set_params(model="LIF").model == "LIF"
    with pytest.raises(FitError, match="no setting 'modle'; did you mean model"):
        one.set_params(modle="LIF")


def test_a_constant_rate_scores_nothing_and_the_truth_scores_more():
    """In the mean of three recordings: on one of 20 s, a search in free runs may cost what adaptation gains."""
    scores = []
    for seed in range(3):
        sweeps = list(ef.synthetic.recording(CELL, duration=1500.0, repeats=3, dt=0.5, seed=seed))
        seen, unseen = sweeps[1:3], sweeps[3:]
        fitted = NeuronEstimator("ALIF").fit(seen)
        scores.append((NeuronEstimator("LIF").fit(seen).score(unseen), fitted.score(unseen)))
        trains = fitted.predict(unseen)
        assert len(trains) == len(unseen)
        assert abs(len(trains[0]) - len(unseen[0].spike_times)) < 0.3 * len(unseen[0].spike_times)
    assert min(map(min, scores)) > 0
    simple, true = np.mean(scores, axis=0)
    assert true > simple


def test_what_is_wrong_is_said(sweeps):
    with pytest.raises(FitError, match="not fitted yet"):
        NeuronEstimator("LIF").score(sweeps)
    with pytest.raises(FitError, match="list of its sweeps"):
        NeuronEstimator("LIF").fit([np.zeros(3)])


def test_a_recording_goes_to_neo_and_comes_back():
    data = ef.synthetic.recording(CELL, duration=600.0, repeats=2, dt=0.1, voltage_noise=0.5)
    silent = replace(data, sweeps=tuple(replace(s, voltage=None) for s in data))
    for one, other in zip(ef.load(silent.to_neo()), data, strict=True):  # neo's reader takes trains without a voltage
        np.testing.assert_allclose(one.spike_times, other.spike_times, atol=1e-9)
    back = ef.load(data.to_neo())
    np.testing.assert_allclose(back.sweeps[0].current, data.sweeps[0].current)
    np.testing.assert_allclose(back.sweeps[0].voltage, data.sweeps[0].voltage)


def test_a_recording_goes_to_pynapple_and_comes_back():
    from ephysfit.data.in_memory import from_pynapple

    data = ef.synthetic.recording(CELL, duration=600.0, repeats=2, dt=0.1)
    made = data.to_pynapple()
    back = from_pynapple(made["current"], made["voltage"], made["spikes"], made["epochs"])
    assert len(back) == len(data)
    for one, other in zip(back, data, strict=True):
        np.testing.assert_allclose(one.current, other.current)
        np.testing.assert_allclose(one.voltage, other.voltage)
        np.testing.assert_allclose(one.spike_times, other.spike_times, atol=1e-6)


def test_runs_go_to_pynapple():
    run = ef.simulate(CELL, np.full(4000, 150.0), dt=0.5, runs=3, noise="escape")
    group = run.to_pynapple()
    assert len(group) == 3
    np.testing.assert_allclose(group[1].t * 1e3, run.spike_times[0][1], atol=1e-6)
