"""Reads a report page strictly: balanced tags, unique ids, everything it would fetch, its JSON and its cells."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "br", "img", "input", "hr", "path", "use", "rect", "line", "circle"}


class Page(HTMLParser):
    """A page taken apart; raises where tags do not balance."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.fetched: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.cells: list[str] = []
        self.words: list[str] = []
        self._attributes: dict[str, str | None] = {}
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if "id" in given:
            self.ids.append(str(given["id"]))
        for name in ("src", "href", "xlink:href", "data", "poster", "action"):
            value = given.get(name)
            if value and not (value.startswith("#") or value.startswith("data:")):
                self.fetched.append(value)
        self.styles.append(given.get("style") or "")
        if tag in ("script", "style"):
            self._attributes = given
        if tag in ("td", "th"):
            self.cells.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append((self._attributes, data))
        elif self.open and self.open[-1] == "style":
            self.styles.append(data)
        else:
            self.words.append(data)
            if any(t in ("td", "th") for t in self.open):
                self.cells[-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def data(self) -> dict[str, Any]:
        """The numbers the page carries as JSON."""
        (found,) = ("".join(t for a, t in self.scripts if a.get("id") == "ephysfit-data"),)
        return json.loads(found)

    def style_fetches(self) -> list[str]:
        """What styles would load."""
        return [u for s in self.styles for u in re.findall(r"@import|url\((?!['\"]?(?:#|data:))[^)]*\)", s)]
