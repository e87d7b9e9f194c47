"""The neurons that predict best here: filter banks, a threshold that follows the membrane, an A-type current."""

from __future__ import annotations

from typing import Any

from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp, sigmoid, softplus
from ephysfit.neuron.readings import Reading

#: time constants (ms) of the banks: what a membrane with dendrites filters with, and how long a spike has an effect
CURRENT_TIMES = (1.0, 2.5, 5.0, 10.0, 20.0, 45.0, 100.0, 250.0)
SPIKE_TIMES = (4.0, 10.0, 30.0, 80.0, 200.0, 600.0, 1500.0)
#: when the spike-history filter of the GLM is read, ms after a spike
HISTORY_LAGS = (10.0, 50.0, 200.0)


class AIGIFBanks(Neuron):
    r"""Generalised integrate-and-fire neuron with an inactivating (A-type) current and a threshold that follows.

    With :math:`\tilde I = (I - I_0)/I_s` the standardised current,

    .. math::
        \tau^K_i \dot K_i &= \tilde I - K_i, \qquad \tau^H_j \dot H_j = -H_j, \qquad
        v_0 = \textstyle\sum_i R_i K_i + \sum_j \eta_j H_j \\
        \tau_n \dot n &= \sigma(-(v_0 - v_n) k_n) - n, \qquad
        \tau_A \dot A = \sigma((v_0 - v_m) k_m)\, n - A, \qquad v = v_0 - g_A A \\
        \tau_l \dot y_l &= \ln(1 + e^{(v - v_l) s_l})/s_l - y_l \\
        u &= v + \textstyle\sum_j \gamma_j H_j - \theta - \sum_l c_l y_l, \qquad
        \lambda(u) = \sigma(u/\Delta)\ \text{per ms}

    A spike raises every :math:`H_j` by 1. Spikes alone do not fix the mV scale, so :math:`\Delta` is pinned to
    1 mV: potentials count in units of the softness of the threshold, zero at the mean current of the training data.
    Far below threshold the rate is :math:`e^{u/\Delta}` per ms; it saturates at one per ms, because a rate without a
    ceiling lets single bins of a held-out stimulus outweigh all others (docs/terms.md).

    References
    ----------
    Pozzorini et al. (2015), PLoS Comput. Biol. 11, e1004275 (GIF); Mensi et al. (2016), PLoS Comput. Biol. 12,
    e1004761 (iGIF: threshold coupled to the voltage); Harkin et al. (2023), eLife 12, e72951 (aGIF: A-type current).
    """

    reference = "Pozzorini et al. 2015; Mensi et al. 2016; Harkin et al. 2023; joined and widened here"
    biology = (
        "R: membrane and dendritic filtering; eta: after-spike potentials; gamma: moving threshold after spikes; "
        "y: sodium-channel inactivation, a threshold that follows the membrane; A: transient potassium current."
    )
    hold = ()
    drifts = "zero current is far from the operating point I_0, about which the input is standardised"
    sustained = "its threshold may follow a potential that stands still by more than the potential itself"
    alternatives = (
        {
            "eta": (0.0,) * 7, "theta": 5.6, "g_A": 2.5, "v_m": 0.0, "k_m": 1.0, "v_n": -1.0, "k_n": 1.0, "tau_n": 40.0,
            "tau_A": 10.0, "c": (0.3, 0.1, 0.1), "v_y": (0.0, 1.5, -1.0), "s_y": (1.0,) * 3, "tau_y": (5.0, 60.0, 20.0),
        },
    )  # fmt: skip

    I_0 = Parameter(
        "pA", -5000.0, 5000.0, "operating point: mean of the training current", 0.0, measured="current mean"
    )
    I_s = Parameter(
        "pA", 1e-3, 10000.0, "scale: standard deviation of the training current", 50.0, measured="current std"
    )
    tau_K = Parameter("ms", 0.2, 2000.0, "time constants of the current bank", CURRENT_TIMES, size=8)
    tau_H = Parameter("ms", 0.5, 20000.0, "time constants of the post-spike banks", SPIKE_TIMES, size=7)
    R = Parameter(
        "mV", -60.0, 60.0, "depolarisation by the filtered standardised current", 0.0, size=8, width=1.0, early=True
    )
    eta = Parameter("mV", -60.0, 60.0, "after-spike potential", (8.0, 0.0, -2.0, 0.0, 0.0, 0.0, 0.0), size=7, width=1.0)
    gamma = Parameter(
        "mV", -60.0, 60.0, "shift of the threshold after a spike (negative: harder)", 0.0, size=7, width=1.0, early=True
    )
    theta = Parameter("mV", -30.0, 60.0, "threshold", 12.0, width=6.0, early=True)
    g_A = Parameter(
        "mV", -200.0, 200.0, "depolarisation that the fully open A-type current takes away", 20.0, width=5.0
    )
    v_m = Parameter("mV", -30.0, 30.0, "half-activation of the A-type current", 3.5, width=1.0)
    k_m = Parameter("1/mV", 0.05, 20.0, "steepness of its activation", 0.5, width=1.0)
    v_n = Parameter("mV", -30.0, 30.0, "half-inactivation of the A-type current", -3.3, width=1.0)
    k_n = Parameter("1/mV", 0.05, 20.0, "steepness of its inactivation", 2.0, width=1.0)
    tau_n = Parameter("ms", 1.0, 2000.0, "time constant of its inactivation", 90.0, width=1.0)
    tau_A = Parameter("ms", 0.5, 500.0, "time constant of its effect on the membrane", 7.0, width=1.0)
    c = Parameter("1", -40.0, 40.0, "how far the threshold follows", (5.0, 3.0, -6.0), size=3, width=1.0)
    v_y = Parameter("mV", -30.0, 30.0, "where the threshold begins to follow", (-0.5, -1.0, -2.5), size=3, width=1.0)
    s_y = Parameter("1/mV", 0.05, 20.0, "sharpness of that bend", (1.5, 4.0, 4.0), size=3, width=1.0)
    tau_y = Parameter("ms", 0.4, 2900.0, "how fast the threshold follows", (12.0, 60.0, 2.5), size=3, width=1.0)
    delta = Parameter("mV", 0.1, 20.0, "softness of the threshold: the rate grows e-fold over it", 1.0)
    t_ref = Parameter("ms", 0.0, 20.0, "absolute refractory period", 4.0, smooth=False)

    K = State("1", doc="standardised current, filtered", size=8)
    H = State("1", doc="spike traces", size=7)
    n = State("1", doc="availability of the A-type current")
    A = State("1", doc="A-type current, as a fraction of its maximum")
    y = State("mV", doc="how far the threshold has followed", size=3)

    def _drive(self, x: Any) -> Any:
        return (self.R * x.K).sum() + (self.eta * x.H).sum()

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        drive = self._drive(x)
        v = drive - self.g_A * x.A
        return {
            "K": ((I - self.I_0) / self.I_s - x.K) / self.tau_K,
            "H": -x.H / self.tau_H,
            "n": (sigmoid((self.v_n - drive) * self.k_n) - x.n) / self.tau_n,
            "A": (sigmoid((drive - self.v_m) * self.k_m) * x.n - x.A) / self.tau_A,
            "y": (softplus((v - self.v_y) * self.s_y) / self.s_y - x.y) / self.tau_y,
        }

    def margin(self, x: Any) -> Any:
        v = self._drive(x) - self.g_A * x.A
        return v + (self.gamma * x.H).sum() - self.theta - (self.c * x.y).sum()

    def jump(self, x: Any) -> dict[str, Any]:
        return {"H": x.H + 1}

    def hazard(self, u: Any) -> Any:
        return sigmoid(u / self.delta)


