"""Block jackknife: where the top of the likelihood goes when one part of the recording after another is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ephysfit.arrays import Array, Mask
from ephysfit.fitting.uncertainty.bootstrap import cut_blocks
from ephysfit.fitting.uncertainty.likelihood_surface import Peak, Surface, invert_information
from ephysfit.metrics.weights import jackknife_variance

#: parts that are left out, steps of Fisher scoring without each, and longest step of a coordinate
PARTS, STEPS, LONGEST = 30, 2, 1.0


def leave_parts_out(surface: Surface, peak: Peak, held: Mask) -> Array:
    """Free coordinates after two steps of scoring without each part, (part, parameter); those that are `held` stay.

    Every sweep is replayed whole, as in the block bootstrap, so that the history of the cell stays what it was. The
    prior weighs what it weighs on all of the data.
    """
    time = sum(np.count_nonzero(s.use) for s in surface.sweeps) * surface.problem.dt
    pieces = cut_blocks(surface, time / PARTS)
    parts = np.array_split(np.arange(len(pieces)), min(PARTS, len(pieces)))
    return np.stack([_score_without(surface, peak, held, [pieces[k] for k in part]) for part in parts])


def compute_jackknife_spread(values: Array) -> Array:
    """Standard errors from values without each part, (part, quantity).

    Examples
    --------
    >>> compute_jackknife_spread(np.array([[1.5], [2.0], [2.5]])).round(3)   # means of 1, 2, 3 without one of them
    array([0.577])
    """
    return np.sqrt([jackknife_variance(column) for column in values.T])


def _score_without(surface: Surface, peak: Peak, held: Mask, left: list[tuple[int, int, int]]) -> Array:
    use = [s.use.copy() for s in surface.sweeps]
    for sweep, first, last in left:
        use[sweep][first:last] = 0
    rest = [replace(s, use=u) for s, u in zip(surface.sweeps, use, strict=True) if u.any()]
    target, q = surface.target(peak.neuron, rest), peak.q
    for _ in range(STEPS):
        found = target.information(q)
        step = invert_information(found.fisher, held) @ found.gradient
        q = q + step / max(1.0, float(np.abs(step).max()) / LONGEST)
    return q[: len(surface.free.names)]
