"""Draw recorded voltage and model side by side at three amplitudes of current steps, with the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ephysfit.reports.evidence import Evidence
from ephysfit.reports.figures.style import (
    INK,
    MODEL,
    add_legend_above,
    draw_curve,
    draw_ticks,
    format_current,
    label_seconds,
    make_axes,
    make_figure,
    set_title,
)
from ephysfit.reports.step_traces import StepTrace, compute_step_traces

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: percentile of the distance to threshold that is the end of its axis
LOWEST = 0.5


def draw_step_traces(evidence: Evidence) -> Figure | str:
    """Draw the voltage of three steps with the model's: on one axis where both are in the cell's mV."""
    traces = compute_step_traces(evidence)
    if not traces:
        if all(s.voltage is None for s in evidence.test.sweeps):
            return "The recording holds spike times and no voltage."
        return "The recording holds no current steps."
    together = evidence.shares_units
    fig = make_figure(9.6, 2.7 if together else 4.2)
    rows = make_axes(fig, 1 if together else 2, len(traces), squeeze=False, sharex="col", sharey="row",
                     height_ratios=None if together else [1.2, 1])  # fmt: skip
    for column, trace in enumerate(traces):
        _draw_recorded(rows[0][column], trace)
        _draw_model(rows[-1][column], trace)
        label_seconds(rows[-1][column], trace.start, trace.stop)
        side = "held out" if trace.held_out else "fitted"
        set_title(rows[0][column], f"{format_current(trace.current)}, {side}")
    _mark_spikes(list(rows[-1]), traces)
    rows[0][0].set_ylabel("membrane (mV)" if together else "recorded (mV)")
    if not together:
        rows[1][0].set_ylabel(evidence.model_axis)
    add_legend_above(rows[-1][-1])
    if together:
        rows[0][-1].get_legend().set_bbox_to_anchor((1.0, 1.08))
    fig.align_ylabels()
    return fig


def _draw_recorded(ax: Axes, trace: StepTrace) -> None:
    v = trace.sweep.voltage
    assert v is not None
    times = trace.sweep.times
    inside = (times >= trace.start) & (times < trace.stop)
    draw_curve(ax, times[inside], v[inside], INK, lw=0.7, label="cell")


def _draw_model(ax: Axes, trace: StepTrace) -> None:
    times = np.arange(len(trace.margin)) * np.float64(trace.dt)
    inside = (times >= trace.start) & (times < trace.stop)
    shown = trace.margin if trace.potential is None else trace.potential
    draw_curve(ax, times[inside], shown[inside], MODEL, lw=1.0, label="model, noise-free")
    if trace.threshold is not None:
        draw_curve(ax, times[inside], trace.threshold[inside], MODEL, lw=0.8, ls=":", label="its threshold")
    else:
        ax.axhline(0.0, color=MODEL, lw=0.8, ls=":", label="its threshold")


def _mark_spikes(axes: Sequence[Axes], traces: Sequence[StepTrace]) -> None:
    """Mark the model's spikes above the traces: a point neuron draws none."""
    values = [np.asarray(line.get_ydata(), dtype=float) for ax in axes for line in ax.get_lines()]
    low, high = min(float(np.nanmin(v)) for v in values), max(float(np.nanmax(v)) for v in values)
    if traces[0].potential is None:  # in the step of a spike the distance may fall far, and is of no interest
        low = min(float(np.percentile(t.margin, LOWEST)) for t in traces)
    span = max(high - low, 1.0)
    for ax, trace in zip(axes, traces, strict=True):
        inside = (trace.spikes >= trace.start) & (trace.spikes < trace.stop)
        draw_ticks(ax, trace.spikes[inside], high + 0.09 * span, MODEL, height=0.08 * span, width=1.2)
    axes[0].set_ylim(low - 0.05 * span, high + 0.15 * span)  # of all: they share the axis
