"""Exponential integrate-and-fire neurons: the upstroke is part of the model."""

from __future__ import annotations

from typing import Any

from ephysfit.models.common import CAPACITANCE, LEAK, REFRACTORY, RESET, REST
from ephysfit.models.saturation import bounded_margin, capped
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp, log, sigmoid, softplus

#: the upstroke stops a few slope factors above the cut-off; only replayed or noisy runs ever get there
_STOP = 5.0


class AdEx(Neuron):
    r"""Adaptive exponential integrate-and-fire neuron.

    .. math::
        C \dot V = -g (V - E_L) + \frac{g \Delta_T E}{1 + g \Delta_T E / (C r)} - w + I, \quad
        E = e^{(V - V_T)/\Delta_T}, \qquad \tau_w \dot w = a (V - E_L) - w

    A spike is registered at ``V_peak``; it sets :math:`V` to ``V_reset``, where it stays for ``t_ref``, and raises
    :math:`w` by ``b``. The published exponential has no upper end; sodium current has, and ``rise`` (:math:`r`, the
    largest dV/dt, read off any recorded spike) is where: far above 1000 mV/ms it is the published model. Beyond the
    cut-off, which only replayed or noisy runs reach, V stops a few slope factors above ``V_peak`` and :math:`w` no
    longer follows. The hazard at ``V_peak`` is ours; the published neuron is deterministic. ``V_peak`` far above
    ``V_T`` costs nothing in a simulation but leaves a likelihood fit little to go by: -20 to 0 mV works well.

    References
    ----------
    Brette & Gerstner (2005), J. Neurophysiol. 94, 3637-3642; Naud et al. (2008), Biol. Cybern. 99, 335-347.
    """

    reference = "Brette & Gerstner 2005"
    biology = "Sodium activation gives a soft, sharp threshold; a slow current adapts to voltage and to spikes."
    searched = (
        "once begun the upstroke reaches the cut-off within a step, so that the hazard is all or nothing and the "
        "likelihood a peak too narrow for any ascent to find"
    )

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    V_T = Parameter("mV", -75.0, -22.0, "potential at which the exponential current takes over", start=-48.0)
    Delta_T = Parameter("mV", 0.5, 10.0, "slope factor: sharpness of spike initiation", start=2.0)
    a = Parameter("nS", -20.0, 60.0, "coupling of the adaptation current to the voltage", start=0.5)
    b = Parameter("pA", -200.0, 600.0, "rise of the adaptation current at a spike", start=20.0)
    tau_w = Parameter("ms", 2.0, 2000.0, "time constant of the adaptation current", start=100.0)
    V_peak = Parameter("mV", -20.0, 50.0, "potential at which the spike is registered", start=-10.0)
    rise = Parameter("mV/ms", 50.0, 500.0, "largest rate of rise of the upstroke", start=200.0)
    V_reset = RESET
    t_ref = REFRACTORY
    delta = Parameter("mV", 0.5, 20.0, "softness of the cut-off: the rate grows e-fold over it", start=4.0)

    # w first: it reads the potential before the upstroke of the same step
    w = State("pA", doc="adaptation current")
    V = State("mV", rest="E_L", doc="membrane potential")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        most = self.C * self.rise
        upstroke = sigmoid((x.V - self.V_T) / self.Delta_T + log(self.g * self.Delta_T / most))
        stop = softplus((x.V - self.V_peak) / self.Delta_T - _STOP)
        heard = capped(x.V, self.V_peak + 2 * _STOP * self.Delta_T, self.Delta_T)
        return {
            "w": (self.a * (heard - self.E_L) - x.w) / self.tau_w,
            "V": (-self.g * (x.V - self.E_L) + most * (upstroke - stop) - x.w + I) / self.C,
        }

    def margin(self, x: Any) -> Any:
        return bounded_margin(x.V - self.V_peak, self.delta)

    def jump(self, x: Any) -> dict[str, Any]:
        return {"w": x.w + self.b, "V": self.V_reset}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)


EIF = AdEx.pin(
    "EIF",
    r"""Exponential integrate-and-fire neuron: `AdEx` without adaptation.

    .. math::
        C \dot V = -g (V - E_L) + \frac{g \Delta_T E}{1 + g \Delta_T E / (C r)} + I, \quad E = e^{(V - V_T)/\Delta_T}

    References
    ----------
    Fourcaud-Trocmé, Hansel, van Vreeswijk & Brunel (2003), J. Neurosci. 23, 11628-11640.
    """,
    a=0.0,
    b=0.0,
    tau_w=100.0,
)
EIF.reference = "Fourcaud-Trocmé et al. 2003"
EIF.biology = "Sodium activation gives a soft, sharp threshold with an upstroke of finite speed."
