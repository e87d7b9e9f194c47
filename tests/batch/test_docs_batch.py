"""The page of batches carries the schema as it is declared."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_schema_on_the_page_is_the_declared_one():
    spec = importlib.util.spec_from_file_location("make_batch", DOCS / "make_batch.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    text = (DOCS / "batch.md").read_text(encoding="utf-8")
    assert made.written(text) == text
