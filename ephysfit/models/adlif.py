"""Adaptation current: one slow current driven by voltage and by spikes."""

from __future__ import annotations

from typing import Any

from ephysfit.models.common import CAPACITANCE, LEAK, REFRACTORY, RESET, REST, SOFTNESS, THRESHOLD
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp


class AdLIF(Neuron):
    r"""Leaky integrate-and-fire neuron with subthreshold and spike-triggered adaptation.

    .. math::
        C \dot V = -g (V - E_L) - w + I, \qquad \tau_w \dot w = a (V - E_L) - w

    A spike sets :math:`V` to ``V_reset``, where it stays for ``t_ref``, and raises :math:`w` by ``b``. With
    ``a > 0`` the cell can resonate.

    References
    ----------
    Richardson, Brunel & Hakim (2003), J. Neurophysiol. 89, 2538-2554; Bittar & Garner (2022).
    """

    reference = "Richardson, Brunel & Hakim 2003; Bittar & Garner 2022"
    biology = "Adds one slow current (M- or h-like for a, after-hyperpolarisation for b)."

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    theta = THRESHOLD
    a = Parameter("nS", -20.0, 60.0, "coupling of the adaptation current to the voltage", start=0.5)
    b = Parameter("pA", -200.0, 600.0, "rise of the adaptation current at a spike", start=20.0)
    tau_w = Parameter("ms", 2.0, 2000.0, "time constant of the adaptation current", start=100.0)
    V_reset = RESET
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = State("mV", rest="E_L", doc="membrane potential")
    w = State("pA", doc="adaptation current")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        return {
            "V": (-self.g * (x.V - self.E_L) - x.w + I) / self.C,
            "w": (self.a * (x.V - self.E_L) - x.w) / self.tau_w,
        }

    def margin(self, x: Any) -> Any:
        return x.V - self.theta

    def jump(self, x: Any) -> dict[str, Any]:
        return {"V": self.V_reset, "w": x.w + self.b}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)
