"""Relative refractoriness that accumulates: every spike pushes the next one back (SPikE-SSM: Zhong et al. 2024).

The published refractory trace R jumps by 1 at a spike and decays. It can be read as part of the threshold (one
exponential in the margin) or as a current into the membrane (low-passed by it); both are here.
"""

from __future__ import annotations

from typing import Any

from ephysfit.models.common import CAPACITANCE, DROP, LEAK, REFRACTORY, REST, SOFTNESS, THRESHOLD
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp

_TAU_R = Parameter("ms", 1.0, 500.0, "time constant of the refractory trace", start=15.0)


_V = State("mV", rest="E_L", doc="membrane potential")
_R = State("1", doc="refractory trace: recent spikes, counted with decay")


class _Traced:
    """Equations of both readings of the trace; each adds where the trace acts."""

    def push(self: Any, x: Any) -> Any:
        """Current that the trace takes out of the membrane."""
        return 0

    def flow(self: Any, x: Any, I: Any) -> dict[str, Any]:
        return {"V": (-self.g * (x.V - self.E_L) - self.push(x) + I) / self.C, "R": -x.R / self.tau_R}

    def margin(self: Any, x: Any) -> Any:
        return x.V - self.theta

    def jump(self: Any, x: Any) -> dict[str, Any]:
        return {"V": x.V - self.D, "R": x.R + 1}

    def hazard(self: Any, u: Any) -> Any:
        return exp(u / self.delta)


class RefractoryLIF(_Traced, Neuron):
    r"""Soft-reset integrate-and-fire neuron with a refractory trace at the threshold.

    .. math::
        C \dot V = -g (V - E_L) + I, \qquad \tau_R \dot R = -R, \qquad \text{spike when } V \ge \theta + U R

    A spike takes ``D`` from :math:`V` and adds 1 to :math:`R`, which accumulates over a burst. The published numbers
    (0.1 and 0.9 per step) belong to that step and are not used here. The paper leaves open whether the trace
    decays before it first acts; here it does, which only scales ``U`` by ``exp(-dt / tau_R)``.

    References
    ----------
    Zhong et al. (2024), SPikE-SSM, arXiv 2410.17268.
    """

    reference = "Zhong et al. 2024, SPikE-SSM (arXiv 2410.17268), trace at the threshold"
    biology = "Adds relative refractoriness: after each spike the threshold is up, and more so after a burst."
    hold = ()

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    theta = THRESHOLD
    D = DROP
    U = Parameter("mV", 0.0, 40.0, "rise of the threshold per spike in the trace", start=5.0)
    tau_R = _TAU_R
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = _V
    R = _R

    def margin(self, x: Any) -> Any:
        return super().margin(x) - self.U * x.R


class RefractoryCurrentLIF(_Traced, Neuron):
    r"""Soft-reset integrate-and-fire neuron with a refractory trace in the membrane.

    .. math::
        C \dot V = -g (V - E_L) - J R + I, \qquad \tau_R \dot R = -R

    A spike takes ``D`` from :math:`V` and adds 1 to :math:`R`; its effect reaches the threshold low-passed by the
    membrane (a double exponential), as an after-hyperpolarising current does.

    References
    ----------
    Zhong et al. (2024), SPikE-SSM, arXiv 2410.17268.
    """

    reference = "Zhong et al. 2024, SPikE-SSM (arXiv 2410.17268), trace in the membrane"
    biology = "Adds an after-hyperpolarising current that sums over a burst."
    hold = ()

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    theta = THRESHOLD
    D = DROP
    J = Parameter("pA", 0.0, 1000.0, "after-hyperpolarising current per spike in the trace", start=30.0)
    tau_R = _TAU_R
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = _V
    R = _R

    def push(self, x: Any) -> Any:
        return self.J * x.R
