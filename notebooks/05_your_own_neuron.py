# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own neuron
#
# A neuron is a class: parameters with unit, bounds and meaning; states; and three or four equations as plain
# arithmetic. From these lines come the simulation, the gradients, the likelihood, the compiled kernels and the
# equations in the report. Here we write a leaky membrane whose threshold follows strong depolarisation, as the
# inactivation of sodium channels makes it, and rises at every spike.

# %%
from pathlib import Path

import ephysfit as ef
from ephysfit import Neuron, Parameter, State
from ephysfit.errors import NeuronError
from ephysfit.neuron.functions import exp, softplus
from ephysfit.neuron.symbols import text

data = next(p / "data" for p in [Path.cwd(), *Path.cwd().parents] if (p / "data" / "DRN164.nwb").exists())


# %% [markdown]
# ## Declare
# `flow` gives time derivatives (per ms), `margin` the distance to threshold, `jump` what a spike sets, `hazard`
# the spike rate (per ms) of the noisy neuron at a margin. While `t_ref` runs, the states in `hold` (by default
# `V`) stay put.


# %%
class Accommodating(Neuron):
    """Leaky integrate-and-fire neuron whose threshold follows strong depolarisation, and rises at a spike."""

    reference = "after Platkiewicz & Brette 2011; Mensi et al. 2016"

    tau_m = Parameter("ms", 2.0, 100.0, "membrane time constant", start=20.0)
    R = Parameter("GOhm", 0.02, 2.0, "input resistance", start=0.3)
    E_L = Parameter("mV", -90.0, -40.0, "resting potential", start=-65.0)
    theta = Parameter("mV", -80.0, 0.0, "threshold at rest", start=-45.0)
    a = Parameter("1", 0.0, 5.0, "how far the threshold follows the voltage", start=0.5)
    V_i = Parameter("mV", -80.0, -20.0, "voltage above which it follows", start=-50.0)
    k_i = Parameter("mV", 0.5, 15.0, "softness of that bend", start=4.0)
    tau_theta = Parameter("ms", 1.0, 500.0, "how fast it follows", start=30.0)
    d = Parameter("mV", 0.0, 40.0, "rise of the threshold at a spike", start=5.0)
    V_reset = Parameter("mV", -90.0, -30.0, "potential after a spike", start=-60.0)
    t_ref = Parameter("ms", 0.0, 10.0, "refractory period", start=3.0, smooth=False)
    delta = Parameter("mV", 0.2, 10.0, "softness of the threshold", start=2.0)

    V = State("mV", rest="E_L", doc="membrane potential")
    h = State("mV", doc="rise of the threshold")
    drifts = "the threshold follows a little at rest too"

    def flow(self, x, I):
        follows = self.a * self.k_i * softplus((x.V - self.V_i) / self.k_i)
        return {"V": (self.E_L - x.V + self.R * I) / self.tau_m, "h": (follows - x.h) / self.tau_theta}

    def margin(self, x):
        return x.V - self.theta - x.h

    def jump(self, x):
        return {"V": self.V_reset, "h": x.h + self.d}

    def hazard(self, u):
        return exp(u / self.delta)


print("\n".join(text(Accommodating)))

# %% [markdown]
# ## Check
# `check_neuron` holds the class to the contract of the catalogue: units of every term, rest, engines that agree
# spike for spike, the gradient against an independent one. A wrong unit is found here, not in a strange fit.

# %%
print(ef.check_neuron(Accommodating))

# %%
try:

    class Wrong(Neuron):
        """The capacitance forgotten."""

        g = Parameter("nS", 0.1, 200.0, "leak conductance", start=5.0)
        E_L = Parameter("mV", -90.0, -40.0, "resting potential", start=-65.0)
        theta = Parameter("mV", -70.0, 0.0, "threshold", start=-45.0)
        V = State("mV", rest="E_L")

        def flow(self, x, I):
            return {"V": -self.g * (x.V - self.E_L) + I}

        def margin(self, x):
            return x.V - self.theta

        def jump(self, x):
            return {"V": x.V - 10.0}

    ef.check_neuron(Wrong, only=["units"])
except NeuronError as error:
    print(error)

# %% [markdown]
# ## Pin
# A nested model is the same class with parameters fixed. Without accommodation this is a plain leaky integrate-
# and-fire neuron, and the states that nothing moves any more are gone from the equations.

# %%
Plain = Accommodating.pin("Plain", a=0.0, d=0.0, V_i=-50.0, k_i=4.0, tau_theta=30.0)
print("\n".join(text(Plain)))

# %% [markdown]
# ## Fit and compare
# Both go through the same call as the neurons of the catalogue.

# %%
train, test = ef.load(data / "DRN164.nwb").split()
for neuron in (Plain, Accommodating):
    fit = ef.fit(train, neuron)
    score = ef.score(fit.simulate(test), test)
    print(
        f"{fit.model:14s} {fit.seconds:5.1f} s   loss {fit.loss:6.3f} nats a spike   Md* ±8 ms {score['md_star_8']:.3f}"
    )
print(fit.neuron)

# %% [markdown]
# From a shell: put the class into `my_neuron.py`, then `ephysfit fit cell.nwb --model
# my_neuron.py:Accommodating`.
