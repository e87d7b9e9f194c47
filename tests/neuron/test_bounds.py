"""Values no cell can have are refused where a cell is run; values outside their bounds cause a warning."""

import math
import warnings

import numpy as np
import pytest

from ephysfit.check import check_neuron
from ephysfit.errors import NeuronError
from ephysfit.fitting.chain import run_stages
from ephysfit.fitting.stage import Problem
from ephysfit.models import GIF, LIF, BlockALIF, Izhikevich2003, catalogue
from ephysfit.neuron.bounds import impossible, outside
from ephysfit.simulation.simulate import simulate
from ephysfit.synthetic import recording

CURRENT = np.full(400, 200.0)


@pytest.mark.parametrize("neuron", catalogue().values(), ids=lambda n: n.__name__)
def test_declared_starts_and_alternatives_are_fine(neuron):
    cells = [neuron.start()]
    cells += [cells[0].replace(**{k: v for k, v in a.items() if k in neuron.parameters}) for a in neuron.alternatives]
    assert not any(outside(c) or impossible(c) for c in cells)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"C": -5.0}, r"LIF.C = -5 pF must be positive \(membrane capacitance; declared for 5 to 2000 pF\)"),
        ({"g": 0.0}, "LIF.g = 0 nS must be positive"),
        ({"t_ref": -1.0}, "LIF.t_ref = -1 ms must not be negative"),
        ({"E_L": math.nan}, "LIF.E_L = nan mV must be a finite number"),
        ({"theta": math.inf}, "LIF.theta = inf mV must be a finite number"),
    ],
)
def test_an_impossible_cell_is_refused_before_it_runs(values, says):
    with pytest.raises(NeuronError, match=says + r".*\.replace\("):
        simulate(LIF.start().replace(**values), CURRENT, dt=0.1)


def test_an_element_of_a_bank_is_named():
    cell = GIF.start().replace(eta=(1.0, math.nan, 1.0, 1.0, 1.0))
    assert impossible(cell) == (
        "GIF.eta_2 = nan pA must be a finite number (weights of the spike-triggered current (positive hyperpolarises); "
        "declared for -600 to 600 pA)",
    )


def test_a_cell_outside_its_bounds_runs_and_says_so():
    with pytest.warns(UserWarning, match=r"LIF\.C = 5000 pF lies above its bounds .*no fit would return it"):
        done = simulate(LIF.start().replace(C=5000.0), CURRENT, dt=0.1)
    assert done.rate_hz == 0.0


def test_published_units_still_run():
    published = Izhikevich2003.start().replace(C=1.0, V_r=-70.0, a=0.02, c=-65.0, d=8.0)
    with pytest.warns(UserWarning, match=r"Izhikevich2003\.C = 1 pF lies below"):
        done = simulate(published, np.full(2000, 10.0), dt=0.2)
    assert done.rate_hz > 5.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        simulate(BlockALIF.start(), np.full(400, 1.0), dt=0.1)


def test_a_fit_does_not_begin_outside_the_bounds():
    data = recording(LIF.start(), duration=3000.0, repeats=0, dt=0.5, rate=20.0)
    with pytest.raises(NeuronError, match=r"a fit cannot start there: LIF\.C = 5000 pF lies above its bounds"):
        run_stages(Problem(data, LIF, 0.5), (), start=LIF.start().replace(C=5000.0))


def test_check_takes_a_cell_and_looks_at_its_values():
    assert "ok     values" in str(check_neuron(LIF.start(), only=["units"]))
    with pytest.raises(NeuronError, match="FAILED values"):
        check_neuron(LIF.start().replace(C=-5.0), only=["units"])
