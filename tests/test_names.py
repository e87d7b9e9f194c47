"""Names carry the field's terms: no banned stem in a name that ephysfit defines, no module name used twice."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import ephysfit

ROOT = Path(ephysfit.__file__).parent

#: words of a name (split at underscores and capitals) that say nothing to a physiologist, or say it in slang
WORDS = {
    "told", "said", "seen", "faded", "watched", "turned", "stepped", "woken", "asleep", "awake", "kept", "shelf",
    "knob", "knobs", "tally", "taught",
}  # fmt: skip
#: whole names that are banned, while the word in a longer name is fine
NAMES = {
    "carry", "pick", "push", "pull", "drifts", "hold_on", "Done", "Take", "Free", "Watch",
    "_text", "_split", "_row", "_named", "_sweep", "_value", "_plain", "_words", "_said", "_told", "_alike", "_beside",
}  # fmt: skip
#: (path within the package, name): where the word is the standard term
ALLOWED: set[tuple[str, str]] = set()
#: names that other changes are still to rename, by path: how many may be left; lower them, never raise them
STILL: dict[str, int] = {
    "fitting/fit.py": 1,
    "fitting/stage_reports.py": 2,
    "fitting/voltage_likelihood.py": 1,
    "models/aigif.py": 1,
    "models/autaptic.py": 1,
    "models/refractory.py": 2,
    "neuron/declare.py": 1,
}

#: module names that may occur more than once
SHARED = {"__init__", "__main__"}
#: pairs of modules of one name, until they are renamed
STILL_SHARED: dict[str, int] = {}


def modules() -> Iterator[Path]:
    """Every module of the package."""
    yield from sorted(ROOT.rglob("*.py"))


def split_words(name: str) -> list[str]:
    """The words of a name in small letters, split at underscores and at capitals."""
    return [w.lower() for part in name.split("_") for w in re.findall(r"[A-Z]+[0-9]*(?![a-z])|[A-Z]?[a-z0-9]+", part)]


def defined_names(path: Path) -> Iterator[tuple[str, int]]:
    """(name, line) of what a module defines: itself, its classes, functions, parameters and attributes."""
    yield path.stem, 1
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        if isinstance(node, ast.arg):
            yield node.arg, node.lineno
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        if isinstance(node, ast.ClassDef | ast.Module):  # attributes of classes, names of modules
            for statement in node.body:
                targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
                for target in targets:
                    for name in ast.walk(target) if isinstance(target, ast.expr) else ():
                        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                            yield name.id, name.lineno


def banned_names(path: Path) -> list[str]:
    """The names of a module that contain a banned word, as ``name:line``."""
    inside = path.relative_to(ROOT).as_posix()
    return sorted(
        {
            f"{name}:{line}"
            for name, line in defined_names(path)
            if (name in NAMES or WORDS & set(split_words(name))) and (inside, name) not in ALLOWED
        }
    )


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_names_are_the_fields_terms(path: Path) -> None:
    found = banned_names(path)
    assert len(found) <= STILL.get(path.relative_to(ROOT).as_posix(), 0), found


def test_what_is_still_to_be_renamed_is_not_counted_too_high() -> None:
    left = {path: n for path, n in STILL.items() if (ROOT / path).exists() and len(banned_names(ROOT / path)) < n}
    assert not left, "lower the counts of STILL, or remove them"
    assert {path for path, _ in ALLOWED} <= {path.relative_to(ROOT).as_posix() for path in modules()}


def test_a_module_name_is_used_once() -> None:
    """Commands of the shell are files of `cli/verbs` that carry the command's name."""
    stems = [p.stem for p in modules() if p.parent != ROOT / "cli" / "verbs" and p.stem not in SHARED]
    twice = {stem: n for stem, n in Counter(stems).items() if n > STILL_SHARED.get(stem, 1)}
    assert not twice


@pytest.mark.parametrize(
    ("name", "words"),
    [("read_HDF5_file", ["read", "hdf5", "file"]), ("KernelResult", ["kernel", "result"]), ("_said", ["said"])],
)
def test_names_are_split_into_words(name: str, words: list[str]) -> None:
    assert split_words(name) == words
