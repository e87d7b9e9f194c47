"""Formats that are known and not read: what they are, why not, and the way round."""

from __future__ import annotations

from pathlib import Path

from ephysfit.data.building import Choice
from ephysfit.data.recording import Recording
from ephysfit.errors import RecordingError

NAME = "a format that is not read"
#: beginnings of files, and what to say of them
KNOWN = {
    b"DAT1": "a HEKA Patchmaster bundle", b"DAT2": "a HEKA Patchmaster bundle", b"DATA": "a HEKA Patchmaster bundle",
    b"\xd0\xcf\x11\xe0": "an Excel or Office file", b"SQLite format 3": "a database",
}  # fmt: skip
WAYS = {
    "a HEKA Patchmaster bundle": "its injected current must be rebuilt from the stimulus tree, and no reader could be "
    "checked on a real file here; export it from Patchmaster as Igor waves or Matlab, convert it to NWB, or read it "
    "with pyheka or Myokit and give the arrays to Recording.of",
    "an Excel or Office file": "save the table as CSV",
    "a database": "export the table as CSV or Parquet",
}


def recognises(path: Path) -> bool:
    """Begins like one of these formats."""
    return _what(path) is not None


def _what(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"DATA") and path.suffix.lower() != ".dat":
        return None
    if head.startswith(b"PK\x03\x04") and path.suffix.lower() in (".xlsx", ".xlsm", ".ods"):
        return "an Excel or Office file"
    return next((what for magic, what in KNOWN.items() if head.startswith(magic)), None)


def read(path: Path, *, choice: Choice | None = None) -> Recording:
    """Always refuses, with the reason and the way round.

    Parameters
    ----------
    path
        The file.
    choice
        Not used.
    """
    what = _what(path) or "unknown"
    raise RecordingError(f"{what}: {WAYS.get(what, 'not read')}")
