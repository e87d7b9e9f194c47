"""Adaptive threshold: every spike makes the next one harder (Block-ALIF: Taylor, King & Harper 2023)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ephysfit.models.common import CAPACITANCE, LEAK, REFRACTORY, RESET, REST, SOFTNESS, THRESHOLD
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp

_RISE = Parameter("mV", 0.0, 60.0, "rise of the threshold at a spike", start=5.0)


class ALIF(Neuron):
    r"""Leaky integrate-and-fire neuron whose threshold jumps at a spike and relaxes.

    .. math::
        C \dot V = -g (V - E_L) + I, \qquad \tau_a \dot h = -h, \qquad \text{spike when } V \ge \theta + h

    A spike sets :math:`V` to ``V_reset``, where it stays for ``t_ref`` (input is discarded meanwhile), and raises
    the threshold part :math:`h` by ``d_theta``.

    References
    ----------
    Taylor, King & Harper (2023), arXiv 2311.11390; Bellec et al. (2018), arXiv 1803.09574.
    """

    reference = "Taylor, King & Harper 2023 (arXiv 2311.11390)"
    biology = "Adds a threshold that rises with every spike, as slow inactivation of sodium channels makes it."

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    theta = THRESHOLD
    d_theta = _RISE
    tau_a = Parameter("ms", 2.0, 3000.0, "time constant of the threshold's relaxation", start=100.0)
    V_reset = RESET
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = State("mV", rest="E_L", doc="membrane potential")
    h = State("mV", doc="spike-triggered part of the threshold")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        return {"V": (-self.g * (x.V - self.E_L) + I) / self.C, "h": -x.h / self.tau_a}

    def margin(self, x: Any) -> Any:
        return x.V - self.theta - x.h

    def jump(self, x: Any) -> dict[str, Any]:
        return {"V": self.V_reset, "h": x.h + self.d_theta}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)


#: mV to threshold that one unit of `BlockALIF` stands for: those between the declared starts of rest and threshold, and
#: the most that bounds allow for
_START, _MOST = 20.0, 80.0

BlockALIF = ALIF.pin(
    "BlockALIF",
    """Block-ALIF as published (Taylor, King & Harper 2023): unit threshold above rest, hard reset to rest.

    With ``E_L = V_reset = 0`` and ``theta = 1`` potentials are in units of the distance to threshold (written mV
    here); ``beta = exp(-dt g / C)`` and ``p = exp(-dt / tau_a)``. So ``g`` is the rheobase in pA, and the bounds of
    ``g`` and ``C`` are those of a cell whose threshold lies up to 80 mV above rest.
    """,
    C=replace(CAPACITANCE, high=_MOST * CAPACITANCE.high, start=_START * CAPACITANCE.starts[0]),
    g=replace(LEAK, high=_MOST * LEAK.high, start=_START * LEAK.starts[0]),
    d_theta=replace(_RISE, high=_RISE.high / _START, start=_RISE.starts[0] / _START),
    E_L=0.0,
    V_reset=0.0,
    theta=1.0,
    delta=0.1,
)


class MultiALIF(Neuron):
    r"""Adaptive threshold with several time scales: a bank of parts that jump at a spike and relax.

    .. math::
        C \dot V = -g (V - E_L) + I, \qquad \tau_j \dot h_j = -h_j, \qquad
        \text{spike when } V \ge \theta + \textstyle\sum_j h_j

    With one part it is `ALIF`. Parts of about equal time constant cannot be distinguished by data; the starts are
    spread.

    References
    ----------
    Taylor, King & Harper (2023), arXiv 2311.11390; several scales: Kobayashi, Tsubo & Shinomoto (2009).
    """

    reference = "Taylor, King & Harper 2023 (arXiv 2311.11390); Kobayashi et al. 2009"
    biology = "A threshold with fast, middle and slow recovery, as sodium channels recover on several time scales."

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    theta = THRESHOLD
    d_theta = Parameter("mV", -10.0, 60.0, "rise of each part of the threshold at a spike", (5.0, 2.0, 1.0), size=3)
    tau_a = Parameter("ms", 2.0, 3000.0, "time constant of each part", (10.0, 80.0, 600.0), size=3)
    V_reset = RESET
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = State("mV", rest="E_L", doc="membrane potential")
    h = State("mV", doc="spike-triggered parts of the threshold", size=3)

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        return {"V": (-self.g * (x.V - self.E_L) + I) / self.C, "h": -x.h / self.tau_a}

    def margin(self, x: Any) -> Any:
        return x.V - self.theta - x.h.sum()

    def jump(self, x: Any) -> dict[str, Any]:
        return {"V": self.V_reset, "h": x.h + self.d_theta}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)
