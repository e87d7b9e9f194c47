"""Spike-triggered conductance and gain, of the cell itself and of recorded partners (STC-LIF: Wang et al. 2024).

The published gates multiply memory and current by ``1 + tanh(...)`` per step and, without a leak, overflow within 200
steps. Written as a conductance they are bounded for any length: the leak never falls below a tenth of itself.
"""

from __future__ import annotations

from functools import cache
from math import e, log
from typing import Any

import numpy as np

from ephysfit.errors import NeuronError
from ephysfit.models.common import CAPACITANCE, LEAK, REFRACTORY, RESET, REST, SOFTNESS, THRESHOLD
from ephysfit.neuron.declare import Input, Neuron, Parameter, State
from ephysfit.neuron.functions import exp, softplus, tanh

#: the least leak, as a fraction of the leak at rest
LEAST_LEAK = 0.1
_UNIT = log(e - 1.0)  # softplus of it is 1

_W_B = Parameter("1", -2.0, 10.0, "change of the leak per spike in the trace, as a fraction of the leak", start=0.2)
_W_G = Parameter("1", -2.0, 2.0, "change of the input's gain per spike in the trace", start=0.0)
_TAU = Parameter("ms", 1.0, 100.0, "time constant of the spike-triggered conductance", start=8.0)


def leak_factor(drive: Any) -> Any:
    """Leak over leak at rest: 1 with slope 1 at no drive, slope 1.6 far above, never below `LEAST_LEAK`.

    Examples
    --------
    >>> round(float(leak_factor(0.0)), 12), round(float(leak_factor(-1e3)), 12)
    (1.0, 0.1)
    """
    return LEAST_LEAK + (1 - LEAST_LEAK) * softplus(_UNIT + drive * (e / ((e - 1) * (1 - LEAST_LEAK))))


class STCLIF(Neuron):
    r"""Integrate-and-fire neuron whose spikes change its leak and the gain of its input.

    .. math::
        C \dot V = -g (1 + \kappa_b(y)) (V - E_L) + (1 + \kappa_g(y)) I, \qquad \tau_y \dot y = -y

    with :math:`1 + \kappa_b` a softplus of ``W_b y`` that is 1 at rest, has slope ``W_b`` there and stays above 0.1,
    and :math:`\kappa_g = \tanh(W_g y)`. A spike adds 1 to :math:`y` and moves :math:`V` to
    ``V_reset + carry (V - theta)``: 0 is a hard reset, 1 the published subtraction.

    Call the term a *spike-triggered conductance*: an autapse, a shunting inhibitory loop and a potassium conductance
    that opens at a spike look alike unless blocked pharmacologically. In current clamp the amplifier's current is not
    gated by the cell, so ``W_g`` is an effective term; `AutapticLIF` leaves it out.

    References
    ----------
    Wang et al. (2024), Autaptic synaptic circuit enhances spatio-temporal predictive learning, arXiv 2406.00405;
    Bacci, Huguenard & Prince (2003), J. Neurosci. 23, 859-866.
    """

    reference = "Wang et al. 2024, STC-LIF (arXiv 2406.00405); Bacci et al. 2003"
    biology = "A conductance that opens (or closes) at each spike, as an autapse or an after-hyperpolarisation does."

    C = CAPACITANCE
    g = LEAK
    E_L = REST
    theta = THRESHOLD
    W_b = _W_B
    W_g = _W_G
    tau_y = _TAU
    V_reset = RESET
    carry = Parameter("1", 0.0, 1.0, "share of what is above threshold that a spike keeps (0 hard, 1 soft)", start=0.0)
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = State("mV", rest="E_L", doc="membrane potential")
    y = State("1", doc="own recent spikes, counted with decay")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        leak = self.g * leak_factor(self.W_b * x.y)
        gain = 1 + tanh(self.W_g * x.y)
        return {"V": (-leak * (x.V - self.E_L) + gain * I) / self.C, "y": -x.y / self.tau_y}

    def margin(self, x: Any) -> Any:
        return x.V - self.theta

    def jump(self, x: Any) -> dict[str, Any]:
        return {"V": self.V_reset + self.carry * (x.V - self.theta), "y": x.y + 1}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)


AutapticLIF = STCLIF.pin(
    "AutapticLIF",
    r"""Integrate-and-fire neuron with a hard reset and a conductance that its own spikes open: `STCLIF` without gain.

    .. math::
        C \dot V = -g (1 + \kappa_b(y)) (V - E_L) + I, \qquad \tau_y \dot y = -y
    """,
    W_g=0.0,
    carry=0.0,
)


