"""Turning samples into sweeps, for all readers: choice of sweeps, missing samples, one grid for current and voltage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ephysfit.arrays import Bool, Mask, Trace
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
        Kind of the stimulus, or None for all. Sweeps whose stimulus name gives no kind are read, because their kind
        follows from the waveform.
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
        """Requested sweeps, by name or position; None for all."""
        return None if self.sweeps is None else tuple(self.sweeps)  # type: ignore[arg-type]

    def takes(self, index: int, name: str, stimulus: str) -> bool:
        """Whether a sweep is to be read.

        Parameters
        ----------
        index
            Position of the sweep in the file, counted from 0.
        name, stimulus
            Name of the sweep and of its stimulus.
        """
        by_name = self.listed is None or name in self.listed or index in self.listed
        said = stimulus_kinds.find_kind_by_name(stimulus) if self.kind is not None else ""
        by_kind = self.kind is None or not said or stimulus_kinds.is_of_kind(said, self.kind)
        return by_name and by_kind and (self.stimulus is None or self.stimulus.lower() in stimulus.lower())

    def check(self, names: Sequence[str], stimuli: Sequence[str]) -> None:
        """Raise an error if a requested sweep, stimulus or kind does not exist.

        Parameters
        ----------
        names, stimuli
            Names of all sweeps in the file and of their stimuli.

        Raises
        ------
        RecordingError
            If nothing in the file corresponds to the request.
        """
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
    """Build a sweep from samples, some of which may be missing (NaN).

    Missing samples at the end (an aborted sweep padded to its planned length) are cut off. Missing voltage elsewhere is
    marked as not valid, with a warning. Missing current elsewhere is refused, because the membrane integrates it.

    Parameters
    ----------
    current
        Injected current, pA, shape (time,).
    voltage
        Membrane voltage, mV, shape (time,); None where only spike times are known.
    dt
        Sampling step, ms.
    name, stimulus
        Names of the sweep and of its stimulus.
    start
        Start of the sweep in its session, ms.

    Raises
    ------
    StimulusError
        If the current is missing somewhere before the end.
    RecordingError
        If no sample is left, or the traces differ in length.

    Examples
    --------
    >>> sweep = build(np.array([0.0, 50.0, np.nan]), np.array([-70.0, -69.5, np.nan]), 0.1, "sweep_0")
    >>> sweep.steps, sweep.warnings
    (2, ('aborted: cut at 0.2 of 0.3 ms',))
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
        raise RecordingError("no sample is finite" if current.size else "it holds no samples")
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


def find_intervals(known: Bool[Mask, " time"], dt: float) -> tuple[tuple[float, float], ...]:
    """Find the stretches of True as (start, stop) in ms; empty if everything is True."""
    if known.all():
        return ()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
    return tuple((float(a * dt), float(b * dt)) for a, b in edges.reshape(-1, 2))


def round_step(dt: float, error: float) -> float:
    """Round a step that was measured on time stamps to the value that was meant.

    That is the shortest decimal number within the error, of the step or of the sampling rate.

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
    """Put a current on another grid, exactly: averaged over longer steps, or held over shorter ones.

    Parameters
    ----------
    current
        pA, shape (time,).
    from_dt, to_dt
        Its sampling step and the one wanted, ms.

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
    averaged: Trace = current[: len(current) // k * k].reshape(-1, k).mean(axis=1)
    return averaged


def align_traces(
    current: Trace, current_start: float, voltage: Trace, voltage_start: float, dt: float
) -> tuple[Trace, Trace, str]:
    """Cut a current and a voltage on one grid to the time they share.

    Parameters
    ----------
    current, voltage
        pA and mV, shape (time,), sampled every `dt` ms.
    current_start, voltage_start
        When they began, ms on one clock.

    Returns
    -------
    current, voltage
        pA and mV, shape (time,).
    note
        A sentence on the samples cut off; empty if there are none.

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
