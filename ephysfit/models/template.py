"""A neuron of your own: copy this file, change the lines, fit it with ``--model my_neuron.py:Mine``."""

from __future__ import annotations

from typing import Any

from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp


class Mine(Neuron):
    r"""Leaky integrate-and-fire neuron with one after-spike current.

    .. math::
        C \dot V = -g (V - E_L) - w + I, \qquad \tau_w \dot w = -w
    """

    reference = "where the model comes from"
    biology = "What its terms stand for in the cell."
    hold = ("V",)  # states that stay put for t_ref after a spike

    # unit, lowest, highest, meaning, where a fit starts; inside, everything is in ms, mV, pA, pF, nS
    C = Parameter("pF", 5.0, 2000.0, "membrane capacitance", start=100.0)
    g = Parameter("nS", 0.1, 200.0, "leak conductance", start=5.0)
    E_L = Parameter("mV", -110.0, -20.0, "resting potential", start=-65.0)
    theta = Parameter("mV", -80.0, 20.0, "threshold", start=-45.0)
    b = Parameter("pA", -200.0, 600.0, "rise of the after-spike current at a spike", start=20.0)
    tau_w = Parameter("ms", 2.0, 2000.0, "time constant of the after-spike current", start=100.0)
    V_reset = Parameter("mV", -110.0, 0.0, "potential after a spike", start=-60.0)
    t_ref = Parameter("ms", 0.0, 20.0, "absolute refractory period", start=2.0, smooth=False)
    delta = Parameter("mV", 0.1, 20.0, "softness of the threshold: the rate grows e-fold over it", start=2.0)

    V = State("mV", rest="E_L", doc="membrane potential")
    w = State("pA", doc="after-spike current")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        """Rates of change, per ms, of the states that move between spikes."""
        return {"V": (-self.g * (x.V - self.E_L) - x.w + I) / self.C, "w": -x.w / self.tau_w}

    def margin(self, x: Any) -> Any:
        """Distance to threshold, mV: the neuron spikes when it reaches 0 from below."""
        return x.V - self.theta

    def jump(self, x: Any) -> dict[str, Any]:
        """New values of the states that a spike changes."""
        return {"V": self.V_reset, "w": x.w + self.b}

    def hazard(self, u: Any) -> Any:
        """Spike rate, per ms, at margin u: needed for likelihood fits and noisy runs."""
        return exp(u / self.delta)
