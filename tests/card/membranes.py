"""Membranes with known answers: their voltage at pulses of current, mV, exact for currents held over each step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import expm

from ephysfit.arrays import Array
from ephysfit.data.recording import Recording

DT = 0.1
#: ms before, in and after a pulse
SHAPE = (200.0, 600.0, 200.0)


def play(amplitude: float, holding: float = 0.0, shape: tuple[float, float, float] = SHAPE) -> Array:
    """A pulse of current, pA."""
    return holding + amplitude * np.repeat([0.0, 1.0, 0.0], [round(t / DT) for t in shape])


def respond(current: Array, system: Array, inputs: Array, rest: float) -> Array:
    """First state of a linear membrane dx/dt = system x + inputs I, settled at the first current, plus rest."""
    n = len(system)
    whole = expm(np.block([[system, inputs[:, None]], [np.zeros((1, n + 1))]]) * DT)
    x = -np.linalg.solve(system, inputs) * current[0]
    out = np.empty(len(current))
    for k, i in enumerate(current):
        out[k] = x[0]
        x = whole[:n, :n] @ x + whole[:n, n] * i
    return rest + out


def single(current: Array, R: float = 0.2, tau: float = 20.0, rest: float = -70.0) -> Array:
    """One compartment, R in GOhm."""
    return respond(current, np.array([[-1 / tau]]), np.array([R / tau]), rest)


def two_compartments(current: Array, tau: float = 25.0, g: float = 2.0, big: float = 6.0, join: float = 8.0) -> Array:
    """A small compartment of leak g (nS) with the pipette, joined to one of leak `big`; both of time constant tau."""
    a, b = g * tau, big * tau
    system = np.array([[-(g + join) / a, join / a], [join / b, -(big + join) / b]])
    return respond(current, system, np.array([1 / a, 0.0]), -70.0)


def with_h_current(current: Array, C: float = 200.0, g: float = 5.0, g_h: float = 4.0, tau_h: float = 300.0) -> Array:
    """A membrane whose h-current, of conductance g_h about rest, follows the voltage with tau_h."""
    system = np.array([[-g / C, -1 / C], [g_h / tau_h, -1 / tau_h]])
    return respond(current, system, np.array([1 / C, 0.0]), -70.0)


def record(currents: Sequence[Array], membrane, access: float = 0.0, noise: float = 0.05, drift: float = 0.0):
    """A recording of a membrane without spikes; access in GOhm, drift in mV per sweep."""
    rng = np.random.default_rng(0)
    rows = [membrane(i) + access * i + noise * rng.standard_normal(len(i)) + drift * k for k, i in enumerate(currents)]
    return Recording.of(np.array(currents), DT, np.array(rows), [[] for _ in currents])


def draw_spike(
    threshold: float = -45.0, height: float = 80.0, rise: float = 0.5, fall: float = 1.5, depth: float = 12.0
):
    """A spike in straight lines, mV at every DT from its onset: up, down to `depth` below threshold, back in 20 ms."""
    t = np.arange(0.0, 25.0, DT)
    low = threshold - depth
    return np.interp(t, [0.0, rise, rise + fall, rise + fall + 20.0], [threshold, threshold + height, low, threshold])
