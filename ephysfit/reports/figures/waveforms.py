"""Draw the voltage about spikes: its average in cell and model, and the phase plot of the cell's spikes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ephysfit.reports.evidence import Evidence
from ephysfit.reports.figures.style import (
    GRID,
    INK,
    MISSED,
    MODEL,
    add_legend,
    draw_missing,
    make_axes,
    make_figure,
    set_title,
)
from ephysfit.reports.spike_waveforms import FEWEST, measure_phase_plot, measure_triggered_voltage

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_spikes(evidence: Evidence) -> Figure | str:
    """Draw the spike-triggered average of the voltage beside the phase plot of the cell's spikes."""
    if all(s.voltage is None for s in evidence.test.sweeps):
        return "The recording holds spike times and no voltage."
    fig = make_figure(9.6, 3.2)
    left, right = make_axes(fig, 1, 2)
    _draw_average(left, evidence)
    _draw_phase_plot(right, evidence)
    return fig


def _draw_average(ax: Axes, evidence: Evidence) -> None:
    set_title(ax, "Voltage about a spike")
    cell, model = measure_triggered_voltage(evidence)
    if cell is None:
        return draw_missing(ax, f"fewer than {FEWEST} spikes in the test sweeps")
    for found, color, label in ((cell, INK, "cell"), (model, MODEL, "model, its own spikes")):
        if found is not None:
            band = 2 * found.error
            ax.fill_between(found.times, found.mean - band, found.mean + band, color=color, alpha=0.18, lw=0)
            ax.plot(found.times, found.mean, color=color, lw=1.4, label=f"{label} ({found.count})")
    ax.axvline(0, color=GRID, lw=0.8, zorder=0)
    ax.set(xlabel="time from the spike (ms)", ylabel="mean voltage (mV)", xlim=(cell.times[0], cell.times[-1]))
    add_legend(ax, loc="upper left")


def _draw_phase_plot(ax: Axes, evidence: Evidence) -> None:
    set_title(ax, "Phase plot of the cell's spikes")
    found = measure_phase_plot(evidence)
    if isinstance(found, str):
        return draw_missing(ax, found)
    alpha = float(np.clip(4.0 / len(found.voltage) ** 0.7, 0.15, 0.8))
    for v, slope in zip(found.voltage, found.slope, strict=True):
        ax.plot(v, slope, color=INK, lw=0.7, alpha=alpha)
    if np.isfinite(found.threshold):
        ax.axvline(found.threshold, color=MISSED, lw=1.0, ls="--",
                   label=f"threshold {found.threshold:.1f} mV".replace("-", "−"))  # fmt: skip
    ax.set(xlabel="voltage (mV)", ylabel="dV/dt (mV/ms)")
    add_legend(ax, loc="upper left")
