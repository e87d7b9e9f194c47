"""Intervals of what spikes determine whatever the parameters' values: readings of the membrane, and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy  # loads its parts when they are first used

from ephysfit.arrays import Array, Mask
from ephysfit.fitting.stage_reports import Derived, Ends
from ephysfit.fitting.uncertainty.answers import LEAST, Answer, find_answers
from ephysfit.fitting.uncertainty.identifiability import (
    compute_reading_gradient,
    find_membrane_readings,
    find_readings,
)
from ephysfit.fitting.uncertainty.left_out_parts import compute_jackknife_spread, leave_parts_out
from ephysfit.fitting.uncertainty.likelihood_surface import Peak, Surface, invert_information
from ephysfit.fitting.uncertainty.profile import EDGE
from ephysfit.fitting.uncertainty.simulated_trains import Refit
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.readings import Reading
from ephysfit.simulation.replay import Replay

#: largest logarithm of an interval's end over its middle
FARTHEST = 10.0


def find_reach(level: float) -> float:
    """How many standard errors an interval of this coverage reaches to either side."""
    return float(np.sqrt(scipy.special.chdtri(1, 1 - level)))


def list_answers(surface: Surface) -> tuple[Answer, ...]:
    """The answers of a neuron that has no membrane to read; of one whose likelihood is no guide, none."""
    if find_membrane_readings(surface) or surface.problem.neuron.searched:
        return ()
    return find_answers(surface.sweeps, surface.problem.dt, float(surface.start.refractory_ms))


def derive_intervals(
    surface: Surface, peaks: tuple[Peak, ...], known: dict[str, Ends], level: float, refits: Sequence[Refit] = ()
) -> tuple[Derived, ...]:
    """Readings and answers with their intervals; `known` are those of the parameters."""
    readings = [_derive_reading(surface, peaks, known, r, level) for r in find_readings(surface)]
    return (*readings, *derive_answers(surface, peaks, level, refits))


def derive_answers(
    surface: Surface, peaks: tuple[Peak, ...], level: float, refits: Sequence[Refit] = ()
) -> tuple[Derived, ...]:
    """Answers with their intervals, by the delta method and, if there are any, by refits of simulated trains.

    A refit's answers are compared with the fit's on the same train, as the fit's are with the cell's on the recorded
    one: the mean of the logarithm of their ratio is taken off as the bias. The largest of three errors counts: that of
    the delta method, the standard deviation of those logarithms, and the jackknife's over parts of the recording, which
    also sees what the neuron gets wrong about the cell.
    """
    answers = list_answers(surface)
    if not answers:
        return ()
    misses = compare_refits(surface, peaks[0], refits)
    replays = [(_replay(surface, p), p.q[: len(surface.free.names)], covariance_inside(surface, p)) for p in peaks]
    left_out = jackknife_answers(surface, peaks[0]) if len(refits) else np.zeros(len(answers))
    out = []
    for k, answer in enumerate(answers):
        value, error = _mix_peaks(peaks, [(*answer.differentiate(replay, z), c) for replay, z, c in replays])
        known = value > LEAST  # else nothing but its size is known: the interval is as wide as one may be
        bias, spread = _correct(misses[:, k], max(error / value, float(left_out[k])) if known else FARTHEST)
        low, high = bound_factor(value * float(np.exp(-bias)), spread, find_reach(level))
        ends, off = (min(low, value), max(high, value)), -value * float(np.expm1(-bias))
        out.append(Derived(answer.name, "1", answer.meaning, value, *ends, spread * value, off))
    return tuple(out)


def compare_refits(surface: Surface, peak: Peak, refits: Sequence[Refit]) -> Array:
    """Logarithm of every refit's answers over those of the fit on the same train, (refit, answer)."""
    names = [a.name for a in list_answers(surface)]
    replay, z = _replay(surface, peak), peak.q[: len(surface.free.names)]
    out = np.zeros((len(refits), len(names)))
    for row, refit in zip(out, refits, strict=True):
        own = find_answers(refit.sweeps, surface.problem.dt, float(peak.neuron.refractory_ms))
        for a in own:
            if a.name in names:  # what a train of few spikes does not show counts as not missed
                row[names.index(a.name)] = np.log(a.read(replay, refit.z) / a.read(replay, z))
    return out


def jackknife_answers(surface: Surface, peak: Peak) -> Array:
    """Standard errors of the logarithms of the answers, from what they are without each part of the recording."""
    replay, answers = _replay(surface, peak), list_answers(surface)
    without = leave_parts_out(surface, peak, find_held(surface, peak))
    return compute_jackknife_spread(np.log([[a.read(replay, z) for a in answers] for z in without]))


