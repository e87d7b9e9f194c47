"""Draw the responses of the fitted neuron to a pulse of current and to one spike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ephysfit.arrays import Array, Float64
from ephysfit.reports.evidence import Evidence
from ephysfit.reports.figures.style import (
    CONSENSUS,
    GRID,
    INK,
    MODEL,
    MUTED,
    add_legend,
    make_axes,
    make_figure,
    set_title,
)
from ephysfit.reports.probes import compute_responses

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _training_current_statistics(evidence: Evidence) -> tuple[float, float]:
    """Mean and standard deviation (pA) of the training current, or of the test current where that is not available."""
    of = evidence.train or evidence.test
    current = np.concatenate([s.current[s.mask()] for s in of.sweeps])
    return float(current.mean()), float(current.std())


def draw_responses(evidence: Evidence) -> Figure | str:
    """Draw the response to a small pulse of current, and the effect of one spike on membrane and threshold."""
    mean, sd = _training_current_statistics(evidence)
    found = compute_responses(evidence.fit.neuron, evidence.fit.dt, mean, max(sd, 1.0))
    if found is None:
        return "The neuron is below threshold at none of the holding currents that were tried."
    fig = make_figure(9.6, 2.7)
    left, right = make_axes(fig, 1, 2)
    unit = evidence.unit
    pulse, spike = ({name: y / unit.size for name, y in of.items()} for of in (found.pulse, found.spike))
    for name, values in pulse.items():
        left.plot(found.times, values, color=_response_color(name), ls=_response_dash(name), lw=1.5, label=_LABEL[name])
    set_title(left, f"To a pulse of current (held at {found.holding:.0f} pA)")
    left.set_ylabel(f"response ({unit.name} per pC)")
    held = float(evidence.fit.neuron.refractory_ms)
    _draw_after_spike(right, found.times, spike, held)
    right.set_ylabel(f"change ({unit.name})")
    for ax, curves in ((left, pulse), (right, spike)):
        ax.axhline(0, color=GRID, lw=0.8, zorder=0)
        ax.set_xlim(0, _find_settling_time(found.times, curves, held))
    left.set_xlabel("time after the pulse (ms)")
    right.set_xlabel("time after the spike (ms)")
    add_legend(left, loc="best")
    return fig


_LABEL = {"margin": "distance to threshold", "membrane": "membrane"}


def _response_color(name: str) -> str:
    return INK if name == "membrane" else MODEL


def _response_dash(name: str) -> str:
    return "--" if name == "membrane" else "-"


def _draw_after_spike(
    ax: Axes, times: Float64[Array, " time"], spike: dict[str, Float64[Array, " time"]], held: float
) -> None:
    free = times > held
    ax.plot(times[free], spike["margin"][free], color=MODEL, lw=1.5, label="distance to threshold")
    if held:
        ax.axvspan(0, held, color=MUTED, alpha=0.12, lw=0, label="refractory")
    if "membrane" in spike:
        ax.plot(times, spike["membrane"], color=INK, ls="--", lw=1.5, label="membrane")
        ax.plot(times, spike["membrane"] - spike["margin"], color=CONSENSUS, ls=":", lw=1.8, label="threshold")
    set_title(ax, "After one spike")
    add_legend(ax, loc="best")


def _find_settling_time(
    times: Float64[Array, " time"], curves: dict[str, Float64[Array, " time"]], held: float
) -> float:
    """Find the time, ms, after which all curves stay within 2 % of their final values."""
    last = max(float(times[20]), 2 * held)
    free = times > held
    for y in (c[free] for c in curves.values()):
        moving = np.flatnonzero(np.abs(y - y[-1]) > 0.02 * np.ptp(y))
        last = max(last, float(times[free][moving[-1]]) if moving.size else last)
    return min(last * 1.05, float(times[-1]))
