"""The page: the widgets of a session, and their callbacks."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from typing import Any

import panel as pn

from ephysfit.errors import EphysfitError
from ephysfit.explorer import comparison
from ephysfit.explorer.background import Background
from ephysfit.explorer.cell_cards import render_cards
from ephysfit.explorer.run_table import make_run_table
from ephysfit.explorer.session import Session
from ephysfit.explorer.sliders import describe_sliders, show_values
from ephysfit.explorer.traces import Convergence, Traces
from ephysfit.explorer.widgets import ParameterSliders, read_template

#: most models kept for comparison in the raster
DRAWN = 3
FIELDS, PARTS = [read_template("fields.css")], [read_template("parts.css")]
START = -1


class Page:
    """One open page: a session with its widgets."""

    def __init__(self, session: Session, source: str = "") -> None:
        self.session, self.source = session, source
        self.traces, self.convergence = Traces(), Convergence()
        self.job: Background | None = None
        self.document = pn.state.curdoc
        self.quiet = False
        self._make_fields()
        self._make_panes()
        self.span_due = False
        for end in ("start", "end"):
            self.traces.span.on_change(end, self._span_moved)
        self._open_first()

    # widgets

    def _make_fields(self) -> None:
        names = {cell.name: k for k, cell in enumerate(self.session.library.cells)}
        wide: dict[str, Any] = {"sizing_mode": "stretch_width", "stylesheets": FIELDS, "margin": (3, 0)}
        self.cell = pn.widgets.Select(label="Cell", options=names, value=0, **wide)
        self.stimulus_choice = pn.widgets.Select(label="Stimulus", options={}, **wide)
        self.shown = pn.widgets.Select(label="Parameters from", options={}, **wide)
        self.model = pn.widgets.Select(label="Model", options=list(self.session.models), **wide)
        small: dict[str, Any] = {"sizing_mode": "stretch_width", "stylesheets": FIELDS, "margin": (4, 3)}
        self.fit = pn.widgets.Button(label="Fit", color="primary", **small)
        self.auto = pn.widgets.Button(label="Fit auto", **small)
        self.stop = pn.widgets.Button(label="Stop", visible=False, **small)
        self.keep = pn.widgets.Button(label="Keep", **small)
        self.card = pn.widgets.Button(label="Card", **small)
        self.save = pn.widgets.FileDownload(
            callback=self._file, filename="fit.json", label="Save", color="default", **small
        )
        for widget, act in ((self.cell, self._open_cell), (self.stimulus_choice, self._open_stimulus),
                            (self.model, self._open_model), (self.shown, self._open_shown)):  # fmt: skip
            widget.param.watch(self._changed(act), "value")
        for button, press in ((self.fit, self._fit), (self.auto, self._fit_auto), (self.stop, self._stop),
                              (self.keep, self._keep), (self.card, self._measure_card)):  # fmt: skip
            button.on_click(partial(self._pressed, press))

    def _make_panes(self) -> None:
        part: dict[str, Any] = {"sizing_mode": "stretch_width", "stylesheets": PARTS, "margin": (3, 0)}
        self.sliders = ParameterSliders(self._sliders_moved, sizing_mode="stretch_width", margin=(4, 0))
        self.message = pn.pane.HTML("", **part)
        self.tiles = pn.pane.HTML("", **part)
        self.compared = pn.pane.HTML("", visible=False, **part)
        self.progress = pn.pane.HTML("", visible=False, **part)
        self.cards = pn.pane.HTML("", visible=False, **part)
        skipped = self.session.library.skipped
        self.skipped = pn.pane.HTML(comparison.render_skipped(skipped), visible=bool(skipped), **part)
        stretch: dict[str, Any] = {"sizing_mode": "stretch_width", "margin": (6, 0)}
        self.view = pn.pane.Bokeh(self.traces.layout(), **stretch)
        self.curve = pn.Column(pn.pane.Bokeh(self.convergence.plot, **stretch), visible=False, **stretch)
        fits = self.session.library.fits
        self.run = make_run_table(fits, self._jump) if len(fits) > 1 else None

    def side(self) -> Any:
        """Return the column of controls."""
        row = partial(pn.Row, sizing_mode="stretch_width", margin=0)
        return pn.Column(
            self.cell, self.stimulus_choice, self.model, self.shown, row(self.fit, self.auto, self.stop), self.progress,
            row(self.keep, self.card, self.save), self.sliders, sizing_mode="stretch_width", margin=0,
        )  # fmt: skip

    def main(self) -> Any:
        """Return the column of plots and scores."""
        parts = [self.run, self.skipped, self.message, self.tiles, self.view, self.curve, self.compared, self.cards]
        return pn.Column(*(p for p in parts if p is not None), sizing_mode="stretch_width", margin=0)

    def template(self) -> Any:
        """Return the whole page."""
        page = pn.Template(read_template("page.html.j2"))
        page.add_panel("side", self.side())
        page.add_panel("main", self.main())
        page.add_variable("colours", read_template("colours.css"))
        page.add_variable("source", self.source)
        return page

    # callbacks

    def _guarded(self, act: Callable[..., None]) -> Callable[..., None]:
        """Wrap a callback so that an `EphysfitError` is shown on the page."""

        def run(*arguments: Any) -> None:
            try:
                act(*arguments)
            except EphysfitError as error:
                self._show_message(escape(str(error)), bad=True)

        return run

    def _changed(self, act: Callable[[Any], None]) -> Callable[[Any], None]:
        def moved(event: Any) -> None:
            if not self.quiet and event.new is not None:
                self._guarded(act)(event.new)

        return moved

    def _pressed(self, press: Callable[[], None], _: Any) -> None:
        self._guarded(press)()

    def _show_message(self, html: str, bad: bool = False) -> None:
        self.message.object = f'<p class="message now{" bad" if bad else ""}">{html}</p>'

    def _set(self, widget: Any, **values: Any) -> None:
        """Set a widget without triggering its callback."""
        self.quiet = True
        try:
            widget.param.update(**values)
        finally:
            self.quiet = False

    def _open_first(self) -> None:
        """Open the first cell that can be opened, and name those before it that cannot."""
        refused = []
        for index, cell in enumerate(self.session.library.cells):
            try:
                self._open_cell(index)
            except EphysfitError as error:
                refused.append((cell.name, str(error)))
            else:
                break
        if refused:
            self.skipped.object += comparison.render_skipped(refused)
            self.skipped.visible = True
            if len(refused) == len(self.session.library.cells):
                self._show_message(escape(refused[0][1]), bad=True)

    def _open_cell(self, index: int) -> None:
        self._end_fit()
        try:
            self.session.choose_cell(index)
        finally:
            self._set(self.cell, value=index)
        self._list_stimuli(0)
        self._set_sliders()
        self._show_new_stimulus()

    def _list_stimuli(self, value: int) -> None:
        session = self.session
        labels = [f"{s.name} · {session.role(s)}".rstrip(" ·") for s in session.stimuli]
        unique = {label if labels.count(label) == 1 else f"{label} ({k})": k for k, label in enumerate(labels)}
        self._set(self.stimulus_choice, options=unique, value=value)

    def _open_stimulus(self, index: int) -> None:
        self.session.choose_stimulus(index)
        self._show_new_stimulus()

    def _open_model(self, name: str) -> None:
        self.session.choose_model(name)
        self._set_sliders()
        self._show()

    def _open_shown(self, index: int) -> None:
        if index != START:
            self.session.choose_shown(index)
            self._set_sliders()
            self._show()

    def _set_sliders(self) -> None:
        """Set sliders and lists to the current neuron of the session."""
        session = self.session
        options = {s.label: k for k, s in enumerate(session.shown)}
        at = next((k for k, s in enumerate(session.shown) if s is session.now), START)
        if at == START:
            options = {session.now.label: START, **options}
        self._set(self.shown, options=options, value=at)
        self._set(self.model, value=type(session.now.neuron).__name__)
        self.fit.label = f"Fit {type(session.now.neuron).__name__}"
        self.sliders.spec = describe_sliders(session.now.neuron, session.scale)
        self.traces.choose_panels_again()

    def _show_new_stimulus(self) -> None:
        assert self.session.stimulus is not None
        self.traces.show_stimulus(self.session.stimulus)
        self._show()
        self.sliders.repaint += 1

    def _sliders_moved(self, changes: Mapping[str, float]) -> None:
        """Change parameters after a slider has moved."""
        self.session.change_parameters(changes)
        if START not in self.shown.options.values():
            self._set(self.shown, options={self.session.now.label: START, **self.shown.options}, value=START)
        self._guarded(self._show)()

    def _show(self) -> None:
        """Run the neuron on the sliders and show its response."""
        session = self.session
        response = session.compute_response()
        assert session.stimulus is not None
        compared = {
            k.label: session.compute_response(k, runs=0).train
            for k in session.compared[-DRAWN:]
            if k is not session.now
        }
        with pn.io.hold():  # one message for all that changed, so that the browser paints once
            self.traces.show_response(session.stimulus, response, compared, session.scale)
            self.tiles.object = comparison.render_tiles(response.numbers)
            self._show_message(comparison.describe_session(session))
            self._update_card()

    def _span_moved(self, attr: str, old: Any, new: Any) -> None:
        """Redraw the visible stretch at full resolution, once after a series of zooms or moves."""
        if self.span_due or self.document is None:
            return
        self.span_due = True

        def fill() -> None:
            self.span_due = False
            self.traces.redraw()

        self.document.add_timeout_callback(fill, 60)

    # comparing, saving, fitting

    def _keep(self) -> None:
        self.session.keep()
        self._compare()
        self._set_sliders()
        self._show()
        self.sliders.repaint += 1

    def _compare(self) -> None:
        session = self.session
        rows = [(k.label, k.neuron, session.compute_response(k).numbers) for k in session.compared]
        self.compared.object = comparison.render_comparison(rows, session.stimulus.name if session.stimulus else "")
        self.compared.visible = bool(rows)

    def _measure_card(self) -> None:
        """Show the card of the cell and of the neuron on the sliders; hide it where it shows both already."""
        cards, now = self.session.cards, self.session.now
        if cards is None:
            return
        if self.cards.visible and cards.knows(now.neuron):
            self.cards.visible = False
            return
        cards.measure_model(now.neuron, self.session.as_fit)
        self.cards.visible = True
        self._update_card()

    def _update_card(self) -> None:
        """Redraw the card where it is shown: a fit is measured, sliders that move wait for the button."""
        cards, now = self.session.cards, self.session.now
        if not self.cards.visible or cards is None:
            return
        measured = now.fit is not None or cards.knows(now.neuron)
        model = cards.measure_model(now.neuron, self.session.as_fit) if measured else None
        self.cards.object = render_cards(cards.cell, model, now.label)

    def _file(self) -> io.StringIO:
        fit = self.session.as_fit()
        self.save.filename = f"{fit.cell}_{fit.model}.json".replace("/", "_")
        return io.StringIO(json.dumps(fit.to_dict(), indent=1, allow_nan=False) + "\n")

    def _jump(self, cell: int, saved: Any) -> None:
        """Open the cell of a chosen row of the table."""
        self._guarded(self._open_fit)(cell, saved)

    def _open_fit(self, cell: int, saved: Any) -> None:
        self._open_cell(cell)
        at = next((k for k, s in enumerate(self.session.shown) if s.saved is saved), None)
        if at is None:
            self.session.library.open(saved)  # raises the reason why there is no fit
        else:
            self._open_shown(at)

    def _fit(self) -> None:
        name = type(self.session.now.neuron).__name__
        self._start(next((m for m in self.session.own if m.endswith(f":{name}")), name))

    def _fit_auto(self) -> None:
        self._start("auto")

    def _start(self, model: str) -> None:
        self._end_fit()
        training, stimulus = self.session.training, self.session.stimulus
        if self.session.keep_open_fit():  # the fit to beat stays in sight
            self._compare()
        self.convergence.clear()
        self.curve.visible = self.progress.visible = self.stop.visible = True
        self.progress.object = comparison.render_progress("starting", 0.0)
        document = self.document

        def heard(line: Mapping[str, Any]) -> None:
            if document is not None:
                document.add_next_tick_callback(partial(self._guarded(self._line), job, line))

        job = self.job = Background(training, model, stimulus.dt if stimulus else 0.5, heard)
        self.sliders.repaint += 1

    def _stop(self) -> None:
        """Stop the running fit; the best step that it had reached stays on the sliders."""
        self._end_fit()
        self.session.end_following()
        self._set_sliders()
        self._show()

    def _end_fit(self) -> None:
        if self.job is not None and self.job.running:
            self.job.stop()
        self.job = None
        self.stop.visible = self.progress.visible = False

    def _line(self, job: Background, line: Mapping[str, Any]) -> None:
        """Handle a line of the worker."""
        if job is not self.job:
            return
        if "error" in line:
            self._stop()
            self._show_message(f"the fit could not be made: {escape(str(line['error']))}", bad=True)
        elif "fit" in line:
            self._end_fit()
            self.session.add_fit(line["fit"])
            self._list_stimuli(self.stimulus_choice.value or 0)
            self.session.keep()
            self._set_sliders()
            self._show()
            self._compare()
        elif "loss" in line:
            self._step(line)
        else:
            self.progress.object = comparison.render_progress(line["stage"], line["fraction"])

    def _step(self, line: Mapping[str, Any]) -> None:
        """Show a step of the fit: a point of its curve, and its neuron on the sliders and in the plots."""
        best = line["loss"] is not None and self.convergence.add(line["stage"], line["loss"])
        if best and line.get("model") == type(self.session.now.neuron).__name__ and line.get("values"):
            self.session.follow_fit(line["values"])
            self.sliders.values = show_values(self.session.now.neuron, self.session.scale)
            self._show()
