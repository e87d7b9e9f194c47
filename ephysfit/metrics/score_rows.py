"""The lines of a score, metric by metric."""

from __future__ import annotations

import numpy as np

from ephysfit.arrays import Array
from ephysfit.metrics.isi import isi_distance
from ephysfit.metrics.jackknife import Row, ScoredStimuli, count_repeats_and_runs
from ephysfit.metrics.metric import METRICS
from ephysfit.metrics.pair_counts import Coincidences, Distances, compute_distances
from ephysfit.metrics.variance import Variances
from ephysfit.metrics.weights import mean_over, ratio

#: runs from which a consensus train means something
MIN_RUNS = 20
#: settings of the distances in the table
TAU, COST = 10.0, 0.1


def compute_coincidence_rows(bench: ScoredStimuli, window: float, stochastic: bool) -> list[Row]:
    """Lines of R, Γ, Γ/R and Md* within ±`window` ms."""
    consensus = stochastic and min(len(s.runs) for s in bench.stimuli) >= MIN_RUNS
    parts = [Coincidences.of(s, window, consensus, stochastic) for s in bench.stimuli]
    w, C = f"{window:g}", Coincidences
    if not stochastic:
        timing = [
            bench.line(f"gamma_{w}", "gamma", parts, C.gamma, C.top),
            bench.line(f"gamma_over_R_{w}", "gamma_over_R", parts, C.gamma_over_R, C.top_over_R),
            bench.line(f"md_star_{w}", "md_star", parts, C.md_star, lambda p, _: p.md_top, baseline=C.chance_md_star),
        ]
    else:
        timing = [
            bench.line(f"gamma_runs_{w}", "gamma", parts, C.gamma, C.reliability),
            bench.line(f"gamma_over_R_runs_{w}", "gamma_over_R", parts, C.gamma_over_R, 1.0),
            bench.line(f"md_star_{w}", "md_star", parts, C.md_star, 1.0, baseline=C.chance_md_star),
        ]
    if consensus:
        note = "prediction that looks ahead"
        timing.append(
            bench.line(f"gamma_over_R_consensus_{w}", "gamma_over_R", parts, C.consensus_over_R, C.top_over_R, note)
        )
    return [bench.line(f"R_{w}", "reliability", parts, C.reliability, note="the cell alone"), *timing]


def compute_variance_row(bench: ScoredStimuli, sigma: float) -> Row:
    """Line of the explained-variance ratio of trains smoothed with `sigma` ms."""
    parts = [Variances.of(s.data, s.runs, s.duration, sigma) for s in bench.stimuli]
    several = [len(s.data) > 1 for s in bench.stimuli]
    parts_of = list(zip(parts, several, strict=True))

    def statistic(part: tuple[Variances, bool], weights: Array) -> Array:
        return part[0].ratio(weights) if part[1] else np.full(weights.shape[:-1], np.nan)

    metric = "etv" if sigma == METRICS["etv"].options["sigma"] else "explained_variance_ratio"
    return bench.line(f"ev_ratio_{sigma:g}", metric, parts_of, statistic, lambda p, _: np.asarray(p[0].ceiling()))


def compute_distance_rows(bench: ScoredStimuli) -> list[Row]:
    """Lines of the van Rossum, Victor–Purpura and interval distances."""
    pairs = [compute_distances(s, TAU, COST) for s in bench.stimuli]
    note = "ceiling: between two repeats"
    return [
        bench.line(f"van_rossum_{TAU:g}", "van_rossum", [p[0] for p in pairs], Distances.mean, Distances.own, note),
        bench.line(
            f"victor_purpura_{COST:g}", "victor_purpura", [p[1] for p in pairs], Distances.mean, Distances.own, note
        ),
        _compute_interval_row(bench),
    ]


def _compute_interval_row(bench: ScoredStimuli) -> Row:
    each = [np.asarray(isi_distance(s.data, s.runs)) for s in bench.stimuli]
    value = float(bench.over_stimuli(each))
    return Row("isi_distance", "isi_distance", value, np.nan, np.nan, 0.0, *count_repeats_and_runs(bench.stimuli))


def compute_rates(bench: ScoredStimuli, weights: list[Array]) -> tuple[Array, float]:
    """Recorded and model rate in Hz over all stimuli: total spikes by total time, not a mean of rates."""
    time = sum(s.duration for s in bench.stimuli) / 1e3
    data = sum(
        mean_over(np.array([t.size for t in s.data], float), w) for s, w in zip(bench.stimuli, weights, strict=True)
    )
    model = sum(float(np.mean([t.size for t in s.runs])) for s in bench.stimuli)
    return np.asarray(data) / time, model / time


def compute_rate_row(bench: ScoredStimuli) -> Row:
    """Line of the relative error of the model's rate."""

    def relative(weights: list[Array]) -> Array:
        data, model = compute_rates(bench, weights)
        return ratio(model - data, data)

    value = float(relative(bench.once))
    error = float("nan") if np.isnan(value) else bench.error(relative, [True] * len(bench.stimuli))
    return Row("rate_error", "rate_error", value, error, np.nan, 0.0, *count_repeats_and_runs(bench.stimuli))
