"""Parameters that most neurons share, declared once: the passive membrane, the threshold and what a spike resets."""

from __future__ import annotations

from ephysfit.neuron.declare import Parameter

CAPACITANCE = Parameter("pF", 5.0, 2000.0, "membrane capacitance", start=100.0)
LEAK = Parameter("nS", 0.1, 200.0, "leak conductance", start=5.0)
REST = Parameter("mV", -110.0, -20.0, "resting potential", start=-65.0)
THRESHOLD = Parameter("mV", -80.0, 20.0, "threshold at rest", start=-45.0)
RESET = Parameter("mV", -110.0, 0.0, "potential after a spike", start=-60.0)
DROP = Parameter("mV", 0.0, 80.0, "drop of the potential at a spike (soft reset)", start=15.0)
REFRACTORY = Parameter("ms", 0.0, 20.0, "absolute refractory period", start=2.0, smooth=False)
SOFTNESS = Parameter("mV", 0.1, 20.0, "softness of the threshold: the rate grows e-fold over it", start=2.0)
