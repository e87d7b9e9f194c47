"""Probe any neuron: its responses to a small pulse of current, to one spike and to steps of current."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Array, Float64
from ephysfit.data.recording import Recording, Sweep
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.members import simulate_members
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.roles import Role
from ephysfit.simulation.engines.compiled import run
from ephysfit.simulation.simulate import simulate

#: time to settle before a probe, and length of the response, ms
SETTLE, RESPONSE = 3000.0, 500.0
#: charge of the pulse, as a fraction of the charge that one standard deviation of the current carries in 1 ms
SMALL = 0.05
#: shortest step of current, ms, and the fraction of it after which the rate counts as steady
STEP, STEADY = 200.0, 0.5
#: noisy runs at each current of an f-I curve
RATE_RUNS = 64
#: fewest levels of a step protocol (a noise stimulus may hold one or two constant stretches)
LEVELS = 3


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


@dataclass(frozen=True, eq=False)
class StepRates:
    """Steady rates (Hz) of a cell or a model at constant currents (pA), (step,)."""

    current: Float64[Array, " step"]
    rate_hz: Float64[Array, " step"]


def compute_step_rates(fit: Fit, low: float, high: float, count: int = 24, length: float = 3000.0) -> StepRates:
    """Compute the f-I curve of a fitted cell: its rate over the second half of constant currents.

    A stochastic neuron is run with its noise, and the mean is taken: a single noise-free run counts whole spikes, and
    near rheobase the noise decides whether there are any.

    Parameters
    ----------
    fit : Fit
    low, high : float, pA
        Smallest and largest current.
    count : int
        Number of currents.
    length : float, ms
        Duration of each current.

    Returns
    -------
    StepRates
    """
    levels = np.linspace(low, high, count)
    steps = round(length / fit.dt)
    given = [_pad_inputs(fit.neuron, np.full(steps, level)) for level in levels]
    if type(fit.neuron).stochastic():
        members = fit.members or (fit.neuron,)
        done = simulate_members(members, given, dt=fit.dt, runs=RATE_RUNS, seed=fit.provenance.seed or 0)
    else:
        done = simulate(fit.neuron, given, dt=fit.dt)
    begin = STEADY * length
    counts = [np.mean([np.count_nonzero(train >= begin) for train in runs]) for runs in done.spike_times]
    return StepRates(levels, np.array(counts, dtype=np.float64) * 1e3 / (length - begin))


def _pad_inputs(neuron: Neuron, current: Float64[Array, " time"]) -> Float64[Array, "time ..."]:
    more = len(type(neuron).inputs) - 1
    return current if not more else np.stack([current, *[np.zeros_like(current)] * more], -1)


def measure_step_rates(recordings: list[Recording]) -> StepRates:
    """Measure the rates of a cell over the second half of constant stretches of its stimuli; empty for noise."""
    found = [pair for recording in recordings for sweep in recording.sweeps for pair in _find_plateaus(sweep)]
    levels = np.array([level for level, _ in found])
    if len(np.unique(np.round(levels / 5.0))) < LEVELS:
        return StepRates(np.empty(0), np.empty(0))
    return StepRates(levels, np.array([rate for _, rate in found]))


def _find_plateaus(sweep: Sweep) -> list[tuple[float, float]]:
    """Find stretches of constant current of at least `STEP` ms; (mean current in pA, rate in Hz) of each."""
    k = max(round(1.0 / sweep.dt), 1)
    n = sweep.steps // k
    coarse = sweep.current[: n * k].reshape(n, k).mean(1)
    span = float(np.ptp(coarse))
    edges = np.flatnonzero(np.abs(np.diff(coarse)) > max(0.05 * span, 2.0)) + 1
    out = []
    for a, b in zip([0, *edges], [*edges, n], strict=True):
        length = (b - a) * k * sweep.dt
        if length < STEP or np.ptp(coarse[a:b]) > max(0.1 * span, 6.0):
            continue
        start, stop = (a * k * sweep.dt) + STEADY * length, b * k * sweep.dt
        spikes = np.count_nonzero((sweep.spike_times >= start) & (sweep.spike_times < stop))
        out.append((float(coarse[a:b].mean()), 1e3 * spikes / (stop - start)))
    return out
