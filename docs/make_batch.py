"""Write the schema of a run's tables into docs/batch.md from ephysfit.batch.schema: ``python docs/make_batch.py``."""

from __future__ import annotations

import re
from pathlib import Path

from ephysfit.batch.schema import TABLES, VERSION

PAGE = Path(__file__).with_name("batch.md")


def schema() -> str:
    """The tables as markdown."""
    out = [f"Schema version {VERSION}.", ""]
    for name, columns in TABLES.items():
        out += [f"**{name}**", "", "| column | kind | unit | meaning |", "|---|---|---|---|"]
        out += [f"| `{c.name}` | {c.kind} | {c.unit} | {c.doc} |" for c in columns]
        out.append("")
    return "\n".join(out)


def written(text: str) -> str:
    """The page with its schema made anew."""
    return re.sub(r"(?s)(<!-- schema -->\n).*?(<!-- /schema -->)", lambda m: m[1] + schema() + m[2], text)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
