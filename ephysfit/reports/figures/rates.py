"""Draw rates, interspike intervals and spike-time precision of cell and model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, NullFormatter

from ephysfit.arrays import Trace, Train, Trains
from ephysfit.metrics.coincidence import gamma
from ephysfit.metrics.reliability import reliability
from ephysfit.metrics.trains import cut
from ephysfit.metrics.variance import mean_rate, smooth_trains
from ephysfit.reports.evidence import READOUTS, Evidence
from ephysfit.reports.figures.style import (
    INK,
    READOUT,
    add_legend,
    add_legend_above,
    draw_curve,
    draw_missing,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: width of the smoothing of rates, ms
SIGMA = 10.0
#: coincidence windows of the precision curve, ms
WINDOWS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)
#: largest fraction of time that windows may cover: beyond it (at high rates) Γ diverges
COVERED = 0.6
#: most noisy runs of the precision curve
RUNS = 60


def draw_psth(ax: Axes, evidence: Evidence, start: float, stop: float) -> None:
    """Draw the smoothed rate of the recorded repeats (mean ± standard error) and of the model."""
    first, last = max(start - 5 * SIGMA, 0.0), min(stop + 5 * SIGMA, evidence.stimulus.duration)
    rows = smooth_trains(cut(list(evidence.repeats), first, last), last - first, SIGMA)
    own = mean_rate(cut(list(evidence.runs(evidence.many)), first, last), last - first, SIGMA)
    times = first + np.arange(rows.shape[1]) + 0.5
    mean = rows.mean(0)
    if len(rows) > 1:
        error = rows.std(0, ddof=1) / len(rows) ** 0.5
        ax.fill_between(times, mean - error, mean + error, color=INK, alpha=0.2, lw=0)
    draw_curve(ax, times, mean, INK, label="recorded, mean ± se" if len(rows) > 1 else "recorded")
    color = READOUT[evidence.single]
    draw_curve(ax, times, own, color, label=f"model, {READOUTS[evidence.many]}", lw=1.2)
    ax.set_ylabel("rate (Hz)")
    ax.set_ylim(bottom=0)
    ax.set_xlim(start, stop)
    add_legend_above(ax)


def _cut_to_scored(evidence: Evidence, trains: Trains) -> list[Train]:
    return cut(list(trains), *evidence.scored)


def draw_precision(ax: Axes, evidence: Evidence) -> None:
    """Draw the coincidence factor against the window: of the cell with itself, and of each readout with the cell."""
    start, stop = evidence.scored
    data = _cut_to_scored(evidence, evidence.repeats)
    most = max(
        t.size for name in evidence.readouts for t in [*data, *_cut_to_scored(evidence, evidence.runs(name)[:RUNS])]
    )
    windows = [w for w in WINDOWS if 2 * w * most < COVERED * (stop - start)] or [WINDOWS[0]]
    if len(data) > 1:
        own = [reliability(data, stop - start, window=w) for w in windows]
        ax.plot(windows, own, color=INK, marker="o", ms=3, lw=1.4, label="cell with itself (R)")
    for name in evidence.readouts:
        runs = _cut_to_scored(evidence, evidence.runs(name)[:RUNS])
        values = [gamma(data, runs, stop - start, window=w) for w in windows]
        ax.plot(windows, values, color=READOUT[name], marker="o", ms=3, lw=1.4, label=READOUTS[name])
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]), top=1.02)
    ax.set_xlim(left=0)
    ax.set_xlabel("coincidence window ± (ms)")
    ax.set_ylabel("coincidence factor Γ")
    set_title(ax, "Precision and reliability")
    add_legend(ax, loc="best")


def draw_intervals(ax: Axes, evidence: Evidence) -> None:
    """Draw the distribution of interspike intervals, pooled over all repeats, runs and test stimuli."""
    data = _compute_intervals([t for s in evidence.stimuli for t in s.spike_times])
    model = _compute_intervals([t for runs in evidence.readouts[evidence.many].spike_times for t in runs])
    set_title(ax, "Interspike intervals")
    ax.set_xlabel("interval (ms)")
    both = np.concatenate([data, model])
    if not both.size:
        return draw_missing(ax, "no two spikes in one train")
    edges = np.geomspace(max(both.min(), 0.5) * 0.9, both.max() * 1.1, 40).tolist()
    if data.size:
        ax.hist(data, edges, weights=np.full(data.size, 1 / data.size), color=INK, alpha=0.25, label="recorded")
    if model.size:
        share = np.histogram(model, edges)[0] / model.size
        ax.stairs(share, edges, color=READOUT[evidence.single], lw=1.4, label=f"model, {READOUTS[evidence.many]}")
    ax.set_xscale("log")
    _label_decades(ax)
    ax.set_ylabel("share")
    add_legend(ax, loc="best")


def _compute_intervals(trains: Trains) -> Trace:
    return np.concatenate([np.empty(0), *(np.diff(t) for t in trains)])


def _label_decades(ax: Axes) -> None:
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
