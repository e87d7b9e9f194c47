"""Problems: what trains, what validates, what is refused; stages that have nothing to do say so."""

import numpy as np
import pytest
from fitting_cells import DT, Plain, begun, known, problem, silent_cell, spikes_only, steps

from ephysfit.data.recording import Recording, Sweep
from ephysfit.errors import FitError, RecordingError
from ephysfit.fitting.stage import MINIMUM_SPIKES, Estimate, Status
from ephysfit.fitting.stages import CausalReadout, Gradient, Likelihood, Search
from ephysfit.models import AIGIF, ALIF, LIF

MOVERS = [Likelihood(), Gradient(steps=2), Search(evaluations=20)]


def test_blocks_train_or_validate_never_both():
    p = problem()
    ((train,), (held,), (every,)) = ([t.use for t in s] for s in (p.train, p.validate, p.everything))
    assert not (train & held).any()
    assert np.array_equal(train | held, every)
    assert held.sum() == pytest.approx(0.15 * every.sum(), rel=0.01)
    assert np.count_nonzero(np.diff(np.r_[0, held]) == 1) == p.blocks
    assert held[-1]  # the last block ends the recording


def test_the_first_half_second_is_simulated_but_not_counted():
    p = problem()
    use = p.everything[0].use
    assert not use[: round(500.0 / DT)].any()
    assert use[round(500.0 / DT) :].all()
    assert len(p.everything[0].current) == len(use)


def test_of_a_short_sweep_nothing_is_left_out_where_its_holding_level_is_known():
    p = problem(steps())
    assert [int(np.flatnonzero(m)[0]) for m in p.counted] == [0] * len(p.counted)


def test_of_a_short_sweep_that_moves_from_the_first_sample_a_twentieth_is_left_out():
    noise = np.random.default_rng(0).normal(0, 50, (3, 4000))
    p = problem(Recording.of(noise, DT, spike_times=[np.arange(100.0, 1900.0, 90.0)] * 3))
    assert [int(np.flatnonzero(m)[0]) for m in p.counted] == [200] * 3


def test_padding_and_invalid_stretches_never_count():
    (sweep,) = spikes_only()
    part = Sweep(sweep.current, DT, None, sweep.spike_times, valid=((0.0, 4000.0), (6000.0, 12000.0)))
    longer = Sweep(np.r_[sweep.current, sweep.current[:1000]], DT, None, sweep.spike_times)
    p = problem(Recording((part, longer)))
    assert not p.everything[0].use[round(4000 / DT) : round(6000 / DT)].any()
    assert not p.everything[0].use[len(sweep.current) :].any()
    assert p.everything[1].use[-1]


def test_spikes_are_counted_where_they_count():
    p = problem()
    (sweep,) = p.recording
    assert p.n_spikes == np.count_nonzero(sweep.spike_times >= 500.0)


@pytest.mark.parametrize("stage", MOVERS, ids=lambda s: type(s).__name__)
def test_too_few_spikes_is_a_value(stage):
    p = problem(silent_cell())
    assert p.n_spikes < MINIMUM_SPIKES
    before = begun(p)
    after = stage(p, before)
    assert after.status is Status.TOO_FEW_SPIKES
    assert after.neuron is before.neuron
    assert "fewer than 5 spikes" in after.status.value


@pytest.mark.parametrize("stage", [Likelihood(), CausalReadout()], ids=lambda s: type(s).__name__)
def test_a_neuron_without_hazard_has_no_likelihood_and_no_readout(stage):
    p = problem(kind=Plain)
    after = stage(p, Estimate(p.start()))
    assert after.status is Status.NOT_NEEDED
    assert after.neuron == p.start() or repr(after.neuron) == repr(p.start())


def test_a_constant_current_cannot_set_an_operating_point():
    flat = Recording.of(np.full(4000, 50.0), DT, spike_times=np.arange(100.0, 1900.0, 90.0), cell="flat")
    with pytest.raises(FitError, match=r"flat: the training current is constant \(50 pA\).*varies"):
        problem(flat, AIGIF).start()
    assert problem(flat, LIF).start()  # a neuron that measures nothing has no need of it


def test_operating_point_is_that_of_the_counted_training_current():
    p = problem(kind=AIGIF)
    (sweep,) = p.recording
    counted = sweep.current[round(500.0 / DT) :]
    assert pytest.approx(counted.mean()) == p.start().I_0
    assert p.start().I_s == pytest.approx(counted.std())


def test_nothing_that_counts_is_refused():
    fine = Sweep(np.ones(4000), 0.1, None, np.array([50.0, 90.0]), valid=((0.0, 0.3),))  # less than a step of the fit
    none = Recording((fine,), cell="c7")
    with pytest.raises(FitError, match=r"c7: no sample of the training data counts; check the valid intervals"):
        problem(none).start()


def test_a_step_that_is_no_multiple_is_refused():
    from ephysfit.fitting.fit import fit

    with pytest.raises(RecordingError, match=r"dt = 0\.7 ms is not an integer multiple of the recorded step 0\.5 ms"):
        fit(known(), LIF, dt=0.7)


def test_seeds_and_askers_have_draws_of_their_own():
    p, q = problem(seed=1), problem(seed=2)
    assert p.rng(1).random() == p.rng(1).random()
    assert len({p.rng(1).random(), p.rng(2).random(), q.rng(1).random()}) == 3


def test_a_short_sweep_is_not_replayed_to_the_length_of_the_longest():
    p = problem(steps(), ALIF)
    lengths = [len(s.current) for s in p.recording.sweeps]
    assert len(set(lengths)) > 1
    for taught, n in zip(p.everything, lengths, strict=True):
        assert n <= len(taught.spikes) <= n + round(1000.0 / DT)  # and its run-up at the holding level
