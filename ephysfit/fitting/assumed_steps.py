"""Steps of current that a fit assumes where a cell was recorded in noise alone.

Noise keeps the potential in motion. How far the threshold of a flexible neuron follows a potential that stands still is
then left open, and fits differ in it without losing a nat: free runs on steps fired 40 to 60 % of the spikes that three
raphe cells fired there. What is known of steps is put in as data of little weight, unless the training data hold any.

Where the noise moves slowly as well, it shows the cell's rate at each level of its slow part. On a steady current of
that level a cell fires less, because no fluctuation helps. `SHARE` of that rate is what is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy  # loads its parts when they are first used

from ephysfit.arrays import Array
from ephysfit.data.recording import Recording
from ephysfit.data.stimulus_kinds import is_of_kind
from ephysfit.fitting.stage_reports import AssumedStep
from ephysfit.simulation.replay import ReplaySweep

#: rate on a steady current over that in noise of the same slow level, two thirds as in the three raphe cells with both
#: (`benchmarks/assumed_steps.py` measures each)
SHARE = 0.66
#: of each sample of an assumed step beside a recorded one
WEIGHT = 0.8
#: what counts as slow: the current and the spikes are averaged over this, ms
WINDOW = 500.0
#: windows of the data, overlapping by half, below which nothing is assumed: fewer show no curve
FEWEST = 40
#: spikes in those windows below which nothing is assumed: each counts in two windows, and the curve has five levels
FEWEST_SPIKES = 60
#: part of a window that must count in the likelihood
COUNTED = 0.9
#: how much more the cell must fire in the highest fifth of windows than in the lowest: else the noise is fast alone
RISE = 3.0
#: levels run from that at which the cell fires this part of its highest rate up to this quantile of the slow part
LOWEST, HIGHEST = 0.3, 0.98
LEVELS = 5
#: run-up at the holding current and length of a step, ms, and how much of its beginning is not counted: when a first
#: spike comes is not assumed
RUN_UP, LENGTH, ONSET = 500.0, 1000.0, 100.0
#: rate, 1/s, below which a level is left out: its step would last longer than two of `LENGTH` to hold one spike
SLOWEST = 0.5


def holds_only_noise(recording: Recording) -> bool:
    """Whether no sweep of the training data shows the answer to a steady current."""
    return all(is_of_kind(s.kind, "noise") for s in recording.sweeps)


def assume_steps(sweeps: Sequence[ReplaySweep], dt: float, holding: float) -> tuple[AssumedStep, ...]:
    """Steps to which a cell's answer can be assumed from its answer to noise.

    Parameters
    ----------
    sweeps : sequence of ReplaySweep
        What is fitted; only windows that count are read.
    dt : float
        Step, ms.
    holding : float
        Current before a step, pA.

    Returns
    -------
    tuple of AssumedStep
        Empty where the slow part of the current hardly moves the rate, or the data are short.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> slow = np.repeat(rng.uniform(0.0, 100.0, 60), 1000)           # 60 levels of 500 ms, pA
    >>> fired = (rng.random(60_000) < slow * 1e-4).astype(np.uint8)   # 20 spikes per second at 100 pA
    >>> noise = ReplaySweep((slow + rng.normal(0.0, 50.0, 60_000))[:, None], fired, np.ones(60_000))
    >>> [(round(s.amplitude), round(s.rate)) for s in assume_steps([noise], 0.5, 0.0)]
    [(40, 5), (54, 7), (68, 8), (81, 12), (95, 15)]
    """
    seen = read_rate_curve(sweeps, dt)
    if seen is None:
        return ()
    levels, curve = seen
    top = float(np.quantile(levels, HIGHEST))
    highest = float(np.interp(top, levels, curve))
    low = float(levels[np.searchsorted(curve, LOWEST * highest)])
    chosen = np.linspace(low, top, LEVELS)
    assumed = SHARE * np.interp(chosen, levels, curve)
    pairs = zip(chosen.tolist(), assumed.tolist(), strict=True)
    return tuple(AssumedStep(level, rate, SHARE, holding, WEIGHT) for level, rate in pairs if rate >= SLOWEST)


def read_rate_curve(sweeps: Sequence[ReplaySweep], dt: float) -> tuple[Array, Array] | None:
    """Rate of a cell at each level of the slow part of the current; None where the data show no such curve.

    Parameters
    ----------
    sweeps : sequence of ReplaySweep
        What is fitted; only windows that count are read.
    dt : float
        Step, ms.

    Returns
    -------
    levels : array (window,)
        Mean current of windows of 500 ms, pA, ascending.
    rates : array (window,)
        Rising curve nearest to their rates, 1/s.
    """
    levels, rates = _average_windows(sweeps, round(WINDOW / dt), dt)
    if len(levels) < FEWEST or rates.sum() * WINDOW / 1000.0 < FEWEST_SPIKES:
        return None
    order = np.argsort(levels)
    levels, rates = levels[order], rates[order]
    fifth = len(levels) // 5
    if rates[-fifth:].mean() <= RISE * rates[:fifth].mean():
        return None
    return levels, scipy.optimize.isotonic_regression(rates).x


def _average_windows(sweeps: Sequence[ReplaySweep], n: int, dt: float) -> tuple[Array, Array]:
    """Mean current, pA, and rate, 1/s, of windows of `n` samples that count, each (window,)."""
    levels, rates = [], []
    for sweep in sweeps:
        for begin in range(0, len(sweep.spikes) - n + 1, n // 2):
            part = slice(begin, begin + n)
            if np.mean(sweep.use[part] > 0) >= COUNTED:
                levels.append(float(sweep.current[part, 0].mean()))
                rates.append(float(sweep.spikes[part].sum()) / (n * dt / 1000.0))
    return np.array(levels), np.array(rates)


def make_assumed_sweeps(steps: Sequence[AssumedStep], dt: float, pieces: int = 0) -> tuple[ReplaySweep, ...]:
    """Steps with evenly spaced spikes, as sweeps for the likelihood.

    Parameters
    ----------
    steps : sequence of AssumedStep
    dt : float
        Step, ms.
    pieces : int
        Of the drift of a fit; an assumed step shows the cell as it was last.
    """
    return tuple(_make_assumed_sweep(step, dt, pieces) for step in steps)


def _make_assumed_sweep(step: AssumedStep, dt: float, pieces: int) -> ReplaySweep:
    count = max(round(step.rate * LENGTH / 1000.0), 1)
    length = 1000.0 * count / step.rate  # whole intervals, so that the rate is met exactly
    before, during = round(RUN_UP / dt), round(length / dt)
    current = np.r_[np.full(before, step.holding), np.full(during, step.amplitude)]
    spikes = np.zeros(before + during, np.uint8)
    spikes[before + ((np.arange(count) + 0.5) * during / count).astype(int)] = 1
    use = np.zeros(before + during)
    use[before + round(ONSET / dt) :] = step.weight
    slow = np.zeros((before + during, pieces)) if pieces else None
    return ReplaySweep(current[:, None], spikes, use, slow)
