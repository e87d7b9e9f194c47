"""Currents in files that hold nothing else: what is to be injected, or was while another file recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ephysfit.data.assemble import Choice
from ephysfit.data.recording import Recording, join_recordings
from ephysfit.data.registry import find_reader, read_file


def read_currents(
    files: Sequence[Path], choice: Choice | None = None, options: Mapping[str, Any] | None = None
) -> Recording:
    """Read the currents of files, which need no response, without detecting spikes."""
    return join_recordings([read_file(path, choice, {**(options or {}), **_accept_currents(path)}) for path in files])


def read_command(path: Path) -> npt.NDArray[np.float64]:
    """Read the currents of a file as an array, pA, shape (sweep, time)."""
    return np.stack([sweep.current for sweep in read_currents([path])])


def _accept_currents(path: Path) -> dict[str, bool]:
    """Return the option with which a reader accepts a current without a response, if it has one."""
    return {"planned": True} if "planned" in find_reader(path).options else {}
