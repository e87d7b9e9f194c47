"""Synthetic recordings: statistics of the noise, draws inside the ranges, repeats that repeat, reproducible seeds."""

from __future__ import annotations

import numpy as np
import pytest

from ephysfit import synthetic
from ephysfit.errors import NeuronError, SimulationError
from ephysfit.models import ALIF, LIF, AdLIF
from ephysfit.neuron.declare import Input, Neuron, Parameter, State
from ephysfit.simulation.simulate import simulate


def test_noise_has_the_moments_and_correlation_of_its_process() -> None:
    x = synthetic.noise_current(200_000.0, 0.1, mean=30.0, std=12.0, tau=5.0, seed=3)
    assert x.mean() == pytest.approx(30.0, abs=3 * 12 * np.sqrt(2 * 5 / 200_000))
    assert x.std() == pytest.approx(12.0, rel=0.03)
    y = x - x.mean()
    for lag in (10, 50, 100):
        assert (y[lag:] * y[:-lag]).mean() / y.var() == pytest.approx(np.exp(-lag * 0.1 / 5.0), abs=0.02)


def test_noise_is_stationary_from_its_first_sample() -> None:
    first = np.array([synthetic.noise_current(1.0, 0.1, 0.0, 1.0, 10.0, seed)[[0, 5, 9]] for seed in range(4000)])
    assert first.std(0) == pytest.approx([1.0, 1.0, 1.0], rel=0.05)


def test_noise_depends_on_the_seed_alone() -> None:
    a, b, c = (synthetic.noise_current(100.0, 0.1, 0.0, 1.0, 3.0, seed) for seed in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize("bad", [{"dt": 0.0}, {"duration": -5.0}, {"std": -1.0}, {"tau": -1.0}, {"mean": np.nan}])
def test_noise_refuses_what_it_cannot_be(bad) -> None:
    with pytest.raises(SimulationError):
        synthetic.noise_current(**{"duration": 10.0, "dt": 0.1, "mean": 0.0, "std": 1.0, "tau": 1.0, **bad})


@pytest.mark.parametrize("neuron", [LIF, ALIF, AdLIF])
def test_draws_are_cells_inside_the_bounds(neuron) -> None:
    cells = synthetic.draw(neuron, 40, seed=5)
    for name, p in neuron.parameters.items():
        values = np.array([getattr(cell, name) for cell in cells])
        assert ((values >= p.low) & (values <= p.high)).all()
        assert len(set(values)) > 20
    assert all(cell.theta > cell.E_L for cell in cells)
    assert all(cell.V_reset < cell.theta + getattr(cell, "d_theta", 0.0) for cell in cells)
    assert repr(cells) == repr(synthetic.draw(neuron, 40, seed=5))


def test_draws_of_an_impossible_declaration_are_refused() -> None:
    class Above(Neuron):
        theta = Parameter("mV", -10.0, -1.0, "threshold, always below rest")
        tau = Parameter("ms", 1.0, 10.0, "time constant")
        V = State("mV")

        def flow(self, x, I):
            return {"V": -x.V / self.tau}

        def margin(self, x):
            return x.V - self.theta

        def jump(self, x):
            return {"V": 0.0 * self.theta}

    with pytest.raises(NeuronError, match="above threshold at rest"):
        synthetic.draw(Above, 1)


def test_recording_has_training_and_repeats_and_its_answer() -> None:
    cell = ALIF.start()
    known = synthetic.recording(cell, duration=4000.0, test_duration=1500.0, repeats=4, mean=110.0, std=110.0, seed=2)
    train, test = known.split()
    assert [s.name for s in train] == ["training"]
    assert len(test) == 4
    assert np.array_equal(test[0].current, test[3].current)
    assert not np.array_equal(train[0].current[:15000], test[0].current)
    trains = {tuple(t) for t in test.spike_times}
    assert len(trains) == 4
    assert known.facts["neuron"] == repr(cell)


def test_without_noise_the_spikes_are_those_of_the_model_and_of_the_voltage() -> None:
    cell = LIF.start()
    known = synthetic.recording(
        cell, duration=3000.0, repeats=2, test_duration=800.0, mean=120.0, std=90.0, noise="none"
    )
    want = simulate(cell, known[0].current, dt=0.1).spike_times[0][0]
    assert len(want) > 10
    assert np.array_equal(known[0].spike_times, want)
    assert np.array_equal(known[1].spike_times, known[2].spike_times)
    found = np.flatnonzero((known[0].voltage[1:] >= 0) & (known[0].voltage[:-1] < 0)) + 1
    assert np.array_equal(found, (want / 0.1).astype(int))
    quiet = known[0].voltage < 0
    assert known[0].voltage[quiet].max() < cell.theta


def test_rate_is_reached() -> None:
    known = synthetic.recording(AdLIF.start(), duration=30_000.0, repeats=0, rate=6.0, seed=4)
    assert known.rate == pytest.approx(6.0, rel=0.25)


def test_cells_that_cannot_fire_or_have_several_inputs_are_refused() -> None:
    with pytest.raises(SimulationError, match="does not fire at 2000 Hz"):
        synthetic.level_for(LIF.start().replace(t_ref=2.0), 2000.0)
    with pytest.raises(SimulationError, match="both mean and std"):
        synthetic.recording(LIF.start(), mean=1.0)

    class Two(Neuron):
        tau = Parameter("ms", 1.0, 10.0, "time constant")
        I = Input("pA")
        J = Input("pA")
        V = State("mV")

        def flow(self, x, I, J):
            return {"V": -x.V / self.tau}

        def margin(self, x):
            return x.V

        def jump(self, x):
            return {}

    with pytest.raises(SimulationError, match="has inputs I, J"):
        synthetic.respond(Two.start(), np.zeros(10), 0.1)
