"""Integrate-and-fire with after-spike currents and a reset of its own: the workhorse between LIF and GIF."""

from __future__ import annotations

from typing import Any

from ephysfit.models.common import CAPACITANCE, LEAK, REFRACTORY, RESET, REST, SOFTNESS, THRESHOLD
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp


class LIFASC(Neuron):
    r"""Leaky integrate-and-fire neuron with a fast and a slow after-spike current (LIF_ASC).

    .. math::
        C \dot V = -g (V - E_L) + I + I_1 + I_2, \qquad \tau_j \dot I_j = -I_j

    A spike sets :math:`V` to ``V_reset``, where it stays for ``t_ref``, and adds ``b`` to the currents (negative:
    after-hyperpolarisation, positive: after-depolarisation). `GLIF3` is the same with a reset to rest.

    References
    ----------
    Teeter et al. (2018), Nat. Commun. 9, 709; Mihalas & Niebur (2009), Neural Comput. 21, 704-718.
    """

    reference = "Teeter et al. 2018; Mihalas & Niebur 2009"
    biology = "After-hyperpolarising (or depolarising) currents of two durations, opened by each spike."

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    theta = THRESHOLD
    b = Parameter("pA", -600.0, 300.0, "rise of the after-spike currents at a spike", start=(-20.0, -5.0), size=2)
    tau_b = Parameter("ms", 1.0, 2000.0, "time constants of the after-spike currents", start=(10.0, 100.0), size=2)
    V_reset = RESET
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = State("mV", rest="E_L", doc="membrane potential")
    asc = State("pA", doc="after-spike currents", size=2)

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        return {"V": (-self.g * (x.V - self.E_L) + I + x.asc.sum()) / self.C, "asc": -x.asc / self.tau_b}

    def margin(self, x: Any) -> Any:
        return x.V - self.theta

    def jump(self, x: Any) -> dict[str, Any]:
        return {"V": self.V_reset, "asc": x.asc + self.b}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)
