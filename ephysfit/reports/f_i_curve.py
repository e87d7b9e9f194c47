"""The f-I curve of a cell and of its model: rate over whole steps of current, from the first interval, and steady.

The model plays the steps as the cell got them: of the same length, from the same holding current, with its noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Array, Bool, Float64, Mask, Train
from ephysfit.card.firing import choose_usual
from ephysfit.card.pulses import Pulse, find_pulses
from ephysfit.data.depolarisation_block import find_blocks
from ephysfit.data.holding_current import LEAD, STILL, find_holding_current
from ephysfit.data.recording import Recording
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.members import simulate_members
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.simulate import simulate

#: length of a step where the file holds none, ms
LENGTH = 1000.0
#: currents of a curve
LEVELS = 25
#: noisy runs at each current of steps up to `SHORT` ms; of longer ones fewer, so that the time stays the same
RUNS, FEWEST_RUNS, SHORT = 64, 24, 2000.0
#: a rate is steady in the part of a step after this part of it
STEADY = 0.5
#: part of the runs in the band
BAND = 0.9
#: where there are no steps: from and to so many standard deviations about the mean current
BELOW, ABOVE = 2.0, 4.0
#: a range of noise is its mean ± so many standard deviations
WIDE = 2.0
#: least standard deviation of a current that sets the range of a curve, pA
LEAST = 5.0


@dataclass(frozen=True)
class Firing:
    """How one train answers one step.

    Attributes
    ----------
    rate : float, Hz, spikes over the length of the step
    first : float, Hz, reciprocal of the first interval; NaN with fewer than two spikes
    steady : float, Hz, reciprocal of the mean of the intervals that end in the second half of the step; where there is
        none, the spikes of that half over its length
    """

    rate: float
    first: float
    steady: float

    @classmethod
    def of(cls, train: Train, length: float) -> Firing:
        """The firing of a train, ms from the beginning of a step of `length` ms.

        Examples
        --------
        >>> Firing.of(np.array([10.0, 20.0, 40.0, 80.0, 120.0, 160.0]), 200.0)
        Firing(rate=30.0, first=100.0, steady=25.0)
        >>> Firing.of(np.array([10.0]), 200.0)
        Firing(rate=5.0, first=nan, steady=0.0)
        """
        gaps = np.diff(train)
        late = gaps[train[1:] >= STEADY * length]
        after = float(np.count_nonzero(train >= STEADY * length)) / ((1.0 - STEADY) * length)
        return cls(
            1e3 * len(train) / length,
            float(1e3 / gaps[0]) if len(gaps) else np.nan,
            float(1e3 / late.mean()) if len(late) else 1e3 * after,
        )


@dataclass(frozen=True)
class Protocol:
    """The steps of an f-I curve: from `holding` pA, of `length` ms; `recorded`: whether the file holds such steps."""

    holding: float
    length: float
    recorded: bool


@dataclass(frozen=True, eq=False)
class MeasuredRates:
    """Rates (Hz) of a cell at the steps of its recording, (step,) each.

    Attributes
    ----------
    current : (step,) array, pA, during the step
    rate, first, steady : (step,) arrays, as of `Firing`
    held_out : (step,) array of bool, whether the step was not used by the fit
    """

    current: Float64[Array, " step"]
    rate: Float64[Array, " step"]
    first: Float64[Array, " step"]
    steady: Float64[Array, " step"]
    held_out: Bool[Mask, " step"]


@dataclass(frozen=True, eq=False)
class ModelRates:
    """Rates (Hz) of a model at steps of current, (level,) each.

    Attributes
    ----------
    current : (level,) array, pA
    rate : (level,) array
        Mean over runs.
    low, high : (level,) arrays
        Between them lie 90 % of the runs; equal for a neuron without noise.
    first : (level,) array
        Median over the runs of two spikes or more; NaN where fewer than half of the runs have them.
    steady : (level,) array
        Mean over runs.
    runs : int
    """

    current: Float64[Array, " level"]
    rate: Float64[Array, " level"]
    low: Float64[Array, " level"]
    high: Float64[Array, " level"]
    first: Float64[Array, " level"]
    steady: Float64[Array, " level"]
    runs: int


@dataclass(frozen=True, eq=False)
class FICurve:
    """The f-I curve of a cell and of its model.

    Attributes
    ----------
    protocol : Protocol
    cell : MeasuredRates
        Empty where the file holds no steps.
    model : ModelRates
    trained : (float, float), pA
        Range of the currents of training: of steps and holding, and of mean ± 2 standard deviations of noise.
    note : str
        What is missing, and why; empty where nothing is.
    """

    protocol: Protocol
    cell: MeasuredRates
    model: ModelRates
    trained: tuple[float, float]
    note: str


def compute_f_i_curve(fit: Fit, test: Recording, train: Recording | None) -> FICurve:
    """Compute the f-I curve of a fit, beside the steps of its recording.

    Parameters
    ----------
    fit : Fit
    test : Recording
        Held-out sweeps.
    train : Recording or None
        The training sweeps. Without them the range of training is that of the test current.

    Examples
    --------
    >>> import ephysfit as ef
    >>> cell = ef.models.LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=0.2)
    >>> steps = [np.repeat([0.0, a, 0.0], [400, 2000, 400]) for a in (80.0, 160.0)]
    >>> test = ef.Recording.of(steps, 0.5, spike_times=[[], [300.0, 500.0]])
    >>> found = compute_f_i_curve(ef.Fit(cell, "cell", 0.5), test, None)
    >>> found.cell.rate.tolist(), found.cell.first.tolist(), found.trained
    ([0.0, 2.0], [nan, 5.0], (0.0, 160.0))
    """
    sides = [(test, True), *([] if train is None else [(train, False)])]
    found = [(recording, held_out, find_pulses(recording.sweeps)) for recording, held_out in sides]
    sound, blocked = [], 0
    for recording, held_out, pulses in found:
        lost = _find_blocked(recording, pulses)
        blocked += len(lost) + sum("depolarisation block" in r.reason for r in recording.rejected)
        sound += [(p, held_out) for p in pulses if p.position not in lost]
    usual = {id(p) for p in choose_usual([p for p, _ in sound])}
    steps = [(p, held_out) for p, held_out in sound if id(p) in usual]
    trainer, _, trained_pulses = found[-1]
    protocol = _choose_protocol([p for p, _ in steps], trainer)
    cell = _measure_cell(steps)
    levels = np.linspace(*_find_limits(cell, protocol, trainer), LEVELS)
    return FICurve(
        protocol, cell, compute_model_rates(fit, levels, protocol), find_trained_range(trainer, trained_pulses),
        _write_note(cell, blocked),
    )  # fmt: skip


def _find_blocked(recording: Recording, pulses: Sequence[Pulse]) -> set[int]:
    """Positions of the sweeps with pulses that show depolarisation block."""
    played = sorted({p.position for p in pulses})
    return {played[k] for k in find_blocks([recording.sweeps[k] for k in played])}


def _choose_protocol(steps: Sequence[Pulse], recording: Recording) -> Protocol:
    if steps:
        holding, length = (float(np.median(x)) for x in ([p.holding for p in steps], [p.duration for p in steps]))
        return Protocol(holding, length, recorded=True)
    held = [level for s in recording.sweeps if (level := find_holding_current(s.current, s.dt)) is not None]
    return Protocol(float(np.median(held)) if held else _measure_current(recording)[0], LENGTH, recorded=False)


def _measure_current(recording: Recording) -> tuple[float, float]:
    """Mean and standard deviation of the current, pA."""
    current = np.concatenate([s.current[s.mask()] for s in recording.sweeps])
    return float(current.mean()), float(current.std())


def _measure_cell(steps: Sequence[tuple[Pulse, bool]]) -> MeasuredRates:
    found = [Firing.of(p.spikes - p.begin, p.duration) for p, _ in steps]
    current, rate, first, steady = np.array([(p.holding + p.amplitude, f.rate, f.first, f.steady)
                        for (p, _), f in zip(steps, found, strict=True)]).reshape(-1, 4).T  # fmt: skip
    return MeasuredRates(current, rate, first, steady, np.array([held_out for _, held_out in steps], dtype=bool))


def _find_limits(cell: MeasuredRates, protocol: Protocol, recording: Recording) -> tuple[float, float]:
    if cell.current.size:
        return min(protocol.holding, float(cell.current.min())), float(cell.current.max())
    mean, sd = _measure_current(recording)
    return mean - BELOW * max(sd, LEAST), mean + ABOVE * max(sd, LEAST)


def find_trained_range(recording: Recording, known: Sequence[Pulse] | None = None) -> tuple[float, float]:
    """Find the range of current in sweeps, pA: of steps and holding, and of mean ± 2 sd in sweeps without steps.

    Parameters
    ----------
    recording : Recording
    known : sequence of Pulse, optional
        Its pulses, where they have been looked for already.

    Examples
    --------
    >>> step = np.repeat([-10.0, 90.0, -10.0], 2000)
    >>> find_trained_range(Recording.of(step, 0.1, spike_times=[[]]))
    (-10.0, 90.0)
    """
    pulses = find_pulses(recording.sweeps) if known is None else known
    levels = [level for p in pulses for level in (p.holding, p.holding + p.amplitude)]
    stepped = {p.position for p in pulses}
    for k, sweep in enumerate(recording.sweeps):
        if k not in stepped:
            current = sweep.current[sweep.mask()]
            mean, sd = float(current.mean()), float(current.std())
            levels += [mean - WIDE * sd, mean + WIDE * sd]
    return min(levels), max(levels)


def _write_note(cell: MeasuredRates, blocked: int) -> str:
    left = f"{blocked} step{'s' * (blocked > 1)} with depolarisation block left out" if blocked else ""
    if cell.current.size:
        few = "steps of one amplitude" if np.ptp(cell.current) < 1.0 else ""
        return "; ".join(filter(None, [few, left]))
    return "; ".join(filter(None, ["the file holds no depolarising current steps: model only", left]))


def compute_model_rates(fit: Fit, levels: Float64[Array, " level"], protocol: Protocol) -> ModelRates:
    """Compute the rates of a fitted neuron at steps of current; a stochastic one runs with its noise.

    Parameters
    ----------
    fit : Fit
    levels : (level,) array, pA
    protocol : Protocol
    """
    given = [_make_step(fit.neuron, level, protocol, fit.dt) for level in levels]
    begin, end = (np.round(t / fit.dt) * fit.dt for t in (2 * STILL, 2 * STILL + protocol.length))
    runs = 1
    if type(fit.neuron).stochastic():
        runs = round(np.clip(RUNS * SHORT / protocol.length, FEWEST_RUNS, RUNS))
        members = fit.members or (fit.neuron,)
        done = simulate_members(members, given, dt=fit.dt, runs=runs, seed=fit.provenance.seed or 0)
    else:
        done = simulate(fit.neuron, given, dt=fit.dt, settle=LEAD)
    found = [[Firing.of(t[(t >= begin) & (t < end)] - begin, protocol.length) for t in trains]
             for trains in done.spike_times]  # fmt: skip
    rate, first, steady = (np.array([[getattr(f, name) for f in row] for row in found])
                           for name in ("rate", "first", "steady"))  # fmt: skip
    outside = (1.0 - BAND) / 2
    low, high = np.quantile(rate, [outside, 1.0 - outside], axis=1)
    often = np.isfinite(first).mean(axis=1) >= 0.5
    typical = np.array([np.nanmedian(row) if some else np.nan for row, some in zip(first, often, strict=True)])
    return ModelRates(levels, rate.mean(axis=1), low, high, typical, steady.mean(axis=1), runs)


def _make_step(neuron: Neuron, level: float, protocol: Protocol, dt: float) -> Float64[Array, "time ..."]:
    """A step after enough of the holding current for the run-up of a simulation to know it."""
    current = np.repeat([protocol.holding, level], [round(2 * STILL / dt), round(protocol.length / dt)])
    more = len(type(neuron).inputs) - 1
    return current if not more else np.stack([current, *[np.zeros_like(current)] * more], -1)
