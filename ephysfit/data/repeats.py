"""Grouping of sweeps that repeat the same current: the basis of reliability, held-out tests and averages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ephysfit.arrays import Trace, Train

if TYPE_CHECKING:
    from ephysfit.data.sweep import Sweep

#: two currents are one stimulus when one explains the other with a gain this close to 1 ...
GAIN = 0.01
#: ... and what it leaves (recording noise, drift of the holding current) is below this part of its size
RESIDUE = 0.1
#: an aborted repeat still counts when it covers this part of the longer one
COVER = 0.5
#: samples of the quick first look
PROBES = 257


@dataclass(frozen=True, eq=False)
class Stimulus:
    """One current and the sweeps that repeat it.

    Parameters
    ----------
    current
        Mean current of the repeats, pA, shape (time,) of the longest.
    dt
        Sampling step, ms.
    sweeps
        The sweeps that repeat it.
    name
        Name of the stimulus in the file.
    """

    current: Trace
    dt: float
    sweeps: tuple[Sweep, ...]
    name: str = ""

    @property
    def repeats(self) -> int:
        """Number of sweeps."""
        return len(self.sweeps)

    @property
    def duration(self) -> float:
        """Length in ms."""
        return len(self.current) * self.dt

    @property
    def spike_times(self) -> tuple[Train, ...]:
        """The spike train of each repeat, ms."""
        return tuple(sweep.spike_times for sweep in self.sweeps)


def is_same_current(a: Trace, b: Trace) -> bool:
    """Whether two currents are the same, up to recording noise and a small drift of the holding current.

    Parameters
    ----------
    a, b
        Currents, pA, shape (time,), at the same step. If one is shorter (an aborted sweep) the common part counts.

    Notes
    -----
    `b` is regressed on `a`: unlike a correlation, the gain distinguishes a step from a slightly larger one.

    Examples
    --------
    >>> import numpy as np
    >>> step = np.repeat([0.0, 130.0, 0.0], 50)
    >>> is_same_current(step, step + 0.5), is_same_current(step, step * 140 / 130)
    (True, False)
    """
    n = min(len(a), len(b))
    if n < COVER * max(len(a), len(b)):
        return False
    a, b = a[:n], b[:n]
    stride = max(n // PROBES, 1)
    return _is_same(a[::stride], b[::stride], slack=3.0) and _is_same(a, b)


def _is_same(a: Trace, b: Trace, slack: float = 1.0) -> bool:
    gap = a - b
    if not gap.any():
        return True
    x, y = a - a.mean(), b - b.mean()
    power = float(x @ x)
    if power == 0.0:
        return False
    gain = float(x @ y) / power
    size = np.sqrt(power / len(x))
    return bool(abs(gain - 1) <= GAIN * slack and np.sqrt(np.mean(gap**2)) <= RESIDUE * slack * size)


def group_repeats(sweeps: Sequence[Sweep]) -> tuple[Stimulus, ...]:
    """Group the sweeps with the same current, in order of first appearance."""
    groups: list[list[Sweep]] = []
    for sweep in sweeps:
        home = next((group for group in groups if _belongs_to(sweep, group[0])), None)
        if home is None:
            groups.append([sweep])
        else:
            home.append(sweep)
    return tuple(_make_stimulus(group) for group in groups)


def _belongs_to(sweep: Sweep, first: Sweep) -> bool:
    return abs(sweep.dt - first.dt) < 1e-9 and is_same_current(first.current, sweep.current)


def _make_stimulus(group: list[Sweep]) -> Stimulus:
    longest = max(sweep.steps for sweep in group)
    total, count = np.zeros(longest), np.zeros(longest)
    for sweep in group:
        total[: sweep.steps] += sweep.current
        count[: sweep.steps] += 1
    return Stimulus(total / count, group[0].dt, tuple(group), group[0].stimulus)
