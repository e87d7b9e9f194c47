"""Parameters that most neurons share, declared once: the passive membrane, the threshold and what a spike resets."""

from __future__ import annotations

from ephysfit.neuron.declare import Parameter
from ephysfit.neuron.roles import Role

CAPACITANCE = Parameter("pF", 5.0, 2000.0, "membrane capacitance", start=100.0, role=Role.CAPACITANCE)
LEAK = Parameter("nS", 0.1, 200.0, "leak conductance", start=5.0, role=Role.LEAK)
REST = Parameter("mV", -110.0, -20.0, "resting potential", start=-65.0, role=Role.REST)
THRESHOLD = Parameter("mV", -80.0, 20.0, "threshold at rest", start=-45.0, role=Role.THRESHOLD)
RESET = Parameter("mV", -110.0, 0.0, "potential after a spike", start=-60.0, role=Role.RESET)
DROP = Parameter("mV", 0.0, 80.0, "drop of the potential at a spike (soft reset)", start=15.0)
REFRACTORY = Parameter("ms", 0.0, 20.0, "absolute refractory period", start=2.0, smooth=False, role=Role.REFRACTORY)
SOFTNESS = Parameter(
    "mV", 0.1, 20.0, "softness of the threshold: the rate grows e-fold over it", start=2.0, role=Role.SOFTNESS
)
