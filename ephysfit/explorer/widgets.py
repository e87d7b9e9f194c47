"""The widget of the parameter sliders, and templates of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import param
from panel.custom import JSComponent

TEMPLATES = Path(__file__).with_name("templates")


def read_template(name: str) -> str:
    """Read a template file."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


class ParameterSliders(JSComponent):
    """Sliders of a neuron's parameters.

    The page sends one request at a time (an id and the changed values by flat name); setting `answer` to that id
    confirms that all resulting changes have been sent.
    """

    spec = param.List(doc="groups as of `sliders.describe_sliders`; a new list rebuilds the sliders")
    values = param.Dict(default={}, doc="values by flat name, set by the server")
    answer = param.Integer(default=0)
    repaint = param.Integer(default=0, doc="a change sets the colours of the plots to those of the page")

    _esm = read_template("sliders.js")
    _stylesheets: ClassVar[list[str]] = [read_template("parts.css")]

    def __init__(self, listener: Callable[[Mapping[str, float]], None], **params: Any) -> None:
        super().__init__(**params)
        self._listener = listener

    def _handle_msg(self, data: Any) -> None:
        changes = data.get("changes") if isinstance(data, Mapping) else None
        if isinstance(changes, Mapping):
            self._listener(changes)
        if isinstance(data, Mapping) and isinstance(data.get("id"), int):
            self.answer = data["id"]
