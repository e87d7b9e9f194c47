"""Per stimulus and window, the tables from which every coincidence score and its standard error follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Array, Float64
from ephysfit.metrics.coincidence import count_by_chance, gamma_table, md_of, mean_weight, self_weight, weight_table
from ephysfit.metrics.consensus import consensus
from ephysfit.metrics.matching import Scored
from ephysfit.metrics.reliability import leave_one_out, md_ceiling_of_consensus, own_gammas, take_higher
from ephysfit.metrics.trains import pack_trains
from ephysfit.metrics.van_rossum import van_rossum_table
from ephysfit.metrics.victor_purpura import victor_purpura_table
from ephysfit.metrics.weights import mean_over, mean_over_pairs, ratio

#: runs that enter the pairwise distances, spread over all; they cost repeats x runs x spikes^2
DISTANCE_RUNS = 50


def _mean_over_runs(table: Float64[Array, "repeat run"]) -> Float64[Array, " repeat"]:
    """Mean over the runs; undefined pairs are left out."""
    known = ~np.isnan(table)
    return ratio(np.where(known, table, 0.0).sum(1), known.sum(1).astype(np.float64))


@dataclass(frozen=True, eq=False)
class Coincidences:
    """Coincidences of one stimulus at one window. Weights have axes (..., repeat).

    Attributes
    ----------
    gamma_dm, count_dm : (repeat,) arrays, averaged over runs
    gamma_dd, count_dd : (repeat, repeat) arrays
    count_mm : float, of two different runs (of the run with itself when there is one)
    gamma_top : (repeat,) array, Γ of each repeat with the consensus of the others; empty for one repeat
    md_top : float, Md* of those consensus trains, or of single repeats where that is higher (`md_ceiling`)
    gamma_consensus : (repeat,) array, Γ of each repeat with the consensus of the runs; empty when not asked for
    by_chance : (float, float), coincident pairs of a repeat with Poisson trains of its rate, and of those trains
    """

    gamma_dm: Float64[Array, " repeat"]
    gamma_dd: Float64[Array, "repeat repeat"]
    count_dm: Float64[Array, " repeat"]
    count_dd: Float64[Array, "repeat repeat"]
    count_mm: float
    gamma_top: Float64[Array, " _"]
    md_top: float
    gamma_consensus: Float64[Array, " _"]
    by_chance: tuple[float, float]

    @classmethod
    def of(cls, stimulus: Scored, window: float, with_consensus: bool, noisy: bool = True) -> Coincidences:
        """Count the coincidences of one stimulus within ±`window` ms."""
        data, runs, duration = stimulus.data, stimulus.runs, stimulus.duration
        others = leave_one_out(data, duration, window=window)
        best = [consensus(runs, duration, window)] if with_consensus else []
        count_dd = weight_table(data, data, window)
        count = float(np.mean([t.size for t in data]))
        n_dm, _, n_mm = count_by_chance(count, duration, window, noisy, np.nan)
        return cls(
            by_chance=(n_dm, n_mm),
            gamma_dm=_mean_over_runs(gamma_table(data, runs, duration, window)),
            gamma_dd=gamma_table(data, data, duration, window),
            count_dm=mean_weight(data, runs, window),
            count_dd=count_dd,
            count_mm=self_weight(runs, window),
            gamma_top=own_gammas(data, others, duration, window),
            md_top=md_ceiling_of_consensus(data, others, count_dd, window),
            gamma_consensus=gamma_table(data, best, duration, window)[:, 0] if best else np.empty(0),
        )

    def reliability(self, weights: Float64[Array, "... repeat"]) -> Float64[Array, "..."]:
        """The reliability R."""
        return mean_over_pairs(self.gamma_dd, weights)

    def gamma(self, weights: Float64[Array, "... repeat"]) -> Float64[Array, "..."]:
        """Mean Γ of repeats and runs."""
        return mean_over(self.gamma_dm, weights)

    def gamma_over_R(self, weights: Float64[Array, "... repeat"]) -> Float64[Array, "..."]:
        """Γ divided by R."""
        return ratio(self.gamma(weights), self.reliability(weights))

    def consensus_over_R(self, weights: Float64[Array, "... repeat"]) -> Float64[Array, "..."]:
        """Γ of the runs' consensus train, over R."""
        if not self.gamma_consensus.size:
            return np.full(weights.shape[:-1], np.nan)
        return ratio(mean_over(self.gamma_consensus, weights), self.reliability(weights))

    def md_star(self, weights: Float64[Array, "... repeat"]) -> Float64[Array, "..."]:
        """Md*, Kistler window, unbiased."""
        return md_of(mean_over(self.count_dm, weights), mean_over_pairs(self.count_dd, weights), self.count_mm)

    def chance_md_star(self, weights: Float64[Array, "... repeat"]) -> Float64[Array, "..."]:
        """Md* of Poisson trains at the recorded rate."""
        return md_of(self.by_chance[0], mean_over_pairs(self.count_dd, weights), self.by_chance[1])

    def top(self, weights: Float64[Array, "... repeat"]) -> Float64[Array, "..."]:
        """Γ that a single train reaches: the consensus of the other repeats, or one of them (`gamma_ceiling`)."""
        if not self.gamma_top.size:
            return np.full(weights.shape[:-1], np.nan)
        return take_higher(mean_over(self.gamma_top, weights), self.reliability(weights))

    def top_over_R(self, weights: Float64[Array, "... repeat"]) -> Float64[Array, "..."]:
        """That Γ divided by R."""
        return ratio(self.top(weights), self.reliability(weights))


@dataclass(frozen=True, eq=False)
class Distances:
    """A pairwise distance of one stimulus: to the runs (repeat,), and among the repeats (repeat, repeat)."""

    to_runs: Float64[Array, " repeat"]
    among: Float64[Array, "repeat repeat"]

    @classmethod
    def of(cls, stimulus: Scored, table: Callable[..., Array], setting: float) -> Distances:
        """Distances by `table`, whose `setting` is a time constant or a cost."""
        every = max(len(stimulus.runs) // DISTANCE_RUNS, 1)
        data, runs = pack_trains(stimulus.data), pack_trains(stimulus.runs[::every][:DISTANCE_RUNS])
        return cls(table(data, runs, setting).mean(1), table(data, data, setting))

    def mean(self, weights: Float64[Array, "... repeat"]) -> Float64[Array, "..."]:
        """Mean distance of repeats and runs."""
        return mean_over(self.to_runs, weights)

    def own(self, weights: Float64[Array, "... repeat"]) -> Float64[Array, "..."]:
        """Mean distance of two repeats."""
        return mean_over_pairs(self.among, weights)


def compute_distances(stimulus: Scored, tau: float, cost: float) -> tuple[Distances, Distances]:
    """Van Rossum and Victor–Purpura distances of one stimulus."""
    return Distances.of(stimulus, van_rossum_table, tau), Distances.of(stimulus, victor_purpura_table, cost)
