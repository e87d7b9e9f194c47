"""The declared metrics: one record each, with what its number means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from ephysfit.arrays import TrainsLike
from ephysfit.errors import ScoreError, near
from ephysfit.metrics.coincidence import gamma, gamma_over_reliability, md_star
from ephysfit.metrics.isi import isi_distance, rate_error
from ephysfit.metrics.reliability import gamma_ceiling, md_reliability, reliability
from ephysfit.metrics.step_answers import count_error, latency_error
from ephysfit.metrics.van_rossum import van_rossum
from ephysfit.metrics.variance import etv, explained_variance_of_runs, explained_variance_ratio, psth_explained_variance
from ephysfit.metrics.victor_purpura import victor_purpura

#: a setting of a metric
Option: TypeAlias = float | str | bool


def _declare_options(**settings: Option) -> Mapping[str, Option]:
    return MappingProxyType(settings)


@dataclass(frozen=True)
class Metric:
    """A spike-timing metric and what its number means.

    Attributes
    ----------
    name, unit : str
    best : float, the value of a perfect match
    chance : float or None, the value of an unrelated train; None where it depends on the trains
    higher_is_better : bool or None, None when the value should be near `best` from both sides
    reference : str, where it comes from
    doc : str, one sentence
    function : callable of data, model, duration_ms and options, giving a float; trains in ms
    options : mapping, the settings the function takes and their defaults

    Examples
    --------
    >>> m = metric("gamma")
    >>> m([[100.0], [101.0]], [[100.0]], 1000.0, window=4.0), m.best, dict(m.options)
    (1.0, 1.0, {'window': 4.0})
    """

    name: str
    unit: str
    best: float
    chance: float | None
    higher_is_better: bool | None
    reference: str
    doc: str
    function: Callable[..., float]
    options: Mapping[str, Option] = field(default_factory=_declare_options, hash=False)

    def __call__(self, data: TrainsLike, model: TrainsLike, duration_ms: float, **options: Option) -> float:
        """The value; unknown options are refused."""
        for name in options:
            if name not in self.options:
                raise ScoreError(f"metric {self.name} has no option {name!r}; {near(name, self.options)}")
        return self.function(data, model, duration_ms, **{**self.options, **options})


def _reliability(data: TrainsLike, model: TrainsLike, duration_ms: float, *, window: float) -> float:
    return reliability(data, duration_ms, window=window)


def _md_reliability(data: TrainsLike, model: TrainsLike, duration_ms: float, *, window: float, kernel: str) -> float:
    return md_reliability(data, window=window, kernel=kernel)


def _gamma_ceiling(data: TrainsLike, model: TrainsLike, duration_ms: float, *, window: float) -> float:
    return gamma_ceiling(data, duration_ms, window=window)


_KISTLER = "Kistler, Gerstner & van Hemmen 1997; Jolivet et al. 2008"
_NAUD = "Naud, Gerhard, Mensi & Gerstner 2011; Pozzorini et al. 2015"
_TEETER = "Teeter et al. 2018"
_AT4 = _declare_options(window=4.0)
_MD = _declare_options(window=4.0, kernel="kistler")
_AT10 = _declare_options(sigma=10.0, bin_ms=1.0)

_ALL = (
    Metric("gamma", "1", 1.0, 0.0, True, _KISTLER,
           "Coincident spikes beyond chance, averaged over pairs of a repeat and a run.", gamma, _AT4),
    Metric("reliability", "1", 1.0, 0.0, True, _KISTLER,
           "R: the coincidence factor of the cell's repeats with each other.", _reliability, _AT4),
    Metric("gamma_over_R", "1", 1.0, 0.0, True, "Jolivet et al. 2008; Gerstner & Naud 2009",
           "Coincidence factor over the cell's own reliability; a single best train can pass 1.",
           gamma_over_reliability, _AT4),
    Metric("gamma_ceiling", "1", 1.0, 0.0, True, "ephysfit",
           "Coincidence factor of each repeat with the consensus of the others.", _gamma_ceiling, _AT4),
    Metric("md_star", "1", 1.0, None, True, _NAUD,
           "Similarity of the distributions that repeats and runs are drawn from.", md_star,
           _declare_options(window=4.0, kernel="kistler", unbiased=True)),
    Metric("md_reliability", "1", 1.0, None, True, _NAUD,
           "Coincidences of two repeats over those of a repeat with itself.", _md_reliability, _MD),
    Metric("explained_variance_ratio", "1", 1.0, 0.0, True, _TEETER,
           "Variance of a smoothed repeat that the mean run explains, over what the cell's mean explains.",
           explained_variance_ratio, _AT10),
    Metric("etv", "1", 1.0, 0.0, True, "Taylor, King & Harper 2023 (Block-ALIF)",
           "The explained-variance ratio with sigma 15 ms.", etv, _declare_options(sigma=15.0, bin_ms=1.0)),
    Metric("explained_variance_of_runs", "1", 1.0, 0.0, True, _TEETER,
           "The explained-variance ratio of single noisy runs.", explained_variance_of_runs, _AT10),
    Metric("psth_explained_variance", "1", 1.0, 0.0, True, _TEETER,
           "Explained variance of the mean recorded rate by the mean model rate.", psth_explained_variance, _AT10),
    Metric("van_rossum", "1", 0.0, None, False, "van Rossum 2001; elephant's convention, no factor 1/2",
           "L2 distance of exponentially filtered trains, averaged over pairs.", van_rossum,
           _declare_options(tau=10.0)),
    Metric("victor_purpura", "1", 0.0, None, False, "Victor & Purpura 1996",
           "Cheapest edit of one train into the other, averaged over pairs.", victor_purpura,
           _declare_options(cost=0.1)),
    Metric("isi_distance", "1", 0.0, None, False, "Kolmogorov-Smirnov",
           "Largest gap between the cumulative interval distributions.", isi_distance),
    Metric("rate_error", "1", 0.0, None, None, "",
           "Model rate minus recorded rate, over recorded rate.", rate_error),
    Metric("count_error", "spikes", 0.0, None, False, "ephysfit",
           "Spikes of a step, mean of the runs against the cell: absolute error, mean over the steps.", count_error),
    Metric("latency_error", "ms", 0.0, None, False, "ephysfit",
           "First spike of a step, mean of the runs against the cell: absolute error, median over the steps where both "
           "fire.", latency_error, _declare_options(begin=0.0)),
)  # fmt: skip

#: every declared metric by name
METRICS: Mapping[str, Metric] = MappingProxyType({m.name: m for m in _ALL})


def metric(name: str) -> Metric:
    """The declared metric of that name.

    Raises
    ------
    ScoreError
        Unknown name; the message gives the nearest one.

    Examples
    --------
    >>> metric("md_star").best
    1.0
    """
    try:
        return METRICS[name]
    except KeyError:
        raise ScoreError(f"there is no metric {name!r}; {near(name, METRICS)}") from None
