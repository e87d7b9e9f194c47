"""Cells that ring: resonate-and-fire neurons, from the published forms to one that fits recordings (Huang et al. 2024).

All are the same two linear states, potential and a slow current, written by frequency and damping. Frequencies are in
1/ms (kHz): 0.005 is 5 Hz. `ephysfit.models.resonance()` reports the resonance of any neuron from its parameters.
"""

from __future__ import annotations

from math import pi
from typing import Any

from ephysfit.models.common import CAPACITANCE, REFRACTORY, RESET, REST, SOFTNESS, THRESHOLD
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import cos, exp, sin

FREQUENCY = Parameter("1/ms", 5e-4, 0.1, "frequency of the damped oscillation (0.001 is 1 Hz)", start=0.005)
DAMPING = Parameter("ms", 2.0, 1000.0, "decay time of the oscillation; its quality is pi f tau", start=20.0)
POTENTIAL = State("mV", rest="E_L", doc="membrane potential")
SLOW = State("pA", doc="slow current that opposes the potential a quarter of a cycle late")


class PRF(Neuron):
    r"""Parallel resonate-and-fire neuron as published: no reset and no refractoriness at all.

    .. math::
        \dot z = (-1/\tau + 2 \pi i f) z + I/C, \qquad V = E_L + \operatorname{Re} z, \qquad
        \text{spike in every step with } V \ge \theta

    In real form :math:`C \dot V = -(C/\tau)(V - E_L) - w + I`, :math:`\dot w = C (2\pi f)^2 (V - E_L) - w/\tau`: an
    adaptive neuron whose two time constants are equal. **Caveat:** a cell above threshold "spikes" in every step, so
    it predicts times above threshold, not spikes; use `ResetPRF` or `ResonantLIF` on recordings. For a real current
    the gain peaks above ``f``, and has no peak at all for ``2 pi f tau < 0.486``.

    References
    ----------
    Huang et al. (2024), PRF: parallel resonate and fire neuron, arXiv 2410.03530.
    """

    reference = "Huang et al. 2024, PRF (arXiv 2410.03530)"
    biology = "Subthreshold resonance and rebound, as Ih or M-current with inertia give; nothing happens at a spike."
    hold = ()

    C = CAPACITANCE
    tau = DAMPING
    f = FREQUENCY
    E_L = REST
    theta = THRESHOLD
    delta = SOFTNESS

    V = POTENTIAL
    w = SLOW

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        omega = self.f * (2 * pi)
        v = x.V - self.E_L
        return {"V": -v / self.tau + (I - x.w) / self.C, "w": self.C * omega * omega * v - x.w / self.tau}

    def margin(self, x: Any) -> Any:
        return x.V - self.theta

    def jump(self, x: Any) -> dict[str, Any]:
        return {}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)


class ResonantLIF(Neuron):
    r"""Resonate-and-fire neuron that fits cells: reset, refractory period, adaptation and a phase.

    With :math:`\omega = 2 \pi f` and :math:`k = \tan \varphi`,

    .. math::
        C \dot V = -C (1/\tau - k \omega)(V - E_L) - w + I, \qquad
        \dot w = C \omega^2 (1 + k^2)(V - E_L) - (1/\tau + k \omega) w

    whose poles are :math:`-1/\tau \pm i \omega` for every phase. A spike sets :math:`V` to ``V_reset``, where it stays
    for ``t_ref``, and raises :math:`w` by ``b``. The phase frees the two time constants that the published form
    keeps equal: with it every underdamped `AdLIF` can be written exactly. Overdamped cells, which most weakly resonant
    ones are, are out of reach: use `AdLIF` for them.

    References
    ----------
    Huang et al. (2024), arXiv 2410.03530; Richardson, Brunel & Hakim (2003), J. Neurophysiol. 89, 2538-2554.
    """

    reference = "after Huang et al. 2024 (arXiv 2410.03530) and Richardson, Brunel & Hakim 2003"
    biology = "Resonance of frequency f and quality pi f tau, with reset and a spike-triggered slow current."

    C = CAPACITANCE
    tau = DAMPING
    f = FREQUENCY
    phi = Parameter("1", -1.3, 1.3, "phase of the response, radians: how unequal the two time constants are", start=0.0)
    E_L = REST
    theta = THRESHOLD
    V_reset = RESET
    b = Parameter("pA", -200.0, 600.0, "rise of the slow current at a spike", start=20.0)
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = POTENTIAL
    w = SLOW

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        omega = self.f * (2 * pi)
        k = sin(self.phi) / cos(self.phi)
        v = x.V - self.E_L
        return {
            "V": -(1 / self.tau - k * omega) * v + (I - x.w) / self.C,
            "w": self.C * omega * omega * (1 + k * k) * v - (1 / self.tau + k * omega) * x.w,
        }

    def margin(self, x: Any) -> Any:
        return x.V - self.theta

    def jump(self, x: Any) -> dict[str, Any]:
        return {"V": self.V_reset, "w": x.w + self.b}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)


