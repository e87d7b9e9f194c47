"""What a file holds, what of it is usable, and why the rest is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ephysfit.data.recording import Recording, Rejected, Sweep
from ephysfit.errors import RecordingError


@dataclass(frozen=True)
class SweepRow:
    """One usable sweep in numbers.

    Parameters
    ----------
    name, stimulus
        As in the file.
    group
        Number of the stimulus it repeats, counted from 0.
    duration_ms, valid_ms, dt_ms
        Length, usable length, sampling step.
    current_mean_pA, current_sd_pA
        Of the injected current.
    voltage_median_mV
        None where the voltage is not known.
    spikes, rate_hz, spike_source
        Usable spikes, their mean rate, and whether they were given or detected.
    warnings
        What was odd.
    """

    name: str
    stimulus: str
    group: int
    duration_ms: float
    valid_ms: float
    dt_ms: float
    current_mean_pA: float
    current_sd_pA: float
    voltage_median_mV: float | None
    spikes: int
    rate_hz: float
    spike_source: str
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, sweep: Sweep, group: int) -> SweepRow:
        """The row of a sweep."""
        return cls(
            name=sweep.name,
            stimulus=sweep.stimulus,
            group=group,
            duration_ms=round(sweep.duration, 6),
            valid_ms=round(sweep.valid_duration, 6),
            dt_ms=round(sweep.dt, 9),
            current_mean_pA=float(sweep.current.mean()),
            current_sd_pA=float(sweep.current.std()),
            voltage_median_mV=None if sweep.voltage is None else float(np.nanmedian(sweep.voltage)),
            spikes=len(sweep.valid_spikes),
            rate_hz=sweep.rate,
            spike_source=sweep.spike_source,
            warnings=sweep.warnings,
        )


@dataclass(frozen=True)
class StimulusRow:
    """One current of the file: its name, how often it was repeated, its length, the spikes of all repeats."""

    name: str
    repeats: int
    duration_ms: float
    spikes: int


@dataclass(frozen=True)
class Report:
    """What `ephysfit info` shows.

    Parameters
    ----------
    source, cell
        File and cell.
    sweeps, stimuli
        What is usable.
    rejected
        What is not, with the reason.
    problem
        Why nothing is usable; empty otherwise.
    split
        What `Recording.split` would do, in words.
    warnings, electrode, facts
        As found.
    """

    source: str
    cell: str = ""
    sweeps: tuple[SweepRow, ...] = ()
    stimuli: tuple[StimulusRow, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    problem: str = ""
    split: str = ""
    warnings: tuple[str, ...] = ()
    electrode: Mapping[str, float | str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether a neuron could be fitted to it."""
        return bool(self.sweeps)

    @classmethod
    def of(cls, recording: Recording) -> Report:
        """The report on a recording."""
        stimuli = recording.stimuli()
        group = {id(sweep): k for k, stimulus in enumerate(stimuli) for sweep in stimulus.sweeps}
        return cls(
            source=recording.source,
            cell=recording.cell,
            sweeps=tuple(SweepRow.of(sweep, group[id(sweep)]) for sweep in recording.sweeps),
            stimuli=tuple(
                StimulusRow(s.name, s.repeats, round(s.duration, 6), sum(map(len, s.spike_times))) for s in stimuli
            ),
            rejected=recording.rejected,
            split=_split(recording),
            warnings=recording.warnings,
            electrode=dict(recording.electrode),
            facts=dict(recording.facts),
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything in plain types, for ``--json``."""
        return {"usable": self.usable} | asdict(self)

    def rows(self) -> list[dict[str, str]]:
        """One row a sweep, usable ones first, for a table: column name to text."""
        return [_row(sweep) for sweep in self.sweeps] + [
            {"sweep": r.name, "usable": "no", "notes": r.reason} for r in self.rejected
        ]


def _row(sweep: SweepRow) -> dict[str, str]:
    voltage = "" if sweep.voltage_median_mV is None else f"{sweep.voltage_median_mV:.1f}"
    return {
        "sweep": sweep.name,
        "usable": "yes",
        "stimulus": f"{sweep.group}: {sweep.stimulus}" if sweep.stimulus else str(sweep.group),
        "length (s)": f"{sweep.duration_ms / 1e3:g}",
        "step (ms)": f"{sweep.dt_ms:g}",
        "current (pA)": f"{sweep.current_mean_pA:.1f} ± {sweep.current_sd_pA:.1f}",
        "voltage (mV)": voltage,
        "spikes": str(sweep.spikes),
        "rate (Hz)": f"{sweep.rate_hz:.2f}",
        "notes": "; ".join(sweep.warnings),
    }


def _split(recording: Recording) -> str:
    try:
        train, test = recording.split()
    except RecordingError as error:
        return str(error)
    sides = ((side, len(part), part.duration / 1e3, part.n_spikes) for side, part in (("train", train), ("test", test)))
    return "; ".join(f"{side}: {n} sweeps, {seconds:g} s, {spikes} spikes" for side, n, seconds, spikes in sides)
