"""A causal readout of many noisy runs: a spike where enough of them have just had one."""

from __future__ import annotations

import numpy as np

from ephysfit.arrays import Integers, Train, TrainsLike
from ephysfit.compiling import compiled
from ephysfit.errors import ScoreError
from ephysfit.metrics.trains import EDGE, check_positive, check_trains, pack_trains

#: how late a run may follow a spike of the vote without counting for the next, ms
CLAIM = 4.0


@compiled()
def _count_votes(times: Train, owner: Integers, runs: int, needed: int, memory: float, claim: float) -> Train:
    """Spikes of the vote; `times` are those of all runs, sorted, owner[k] is the run of spike k."""
    open_since = np.full(runs, -np.inf)  # the last spike of each run that no spike of the vote has claimed
    claimed_until = np.full(runs, -np.inf)
    out = np.empty(times.size)
    n, first, standing = 0, 0, 0
    for k in range(times.size):
        t, r = times[k], owner[k]
        while times[first] < t - memory:  # spikes grow too old to count
            if open_since[owner[first]] == times[first]:
                open_since[owner[first]] = -np.inf
                standing -= 1
            first += 1
        if t <= claimed_until[r]:  # late for a spike of the vote that went out already
            claimed_until[r] = -np.inf
            continue
        if open_since[r] == -np.inf:
            standing += 1
        open_since[r] = t
        if standing >= needed:
            out[n] = t
            n += 1
            for j in range(runs):
                if open_since[j] == -np.inf:
                    claimed_until[j] = t + claim
                else:
                    claimed_until[j] = -np.inf
                open_since[j] = -np.inf
            standing = 0
    return out[:n]


def vote(runs: TrainsLike, memory: float, share: float, claim: float = CLAIM) -> Train:
    """The spikes on which enough runs agree as they happen.

    The runs go forward in parallel. A spike is emitted as soon as `share` of them have had a spike within the last
    `memory` ms that no earlier spike of the vote has claimed. It claims those, and of every other run the next spike
    within `claim` ms, which comes too late to count. Only the past is read: what comes out can drive a network, one
    time step later at most.

    Parameters
    ----------
    runs : sequence of array_like, (spike,), sorted, ms
    memory : float
        How long the spike of a run counts, ms.
    share : float
        Share of the runs that must agree, above 0 and at most 1.
    claim : float
        How late a run may follow a spike of the vote without counting for the next, ms.

    Returns
    -------
    (spike,) array, ms, sorted.

    Raises
    ------
    ScoreError
        If `share` or a time is out of range.

    Examples
    --------
    >>> vote([[100.0, 300.0], [101.0, 303.0], [99.0, 302.0, 700.0]], memory=5.0, share=0.6).tolist()
    [100.0, 302.0]
    """
    return Ballot(runs).count(memory, share, claim)


class Ballot:
    """Noisy runs packed once, for votes by several rules.

    Parameters
    ----------
    runs : sequence of array_like, (spike,), sorted, ms
    """

    def __init__(self, runs: TrainsLike) -> None:
        times, starts = pack_trains(check_trains(runs, "runs"))
        counts = np.diff(starts)
        order = np.argsort(times, kind="stable")
        self._times, self._runs = times[order], counts.size
        self._owner = np.repeat(np.arange(counts.size), counts)[order]

    def count(self, memory: float, share: float, claim: float = CLAIM) -> Train:
        """The spikes of the vote; see `vote`."""
        if not 0 < share <= 1:
            raise ScoreError(f"share = {share}: the share of the runs that must agree lies above 0 and is at most 1")
        needed = max(int(np.ceil(share * self._runs - EDGE)), 1)
        window, late = check_positive(memory, "memory") + EDGE, check_positive(claim, "claim") + EDGE
        return _count_votes(self._times, self._owner, self._runs, needed, window, late)
