"""Samples that were never recorded: aborted sweeps filled up to their planned length, gaps filled with zeros.

A recorded voltage is noisy. If it stays at exactly one value in a trace that was noisy right up to that point, it was
not recorded. A simulated voltage without noise settles gradually, and is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ephysfit.arrays import Trace
from ephysfit.data.assemble import find_intervals
from ephysfit.data.recording import Recording, Rejected, Sweep
from ephysfit.data.rules import Removed
from ephysfit.errors import RecordingError

#: shortest stretch of one exact value that counts, ms and samples
SHORTEST, FEWEST = 5.0, 20
#: it is as many times longer than any other such stretch of the trace
LONGER = 4
#: the trace beside it is looked at over so many ms, and at least so many samples; there it turns round so often
BESIDE, BESIDE_SAMPLES, TURNS = 20.0, 60, 5
#: what it turns by, as part of the range there: rounding turns by less
LIVELY = 1e-4
#: a value held to which the trace did not jump, mV, may be a coarse converter at rest: then few samples differ there
JUMP, MOVING = 5.0, 0.5
#: a membrane below this, mV, does not come to exactly 0 mV within a sample, with noise or without
RESTING = -20.0
#: no membrane is there, and a headstage that came off is, mV
OFF = 200.0


@dataclass(frozen=True)
class Stretch:
    """A stretch of a voltage, samples `first` to `last` (excluded), that stays at exactly `value`, mV."""

    first: int
    last: int
    value: float

    @property
    def size(self) -> int:
        """Number of samples."""
        return self.last - self.first


def remove_padding(recording: Recording) -> Recording:
    """Remove samples that were never recorded.

    Aborted sweeps end where the recording ended, gaps are marked as not valid, and sweeps whose voltage is zero
    throughout are rejected. `Sweep.removed` and the warnings state what was removed.

    Parameters
    ----------
    recording
        The recording as read from its file.

    Raises
    ------
    NothingUsableError
        If no sweep is left.

    Examples
    --------
    >>> voltage = np.random.default_rng(0).normal(-70, 0.1, 2000)
    >>> voltage[1200:] = 0.0
    >>> cut = remove_padding(Recording((Sweep(np.ones(2000), 0.1, voltage, spike_source="none"),)))
    >>> cut[0].warnings
    ('aborted: cut at 120 of 200 ms; from there on the voltage is exactly 0 mV',)
    """
    kept, rejected = [], list(recording.rejected)
    for sweep in recording.sweeps:
        try:
            kept.append(remove_sweep_padding(sweep))
        except RecordingError as error:
            rejected.append(Rejected(sweep.name, str(error)))
    return replace(recording, sweeps=tuple(kept), rejected=tuple(rejected))


def remove_sweep_padding(sweep: Sweep) -> Sweep:
    """Remove the samples of one sweep that were never recorded.

    Raises
    ------
    RecordingError
        If its voltage is zero throughout and no spike times are given.
    """
    voltage = sweep.voltage
    if voltage is None or sweep.steps < FEWEST:
        return sweep
    if not np.nan_to_num(voltage).any() and sweep.spike_source == "none":
        raise RecordingError(
            "the voltage is exactly 0 mV throughout: it was never recorded; padding='keep' takes it all the same"
        )
    still = _find_constant_stretches(voltage, max(round(SHORTEST / sweep.dt), FEWEST))
    end = _find_end(voltage, sweep.dt, still)
    gaps = [one for one in still if one.last < end and _is_gap(voltage, sweep.dt, one, still)]
    return _cut_aborted(_mask_gaps(sweep, gaps), end)


def _find_constant_stretches(voltage: Trace, shortest: int) -> list[Stretch]:
    """Find stretches of one exact value, of at least so many samples."""
    edges = np.flatnonzero(np.diff(voltage) != 0) + 1  # NaN differs from itself
    bounds = np.concatenate([[0], edges, [len(voltage)]])
    long = np.flatnonzero(np.diff(bounds) >= shortest)
    return [Stretch(int(bounds[k]), int(bounds[k + 1]), float(voltage[bounds[k]])) for k in long]


def _find_end(voltage: Trace, dt: float, still: list[Stretch]) -> int:
    """Find where the recording ended: at the first sample of the padding, if there is any."""
    off = _find_headstage_off(voltage, dt)
    if off < len(voltage):
        return off
    if not still or still[-1].last < len(voltage):
        return len(voltage)
    tail = still[-1]
    if _is_lively(voltage[: tail.first], dt, tail) and _stands_out(tail, still, voltage):
        return tail.first
    return len(voltage)


def _find_headstage_off(voltage: Trace, dt: float) -> int:
    """Find where a voltage left the range of any membrane for good."""
    sane = np.flatnonzero(~(np.abs(voltage) > OFF))
    end = int(sane[-1]) + 1 if sane.size else len(voltage)
    long_enough = (len(voltage) - end) * dt >= SHORTEST
    before = voltage[:end][np.isfinite(voltage[:end])]
    return end if long_enough and before.size and np.abs(np.median(before)) < OFF / 2 else len(voltage)


def _is_gap(voltage: Trace, dt: float, stretch: Stretch, still: list[Stretch]) -> bool:
    """Whether a stretch inside a trace was filled in: zeros, or one value that is not an end of the range."""
    if not stretch.first:
        return _is_lively(voltage[stretch.last :][::-1], dt, stretch) and not stretch.value
    clipped = stretch.value in (np.nanmin(voltage), np.nanmax(voltage)) and stretch.value != 0
    both = all(_is_lively(side, dt, stretch) for side in (voltage[: stretch.first], voltage[stretch.last :][::-1]))
    return both and not clipped and _stands_out(stretch, still, voltage)


def _stands_out(one: Stretch, still: list[Stretch], voltage: Trace) -> bool:
    """Whether a stretch is zeros after a jump, or far longer than all others: simulated resets are all alike."""
    if not one.value and abs(float(voltage[one.first - 1])) > JUMP:
        return True
    return one.size > LONGER * max((s.size for s in still if s is not one and s.value), default=0)


def _is_lively(side: Trace, dt: float, stretch: Stretch) -> bool:
    """Whether the trace before a stretch is noisy at its end, or far from the zeros that fill the stretch."""
    near = side[-max(round(BESIDE / dt), BESIDE_SAMPLES) :]
    near = near[np.isfinite(near)]
    if near.size and not stretch.value and near[-1] < RESTING:
        return True
    if near.size < FEWEST:
        return False
    steps = np.diff(near)
    if abs(near[-1] - stretch.value) < JUMP and np.mean(steps != 0) < MOVING:
        return False
    steps = steps[np.abs(steps) > LIVELY * max(float(np.ptp(near)), 1e-6)]
    return int(np.sum(steps[1:] * steps[:-1] < 0)) >= TURNS


def _mask_gaps(sweep: Sweep, gaps: list[Stretch]) -> Sweep:
    if not gaps or sweep.voltage is None:
        return sweep
    voltage, usable = sweep.voltage.copy(), sweep.mask()
    for gap in gaps:
        voltage[gap.first : gap.last] = np.nan
        usable[gap.first : gap.last] = False
    count = sum(gap.size for gap in gaps)
    spans = ", ".join(f"{g.first * sweep.dt:g} to {g.last * sweep.dt:g} ms" for g in gaps[:3])
    more = f" and {len(gaps) - 3} more" if len(gaps) > 3 else ""
    said = (
        f"not recorded: {spans}{more} masked; there the voltage stays at exactly {gaps[0].value:g} mV, and the current "
        "is taken as it stands"
    )
    return replace(
        sweep,
        voltage=voltage,
        valid=find_intervals(usable, sweep.dt),
        warnings=(*sweep.warnings, said),
        removed=(*sweep.removed, Removed("gap", count, "samples")),
    )


def _cut_aborted(sweep: Sweep, end: int) -> Sweep:
    lost = sweep.steps - end
    if not lost or sweep.voltage is None:
        return sweep
    value, dt = float(sweep.voltage[end]), sweep.dt
    flat = bool(np.ptp(sweep.voltage[end:]) == 0)
    why = f"the voltage is exactly {value:g} mV" if flat else f"the voltage is beyond {OFF:g} mV: the headstage was off"
    cut = sweep.cut(0.0, end * dt)
    spikes = len(sweep.spike_times) - len(cut.spike_times)
    said = f"aborted: cut at {end * dt:g} of {sweep.duration:g} ms; from there on {why}"
    if spikes:
        said += f"; {spikes} spike{'s' * (spikes > 1)} given for that time left out"
    taken = [Removed("aborted", lost, "samples"), *([Removed("aborted", spikes, "spikes")] if spikes else [])]
    return replace(cut, warnings=(*cut.warnings, said), removed=(*cut.removed, *taken))
