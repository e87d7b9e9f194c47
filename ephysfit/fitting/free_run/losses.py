"""Losses of free-running stages: declared records that compare model runs with one recorded train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ephysfit.arrays import Array, Float64, Mask, Train, Trains
from ephysfit.fitting.free_run.sweep_runs import SweepRuns, find_step
from ephysfit.metrics.coincidence import gamma, pair_weights
from ephysfit.metrics.trains import PackedTrains, pack_trains
from ephysfit.metrics.van_rossum import van_rossum


class Loss:
    """How far the runs of a model are from one recorded train."""

    def __call__(self, recorded: Train, runs: Trains, duration: float) -> float:
        """Loss of these runs (ms) of a sweep of this duration (ms)."""
        raise NotImplementedError(f"{type(self).__name__} is a loss without __call__(self, recorded, runs, duration)")

    def compare(
        self, recorded: PackedTrains, runs: SweepRuns, durations: Float64[Array, " sweep"]
    ) -> Float64[Array, "cell sweep"]:
        """Loss of every cell on every sweep, of which `recorded` holds a train and `durations` the length, ms."""
        trains, (times, starts) = runs.trains(), recorded
        return np.array(
            [
                [self(times[starts[j] : starts[j + 1]], mine, float(durations[j])) for j, mine in enumerate(cell)]
                for cell in trains
            ]
        )


class PairLoss(Loss):
    """A loss that is a function of pair counts and numbers of spikes: of all cells and sweeps at once."""

    kernel: ClassVar[str]

    @property
    def windows(self) -> tuple[float, ...]:
        """Half-widths of the coincidence windows that the loss counts in, ms."""
        raise NotImplementedError(f"{type(self).__name__} is a pair loss without windows")

    def weigh(self, n_dm: Array, n_mm: Array, n_m: Array, n_d: Array) -> Array:
        """Loss from the weights of pairs, (window, ...), and the mean number of spikes per run and of the cell."""
        raise NotImplementedError(f"{type(self).__name__} is a pair loss without weigh(self, n_dm, n_mm, n_m, n_d)")

    def __call__(self, recorded: Train, runs: Trains, duration: float) -> float:
        one = SweepRuns((0,), (1, 1, len(runs)), *pack_trains(runs))
        return float(self.compare(pack_trains([recorded]), one, np.array([duration]))[0, 0])

    def compare(
        self, recorded: PackedTrains, runs: SweepRuns, durations: Float64[Array, " sweep"]
    ) -> Float64[Array, "cell sweep"]:
        if type(self).__call__ is not PairLoss.__call__:  # a loss of one's own, of one train at a time
            return super().compare(recorded, runs, durations)
        cells, sweeps, each = runs.shape
        n_dm, n_mm = pair_weights(recorded, (runs.times, runs.starts), each, self.windows, self.kernel)
        wide = len(self.windows), cells, sweeps
        n_m, n_d = runs.counts.sum(-1) / each, np.diff(recorded[1]).astype(np.float64)
        return self.weigh(n_dm.reshape(wide), n_mm.reshape(wide), n_m, n_d)


@dataclass(frozen=True)
class Coincidence(PairLoss):
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

    kernel: ClassVar[str] = "kistler"
    window: float = 4.0
    reliability: float = 0.75
    rate: float = 0.6

    @property
    def windows(self) -> tuple[float, ...]:
        return (self.window,)

    def weigh(self, n_dm: Array, n_mm: Array, n_m: Array, n_d: Array) -> Array:
        total = self.reliability * n_d + n_mm[0]
        missed = 1.0 - 2.0 * n_dm[0] / np.where(total > 0, total, np.inf)
        return missed + self.rate * _log_ratio(n_m, n_d) ** 2

    def slopes(self, n_dm: float, n_mm: float, n_m: float, n_d: float) -> tuple[float, float, float]:
        """Derivatives with respect to n_dm, n_mm and the mean number of spikes per run."""
        total = max(self.reliability * n_d + n_mm, 1e-9)
        by_count = 2.0 * self.rate * float(_log_ratio(n_m, n_d)) / (n_m + 0.5)
        return -2.0 / total, 2.0 * n_dm / total**2, by_count


@dataclass(frozen=True)
class Gamma(Loss):
    """1 - the mean coincidence factor of the runs with the recorded train (Kistler 1997): for noise-free runs.

    Parameters
    ----------
    window : float
        Half width, ms.
    """

    window: float = 4.0

    def __call__(self, recorded: Train, runs: Trains, duration: float) -> float:
        value = gamma([recorded], list(runs), duration, window=self.window)
        return 1.0 - value if np.isfinite(value) else 2.0


@dataclass(frozen=True)
class KernelScore(PairLoss):
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

    kernel: ClassVar[str] = "rectangular"
    windows: tuple[float, ...] = (4.0, 16.0)
    rate: float = 0.3

    def weigh(self, n_dm: Array, n_mm: Array, n_m: Array, n_d: Array) -> Array:
        score = 1.0 + (n_mm - 2.0 * n_dm).sum(0) / len(self.windows) / np.maximum(n_d, 1.0)
        return score + self.rate * _log_ratio(n_m, n_d) ** 2

    def slopes(self, n_dm: float, n_mm: float, n_m: float, n_d: float) -> tuple[float, float, float]:
        """Derivatives with respect to n_dm and n_mm (of one window) and the mean number of spikes per run."""
        each = len(self.windows) * max(n_d, 1.0)
        return -2.0 / each, 1.0 / each, 2.0 * self.rate * float(_log_ratio(n_m, n_d)) / (n_m + 0.5)


@dataclass(frozen=True)
class VanRossum(Loss):
    """Mean van Rossum distance between the recorded train and the runs, relative to that of an empty train.

    Where the cell was silent it is relative to the distance of one spike from none.

    Parameters
    ----------
    tau : float
        Time constant of the exponential kernel, ms.
    """

    tau: float = 10.0

    def __call__(self, recorded: Train, runs: Trains, duration: float) -> float:
        reference = recorded if len(recorded) else np.array([duration / 2])
        silence = van_rossum([reference], [np.empty(0)], duration, tau=self.tau)
        return float(np.mean([van_rossum([recorded], [r], duration, tau=self.tau) for r in runs])) / silence


def _log_ratio(model: Any, recorded: Any) -> Any:
    """Logarithm of the ratio of two numbers of spikes, finite for none."""
    return np.log((model + 0.5) / (recorded + 0.5))


def select_spikes_in(times: Train, mask: Mask, dt: float) -> Train:
    """The spikes of a train that fall on steps where the mask is set."""
    return times[mask[find_step(times, len(mask), dt)]]
