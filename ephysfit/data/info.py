"""Reports on a file: its sweeps, which of them are usable, and why the others are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ephysfit.data.recording import Recording, Rejected, Sweep
from ephysfit.data.rules import Removed
from ephysfit.data.split import explain_split
from ephysfit.data.sweep_table import describe_current
from ephysfit.errors import RecordingError


@dataclass(frozen=True)
class SweepRow:
    """One usable sweep in numbers.

    Parameters
    ----------
    name, stimulus
        As in the file.
    group, kind
        Number of the stimulus that the sweep repeats, counted from 0, and its kind: noise, step ...
    use
        Side of `Recording.split` that it falls on: ``"train"``, ``"test"`` or ``"both"`` (its end tests).
    duration_ms, valid_ms, dt_ms
        Length, usable length, sampling step.
    current_mean_pA, current_sd_pA
        Mean and standard deviation of the injected current.
    current
        The current in words: level and length of a step, mean and standard deviation of any other, pA.
    voltage_median_mV
        Median of the voltage; None if there is none.
    spikes, rate_hz, spike_source
        Usable spikes, their mean rate, and whether they were given or detected.
    warnings, notes
        Oddities of the sweep, and what loading did about them.
    removed
        Counts of what the rules of loading removed.
    """

    name: str
    stimulus: str
    group: int
    kind: str
    use: str
    duration_ms: float
    valid_ms: float
    dt_ms: float
    current_mean_pA: float
    current_sd_pA: float
    current: str
    voltage_median_mV: float | None
    spikes: int
    rate_hz: float
    spike_source: str
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    removed: tuple[Removed, ...] = ()

    @classmethod
    def of(cls, sweep: Sweep, group: int, use: str = "") -> SweepRow:
        """Make the row of a sweep."""
        return cls(
            name=sweep.name,
            stimulus=sweep.stimulus,
            group=group,
            kind=sweep.kind,
            use=use,
            duration_ms=round(sweep.duration, 6),
            valid_ms=round(sweep.valid_duration, 6),
            dt_ms=round(sweep.dt, 9),
            current_mean_pA=float(sweep.current.mean()),
            current_sd_pA=float(sweep.current.std()),
            current=describe_current(sweep),
            voltage_median_mV=None if sweep.voltage is None else float(np.nanmedian(sweep.voltage)),
            spikes=len(sweep.valid_spikes),
            rate_hz=sweep.rate,
            spike_source=sweep.spike_source,
            warnings=sweep.warnings,
            notes=sweep.notes,
            removed=sweep.removed,
        )


@dataclass(frozen=True)
class StimulusRow:
    """One stimulus of the file.

    Attributes
    ----------
    name : str
        Name in the file.
    repeats : int
        Number of sweeps that repeat it.
    duration_ms : float
        Length.
    spikes : int
        Spikes of all repeats together.
    kind, use : str
        Kind of the stimulus, and the side of `Recording.split` it falls on.
    """

    name: str
    repeats: int
    duration_ms: float
    spikes: int
    kind: str = ""
    use: str = ""


@dataclass(frozen=True)
class Report:
    """The report that `ephysfit info` shows.

    Parameters
    ----------
    source, cell
        File and cell.
    sweeps, stimuli
        Usable sweeps, and the stimuli they repeat.
    rejected
        Sweeps that cannot be used, with the reason.
    problem
        Why nothing is usable; empty otherwise.
    split, why
        Result of `Recording.split` in words, and its reason.
    loaded
        Reader and options.
    warnings, electrode, facts
        Warnings on the file as a whole, electrode settings, and facts of the session, as found.
    """

    source: str
    cell: str = ""
    sweeps: tuple[SweepRow, ...] = ()
    stimuli: tuple[StimulusRow, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    problem: str = ""
    split: str = ""
    why: str = ""
    loaded: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    electrode: Mapping[str, float | str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def removed(self) -> tuple[Removed, ...]:
        """Counts of what the rules of loading removed from all usable sweeps together."""
        totals: dict[tuple[str, str], int] = {}
        for removed in (one for sweep in self.sweeps for one in sweep.removed):
            totals[removed.rule, removed.of] = totals.get((removed.rule, removed.of), 0) + removed.count
        return tuple(Removed(rule, count, of) for (rule, of), count in totals.items())

    @property
    def usable(self) -> bool:
        """Whether a neuron can be fitted to the file."""
        return bool(self.sweeps)

    @classmethod
    def of(cls, recording: Recording) -> Report:
        """Make the report on a recording."""
        stimuli = recording.stimuli()
        group = {id(sweep): k for k, stimulus in enumerate(stimuli) for sweep in stimulus.sweeps}
        split, use = _describe_split(recording)
        rows = tuple(SweepRow.of(s, group[id(s)], use.get(s.name, "")) for s in recording.sweeps)
        sides = [sorted({row.use for row in rows if row.group == k}) for k in range(len(stimuli))]
        return cls(
            source=recording.source,
            cell=recording.cell,
            sweeps=rows,
            stimuli=tuple(
                StimulusRow(
                    s.name,
                    s.repeats,
                    round(s.duration, 6),
                    sum(map(len, s.spike_times)),
                    s.sweeps[0].kind,
                    "/".join(side),
                )
                for s, side in zip(stimuli, sides, strict=True)
            ),
            rejected=recording.rejected,
            split=split,
            why=explain_split(recording.sweeps) if use else "",
            loaded=dict(recording.loaded),
            warnings=recording.warnings,
            electrode=dict(recording.electrode),
            facts=dict(recording.facts),
        )

    def to_dict(self) -> dict[str, Any]:
        """Convert the report to plain types, for ``--json``."""
        return {"usable": self.usable} | asdict(self)

    def rows(self) -> list[dict[str, str]]:
        """Make a table with one row per sweep, usable ones first: column name to text."""
        return [_format_row(sweep) for sweep in self.sweeps] + [
            {"sweep": r.name, "use": "no", "notes": r.reason} for r in self.rejected
        ]


def _format_row(sweep: SweepRow) -> dict[str, str]:
    voltage = "" if sweep.voltage_median_mV is None else f"{sweep.voltage_median_mV:.1f}"
    return {
        "sweep": sweep.name,
        "use": sweep.use,
        "stimulus": f"{sweep.group}: {sweep.stimulus}" if sweep.stimulus else str(sweep.group),
        "kind": sweep.kind,
        "length (s)": f"{sweep.duration_ms / 1e3:g}",
        "step (ms)": f"{sweep.dt_ms:g}",
        "current (pA)": sweep.current,
        "voltage (mV)": voltage,
        "spikes": str(sweep.spikes),
        "rate (Hz)": f"{sweep.rate_hz:.1f}",
        "notes": "; ".join((*sweep.warnings, *sweep.notes)),
    }


def _describe_split(recording: Recording) -> tuple[str, dict[str, str]]:
    """Describe the result of a split in words, and find the side of each sweep by name."""
    try:
        train, test = recording.split()
    except RecordingError as error:
        return str(error), {}
    sides = {"train": train, "test": test}
    words = "; ".join(
        f"{side}: {len(p)} sweep{'s' * (len(p) != 1)}, {p.duration / 1e3:g} s, {p.n_spikes} spikes"
        for side, p in sides.items()
    )
    names = {side: {s.name for s in part.sweeps} for side, part in sides.items()}
    both = names["train"] & names["test"]
    use = {name: "both" if name in both else side for side, listed in names.items() for name in listed}
    return words, use