AIGIF = AIGIFBanks.pin("AIGIF", AIGIFBanks.__doc__ or "", tau_K=CURRENT_TIMES, tau_H=SPIKE_TIMES, delta=1.0)

_FLAT = {"n": {"v_n": 0.0, "k_n": 1.0, "tau_n": 40.0}, "m": {"v_m": 0.0, "k_m": 1.0, "tau_A": 10.0}}
_NO_A: dict[str, Any] = {"g_A": 0.0, **_FLAT["n"], **_FLAT["m"]}
_NO_Y: dict[str, Any] = {"c": (0.0,) * 3, "v_y": (0.0,) * 3, "s_y": (1.0,) * 3, "tau_y": (10.0,) * 3}

BankIGIF = AIGIF.pin("BankIGIF", "AIGIF without the A-type current: a threshold that follows the membrane.", **_NO_A)
BankGIF = AIGIF.pin(
    "BankGIF",
    "AIGIF without A-type current, threshold filters and after-spike potentials: the point-process GLM.",
    **_NO_A,
    **_NO_Y,
    eta=(0.0,) * 7,
)


def _read_history(lag: float) -> Reading:
    """The spike-history filter of the GLM at one lag."""
    formula = f"sum(gamma exp(-{lag:g} ms/tau_H))/delta"
    return Reading(formula, "1", f"log rate that a spike {lag:g} ms ago adds",
                   lambda cell: (cell.gamma * exp(-lag / cell.tau_H)).sum() / cell.delta)  # fmt: skip


# the others have no linear filter that spikes would determine: what a spike leaves in eta their threshold answers
BankGIF.readings = (
    Reading("sum(R)/(delta I_s)", "1/pA", "log rate that a steady pA adds", lambda c: c.R.sum() / (c.delta * c.I_s)),
    Reading(
        "sum(R tau_K)/sum(R)", "ms", "mean delay of the current's filter",
        lambda c: (c.R * c.tau_K).sum() / c.R.sum(),
    ),
    *(_read_history(lag) for lag in HISTORY_LAGS),
)  # fmt: skip


def _declare_unbounded() -> type[Neuron]:
    """The same equations with the hazard of version 0.2, which grows without a ceiling."""
    body: dict[str, Any] = {**AIGIFBanks.parameters, **AIGIFBanks.states}
    kept = ("reference", "biology", "hold", "drifts", "alternatives", "_drive", "flow", "margin", "jump")
    body |= {k: AIGIFBanks.__dict__[k] for k in kept}
    body |= {"hazard": lambda self, u: exp(u / self.delta), "__module__": __name__,
             "__doc__": "AIGIF with the rate of version 0.2, exp(u/delta) per ms without a ceiling."}  # fmt: skip
    return type("UnboundedAIGIFBanks", (Neuron,), body)


_UnboundedBanks = _declare_unbounded()
#: what fits of version 0.2 are read as: they were made with this rate, and keep running with it
UnboundedAIGIF = _UnboundedBanks.pin("UnboundedAIGIF", "", **AIGIF.pinned)
UnboundedBankIGIF = UnboundedAIGIF.pin("UnboundedBankIGIF", "", **_NO_A)
UnboundedBankGIF = UnboundedAIGIF.pin("UnboundedBankGIF", "", **_NO_A, **_NO_Y, eta=(0.0,) * 7)


def candidates() -> tuple[type[Neuron], ...]:
    """What model "auto" chooses among, each nested in the next: simpler ones win where spikes are few."""
    return (BankGIF, BankIGIF, AIGIF)
