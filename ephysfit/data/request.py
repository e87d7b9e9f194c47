"""The options of `load`, checked before any file is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ephysfit.data import access
from ephysfit.data.assemble import Choice
from ephysfit.errors import RecordingError, near

HOW = ("auto", "detect", "given")
PULSES = ("mask", "keep")
LEAKS = ("replace", "step", "keep")
PADDING = ("cut", "keep")
BLOCKS = ("refuse", "keep")
CLAMPS = (None, "current")
#: liquid junction potentials are a few mV to some 20 mV of either sign
LARGEST_JUNCTION = 40.0


@dataclass(frozen=True)
class Request:
    """The options of `load`, checked.

    Parameters
    ----------
    choice
        Sweeps to read.
    spikes, junction_potential, test_pulse, leak, padding, clamp, block
        As for `load`.
    options
        Options of the reader.
    train, test
        Sweeps that are to train and to test, as `load` takes them.
    reach
        Permission to follow links, and timeout of servers.
    """

    choice: Choice
    spikes: str | Mapping[str, Any] = "auto"
    junction_potential: float | None = None
    test_pulse: str = "mask"
    leak: str = "replace"
    options: Mapping[str, Any] | None = None
    padding: str = "cut"
    clamp: str | None = None
    reach: access.Access = field(default_factory=access.Access)
    block: str = "refuse"
    train: str | None = None
    test: str | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("spikes", self.spikes, HOW),
            ("test_pulse", self.test_pulse, PULSES),
            ("leak", self.leak, LEAKS),
            ("padding", self.padding, PADDING),
            ("block", self.block, BLOCKS),
        ):
            if not (name == "spikes" and isinstance(value, Mapping)) and value not in known:
                raise RecordingError(f"{name}={value!r}; {near(str(value), known)}")
        if self.clamp not in CLAMPS:
            raise RecordingError(f"clamp={self.clamp!r}; give 'current' for current clamp, or None to rely on the file")
        check_junction_potential(self.junction_potential)


def check_junction_potential(potential: float | None) -> None:
    """Raise an error if a value is not a plausible liquid junction potential, mV."""
    if potential is None:
        return
    if isinstance(potential, bool) or not isinstance(potential, int | float | np.number) or not np.isfinite(potential):
        raise RecordingError(f"junction_potential={potential!r}: give it in mV, such as 14.0")
    if abs(potential) > LARGEST_JUNCTION:
        raise RecordingError(
            f"junction_potential={potential:g} mV: liquid junction potentials lie within {LARGEST_JUNCTION:g} mV; "
            "is it in mV?"
        )
