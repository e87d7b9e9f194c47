"""In what parameters of NEST's neurons and of ours are the same: what the way in and the way out both read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ephysfit.fitting.model_import.converted import scale_held_current
from ephysfit.neuron.declare import Neuron

#: parameters that are the same number in both, ours to NEST's
MEMBRANE = {"C": "C_m", "g": "g_L", "E_L": "E_L"}
IAF = {"E_L": "E_L", "V_reset": "V_reset"}
GLIF = {"C": "C_m", "g": "g", "E_L": "E_L", "theta": "V_th"}
GLIF_RESET = {"b_s": "th_spike_decay", "f_v": "voltage_reset_fraction"}
GLIF_VOLTAGE = {"a_v": "th_voltage_index", "b_v": "th_voltage_decay"}
GIF = {**MEMBRANE, "V_reset": "V_reset"}
AEIF = {**MEMBRANE, "V_reset": "V_reset", "a": "a", "b": "b", "tau_w": "tau_w"}
AEIF_UPSTROKE = {"V_T": "V_th", "Delta_T": "Delta_T", "V_peak": "V_peak"}
MAT = {"E_L": "E_L", "theta": "omega"}
#: sharp threshold of an aeif neuron without upstroke
AEIF_SHARP = {"theta": "V_th"}
#: step of neurons with an upstroke, which NEST integrates adaptively within its own, ms
FINE = 0.01
#: largest rate of rise of an upstroke that has none in NEST, mV/ms
STEEP = 1e4
#: in what a neuron of NEST is not quite ours
RESET_DIFFERS = (
    "the reset takes its share of the potential at the spike; glif_psc takes it of the potential a step before"
)
DRAWS = "iaf_psc_exp draws a spike with probability rate x step, and while it is refractory too"


def write_names(neuron: Neuron, names: Mapping[str, str]) -> dict[str, Any]:
    """Parameters by their names in NEST."""
    return {theirs: float(getattr(neuron, ours)) for ours, theirs in names.items()}


def shift_threshold(softness: float, rate: float) -> float:
    """How far NEST's threshold (of a rate constant in Hz) lies above ours (of 1 kHz), mV.

    Examples
    --------
    >>> shift_threshold(2.0, 1000.0)
    0.0
    """
    return softness * math.log(rate / 1e3)


def decay_while_held(rate: float, held: float) -> float:
    """Share that is left at the end of the refractory period (NEST's) of a jump at the spike (ours)."""
    return math.exp(-rate * held)


def act_as_held(tau_m: float, tau: float, dt: float) -> float:
    """NEST's weight of a spike-triggered current of gif_psc_exp, as a share of ours."""
    return 1.0 / scale_held_current(tau_m, tau, dt)


def act_a_step_before(tau: float, dt: float) -> float:
    """NEST's weight of a spike-triggered threshold of gif_psc_exp, as a share of ours: it reads it a step before."""
    return math.exp(-dt / tau)
