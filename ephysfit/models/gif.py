"""Generalised integrate-and-fire neurons: spike-triggered current and threshold as filter banks, escape noise.

The published filters are sums of exponentials with fixed time constants and free weights; here each is a bank.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ephysfit.models.common import CAPACITANCE, LEAK, REFRACTORY, RESET, REST, SOFTNESS, THRESHOLD
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp, sigmoid, softplus

#: time constants of the two filters, ms: a factor of about 4 apart, so that data can tell any two apart
SCALES = (3.0, 12.0, 50.0, 200.0, 800.0)
_N = len(SCALES)

_ETA = Parameter(
    "pA", -600.0, 600.0, "weights of the spike-triggered current (positive hyperpolarises)",
    start=(10.0, 10.0, 5.0, 2.0, 1.0), size=_N, early=True,
)  # fmt: skip
_GAMMA = Parameter(
    "mV", -60.0, 80.0, "weights of the spike-triggered threshold",
    start=(5.0, 3.0, 1.0, 0.5, 0.2), size=_N, early=True,
)  # fmt: skip
_THETA = replace(THRESHOLD, early=True)
_TAU_ETA = Parameter("ms", 0.5, 3000.0, "time constants of the spike-triggered current", start=SCALES, size=_N)
_TAU_GAMMA = Parameter("ms", 0.5, 3000.0, "time constants of the spike-triggered threshold", start=SCALES, size=_N)
_V = State("mV", rest="E_L", doc="membrane potential")
_ETA_STATE = State("pA", doc="spike-triggered current by time constant", size=_N)
_GAMMA_STATE = State("mV", doc="spike-triggered threshold by time constant", size=_N)


class _Filtered:
    """Equations that the whole family shares; a neuron is final, so they are a mixin and not a base neuron."""

    def outward(self: Any, x: Any) -> Any:
        """Outward current in addition to the leak."""
        return x.eta_t.sum()

    def flow(self: Any, x: Any, I: Any) -> dict[str, Any]:
        return {
            "V": (-self.g * (x.V - self.E_L) - self.outward(x) + I) / self.C,
            "eta_t": -x.eta_t / self.tau_eta,
            "gamma_t": -x.gamma_t / self.tau_gamma,
        }

    def margin(self: Any, x: Any) -> Any:
        return x.V - self.theta - x.gamma_t.sum()

    def jump(self: Any, x: Any) -> dict[str, Any]:
        return {"V": self.V_reset, "eta_t": x.eta_t + self.eta, "gamma_t": x.gamma_t + self.gamma}

    def hazard(self: Any, u: Any) -> Any:
        return exp(u / self.delta)


class FreeGIF(_Filtered, Neuron):
    r"""Generalised integrate-and-fire neuron whose filters' time constants are free too.

    .. math::
        C \dot V = -g (V - E_L) - \textstyle\sum_j \eta_j + I, \qquad
        \lambda = \exp\left(\frac{V - \theta - \sum_j \gamma_j}{\Delta}\right) \text{ per ms}

    A spike sets :math:`V` to ``V_reset``, where it stays for ``t_ref``, and adds a weight to every :math:`\eta_j` and
    :math:`\gamma_j`, which decay with their own time constants. The published model fixes those (`GIF`), which keeps
    the fit near-convex; freeing them seldom pays and two may merge.

    References
    ----------
    Mensi et al. (2012), J. Neurophysiol. 107, 1756-1775; Pozzorini et al. (2015), PLoS Comput. Biol. 11, e1004275.
    """

    reference = "Mensi et al. 2012; Pozzorini et al. 2015"
    biology = "After-spike current and moving threshold of any shape, and a stochastic threshold."

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    theta = _THETA
    eta = _ETA
    gamma = _GAMMA
    tau_eta = _TAU_ETA
    tau_gamma = _TAU_GAMMA
    V_reset = RESET
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = _V
    eta_t = _ETA_STATE
    gamma_t = _GAMMA_STATE


GIF = FreeGIF.pin(
    "GIF",
    r"""Generalised integrate-and-fire neuron: spike-triggered current and threshold as banks of fixed exponentials.

    .. math::
        C \dot V = -g (V - E_L) - \textstyle\sum_j \eta_j + I, \qquad
        \lambda = \exp\left(\frac{V - \theta - \sum_j \gamma_j}{\Delta}\right) \text{ per ms}

    A spike sets :math:`V` to ``V_reset``, where it stays for ``t_ref``, and adds a weight to every :math:`\eta_j` and
    :math:`\gamma_j`; these decay from the spike on (the published code starts them when the refractory period ends),
    with 3, 12, 50, 200 and 800 ms. The published rate constant of 1/ms is part of ``theta`` here too.

    References
    ----------
    Mensi et al. (2012), J. Neurophysiol. 107, 1756-1775; Pozzorini et al. (2015), PLoS Comput. Biol. 11, e1004275.
    """,
    tau_eta=SCALES,
    tau_gamma=SCALES,
)


class FreeAGIF(_Filtered, Neuron):
    r"""`FreeGIF` with an inactivating (A-type) potassium current.

    .. math::
        C \dot V = -g (V - E_L) - g_A\, m_\infty(V)\, h\, (V - E_K) - \textstyle\sum_j \eta_j + I, \qquad
        \tau_h \dot h = h_\infty(V) - h

    with :math:`m_\infty = \sigma((V - V_m)/s_m)` at once and :math:`h_\infty = \sigma(-(V - V_h)/s_h)`. The current
    delays the first spike after hyperpolarisation and dampens rises of the potential. `AGIF` fixes the filters'
    time constants.

    References
    ----------
    Harkin et al. (2023), Temporal derivative computation in the dorsal raphe network, eLife 12, e72951.
    """

    reference = "Harkin et al. 2023 (aGIF)"
    biology = "Adds an A-type potassium current, which inactivates with depolarisation and delays spikes."

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    theta = _THETA
    g_A = Parameter("nS", 0.0, 200.0, "A-type conductance, all channels open", start=5.0)
    V_m = Parameter("mV", -70.0, 0.0, "potential of half activation", start=-30.0)
    s_m = Parameter("mV", 1.0, 30.0, "slope of activation", start=8.0)
    V_h = Parameter("mV", -100.0, -30.0, "potential of half inactivation", start=-60.0)
    s_h = Parameter("mV", 1.0, 30.0, "slope of inactivation", start=6.0)
    tau_h = Parameter("ms", 2.0, 500.0, "time constant of inactivation", start=45.0)
    E_K = Parameter("mV", -120.0, -70.0, "potassium reversal potential", start=-100.0)
    eta = _ETA
    gamma = _GAMMA
    tau_eta = _TAU_ETA
    tau_gamma = _TAU_GAMMA
    V_reset = RESET
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = _V
    h = State("1", doc="share of A-type channels that are not inactivated")
    eta_t = _ETA_STATE
    gamma_t = _GAMMA_STATE

    def outward(self, x: Any) -> Any:
        channels = sigmoid((x.V - self.V_m) / self.s_m) * x.h
        return x.eta_t.sum() + self.g_A * channels * (x.V - self.E_K)

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        return {**super().flow(x, I), "h": (sigmoid((self.V_h - x.V) / self.s_h) - x.h) / self.tau_h}


AGIF = FreeAGIF.pin(
    "AGIF",
    r"""`GIF` with an inactivating (A-type) potassium current (aGIF).

    .. math::
        C \dot V = -g (V - E_L) - g_A\, m_\infty(V)\, h\, (V - E_K) - \textstyle\sum_j \eta_j + I, \qquad
        \tau_h \dot h = h_\infty(V) - h

    with :math:`m_\infty = \sigma((V - V_m)/s_m)` at once and :math:`h_\infty = \sigma(-(V - V_h)/s_h)`. It starts with
    :math:`h = 0`, all channels inactivated, and settles within ``tau_h``.

    References
    ----------
    Harkin et al. (2023), Temporal derivative computation in the dorsal raphe network, eLife 12, e72951.
    """,
    tau_eta=SCALES,
    tau_gamma=SCALES,
)


class FreeIGIF(_Filtered, Neuron):
    r"""`FreeGIF` with a threshold that follows the voltage through fast sodium inactivation.

    .. math::
        \tau_\theta \dot\theta_V = k_a \ln\left(1 + e^{(V - V_i)/k_i}\right) - \theta_V, \qquad
        \text{margin } V - \theta - \theta_V - \textstyle\sum_j \gamma_j

    Below ``V_i`` the threshold stays put; above, it rises by ``k_a / k_i`` mV per mV. It keeps up with slow
    depolarisation, so that only fast depolarisation fires the cell. `IGIF` fixes the filters' time constants.

    References
    ----------
    Mensi, Hagens, Gerstner & Pozzorini (2016), PLoS Comput. Biol. 12, e1004761; Platkiewicz & Brette (2010).
    """

    reference = "Mensi et al. 2016 (iGIF); Platkiewicz & Brette 2010"
    biology = "Adds sodium-channel inactivation: the threshold follows the potential, so slow inputs fail to fire."

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    theta = _THETA
    k_a = Parameter("mV", 0.0, 20.0, "slope of sodium activation: scale of the threshold's rise", start=3.0)
    k_i = Parameter("mV", 0.5, 20.0, "slope of sodium inactivation", start=4.0)
    V_i = Parameter("mV", -90.0, -20.0, "potential of half inactivation", start=-55.0)
    tau_theta = Parameter("ms", 0.5, 300.0, "time constant with which the threshold follows", start=10.0)
    eta = _ETA
    gamma = _GAMMA
    tau_eta = _TAU_ETA
    tau_gamma = _TAU_GAMMA
    V_reset = RESET
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = _V
    theta_V = State("mV", doc="voltage-driven part of the threshold")
    eta_t = _ETA_STATE
    gamma_t = _GAMMA_STATE

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        follows = (self.k_a * softplus((x.V - self.V_i) / self.k_i) - x.theta_V) / self.tau_theta
        return {**super().flow(x, I), "theta_V": follows}

    def margin(self, x: Any) -> Any:
        return super().margin(x) - x.theta_V

    def threshold_at_rest(self) -> Any:
        """Threshold of a cell that has long been at rest, mV: where ``V_i`` lies below rest it is not ``theta``."""
        return self.theta + self.k_a * softplus((self.E_L - self.V_i) / self.k_i)


IGIF = FreeIGIF.pin(
    "IGIF",
    r"""`GIF` with a threshold that follows the voltage through fast sodium inactivation (iGIF).

    .. math::
        \tau_\theta \dot\theta_V = k_a \ln\left(1 + e^{(V - V_i)/k_i}\right) - \theta_V, \qquad
        \text{margin } V - \theta - \theta_V - \textstyle\sum_j \gamma_j

    Below ``V_i`` the threshold stays put; above, it rises by ``k_a / k_i`` mV per mV.

    References
    ----------
    Mensi, Hagens, Gerstner & Pozzorini (2016), PLoS Comput. Biol. 12, e1004761; Platkiewicz & Brette (2010).
    """,
    tau_eta=SCALES,
    tau_gamma=SCALES,
)
