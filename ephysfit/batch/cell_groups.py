"""Which files of a folder are one cell, by their names: training, test, steps and electrode files belong together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class FilePart(StrEnum):
    """What a file holds of a cell."""

    TRAINING = "training"
    TEST = "test"
    STEPS = "steps"
    ELECTRODE = "electrode"
    OTHER = ""


#: words of file names (trailing digits aside) that say what a file holds
_WORDS = {
    **dict.fromkeys(("train", "training", "noise", "frozen"), FilePart.TRAINING),
    **dict.fromkeys(("test", "testing", "validation", "heldout", "repeats"), FilePart.TEST),
    **dict.fromkeys(("step", "steps", "iv", "fi", "ficurve"), FilePart.STEPS),
    **dict.fromkeys(("aec", "electrode"), FilePart.ELECTRODE),
}
#: words beside these that name no cell
_FILLERS = frozenset({"current", "stim", "stimulus", "protocol", "recording", "data", "cc", "set"})


@dataclass(frozen=True)
class FileGroup:
    """The files of one cell, in order of name.

    Attributes
    ----------
    name : str
        Of the cell.
    parts : tuple of (Path, FilePart)
        Every file with what its name says it holds.
    """

    name: str
    parts: tuple[tuple[Path, FilePart], ...]

    def of(self, *wanted: FilePart) -> tuple[Path, ...]:
        """Return the files that hold any of these parts."""
        return tuple(path for path, part in self.parts if part in wanted)

    @property
    def recorded(self) -> tuple[Path, ...]:
        """Files of the cell, without those for the electrode, whose current is too small for spikes."""
        return tuple(path for path, part in self.parts if part is not FilePart.ELECTRODE)


def group_files(files: Iterable[Path]) -> list[FileGroup]:
    """Group files that are one cell by their names; a file that matches no other is a cell by itself.

    Files of one folder are one cell if at least one name says what it holds (``training``, ``test``, ``steps``,
    ``aec`` ...) and the other words of the names are equal. Names without other words (``current_steps``) belong to the
    one cell of their folder.

    Examples
    --------
    >>> files = ["a/c1_training.abf", "a/c1_test.abf", "a/c1_aec.abf", "a/current_steps.abf", "b/c2.nwb"]
    >>> for group in group_files(map(Path, files)):
    ...     print(group.name, [f.name for f in group.recorded], [f.name for f in group.of(FilePart.ELECTRODE)])
    c1 ['c1_test.abf', 'c1_training.abf', 'current_steps.abf'] ['c1_aec.abf']
    c2 ['c2.nwb'] []
    """
    by_folder: dict[Path, list[Path]] = {}
    for path in dict.fromkeys(files):
        by_folder.setdefault(path.parent, []).append(path)
    return [group for folder, inside in by_folder.items() for group in _group_folder(folder, sorted(inside))]


def _group_folder(folder: Path, files: list[Path]) -> list[FileGroup]:
    by_words: dict[tuple[str, ...], list[tuple[Path, FilePart]]] = {}
    for path in files:
        words, part = split_name(path)
        by_words.setdefault(words, []).append((path, part))
    nameless = by_words.pop((), [])
    if nameless and len(by_words) == 1 and any(p for _, p in next(iter(by_words.values()))):
        next(iter(by_words.values())).extend(nameless)
    elif nameless and not by_words and len(nameless) > 1:
        return [FileGroup(folder.name or "cell", tuple(nameless))]
    else:
        by_words |= {(path.stem.lower(),): [(path, part)] for path, part in nameless}
    return [group for parts in by_words.values() for group in _make_groups(sorted(parts))]


def _make_groups(parts: list[tuple[Path, FilePart]]) -> list[FileGroup]:
    """One group, if a name says what its file holds; otherwise a group per file (two formats of one name, say)."""
    if len(parts) == 1 or not any(part for _, part in parts):
        return [FileGroup(path.stem, ((path, part),)) for path, part in parts]
    return [FileGroup(_find_shared_name([path for path, _ in parts]), tuple(parts))]


def split_name(path: Path) -> tuple[tuple[str, ...], FilePart]:
    """Split the name of a file into the words of its cell and what the file holds.

    Examples
    --------
    >>> split_name(Path("DRN162_5ht_training.abf"))
    (('drn162', '5ht'), <FilePart.TRAINING: 'training'>)
    >>> split_name(Path("2024_03_12_0007.abf"))[1]
    <FilePart.OTHER: ''>
    """
    words = [w for w in re.split(r"[^0-9a-z]+", path.stem.lower()) if w]
    found = [_WORDS.get(w.rstrip("0123456789"), FilePart.OTHER) for w in words]
    known = [part for part in found if part]
    if not known:
        return tuple(words), FilePart.OTHER
    # a number after what a file holds counts files (training_2), not cells
    counts = [k > 0 and bool(found[k - 1]) and w.isdigit() for k, w in enumerate(words)]
    cell = [
        w for w, p, counted in zip(words, found, counts, strict=True) if not p and not counted and w not in _FILLERS
    ]
    # "training_noise" holds training data, "test_noise" test data: noise says least
    part = next((p for w, p in zip(words, found, strict=True) if p and w not in ("noise", "frozen")), known[0])
    return tuple(cell), part


def _find_shared_name(files: list[Path]) -> str:
    """The words of the cell as they are written in the first name that has any."""
    for path in files:
        words, _ = split_name(path)
        if words:
            written = [w for w in re.split(r"[^0-9A-Za-z]+", path.stem) if w.lower() in words]
            return "_".join(written)
    return files[0].parent.name or "cell"