@cache
def spatial_stc(partners: int) -> type[Neuron]:
    """The neuron of a cell recorded together with `partners` others, whose recorded spikes are extra inputs.

    Input ``s_k`` is partner k's spike train in 1/ms (1/dt in the step of a spike, see `partner_input`); its trace
    ``y_k`` injects the current ``J_k y_k`` and joins the cell's own in leak and gain. Fitting with the *recorded*
    partner spikes decouples the cells. Pin ``J_k`` and ``W_k`` to 0 for pairs known to be unconnected.

    Raises
    ------
    NeuronError
        If `partners` is not between 1 and 16.

    Examples
    --------
    >>> tuple(spatial_stc(2).inputs)
    ('I', 's_1', 's_2')
    """
    if not 1 <= partners <= 16:
        raise NeuronError(f"{partners} partners: a coupled neuron takes 1 to 16 simultaneously recorded cells")
    ks = range(1, partners + 1)
    body: dict[str, Any] = {n: STCLIF.__dict__[n] for n in (*STCLIF.parameters, *STCLIF.states, "margin", "hazard")}
    body |= {n: STCLIF.__dict__[n] for n in ("reference", "biology")}
    body |= {"I": Input(), "__module__": __name__, "__doc__": _SPATIAL_DOC}
    body["tau_s"] = Parameter("ms", 1.0, 200.0, "time constant of the partners' synapses", start=8.0)
    for k in ks:
        body[f"J_{k}"] = Parameter("pA", -500.0, 500.0, f"current per spike of partner {k}", start=0.0)
        body[f"W_{k}"] = Parameter("1", -2.0, 10.0, f"change of the leak per spike of partner {k}", start=0.0)
        body[f"y_{k}"] = State("1", doc=f"recent spikes of partner {k}, counted with decay")
        body[f"s_{k}"] = Input("1/ms", f"spike train of partner {k}")

    def flow(self: Any, x: Any, I: Any, *trains: Any) -> dict[str, Any]:
        traces = [getattr(x, f"y_{k}") for k in ks]
        drive, current = self.W_b * x.y, (1 + tanh(self.W_g * x.y)) * I
        for k, y in zip(ks, traces, strict=True):
            drive = drive + getattr(self, f"W_{k}") * y
            current = current + getattr(self, f"J_{k}") * y
        moves = {f"y_{k}": -y / self.tau_s + s for k, y, s in zip(ks, traces, trains, strict=True)}
        leak = self.g * leak_factor(drive)
        return {"V": (-leak * (x.V - self.E_L) + current) / self.C, "y": -x.y / self.tau_y, **moves}

    body |= {"flow": flow, "jump": STCLIF.__dict__["jump"]}
    return type("SpatialSTC" if partners == 1 else f"SpatialSTC{partners}", (Neuron,), body)


_SPATIAL_DOC = r"""Integrate-and-fire neuron coupled to the recorded spikes of simultaneously recorded cells.

    .. math::
        C \dot V = -g\, (1 + \kappa_b) (V - E_L) + (1 + \kappa_g) I + \textstyle\sum_k J_k y_k, \qquad
        \dot y_k = -y_k / \tau_s + s_k(t)

    where :math:`\kappa_b` depends on :math:`W_b y + \sum_k W_k y_k`. Between cells that are not connected the
    couplings mean nothing: compare with shifted partner trains before reading them.

    References
    ----------
    Wang et al. (2024), arXiv 2406.00405 (spatial circuit), read on recorded pairs.
    """

SpatialSTC = spatial_stc(1)


def __getattr__(name: str) -> type[Neuron]:
    """``SpatialSTC2`` ... ``SpatialSTC16`` by name, so that fitted cells can be stored and found again."""
    count = name.removeprefix("SpatialSTC")
    if name.startswith("SpatialSTC") and count.isdigit():
        return spatial_stc(int(count))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def partner_input(spike_times: Any, steps: int, dt: float, delay: float = 0.0) -> Any:
    """A partner's spike times (ms) as an input channel in 1/ms: 1/dt in the step of each spike, later by `delay` ms.

    Spikes that fall outside the `steps` steps are left out.

    Raises
    ------
    NeuronError
        If a time is negative or not finite.

    Examples
    --------
    >>> partner_input([0.25], steps=4, dt=0.1, delay=0.1).tolist()
    [0.0, 0.0, 0.0, 10.0]
    """
    times = np.asarray(spike_times, dtype=np.float64)
    if not np.all(np.isfinite(times) & (times >= 0)):
        raise NeuronError("partner spike times must be finite and not negative; give them in ms from the sweep's start")
    at = np.floor((times + delay) / dt + 1e-9).astype(np.int64)
    train = np.zeros(steps)
    np.add.at(train, at[at < steps], 1.0 / dt)
    return train
