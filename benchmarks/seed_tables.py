"""Sections of docs/seeds.md."""

from __future__ import annotations

from dataclasses import dataclass

Row = tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A section of the page: title, head, rows, and what they say."""

    title: str
    head: Row
    rows: list[Row]
    says: str

    def __str__(self) -> str:
        lines = [f"## {self.title}", "", "| " + " | ".join(self.head) + " |", "|" + "---|" * len(self.head)]
        return "\n".join([*lines, *("| " + " | ".join(r) + " |" for r in self.rows), "", self.says, ""])
