"""Profile likelihood: how far one parameter can go, all others following, before the data object."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import sqrt

import numpy as np
import scipy  # loads its parts when they are first used

from ephysfit.arrays import Array
from ephysfit.fitting.uncertainty.likelihood_surface import Peak, Surface, invert_information

#: free coordinates beyond which a value counts as on its bound (a share of 2e-3 of the range)
EDGE = 6.2
#: how exactly the signed root of the drop is met, in standard errors
EXACT = 0.03
#: most points a side, steps of the others at each, and the longest move between two, in free coordinates
TRIES, STEPS, LONGEST = 14, 30, 3.0


@dataclass(frozen=True)
class Side:
    """One end of a profile interval: the coordinate, and whether the parameter's bound came first."""

    z: float
    at_bound: bool


def compute_profile(
    surface: Surface,
    peaks: tuple[Peak, ...],
    best: float,
    level: float,
    names: tuple[str, ...],
    report: Callable[[float], None],
    workers: int,
) -> dict[str, tuple[Side, Side]]:
    """Ends of the profile interval of each name, over all refractory periods."""
    limit = sqrt(float(scipy.special.chdtri(1, 1 - level)))
    index = {n: k for k, n in enumerate(surface.free.names)}
    done = [0]

    def one(name: str) -> tuple[str, tuple[Side, Side]]:
        ends = [_find_ends(surface, p, index[name], limit, max(best - p.value, 0.0)) for p in peaks]
        done[0] += 1
        report(done[0] / len(names))
        known = [e for e in ends if e is not None]
        return name, (min((e[0] for e in known), key=lambda s: s.z), max((e[1] for e in known), key=lambda s: s.z))

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        return dict(pool.map(one, names))


def _find_ends(surface: Surface, peak: Peak, k: int, limit: float, behind: float) -> tuple[Side, Side] | None:
    """Both ends at one refractory period, which is `behind` the best by so many nats; None where it is too far."""
    if sqrt(2 * behind) >= limit:
        return None
    target = sqrt(limit**2 - 2 * behind)
    return _find_end(surface, peak, k, target, -1), _find_end(surface, peak, k, target, 1)


def _find_end(surface: Surface, peak: Peak, k: int, target: float, way: int) -> Side:
    """Walk out along one coordinate, the others following, until the root of twice the drop meets its target."""
    q = peak.q.copy()
    q[k] = float(np.clip(float(q[k]), -EDGE, EDGE))  # on a bound all coordinates beyond are one value
    edge = way * EDGE
    spread = sqrt(max(float(peak.covariance[k, k]), 0.0))
    step = target / 3 * (spread if spread > 0 else 1.0)
    z, root = float(q[k]), 0.0
    for _ in range(TRIES):
        ahead = z + way * min(max(step, 1e-3), LONGEST)
        ahead = edge if way * (ahead - edge) > 0 else ahead
        there, found = _signed_root(surface, peak, k, ahead, q)
        if found >= target:
            return Side(_interpolate_end(surface, peak, k, target, (z, root, q), (ahead, found)), at_bound=False)
        if ahead == edge:
            return Side(edge, at_bound=True)
        gained = max(found - root, 1e-3)
        step = abs(ahead - z) * float(np.clip((target - found) / gained, 0.5, 2.5))
        z, root, q = ahead, found, there
    return Side(z, at_bound=False)


def _interpolate_end(
    surface: Surface, peak: Peak, k: int, target: float, inner: tuple[float, float, Array],
    outer: tuple[float, float],
) -> float:  # fmt: skip
    """The coordinate between one too near and one too far where the root meets its target."""
    (z, root, q), (far, far_root) = inner, outer
    for _ in range(3):
        share = (target - root) / max(far_root - root, 1e-9)
        middle = z + float(np.clip(share, 0.05, 0.95)) * (far - z)
        if far_root - target < EXACT:
            return far
        there, found = _signed_root(surface, peak, k, middle, q)
        if abs(found - target) < EXACT:
            return middle
        if found < target:
            z, root, q = middle, found, there
        else:
            far, far_root = middle, found
    return z + float(np.clip((target - root) / max(far_root - root, 1e-9), 0.0, 1.0)) * (far - z)


def _signed_root(surface: Surface, peak: Peak, k: int, z: float, q: Array) -> tuple[Array, float]:
    """Root of twice the drop with one coordinate held at `z`, the others on top; they begin where they would follow."""
    held = np.zeros(len(q), dtype=bool)
    held[k] = True
    begin = q.copy()
    begin[k] = z
    following = begin + (z - float(q[k])) * _following_direction(surface, peak, k, q)
    values = [peak.target.value(b) for b in (begin, following)]
    found = surface.climb(peak.target, following if values[1] > values[0] else begin, steps=STEPS, fixed=held)
    return found.z, sqrt(max(2 * (peak.value - found.value), 0.0))


def _following_direction(surface: Surface, peak: Peak, k: int, q: Array) -> Array:
    """How the other coordinates follow one that is moved: by the information where they are."""
    fisher = peak.target.information(q).fisher
    fixed = surface.fixed.copy()
    fixed[k] = True
    moves = -invert_information(fisher, fixed) @ fisher[:, k]
    moves[fixed] = 0.0
    return moves
