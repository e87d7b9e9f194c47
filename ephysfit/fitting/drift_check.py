"""Stationarity of the cell over the training data: recorded spikes against those that the fit expects.

A fit errs with the drive: too many spikes at small steps, too few at large ones. Where amplitudes rise in the order of
recording such an error looks like a drift. So only parts of like drive are compared with one another, by a Poisson
regression with a level for every drive and one slope in time; and the slope must stand out from how much like parts
scatter about it, which holds whatever the model misses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy  # loads its parts when they are first used

from ephysfit.arrays import Array, Float64, Int64, Integers
from ephysfit.fitting.stage import Problem
from ephysfit.fitting.stages.likelihood import STEADY
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay

#: probability that chance alone shows such a slope, two-sided: that of three standard deviations
RARE = 0.0027
#: relative change from the first to the last quarter that matters
LARGE = 0.15
#: expected spikes below which a part is not informative (as the small first steps of a protocol)
TELLING = 1.0
#: all training data make so many parts where sweeps are noise, each part within these limits, ms
PARTS, SHORTEST, LONGEST = 24, 1000.0, 5000.0
#: parts are of like drive where their mean currents lie within so many pA of a neighbour (in noise, this part of its
#: standard deviation), and their standard deviations within this factor (in noise, the second)
LIKE, LIKE_PART, LIKE_SPREAD = 0.5, 0.25, (1.05, 1.25)
#: degrees of freedom left beside the levels and the slope from which scatter is known
FEWEST = 3
#: of the time that is not explained by the drives, so little is rounding
CONFOUNDED = 1e-3


@dataclass(frozen=True)
class Part:
    """One part of the training data.

    Attributes
    ----------
    recorded : int, spikes
    expected : float, spikes that the fitted neuron expects, replayed
    time : float, its middle as a part of all training data, 0 to 1 in the order of recording
    drive, spread : float, pA, mean and standard deviation of its current
    noise : bool, whether its current is noise, of which no two parts are quite alike
    """

    recorded: int
    expected: float
    time: float
    drive: float = 0.0
    spread: float = 0.0
    noise: bool = False


class Slope(NamedTuple):
    """Change of log recorded over expected spikes, over all training data; standard error; degrees of freedom."""

    value: float
    error: float
    freedom: int


def count_spikes_in_parts(problem: Problem, neuron: Neuron) -> tuple[Part, ...]:
    """Recorded and expected spikes of parts of the training data, in the order of recording.

    A sweep of noise is divided into parts of a few seconds. Any other sweep is one part, because time and current are
    confounded within it.
    """
    if not problem.neuron.stochastic():
        return ()
    free = FreeParameters.of(problem.neuron, smooth_only=True)
    replayed = Replay(free, neuron, problem.dt).rates(free.to_vector(neuron), problem.everything)
    hold = round(float(neuron.refractory_ms) / problem.dt)
    uses = [s.use.astype(bool) & ~find_refractory_steps(s.spikes, hold) for s in problem.everything]
    total = max(sum(len(u) for u in uses), 1)
    length = np.clip(total * problem.dt / PARTS, SHORTEST, LONGEST) / problem.dt
    out, before = [], 0
    for sweep, (_, log_rate), use, source in zip(
        problem.everything, replayed, uses, problem.recording.sweeps, strict=True
    ):
        count = max(round(len(use) / length), 1) if source.kind == "noise" else 1
        edges = np.linspace(0, len(use), count + 1).round().astype(int)
        for a, b in pairwise(edges):
            at = np.flatnonzero(use[a:b]) + a
            if len(at):
                rates = -np.expm1(-np.exp(log_rate[at]) * problem.dt)
                current = sweep.current[at, 0]
                out.append(
                    Part(int(sweep.spikes[at].sum()), float(rates.sum()), (before + (a + b) / 2) / total,
                         float(current.mean()), float(current.std()), source.kind == "noise")
                )  # fmt: skip
        before += len(use)
    return tuple(out)


def find_refractory_steps(spikes: np.ndarray, hold: int) -> np.ndarray:
    """Steps within `hold` steps after a spike, which carry no likelihood."""
    ends = np.cumsum(np.r_[0, spikes.astype(np.int64)])
    steps = np.arange(len(spikes))
    return ends[steps] - ends[np.maximum(steps - hold, 0)] > 0


def group_by_drive(parts: Sequence[Part]) -> Int64[Integers, " part"]:
    """Number the parts so that those of like drive share a number.

    Examples
    --------
    >>> group_by_drive([Part(1, 1.0, k / 4, pA, 0.0) for k, pA in enumerate((50.0, 100.0, 50.2, 100.0))]).tolist()
    [0, 1, 0, 1]
    """
    drive, spread, noise = (np.array([getattr(p, name) for p in parts]) for name in ("drive", "spread", "noise"))
    keys = np.zeros((len(parts), 3), dtype=np.int64)
    for of in (False, True):
        at = np.flatnonzero(noise == of)
        if at.size:
            gap = LIKE_PART * float(np.median(spread[at])) if of else LIKE
            keys[at, 0] = of
            keys[at, 1] = _number_clusters(drive[at], max(gap, LIKE))
            keys[at, 2] = _number_clusters(np.log(np.maximum(spread[at], LIKE)), float(np.log(LIKE_SPREAD[of])))
    _, numbers = np.unique(keys, axis=0, return_inverse=True)
    return numbers.reshape(-1).astype(np.int64)


def _number_clusters(values: Float64[Array, " part"], gap: float) -> Int64[Integers, " part"]:
    """Number values so that neighbours no further apart than `gap` share a number."""
    order = np.argsort(values, kind="stable")
    numbers = np.empty(len(values), dtype=np.int64)
    numbers[order] = np.r_[0, np.cumsum(np.diff(values[order]) > gap)]
    return numbers


def fit_slope(parts: Sequence[Part]) -> Slope | None:
    """Poisson regression of recorded on expected spikes: a level for each drive, one slope in time.

    The standard error is that of Poisson counts, widened by how much the parts scatter about the regression.

    Returns
    -------
    Slope or None
        None where time and drive cannot be told apart, or too few parts share a drive.
    """
    groups = group_by_drive(parts) if parts else np.empty(0, dtype=np.int64)
    sound = [
        k for k, p in enumerate(parts)
        if p.expected >= TELLING and any(q.recorded for q, g in zip(parts, groups, strict=True) if g == groups[k])
    ]  # fmt: skip
    if not sound:
        return None
    recorded, expected, time, drive = (
        np.array([getattr(parts[k], name) for k in sound], float) for name in ("recorded", "expected", "time", "drive")
    )
    _, group = np.unique(groups[sound], return_inverse=True)
    levels = np.eye(group.max() + 1)[group]
    within = drive - (levels / levels.sum(0)).T.dot(drive)[group]  # drives that are alike and not the same
    columns = [levels] + ([within[:, None] / np.ptp(within)] if np.ptp(within) > 1e-6 else [])
    others = np.concatenate(columns, axis=1)
    freedom = len(sound) - others.shape[1] - 1
    own = time - others @ np.linalg.lstsq(others, time, rcond=None)[0]
    if freedom < FEWEST or own @ own < CONFOUNDED * np.sum((time - time.mean()) ** 2):
        return None
    design = np.concatenate([others, time[:, None]], axis=1)
    weights = np.zeros(design.shape[1])
    for _ in range(50):
        mean = expected * np.exp(np.clip(design @ weights, -20, 20))
        information = design.T @ (mean[:, None] * design) + 1e-9 * np.eye(len(weights))
        step = np.linalg.solve(information, design.T @ (recorded - mean))
        weights += np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    scatter = float(np.sum((recorded - mean) ** 2 / np.maximum(mean, 1e-9)) / freedom)
    error = np.sqrt(max(scatter, 1.0) * np.linalg.inv(information)[-1, -1])
    return Slope(float(weights[-1]), float(error), freedom)


def warn_of_drift(parts: tuple[Part, ...], modelled: bool = False, sweeps: int = 1, duration: float = np.inf) -> str:
    """A sentence if the cell fired clearly more or less, for like drive, at the end than at the beginning.

    Parameters
    ----------
    parts : tuple of Part
    modelled : bool
        Whether the fit has a term for it.
    sweeps : int
        Training sweeps.
    duration : float
        Length of the training data, ms; both decide what is advised.
    """
    found = fit_slope(parts)
    if found is None or abs(found.value) < scipy.special.stdtrit(found.freedom, 1 - RARE / 2) * found.error:
        return ""
    factor = float(np.exp(0.75 * found.value))  # between the middles of the first and the last quarter
    if abs(factor - 1) < LARGE:
        return ""
    last, first = "in the last quarter of the training data", "in the first"
    change = f"{abs(factor - 1):.0%} {'more' if factor > 1 else 'less'} {last} than {first}"
    if factor >= 2:
        change = f"{factor:.1f} times as much {last} as {first}"
    if modelled:
        done = "the fit allows for this and describes the cell as it was at the end"
    elif can_model_drift(sweeps, duration):
        done = "Likelihood(drift=None), on the command line --drift auto, fits the cell as it was at the end"
    else:
        half_life = max(duration / 2e3, 1.0) if np.isfinite(duration) else 30.0
        done = (
            f"Likelihood(recent={1e3 * half_life:.0f}), on the command line --recent {half_life:.0f}, gives the later "
            "sweeps more weight"
        )
    return (
        "the cell's excitability drifted: against what the fit expects of the same current and the spikes before, it "
        f"fired {change}; {done}"
    )


def can_model_drift(sweeps: int, duration: float) -> bool:
    """Whether `Likelihood(drift=None)` models a drift of such training data (duration in ms): one long sweep."""
    return sweeps == 1 and duration >= STEADY
