"""Comparing names: could two of them belong to one cell, as its training and test files do, or a cell and its file?"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath

#: words that distinguish the files of one cell, alone or before a number
PARTS = frozenset((
    "train", "training", "trained", "test", "testing", "tested", "valid", "validation", "held", "heldout", "out", "fit",
    "fitting", "repeat", "repeats", "rep", "frozen", "noise", "white", "wn", "step", "steps", "ramp", "ramps", "aec",
    "pulse", "pulses", "trial", "trials", "run", "runs", "sweep", "sweeps", "part", "file", "block", "protocol",
    "series", "seed", "set", "stim", "stimulus", "data", "recording", "rec", "cc", "control", "ctrl",
))  # fmt: skip
#: words after which a number is that of a cell
CELLS = frozenset(("cell", "cells", "neuron", "unit", "c", "n", "patch"))
#: names that identify no cell
NAMELESS = frozenset(("", "cell", "memory", "recording"))


def list_file_stems(source: str) -> tuple[str, ...]:
    """List the names of the files that a recording came from, without folders and suffixes.

    Examples
    --------
    >>> list_file_stems("day/c7_training.abf, c7_test.abf"), list_file_stems("memory")
    (('c7_training', 'c7_test'), ())
    """
    names = (PurePath(part.strip().replace("\\", "/")).name.rsplit(".", 1)[0] for part in source.split(","))
    return tuple(name for name in names if name not in NAMELESS)


def may_be_one_cell(names: Iterable[str], others: Iterable[str]) -> bool:
    """Whether any of the names may be of the same cell as any of the others; True where nothing is known.

    Parameters
    ----------
    names, others
        Names of each cell: its own and those of its files.

    Examples
    --------
    >>> may_be_one_cell(["DRN164_5ht_training"], ["DRN164_5ht_test"]), may_be_one_cell(["DRN164"], ["DRN158"])
    (True, False)
    >>> may_be_one_cell(["2024_03_12_0007"], ["2024_03_12_0009"]), may_be_one_cell(["cell_1"], ["cell_2"])
    (True, False)
    """
    first, second = [n for n in names if n not in NAMELESS], [n for n in others if n not in NAMELESS]
    return not (first and second) or any(_may_name_one_cell(a, b) for a in first for b in second)


def _may_name_one_cell(a: str, b: str) -> bool:
    if a == b:
        return True
    one, two = _drop_file_number(_split_words(a)), _drop_file_number(_split_words(b))
    ids, other_ids = _find_numbered_words(one), _find_numbered_words(two)
    if ids or other_ids:
        n = min(len(ids), len(other_ids))
        return n > 0 and ids[:n] == other_ids[:n]
    plain, other_plain = _find_plain_words(one), _find_plain_words(two)
    return not (plain and other_plain) or plain[0] == other_plain[0]


def _split_words(name: str) -> list[str]:
    return [w for w in re.split(r"[^0-9a-z]+", name.lower()) if w]


def _drop_file_number(words: list[str]) -> list[str]:
    """Drop a last number that counts the files of a day or a cell, as in 2024_03_12_0007 or DRN164_2."""
    counted = (
        len(words) > 1
        and words[-1].isdigit()
        and words[-2] not in CELLS
        and any(ch.isdigit() for word in words[:-1] for ch in word)
        and not re.fullmatch(r"(19|20)\d{6}", "".join(words))  # a date does not count files
    )
    return words[:-1] if counted else words


def _find_numbered_words(words: list[str]) -> list[str]:
    """Find the words that hold a number which identifies a cell rather than a file."""
    out = []
    for before, word in zip(["", *words], words, strict=False):
        stem = word.rstrip("0123456789")
        if stem != word or any(ch.isdigit() for ch in word):
            if stem in PARTS or (word.isdigit() and before in PARTS):
                continue
            out.append(before + word if word.isdigit() and before in CELLS else word)
    return out


def _find_plain_words(words: list[str]) -> list[str]:
    return [w for w in words if not any(ch.isdigit() for ch in w) and w not in PARTS]
