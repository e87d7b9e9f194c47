"""Stationarity of a cell over its repeats: lost repeats, and trends of firing rate and spike timing.

Repeats of one stimulus are exchangeable where the cell was stationary, whatever its statistics, so their order is
permuted many times: a trend that hardly any other order shows is a drift. Few repeats have few orders, so spike counts
are also compared with a spread wider than that of Poisson counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import factorial, prod

import numpy as np
import scipy  # loads its parts when they are first used

from ephysfit.arrays import Array, Float64, Trains
from ephysfit.metrics.coincidence import gamma_table
from ephysfit.metrics.matching import Scored

#: a repeat is dead where it holds at most this part of the spikes of the middle one, and that one holds this many
DEAD, ENOUGH = 0.05, 16
#: p value below which a trend is reported, and how many permutations are drawn
RARE, ORDERS = 0.004, 999
#: change of the rate from the first to the last third of the repeats, as a part of its mean, and of Γ between repeats
#: that lie near and far from each other, that matter
CHANGE, LOSS = 0.2, 0.1
#: orders from which drawing them says something; standard deviations of a trend in counts of this Fano factor
DRAWABLE, FAR, FANO = 720, 3.0, 1.5
#: a repeat is weak where it holds at most this part of the middle one, so many standard deviations below it, of so many
#: repeats at least
WEAK, APART, FEWEST = 0.5, 3.5, 5
#: mean number of spikes of the other repeats from which silent ones are dead
FEW = 8.0
#: Fano factor of the counts of a cell that fires in bursts of three
BURSTY = 3.0
#: repeats of a stimulus whose agreement is looked at, spread over all
MOST = 40


def warn_of_drift(stimuli: Sequence[Scored], window: float) -> Iterator[str]:
    """Warn of repeats from a cell that was lost or drifted, with the numbers; `window` of Γ in ms."""
    alive = []
    for stimulus in stimuli:
        dead = find_dead_repeats(stimulus.data)
        if dead:
            yield _describe_dead_repeats(stimulus, dead)
        weak = find_weak_repeats(stimulus.data, dead)
        if weak:
            yield _describe_weak_repeats(stimulus, weak)
        alive.append([t for k, t in enumerate(stimulus.data) if k not in dead])
    sentences = [_describe_rate_drift(stimuli, alive), _describe_timing_drift(stimuli, alive, window)]
    yield from filter(None, sentences)


def find_dead_repeats(trains: Trains) -> list[int]:
    """Positions of the repeats that (nearly) lack spikes where the others hold many.

    Where the others hold few, they are dead if chance hardly leaves so many of them silent.
    """
    sizes = np.array([t.size for t in trains])
    if len(sizes) < 2:
        return []
    middle = float(np.median(sizes)) if len(sizes) > 2 else float(sizes.max())
    found = np.flatnonzero(sizes <= DEAD * middle)
    if not found.size or middle >= ENOUGH:
        return found.tolist() if middle >= ENOUGH else []
    rest = np.delete(sizes, found).astype(float)
    if rest.size < 2 or rest.mean() < FEW or rest.min() < WEAK * np.median(rest):
        return []  # silence is then the end of a spread of counts, not apart from it
    fano = max(BURSTY, float(rest.var(ddof=1) / rest.mean()))
    silent = fano ** (-rest.mean() / (fano - 1.0))  # of negative binomial counts with this mean and Fano factor
    return found.tolist() if scipy.special.bdtrc(found.size - 1, len(sizes), silent) < RARE else []


def find_weak_repeats(trains: Trains, dead: list[int]) -> list[int]:
    """Positions of the repeats, beside the dead ones, with far fewer spikes than the others, in whatever order."""
    alive = np.array([k for k in range(len(trains)) if k not in dead], dtype=int)
    if len(alive) < FEWEST:
        return []
    sizes = np.array([trains[k].size for k in alive], float)
    middle = float(np.median(sizes))
    spread = max(np.sqrt(BURSTY * middle), 1.4826 * float(np.median(np.abs(sizes - middle))))
    low = (sizes <= WEAK * middle) & (middle - sizes >= APART * spread) & (middle >= ENOUGH)
    return alive[low].tolist()


def _describe_dead_repeats(stimulus: Scored, dead: list[int]) -> str:
    most = max(stimulus.data[k].size for k in dead)
    rest = np.median([t.size for k, t in enumerate(stimulus.data) if k not in dead])
    shown = ", ".join(str(k + 1) for k in dead[:8]) + (" ..." if len(dead) > 8 else "")
    held = "no spike" if most == 0 else f"{most} spike{'s' * (most > 1)} at most"
    return (
        f"{stimulus.name}: {len(dead)} of {len(stimulus.data)} repeats hold {held} where the others hold {rest:.0f} "
        f"(number {shown}): the cell was lost or silenced there, and R, ceilings and scores count them; leave them out"
    )


def _describe_weak_repeats(stimulus: Scored, weak: list[int]) -> str:
    shown = ", ".join(f"number {k + 1}: {stimulus.data[k].size}" for k in weak[:8]) + (" ..." if len(weak) > 8 else "")
    rest = np.median([t.size for k, t in enumerate(stimulus.data) if k not in weak])
    return (
        f"{stimulus.name}: {len(weak)} of {len(stimulus.data)} repeats hold far fewer spikes than the usual {rest:.0f} "
        f"({shown}): the cell was not the same there, R is too low and scores relative to it too high; leave them out"
    )


def means_of_outer_thirds(values: Float64[Array, " repeat"]) -> tuple[float, float]:
    """Means of the first and of the last third, each of at least one value."""
    n = max(len(values) // 3, 1)
    return float(values[:n].mean()), float(values[-n:].mean())


def _describe_rate_drift(stimuli: Sequence[Scored], alive: Sequence[Trains]) -> str:
    """A sentence where the rate rises or falls over the repeats of all stimuli; "" where it does not."""
    used = [(s, np.array([t.size for t in trains], float)) for s, trains in zip(stimuli, alive, strict=True)]
    used = [(s, n) for s, n in used if len(n) > 1 and n.sum()]
    if not used or sum(n.sum() for _, n in used) < ENOUGH:
        return ""
    places: list[Array] = [np.arange(len(n), dtype=float) - (len(n) - 1) / 2 for _, n in used]
    found = sum(float(p @ n) for p, (_, n) in zip(places, used, strict=True))
    spread = float(np.sqrt(sum(float(p @ p) * _count_variance(p, n) for p, (_, n) in zip(places, used, strict=True))))
    rare, evidence = bool(abs(found) > FAR * spread), f"{abs(found) / spread:.1f} standard deviations of these counts"
    if not rare and prod(factorial(min(len(n), 20)) for _, n in used) >= DRAWABLE:
        rng = np.random.default_rng(0)
        drawn = sum(rng.permuted(np.tile(n, (ORDERS, 1)), axis=1) @ p for p, (_, n) in zip(places, used, strict=True))
        chance = (1 + np.count_nonzero(np.abs(drawn) >= abs(found) * (1 - 1e-12))) / (1 + ORDERS)
        rare, evidence = bool(chance < RARE), f"1 of {round(1 / chance)} orders of the repeats shows such a trend"
    time = sum(s.duration for s, _ in used) / 1e3
    ends = [means_of_outer_thirds(n) for _, n in used]
    first, last = (sum(e[k] for e in ends) / time for k in (0, 1))
    mean = sum(float(n.mean()) for _, n in used) / time
    if not rare or abs(last - first) < CHANGE * mean:
        return ""
    return (
        f"the cell drifted over its repeats: {first:.2f} Hz in the first third of them, {last:.2f} Hz in the last "
        f"({evidence}): R and scores are of a cell that changed; score repeats that are alike"
    )


def _count_variance(places: Float64[Array, " repeat"], counts: Float64[Array, " repeat"]) -> float:
    """Variance of a spike count: FANO times that of Poisson counts, or that about a line if larger."""
    slope = float(places @ counts) / float(places @ places)
    rest = counts - counts.mean() - slope * places
    left = float(rest @ rest) / (len(counts) - 2) if len(counts) > 2 else 0.0
    return max(FANO * float(counts.mean()), left)


def _describe_timing_drift(stimuli: Sequence[Scored], alive: Sequence[Trains], window: float) -> str:
    """A sentence where repeats agree less the further apart they were recorded; "" where they do not."""
    tables, lags = [], []
    for s, trains in zip(stimuli, alive, strict=True):
        chosen = [trains[k] for k in np.unique(np.linspace(0, len(trains) - 1, MOST).round().astype(int))]
        if len(chosen) < 2:
            continue
        table = gamma_table(chosen, chosen, s.duration, window)
        tables.append(np.nan_to_num(0.5 * (table + table.T)))
        lags.append(np.abs(np.subtract.outer(np.arange(len(chosen)), np.arange(len(chosen)))))
    if prod(factorial(min(len(t), 20)) for t in tables) < 2 * DRAWABLE:  # an order and its reverse are one here
        return ""
    pairs = [(t[g > 0], g[g > 0] / g.max()) for t, g in zip(tables, lags, strict=True)]
    gamma, apart = (np.concatenate([p[k] for p in pairs]) for k in (0, 1))
    near, far = gamma[apart <= 1 / 3], gamma[apart >= 2 / 3]
    if not (near.size and far.size) or near.mean() - far.mean() < LOSS:
        return ""
    found = sum(float((t * g).sum()) for t, g in zip(tables, lags, strict=True))
    rng = np.random.default_rng(0)
    below = 0
    for _ in range(ORDERS):
        orders = [rng.permutation(len(t)) for t in tables]
        drawn = sum(float((t[np.ix_(o, o)] * g).sum()) for t, g, o in zip(tables, lags, orders, strict=True))
        below += drawn <= found + 1e-12
    chance = (1 + below) / (1 + ORDERS)
    if chance >= RARE:
        return ""
    return (
        f"the cell's spike times drifted over its repeats: Γ at ±{window:g} ms is {near.mean():.2f} between "
        f"repeats near each other and {far.mean():.2f} between those far apart (1 of {round(1 / chance)} orders "
        "shows such a trend): R and scores are of a cell that changed; score repeats that are alike"
    )
