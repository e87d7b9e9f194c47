"""Adaptive neurons parametrised by rates, as state-space models are (SiLIF and C-SiLIF: Fabre et al. 2025).

The paper's contribution is the parametrisation: log-rates that keep every pole stable. Here rates are declared with
positive bounds, so fits move their logarithm and cannot drift to the integrators and dead clamps of the released
networks. Its learnable step is left out: (step, rates) -> (c step, rates / c) changes no spike (tested).
"""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from ephysfit.errors import NeuronError
from ephysfit.models.common import CAPACITANCE, DROP, REFRACTORY, REST, SOFTNESS, THRESHOLD
from ephysfit.models.resonate import FREQUENCY, SLOW
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp


class SiLIF(Neuron):
    r"""Adaptive neuron with subthreshold and spike-triggered adaptation, written in rates, with a soft reset.

    .. math::
        \dot V = -\lambda_u \left( V - E_L - R (I - w) \right), \qquad
        \dot w = \lambda_w \left( a (V - E_L) - w \right)

    A spike takes ``D`` from :math:`V` and adds ``b`` to :math:`w`. The same dynamics as `AdLIF` (with
    ``lambda_u = g / C``, ``R = 1 / g``), in which rate and gain move independently. In the published code ``a`` means
    ``(1 - exp(-dt lambda_w)) a R`` and changes with the sampling rate; here it is a conductance.

    References
    ----------
    Fabre et al. (2025), SiLIF, arXiv 2506.06374; Bittar & Garner (2022), Front. Neurosci. 16, 865897.
    """

    reference = "Fabre et al. 2025, SiLIF (arXiv 2506.06374); Bittar & Garner 2022"
    biology = "One slow current driven by voltage (M- or h-like) and by spikes (after-hyperpolarisation)."
    hold = ()

    lambda_u = Parameter("1/ms", 0.005, 1.0, "membrane rate, 1 / time constant", start=0.05)
    lambda_w = Parameter("1/ms", 5e-4, 0.5, "rate of the slow current, 1 / time constant", start=0.01)
    R = Parameter("GOhm", 0.005, 10.0, "membrane resistance", start=0.2)
    a = Parameter("nS", -5.0, 60.0, "coupling of the slow current to the voltage", start=0.5)
    b = Parameter("pA", -200.0, 600.0, "rise of the slow current at a spike", start=20.0)
    E_L = REST
    theta = THRESHOLD
    D = DROP
    t_ref = REFRACTORY
    delta = SOFTNESS

    w = State("pA", doc="slow current")
    V = State("mV", rest="E_L", doc="membrane potential")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        v = x.V - self.E_L
        return {"w": self.lambda_w * (self.a * v - x.w), "V": -self.lambda_u * (v - self.R * (I - x.w))}

    def margin(self, x: Any) -> Any:
        return x.V - self.theta

    def jump(self, x: Any) -> dict[str, Any]:
        return {"w": x.w + self.b, "V": x.V - self.D}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)


class CSiLIF(Neuron):
    r"""Complex-state neuron: one damped oscillator per cell, soft reset of its real part.

    .. math::
        \dot z = (-\gamma + 2 \pi i f) z + I / 2C, \qquad V = E_L + 2 \operatorname{Re} z, \qquad
        z \to z - D/2 \text{ at a spike}

    In real form as `PRF`, with a reset that takes ``D`` from :math:`V` and leaves the slow current alone; ``b`` is the
    imaginary part of the reset, a spike-triggered current (0 as published). `c_silif_start` gives the published
    initialisation in physical units, `refuse_aliased` the guard it lacks.

    References
    ----------
    Fabre et al. (2025), C-SiLIF, arXiv 2506.06374; initialisation: Gu et al. (2022), S4D, arXiv 2206.11893.
    """

    reference = "Fabre et al. 2025, C-SiLIF (arXiv 2506.06374)"
    biology = "Subthreshold oscillation; a spike takes away charge but not the phase of the slow current."
    hold = ()

    C = CAPACITANCE
    gamma = Parameter("1/ms", 0.001, 0.5, "damping rate of the oscillation", start=0.05)
    f = FREQUENCY
    E_L = REST
    theta = THRESHOLD
    D = DROP
    b = Parameter("pA", -200.0, 600.0, "rise of the slow current at a spike", start=0.0)
    t_ref = REFRACTORY
    delta = SOFTNESS

    V = State("mV", rest="E_L", doc="membrane potential")
    w = SLOW

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        omega = self.f * (2 * pi)
        v = x.V - self.E_L
        return {"V": -self.gamma * v + (I - x.w) / self.C, "w": self.C * omega * omega * v - self.gamma * x.w}

    def margin(self, x: Any) -> Any:
        return x.V - self.theta

    def jump(self, x: Any) -> dict[str, Any]:
        return {"V": x.V - self.D, "w": x.w + self.b}

    def hazard(self, u: Any) -> Any:
        return exp(u / self.delta)


def c_silif_start(n: int, seed: int, low_hz: float = 1.25, high_hz: float = 62.5, **values: float) -> CSiLIF:
    """`n` cells with the published initialisation (S4D-Lin): frequencies log-uniform, every quality pi.

    There the step is drawn log-uniform and multiplies the pole -1/2 + i pi, so that damping and frequency move
    together: ``gamma = f``. At 4 ms bins the published range of steps is 1.25-62.5 Hz.

    Parameters
    ----------
    n, seed : int
        How many cells; seed of the draw.
    low_hz, high_hz : float
        Range of frequencies.
    **values : float
        Other parameters; declared starts unless given.

    Raises
    ------
    NeuronError
        If the range does not lie within the bounds of ``f``.

    Examples
    --------
    >>> cells = c_silif_start(4, seed=0)
    >>> bool((cells.gamma == cells.f).all())
    True
    """
    import torch  # the catalogue is listed without it

    bound = CSiLIF.parameters["f"]
    if not bound.low * 1e3 <= low_hz < high_hz <= bound.high * 1e3:
        raise NeuronError(
            f"frequencies {low_hz}-{high_hz} Hz: give low < high within {bound.low * 1e3:g}-{bound.high * 1e3:g} Hz"
        )
    drawn = np.random.default_rng(seed).uniform(np.log(low_hz), np.log(high_hz), n)
    f = torch.as_tensor(np.exp(drawn) / 1e3, dtype=torch.float64)
    return CSiLIF.start().replace(**values).replace(f=f, gamma=f.clone())


def refuse_aliased(neuron: Neuron, dt: float) -> None:
    """Raise NeuronError if the neuron's declared frequency ``f`` has fewer than four samples per cycle.

    Beyond two samples per cycle a pole is indistinguishable from a slower one (in the released C-SiLIF networks a
    quarter of the units start there); four leave the fit a margin.

    Examples
    --------
    >>> refuse_aliased(CSiLIF.start(), dt=0.1)
    """
    f = getattr(neuron, "f", None)
    fastest = 0.0 if f is None else float(f.max()) if hasattr(f, "max") else float(f)
    if fastest * dt > 0.25:
        raise NeuronError(
            f"{type(neuron).__name__}.f = {fastest * 1e3:g} Hz has {1 / (fastest * dt):.2g} samples per cycle at "
            f"dt = {dt:g} ms; it needs 4: use dt <= {0.25 / fastest:.3g} ms or a lower f"
        )
