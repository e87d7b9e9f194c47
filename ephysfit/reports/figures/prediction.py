"""Draw the prediction: stimulus, recorded repeats and model runs with missed and extra spikes marked, membrane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ephysfit.arrays import Trace
from ephysfit.reports.agreement import match_train
from ephysfit.reports.evidence import READOUTS, Evidence
from ephysfit.reports.figures.rates import draw_psth
from ephysfit.reports.figures.style import (
    CURRENT,
    EXTRA,
    INK,
    MISSED,
    MODEL,
    MUTED,
    READOUT,
    add_legend_above,
    draw_curve,
    draw_ticks,
    format_current,
    label_seconds,
    make_axes,
    make_figure,
    set_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: most noisy runs in a raster
DRAWN = 10
#: most stimuli in the figure of all stimuli
MOST = 12


def draw_stimulus(ax: Axes, evidence: Evidence, start: float, stop: float) -> None:
    """Draw the injected current of the shown stimulus, pA, from `start` to `stop` (ms)."""
    s = evidence.stimulus
    first, last = int(start / s.dt), int(stop / s.dt)
    times = np.arange(len(s.current)) * s.dt
    draw_curve(ax, times[first:last], s.current[first:last], CURRENT, lw=0.8)
    ax.set_ylabel("current (pA)")


def draw_raster(
    ax: Axes, evidence: Evidence, start: float, stop: float, *, which: int | None = None, short: bool = False
) -> None:
    """Draw recorded repeats above and model runs below.

    Parameters
    ----------
    ax : Axes
    evidence : Evidence
    start, stop : float, ms
    which : int, optional
        Index of the stimulus; the shown stimulus unless given.
    short : bool
        Whether to draw few noisy runs.

    Notes
    -----
    A recorded spike that the single train misses is marked in the colour of `MISSED`; a spike of the single train
    that no repeat has, in that of `EXTRA`.
    """
    k = evidence.shown if which is None else which
    repeats = evidence.stimuli[k].spike_times
    train = evidence.readouts[evidence.single].spike_times[k][0]
    hits, row = match_train(repeats, train), 0.0
    labels: list[tuple[float, str]] = [((len(repeats) - 1) / 2, "recorded")]
    for spikes, found in zip(repeats, hits.predicted, strict=True):
        _draw_ticks_within(ax, spikes[found], row, INK, start, stop)
        _draw_ticks_within(ax, spikes[~found], row, MISSED, start, stop, width=1.6)
        row += 1
    for name, done in evidence.readouts.items():
        drawn = done.spike_times[k][: 3 if short else DRAWN]
        row += 0.6
        labels.append((row + (len(drawn) - 1) / 2, READOUTS[name]))
        for spikes in drawn:
            _draw_ticks_within(ax, spikes, row, READOUT[name], start, stop, width=1.4 if len(drawn) == 1 else 0.9)
            if name == evidence.single:
                _draw_ticks_within(ax, spikes[~hits.shared], row, EXTRA, start, stop, width=1.8)
            row += 1
    ax.set_yticks([y for y, _ in labels], [text for _, text in labels])
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.spines["left"].set_visible(False)
    ax.set_ylim(row - 0.3, -0.7)
    ax.set_xlim(start, stop)


def _draw_ticks_within(
    ax: Axes, train: Trace, row: float, color: str, start: float, stop: float, width: float = 1.1
) -> None:
    draw_ticks(ax, train[(train >= start) & (train < stop)], row, color, width=width)


def draw_raster_legend(ax: Axes) -> None:
    """Draw the legend of the colours of a raster above it."""
    for color, text in (
        (INK, "recorded and predicted"),
        (MISSED, "recorded, missed"),
        (EXTRA, "predicted, not recorded"),
    ):
        ax.plot([], [], color=color, lw=2, label=text)
    add_legend_above(ax)


def draw_membrane(ax: Axes, evidence: Evidence, start: float, stop: float) -> None:
    """Draw the model's voltage and threshold, mV, and on the same axis the recorded voltage, where the units are one.

    For a model without membrane potential, its distance to threshold is drawn.
    """
    sweep, v, u = evidence.stimulus.sweeps[0], evidence.membrane(), evidence.trace("margin")
    run = evidence.noise_free_run
    label = f"{evidence.fit.model}, {READOUTS[run.readout]}"
    if sweep.voltage is not None and evidence.shares_units:
        _draw_trace(ax, sweep.voltage, sweep.dt, start, stop, INK, lw=0.7, label="recorded, repeat 1")
    if v is not None and u is not None:
        _draw_trace(ax, v, run.dt, start, stop, MODEL, label=label)
        _draw_trace(ax, evidence.threshold(), run.dt, start, stop, MODEL, lw=0.8, ls=":", label="its threshold")
    elif u is not None:
        times, u = evidence.distance()
        inside = (times >= start) & (times < stop)
        draw_curve(ax, times[inside], u[inside], MODEL, label=label)
        ax.axhline(0.0, color=MUTED, lw=0.8, ls=":")
        low = np.percentile(u, 2)
        ax.set_ylim(low - 0.1 * (u.max() - low), u.max() + 0.1 * (u.max() - low) + 1e-6)
    ax.set_ylabel(evidence.model_axis)
    add_legend_above(ax)


def draw_recorded_voltage(ax: Axes, evidence: Evidence, start: float, stop: float) -> None:
    """Draw the recorded membrane voltage of the first repeat, mV."""
    sweep = evidence.stimulus.sweeps[0]
    if sweep.voltage is not None:
        _draw_trace(ax, sweep.voltage, sweep.dt, start, stop, INK, lw=0.7, label="recorded, repeat 1")
    ax.set_ylabel("recorded (mV)")


def _draw_trace(ax: Axes, values: Trace, dt: float, start: float, stop: float, color: str, **options: Any) -> None:
    first, last = int(start / dt), int(stop / dt)
    times = (np.arange(len(values)) * dt)[first:last]
    draw_curve(ax, times, values[first:last], color, **options)


def draw_overview(evidence: Evidence, stretch: tuple[float, float] | None = None) -> Figure:
    """Draw stimulus, raster, membrane and rate of a stretch (ms; a typical one unless given)."""
    start, stop = stretch or evidence.stretch
    recorded = evidence.stimulus.sweeps[0].voltage is not None
    own = recorded and not evidence.shares_units
    draw = [draw_stimulus, draw_raster, *([draw_recorded_voltage] if own else []), draw_membrane, draw_psth]
    heights = [0.8, 2.6, *([1.1] if own else []), 1.2, 1.1]
    fig = make_figure(9.6, 1.15 * sum(heights))
    for ax, panel in zip(make_axes(fig, len(draw), 1, sharex=True, height_ratios=heights), draw, strict=True):
        panel(ax, evidence, start, stop)
        ax.label_outer()
        if panel is draw_raster:
            draw_raster_legend(ax)
    label_seconds(ax, start, stop)
    fig.align_ylabels()
    return fig


def draw_all_stimuli(evidence: Evidence) -> Figure | str:
    """Draw a raster of every test stimulus (the first twelve)."""
    n = min(len(evidence.stimuli), MOST)
    if n < 2:
        return "There is one test stimulus."
    cols = 2 if n < 7 else 3
    rows = -(-n // cols)
    fig = make_figure(9.6, 0.4 + 1.5 * rows)
    grid = np.ravel(make_axes(fig, rows, cols, squeeze=False))
    for k, ax in enumerate(grid):
        if k >= n:
            ax.set_visible(False)
            continue
        s = evidence.stimuli[k]
        draw_raster(ax, evidence, 0.0, s.duration, which=k, short=True)
        label_seconds(ax, 0.0, s.duration)
        if k + cols < n:
            ax.set_xlabel("")
        low, high = format_current(float(s.current.min())), format_current(float(s.current.max()))
        set_title(ax, f"{k + 1}: {s.name or 'stimulus'} ({low.removesuffix(' pA')} to {high})")
    return fig
