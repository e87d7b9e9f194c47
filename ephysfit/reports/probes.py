"""Probe any neuron: its responses to a small pulse of current and to one spike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Array, Float64
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.roles import Role
from ephysfit.simulation.engines.compiled import run

#: time to settle before a probe, and length of the response, ms
SETTLE, RESPONSE = 3000.0, 500.0
#: charge of the pulse, as a fraction of the charge that one standard deviation of the current carries in 1 ms
SMALL = 0.05


@dataclass(frozen=True, eq=False)
class ImpulseResponses:
    """Responses of a neuron that has settled at a subthreshold holding current.

    Attributes
    ----------
    times : (time,) array, ms after the pulse or spike
    pulse, spike : mapping of str to (time,) array
        Change of the margin ("margin", mV) and of the potential ("membrane", mV, where there is one): per pC of
        injected charge, and after one spike.
    holding : float, pA
        The holding current.
    """

    times: Float64[Array, " time"]
    pulse: dict[str, Float64[Array, " time"]]
    spike: dict[str, Float64[Array, " time"]]
    holding: float


def compute_responses(neuron: Neuron, dt: float, mean: float, sd: float) -> ImpulseResponses | None:
    """Compute the responses to a small pulse of current and to one forced spike.

    Parameters
    ----------
    neuron : Neuron
        One cell.
    dt : float
        Step, ms.
    mean, sd : float
        Mean and standard deviation of the current the neuron was fitted on, pA: the neuron is held at the mean, or as
        many standard deviations below it as keep it silent.

    Returns
    -------
    ImpulseResponses or None
        None for a neuron that is below threshold at none of these currents.
    """
    potential = type(neuron).name_of(Role.POTENTIAL)
    names = {"margin": "margin"} if potential is None else {"margin": "margin", "membrane": potential}
    before, after = round(SETTLE / dt), round(RESPONSE / dt)
    holding = _find_holding_current(neuron, dt, mean, sd, before)
    if holding is None:
        return None
    current = np.full((3, before + after), holding)
    charge = SMALL * sd * max(dt, 1.0)
    current[1, before] += charge / dt
    # a spike in step `before - 1` acts from step `before` on, in which the pulse begins too
    saved = _simulate_forced(neuron, current, dt, [[], [], [before - 1]], tuple(names.values()))
    gone = {n: saved[trace][:, before:] for n, trace in names.items()}
    if not all(np.isfinite(g).all() for g in gone.values()):
        return None
    picocoulomb = charge / 1e3
    pulse = {n: (g[1] - g[0]) / picocoulomb for n, g in gone.items()}
    return ImpulseResponses(
        (np.arange(after) + 1) * np.float64(dt), pulse, {n: g[2] - g[0] for n, g in gone.items()}, holding
    )


def _find_holding_current(neuron: Neuron, dt: float, mean: float, sd: float, steps: int) -> float | None:
    """Find the largest of some holding currents that keep the settled neuron below threshold, or None."""
    levels = mean - sd * np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0])
    current = np.repeat(levels[:, None], steps, axis=1)
    margins = _simulate_forced(neuron, current, dt, [[] for _ in levels], ("margin",))["margin"]
    quiet = np.flatnonzero(np.isfinite(margins).all(1) & (margins[:, -1] < 0))
    return float(levels[quiet[0]]) if quiet.size else None


def _simulate_forced(
    neuron: Neuron, current: Float64[Array, "trial time"], dt: float, forced: list[list[int]], save: tuple[str, ...]
) -> dict[str, Float64[Array, "trial time"]]:
    """Simulate a neuron that spikes only in the forced steps; traces (trial, time) by name."""
    inputs = len(type(neuron).inputs)
    drive = current[None] if inputs == 1 else np.stack([current, *[np.zeros_like(current)] * (inputs - 1)], -1)[None]
    with np.errstate(over="ignore", invalid="ignore"):
        done = run(neuron, drive, dt, forced=[forced], save=save)
    return {n: np.asarray(done.traces[n])[0] for n in save}
