"""Profile likelihood: how far one parameter can go, all others following, before the data object."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch

from ephysfit.fitting.surface import Peak, Surface

#: free coordinates beyond which a value counts as on its bound (a share of 2e-3 of the range)
EDGE = 6.2
#: how exactly the signed root of the drop is met, in standard errors
EXACT = 0.03
#: most evaluations a side
TRIES = 8


@dataclass(frozen=True)
class Side:
    """One end of a profile interval: the coordinate, and whether the parameter's bound came first."""

    z: float
    at_bound: bool


def profile(
    surface: Surface,
    peaks: tuple[Peak, ...],
    best: float,
    level: float,
    names: tuple[str, ...],
    report: Callable[[float], None],
    workers: int,
) -> dict[str, tuple[Side, Side]]:
    """Ends of the profile interval of each name, over all refractory periods."""
    from scipy.stats import chi2

    limit = sqrt(float(chi2.ppf(level, 1)))
    index = {n: k for k, n in enumerate(surface.free.names)}
    done = [0]

    def one(name: str) -> tuple[str, tuple[Side, Side]]:
        ends = [_ends(surface, p, index[name], limit, max(best - p.value, 0.0)) for p in peaks]
        done[0] += 1
        report(done[0] / len(names))
        known = [e for e in ends if e is not None]
        return name, (min((e[0] for e in known), key=lambda s: s.z), max((e[1] for e in known), key=lambda s: s.z))

    with ThreadPoolExecutor(max(workers, 1)) as pool:
        return dict(pool.map(one, names))


def _ends(surface: Surface, peak: Peak, k: int, limit: float, behind: float) -> tuple[Side, Side] | None:
    """Both ends at one refractory period, which is `behind` the best by so many nats; None where it is too far."""
    if sqrt(2 * behind) >= limit:
        return None
    target = sqrt(limit**2 - 2 * behind)
    return _side(surface, peak, k, target, -1), _side(surface, peak, k, target, 1)


def _side(surface: Surface, peak: Peak, k: int, target: float, way: int) -> Side:
    """Walk out along one coordinate until the root of twice the drop meets its target (secant, kept in a bracket)."""
    z0 = float(peak.q[k])
    edge = max(way * (way * EDGE - z0), 1e-3)  # distance to the bound
    spread = sqrt(max(float(peak.covariance[k, k]), 0.0))
    near, near_root, far, far_root = 0.0, 0.0, np.inf, np.inf
    distance, q = min(target * spread if spread > 0 else edge, edge), peak.q
    for _ in range(TRIES):
        q, root = _root(surface, peak, k, z0 + way * distance, q)
        if abs(root - target) < EXACT:
            break
        if root < target:
            if distance >= edge:
                return Side(z0 + way * edge, at_bound=True)
            near, near_root = distance, root
        else:
            far, far_root = distance, root
        distance = min(_next(near, near_root, far, far_root, target), edge)
    return Side(z0 + way * distance, at_bound=False)


def _next(near: float, near_root: float, far: float, far_root: float, target: float) -> float:
    """The distance to try next: by the line through what is known, at most three times farther than before."""
    if not np.isfinite(far):
        return near * float(np.clip(target / max(near_root, 1e-3), 1.2, 3.0))
    line = near + (target - near_root) / max(far_root - near_root, 1e-9) * (far - near)
    return float(np.clip(line, near + 0.1 * (far - near), far - 0.1 * (far - near)))


def _root(surface: Surface, peak: Peak, k: int, z: float, q: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Root of twice the drop with one coordinate held at `z`, the others on top; they begin where they would follow."""
    held = np.zeros(len(q), dtype=bool)
    held[k] = True
    begin = q.clone()
    n = len(peak.covariance)
    if peak.covariance[k, k] > 0:
        begin[:n] += (z - float(q[k])) * torch.from_numpy(peak.covariance[:, k] / peak.covariance[k, k])
    begin[k] = z
    if not np.isfinite(peak.target.value(begin)):
        begin = q.clone()
        begin[k] = z
    found = surface.climb(peak.target, begin, steps=25, fixed=held)
    return found.z, sqrt(max(2 * (peak.value - found.value), 0.0))
