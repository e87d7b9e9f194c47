"""What a free-running stage lowers: declared records that compare model runs with one recorded train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Train
from ephysfit.metrics.coincidence import gamma, weight_table
from ephysfit.metrics.van_rossum import van_rossum

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Coincidence:
    """1 - Md*: the share of the recorded and of the model's own agreement that they do not have in common.

    Md* = 2 n_dm / (n_dd + n_mm), with n_xy the mean number of spike pairs within +-window of two different trains
    (Naud et al. 2011). A training stimulus is recorded once, so n_dd cannot be counted; it is set to `reliability`
    times the number of recorded spikes, a constant that only sets how much a surplus of spikes costs.

    Parameters
    ----------
    window : float
        Half width, ms.
    reliability : float
        Assumed share of its spikes that the cell would repeat.
    rate : float
        Cost of a wrong rate: times the squared logarithm of (model spikes / recorded spikes).
    """

    window: float = 4.0
    reliability: float = 0.75
    rate: float = 0.6

    def __call__(self, recorded: Train, runs: Sequence[Train], duration: float) -> float:
        found = weight_table([recorded], list(runs), self.window)
        n_dm = float(found.sum()) / len(runs)
        n_mm = _own(runs, self.window)
        total = self.reliability * len(recorded) + n_mm
        ratio = (sum(map(len, runs)) / len(runs) + 0.5) / (len(recorded) + 0.5)
        missed = 1.0 - 2.0 * n_dm / total if total > 0 else 1.0
        return missed + self.rate * float(np.log(ratio)) ** 2


@dataclass(frozen=True)
class Gamma:
    """1 - the mean coincidence factor of the runs with the recorded train (Kistler 1997): for noise-free runs.

    Parameters
    ----------
    window : float
        Half width, ms.
    """

    window: float = 4.0

    def __call__(self, recorded: Train, runs: Sequence[Train], duration: float) -> float:
        value = gamma([recorded], list(runs), duration, window=self.window)
        return 1.0 - value if np.isfinite(value) else 2.0


def _own(runs: Sequence[Train], window: float) -> float:
    """Mean number of coincident spikes of two different runs; one run is counted against itself, bursts included."""
    table = weight_table(list(runs), list(runs), window)
    n = len(runs)
    if n == 1:
        return float(table[0, 0])
    return float((table.sum() - np.trace(table)) / (n * (n - 1)))


@dataclass(frozen=True)
class VanRossum:
    """Mean van Rossum distance between the recorded train and the runs, relative to that of an empty train.

    Parameters
    ----------
    tau : float
        Time constant of the exponential kernel, ms.
    """

    tau: float = 10.0

    def __call__(self, recorded: Train, runs: Sequence[Train], duration: float) -> float:
        silence = van_rossum([recorded], [np.empty(0)], duration, tau=self.tau)
        return float(np.mean([van_rossum([recorded], [r], duration, tau=self.tau) for r in runs])) / max(silence, 1e-9)


Loss = Coincidence | Gamma | VanRossum


def within(times: Train, mask: Mask, dt: float) -> Train:
    """The spikes of a train that fall on steps where the mask is set."""
    steps = np.minimum((times / dt).astype(np.int64), len(mask) - 1)
    return times[mask[steps]]
