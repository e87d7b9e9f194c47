"""How the site is built: ``make docs``. Nothing is fetched; formulas become MathML, which current browsers draw."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import make_api  # noqa: E402
import make_behaviour  # noqa: E402
import make_commands  # noqa: E402
import make_models  # noqa: E402

from ephysfit import __version__  # noqa: E402

project, author, copyright = "ephysfit", "The ephysfit team", "The ephysfit team, MIT licence"
version = release = __version__
extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx_design", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nb_execution_mode = "off"  # they are executed by `make executed` and checked by `make notebooks`
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
numpydoc_show_class_members = False
autodoc_typehints = "none"
copybutton_exclude = ".linenos, .gp, .go"
suppress_warnings = ["mystnb.unknown_mime_type"]

html_theme = "pydata_sphinx_theme"
html_title = "ephysfit"
html_static_path = ["_static", "pictures"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options: dict[str, Any] = {
    "show_toc_level": 2,
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "navigation_with_keys": False,
}
html_sidebars = {page: [] for page in ("faq", "peers", "index", "changelog", "commands", "gallery", "citing")}


def made(_: Any) -> None:
    """Pages that are made: of models, of the verbs, of the public names; the notebooks, from beside this folder."""
    make_models.main()
    make_behaviour.main()
    make_commands.main()
    make_api.main()
    copies = HERE / "notebooks"
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir()
    for notebook in (HERE.parent / "notebooks").glob("*.ipynb"):
        shutil.copy(notebook, copies / notebook.name)
    (copies / "index.md").write_text(
        "# Notebooks\n\nExecuted as they stand here; their sources lie in `notebooks/` of the repository.\n\n"
        "```{toctree}\n:maxdepth: 1\n:glob:\n\n*\n```\n",
        encoding="utf-8",
    )
    text = (HERE.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    (HERE / "changelog.md").write_text(text, encoding="utf-8")


def add_pictures(_: Any, page: str, source: list[str]) -> None:
    """Pictures of behaviour on the pages of models; the files in the repository have none, nor links to any."""
    if page.startswith("models/"):
        source[0] = make_behaviour.insert(source[0], "../_static")


def mathml(visitor: Any, node: Any, display: str) -> None:
    """A formula as MathML."""
    from docutils import nodes
    from latex2mathml.converter import convert

    text = node.astext().strip()
    if display == "block" and "\\\\" in text and "\\begin" not in text:
        text = f"\\begin{{aligned}}{text}\\end{{aligned}}"
    markup = convert(text, display=display)
    visitor.body.append(f'<div class="formula">{markup}</div>' if display == "block" else markup)
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """What this site adds to Sphinx."""
    app.connect("builder-inited", made)
    app.connect("source-read", add_pictures)
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(lambda visitor, node: mathml(visitor, node, "inline"), None),
        block_renderers=(lambda visitor, node: mathml(visitor, node, "block"), None),
    )


html_math_renderer = "mathml"
