"""Leaky integrate-and-fire: a leaky membrane, a fixed threshold, a reset (to a value, or by a fixed drop)."""

from __future__ import annotations

from typing import Any

from ephysfit.models.common import CAPACITANCE, DROP, LEAK, REFRACTORY, RESET, REST, SOFTNESS, THRESHOLD
from ephysfit.neuron.declare import Neuron, State
from ephysfit.neuron.functions import exp


class LIF(Neuron):
    r"""Leaky integrate-and-fire neuron with a soft (escape-noise) threshold.

    .. math::
        C \dot V = -g (V - E_L) + I, \qquad \lambda(u) = e^{u/\Delta}\ \text{per ms}

    A spike sets :math:`V` to ``V_reset``, where it stays for ``t_ref``.

    References
    ----------
    Lapicque (1907), J. Physiol. Pathol. Gen. 9, 620-635; escape noise: Gerstner & Kistler (2002), ch. 5.
    """

    reference = "Lapicque 1907; Gerstner & Kistler 2002"
    biology = "A passive membrane patch (capacitance and leak) that fires at a fixed potential."

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    theta = THRESHOLD
    V_reset = RESET
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = State("mV", rest="E_L", doc="membrane potential")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        return {"V": (-self.g * (x.V - self.E_L) + I) / self.C}

    def margin(self, x: Any) -> Any:
        return x.V - self.theta

    def jump(self, x: Any) -> dict[str, Any]:
        return {"V": self.V_reset}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)


class SoftLIF(Neuron):
    r"""Leaky integrate-and-fire neuron with a soft (subtractive) reset.

    .. math::
        C \dot V = -g (V - E_L) + I, \qquad V \to V - D \text{ at a spike}

    The potential is a sum of filtered current and filtered spikes, so it equals a membrane that is never reset under a
    threshold that rises by ``D`` at each spike and relaxes with the membrane's own time constant (Huang et al. 2024).
    While refractory it keeps integrating and only spikes are barred, which preserves that equality.

    References
    ----------
    Gerstner & Kistler (2002), ch. 4.2; Huang et al. (2024), arXiv 2410.03530 (decoupled reset).
    """

    reference = "Gerstner & Kistler 2002; Huang et al. 2024 (arXiv 2410.03530)"
    biology = "A passive patch whose spike takes away a fixed charge; what came in above threshold is kept."
    hold = ()

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    theta = THRESHOLD
    D = DROP
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = State("mV", rest="E_L", doc="membrane potential")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        return {"V": (-self.g * (x.V - self.E_L) + I) / self.C}

    def margin(self, x: Any) -> Any:
        return x.V - self.theta

    def jump(self, x: Any) -> dict[str, Any]:
        return {"V": x.V - self.D}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)
