"""Neurons that only tests need: each shows the engines one thing the catalogue may not have."""

from __future__ import annotations

from ephysfit.neuron.declare import Input, Neuron, Parameter, State
from ephysfit.neuron.functions import exp

TREF = Parameter("ms", 0.0, 20.0, "absolute refractory period", start=0.0, smooth=False)


class SoftLIF(Neuron):
    """Soft reset: V falls by D; refractory by forbidding spikes only."""

    hold = ()
    C = Parameter("pF", 5.0, 2000.0, "capacitance", start=100.0)
    g = Parameter("nS", 0.1, 200.0, "leak", start=6.0)
    theta = Parameter("mV", 0.1, 80.0, "threshold above rest", start=15.0)
    D = Parameter("mV", 0.1, 80.0, "fall at a spike", start=15.0)
    t_ref = TREF
    V = State("mV", doc="potential above rest")

    def flow(self, x, I):
        return {"V": (-self.g * x.V + I) / self.C}

    def margin(self, x):
        return x.V - self.theta

    def jump(self, x):
        return {"V": x.V - self.D}

    def hazard(self, u):
        return exp(u / self.D)


class SoftALIF(Neuron):
    """Soft reset and two threshold parts: kernels of one sign, several time constants."""

    hold = ()
    C = Parameter("pF", 5.0, 2000.0, "capacitance", start=100.0)
    g = Parameter("nS", 0.1, 200.0, "leak", start=6.0)
    E_L = Parameter("mV", -110.0, -20.0, "rest", start=-65.0)
    theta = Parameter("mV", -80.0, 20.0, "threshold", start=-50.0)
    D = Parameter("mV", 0.1, 80.0, "fall at a spike", start=10.0)
    tau = Parameter("ms", 1.0, 3000.0, "time constants of the threshold", start=(15.0, 120.0), size=2)
    rise = Parameter("mV", 0.0, 60.0, "rises of the threshold", start=(4.0, 2.0), size=2)
    t_ref = TREF
    V = State("mV", rest="E_L")
    h = State("mV", size=2)

    def flow(self, x, I):
        return {"V": (-self.g * (x.V - self.E_L) + I) / self.C, "h": -x.h / self.tau}

    def margin(self, x):
        return x.V - self.theta - x.h.sum()

    def jump(self, x):
        return {"V": x.V - self.D, "h": x.h + self.rise}


class SoftResonator(Neuron):
    """Soft reset of a resonating membrane: a kernel of both signs."""

    hold = ()
    C = Parameter("pF", 5.0, 2000.0, "capacitance", start=100.0)
    g = Parameter("nS", 0.1, 200.0, "leak", start=4.0)
    theta = Parameter("mV", 0.1, 80.0, "threshold above rest", start=8.0)
    D = Parameter("mV", 0.1, 80.0, "fall at a spike", start=10.0)
    a = Parameter("nS", -20.0, 200.0, "resonant conductance", start=40.0)
    b = Parameter("pA", -600.0, 600.0, "kick of the current", start=-30.0)
    tau_w = Parameter("ms", 1.0, 2000.0, "its time constant", start=20.0)
    t_ref = TREF
    V = State("mV")
    w = State("pA")

    def flow(self, x, I):
        return {"V": (-self.g * x.V - x.w + I) / self.C, "w": (self.a * x.V - x.w) / self.tau_w}

    def margin(self, x):
        return x.V - self.theta

    def jump(self, x):
        return {"V": x.V - self.D, "w": x.w + self.b}


class Resonate(Neuron):
    """No reset and no refractoriness: the parallel resonate-and-fire neuron of seed 002."""

    hold = ()
    tau = Parameter("ms", 1.0, 500.0, "decay", start=20.0)
    omega = Parameter("1/ms", 0.0, 2.0, "angular frequency", start=0.3)
    gain = Parameter("GOhm", 0.001, 10.0, "mV per pA and time constant", start=0.4)
    theta = Parameter("mV", 0.1, 80.0, "threshold", start=8.0)
    V = State("mV", doc="real part")
    y = State("mV", doc="imaginary part")

    def flow(self, x, I):
        return {
            "V": -x.V / self.tau - self.omega * x.y + self.gain * I / self.tau,
            "y": self.omega * x.V - x.y / self.tau,
        }

    def margin(self, x):
        return x.V - self.theta

    def jump(self, x):
        return {}


