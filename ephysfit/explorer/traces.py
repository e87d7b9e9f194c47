"""The plots of the page: raster, membrane, recorded voltage, current on one time axis, and the loss of a running fit.

Every mark carries the name of its colour as a tag, which the page uses for its light and dark schemes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, Range1d

from ephysfit.arrays import Train
from ephysfit.data.readout import Readout
from ephysfit.explorer.sliders import MV
from ephysfit.explorer.stimulus import Response, ShownStimulus
from ephysfit.neuron.potential_unit import PotentialUnit
from ephysfit.reports import bokeh_panels
from ephysfit.reports.figures.style import (
    CONSENSUS,
    CURRENT,
    EXTRA,
    GRID,
    INK,
    MISSED,
    MODEL,
    NOISY,
    Sampled,
    thin_trace,
)
from ephysfit.reports.view_outline import make_tick_segments

#: most points of a trace on the screen; zooming in adds detail
POINTS = 2000
#: initial length of the view, s
FIRST = 2.5


class Traces:
    """Raster, membrane and current of a stimulus; `show_response` replaces their data only."""

    def __init__(self) -> None:
        self.span = Range1d(start=0.0, end=FIRST, bounds=(0.0, FIRST))
        names = ("hit", "missed", "noisy", "model", "extra", "compared")
        self.ticks = {name: ColumnDataSource({"x": [], "low": [], "high": []}) for name in names}
        lines = ("recorded", "apart", "voltage", "threshold", "current")
        self.lines = {name: ColumnDataSource({"x": [], "y": []}) for name in lines}
        self.raster, self.membrane, self.current = self._raster(), self._membrane(), self._current()
        self.recorded = self._recorded()
        self.full: dict[str, tuple[Sampled, Sampled]] = {}
        self.drawn: dict[str, tuple[float, float, float]] = {}

    def layout(self) -> Any:
        """Return the plots, stacked."""
        return bokeh_panels.stack_panels([self.raster, self.recorded, self.membrane, self.current])

    def _raster(self) -> Any:
        p = make_panel(self.span, "", 200, y_range=Range1d(start=10, end=-1))
        legends = {"hit": "predicted", "missed": "missed", "model": "model", "extra": "extra"}
        colours = {
            "hit": INK,
            "missed": MISSED,
            "noisy": NOISY,
            "model": MODEL,
            "extra": EXTRA,
            "compared": CONSENSUS,
        }
        for name, source in self.ticks.items():
            width = 1.2 if name == "noisy" else 1.8
            bokeh_panels.draw_ticks(p, "x", "low", "high", colours[name], width, legends.get(name, ""), source=source)
        p.ygrid.grid_line_color = None
        p.xaxis.visible = False
        bokeh_panels.place_legend(p)
        return p

    def _membrane(self) -> Any:
        p = make_panel(self.span, "membrane (mV)", 220, y_range=Range1d(start=-100.0, end=50.0))
        draw_line(p, self.lines["recorded"], INK, legend_label="recorded")
        draw_line(p, self.lines["voltage"], MODEL, legend_label="model")
        draw_line(p, self.lines["threshold"], MODEL, line_dash="dotted", legend_label="its threshold")
        p.xaxis.visible = False
        bokeh_panels.place_legend(p)
        return p

    def _recorded(self) -> Any:
        """The recorded voltage in a panel of its own, for a model whose potential is on another scale."""
        p = make_panel(self.span, "recorded (mV)", 170, y_range=Range1d(start=-100.0, end=50.0))
        draw_line(p, self.lines["apart"], INK)
        p.xaxis.visible = p.visible = False
        return p

    def _current(self) -> Any:
        p = make_panel(self.span, "current (pA)", 140, y_range=Range1d(start=-1.0, end=1.0))
        draw_line(p, self.lines["current"], CURRENT)
        p.xaxis.axis_label = "time (s)"
        return p

    def show_stimulus(self, stimulus: ShownStimulus) -> None:
        """Show another stimulus: everything that does not depend on the parameters."""
        end = stimulus.duration / 1e3
        start = min(stimulus.window[0] / 1e3, max(end - FIRST, 0.0))
        self.span.update(bounds=(0.0, end), start=start, end=min(start + FIRST, end))
        current = stimulus.current if stimulus.current.ndim == 1 else stimulus.current[:, 0]
        self.full = {"current": (np.arange(len(current)) * stimulus.dt / 1e3, current)}
        sweep = stimulus.recorded.sweeps[0]
        if sweep.voltage is not None:
            self.full["recorded"] = (sweep.times / 1e3, np.asarray(sweep.voltage))
        low, high = float(current.min()), float(current.max())
        pad = 0.06 * (high - low) + 0.5
        self.current.y_range.update(start=low - pad, end=high + pad)
        self.drawn, self.frame, self.kind = {}, None, None

    def show_response(
        self, stimulus: ShownStimulus, response: Response, compared: Mapping[str, Train], scale: PotentialUnit = MV
    ) -> None:
        """Show a response, its potentials in a unit, and the trains of the models kept for comparison."""
        self._place(stimulus, response, compared)
        times = np.arange(len(response.margin)) * stimulus.dt / 1e3
        has_v = response.voltage is not None
        place = lambda v: (v - scale.origin) / scale.size  # noqa: E731
        v = response.voltage
        self.full["voltage"] = (times, response.margin / scale.size if v is None else place(v))
        self.full["threshold"] = (
            (times, place(response.threshold)) if response.threshold is not None else (times[[0, -1]], np.zeros(2))
        )
        if self.kind is not type(response.neuron):  # panels do not come and go while a slider moves
            self.kind = type(response.neuron)
            recorded = self.full.get("recorded")
            alike = v is not None and scale.name == "mV" and recorded is not None and share_scale(recorded[1], v)
            self.mixed = recorded is None or alike
            self.recorded.visible = not self.mixed
            self.membrane.legend[0].items[0].visible = self.mixed and recorded is not None
        label = f"membrane ({scale.name})" if has_v else f"to threshold ({scale.name})"
        if self.membrane.yaxis[0].axis_label != label:
            self.membrane.yaxis[0].axis_label = label
        self.redraw()

    def choose_panels_again(self) -> None:
        """Decide at the next response whether recorded and model voltage share a panel."""
        self.kind = None

    def redraw(self) -> None:
        """Redraw the visible stretch at full resolution."""
        start, end = self.visible
        margin = 0.25 * (end - start)
        for name, source in self.lines.items():
            trace = "recorded" if name == "apart" else name
            if trace not in self.full or (name == "recorded" and not self.mixed) or (name == "apart" and self.mixed):
                if len(source.data["x"]):
                    source.data = {"x": [], "y": []}
                    self.drawn.pop(name, None)
            elif trace in ("recorded", "current"):
                self._fill_once(name, trace, (start, end, margin))
            else:
                source.data = self._cut_visible(name, start - margin, end + margin)
        for name, trains in self.trains.items():
            self.ticks[name].data = _make_visible_segments(trains, start - margin, end + margin)
        self._fit_range(start, end)

    @property
    def visible(self) -> tuple[float, float]:
        """Visible stretch (start, stop), s."""
        span: Any = self.span
        return float(span.start), float(span.end)

    mixed = True
    kind: type | None = None
    trains: Mapping[str, list[tuple[Train, float]]] = {}

    def _fill_once(self, name: str, trace: str, where: tuple[float, float, float]) -> None:
        """Send a trace that does not depend on the parameters, only after a zoom."""
        if self.drawn.get(name) != where:
            self.drawn[name] = where
            start, end, margin = where
            self.lines[name].data = self._cut_visible(trace, start - margin, end + margin)
            if name == "apart":
                low, high = _find_limits([self.lines[name]], start, end)
                self.recorded.y_range.update(start=low, end=high)

    def _cut_visible(self, name: str, start: float, end: float) -> dict[str, Any]:
        x, y = self.full[name]
        inside = slice(np.searchsorted(x, start), np.searchsorted(x, end) + 1)
        a, b = thin_trace(x[inside], y[inside], POINTS)
        return {"x": a.astype(np.float32), "y": b.astype(np.float32)}

    def _fit_range(self, start: float, end: float) -> None:
        """Fit the axis of the membrane to the visible data; while sliders move it only widens."""
        low, high = _find_limits([self.lines[n] for n in ("recorded", "voltage", "threshold")], start, end)
        if self.frame != (start, end, self.mixed):
            self.frame, self.limits = (start, end, self.mixed), (low, high)
        elif low < self.limits[0] or high > self.limits[1]:
            self.limits = (min(low, self.limits[0]), max(high, self.limits[1]))
        else:
            return
        self.membrane.y_range.update(start=self.limits[0], end=self.limits[1])

    frame: tuple[float, float, bool] | None = None
    limits = (-100.0, 50.0)

    def _place(self, stimulus: ShownStimulus, response: Response, compared: Mapping[str, Train]) -> None:
        """Place trains on rows: repeats, model, models kept for comparison, noisy runs."""
        repeats = stimulus.recorded.spike_times
        row = len(repeats) + 1.0
        names = {(len(repeats) - 1) / 2: f"recorded × {len(repeats)}" if len(repeats) > 1 else "recorded", row: "model"}
        found: dict[str, list[tuple[Train, float]]] = {name: [] for name in self.ticks}
        for k, (spikes, matched) in enumerate(zip(repeats, response.hits.predicted, strict=True)):
            found["hit"].append((spikes[matched], float(k)))
            found["missed"].append((spikes[~matched], float(k)))
        found["model"] = [(response.train[response.hits.shared], row)]
        found["extra"] = [(response.train[~response.hits.shared], row)]
        for label, train in compared.items():
            row += 1.5
            found["compared"].append((train, row))
            names[row] = label
        if response.noisy:
            row += 2.0
            found["noisy"] = [(t, row + k) for k, t in enumerate(response.noisy)]
            names[row + (len(response.noisy) - 1) / 2] = Readout.NOISY
            row += len(response.noisy) - 1
        self.trains = found
        self._rows(row, names)

    def _rows(self, last: float, names: Mapping[float, str]) -> None:
        height = int(np.clip(70 + 9.0 * last, 130, 420))
        labels = {float(k): v for k, v in names.items()}
        if self.raster.height != height or self.raster.yaxis[0].major_label_overrides != labels:
            self.raster.y_range.update(start=last + 0.8, end=-0.8)
            self.raster.yaxis[0].ticker = list(labels)
            self.raster.yaxis[0].major_label_overrides = labels
            self.raster.height = height


def _find_limits(sources: Sequence[ColumnDataSource], start: float, end: float) -> tuple[float, float]:
    """Limits of an axis that holds what is visible of some lines, with a margin; a default where nothing is."""
    shown = [(np.asarray(s.data["x"]), np.asarray(s.data["y"])) for s in sources]
    values = np.concatenate([np.empty(0), *(y[(x >= start) & (x <= end)] for x, y in shown)])
    values = values[np.isfinite(values)]
    if not values.size:
        return -100.0, 50.0
    low, high = float(values.min()), float(values.max())
    pad = 0.06 * (high - low) + 0.5
    return low - pad, high + pad


def share_scale(recorded: Sampled, model: Sampled) -> bool:
    """Whether two potentials can be read on one axis: at least half of the narrower range lies in the other.

    Ranges hold the middle 90 %, so that spikes, which a point neuron does not draw, do not count.

    Examples
    --------
    >>> cell = np.linspace(-80.0, -50.0, 100)
    >>> share_scale(cell, cell + 5.0), share_scale(cell, 0.1 * cell)
    (True, False)
    """
    if not (np.isfinite(recorded).any() and np.isfinite(model).any()):
        return False
    (a, b), (c, d) = (np.nanquantile(v, (0.05, 0.95)) for v in (recorded, model))
    return bool(min(b, d) - max(a, c) >= 0.5 * min(b - a, d - c))


class Convergence:
    """The loss of a running fit by step, one line per stage."""

    def __init__(self) -> None:
        self.source = ColumnDataSource({"x": [], "y": []})
        self.now = ColumnDataSource({"x": [], "y": []})
        p = make_panel(Range1d(start=0.0, end=10.0), "loss per spike", 170, y_range=Range1d(start=0.0, end=1.0))
        p.toolbar_location = None
        draw_line(p, self.source, MODEL)
        dot = p.scatter("x", "y", source=self.now, size=7, line_color=MODEL, fill_color=None, line_width=2)
        bokeh_panels.tag_colour(dot, MODEL)
        p.xaxis.axis_label = "step of the fit"
        self.plot = p
        self.points: list[tuple[float, float]] = []
        self.stage = ""

    def clear(self) -> None:
        """Clear the curve."""
        self.points, self.stage = [], ""
        self.source.data = self.now.data = {"x": [], "y": []}

    def add(self, stage: str, loss: float) -> bool:
        """Add a step and return whether its loss is the lowest so far.

        The lowest loss so far is drawn, because several starts run side by side. A new stage has another kind of loss
        and starts a new line.
        """
        if stage != self.stage:
            self.clear()
            self.stage = stage
            unit = "nats per spike" if stage == "likelihood" else f"loss ({stage})"
            self.plot.yaxis[0].axis_label = unit
        best = not self.points or loss <= self.points[-1][1]
        self.points.append((len(self.points) + 1.0, loss if best else self.points[-1][1]))
        x, y = map(np.array, zip(*self.points, strict=True))
        self.source.data = {"x": x, "y": y}
        self.now.data = {"x": x[-1:], "y": y[-1:]}
        # scale to the late steps: a poor start must not compress them
        low, high = float(y.min()), float(np.percentile(y, 75.0))
        pad = 0.08 * (high - low) + 1e-3
        self.plot.y_range.update(start=low - pad, end=high + pad)
        self.plot.x_range.update(start=0.0, end=max(len(x) * 1.05, 10.0))
        return best


def make_panel(span: Any, label: str, height: int, **options: Any) -> Any:
    """Make an empty plot for live data: more room for numbers, fewer grid lines."""
    p = bokeh_panels.make_panel(span, label, height, left=96, **options)
    p.toolbar.logo = None
    p.xaxis.minor_tick_line_color = None
    p.grid.grid_line_color = GRID
    return p


def draw_line(p: Any, source: Any, color: str, **options: Any) -> None:
    """Draw a line of a source in one of the colours of `style`."""
    bokeh_panels.draw_line(p, "x", "y", color, source=source, **{"line_width": 1.3, **options})


def _make_visible_segments(trains: Sequence[tuple[Train, float]], start: float, end: float) -> dict[str, Any]:
    """Convert the spikes between two times (s) to tick segments."""
    return make_tick_segments(
        [(t[np.searchsorted(t, 1e3 * start) : np.searchsorted(t, 1e3 * end)], row) for t, row in trains]
    )
