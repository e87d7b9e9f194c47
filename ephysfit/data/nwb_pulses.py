"""Test pulses as the acquisition software MIES marks them in an NWB file: rows of ``intervals/epochs``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from ephysfit.data import hdf5
from ephysfit.data.seal_pulses import SETTLE, mask_beginning
from ephysfit.data.sweep import Sweep

EPOCHS = "intervals/epochs"
#: how rows of test pulses are tagged
PULSE = re.compile(r"(inserted )?test ?pulse|short ?name=i?tp", re.IGNORECASE)


@dataclass(frozen=True)
class MarkedPulse:
    """A test pulse marked in a file: start and stop on the session clock, ms, and the key of its series."""

    start: float
    stop: float
    series: int


def read_marked_pulses(file: Any, keys: tuple[int, ...]) -> list[MarkedPulse]:
    """Read the test pulses that a file marks in these series."""
    table = file.get(EPOCHS)
    wanted = ("start_time", "stop_time", "tags", "tags_index", "timeseries", "timeseries_index")
    if table is None or any(name not in table for name in wanted):
        return []
    starts, stops = (hdf5.read_column(table[name]).astype(np.float64) * 1e3 for name in wanted[:2])
    tags = np.split(
        np.asarray([hdf5.decode_text(tag) for tag in table["tags"][()]]), hdf5.read_column(table["tags_index"])
    )
    rows = np.split(hdf5.read_column(table["timeseries"]), hdf5.read_column(table["timeseries_index"]))
    found = []
    for start, stop, said, members in zip(starts, stops, tags, rows, strict=False):
        if PULSE.search(";".join(said)) and np.isfinite([start, stop]).all():
            linked = [hdf5.find_address(file[row["timeseries"]]) for row in members if row["timeseries"]]
            found += [MarkedPulse(float(start), float(stop), key) for key in linked if key in keys]
    return found


def mask_marked_pulses(sweep: Sweep, pulses: list[MarkedPulse]) -> Sweep:
    """Mark the test pulses at the beginning of a sweep as not valid."""
    inside = [p for p in pulses if p.stop > sweep.start and p.start < sweep.start + sweep.duration / 2]
    if not inside:
        return sweep
    stop = max(p.stop for p in inside) - sweep.start
    return mask_beginning(sweep, stop + SETTLE, f"test pulse up to {stop:g} ms, marked in the file, masked")
