"""Generalised integrate-and-fire neurons of the Allen Institute, nested: GLIF1 to GLIF5.

One declaration, GLIF5; the others are pins of it.
"""

from __future__ import annotations

from typing import Any

from ephysfit.models.common import CAPACITANCE, LEAK, REFRACTORY, REST, SOFTNESS, THRESHOLD
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp


class GLIF5(Neuron):
    r"""Integrate-and-fire with reset rules, after-spike currents and an adapting threshold (LIF-R-ASC-A).

    .. math::
        C \dot V &= -g (V - E_L) + I + \textstyle\sum_j I_j, \qquad \dot I_j = -k_j I_j \\
        \dot\theta_s &= -b_s \theta_s, \qquad \dot\theta_v = a_v (V - E_L) - b_v \theta_v \\
        \text{spike when } V &\ge \theta + \theta_s + \theta_v

    A spike moves :math:`V` to ``E_L + f_v (V - E_L) - dV`` and holds it, and :math:`\theta_v`, for ``t_ref``; it adds
    ``dI`` to the after-spike currents and ``d_theta`` to :math:`\theta_s`, which decay from the spike on (the paper
    adds both at the end of the refractory period: scale by ``exp(k t_ref)`` to convert). The hazard is ours: the
    published neuron is deterministic.

    References
    ----------
    Teeter et al. (2018), Generalized leaky integrate-and-fire models classify multiple neuron types,
    Nat. Commun. 9, 709, eqs. 1-6.
    """

    reference = "Teeter et al. 2018 (GLIF5: LIF-R-ASC-A)"
    biology = "Spike-shaped reset, after-spike currents, and a threshold that follows spikes and voltage."
    hold = ("V", "theta_v")

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    theta = THRESHOLD
    f_v = Parameter("1", 0.0, 1.0, "share of the potential above rest that a spike keeps", start=0.3)
    dV = Parameter("mV", -40.0, 40.0, "drop of the potential at a spike beyond that", start=2.0)
    k = Parameter("1/ms", 5e-4, 1.0, "decay rates of the after-spike currents", start=(0.1, 0.01), size=2)
    dI = Parameter("pA", -600.0, 300.0, "rise of the after-spike currents at a spike", start=(-20.0, -5.0), size=2)
    b_s = Parameter("1/ms", 5e-4, 1.0, "decay rate of the spike-triggered threshold", start=0.02)
    d_theta = Parameter("mV", 0.0, 60.0, "rise of the threshold at a spike", start=3.0)
    a_v = Parameter("1/ms", -0.2, 0.2, "how fast the threshold follows the potential", start=0.005)
    b_v = Parameter("1/ms", 5e-4, 1.0, "decay rate of the voltage-driven threshold", start=0.05)
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = State("mV", rest="E_L", doc="membrane potential")
    asc = State("pA", doc="after-spike currents", size=2)
    theta_s = State("mV", doc="spike-triggered part of the threshold")
    theta_v = State("mV", doc="voltage-driven part of the threshold")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        v = x.V - self.E_L
        return {
            "V": (-self.g * v + I + x.asc.sum()) / self.C,
            "asc": -x.asc * self.k,
            "theta_s": -self.b_s * x.theta_s,
            "theta_v": self.a_v * v - self.b_v * x.theta_v,
        }

    def margin(self, x: Any) -> Any:
        return x.V - self.theta - x.theta_s - x.theta_v

    def jump(self, x: Any) -> dict[str, Any]:
        return {
            "V": self.E_L + self.f_v * (x.V - self.E_L) - self.dV,
            "asc": x.asc + self.dI,
            "theta_s": x.theta_s + self.d_theta,
        }

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)


#: what each lower level leaves out of GLIF5
RESET_TO_REST = {"f_v": 0.0, "dV": 0.0, "b_s": 0.02, "d_theta": 0.0}
NO_AFTER_SPIKE_CURRENT = {"k": (0.1, 0.01), "dI": (0.0, 0.0)}
FIXED_THRESHOLD = {"a_v": 0.0, "b_v": 0.05}

GLIF4 = GLIF5.pin(
    "GLIF4",
    r"""Integrate-and-fire with reset rules, a spike-triggered threshold and after-spike currents (LIF-R-ASC).

    .. math:: C \dot V = -g (V - E_L) + I + \textstyle\sum_j I_j, \qquad \text{spike when } V \ge \theta + \theta_s
    """,
    **FIXED_THRESHOLD,
)
GLIF3 = GLIF5.pin(
    "GLIF3",
    r"""Integrate-and-fire with two after-spike currents (LIF-ASC), reset to rest.

    .. math:: C \dot V = -g (V - E_L) + I + \textstyle\sum_j I_j, \qquad \dot I_j = -k_j I_j
    """,
    **FIXED_THRESHOLD,
    **RESET_TO_REST,
)
GLIF2 = GLIF5.pin(
    "GLIF2",
    r"""Integrate-and-fire with reset rules and a spike-triggered threshold (LIF-R).

    .. math:: C \dot V = -g (V - E_L) + I, \qquad \dot\theta_s = -b_s \theta_s
    """,
    **FIXED_THRESHOLD,
    **NO_AFTER_SPIKE_CURRENT,
)
GLIF1 = GLIF5.pin(
    "GLIF1",
    r"""Leaky integrate-and-fire with reset to rest (LIF of the GLIF family).

    .. math:: C \dot V = -g (V - E_L) + I
    """,
    **FIXED_THRESHOLD,
    **NO_AFTER_SPIKE_CURRENT,
    **RESET_TO_REST,
)

for _model, _says in (
    (GLIF1, "A passive membrane patch that fires at a fixed potential and returns to rest."),
    (GLIF2, "Adds what the spike leaves behind: a reset that keeps part of the potential, and a raised threshold."),
    (GLIF3, "Adds a fast and a slow after-spike current to the passive patch."),
    (GLIF4, "Reset rules, spike-triggered threshold and after-spike currents together."),
):
    _model.biology = _says
