"""One sweep: a stretch of recording with one current, in ms, mV and pA, checked on creation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Array, Bool, Float64, Mask, Trace, Train
from ephysfit.data import stimulus_kinds
from ephysfit.data.rules import Removed
from ephysfit.errors import RecordingError

#: steps outside these are mistakes of many orders of magnitude, ms
SHORTEST, LONGEST = 1e-6, 1e9
#: largest relative error of a step stored with single precision, and the digits with which it was meant
SINGLE, SHORT_DIGITS = 5e-7, 4
#: how far, in samples, a spike may lie outside its sweep by rounding
SLACK = 1e-6
#: two spike times nearer than a sample, and than this, ms, are one spike: no neuron fires twice in it
DOUBLED = 0.5


def _convert_vector(values: npt.ArrayLike, what: str, unit: str) -> Trace:
    try:
        array: Trace = np.asarray(values, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise RecordingError(f"{what}: not an array of numbers in {unit} ({error})") from None
    if array.ndim != 1:
        raise RecordingError(f"{what}: shape {array.shape} given; one sweep is 1-D, axis time, in {unit}")
    return array


def check_step(dt: float, what: str = "sweep") -> float:
    """Check a sampling step and return it as a float, ms.

    Raises
    ------
    RecordingError
        If `dt` is not a finite number above 0.
    """
    try:
        step = float(dt)
    except (TypeError, ValueError):
        raise RecordingError(f"{what}: dt = {dt!r} is not a number; give the sampling step in ms") from None
    if not (np.isfinite(step) and step > 0):
        raise RecordingError(f"{what}: dt = {step} ms; a sampling step is finite and above 0")
    if not SHORTEST <= step <= LONGEST:
        raise RecordingError(f"{what}: dt = {step:g} ms; no recording is sampled so; is the unit right?")
    return round_single_precision(step)


def round_single_precision(step: float) -> float:
    """Round a step that was stored with single precision to the short decimal that was meant.

    Examples
    --------
    >>> [round_single_precision(step) for step in (float(np.float32(0.1)), 0.0999999739, 1 / 3)]
    [0.1, 0.1, 0.3333333333333333]
    """
    short = float(f"{step:.{SHORT_DIGITS}g}")
    return short if abs(short - step) <= SINGLE * step else step


@dataclass(frozen=True, eq=False)
class Sweep:
    """One stretch of recording with one current.

    Parameters
    ----------
    current
        Injected current, positive depolarises, pA, shape (time,).
    dt
        Sampling step, ms.
    voltage
        Membrane voltage, mV, shape (time,), or None where only spikes are known. NaN only outside `valid`.
    spike_times
        Sorted times of the spikes, ms from the start of the sweep, not tied to the samples.
    name, stimulus
        Names of the sweep and of its stimulus in the file.
    start
        Start of the sweep in its session, ms.
    valid
        Intervals (start, stop), ms, that may be used; empty for the whole sweep.
    warnings
        Oddities found in loading.
    notes
        Changes made in loading: stretches masked, voltage shifted.
    spike_source
        ``"given"``, ``"detected"``, or ``"none"`` before spikes are detected.
    removed
        Counts of what the rules of loading removed (`ephysfit.data.rules`).

    Raises
    ------
    RecordingError
        If shapes differ, the current is not finite, or a spike lies outside the sweep.

    Examples
    --------
    >>> sweep = Sweep(np.zeros(5000), 0.1, spike_times=np.array([120.5, 310.2]), name="sweep_0")
    >>> sweep.duration, sweep.rate
    (500.0, 4.0)
    """

    current: Trace
    dt: float
    voltage: Trace | None = None
    spike_times: Train = field(default_factory=lambda: np.empty(0))
    name: str = ""
    stimulus: str = ""
    start: float = 0.0
    valid: tuple[tuple[float, float], ...] = ()
    warnings: tuple[str, ...] = ()
    spike_source: str = "given"
    notes: tuple[str, ...] = ()
    removed: tuple[Removed, ...] = ()

    def __post_init__(self) -> None:
        what = f"sweep {self.name!r}" if self.name else "sweep"

        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)  # frozen: set once, here

        put("dt", check_step(self.dt, what))
        put("current", _check_current(_convert_vector(self.current, f"{what}, current", "pA"), what))
        if self.voltage is not None:
            put("voltage", _check_voltage(_convert_vector(self.voltage, f"{what}, voltage", "mV"), self.current, what))
        train = _check_train(_convert_vector(self.spike_times, f"{what}, spike_times", "ms"), self.duration, what)
        put("spike_times", train[_find_distinct(train, self.dt)])
        if doubled := train.size - self.spike_times.size:
            put("removed", (*self.removed, Removed("doubled spikes", doubled, "spikes")))
            put("warnings", (*self.warnings, _describe_doubled(doubled, train, self.dt)))
        put("valid", _check_valid(self.valid, self.duration, what))

    def __repr__(self) -> str:
        voltage = "voltage" if self.voltage is not None else "no voltage"
        seconds, count = self.duration / 1e3, len(self.spike_times)
        return f"Sweep({self.name!r}, {self.stimulus!r}, {seconds:g} s at {self.dt:g} ms, {voltage}, {count} spikes)"

    @property
    def steps(self) -> int:
        """Number of samples."""
        return len(self.current)

    @property
    def duration(self) -> float:
        """Length in ms."""
        return len(self.current) * self.dt

    @property
    def times(self) -> Trace:
        """Time of each sample from the start of the sweep, ms, shape (time,)."""
        return np.arange(self.steps, dtype=np.float64) * np.float64(self.dt)

    @property
    def kind(self) -> str:
        """Kind of the stimulus, by its name or else by its waveform.

        By name it is ``"long_square"``, ``"noise"`` ... (`ephysfit.data.stimulus_kinds`; the table can be extended), by
        waveform ``"none"``, ``"step"``, ``"ramp"`` or ``"noise"``.
        """
        return stimulus_kinds.find_kind_by_name(self.stimulus) or stimulus_kinds.find_kind_by_waveform(self.current)

    @property
    def valid_duration(self) -> float:
        """Length of the valid intervals, ms."""
        return sum(stop - start for start, stop in self.valid) if self.valid else self.duration

    @property
    def rate(self) -> float:
        """Mean firing rate in the valid intervals, Hz."""
        return 1e3 * len(self.valid_spikes) / self.valid_duration

    @property
    def valid_spikes(self) -> Train:
        """The spikes in the valid intervals, ms from the start of the sweep."""
        if not self.valid:
            return self.spike_times
        inside = [(self.spike_times >= start) & (self.spike_times < stop) for start, stop in self.valid]
        return self.spike_times[np.any(inside, axis=0)]

    def mask(self) -> Bool[Mask, " time"]:
        """Mark the valid samples, shape (time,)."""
        if not self.valid:
            return np.ones(self.steps, dtype=bool)
        mask = np.zeros(self.steps, dtype=bool)
        for start, stop in self.valid:
            mask[_count_samples(start, self.dt) : _count_samples(stop, self.dt)] = True
        return mask

    def cut(self, start: float, stop: float) -> Sweep:
        """Cut out a part of the sweep, with its spikes and voltage.

        Parameters
        ----------
        start, stop
            Window, ms from the start of the sweep, rounded to samples.

        Raises
        ------
        RecordingError
            If no sample, or no valid one, lies in it.

        Examples
        --------
        >>> sweep = Sweep(np.zeros(5000), 0.1, spike_times=np.array([120.5, 310.2]))
        >>> sweep.cut(300.0, 400.0).spike_times.round(1)
        array([10.2])
        """
        first, last = max(_count_samples(start, self.dt), 0), min(_count_samples(stop, self.dt), self.steps)
        if last <= first:
            raise RecordingError(
                f"sweep {self.name!r}: cut from {start:g} to {stop:g} ms leaves nothing; it lasts {self.duration:g} ms"
            )
        begin, end = first * self.dt, last * self.dt
        spikes = self.spike_times[(self.spike_times >= begin) & (self.spike_times < end)] - begin
        valid = tuple((max(a, begin) - begin, min(b, end) - begin) for a, b in self.valid if b > begin and a < end)
        if self.valid and not valid:
            raise RecordingError(
                f"sweep {self.name!r}: nothing valid between {start:g} and {stop:g} ms; valid: {self.valid}"
            )
        voltage = None if self.voltage is None else self.voltage[first:last]
        return replace(
            self,
            current=self.current[first:last],
            voltage=voltage,
            spike_times=spikes,
            start=self.start + begin,
            valid=valid,
        )


def _count_samples(time: float, dt: float) -> int:
    return int(np.clip(np.rint(time / dt), -(2**62), 2**62))


def _check_current(current: Trace, what: str) -> Trace:
    if not current.size:
        raise RecordingError(f"{what}: no samples; a sweep holds at least one")
    bad = np.flatnonzero(~np.isfinite(current))
    if bad.size:
        raise RecordingError(
            f"{what}: {bad.size} of {current.size} current samples are not finite, the first at sample {bad[0]}; "
            "the current must be known everywhere: cut the sweep there"
        )
    return current


def _check_voltage(voltage: Trace, current: Trace, what: str) -> Trace:
    if voltage.shape != current.shape:
        raise RecordingError(
            f"{what}: {voltage.size} voltage samples for {current.size} current samples; they must be equal"
        )
    if not np.isfinite(voltage).any():
        raise RecordingError(f"{what}: no voltage sample is finite; give voltage=None where only spike times are known")
    return voltage


def _check_train(train: Train, duration: float, what: str) -> Train:
    if not np.isfinite(train).all():
        raise RecordingError(f"{what}: spike times are not all finite; drop the missing ones")
    outside = (train < -SLACK) | (train > duration * (1 + SLACK))
    if outside.any():
        raise RecordingError(
            f"{what}: {outside.sum()} of {train.size} spike times lie outside 0 to {duration:g} ms "
            f"(first: {train[outside][0]:g}); "
            "spike times count in ms from the start of the sweep: are these seconds, samples or session times?"
        )
    return np.sort(train)


def _find_distinct(train: Float64[Array, " spike"], dt: float) -> Bool[Mask, " spike"]:
    """Mark the spikes that do not duplicate the one before."""
    return np.diff(train, prepend=-np.inf) >= min(dt, DOUBLED) * (1 - SLACK)


def _describe_doubled(count: int, train: Train, dt: float) -> str:
    return (
        f"{count} of {train.size} spike times follow another within {min(dt, DOUBLED):g} ms, so that they are the same "
        "spike twice; each counts once"
    )


def drop_missing(times: npt.ArrayLike) -> tuple[Train, tuple[Removed, ...]]:
    """Drop missing spike times and sort the others; also count the missing ones. NaN at the end only pads a train.

    Examples
    --------
    >>> drop_missing([30.0, float("nan"), 10.0, float("nan")])
    (array([10., 30.]), (Removed(rule='missing spike times', count=1, of='spikes'),))
    """
    given = np.asarray(times, dtype=np.float64).ravel()
    given = given[: int(np.flatnonzero(np.isfinite(given))[-1]) + 1] if np.isfinite(given).any() else given[:0]
    known = np.isfinite(given)
    lost = int(np.sum(~known))
    return np.sort(given[known]), (Removed("missing spike times", lost, "spikes"),) if lost else ()


def _check_valid(valid: Sequence[tuple[float, float]], duration: float, what: str) -> tuple[tuple[float, float], ...]:
    intervals = tuple(sorted((float(a), min(float(b), duration)) for a, b in valid))
    flat = [t for interval in intervals for t in interval]
    if flat and (flat[0] < 0 or any(b <= a for a, b in intervals) or sorted(flat) != flat):
        raise RecordingError(
            f"{what}: valid = {valid} ms; intervals start at or after 0, end later, and do not overlap"
        )
    return intervals
