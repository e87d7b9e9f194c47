"""Neurons and currents that the tests of the compiled engine and of the adjoint share."""

from __future__ import annotations

import numpy as np
import torch
from scipy.signal import lfilter

from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.neuron.functions import exp

DT = 0.1


class Exponential(Neuron):
    """A non-affine neuron: exponential upstroke, subthreshold and spike-triggered adaptation."""

    C = Parameter("pF", 5.0, 2000.0, start=100.0)
    g = Parameter("nS", 0.1, 200.0, start=5.0)
    E_L = Parameter("mV", -110.0, -20.0, start=-65.0)
    V_T = Parameter("mV", -80.0, 0.0, start=-50.0)
    D = Parameter("mV", 0.1, 20.0, start=2.0)
    V_peak = Parameter("mV", -60.0, 30.0, start=-40.0)
    a = Parameter("nS", -20.0, 60.0, start=0.5)
    b = Parameter("pA", -200.0, 600.0, start=20.0)
    tau_w = Parameter("ms", 2.0, 2000.0, start=100.0)
    V_reset = Parameter("mV", -110.0, 0.0, start=-60.0)
    t_ref = Parameter("ms", 0.0, 20.0, start=2.0, smooth=False)
    V = State("mV", rest="E_L")
    w = State("pA")

    def flow(self, x, I):
        upstroke = self.g * self.D * exp((x.V - self.V_T) / self.D)
        return {
            "V": (-self.g * (x.V - self.E_L) + upstroke - x.w + I) / self.C,
            "w": (self.a * (x.V - self.E_L) - x.w) / self.tau_w,
        }

    def margin(self, x):
        return x.V - self.V_peak

    def jump(self, x):
        return {"V": self.V_reset, "w": x.w + self.b}

    def hazard(self, u):
        return exp(u / self.D)


def noise(shape, seed=0, mean=220.0, std=300.0):
    """Coloured noise current, pA."""
    white = np.random.default_rng(seed).normal(0, std, shape)
    return mean + lfilter([0.3], [1, -0.97], white, axis=-1)


def cells(neuron, count, seed=1, t_ref=None):
    """Cells around the start values, with different refractory periods."""
    rng = np.random.default_rng(seed)
    start = neuron.start()
    values = {k: torch.tensor(v * rng.uniform(0.95, 1.05, count)) for k, v in start.values().items()}
    refractory = rng.integers(0, 4, count).astype(float) if t_ref is None else np.full(count, t_ref)
    return neuron(**{**values, "t_ref": torch.tensor(refractory)})
