"""Spike times of the units table of an NWB file: those of one unit, assigned to sweeps by the session clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Train
from ephysfit.data import hdf5
from ephysfit.data.spikes import detect_spikes
from ephysfit.data.sweep import Sweep, drop_missing
from ephysfit.errors import RecordingError

#: given and detected spikes of all sweeps may differ by this fraction and this number without a warning
DIFFER, FEW = 0.2, 3


@dataclass(frozen=True, eq=False)
class Unit:
    """One unit of the units table.

    Parameters
    ----------
    row
        Row of the units table, counted from 0.
    train
        Spike times, ms on the session clock, sorted.
    observed
        Intervals in which the unit was observed, (start, stop) in ms on that clock; empty if the table has none.
    """

    row: int
    train: Train
    observed: tuple[tuple[float, float], ...] = ()

    def covers(self, sweep: Sweep) -> bool:
        """Whether the unit was observed throughout a sweep."""
        end = sweep.start + sweep.duration
        slack = sweep.dt
        return not self.observed or any(a <= sweep.start + slack and end - slack <= b for a, b in self.observed)

    def assign_to(self, sweep: Sweep) -> Sweep:
        """Give a sweep the spikes of this unit."""
        inside = self.train[(self.train >= sweep.start) & (self.train < sweep.start + sweep.duration)] - sweep.start
        return replace(sweep, spike_times=inside, spike_source="given")


def find_unit(file: Any, wanted: int | None, *, needed: bool, alone: bool) -> tuple[Unit | None, tuple[str, ...]]:
    """Find the unit of a cell, and warnings if the file holds units of which none is taken.

    Parameters
    ----------
    file
        Open NWB file.
    wanted
        Row of the units table, or None for the only one.
    needed
        Whether there is no other source of spikes: several units are then an error.
    alone
        Whether the file holds one electrode: the only unit is then this cell.

    Raises
    ------
    RecordingError
        If there is no such unit, or several and one is needed.
    """
    table = file.get("units")
    if table is None or "spike_times" not in table or "spike_times_index" not in table:
        if wanted is not None:
            raise RecordingError(f"unit={wanted}: the file has no units table with spike times")
        return None, ()
    count = int(table["spike_times_index"].shape[0])
    if wanted is None and count != 1 and needed:
        raise RecordingError(f"{count} units and no voltage: give unit= a row of the units table, 0 to {count - 1}")
    if wanted is None and (count != 1 or not alone):
        why = f"{count} units" if count != 1 else "one unit, and several electrodes"
        said = (
            f"the units table holds {why}: unit= (a row from 0) takes one; spikes are detected in the voltage instead"
        )
        return None, (said,) if count else ()
    row = wanted or 0
    if isinstance(row, bool) or not 0 <= row < count:
        raise RecordingError(f"no unit {row}; the units table has {count} rows, counted from 0")
    train, missing = drop_missing(_read_row(table, "spike_times", row).astype(np.float64) * 1e3)
    gaps = tuple(f"{one.count} spike times of unit {row} are missing (NaN) between others: left out" for one in missing)
    return Unit(row, train, _read_observed(table, row)), gaps


def _read_row(table: Any, name: str, row: int) -> npt.NDArray[Any]:
    """Read the values of one row of an indexed column."""
    ends = hdf5.read_column(table[f"{name}_index"]).astype(np.int64)
    return hdf5.read_column(table[name], int(ends[row - 1]) if row else 0, int(ends[row]))


def _read_observed(table: Any, row: int) -> tuple[tuple[float, float], ...]:
    if "obs_intervals" not in table or "obs_intervals_index" not in table:
        return ()
    rows = _read_row(table, "obs_intervals", row).astype(np.float64).reshape(-1, 2) * 1e3
    return tuple((float(a), float(b)) for a, b in rows)


def assign_spikes(sweeps: list[Sweep], unit: Unit | None) -> tuple[list[Sweep], tuple[str, ...]]:
    """Give sweeps the spikes of a unit where it was observed; also a warning if they disagree with the voltage."""
    if unit is None:
        return sweeps, ()
    watched = [sweep for sweep in sweeps if sweep.voltage is not None and unit.covers(sweep)]
    filled = {id(sweep): unit.assign_to(sweep) for sweep in watched}
    count = sum(len(sweep.spike_times) for sweep in filled.values())
    if len(unit.train) and watched and not count:
        return sweeps, (
            f"none of the {len(unit.train)} spike times of unit {unit.row} lies in a sweep that was read; spikes are "
            "detected in the voltage instead",
        )
    detected = sum(len(detect_spikes(s.voltage, s.dt, current=s.current)) for s in watched if s.voltage is not None)
    said = f"unit {unit.row} gives {count} spikes, the voltage shows {detected}; spikes='detect' takes those"
    odd = abs(count - detected) > max(DIFFER * max(count, detected), FEW)
    return [filled.get(id(sweep), sweep) for sweep in sweeps], (said,) if odd else ()
