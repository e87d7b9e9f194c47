"""Two linear states whose exact step is a published discrete update (SiLIF, C-SiLIF, PRF at the papers' own step).

A published network neuron is a map, ``x <- M x + g I`` and a jump, at one step. It is the exact step of the flow
``x' = A x + B I`` with ``exp(A dt) = M``, so that every engine runs it, spike for spike, at that step and at no other.
`ephysfit.models.published` makes these cells from the papers' parameters.
"""

from __future__ import annotations

from typing import Any

from ephysfit.neuron.declare import Neuron, Parameter, State

_RATE = Parameter("1/ms", -1000.0, 1000.0, "entry of the flow's matrix: the logarithm of the step over its length")
_GAIN = Parameter("1/pF", -1000.0, 1000.0, "gain of the input")


def _entry(of: Parameter, start: float, doc: str) -> Parameter:
    return Parameter(of.unit, of.low, of.high, f"{of.doc}, {doc}", start=start)


class LinearStep(Neuron):
    r"""Two linear states with a soft reset: a published update between two of its steps.

    .. math::
        \dot u = a_{uu} u + a_{uw} w + g_u I, \qquad \dot w = a_{wu} u + a_{ww} w + g_w I, \qquad
        \text{spike when } u \ge \theta

    A spike takes ``D_u`` from :math:`u` and adds ``D_w`` to :math:`w`; there is no refractory period. Potentials are in
    units of the threshold (written mV), the input in threshold units per step (written pA).
    """

    reference = "Fabre et al. 2025 (arXiv 2506.06374); Huang et al. 2024 (arXiv 2410.03530)"
    biology = "None: a network's neuron at a network's step, kept to compare with the papers."
    hold = ()

    a_uu = _entry(_RATE, -0.05, "u on u")
    a_uw = _entry(_RATE, -0.05, "w on u")
    a_wu = _entry(_RATE, 0.05, "u on w")
    a_ww = _entry(_RATE, -0.05, "w on w")
    g_u = _entry(_GAIN, 0.05, "to u")
    g_w = _entry(_GAIN, 0.0, "to w")
    theta = Parameter("mV", -100.0, 100.0, "threshold", start=1.0)
    D_u = Parameter("mV", -100.0, 100.0, "what a spike takes from u", start=1.0)
    D_w = Parameter("mV", -1e6, 1e6, "what a spike adds to w", start=0.0)

    u = State("mV", doc="potential, in units of the threshold")
    w = State("mV", doc="slow variable, or the imaginary part of the state")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        return {
            "u": self.a_uu * x.u + self.a_uw * x.w + self.g_u * I,
            "w": self.a_wu * x.u + self.a_ww * x.w + self.g_w * I,
        }

    def margin(self, x: Any) -> Any:
        return x.u - self.theta

    def jump(self, x: Any) -> dict[str, Any]:
        return {"u": x.u - self.D_u, "w": x.w + self.D_w}


PublishedPRF = LinearStep.pin(
    "PublishedPRF",
    """The parallel resonate-and-fire neuron as released (Huang et al. 2024): u, w are Re z, Im z; nothing is reset.""",
    D_u=0.0,
    D_w=0.0,
)
PublishedSiLIF = LinearStep.pin(
    "PublishedSiLIF",
    """SiLIF as released (Fabre et al. 2025): w is updated first, and the new w enters u in the same step.""",
    theta=1.0,
    D_u=1.0,
)
PublishedCSiLIF = LinearStep.pin(
    "PublishedCSiLIF",
    """C-SiLIF as released (Fabre et al. 2025): u, w are 2 Re z, 2 Im z; a spike takes 1/2 from Re z.""",
    theta=1.0,
    D_u=1.0,
    D_w=0.0,
)
