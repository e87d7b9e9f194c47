"""Phrases that no documentation, docstring of a public name or `--help` text should contain."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ephysfit as ef
from ephysfit.cli.commands import VERBS, load_verb

ROOT = Path(__file__).parents[1]
#: the page of the published algorithms numbers them, with their papers
NUMBERED = "docs/seeds.md"
#: what `make docs` makes of other files
MADE = {"_build", "api", "notebooks", "changelog.md"}
DOCS = sorted(p for p in (ROOT / "docs").rglob("*.md") if not MADE & set(p.parts))

#: what reads as translated, personifies a program, or names no source, and what to write instead
BANNED = {
    r"\btold\b": "say what a function is called with, or what a message states",
    r"\bsaid\b": "say where it is stated",
    r"\bnobody\b": "say what is unknown or missing",
    r"\bwhoever\b": "name the user or the program",
    r"\bwhatever happens\b": "name the cases",
    r"\bseed 00\d\b": "name the paper, for instance Taylor, King & Harper 2023",
    r"\bone (?:\w+ )?an? (?:trial|cell|row|stage|line|spike|core|file|task|process|model|metric)\b": "write 'per'",
    r"\b(?:nats|rows?|lines?|steps?) a (?:spike|trial|cell|task|core|step)\b": "write 'per'",
    r"\bnever s(?:een|aw) by (?:the|a) fit\b": "write 'not used by the fit'",
}
#: documents that are still to be mended, and how many phrases may be left; lower these numbers, never raise them
STILL: dict[str, int] = {}
#: public names whose docstrings are still to be mended, likewise
STILL_PUBLIC: dict[str, int] = {}


def find_phrases(text: str) -> list[str]:
    """Find the banned phrases of a text, each with its surroundings."""
    plain = re.sub(r"\s+", " ", text)
    return [
        f"…{plain[max(m.start() - 30, 0) : m.end() + 20]}… ({advice})"
        for pattern, advice in BANNED.items()
        for m in re.finditer(pattern, plain, re.IGNORECASE)
    ]


def find_in_document(path: Path) -> list[str]:
    """Find the banned phrases of a page of the documentation."""
    text = path.read_text(encoding="utf-8")
    if path.relative_to(ROOT).as_posix() == NUMBERED:
        text = re.sub(r"\b[Ss]eed 00\d\b", "", text)
    return find_phrases(text)


def public_docstrings() -> Iterator[tuple[str, str]]:
    """(name, docstring) of every public name, with the public members of classes and modules."""
    for name in ef.__all__:
        yield from docstrings_of(f"ef.{name}", getattr(ef, name), deep=True)


def docstrings_of(name: str, item: Any, deep: bool) -> Iterator[tuple[str, str]]:
    """The docstring of one object; with `deep`, those of its public members too."""
    yield name, inspect.getdoc(item) or ""
    if not deep or not (inspect.isclass(item) or isinstance(item, ModuleType)):
        return
    own = getattr(item, "__all__", None) or [n for n in vars(item) if not n.startswith("_")]
    for member in own:
        found = getattr(item, member, None) if isinstance(item, ModuleType) else vars(item).get(member)
        if isinstance(found, ModuleType) or found is None:
            continue
        if callable(found) or isinstance(found, property | classmethod | staticmethod):
            yield from docstrings_of(f"{name}.{member}", found, deep=isinstance(item, ModuleType))


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_documents_use_no_banned_phrase(path: Path) -> None:
    found = find_in_document(path)
    assert len(found) <= STILL.get(path.relative_to(ROOT).as_posix(), 0), "\n".join(found)


def test_docstrings_of_public_names_use_no_banned_phrase() -> None:
    found = {name: phrases for name, text in public_docstrings() if (phrases := find_phrases(text))}
    too_many = {name: phrases for name, phrases in found.items() if len(phrases) > STILL_PUBLIC.get(name, 0)}
    assert not too_many


@pytest.mark.parametrize("name", VERBS)
def test_help_uses_no_banned_phrase(name: str) -> None:
    command = load_verb(name)
    texts = [command.help or "", *(getattr(option, "help", None) or "" for option in command.params)]
    assert not [phrase for text in texts for phrase in find_phrases(text)]


def test_what_is_still_to_be_mended_is_not_counted_too_high() -> None:
    counts = {p.relative_to(ROOT).as_posix(): len(find_in_document(p)) for p in DOCS}
    assert {path: n for path, n in STILL.items() if counts.get(path, 0) < n} == {}
    public = {name: len(find_phrases(text)) for name, text in public_docstrings()}
    assert {name: n for name, n in STILL_PUBLIC.items() if public.get(name, 0) < n} == {}
