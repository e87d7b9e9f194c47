"""Make the zoomable view of a fit: raster, membrane and current on one time axis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ephysfit.arrays import Trace, Train, Trains
from ephysfit.metrics.trains import cut
from ephysfit.metrics.variance import mean_rate
from ephysfit.reports.embedded_view import embed_view
from ephysfit.reports.evidence import READOUTS, Evidence
from ephysfit.reports.figures.rates import SIGMA
from ephysfit.reports.figures.style import CURRENT, EXTRA, INK, MISSED, MODEL, READOUT, Sampled, thin_trace
from ephysfit.reports.view_outline import SPAN, MarkOutline, PanelOutline, View, make_tick_segments

#: most points of a trace in the page; longer traces are thinned to their extremes
POINTS = 24_000
#: most noisy runs that are shown
DRAWN = 20
#: most spikes of a readout in the page; for long records fewer runs are shown, but at least one
SPIKES = 20_000
#: longest stretch in the initial view, ms
FIRST = 2500.0


def make_zoomable_view(evidence: Evidence) -> tuple[str, str]:
    """Make the view as (script, div), which are embedded in the page; nothing is loaded from the network.

    Panels share one time axis in seconds: drag to move, wheel to zoom, box to zoom into. Each mark
    carries the name of a CSS variable as a tag, which the page uses to set the colours of its light or dark scheme.
    """
    return embed_view(make_view(evidence))


def make_view(evidence: Evidence) -> View:
    """Make outlines and numbers of the view."""
    start, stop = evidence.stretch
    end = evidence.stimulus.duration / 1e3
    numbers = _Numbers()
    numbers.ranges[SPAN] = {"start": start / 1e3, "end": min(stop, start + FIRST) / 1e3, "bounds": (0, end)}
    panels = (
        _make_raster(evidence, numbers),
        *_make_membrane_panels(evidence, numbers),
        _make_rate_panel(evidence, numbers),
        _make_current_panel(evidence, numbers),
    )
    return View(panels, numbers.columns, numbers.ranges)


class _Numbers:
    """The numbers of a view, each set under a name of its own."""

    def __init__(self) -> None:
        self.columns: dict[str, dict[str, Sampled]] = {}
        self.ranges: dict[str, dict[str, Any]] = {}

    def add_line(
        self, times: Sampled, values: Sampled, color: str, legend: str = "", dash: str = "solid"
    ) -> MarkOutline:
        """Add a trace (ms), thinned."""
        x, y = thin_trace(times, values, POINTS)
        name = f"mark {len(self.columns)}"
        self.columns[name] = {"x": x / 1e3, "y": y}
        return MarkOutline(name, color, legend=legend, dash=dash)

    def add_trains(
        self, trains: list[tuple[Train, float]], color: str, width: float = 1.4, legend: str = ""
    ) -> MarkOutline:
        """Add spike trains (ms) with their rows."""
        name = f"mark {len(self.columns)}"
        self.columns[name] = make_tick_segments(trains)
        return MarkOutline(name, color, ("x", "low", "high"), legend, width)

    def add_range(self, first: float, last: float) -> str:
        """Add the range of a y axis."""
        name = f"range {len(self.ranges)}"
        self.ranges[name] = {"start": first, "end": last}
        return name


def _make_raster(evidence: Evidence, numbers: _Numbers) -> PanelOutline:
    hits, repeats, row = evidence.agreement, evidence.repeats, 0.0
    names = {(len(repeats) - 1) / 2: "recorded"}
    seen, missed = [], []
    for spikes, found in zip(repeats, hits.predicted, strict=True):
        seen.append((spikes[found], row))
        missed.append((spikes[~found], row))
        row += 1
    model, extra = [], []
    for name in evidence.readouts:
        drawn = _first_runs(evidence.runs(name))
        row += 1.0
        names[row + (len(drawn) - 1) / 2] = READOUTS[name]
        model.append((name, [(spikes, row + k) for k, spikes in enumerate(drawn)]))
        if name == evidence.single:
            extra = [(drawn[0][~hits.shared], row)]
        row += len(drawn)
    marks = [
        numbers.add_trains(seen, INK, legend="recorded and predicted"),
        numbers.add_trains(missed, MISSED, 2.2, legend="recorded, missed"),
        *(numbers.add_trains(trains, READOUT[name], 1.2 if len(trains) > 1 else 2.0) for name, trains in model),
        numbers.add_trains(extra, EXTRA, 2.4, legend="predicted, not recorded"),
    ]
    return PanelOutline("", int(60 + 8.5 * row), tuple(marks), numbers.add_range(row - 0.3, -0.8), tuple(names.items()))


def _first_runs(runs: Trains) -> list[Train]:
    """Select the first runs, limited by `DRAWN` and `SPIKES`."""
    total = np.cumsum([len(t) for t in runs[:DRAWN]])
    return list(runs[: max(int((total <= SPIKES).sum()), 1)])


def _make_membrane_panels(evidence: Evidence, numbers: _Numbers) -> list[PanelOutline]:
    """Outline the recorded and the model's voltage, in one panel where they are in the same mV."""
    recorded = _make_recorded_panel(evidence, numbers)
    panels = [] if recorded is None else [recorded]
    v, u = evidence.membrane(), evidence.trace("margin")
    if v is not None and u is not None:
        times = np.arange(len(v)) * evidence.noise_free_run.dt
        marks = [
            numbers.add_line(times, v, MODEL, "model"),
            numbers.add_line(times, evidence.threshold(), MODEL, "its threshold", "dotted"),
        ]
        if recorded is not None and evidence.shares_units:
            return [replace(recorded, marks=(*recorded.marks, *marks))]
        panels.append(PanelOutline(evidence.model_axis, 190, tuple(marks)))
    elif u is not None:
        times, u = evidence.distance()
        shown = numbers.add_range(*_find_axis_range(np.append(u, 0.0)))
        mark = numbers.add_line(times, u, MODEL, "model: distance to threshold")
        panels.append(PanelOutline(evidence.model_axis, 150, (mark,), shown))
    return panels


