"""Inline figures follow the page's scheme and keep their text."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np

from ephysfit.reports.figures.style import INK, MODEL, NAMES, add_legend, draw_ticks, make_axes, make_figure, thin_trace
from ephysfit.reports.svg import render_inline_svg


def _svg() -> str:
    fig = make_figure(4, 3)
    ax = make_axes(fig)
    ax.plot([0, 1], [0, 1], color=MODEL, label="KS 0.12345 of 3.14159")
    draw_ticks(ax, np.array([0.25, 0.5]), 0.5, INK)
    add_legend(ax)
    return render_inline_svg(fig, "test")


def test_svg_is_xml_with_themed_colours_and_whole_text() -> None:
    text = _svg()
    ET.fromstring(text)
    assert not [c for c in NAMES if c in text]
    assert "var(--model)" in text
    assert "KS 0.12345 of 3.14159" in text


def test_ids_carry_the_name_and_are_all_used() -> None:
    import re

    text = _svg()
    ids = re.findall(r' id="([^"]+)"', text)
    assert ids
    assert all(i.startswith("test-") and (f"#{i}" in text) for i in ids)


def test_ticks_of_a_train_are_one_path() -> None:
    ax = make_axes(make_figure(4, 3))
    draw_ticks(ax, np.arange(500.0), 0.0, INK)
    assert len(ax.get_lines()) == 1


def test_thinning_keeps_every_peak() -> None:
    rng = np.random.default_rng(0)
    t, v = np.arange(100_000.0), rng.standard_normal(100_000)
    v[[17, 50_001, 99_999]] = [40.0, -40.0, 50.0]
    x, y = thin_trace(t, v, 2000)
    assert len(x) <= 2000
    assert {40.0, -40.0, 50.0} <= set(y.tolist())
    assert (np.diff(x) > 0).all()
    np.testing.assert_array_equal(v[x.astype(int)], y)
