"""Izhikevich neurons: a quadratic upstroke and one recovery current."""

from __future__ import annotations

from typing import Any

from ephysfit.models.adex import AdEx
from ephysfit.models.common import REFRACTORY, RESET
from ephysfit.models.saturation import bounded_margin, capped, excess
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp


class Izhikevich(Neuron):
    r"""Izhikevich neuron in physical units (2007 form).

    .. math::
        C \dot V = k (V - V_r)(V - V_t) - u + I, \qquad \dot u = a \left( b (V - V_r) - u \right)

    A spike is registered at ``V_peak``; it sets :math:`V` to ``c`` and raises :math:`u` by ``d``. Above ``V_peak``,
    which only replayed or noisy runs reach, the parabola passes into a constant and a restoring current, so that
    nothing diverges. **Caveats:** the quadratic upstroke is slower than that of cells, and ``V_t`` is not a threshold
    but the unstable point without adaptation. The hazard at ``V_peak`` is ours.

    References
    ----------
    Izhikevich (2003), IEEE Trans. Neural Netw. 14, 1569-1572; Izhikevich (2007), Dynamical Systems in Neuroscience,
    eq. 8.5.
    """

    reference = "Izhikevich 2003, 2007"
    biology = "Spike initiation by a fast quadratic current; one slow recovery current shapes the firing pattern."
    searched = AdEx.searched

    C = Parameter("pF", 10.0, 1000.0, "membrane capacitance", start=100.0)
    k = Parameter("pA/mV**2", 0.02, 5.0, "steepness of the quadratic current", start=0.7)
    V_r = Parameter("mV", -90.0, -45.0, "resting potential", start=-60.0)
    V_t = Parameter("mV", -65.0, -20.0, "instantaneous threshold", start=-40.0)
    a = Parameter("1/ms", 0.001, 0.5, "rate of the recovery current", start=0.03)
    b = Parameter("nS", -20.0, 60.0, "coupling of the recovery current to the voltage", start=-2.0)
    c = RESET
    d = Parameter("pA", -200.0, 1000.0, "rise of the recovery current at a spike", start=100.0)
    V_peak = Parameter("mV", -15.0, 60.0, "potential at which the spike is registered", start=0.0)
    t_ref = REFRACTORY
    delta = Parameter("mV", 0.5, 20.0, "softness of the cut-off: the rate grows e-fold over it", start=5.0)

    # u first: it reads the potential before the upstroke of the same step
    u = State("pA", doc="recovery current")
    V = State("mV", rest="V_r", doc="membrane potential")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        width = (self.V_peak - self.V_r) / 30
        top = self.V_peak + 6 * width
        v = capped(x.V, top, width)
        restoring = 4 * self.k * (top - self.V_r) * excess(x.V, top, width)
        return {
            "u": self.a * (self.b * (v - self.V_r) - x.u),
            "V": (self.k * (v - self.V_r) * (v - self.V_t) - restoring - x.u + I) / self.C,
        }

    def margin(self, x: Any) -> Any:
        return bounded_margin(x.V - self.V_peak, self.delta)

    def jump(self, x: Any) -> dict[str, Any]:
        return {"u": x.u + self.d, "V": self.c}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)


Izhikevich2003 = Izhikevich.pin(
    "Izhikevich2003",
    r"""The published 2003 neuron, :math:`\dot v = 0.04 v^2 + 5 v + 140 - u + I`, :math:`\dot u = a (b v - u)`.

    It is `Izhikevich` with ``k = 0.04 C`` per ms and mV and the two roots of the parabola tied to each other; ``V_r``
    stands for the published ``b`` (``b = 0.04 V_r + 5 + 140 / V_r`` per ms: 0.2 at -70 mV, 0.25 at -64.2 mV). ``C``
    sets the scale of its current: at 1 pF the published numbers hold as they stand, at 100 pF times 100.
    """,
    k=lambda p: 0.04 * p.C,
    V_t=lambda p: -125.0 - p.V_r,
    b=lambda p: p.C * (0.04 * p.V_r + 5.0 + 140.0 / p.V_r),
    V_peak=30.0,
    t_ref=0.0,
)
Izhikevich2003.reference = "Izhikevich 2003"
