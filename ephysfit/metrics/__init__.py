"""Spike-timing metrics: declared records, and the score of a simulation against a recording."""

from __future__ import annotations

from typing import Any

from ephysfit.deprecation import deprecated
from ephysfit.metrics.coincidence import chance_md_star, coincidence_factor, gamma, gamma_over_reliability, md_star
from ephysfit.metrics.consensus import consensus
from ephysfit.metrics.isi import cv, cv2, isi_distance, lv, lvr, rate_error, rate_hz
from ephysfit.metrics.jackknife import Row
from ephysfit.metrics.metric import METRICS, Metric, metric
from ephysfit.metrics.reliability import gamma_ceiling, leave_one_out, md_ceiling, md_reliability, reliability
from ephysfit.metrics.score import score
from ephysfit.metrics.score_result import Score
from ephysfit.metrics.step_answers import Answer, Step, count_error, find_steps, interpolate_answer, latency_error
from ephysfit.metrics.trains import cut
from ephysfit.metrics.van_rossum import van_rossum, van_rossum_distance
from ephysfit.metrics.variance import (
    etv,
    explained_variance_of_runs,
    explained_variance_ratio,
    psth_explained_variance,
    smooth_trains,
)
from ephysfit.metrics.victor_purpura import victor_purpura, victor_purpura_distance
from ephysfit.metrics.vote import vote

__all__ = [
    "METRICS",
    "Answer",
    "Metric",
    "Row",
    "Score",
    "Step",
    "chance_md_star",
    "coincidence_factor",
    "consensus",
    "count_error",
    "cut",
    "cv",
    "cv2",
    "etv",
    "explained_variance_of_runs",
    "explained_variance_ratio",
    "find_steps",
    "gamma",
    "gamma_ceiling",
    "gamma_over_reliability",
    "interpolate_answer",
    "isi_distance",
    "latency_error",
    "leave_one_out",
    "lv",
    "lvr",
    "md_ceiling",
    "md_reliability",
    "md_star",
    "metric",
    "psth_explained_variance",
    "rate_error",
    "rate_hz",
    "reliability",
    "score",
    "smooth_trains",
    "van_rossum",
    "van_rossum_distance",
    "victor_purpura",
    "victor_purpura_distance",
    "vote",
]

#: names of 0.1 and what they are called since 0.2.0
_RENAMED = {"smoothed": "smooth_trains"}


def __getattr__(name: str) -> Any:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    deprecated(f"ephysfit.metrics.{name}", f"ephysfit.metrics.{_RENAMED[name]}", "0.2.0")
    return globals()[_RENAMED[name]]
