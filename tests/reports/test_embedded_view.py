"""Views are embedded without bokeh where their outline is known; bokeh reads the numbers that were put into them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.models import GlyphRenderer, LegendItem

from ephysfit.reports.bokeh_document import build_document
from ephysfit.reports.embedded_view import embed_view, fill_document
from ephysfit.reports.figures.style import INK, MISSED
from ephysfit.reports.view_outline import SPAN, MarkOutline, PanelOutline, View

PANELS = (
    PanelOutline(
        "", 90, (MarkOutline("ticks", MISSED, ("x", "low", "high"), "missed", 2.2),), "rows", ((0.0, "recorded"),)
    ),
    PanelOutline("voltage (mV)", 120, (MarkOutline("trace", INK, legend="</script> & more", dash="dotted"),)),
)


def view(seed: int = 0, last: float = 5.5) -> View:
    rng = np.random.default_rng(seed)
    ticks = {name: rng.random(7).astype(np.float32) for name in ("x", "low", "high")}
    ranges = {SPAN: {"start": 1.0, "end": 2.5, "bounds": (0, 9.75)}, "rows": {"start": last, "end": -0.8}}
    return View(PANELS, {"ticks": ticks, "trace": {"x": rng.random(300), "y": rng.normal(size=300)}}, ranges)


def read(filled: dict) -> Document:
    """The document as bokeh itself reads it."""
    (text,) = filled.values()
    return Document.from_json(text)


def test_bokeh_reads_the_numbers_that_were_put_in() -> None:
    given = view()
    found = read(fill_document(build_document(PANELS)["document"], given))
    for name, columns in given.columns.items():
        source = found.select_one({"name": name})
        assert list(source.data) == list(columns)
        for column, values in columns.items():
            np.testing.assert_array_equal(source.data[column], np.asarray(values, np.float32))
    span, rows = (found.select_one({"name": name}) for name in (SPAN, "rows"))
    assert (span.start, span.end, list(span.bounds)) == (1.0, 2.5, [0, 9.75])
    assert (rows.start, rows.end) == (5.5, -0.8)


def test_outlines_become_marks_with_their_colours_and_legends() -> None:
    found = read(fill_document(build_document(PANELS)["document"], view()))
    assert {item.label.value for item in found.select({"type": LegendItem})} == {"missed", "</script> & more"}
    glyphs = {r.data_source.name: r.glyph for r in found.select({"type": GlyphRenderer})}
    assert glyphs["ticks"].tags == ["missed"]
    assert glyphs["ticks"].line_width.value == 2.2
    assert glyphs["trace"].tags == ["ink"]
    assert glyphs["trace"].line_dash == [2, 4]


def test_numbers_that_json_lacks_are_written_as_bokeh_writes_them() -> None:
    found = read(fill_document(build_document(PANELS)["document"], view(last=float("nan"))))
    assert np.isnan(found.select_one({"name": "rows"}).start)
    found = read(fill_document(build_document(PANELS)["document"], view(last=-np.inf)))
    assert found.select_one({"name": "rows"}).start == -np.inf


def test_what_stands_in_the_page_is_the_filled_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPHYSFIT_CACHE", str(tmp_path))
    script, div = embed_view(view())
    (text,) = re.findall(r'<script type="application/json" id="ephysfit-view">(.*?)</script>', script, re.DOTALL)
    assert read(json.loads(text)).select_one({"name": "trace"}).data["x"].shape == (300,)
    assert "ephysfit-view" in script.partition("</script>\n<script")[2]
    (place,) = set(re.findall(r'\sid="([^"]+)"', div))
    assert place in script


def test_a_view_of_a_known_outline_imports_no_bokeh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPHYSFIT_CACHE", str(tmp_path))
    one = embed_view(view(seed=1))[0]
    code = """
import sys, numpy as np
from ephysfit.reports.embedded_view import embed_view
from ephysfit.reports.view_outline import MarkOutline, PanelOutline, View
panels = eval(sys.argv[1])
columns = {"ticks": {n: np.zeros(2) for n in ("x", "low", "high")}, "trace": {"x": np.ones(3), "y": np.ones(3)}}
print(len(embed_view(View(panels, columns))[0]), sorted(m for m in sys.modules if m.startswith("bokeh")))
"""
    done = subprocess.run([sys.executable, "-c", code, repr(PANELS)], capture_output=True, text=True, check=True)
    size, _, loaded = done.stdout.strip().partition(" ")
    assert loaded == "[]"
    assert abs(int(size) - len(one)) < 10_000