def _make_recorded_panel(evidence: Evidence, numbers: _Numbers) -> PanelOutline | None:
    """Outline the recorded voltage of the first repeat; None where there is none."""
    sweep = evidence.stimulus.sweeps[0]
    if sweep.voltage is None:
        return None
    known = np.isfinite(sweep.voltage)
    label = evidence.model_axis if evidence.shares_units else "recorded (mV)"
    first, last = (int(t / sweep.dt) for t in evidence.stretch)
    shown = numbers.add_range(*_find_axis_range(sweep.voltage[known], sweep.voltage[first:last]))
    mark = numbers.add_line(sweep.times[known], sweep.voltage[known], INK, "recorded, repeat 1")
    return PanelOutline(label, 190, (mark,), shown)


def _find_axis_range(values: Trace, shown: Trace | None = None) -> tuple[float, float]:
    """Find an axis range that holds the peaks, 99 % of the values and all values of the initial view.

    Deep troughs elsewhere, usually artefacts, are left out so that they do not compress the axis.
    """
    low, high = float(np.percentile(values, 1.0)), float(values.max())
    low = low if shown is None else float(np.nanmin([low, *shown[np.isfinite(shown)]]))
    margin = 0.08 * (high - low) + 1e-6
    return low - margin, high + margin


def _make_rate_panel(evidence: Evidence, numbers: _Numbers) -> PanelOutline:
    duration = evidence.stimulus.duration
    marks = []
    for trains, color, label in (
        (evidence.repeats, INK, "recorded, mean"),
        (evidence.runs(evidence.many), MODEL, f"model, {READOUTS[evidence.many]}"),
    ):
        values = mean_rate(cut(list(trains), 0.0, duration), duration, SIGMA)
        marks.append(numbers.add_line(np.arange(len(values)) + 0.5, values, color, label))
    return PanelOutline("rate (Hz)", 130, tuple(marks))


def _make_current_panel(evidence: Evidence, numbers: _Numbers) -> PanelOutline:
    s = evidence.stimulus
    mark = numbers.add_line(np.arange(len(s.current)) * s.dt, s.current, CURRENT)
    return PanelOutline("current (pA)", 120, (mark,))
