"""The texts of exported files, as jinja2 templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ephysfit.reports.export.quoting import UnquotedText, find_quoting


def fill_template(name: str, **values: Any) -> str:
    """A template of this folder with values put in; a value it reads and does not get is an error.

    `UnquotedText` text is quoted as the language of the template says.
    """
    quote = find_quoting(name)
    env = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=name.endswith(".xml.j2"),
        finalize=lambda value: quote(value) if isinstance(value, UnquotedText) else value,
    )  # fmt: skip
    env.filters["precise"] = lambda value: repr(float(value))
    return env.get_template(name).render(**values)
