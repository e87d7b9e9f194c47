"""Write the cells of a batch as a manifest, to be read, edited and given back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ephysfit.batch.cell_files import Cell
from ephysfit.files import write_text

HEAD = """\
# The cells of this run. Change files, training and test sweeps, or names; remove cells; then run:
#   ephysfit batch {path} -o {folder}
# file: one or several files of one cell. test: "repeats", sweeps, a file, or a part of each sweep ("0.2").
# train: sweeps or a file; all that are not test unless given. electrode: a recording for electrode compensation.
"""


def write_manifest(cells: Iterable[Cell], path: Path) -> Path:
    """Write cells as a TOML manifest, with paths relative to its folder where they lie below the same drive.

    Parameters
    ----------
    cells : iterable of Cell
    path : Path
        File of the manifest; replaced.

    Returns
    -------
    Path
        The file; `find_cells` reads the same cells from it.
    """
    blocks = [HEAD.format(path=path, folder=path.parent), *(_write_cell(cell, path.parent) for cell in cells)]
    return write_text(path, "\n".join(blocks))


def _write_cell(cell: Cell, folder: Path) -> str:
    files = [_make_relative(f, folder) for f in cell.files]
    lines = ["[[cell]]", f"cell = {_write_value(cell.name)}"]
    lines.append(f"file = {_write_value(files[0] if len(files) == 1 else files)}")
    lines += [f"{name} = {_write_value(getattr(cell, name))}" for name in ("train", "test", "model")
              if getattr(cell, name)]  # fmt: skip
    if cell.electrode is not None:
        lines.append(f"electrode = {_write_value(_make_relative(cell.electrode, folder))}")
    if cell.options:
        lines += ["[cell.option]", *(f"{_write_value(k)} = {_write_value(v)}" for k, v in cell.options.items())]
    return "\n".join(lines) + "\n"


def _make_relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def _write_value(value: Any) -> str:
    """A value in TOML; its strings, numbers and lists are written as in JSON."""
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{_write_value(k)} = {_write_value(v)}" for k, v in value.items() if v is not None) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_write_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
