"""Render a figure as SVG inside a page: text stays text, colours follow the light or dark scheme of the page."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING

from matplotlib import rc_context

from ephysfit.reports.figures.style import NAMES, fix_layout

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: attributes that hold coordinates; numbers in text stay as they are
_DRAWN = re.compile(r' (?:d|x|y|width|height)="[^"]*"')
_ROUND = re.compile(r"(\d+\.\d{2})\d+")
_REFERENCE = re.compile(r"""(?:url\(#|href="#)([^)"]+)""")


def render_inline_svg(fig: Figure, name: str) -> str:
    """Render a figure as an ``<svg>`` element.

    Parameters
    ----------
    fig : Figure
    name : str
        Prefix of element ids, so that one page can hold several figures.

    Returns
    -------
    str

    Notes
    -----
    Colours of `figures.style` become CSS variables (``var(--ink)``); element ids that nothing refers to are dropped.
    """
    out = StringIO()
    fix_layout(fig)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.family": "sans-serif"}):
        fig.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    for color, variable in NAMES.items():
        text = text.replace(color, f"var(--{variable})")
    text = text.replace("#000000", "var(--ink)").replace("'DejaVu Sans'", "inherit")
    used = set(_REFERENCE.findall(text))
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r"""(url\(#|href="#)([^)"]+)""", rf"\g<1>{name}-\g<2>", text)
    text = re.sub(r'<svg [^>]*viewBox="([^"]+)"[^>]*>', _svg_element(name), text, count=1)
    return _DRAWN.sub(lambda m: _ROUND.sub(r"\1", m[0]), text)


def _svg_element(name: str) -> str:
    return (
        rf'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="\1" '
        rf'role="img" class="figure" aria-label="{name}">'
    )
