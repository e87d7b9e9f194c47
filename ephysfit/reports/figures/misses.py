"""Draw the current around missed and invented spikes, and the rates at levels of the current."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ephysfit.reports.evidence import READOUTS, Evidence
from ephysfit.reports.figures.style import (
    EXTRA,
    GRID,
    INK,
    MISSED,
    MODEL,
    READOUT,
    add_legend,
    make_axes,
    make_figure,
    set_title,
)
from ephysfit.reports.missed_spikes import (
    FEWEST,
    RateCalibration,
    SpikeTriggeredCurrent,
    compute_rate_calibration,
    compute_spike_triggered_currents,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOR = {"predicted": MODEL, "missed": MISSED, "invented": EXTRA}


def draw_misses(evidence: Evidence) -> Figure | str:
    """Draw the current around spikes beside recorded and predicted rates."""
    if not evidence.fluctuates:
        return "The current of the test sweeps does not fluctuate, so that a mean current around spikes says nothing."
    about, rates = compute_spike_triggered_currents(evidence), compute_rate_calibration(evidence)
    if not about and rates is None:
        return f"Fewer than {FEWEST} spikes are predicted, missed or invented, and less than a second is scored."
    fig = make_figure(9.6 if about and rates is not None else 5.0, 3.2)
    left, right = make_axes(fig, 1, 2)
    if about:
        _draw_triggered_currents(left, about)
    else:
        fig.delaxes(left)
    if rates is not None:
        _draw_rate_calibration(right, rates, evidence)
    else:
        fig.delaxes(right)
    return fig


def _draw_triggered_currents(ax: Axes, found: list[SpikeTriggeredCurrent]) -> None:
    for t in found:
        color = _COLOR[t.kind]
        ax.fill_between(t.times, t.mean - 2 * t.error, t.mean + 2 * t.error, color=color, alpha=0.18, lw=0)
        ax.plot(t.times, t.mean, color=color, lw=1.5, label=f"{t.kind} ({t.count})")
    ax.axvline(0, color=GRID, lw=0.8, zorder=0)
    ax.set(xlabel="time from the spike (ms)", ylabel="mean current (pA)", xlim=(found[0].times[0], found[0].times[-1]))
    set_title(ax, "Current about a spike")
    add_legend(ax, loc="upper left")


def _draw_rate_calibration(ax: Axes, found: RateCalibration, evidence: Evidence) -> None:
    error = np.nan_to_num(found.error)
    ax.errorbar(found.current, found.recorded, 2 * error, color=INK, marker="o", ms=3.5, lw=1.3, elinewidth=1.0,
                label="recorded, ± 2 se")  # fmt: skip
    ax.plot(found.current, found.predicted, color=READOUT[evidence.single], marker="o", ms=3.5, lw=1.5,
            label=f"model, {READOUTS[evidence.many]}")  # fmt: skip
    ax.set(xlabel="current of the last 10 ms (pA)", ylabel="rate (Hz)")
    ax.set_ylim(bottom=0)
    set_title(ax, "Rate at each level of current")
    add_legend(ax, loc="upper left")
