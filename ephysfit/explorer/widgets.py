"""The page's own widget (sliders of a neuron) and the styles of panel's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import param
from panel.custom import JSComponent

TEMPLATES = Path(__file__).with_name("templates")


def read_template(name: str) -> str:
    """A file of the templates."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


class ParameterSliders(JSComponent):
    """Sliders of a neuron's parameters.

    The page sends one question at a time (an id and the changed values by flat name); `answer` set to that id says that
    everything it changed has been sent.
    """

    spec = param.List(doc="groups as of `sliders.groups`; a new list builds the sliders anew")
    values = param.Dict(default={}, doc="values by flat name, set from here")
    answer = param.Integer(default=0)
    repaint = param.Integer(default=0, doc="a change gives the plots the colours of the page again")

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
