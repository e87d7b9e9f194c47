"""AIGIF with a small network on its log hazard: what the named terms leave unexplained, bounded and kept apart."""

from __future__ import annotations

from typing import Any

from ephysfit.models.aigif import AIGIF, AIGIFBanks
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import Bank, sigmoid, softplus, tanh

#: units of the network
UNITS = 12
#: largest change of the margin by the network, mV (of the log rate, since the softness is pinned to 1 mV)
LIMIT = 3.0
#: margin below which the network is switched off, mV: no data show there what it should do
SILENT = -8.0
#: thresholds (mV) and time constants (ms) of the filters of the rectified potential
RECTIFIED_AT = (-4.0, -1.0, 2.0)
RECTIFIED_TIMES = (3.0, 10.0, 30.0, 100.0, 400.0)
#: time constant of the trace of the last spike alone, ms
RECENT_TIME = 30.0

_FILTERS = len(RECTIFIED_AT) * len(RECTIFIED_TIMES)
#: inputs of a unit: pure numbers (K, H, n, A, Z), and potentials (y, u, P)
PURE = sum(AIGIFBanks.states[n].size for n in ("K", "H", "n", "A")) + 1
POTENTIALS = AIGIFBanks.states["y"].size + 1 + _FILTERS

DOC = r"""AIGIF whose log hazard carries a small network, fitted to what the named terms leave unexplained.

With :math:`u` the margin and :math:`v_0` the drive of AIGIF,

.. math::
    \tau_k \dot P_{ik} &= \ln(1 + e^{v_0 - p_i}) - P_{ik}, \qquad \dot Z = -Z/30\,\mathrm{ms} \\
    a_j &= b_j + \textstyle\sum_m W_{jm} f_m, \qquad
    r = 3 \tanh\bigl((b_0 + \sum_j w_j \tanh a_j)/3\bigr)\, \sigma(u + 8) \\
    u' &= u + r, \qquad \lambda = \sigma(u')\ \text{per ms}

where :math:`f` holds the states of AIGIF, its margin, the filters :math:`P` of the rectified drive and the trace
:math:`Z`, which a spike sets to 1. The network moves the log rate by 3 at most, and not at all where the rate is
negligible. It is not a mechanism: the parameters of AIGIF are fitted first and stay as they are, and `Fit` keeps
them beside it.

References
----------
AIGIF's; a bounded network residual on its log hazard is ours.
"""


#: parameters of the network
NETWORK = ("W", "W_v", "b", "w", "b_0")


def _declare_parameters(units: int) -> dict[str, Parameter]:
    zeros = lambda n: (0.0,) * n  # noqa: E731
    return {
        "W": Parameter("1", -1e4, 1e4, "weights of the pure numbers, unit by unit", zeros(units * PURE),
                       size=units * PURE),
        "W_v": Parameter("1/mV", -1e4, 1e4, "weights of the potentials, unit by unit", zeros(units * POTENTIALS),
                         size=units * POTENTIALS),
        "b": Parameter("1", -1e4, 1e4, "offsets of the units", zeros(units), size=units),
        "w": Parameter("mV", -1e3, 1e3, "weights of the units", zeros(units), size=units, place=False),
        "b_0": Parameter("mV", -1e3, 1e3, "offset of the network", 0.0, place=False),
    }  # fmt: skip


STATES = {
    "P": State("mV", doc="rectified drive, filtered", size=_FILTERS),
    "Z": State("1", doc="trace of the last spike"),
}


def _flow(self: Any, x: Any, I: Any) -> dict[str, Any]:
    drive = self._drive(x)
    heard = [self.delta * softplus((drive - at * self.delta) / self.delta) for at in RECTIFIED_AT]
    slots = [(h, tau) for h in heard for tau in RECTIFIED_TIMES]
    return {
        **AIGIFBanks.flow(self, x, I),
        "P": (Bank(h for h, _ in slots) - x.P) / self.tau_P,
        "Z": -x.Z / self.tau_Z,
    }


def _jump(self: Any, x: Any) -> dict[str, Any]:
    return {**AIGIFBanks.jump(self, x), "Z": 1.0 + 0.0 * x.Z}


def _margin(self: Any, x: Any) -> Any:
    u = AIGIFBanks.margin(self, x)
    pure, potentials = [*x.K, *x.H, x.n, x.A, x.Z], [*x.y, u, *x.P]
    total = self.b_0
    for j in range(len(self.w)):
        a = self.b[j]
        for m, f in enumerate(pure):
            a = a + self.W[j * PURE + m] * f
        for m, f in enumerate(potentials):
            a = a + self.W_v[j * POTENTIALS + m] * f
        total = total + self.w[j] * tanh(a)
    limit = LIMIT * self.delta
    return u + limit * tanh(total / limit) * sigmoid(u / self.delta - SILENT)


def _declare(name: str, units: int) -> Any:
    """AIGIF with a network of `units` units."""
    body: dict[str, Any] = {
        **AIGIFBanks.parameters,
        "tau_P": Parameter("ms", 0.5, 5000.0, "time constants of the rectified drive",
                           RECTIFIED_TIMES * len(RECTIFIED_AT), size=_FILTERS),
        "tau_Z": Parameter("ms", 0.5, 5000.0, "time constant of the trace of the last spike", RECENT_TIME),
        **_declare_parameters(units),
        **AIGIFBanks.states,
        **STATES,
    }  # fmt: skip
    kept = ("reference", "biology", "hold", "drifts", "alternatives", "_drive", "hazard")
    body |= {k: AIGIFBanks.__dict__[k] for k in kept}
    body |= {"flow": _flow, "jump": _jump, "margin": _margin,
             "__doc__": DOC, "__module__": __name__}  # fmt: skip
    pinned = {**AIGIF.pinned, "tau_P": RECTIFIED_TIMES * len(RECTIFIED_AT), "tau_Z": RECENT_TIME}
    made: Any = type(f"{name}Banks", (Neuron,), body)
    return made.pin(name, DOC, **pinned)


#: AIGIF with the network on its log hazard
ResidualAIGIF = _declare("ResidualAIGIF", UNITS)
#: the same with two units: at weights of zero its margin is AIGIF's, its states are what a network is fitted to
AIGIFFeatures = _declare("AIGIFFeatures", 2)
