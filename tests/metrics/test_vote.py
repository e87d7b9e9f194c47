"""The causal vote: what it emits by hand, that it reads only the past, and that a perfect pool is returned."""

import numpy as np
import pytest

from ephysfit.errors import ScoreError
from ephysfit.metrics.vote import Ballot, vote


def plain_vote(runs, memory, share, claim=4.0):
    """The rule written down step by step, on a grid of .5 ms, as a network would run it."""
    needed = int(np.ceil(share * len(runs) - 1e-9))
    last = [-np.inf] * len(runs)
    until = [-np.inf] * len(runs)
    out = []
    events = sorted((t, r) for r, train in enumerate(runs) for t in train)
    for t, r in events:
        for j, since in enumerate(last):
            if since < t - memory - 1e-6:
                last[j] = -np.inf
        if t <= until[r] + 1e-6:
            until[r] = -np.inf
            continue
        last[r] = t
        if sum(np.isfinite(last)) >= needed:
            out.append(t)
            until = [t + claim if not np.isfinite(since) else -np.inf for since in last]
            last = [-np.inf] * len(runs)
    return out


def draw(rng, runs, rate=20.0, duration=5000.0):
    """Runs that share 70 % of their spikes, each moved by some 2 ms, on a grid of half a millisecond."""
    centres = rng.uniform(0, duration, int(rate * duration / 1000))
    chosen = [centres[rng.random(centres.size) < 0.7] for _ in range(runs)]
    return [np.unique(np.round(2 * np.clip(c + rng.normal(0, 2, c.size), 0, duration)) / 2) for c in chosen]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("memory", "share"), [(3.0, 0.2), (6.0, 0.35), (12.0, 0.6), (8.0, 1.0)])
def test_equals_the_rule_written_down(seed, memory, share):
    runs = draw(np.random.default_rng(seed), 25)
    assert vote(runs, memory, share).tolist() == plain_vote(runs, memory, share)


def test_reads_only_the_past():
    """What comes after a time changes nothing that was emitted before it."""
    runs = draw(np.random.default_rng(3), 40)
    whole = vote(runs, 6.0, 0.3)
    for stop in (700.0, 1900.0, 4100.0):
        early = vote([t[t < stop] for t in runs], 6.0, 0.3)
        assert early.tolist() == whole[whole < stop].tolist()


def test_agreeing_runs_are_returned_as_they_are():
    train = np.arange(10.0, 1000.0, 25.0)
    assert vote([train] * 30, 4.0, 0.5).tolist() == train.tolist()
    assert vote([[]] * 30, 4.0, 0.5).tolist() == []


def test_a_lone_run_is_no_majority_and_late_runs_count_once():
    assert vote([[100.0], [], [], []], 4.0, 0.5).tolist() == []
    # two runs agree at 101; the third follows within 4 ms and does not open the next vote with the fourth
    assert vote([[100.0], [101.0], [103.0], [108.0]], 6.0, 0.5).tolist() == [101.0]


@pytest.mark.parametrize(
    ("memory", "share", "words"),
    [(4.0, 0.0, "above 0"), (4.0, 1.5, "at most 1"), (0.0, 0.5, "memory is 0"), (np.nan, 0.5, "memory is nan")],
)
def test_bad_settings_are_named(memory, share, words):
    with pytest.raises(ScoreError, match=words):
        Ballot([[1.0], [2.0]]).count(memory, share)
