"""Where the recordings are: those shipped, pieces of others, whole ones where a shared folder is beside the checkout.

A test takes a piece, so that it runs on every machine, and the whole recordings besides where they are (`wholes`).
"""

import atexit
import lzma
import shutil
import tempfile
from collections.abc import Collection
from functools import cache
from pathlib import Path

import pytest

from ephysfit.data.loading import load
from ephysfit.data.recording import Recording

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "data"
PIECES = Path(__file__).parent / "pieces"
SHARED = ROOT.parent / "shared" / "data"
CELLS = ("DRN164", "DRN158")
ABF = {"DRN164": "DRN164_5HT/DRN164_5ht", "DRN158": "DRN158_GABA/DRN158_gaba", "DRN162": "DRN162_5HT/DRN162_5ht"}


@cache
def shipped(cell: str) -> Recording:
    """A shipped cell, loaded once for all tests that look at it."""
    return load(SHIPPED / f"{cell}.nwb")


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ephysfit_pieces_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def piece(name: str) -> Path:
    """A few sweeps of a real file (pieces/README.md says which), unpacked; not to be written to."""
    (packed,) = PIECES.glob(f"{name}.*.xz")
    path = _folder() / packed.stem
    path.write_bytes(lzma.decompress(packed.read_bytes()))
    return path


def wholes(*names: str, marks: Collection[pytest.Mark] | pytest.MarkDecorator = ()) -> list:
    """Parameters of a test: recordings of the shared folder; none where it is not there, so that nothing is skipped."""
    return [pytest.param(SHARED / name, id=Path(name).stem, marks=marks) for name in names if SHARED.is_dir()]


def pieces(*names: str) -> list:
    """Parameters of a test: shipped pieces."""
    return [pytest.param(piece(name), id=name) for name in names]
