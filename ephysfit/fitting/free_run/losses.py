"""Losses of free-running stages: declared records that compare model runs with one recorded train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Mask, Train
from ephysfit.metrics.coincidence import gamma, mean_weight, pair_weights, self_weight
from ephysfit.metrics.van_rossum import van_rossum


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
        n_dm = float(mean_weight([recorded], runs, self.window)[0])
        n_mm = self_weight(runs, self.window)
        total = self.reliability * len(recorded) + n_mm
        missed = 1.0 - 2.0 * n_dm / total if total > 0 else 1.0
        return missed + self.rate * _log_ratio(sum(map(len, runs)) / len(runs), len(recorded)) ** 2

    @property
    def windows(self) -> tuple[float, ...]:
        """Half-widths of the coincidence windows that the loss counts in, ms."""
        return (self.window,)

    def slopes(self, n_dm: float, n_mm: float, n_m: float, n_d: float) -> tuple[float, float, float]:
        """Derivatives with respect to n_dm, n_mm and the mean number of spikes per run."""
        total = max(self.reliability * n_d + n_mm, 1e-9)
        by_count = 2.0 * self.rate * _log_ratio(n_m, n_d) / (n_m + 0.5)
        return -2.0 / total, 2.0 * n_dm / total**2, by_count


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


@dataclass(frozen=True)
class KernelScore:
    r"""Squared distance of the expected smoothed train of the model from the recorded one: a proper score.

    .. math:: S = \frac{1}{W} \sum_w \frac{n_{mm}(w) - 2 n_{dm}(w) + N_d}{N_d}

    with n_xy the mean weight of pairs of spikes of two *different* trains, 1 - abs(t) / 2w for a pair t apart: what is
    left when both trains are smoothed with a box of ±w, compared by their squared distance, and freed of the noise of
    the runs. In the mean over recordings it is lowest where the model's expected train is the cell's (a kernel score;
    Gneiting & Raftery 2007, J Am Stat Assoc 102:359). The ratio Md* is not such a score: a model that follows the cell
    poorly raises its Md* by spikes in excess, until its n_mm is the cell's n_dd.

    Parameters
    ----------
    windows : tuple of float
        Half widths, ms.
    rate : float
        Cost of a wrong rate beside the score: times the squared logarithm of (model spikes / recorded spikes).
    """

    windows: tuple[float, ...] = (4.0, 16.0)
    rate: float = 0.3

    def __call__(self, recorded: Train, runs: Sequence[Train], duration: float) -> float:
        n_dm, n_mm = pair_weights(recorded, runs, self.windows, "rectangular")
        found = [mm - 2.0 * dm for dm, mm in zip(n_dm.tolist(), n_mm.tolist(), strict=True)]
        score = 1.0 + sum(found) / len(found) / max(len(recorded), 1)
        return score + self.rate * _log_ratio(sum(map(len, runs)) / len(runs), len(recorded)) ** 2

    def slopes(self, n_dm: float, n_mm: float, n_m: float, n_d: float) -> tuple[float, float, float]:
        """Derivatives with respect to n_dm and n_mm (of one window) and the mean number of spikes per run."""
        each = len(self.windows) * max(n_d, 1.0)
        return -2.0 / each, 1.0 / each, 2.0 * self.rate * _log_ratio(n_m, n_d) / (n_m + 0.5)


@dataclass(frozen=True)
class VanRossum:
    """Mean van Rossum distance between the recorded train and the runs, relative to that of an empty train.

    Where the cell was silent it is relative to the distance of one spike from none.

    Parameters
    ----------
    tau : float
        Time constant of the exponential kernel, ms.
    """

    tau: float = 10.0

    def __call__(self, recorded: Train, runs: Sequence[Train], duration: float) -> float:
        reference = recorded if len(recorded) else np.array([duration / 2])
        silence = van_rossum([reference], [np.empty(0)], duration, tau=self.tau)
        return float(np.mean([van_rossum([recorded], [r], duration, tau=self.tau) for r in runs])) / silence


def _log_ratio(model: float, recorded: float) -> float:
    """Logarithm of the ratio of two numbers of spikes, finite for none."""
    return float(np.log((model + 0.5) / (recorded + 0.5)))


Loss = Coincidence | Gamma | KernelScore | VanRossum


def select_spikes_in(times: Train, mask: Mask, dt: float) -> Train:
    """The spikes of a train that fall on steps where the mask is set."""
    steps = np.minimum((times / dt).astype(np.int64), len(mask) - 1)
    return times[mask[steps]]
