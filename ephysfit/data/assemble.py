"""What every reader needs to turn samples into sweeps: choice, missing samples, one grid for current and voltage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Trace
from ephysfit.data import stimulus_kinds
from ephysfit.data.recording import Sweep
from ephysfit.data.rules import Removed
from ephysfit.errors import RecordingError, StimulusError, near

#: relative error of a sampling rate that still counts as the same rate
SAME_RATE = 1e-6


@dataclass(frozen=True)
class Choice:
    """Which sweeps a caller wants: everything by default.

    Parameters
    ----------
    sweeps
        Names or positions of sweeps, or None for all.
    stimulus
        Text in the stimulus name, any case, or None for all.
    kind
        Kind of the stimulus, or None for all. Sweeps whose stimulus name says no kind are read: their waveform tells.
    """

    sweeps: Sequence[str | int] | str | int | None = None
    stimulus: str | None = None
    kind: str | None = None

    def __post_init__(self) -> None:
        if self.sweeps is not None:
            given: Sequence[str | int] = (self.sweeps,) if isinstance(self.sweeps, str | int) else tuple(self.sweeps)
            object.__setattr__(self, "sweeps", given)

    @property
    def listed(self) -> tuple[str | int, ...] | None:
        """The sweeps asked for by name or position."""
        return None if self.sweeps is None else tuple(self.sweeps)  # type: ignore[arg-type]

    def takes(self, index: int, name: str, stimulus: str) -> bool:
        """Whether the sweep at this position, counted from 0, is wanted."""
        by_name = self.listed is None or name in self.listed or index in self.listed
        said = stimulus_kinds.find_kind_by_name(stimulus) if self.kind is not None else ""
        by_kind = self.kind is None or not said or stimulus_kinds.is_of_kind(said, self.kind)
        return by_name and by_kind and (self.stimulus is None or self.stimulus.lower() in stimulus.lower())

    def check(self, names: Sequence[str], stimuli: Sequence[str]) -> None:
        """Raise where a sweep that is asked for does not exist."""
        for wanted in self.listed or ():
            if wanted not in names and not (isinstance(wanted, int) and 0 <= wanted < len(names)):
                hint = f"there are {len(names)}, counted from 0" if isinstance(wanted, int) else near(wanted, names)
                raise RecordingError(f"no sweep {wanted!r}; {hint}")
        if self.stimulus is not None and not any(self.stimulus.lower() in s.lower() for s in stimuli):
            raise RecordingError(f"no sweep has stimulus {self.stimulus!r}; {near(self.stimulus, set(stimuli))}")
        said = [stimulus_kinds.find_kind_by_name(stimulus) for stimulus in stimuli]
        if self.kind is not None and all(said) and not any(stimulus_kinds.is_of_kind(one, self.kind) for one in said):
            raise RecordingError(f"no sweep has a stimulus of kind {self.kind!r}; {near(self.kind, set(said))}")


def build(current: Trace, voltage: Trace | None, dt: float, name: str, stimulus: str = "", start: float = 0.0) -> Sweep:
    """A sweep from samples of which some may be missing (NaN).

    Missing samples at the end (an aborted sweep padded to its planned length) are cut off. Voltage missing elsewhere is
    marked as not valid, which is said. Current missing elsewhere is refused: a neuron remembers it.

    Raises
    ------
    StimulusError
        If the current is missing somewhere before the end.
    RecordingError
        If nothing is left, or the traces are of different length.
    """
    current = np.asarray(current, dtype=np.float64)
    known = np.isfinite(current)
    if voltage is not None:
        voltage = np.asarray(voltage, dtype=np.float64)
        if voltage.shape != current.shape:
            raise RecordingError(f"{voltage.size} voltage samples for {current.size} of current")
        known = known & np.isfinite(voltage)
        voltage = np.where(np.isfinite(voltage), voltage, np.nan)
    end = int(np.flatnonzero(known)[-1]) + 1 if known.any() else 0
    if not end:
        raise RecordingError("no sample is finite" if current.size else "no samples")
    lost = current.size - end
    notes: tuple[str, ...] = (f"aborted: cut at {end * dt:g} of {current.size * dt:g} ms",) if lost else ()
    if not np.isfinite(current[:end]).all():
        raise StimulusError(
            f"the current is missing (NaN) at {np.flatnonzero(~np.isfinite(current))[0] * dt:g} ms, inside the sweep"
        )
    removed: tuple[Removed, ...] = (Removed("aborted", lost, "samples"),) if lost else ()
    valid = find_intervals(known[:end], dt)
    missing = int(end - known[:end].sum())
    if missing:
        notes += (f"{missing * dt:g} ms of voltage missing (NaN) inside the sweep, the first at "
                  f"{int(np.argmin(known)) * dt:g} ms: masked; the current is taken as it stands",)  # fmt: skip
        removed += (Removed("gap", missing, "samples"),)
    return Sweep(
        current[:end],
        dt,
        None if voltage is None else voltage[:end],
        name=name,
        stimulus=stimulus,
        start=start,
        warnings=notes,
        valid=valid,
        spike_source="none",
        removed=removed,
    )


def find_intervals(known: np.ndarray, dt: float) -> tuple[tuple[float, float], ...]:
    """The stretches of True as (start, stop), ms; nothing where all is True."""
    if known.all():
        return ()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
    return tuple((float(a * dt), float(b * dt)) for a, b in edges.reshape(-1, 2))


def round_step(dt: float, error: float) -> float:
    """A step measured on time stamps as it was meant: the shortest decimal within the error, of it or of its rate.

    Parameters
    ----------
    dt, error
        Step and its error, ms.

    Examples
    --------
    >>> round_step(0.10000000000000142, 1e-9), round(round_step(0.03333334, 1e-7), 12)
    (0.1, 0.033333333333)
    """
    step, rate = _find_shortest_decimal(dt, error), _find_shortest_decimal(1e3 / dt, 1e3 * error / dt**2)
    return step if _count_digits(step) <= _count_digits(rate) else 1e3 / rate


def _find_shortest_decimal(value: float, error: float) -> float:
    for digits in range(1, 12):
        if abs(float(f"{value:.{digits}g}") - value) <= max(error, 1e-12 * value):
            return float(f"{value:.{digits}g}")
    return value


def _count_digits(value: float) -> int:
    return len(f"{value:.16e}".split("e")[0].replace(".", "").rstrip("0"))


def change_step(current: Trace, from_dt: float, to_dt: float) -> Trace:
    """A current on another grid, exactly: averaged into longer steps, or held over shorter ones.

    Raises
    ------
    StimulusError
        If neither step is a multiple of the other.
    """
    if abs(from_dt - to_dt) <= SAME_RATE * to_dt:
        return current
    ratio = max(from_dt, to_dt) / min(from_dt, to_dt)
    if abs(ratio - round(ratio)) > SAME_RATE * ratio:
        raise StimulusError(
            f"current sampled every {from_dt:g} ms, voltage every {to_dt:g} ms: neither is a multiple of the other, "
            "and resampling would invent a current"
        )
    k = round(ratio)
    if from_dt > to_dt:
        return np.repeat(current, k)
    return current[: len(current) // k * k].reshape(-1, k).mean(axis=1)


def align_traces(
    current: Trace, current_start: float, voltage: Trace, voltage_start: float, dt: float
) -> tuple[Trace, Trace, str]:
    """The common part of a current and a voltage on one grid, and what was cut off, in words.

    Parameters
    ----------
    current, voltage
        pA and mV, shape (time,), sampled every `dt` ms.
    current_start, voltage_start
        When they began, ms on one clock.

    Raises
    ------
    StimulusError
        If they do not overlap.
    """
    lead = round((voltage_start - current_start) / dt)
    first, last = max(lead, 0), min(len(current), len(voltage) + lead)
    if last <= first:
        raise StimulusError(
            f"stimulus ({current_start:g} ms, {len(current) * dt:g} ms long) and response ({voltage_start:g} ms, "
            f"{len(voltage) * dt:g} ms long) do not overlap in time"
        )
    lost = len(voltage) - (last - first)
    note = f"{lost * dt:g} ms of response without a known current cut off" if lost else ""
    return current[first:last], voltage[first - lead : last - lead], note
