"""Make the zoomable view of a fit: raster, membrane and current on one time axis (bokeh)."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.embed import components
from bokeh.models import Range1d
from bokeh.resources import Resources

from ephysfit.arrays import Trace, Train, Trains
from ephysfit.metrics.trains import cut
from ephysfit.metrics.variance import mean_rate
from ephysfit.reports.bokeh_panels import (
    draw_line,
    draw_ticks,
    make_panel,
    make_tick_segments,
    place_legend,
    stack_panels,
)
from ephysfit.reports.evidence import READOUTS, Evidence
from ephysfit.reports.figures.rates import SIGMA
from ephysfit.reports.figures.style import CURRENT, EXTRA, INK, MISSED, MODEL, READOUT, Sampled, thin_trace

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
    start, stop = evidence.stretch
    end = evidence.stimulus.duration / 1e3
    span = Range1d(start=start / 1e3, end=min(stop, start + FIRST) / 1e3, bounds=(0, end))
    panels = [
        _make_raster(evidence, span),
        *_make_membrane_panels(evidence, span),
        _make_rate_panel(evidence, span),
        _make_current_panel(evidence, span),
    ]
    for p in panels[:-1]:
        p.xaxis.visible = False
    panels[-1].xaxis.axis_label = "time (s)"
    panels[-1].height += 40
    script, div = components(stack_panels(panels))
    # only bokeh's own text: render_js() would add files of whatever extension this process has loaded (the explorer)
    own = Resources(mode="inline", components=["bokeh"]).js_raw
    library = "".join(f'<script type="text/javascript">\n{text}\n</script>\n' for text in own)
    return library + script, div


def _draw_thinned_line(p: Any, times: Sampled, values: Sampled, color: str, **options: Any) -> None:
    x, y = thin_trace(times, values, POINTS)
    draw_line(p, (x / 1e3).astype(np.float32), y.astype(np.float32), color, **options)


def _draw_trains(p: Any, trains: list[tuple[Train, float]], color: str, width: float = 1.4, legend: str = "") -> None:
    draw_ticks(p, **make_tick_segments(trains), color=color, width=width, legend=legend)


def _make_raster(evidence: Evidence, span: Any) -> Any:
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
    p = make_panel(span, "", int(60 + 8.5 * row), y_range=(row - 0.3, -0.8))
    _draw_trains(p, seen, INK, legend="recorded and predicted")
    _draw_trains(p, missed, MISSED, 2.2, legend="recorded, missed")
    for name, trains in model:
        _draw_trains(p, trains, READOUT[name], 1.2 if len(trains) > 1 else 2.0)
    _draw_trains(p, extra, EXTRA, 2.4, legend="predicted, not recorded")
    p.yaxis.ticker = list(names)
    p.yaxis.major_label_overrides = names
    p.ygrid.grid_line_color = None
    place_legend(p)
    return p


def _first_runs(runs: Trains) -> list[Train]:
    """Select the first runs, limited by `DRAWN` and `SPIKES`."""
    total = np.cumsum([len(t) for t in runs[:DRAWN]])
    return list(runs[: max(int((total <= SPIKES).sum()), 1)])


def _make_membrane_panels(evidence: Evidence, span: Any) -> list[Any]:
    """Draw the recorded and the model's voltage, in one panel where they are in the same mV."""
    panels = [p for p in (_make_recorded_panel(evidence, span),) if p is not None]
    v, u = evidence.membrane(), evidence.trace("margin")
    if v is not None and u is not None:
        p = panels[0] if panels and evidence.shares_units else make_panel(span, evidence.model_axis, 190)
        times = np.arange(len(v)) * evidence.noise_free_run.dt
        _draw_thinned_line(p, times, v, MODEL, legend_label="model")
        _draw_thinned_line(p, times, evidence.threshold(), MODEL, line_dash="dotted", legend_label="its threshold")
        panels = list(dict.fromkeys([*panels, p]))
    elif u is not None:
        times, u = evidence.distance()
        p = make_panel(span, evidence.model_axis, 150, y_range=_find_axis_range(np.append(u, 0.0)))
        _draw_thinned_line(p, times, u, MODEL, legend_label="model: distance to threshold")
        panels.append(p)
    for p in panels:
        place_legend(p)
    return panels


def _make_recorded_panel(evidence: Evidence, span: Any) -> Any:
    """Draw the recorded voltage of the first repeat; None where there is none."""
    sweep = evidence.stimulus.sweeps[0]
    if sweep.voltage is None:
        return None
    known = np.isfinite(sweep.voltage)
    label = evidence.model_axis if evidence.shares_units else "recorded (mV)"
    first, last = (int(t / sweep.dt) for t in evidence.stretch)
    p = make_panel(span, label, 190, y_range=_find_axis_range(sweep.voltage[known], sweep.voltage[first:last]))
    _draw_thinned_line(p, sweep.times[known], sweep.voltage[known], INK, legend_label="recorded, repeat 1")
    return p


def _find_axis_range(values: Trace, shown: Trace | None = None) -> tuple[float, float]:
    """Find an axis range that holds the peaks, 99 % of the values and all values of the initial view.

    Deep troughs elsewhere, usually artefacts, are left out so that they do not compress the axis.
    """
    low, high = float(np.percentile(values, 1.0)), float(values.max())
    low = low if shown is None else float(np.nanmin([low, *shown[np.isfinite(shown)]]))
    margin = 0.08 * (high - low) + 1e-6
    return low - margin, high + margin


def _make_rate_panel(evidence: Evidence, span: Any) -> Any:
    p = make_panel(span, "rate (Hz)", 130)
    duration = evidence.stimulus.duration
    for trains, color, label in (
        (evidence.repeats, INK, "recorded, mean"),
        (evidence.runs(evidence.many), MODEL, f"model, {READOUTS[evidence.many]}"),
    ):
        values = mean_rate(cut(list(trains), 0.0, duration), duration, SIGMA)
        _draw_thinned_line(p, np.arange(len(values)) + 0.5, values, color, legend_label=label)
    place_legend(p)
    return p


def _make_current_panel(evidence: Evidence, span: Any) -> Any:
    s = evidence.stimulus
    p = make_panel(span, "current (pA)", 120)
    _draw_thinned_line(p, np.arange(len(s.current)) * s.dt, s.current, CURRENT)
    return p
