"""What is read off a recording, against cells whose answer is known."""

import numpy as np
import pytest
from fitting_cells import DT, KNOWN, begun, problem, silent_cell, spikes_only

from ephysfit.data.recording import Recording, Sweep
from ephysfit.fitting.stage import Estimate, Problem, Status
from ephysfit.fitting.stage_reports import PassiveReport
from ephysfit.fitting.stages.passive import Passive
from ephysfit.models import AIGIF, ALIF
from ephysfit.synthetic import recording


@pytest.fixture(params=[(60.0, 4.0, -70.0), (150.0, 5.0, -62.0), (250.0, 20.0, -58.0)])
def cell(request):
    c, g, rest = request.param
    return KNOWN.replace(C=c, g=g, E_L=rest, theta=rest + 15.0, V_reset=rest + 3.0, t_ref=3.0)


@pytest.mark.parametrize("dt", [0.1, 0.5])
def test_membrane_of_a_known_cell(cell, dt):
    data = recording(cell, duration=20_000.0, repeats=0, dt=dt, rate=6.0, voltage_noise=0.1)
    p = Problem(data, ALIF, DT)
    found = Passive()(p, Estimate(p.start()))
    assert found.status is Status.CONVERGED
    assert found.reports.of(PassiveReport).from_voltage
    assert found.neuron.g == pytest.approx(cell.g, rel=0.05)
    assert pytest.approx(cell.C, rel=0.07) == found.neuron.C
    assert pytest.approx(cell.E_L, abs=0.5) == found.neuron.E_L
    assert found.neuron.V_reset == pytest.approx(cell.V_reset, abs=1.5)
    # a soft threshold is crossed early, adaptation lifts it: the onset is within a few mV of theta
    assert found.neuron.theta == pytest.approx(cell.theta, abs=6.0)
    assert found.neuron.tau_a == p.start().tau_a


def test_spikes_alone_fix_no_scale_and_say_so():
    p = problem(kind=ALIF)
    found = begun(p)
    assert not found.reports.of(PassiveReport).from_voltage
    assert found.neuron.C / found.neuron.g == pytest.approx(20.0)
    current = p.everything[0].current[p.counted[0], 0]
    rheobase = found.neuron.g * (found.neuron.theta - found.neuron.E_L)
    assert current.mean() < rheobase < current.mean() + current.std()


def test_refractory_period_is_under_the_shortest_intervals_in_whole_steps():
    for shortest, expected in ((2.0, 1.5), (4.0, 3.0), (50.0, 4.0)):
        times = np.cumsum(np.full(80, shortest)) + 1000.0
        p = problem(Recording.of(np.ones(20000), DT, spike_times=times), ALIF)
        assert begun(p).neuron.t_ref == pytest.approx(expected)
        assert begun(p).neuron.t_ref < shortest


def test_a_voltage_that_does_not_follow_the_current_falls_back():
    """Where the regression fails the membrane keeps its start; nothing leaves the bounds, nothing is NaN."""
    (sweep,) = spikes_only()
    noise = np.random.default_rng(0).normal(-60.0, 5.0, len(sweep.current))
    p = problem(Recording((Sweep(sweep.current, DT, noise, sweep.spike_times),)), ALIF)
    found = begun(p).neuron
    assert all(q.low <= getattr(found, n) <= q.high for n, q in ALIF.parameters.items())


def test_a_neuron_without_those_names_keeps_its_start():
    p = problem(silent_cell(), AIGIF)
    assert set(begun(p).reports.of(PassiveReport).measured) <= {"t_ref"}
