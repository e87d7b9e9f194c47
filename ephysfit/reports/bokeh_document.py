"""Build the bokeh document of a zoomable view from its outline; numbers of a cell are put into it afterwards.

Importing bokeh and building a document takes longer than all else that a report needs for its view, and the document of
two cells differs only in what `embedded_view.fill_document` puts in. So what is built here holds names in place of
traces, trains and ranges, and is kept on disk.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from bokeh.core.json_encoder import serialize_json
from bokeh.core.types import ID
from bokeh.document import Document
from bokeh.embed.elements import div_for_render_item, script_for_render_items
from bokeh.embed.util import standalone_docs_json_and_render_items
from bokeh.models import ColumnDataSource, Range1d
from bokeh.resources import Resources

from ephysfit.reports.bokeh_panels import draw_line, draw_ticks, make_panel, place_legend, stack_panels
from ephysfit.reports.view_outline import SPAN, PanelOutline

#: element of the page that holds the document
ELEMENT = "ephysfit-view"


def build_document(outline: tuple[PanelOutline, ...]) -> dict[str, Any]:
    """Build the document of panels that share one time axis in seconds.

    Returns
    -------
    dict
        ``library``, ``script`` and ``div`` as HTML; ``document`` as plain values, with the names of the outline where
        numbers belong; ``element``, the id of the element from which the script reads the document.
    """
    span = Range1d(start=0, end=1, bounds=(0, 1), name=SPAN)
    panels = [_build_panel(span, part) for part in outline]
    for p in panels[:-1]:
        p.xaxis.visible = False
    panels[-1].xaxis.axis_label = "time (s)"
    panels[-1].height += 40
    document = Document()
    document.add_root(stack_panels(panels))
    found, (item,) = standalone_docs_json_and_render_items(document)
    # only bokeh's own text: render_js() would add files of whatever extension this process has loaded (the explorer)
    own = Resources(mode="inline", components=["bokeh"]).js_raw
    return {
        "library": "".join(f'<script type="text/javascript">\n{text}\n</script>\n' for text in own),
        "script": f'<script type="text/javascript">\n{script_for_render_items(ID(ELEMENT), [item])}\n</script>\n',
        "div": str(div_for_render_item(item)),
        "document": json.loads(serialize_json(found)),
        "element": ELEMENT,
    }


def _build_panel(span: Any, part: PanelOutline) -> Any:
    ranged: dict[str, Any] = {"y_range": Range1d(start=0, end=1, name=part.y_range)} if part.y_range else {}
    p = make_panel(span, part.label, part.height, **ranged)
    for mark in part.marks:
        columns = {name: np.zeros(1, np.float32) for name in mark.columns}
        source = ColumnDataSource(columns, name=mark.name)
        if "low" in columns:
            draw_ticks(p, "x", "low", "high", mark.color, mark.width, mark.legend, source=source)
        else:
            named = {"legend_label": mark.legend} if mark.legend else {}
            draw_line(p, "x", "y", mark.color, source=source, line_dash=mark.dash, **named)
    if part.rows:
        p.yaxis.ticker = [at for at, _ in part.rows]
        p.yaxis.major_label_overrides = dict(part.rows)
        p.ygrid.grid_line_color = None
    place_legend(p)
    return p
