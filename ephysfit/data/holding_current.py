"""The holding current at the start of a sweep, and a run-up at it so that a model starts in the state of the cell."""

from __future__ import annotations

import numpy as np

from ephysfit.arrays import Trace

#: how long the current must stand still at the start to be called holding, ms
STILL = 10.0
#: ... and how still: standard deviation against the range of the whole sweep
STEADY = 0.02
#: run-up of a fit and of its simulations, ms: long against membranes and channels
LEAD = 1000.0
#: a sweep at least this long loses SKIP ms at its start: the history of the cell is unknown, and little is lost
LONG, SKIP = 5000.0, 500.0
#: part of a shorter one that is lost where the level it was held at is unknown too
SKIP_PART = 0.05


def find_unsettled_time(duration: float, held: bool, skip: float = SKIP) -> float:
    """Find how long after the start of a sweep the model is not compared with the cell, ms.

    A sweep that begins at a steady level loses nothing: the model settles at that level first (`make_run_up`),
    and the first spikes of a step, or at the onset of a noise, carry much of the information.

    Parameters
    ----------
    duration
        Length of the sweep, ms.
    held
        Whether it begins at a steady level (`find_holding_current`).
    skip
        Time that a long sweep loses, ms.

    Examples
    --------
    >>> find_unsettled_time(60_000.0, True), find_unsettled_time(2000.0, True), find_unsettled_time(2000.0, False)
    (0.0, 0.0, 100.0)
    """
    if held:
        return 0.0
    return min(skip, duration / 2) if duration >= LONG else min(skip, SKIP_PART * duration)


def find_holding_current(current: Trace, dt: float) -> float | None:
    """Find the level at which a sweep begins, pA; None if the current changes from its first sample (noise, a ramp).

    Parameters
    ----------
    current
        pA, shape (time,).
    dt
        Sampling step, ms.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.repeat([-20.0, 130.0, -20.0], 500)
    >>> find_holding_current(step, 0.1)
    -20.0
    >>> find_holding_current(np.random.default_rng(0).normal(0, 50, 5000), 0.1) is None
    True
    """
    if current.ndim != 1:
        return None
    first = current[: max(min(round(STILL / dt), len(current) // 4), 1)]
    still = float(first.std()) <= STEADY * float(np.ptp(current))
    return float(np.median(first)) if still else None


def make_run_up(current: Trace, dt: float, length: float = LEAD) -> Trace:
    """Make samples of the holding current to precede a sweep, pA, shape (time,); empty if there is no steady level.

    A simulated neuron starts from its declared resting values, but the cell was at the holding current. The run-up
    brings the model to the state of the cell before the first sample.

    Parameters
    ----------
    current
        pA, shape (time,).
    dt
        Sampling step, ms.
    length
        Length of the run-up, ms.

    Examples
    --------
    >>> import numpy as np
    >>> make_run_up(np.repeat([-20.0, 130.0], 500), 0.1, 0.5)
    array([-20., -20., -20., -20., -20.])
    """
    level = find_holding_current(current, dt)
    return np.empty(0) if level is None else np.full(round(length / dt), level)
