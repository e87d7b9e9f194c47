"""Multi-timescale adaptive threshold: the potential is never reset, the threshold does it all."""

from __future__ import annotations

from typing import Any

from ephysfit.models.common import CAPACITANCE, LEAK, REST, SOFTNESS, THRESHOLD
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp


class MATV(Neuron):
    r"""Adaptive-threshold neuron whose threshold also depends on the rate of change of the voltage.

    .. math::
        C \dot V &= -g (V - E_L) + I, \qquad \tau_j \dot H_j = -H_j \\
        \text{spike when } V &\ge \theta + \textstyle\sum_j H_j + \beta \int_0^\infty s e^{-s/\tau_V} \dot V(t - s) ds

    A spike adds ``alpha`` to the parts :math:`H_j` (10 and 200 ms as published) and resets nothing. The integral
    is kept by two states: with :math:`p = \int e^{-s/\tau_V} (V - E_L)` and :math:`q` its second stage, it is
    :math:`p - q`. **Caveat:** without a reset V is a drive, not the recorded potential, right after a spike.

    References
    ----------
    Yamauchi, Kim & Shinomoto (2011), Front. Comput. Neurosci. 5, 42; Kobayashi, Tsubo & Shinomoto (2009).
    """

    reference = "Yamauchi, Kim & Shinomoto 2011"
    biology = "A threshold that adapts to spikes on two time scales and rises with fast depolarisation."
    hold = ()

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    theta = THRESHOLD
    alpha = Parameter("mV", -20.0, 200.0, "rise of the threshold's parts at a spike", start=(15.0, 2.0), size=2)
    tau_H = Parameter("ms", 2.0, 2000.0, "time constants of the threshold's parts", start=(10.0, 200.0), size=2)
    beta = Parameter("1/ms", -1.0, 1.0, "sensitivity of the threshold to changes of the voltage", start=-0.05)
    tau_V = Parameter("ms", 0.5, 100.0, "time constant of that sensitivity", start=5.0)
    t_ref = Parameter("ms", 0.0, 20.0, "time in which spikes are barred", start=2.0, smooth=False)
    delta = SOFTNESS

    V = State("mV", rest="E_L", doc="potential of the membrane as if it never spiked")
    H = State("mV", doc="spike-triggered parts of the threshold", size=2)
    p = State("ms*mV", doc="low-passed potential above rest")
    q = State("ms*mV", doc="the same, low-passed once more")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        v = x.V - self.E_L
        return {
            "V": (-self.g * v + I) / self.C,
            "H": -x.H / self.tau_H,
            "p": v - x.p / self.tau_V,
            "q": (x.p - x.q) / self.tau_V,
        }

    def margin(self, x: Any) -> Any:
        return x.V - self.theta - x.H.sum() - self.beta * (x.p - x.q)

    def jump(self, x: Any) -> dict[str, Any]:
        return {"H": x.H + self.alpha}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)


MAT = MATV.pin(
    "MAT",
    r"""Multi-timescale adaptive threshold neuron (MAT*): leaky integration without reset, threshold with two scales.

    .. math::
        C \dot V = -g (V - E_L) + I, \qquad \tau_j \dot H_j = -H_j, \qquad
        \text{spike when } V \ge \theta + \textstyle\sum_j H_j

    A spike adds ``alpha`` to :math:`H_j` and resets nothing; spikes are barred for ``t_ref``. Time constants are 10
    and 200 ms, as published.

    References
    ----------
    Kobayashi, Tsubo & Shinomoto (2009), Front. Comput. Neurosci. 3, 9.
    """,
    beta=0.0,
    tau_V=5.0,
    tau_H=(10.0, 200.0),
)
MAT.reference = "Kobayashi, Tsubo & Shinomoto 2009"
MAT.biology = "A threshold that adapts to spikes on a fast and a slow scale; no reset."
