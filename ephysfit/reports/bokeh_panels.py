"""Draw panels, lines, spike ticks and legends of zoomable views (bokeh), for the report and the explorer.

Every mark carries the name of its colour as a tag; the page uses it to set the colours of its light or dark scheme.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.layouts import gridplot
from bokeh.models import CustomJS, WheelZoomTool
from bokeh.plotting import figure

from ephysfit.reports.figures.style import NAMES


def make_panel(span: Any, label: str, height: int, *, left: int = 84, **options: Any) -> Any:
    """Make an empty panel in the style of the page.

    Parameters
    ----------
    span : bokeh range
        Range of the x axis; panels that share it move together.
    label : str
        Label of the y axis.
    height, left : int
        Height of the panel and minimum width of its left border, pixels.
    **options
        Arguments of `bokeh.plotting.figure`.
    """
    p = figure(height=height, x_range=span, sizing_mode="stretch_width", tools="xpan,xbox_zoom,reset",
               output_backend="canvas", **options)  # fmt: skip
    wheel = WheelZoomTool(dimensions="width")
    p.add_tools(wheel)
    p.toolbar.active_scroll = wheel
    p.yaxis.axis_label = label
    p.yaxis.minor_tick_line_color = None
    p.min_border_left = left
    p.background_fill_alpha = p.border_fill_alpha = 0.0
    p.outline_line_color = None
    p.grid.grid_line_alpha = 0.35
    p.axis.tags = ["axis"]
    p.grid.tags = ["rule"]
    return p


def tag_colour(renderer: Any, color: str) -> Any:
    """Tag a mark with the name of its colour."""
    renderer.glyph.tags = [NAMES[color]]
    return renderer


def draw_line(p: Any, x: Any, y: Any, color: str, **options: Any) -> None:
    """Draw a line in one of the colours of `style`; `x` and `y` are arrays, or columns of a `source`."""
    tag_colour(p.line(x, y, line_color=color, **{"line_width": 1.2, **options}), color)


def draw_ticks(p: Any, x: Any, low: Any, high: Any, color: str, width: float, legend: str = "", **options: Any) -> None:
    """Draw spikes of one colour as ticks, given as arrays or as columns of a `source`."""
    named = {"legend_label": legend} if legend else {}
    tag_colour(p.segment(x, low, x, high, line_color=color, line_width=width, **named, **options), color)


#: script of a legend: as many entries side by side as the width of the panel (px) holds
FIT_LEGEND = """
const columns = Math.max(1, Math.min(legend.items.length, Math.floor(cb_obj.inner_width / entry)));
if (legend.ncols !== columns) legend.ncols = columns;
"""


def place_legend(p: Any) -> None:
    """Place the legend of a panel, if it has one, above it: on one line, or on several where the page is narrow."""
    if not p.legend:
        return
    item = p.legend[0]
    item.update(orientation="horizontal", background_fill_alpha=0.0, border_line_alpha=0.0, padding=2, margin=2,
                label_text_font_size="11px", glyph_height=14, tags=["legend"])  # fmt: skip
    p.add_layout(item, "above")
    # bokeh clips what does not fit on the line and wraps nothing by itself
    longest = max(len(entry.label.value) for entry in item.items)
    p.js_on_change("inner_width", CustomJS(args={"legend": item, "entry": 30 + 6 * longest}, code=FIT_LEGEND))


def stack_panels(panels: Sequence[Any]) -> Any:
    """Stack panels under each other, with one toolbar."""
    return gridplot([[p] for p in panels], sizing_mode="stretch_width", toolbar_location="above",
                    toolbar_options={"logo": None})  # fmt: skip
