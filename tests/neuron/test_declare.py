"""The language: what a declaration refuses, what an instance is."""

from __future__ import annotations

import pytest
import torch

from ephysfit.errors import NeuronError, UnitsError
from ephysfit.models import ALIF, LIF
from ephysfit.neuron.declare import Neuron, Parameter, State, cellwise, flatten, scalar_values, unflatten
from ephysfit.neuron.functions import Bank


class Banked(Neuron):
    tau = Parameter("ms", 1.0, 1000.0, "time constants", start=(10.0, 100.0), size=2)
    theta = Parameter("mV", 1.0, 50.0, "threshold", start=10.0)
    V = State("mV")
    h = State("mV", size=2)

    def flow(self, x, I):
        return {"V": -x.V / self.tau[0], "h": -x.h / self.tau}

    def margin(self, x):
        return x.V - self.theta - x.h.sum()

    def jump(self, x):
        return {"V": 0.0, "h": x.h + 1.0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"unit": "mV", "low": 1.0, "high": 1.0}, "low must be below high"),
        ({"unit": "mV", "low": 0.0}, "finite bounds on both sides"),
        ({"unit": "mV", "low": 0.0, "high": 1.0, "start": 2.0}, "start 2.0 mV lies outside"),
        ({"unit": "mV", "low": 0.0, "high": 1.0, "start": (0.5, -1.0), "size": 2}, "start -1.0 mV lies outside"),
    ],
)
def test_parameters_refuse_bounds_that_bound_nothing(arguments, words) -> None:
    with pytest.raises(NeuronError, match=words):
        Parameter(**arguments)


def test_units_are_those_of_the_house() -> None:
    with pytest.raises(UnitsError, match="did you mean mV"):
        Parameter("mv", 0.0, 1.0)
    with pytest.raises(UnitsError):
        State("volts")


def test_start_is_the_middle_on_the_axis_that_counts() -> None:
    assert Parameter("ms", 1.0, 100.0).starts == (10.0,)
    assert Parameter("mV", -10.0, 30.0).starts == (10.0,)
    assert Parameter("ms", 1.0, 100.0, log=False).starts == (50.5,)
    assert Parameter("ms", 1.0, 100.0, size=3).starts == (10.0, 10.0, 10.0)


def test_missing_unknown_and_pinned_parameters_are_named() -> None:
    with pytest.raises(NeuronError, match="LIF needs C, g"):
        LIF(E_L=-70.0)
    with pytest.raises(NeuronError, match="did you mean V_reset"):
        LIF.start().replace(V_rest=-60.0)
    with pytest.raises(NeuronError, match="C is pinned in Small"):
        LIF.pin("Small", C=50.0).start().replace(C=60.0)


def test_a_pin_may_give_other_bounds_but_no_other_unit() -> None:
    wide = LIF.pin("Wide", g=Parameter("nS", 0.1, 9000.0, "leak", start=900.0))
    assert (wide.start().g, wide.parameters["g"].high, LIF.parameters["g"].high) == (900.0, 9000.0, 200.0)
    with pytest.raises(NeuronError, match=r"Wide\.g is 1 in pA, but LIF's is 1 in nS"):
        LIF.pin("Wide", g=Parameter("pA", 0.1, 9000.0))


def test_an_instance_is_frozen() -> None:
    with pytest.raises(NeuronError, match=r"use \.replace\(C="):
        LIF.start().C = 5.0


def test_a_neuron_is_final() -> None:
    with pytest.raises(NeuronError, match=r"use LIF\.pin"):

        class Mine(LIF):
            pass


def test_names_must_not_clash() -> None:
    with pytest.raises(NeuronError, match="both as a parameter and as a state"):

        class Clash(Neuron):
            I = Parameter("pA", 0.0, 1.0)
            V = State("mV")


def test_rest_and_hold_must_exist() -> None:
    with pytest.raises(NeuronError, match="did you mean E_L"):

        class Rest(Neuron):
            E_L = Parameter("mV", -90.0, -40.0)
            V = State("mV", rest="E_l")

    with pytest.raises(NeuronError, match="holds 'U' while refractory"):

        class Held(Neuron):
            hold = ("U",)
            V = State("mV")


def test_equations_that_are_not_written_say_so() -> None:
    class Empty(Neuron):
        tau = Parameter("ms", 1.0, 10.0)
        V = State("mV")

    cell = Empty.start()
    for call in (lambda: cell.flow(None, 0.0), lambda: cell.margin(None), lambda: cell.jump(None)):
        with pytest.raises(NotImplementedError, match="Empty writes no"):
            call()
    assert not Empty.stochastic()
    assert LIF.stochastic()


def test_banks_are_unrolled_and_back() -> None:
    cell = Banked.start()
    assert cell.tau == Bank((10.0, 100.0))
    assert Banked.state_names() == ("V", "h_1", "h_2")
    flat = flatten(Banked.parameters, cell.values())
    assert flat == {"tau_1": 10.0, "tau_2": 100.0, "theta": 10.0} == scalar_values(cell)
    assert unflatten(Banked.parameters, flat) == cell.values()
    with pytest.raises(NeuronError, match="has 3 values; it is declared with size 2"):
        cell.replace(tau=(1.0, 2.0, 3.0))


def test_banks_of_different_length_do_not_meet() -> None:
    with pytest.raises(ValueError, match="2 and 3 elements"):
        Bank((1.0, 2.0)) + Bank((1.0, 2.0, 3.0))


def test_many_cells_are_one_instance() -> None:
    assert cellwise(LIF.start()) == 1
    assert cellwise(ALIF.start().replace(C=torch.tensor([90.0, 100.0, 110.0]))) == 3
    assert cellwise(Banked.start().replace(tau=(torch.ones(4), 2.0))) == 4


def test_repr_is_short_and_complete() -> None:
    assert repr(Banked.start()) == "Banked(tau=(10, 100), theta=10)"


@pytest.mark.parametrize(
    ("parameter", "value", "fraction"),
    [
        (Parameter("ms", 1.0, 1e4), 100.0, 0.5),
        (Parameter("mV", -10.0, 10.0), -5.0, 0.25),
        (Parameter("ms", 0.0, 9.0), 99.0, 1.0),
    ],
)
def test_a_parameter_knows_its_axis(parameter, value, fraction):
    assert parameter.fraction(value) == pytest.approx(fraction)
    low, high = parameter.ends
    inside = low + 0.3 * (high - low)
    assert parameter.to_axis(parameter.from_axis(inside)) == pytest.approx(inside)
    assert parameter.prior_width == pytest.approx(0.3 * (high - low))