def _correct(misses: Array, error: float) -> tuple[float, float]:
    """The bias of a logarithm, and its error with that of the bias, from the misses of refits and an error without."""
    if not len(misses):
        return 0.0, error
    return float(misses.mean()), max(error, float(misses.std(ddof=1))) * float(np.sqrt(1 + 1 / len(misses)))


def bound_factor(value: float, error: float, reach: float) -> tuple[float, float]:
    """The interval of a factor that is known to a relative error, so many errors to either side.

    It is that of the logarithm, but begins where that of the factor itself does, at 0 or above: of a rate a
    hundredth of another no spike tells how much lower it is.

    Examples
    --------
    >>> [round(end, 3) for end in bound_factor(2.0, 0.05, 1.96)]
    [1.804, 2.206]
    >>> [round(end, 3) for end in bound_factor(0.01, 0.8, 1.96)]
    [0.0, 0.048]
    """
    part = reach * error
    return value * max(1.0 - part, 0.0), value * float(np.exp(min(part, FARTHEST)))


def _replay(surface: Surface, peak: Peak) -> Replay:
    """The likelihood of the spikes, at the refractory period of a peak."""
    return Replay(surface.free, peak.neuron, surface.problem.dt)


def find_held(surface: Surface, peak: Peak) -> Mask:
    """Coordinates that do not count in a covariance: those that hold the scale, and those on a bound.

    On its own axis nothing bounds a parameter that stands on a bound: it would lend all others its endless error.
    """
    held = surface.fixed | (np.abs(peak.q) > EDGE)
    held[len(surface.free.names) :] = False  # drift weights have no bound
    return held


def covariance_inside(surface: Surface, peak: Peak) -> Array:
    """Covariance of the free coordinates with those on a bound held there, (parameter, parameter)."""
    n = len(surface.free.names)
    return invert_information(peak.target.information(peak.q).fisher, find_held(surface, peak))[:n, :n]


def _mix_peaks(peaks: tuple[Peak, ...], pairs: list[tuple[float, Array, Array]]) -> tuple[float, float]:
    """Value at the highest peak and standard error over all, each weighing what its top is worth."""
    weights = np.exp([p.value - peaks[0].value for p in peaks])
    weights /= weights.sum()
    values = np.array([v for v, _, _ in pairs])
    variance = np.array([s @ c @ s for _, s, c in pairs])
    return float(values[0]), float(np.sqrt(weights @ (variance + (values - weights @ values) ** 2)))


def _derive_reading(
    surface: Surface, peaks: tuple[Peak, ...], known: dict[str, Ends], reading: Reading, level: float
) -> Derived:
    """A reading with its interval.

    Where the mV scale is held most readings move with one parameter alone. A likelihood's interval does not depend on
    what the quantity is called, so theirs is that of the parameter, read off at its ends. Of the others it is the delta
    method's, on the logarithm only if all that the reading moves with is positive by declaration: a ratio that can
    cross zero has no place on a logarithmic axis.
    """
    pairs = [(*compute_reading_gradient(surface, p.neuron, reading.read), p.covariance) for p in peaks]
    value, error = _mix_peaks(peaks, pairs)
    reach = find_reach(level)
    moves = [k for k, n in enumerate(surface.free.names) if n not in surface.held and any(s[k] for _, s, _ in pairs)]
    names = [surface.free.names[k] for k in moves]
    if len(names) == 1 and names[0] in known and known[names[0]] != (None, None):
        low, high = _read_at_ends(surface, peaks[0].neuron, names[0], known[names[0]], reading.read)
    elif value > 0 and all(surface.free.parameters[k].logarithmic for k in moves):
        ratio = float(np.exp(min(reach * error / value, FARTHEST)))
        low, high = value / ratio, value * ratio
    else:
        low, high = value - reach * error, value + reach * error
    return Derived(reading.name, reading.unit, reading.meaning, value, low, high, error)


def _read_at_ends(surface: Surface, cell: Neuron, name: str, ends: Ends, read: Any) -> tuple[float, float]:
    """A reading with one parameter at the ends of its interval, at its bound where an end is open."""
    p = surface.free.parameters[surface.free.names.index(name)]
    free = FreeParameters(type(cell), (name,))
    places = (at if at is not None else bound for at, bound in zip(ends, (p.low, p.high), strict=True))
    found = [float(read(free.put({name: at}, cell))) for at in places]
    return min(found), max(found)
