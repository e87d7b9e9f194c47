"""Suffixes of the files in a folder that are taken for recordings; a file given by name may have any suffix."""

from __future__ import annotations

from pathlib import Path

from ephysfit.data.heka_tree import is_heka

#: suffixes of recordings; ``.txt`` files are as often something else, so they have to be given by name, and so are
#: ``.dat`` files, but for those of HEKA
SUFFIXES = (
    ".nwb", ".abf", ".csv", ".tsv", ".npz", ".mat", ".parquet", ".ibw", ".smr", ".smrx", ".wcp", ".axgd", ".axgx",
    ".nix", ".atf", ".edr", ".pxp",
)  # fmt: skip


def is_recording(path: Path) -> bool:
    """Whether a file found in a folder is taken for a recording.

    Examples
    --------
    >>> [is_recording(Path(name)) for name in ("cell.NWB", "notes.txt")]
    [True, False]
    """
    if path.suffix.lower() == ".dat":
        try:
            return path.is_file() and is_heka(path)
        except OSError:  # one that cannot be opened is not known to be a recording
            return False
    return path.suffix.lower() in SUFFIXES and not is_manifest(path)


def is_manifest(path: Path) -> bool:
    """Whether a file lists what a batch is to fit: a TOML file, or a CSV whose first line names a column "file"."""
    if path.suffix.lower() == ".toml":
        return True
    if path.suffix.lower() != ".csv":
        return False
    with path.open(encoding="utf-8", errors="replace") as lines:
        return "file" in [c.strip().lower() for c in lines.readline().split(",")]


def is_collected(path: Path) -> bool:
    """Whether a folder holds the tables that `collect` makes of a batch run: numbers of cells, no recordings."""
    return path.name == "tables" and path.is_dir() and (path.parent / "results").is_dir()