ResetPRF = ResonantLIF.pin(
    "ResetPRF",
    """The published resonator (one phase, no adaptation) with the reset and refractory period that cells have.""",
    phi=0.0,
    b=0.0,
)


class ResonateFire(Neuron):
    r"""Resonate-and-fire neuron of Izhikevich: the threshold reads the other quadrature.

    .. math::
        \dot z = (-1/\tau + 2 \pi i f) z + I/C, \qquad V = E_L + \operatorname{Im} z, \qquad W = \operatorname{Re} z

    A spike at :math:`V \ge \theta` sets :math:`V = \theta, W = 0` (:math:`z \to i` in units of the threshold).
    **Caveats:** the current drives :math:`W`, so a pulse moves :math:`V` along a sine, not at once: this is not the
    topology of a current clamp, where charge lands on the membrane. At rest :math:`V` hardly responds to a constant
    current compared with its resonance. Kept for comparison; `ResonantLIF` is the form for recordings.

    References
    ----------
    Izhikevich (2001), Resonate-and-fire neurons, Neural Networks 14, 883-894.
    """

    reference = "Izhikevich 2001"
    biology = "Damped subthreshold oscillation; fires to the second pulse of a resonant pair, also after inhibition."
    hold = ()

    C = CAPACITANCE
    tau = DAMPING
    f = FREQUENCY
    E_L = REST
    theta = THRESHOLD
    t_ref = Parameter("ms", 0.0, 20.0, "time in which spikes are barred (0 as published)", start=0.0, smooth=False)
    delta = SOFTNESS

    W = State("mV", doc="quadrature of the potential, which the current drives")
    V = POTENTIAL

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        omega = self.f * (2 * pi)
        v = x.V - self.E_L
        return {"W": -x.W / self.tau - omega * v + I / self.C, "V": omega * x.W - v / self.tau}

    def margin(self, x: Any) -> Any:
        return x.V - self.theta

    def jump(self, x: Any) -> dict[str, Any]:
        return {"W": 0 * x.W, "V": self.theta}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)


class BRF(Neuron):
    r"""Balanced resonate-and-fire neuron: a spike raises the threshold and damps the oscillation.

    .. math::
        \dot z = -(1/\tau + \kappa q) z + 2 \pi i f z + I/C, \qquad \tau_q \dot q = -q, \qquad
        \text{spike when } E_L + \operatorname{Re} z \ge \theta + U q

    A spike adds 1 to :math:`q` and resets nothing. The published divergence boundary
    :math:`p(\omega) = (-1 + \sqrt{1 - (\Delta t\, \omega)^2})/\Delta t` repairs explicit Euler at coarse steps; the
    steps here need no repair, so it is left out. **Caveats:** the published decay of 0.9 belongs to a 10 ms step
    (``tau_q`` = 95 ms); the damping term and the conductance of `STCLIF` look alike in data.

    References
    ----------
    Higuchi, Kairat, Bohte & Otte (2024), Balanced resonate-and-fire neurons, arXiv 2402.14603.
    """

    reference = "Higuchi et al. 2024 (arXiv 2402.14603)"
    biology = "Resonance with a conductance that opens at a spike and damps the oscillation, and a raised threshold."
    hold = ()

    C = CAPACITANCE
    tau = DAMPING
    f = FREQUENCY
    E_L = REST
    theta = THRESHOLD
    U = Parameter("mV", 0.0, 60.0, "rise of the threshold at a spike", start=15.0)
    kappa = Parameter("1/ms", 0.0, 1.0, "extra damping rate per spike in the trace", start=0.02)
    tau_q = Parameter("ms", 1.0, 500.0, "time constant of threshold rise and extra damping", start=30.0)
    t_ref = Parameter("ms", 0.0, 20.0, "time in which spikes are barred (0 as published)", start=0.0, smooth=False)
    delta = SOFTNESS

    V = POTENTIAL
    w = SLOW
    q = State("1", doc="refractory trace")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        omega = self.f * (2 * pi)
        rate = 1 / self.tau + self.kappa * x.q
        v = x.V - self.E_L
        return {
            "V": -rate * v + (I - x.w) / self.C,
            "w": self.C * omega * omega * v - rate * x.w,
            "q": -x.q / self.tau_q,
        }

    def margin(self, x: Any) -> Any:
        return x.V - self.theta - self.U * x.q

    def jump(self, x: Any) -> dict[str, Any]:
        return {"q": x.q + 1}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)