class Running(Neuron):
    """Hard reset; V goes on charging while refractory (held_drive is not 0), an after-current is what is held."""

    hold = ("w",)
    C = Parameter("pF", 5.0, 2000.0, "capacitance", start=100.0)
    g = Parameter("nS", 0.1, 200.0, "leak", start=6.0)
    E_L = Parameter("mV", -110.0, -20.0, "rest", start=-65.0)
    theta = Parameter("mV", -80.0, 20.0, "threshold", start=-50.0)
    V_reset = Parameter("mV", -110.0, 0.0, "reset", start=-70.0)
    b = Parameter("pA", -600.0, 600.0, "kick", start=40.0)
    tau_w = Parameter("ms", 1.0, 2000.0, "its time constant", start=50.0)
    t_ref = TREF
    V = State("mV", rest="E_L")
    w = State("pA")

    def flow(self, x, I):
        return {"V": (-self.g * (x.V - self.E_L) - x.w + I) / self.C, "w": -x.w / self.tau_w}

    def margin(self, x):
        return x.V - self.theta

    def jump(self, x):
        return {"V": self.V_reset, "w": x.w + self.b}


class Partial(Neuron):
    """A jump that keeps part of every state (neither hard nor soft), mixing them, and a threshold that reads V."""

    C = Parameter("pF", 5.0, 2000.0, "capacitance", start=100.0)
    g = Parameter("nS", 0.1, 200.0, "leak", start=6.0)
    theta = Parameter("mV", 0.1, 80.0, "threshold", start=12.0)
    k = Parameter("1", 0.0, 1.0, "part of V that is kept", start=0.3)
    q = Parameter("1", -5.0, 5.0, "how V moves the threshold", start=0.2)
    tau_h = Parameter("ms", 1.0, 2000.0, "threshold's time constant", start=40.0)
    t_ref = TREF
    V = State("mV")
    h = State("mV")

    def flow(self, x, I):
        return {"V": (-self.g * x.V + I) / self.C, "h": (self.q * x.V - x.h) / self.tau_h}

    def margin(self, x):
        return x.V - self.theta - x.h

    def jump(self, x):
        return {"V": self.k * x.V - 3 * self.k * self.theta, "h": 0.5 * x.h + self.q * self.theta + 0.1 * x.V}


class TwoInputs(Neuron):
    """A second, named input."""

    C = Parameter("pF", 5.0, 2000.0, "capacitance", start=100.0)
    g = Parameter("nS", 0.1, 200.0, "leak", start=6.0)
    theta = Parameter("mV", 0.1, 80.0, "threshold", start=12.0)
    weight = Parameter("1", -5.0, 5.0, "weight of the partner", start=0.7)
    t_ref = TREF
    I = Input("pA")
    partner = Input("pA", "current of a partner cell")
    V = State("mV")

    def flow(self, x, I, partner):
        return {"V": (-self.g * x.V + I + self.weight * partner) / self.C}

    def margin(self, x):
        return x.V - self.theta

    def jump(self, x):
        return {"V": 0.0}


class Exponential(Neuron):
    """Not affine: an exponential upstroke, bounded by the margin at the peak."""

    C = Parameter("pF", 5.0, 2000.0, "capacitance", start=100.0)
    g = Parameter("nS", 0.1, 200.0, "leak", start=6.0)
    E_L = Parameter("mV", -110.0, -20.0, "rest", start=-65.0)
    theta = Parameter("mV", -80.0, 20.0, "soft threshold", start=-50.0)
    slope = Parameter("mV", 0.1, 10.0, "sharpness", start=2.0)
    V_reset = Parameter("mV", -110.0, 0.0, "reset", start=-60.0)
    t_ref = TREF
    V = State("mV", rest="E_L")

    def flow(self, x, I):
        rise = self.slope * exp((x.V - self.theta) / self.slope)
        return {"V": (self.g * (rise - x.V + self.E_L) + I) / self.C}

    def margin(self, x):
        return x.V - self.theta - 5 * self.slope

    def jump(self, x):
        return {"V": self.V_reset}


SOFT = (SoftLIF, SoftALIF, SoftResonator)


class Dendrite(Neuron):
    """A state that grows by itself and takes the input, also while V is held: every look-ahead loses its digits."""

    theta = Parameter("mV", 0.0, 50.0, "threshold", start=2.0)
    k = Parameter("1/ms", 0.0, 5.0, "growth", start=0.2)
    r = Parameter("1/ms", 0.0, 5.0, "exchange with the soma", start=1.0)
    g = Parameter("mV/ms", 0.0, 5.0, "gain", start=1.0)
    s = Parameter("1/pA", 0.0, 5.0, "unit of the input", start=1.0)
    t_ref = Parameter("ms", 0.0, 20.0, "absolute refractory period", start=2.0, smooth=False)
    V = State("mV")
    d = State("mV")

    def flow(self, x, I):
        return {
            "V": -1.2 * self.r * x.V - self.r * x.d,
            "d": self.r * x.V + self.k * x.d + self.g * self.s * I,
        }

    def margin(self, x):
        return x.V - self.theta

    def jump(self, x):
        return {"V": 0 * x.V, "d": 0 * x.d}
