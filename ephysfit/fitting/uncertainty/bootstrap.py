"""Block bootstrap: stretches of the training data drawn again with replacement, and the fit climbed again."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from ephysfit.fitting.uncertainty.likelihood_surface import Peak, Surface, find_values_at
from ephysfit.simulation.replay import ReplaySweep


def bootstrap_parameters(
    surface: Surface,
    peaks: tuple[Peak, ...],
    draws: int,
    block: float,
    seed: int,
    report: Callable[[float], None],
    workers: int,
) -> list[dict[str, float]]:
    """Parameters of each draw.

    A block keeps the spikes before it: every sweep is replayed whole, and only how often a block counts is drawn. So
    the history of the cell stays what it was, and blocks need only be long against what a spike leaves behind.

    Parameters
    ----------
    block : float
        Length of a block, ms.
    """
    pieces = cut_blocks(surface, block)
    done = [0]

    def one(k: int) -> dict[str, float]:
        rng = np.random.default_rng([seed, 4, k])
        sweeps = _resample_sweeps(surface.sweeps, pieces, rng)
        found = max((_climb_resampled(surface, p, sweeps) for p in peaks), key=lambda f: f[0])
        done[0] += 1
        report(done[0] / draws)
        return found[1]

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        return list(pool.map(one, range(draws)))


def count_blocks(surface: Surface, block: float) -> int:
    """How many blocks of this length the training data hold."""
    return len(cut_blocks(surface, block))


def _climb_resampled(surface: Surface, peak: Peak, sweeps: list[ReplaySweep]) -> tuple[float, dict[str, float]]:
    found = surface.climb(surface.target(peak.neuron, sweeps), peak.q, steps=25)
    return found.value, find_values_at(surface, peak, found.z)


def cut_blocks(surface: Surface, block: float) -> list[tuple[int, int, int]]:
    """Blocks as (sweep, first step, step after the last) of what counts, none shorter than half a block."""
    length = max(round(block / surface.problem.dt), 1)
    out = []
    for k, sweep in enumerate(surface.sweeps):
        where = np.flatnonzero(sweep.use)
        count = max(round(len(where) / length), 1) if len(where) else 0
        out += [(k, int(part[0]), int(part[-1]) + 1) for part in np.array_split(where, count)] if count else []
    return out


def _resample_sweeps(
    sweeps: list[ReplaySweep], pieces: list[tuple[int, int, int]], rng: np.random.Generator
) -> list[ReplaySweep]:
    """The sweeps with each block counted as often as it was drawn."""
    use = [np.zeros_like(s.use) for s in sweeps]
    for k in rng.integers(len(pieces), size=len(pieces)):
        sweep, first, last = pieces[k]
        use[sweep][first:last] += sweeps[sweep].use[first:last]
    return [replace(s, use=u) for s, u in zip(sweeps, use, strict=True) if u.any()]
