"""How a cell answers current steps: spikes counted, the first one timed, beside what a line between amplitudes says.

A step is recorded once as a rule. A coincidence within 4 ms then compares two draws of spikes that jitter by more, so
that a model that is the cell scores near chance. What a step does tell is how many spikes it makes and how soon. The
answer to beat is a straight line between the neighbouring amplitudes that trained: it knows nothing of neurons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Array, Float64, Train, TrainsLike
from ephysfit.data.stimulus_kinds import is_of_kind
from ephysfit.data.sweep import Sweep
from ephysfit.errors import ScoreError
from ephysfit.metrics.trains import check_duration, check_trains, mean_defined

#: the step is where the currents of the sweeps differ by this part of the largest difference, and by so many pA
DIFFERENT, LEAST = 0.2, 2.0
#: ms; in which the currents are compared
BIN = 1.0


@dataclass(frozen=True)
class Step:
    """The step of a sweep.

    Attributes
    ----------
    amplitude : float, pA, the injected current during the step
    begin, end : float, ms
    """

    amplitude: float
    begin: float
    end: float


@dataclass(frozen=True)
class Answer:
    """How one sweep is answered.

    Attributes
    ----------
    count : float, spikes
    latency : float, first spike after the step begins, ms; NaN for none
    adaptation : float, log2 of last over first interval; NaN with fewer than three spikes
    """

    count: float
    latency: float
    adaptation: float

    @classmethod
    def of(cls, train: Train, step: Step) -> Answer:
        """The answer of one train, ms, to a step.

        Examples
        --------
        >>> Answer.of(np.array([120.0, 130.0, 150.0]), Step(50.0, 100.0, 600.0))
        Answer(count=3.0, latency=20.0, adaptation=1.0)
        """
        gaps = np.diff(train)
        return cls(
            float(len(train)),
            find_latency(train, step.begin),
            float(np.log2(gaps[-1] / gaps[0])) if len(gaps) >= 2 else np.nan,
        )


def is_step(sweep: Sweep) -> bool:
    """Whether a sweep plays a step, by the name of its stimulus or its waveform."""
    return is_of_kind(sweep.kind, "step")


def find_steps(sweeps: Sequence[Sweep]) -> list[Step]:
    """The step of every sweep: the longest stretch of time in which the currents of the sweeps differ.

    A test pulse or a prepulse is the same in all sweeps, so that it is not taken for the step.

    Parameters
    ----------
    sweeps : sequence of Sweep
        Sweeps of one protocol, of two amplitudes at least.

    Raises
    ------
    ScoreError
        If all sweeps play the same current.

    Examples
    --------
    >>> t = np.arange(5000) * 0.1
    >>> find_steps([Sweep(k * ((t >= 100) & (t < 400)), 0.1) for k in (50.0, 100.0)])
    [Step(amplitude=50.0, begin=100.0, end=400.0), Step(amplitude=100.0, begin=100.0, end=400.0)]
    """
    dt = sweeps[0].dt
    per = [max(round(BIN / s.dt), 1) for s in sweeps]
    n = min(s.steps // k for s, k in zip(sweeps, per, strict=True))
    coarse = np.array([np.median(s.current[: n * k].reshape(n, k), axis=1) for s, k in zip(sweeps, per, strict=True)])
    spread = np.ptp(coarse, axis=0) if n else np.zeros(1)
    differs = spread > max(DIFFERENT * float(spread.max()), LEAST)
    if not differs.any():
        raise ScoreError(
            f"the currents of {len(sweeps)} sweeps differ by {float(spread.max()):.2g} pA at most, so that no step is "
            f"found in them; give sweeps of two amplitudes, {LEAST:g} pA apart or more"
        )
    edges = np.flatnonzero(np.diff(np.r_[0, differs.astype(int), 0]))
    first, last = max(zip(edges[::2], edges[1::2], strict=True), key=lambda span: span[1] - span[0])
    ms = per[0] * dt
    return [Step(float(np.median(row[first:last])), float(first * ms), float(last * ms)) for row in coarse]


def interpolate_answer(steps: Sequence[Step], answers: Sequence[Answer], amplitude: float) -> Answer:
    """The answer on a straight line between the neighbouring amplitudes (pA); beyond the outermost, that of it.

    Answers of one amplitude are averaged; an answer that is not defined (no first spike) is passed over.

    Examples
    --------
    >>> steps = [Step(k, 100.0, 400.0) for k in (50.0, 150.0)]
    >>> interpolate_answer(steps, [Answer(2.0, 40.0, np.nan), Answer(6.0, 20.0, np.nan)], 100.0)
    Answer(count=4.0, latency=30.0, adaptation=nan)
    """
    x = np.array([s.amplitude for s in steps])

    def read(values: Float64[Array, " step"]) -> float:
        known = np.isfinite(values)
        if known.sum() < 2:
            return float("nan")
        levels, place = np.unique(x[known], return_inverse=True)
        means = np.bincount(place, weights=values[known]) / np.bincount(place)
        return float(np.interp(amplitude, levels, means))

    return Answer(
        read(np.array([a.count for a in answers])),
        read(np.array([a.latency for a in answers])),
        read(np.array([a.adaptation for a in answers])),
    )


def count_error(data: TrainsLike, model: TrainsLike, duration_ms: float) -> float:
    """How far the mean number of spikes of the runs is from that of the repeats, spikes.

    Examples
    --------
    >>> count_error([[10.0, 20.0]], [[11.0], [12.0, 30.0]], 100.0)
    0.5
    """
    check_duration(duration_ms)
    recorded, own = (np.mean([t.size for t in check_trains(x, n)]) for x, n in ((data, "data"), (model, "model")))
    return float(abs(own - recorded))


def latency_error(data: TrainsLike, model: TrainsLike, duration_ms: float, *, begin: float = 0.0) -> float:
    """How far the first spike after `begin` (ms) is off, mean of the runs that fire against mean of the repeats, ms.

    NaN where either never fires.

    Examples
    --------
    >>> latency_error([[10.0, 20.0]], [[11.0], [13.0, 30.0], []], 100.0)
    2.0
    """
    check_duration(duration_ms)
    recorded, own = (
        mean_defined([find_latency(t, begin) for t in check_trains(x, n)])
        for x, n in ((data, "data"), (model, "model"))
    )
    return float(abs(own - recorded))


def find_latency(train: Train, begin: float) -> float:
    """Time from `begin` to the first spike after it, ms; NaN for none."""
    after = train[train >= begin]
    return float(after[0] - begin) if len(after) else float("nan")
