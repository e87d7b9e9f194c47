"""Recordings: the current injected into one cell and the response of the cell, in ms, mV and pA."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import takewhile
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

import ephysfit  # its public names, which load on use: figures lie above recordings
from ephysfit.arrays import Array, Float64, Trace, Train
from ephysfit.data import split, stimulus_kinds
from ephysfit.data.exchange import make_neo_block, make_pynapple_objects
from ephysfit.data.found_spikes import keep_spikes
from ephysfit.data.repeats import Stimulus, group_repeats
from ephysfit.data.spikes import LEFT_OUT, search_spikes
from ephysfit.data.sweep import Sweep, check_step
from ephysfit.data.sweep_table import make_sweep_table
from ephysfit.data.time_axis import orient_arrays
from ephysfit.errors import RecordingError, StimulusError, near, some
from ephysfit.system import one_blas_thread

__all__ = ["NothingUsableError", "Recording", "Rejected", "Sweep", "check_step", "join_recordings"]


@dataclass(frozen=True)
class Rejected:
    """A sweep that was found but cannot be used, with the reason."""

    name: str
    reason: str


class NothingUsableError(StimulusError):
    """A file that holds sweeps of which none can be used.

    Parameters
    ----------
    message
        The reasons, in a sentence.
    rejected
        Each sweep with its reason.
    """

    def __init__(self, message: str, rejected: tuple[Rejected, ...] = ()) -> None:
        super().__init__(message)
        self.rejected = rejected


def _list_reasons(rejected: Sequence[Rejected], most: int = 5) -> str:
    """List each reason once, with the sweeps to which it applies."""
    by_reason: dict[str, list[str]] = {}
    for one in rejected:
        by_reason.setdefault(one.reason, []).append(one.name)
    listed = [f"{some(names, 5)}: {reason}" for reason, names in by_reason.items()]
    more = f" (and {len(listed) - most} more reasons)" if len(listed) > most else ""
    return "; ".join(listed[:most]) + more or "none was found"


def _make_read_only(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(facts))


@dataclass(frozen=True, eq=False)
class Recording:
    """All usable sweeps of one cell.

    Parameters
    ----------
    sweeps
        At least one.
    cell
        Name of the cell.
    source
        Name of the file, ``"memory"`` for arrays.
    electrode
        Electrode settings in the file: bridge balance (MOhm), bias current (pA) ...
    rejected
        Sweeps found but not usable, with the reason.
    facts
        Facts of the session as found: species, licence, notes ...
    warnings
        Oddities of the file as a whole.
    loaded
        How it was loaded: reader, options, corrections; a fit stores this as provenance.

    Examples
    --------
    >>> import numpy as np
    >>> current = np.tile(np.sin(np.arange(2000) / 50), (4, 1))
    >>> recording = Recording.of(current, dt=0.1, spike_times=[[20.0], [20.1], [19.9], []])
    >>> len(recording), recording.n_spikes, [len(s.sweeps) for s in recording.stimuli()]
    (4, 3, [4])
    """

    sweeps: tuple[Sweep, ...]
    cell: str = "cell"
    source: str = "memory"
    electrode: Mapping[str, float | str] = field(default_factory=dict)
    rejected: tuple[Rejected, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    loaded: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sweeps", tuple(self.sweeps))
        object.__setattr__(self, "electrode", _make_read_only(self.electrode))
        object.__setattr__(self, "facts", _make_read_only(self.facts))
        object.__setattr__(self, "loaded", _make_read_only(self.loaded))
        if not self.sweeps:
            raise NothingUsableError(
                f"{self.source}: no usable current-clamp sweep: {_list_reasons(self.rejected)}", self.rejected
            )

    @classmethod
    @one_blas_thread()
    def of(
        cls,
        current: npt.ArrayLike,
        dt: float,
        voltage: npt.ArrayLike | None = None,
        spike_times: Any = None,
        cell: str = "cell",
        time_axis: int | None = None,
        **facts: Any,
    ) -> Recording:
        """Make a recording from arrays.

        Parameters
        ----------
        current
            pA, shape (time,) or (trial, time).
        dt
            Sampling step, ms.
        voltage
            mV, shape of `current`. Spikes are detected in it unless `spike_times` is given.
        spike_times
            ms: one train for 1-D `current`, a sequence of trains (one per trial) for 2-D.
        cell
            Name of the cell.
        time_axis
            0 if 2-D arrays are (time, trial), 1 if they are (trial, time) although they look transposed.
        **facts
            Further fields of `Recording`, for example ``source=``.

        Returns
        -------
        Recording
            One sweep per trial.

        Raises
        ------
        RecordingError
            If shapes differ or look transposed, values are not finite, or there is neither voltage nor spike times.
        """
        currents, voltages, single = _split_trials(current, voltage, spike_times, dt, time_axis)
        trains = _split_trains(spike_times, len(currents), single)
        if trains is None and voltage is None:
            raise RecordingError(
                "neither voltage nor spike_times: give one of them (an empty train says the cell was silent)"
            )
        sweeps = [
            Sweep(i, dt, v, np.empty(0) if t is None else t, name=str(k), spike_source="none" if t is None else "given")
            for k, (i, v, t) in enumerate(zip(currents, voltages, trains or [None] * len(currents), strict=True))
        ]
        recording = cls(tuple(sweeps), cell=cell, **facts)
        return recording.with_spikes() if trains is None else recording

    def __repr__(self) -> str:
        seconds = sum(s.duration for s in self.sweeps) / 1e3
        rejected = f", {len(self.rejected)} rejected" if self.rejected else ""
        return (
            f"Recording({self.cell!r} from {self.source!r}: {len(self.sweeps)} sweeps, {seconds:g} s, "
            f"{self.n_spikes} spikes{rejected})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the read-only mappings as dictionaries, because batches send recordings between processes."""
        values = (getattr(self, f.name) for f in fields(self))
        return type(self), tuple(dict(v) if isinstance(v, Mapping) else v for v in values)

    def __len__(self) -> int:
        return len(self.sweeps)

    def __iter__(self) -> Iterator[Sweep]:
        return iter(self.sweeps)

    def __getitem__(self, index: int) -> Sweep:
        return self.sweeps[index]

    @property
    def dt(self) -> float:
        """The sampling step of all sweeps, ms; an error if sweeps differ."""
        steps = sorted({round(sweep.dt, 9) for sweep in self.sweeps})
        if len(steps) > 1:
            raise RecordingError(
                f"{self.cell}: sweeps are sampled at {steps} ms; select those of one step, or pass dt="
            )
        return self.sweeps[0].dt

    @property
    def duration(self) -> float:
        """Time of all sweeps together, ms."""
        return sum(sweep.duration for sweep in self.sweeps)

    @property
    def planned(self) -> tuple[str, ...]:
        """Names of the sweeps that are only planned: a current with neither a voltage nor spikes."""
        return tuple(sweep.name for sweep in self.sweeps if sweep.voltage is None and sweep.spike_source == "none")

    @property
    def n_spikes(self) -> int:
        """Number of valid spikes of all sweeps together."""
        return sum(len(sweep.valid_spikes) for sweep in self.sweeps)

    @property
    def rate(self) -> float:
        """Mean rate over all valid time, Hz."""
        return 1e3 * self.n_spikes / sum(sweep.valid_duration for sweep in self.sweeps)

    @property
    def spike_times(self) -> tuple[Train, ...]:
        """The spike train of each sweep, ms."""
        return tuple(sweep.spike_times for sweep in self.sweeps)

    def _with_sweeps(self, sweeps: Sequence[Sweep]) -> Recording:
        return replace(self, sweeps=tuple(sweeps))

    def _repr_html_(self) -> str:
        """The sweeps as a table, for notebooks."""
        refused = [f"{len(self.rejected)} sweeps are not used; ephysfit.info says why"] if self.rejected else []
        return make_sweep_table(f"{self.cell} · {self.source}", self.sweeps, [*refused, *self.warnings])

    def plot(self, **options: Any) -> Any:
        """Draw the sweeps: current, voltage, spikes and their shapes; see `ephysfit.plot`."""
        return ephysfit.plot(self, **options)

    def to_neo(self) -> Any:
        """The sweeps as a neo Block, a Segment each."""
        return make_neo_block(self.cell, self.sweeps)

    def to_pynapple(self) -> dict[str, Any]:
        """The sweeps as pynapple objects, one after the other: current, voltage, spikes, epochs."""
        return make_pynapple_objects(self.sweeps)

    def select(
        self,
        stimulus: str | Sequence[str] | None = None,
        names: Sequence[str] | str | None = None,
        indices: Sequence[int] | int | None = None,
        kind: str | None = None,
    ) -> Recording:
        """Select the sweeps that meet all conditions given.

        Parameters
        ----------
        stimulus
            Text in the stimulus name, any case; a list is taken for `names`.
        kind
            Kind of the stimulus, by its name or else its waveform: ``"noise"``, ``"step"``, ``"long_square"`` ...;
            see `Sweep.kind`.
        names
            Names of sweeps.
        indices
            Positions, counted from 0; negative from the end.

        Raises
        ------
        RecordingError
            If a name or a position does not exist, or no sweep is left.

        Examples
        --------
        >>> recording = Recording.of(np.ones((4, 500)), 0.1, spike_times=[[20.0]] * 4)
        >>> [sweep.name for sweep in recording.select(indices=[0, -1])]
        ['0', '3']
        >>> [sweep.name for sweep in recording.select(["1", "2"])]
        ['1', '2']
        """
        if stimulus is not None and not isinstance(stimulus, str):
            names, stimulus = [*stimulus, *([names] if isinstance(names, str) else names or ())], None
        picked = list(self.sweeps)
        if indices is not None:
            picked = [self._find_sweep(k) for k in np.atleast_1d(np.asarray(indices))]
        if names is not None:
            wanted = [names] if isinstance(names, str) else list(names)
            self._check_names(wanted)
            picked = [sweep for sweep in picked if sweep.name in wanted]
        if stimulus is not None:
            picked = [sweep for sweep in picked if stimulus.lower() in sweep.stimulus.lower()]
        if kind is not None:
            picked = [sweep for sweep in picked if stimulus_kinds.is_of_kind(sweep.kind, kind)]
        if not picked:
            asked = {"stimulus": stimulus, "kind": kind, "names": names, "indices": indices}
            raise RecordingError(
                f"{self.cell}: no sweep has {', '.join(f'{k} {v!r}' for k, v in asked.items() if v is not None)}; "
                f"stimuli: {sorted({sweep.stimulus for sweep in self.sweeps})}, "
                f"kinds: {sorted({sweep.kind for sweep in self.sweeps})}"
            )
        return self._with_sweeps(picked)

    def _find_sweep(self, index: Any) -> Sweep:
        if index != int(index) or not -len(self) <= int(index) < len(self):
            raise RecordingError(f"{self.cell}: no sweep {index}; it has {len(self)}, counted from 0")
        return self.sweeps[int(index)]

    def _check_names(self, names: Sequence[str]) -> None:
        have = [sweep.name for sweep in self.sweeps]
        for name in names:
            if name not in have:
                raise RecordingError(f"{self.cell}: no sweep is named {name!r}; {near(name, have)}")

    def cut(self, start: float, stop: float) -> Recording:
        """Cut every sweep to a window; sweeps that end before it are left out.

        Parameters
        ----------
        start, stop
            Window, ms from the beginning of each sweep.

        Raises
        ------
        RecordingError
            If `stop` does not lie after `start`, or every sweep ends before `start`.
        """
        if not stop > start:
            raise RecordingError(f"cut from {start} to {stop} ms: stop must lie after start")
        kept = [sweep.cut(start, stop) for sweep in self.sweeps if sweep.duration > start + sweep.dt / 2]
        if not kept:
            longest = max(sweep.duration for sweep in self.sweeps)
            raise RecordingError(f"cut from {start:g} to {stop:g} ms: the longest sweep lasts {longest:g} ms")
        return self._with_sweeps(kept)

    @one_blas_thread()
    def with_spikes(
        self, trains: Sequence[npt.ArrayLike] | None = None, only: str | None = None, **options: Any
    ) -> Recording:
        """Replace the spikes: by the trains given, or by those detected with these options.

        Parameters
        ----------
        trains
            One train per sweep, ms. None detects them in the voltage.
        only
            Detect only where `spike_source` is this, for example ``"none"``.
        **options
            Options of `detect_spikes`.

        Raises
        ------
        RecordingError
            If the number of trains is not that of the sweeps, or there is no voltage to detect spikes in.
        """
        if trains is None:
            return self._with_sweeps(
                [_detect_in_sweep(s, options) if only in (None, s.spike_source) else s for s in self.sweeps]
            )
        if len(trains) != len(self):
            raise RecordingError(f"{self.cell}: {len(trains)} spike trains for {len(self)} sweeps; give one each")
        return self._with_sweeps(
            [
                replace(sweep, spike_times=np.asarray(train, dtype=float), spike_source="given")
                for sweep, train in zip(self.sweeps, trains, strict=True)
            ]
        )

    def stimuli(self) -> tuple[Stimulus, ...]:
        """Group the sweeps that repeat one current up to noise, by first appearance; singles are groups of one."""
        return self._stimuli

    @cached_property
    def _stimuli(self) -> tuple[Stimulus, ...]:
        return group_repeats(self.sweeps)

    def split(self, test: str | float | Sequence[str] = "repeats") -> tuple[Recording, Recording]:
        """Split the recording into training and test parts that share no sample.

        Parameters
        ----------
        test
            ``"repeats"``: sweeps whose current occurs at least three times form the test part, the others the training
            part. If no stimulus is repeated, or all are, a fifth of the stimuli (spread over the recording) is held out
            for the test, or the last fifth of each sweep if there are fewer than five stimuli. A number between 0 and
            1 holds out that last fraction of each sweep. A list holds out the sweeps of these names.

        Returns
        -------
        train, test : Recording
            The two parts.

        Raises
        ------
        RecordingError
            If either part would be empty.
        """
        asked = test if isinstance(test, str | int | float | np.floating) else self.select(names=list(test)).sweeps
        train, held = split.split_sweeps(self.sweeps, asked)
        return self._check_side(train, "train"), self._check_side(held, "test")

    def _check_side(self, sweeps: list[Sweep], side: str) -> Recording:
        if not sweeps:
            raise RecordingError(
                f"{self.cell}: the split leaves nothing to {side}; the recording has {len(self)} sweeps of "
                f"{self.duration:g} ms together: give split(test=...) a number between 0 and 1 or other names"
            )
        return self._with_sweeps(sweeps)


def check_recording(given: Any, verb: str) -> None:
    """Raise a RecordingError if what a function is given (`verb` names it) is no recording."""
    if not isinstance(given, Recording):
        raise RecordingError(
            f"{verb}() takes a Recording, not a {type(given).__name__}: ephysfit.load(FILE) reads one, "
            "Recording.of(current, dt, voltage) makes one of arrays in pA, ms and mV"
        )


def _detect_in_sweep(sweep: Sweep, options: Mapping[str, Any]) -> Sweep:
    if sweep.voltage is None:
        has = "it is a planned current" if sweep.spike_source == "none" else "it has given spike times only"
        raise RecordingError(f"sweep {sweep.name!r}: no voltage to detect spikes in; {has}")
    found = search_spikes(sweep.voltage, sweep.dt, current=sweep.current, **options)
    removed = (*(one for one in sweep.removed if one.rule not in LEFT_OUT), *found.removed)
    warnings = (*sweep.warnings, *(w for w in found.warnings if w not in sweep.warnings))
    out = replace(sweep, spike_times=found.spikes.times, spike_source="detected", removed=removed, warnings=warnings)
    if not options:
        keep_spikes(out, found.spikes)
    return out


def _split_trials(
    current: npt.ArrayLike, voltage: npt.ArrayLike | None, spike_times: Any, dt: Any, time_axis: int | None
) -> tuple[list[Trace], Sequence[Trace | None], bool]:
    """Split arrays into trials of current and voltage, and find whether there is a single 1-D one."""
    values = {"current": _convert_array(current, "current", "pA")}
    if voltage is not None:
        values["voltage"] = _convert_array(voltage, "voltage", "mV")
    if _has_train_per_trial(spike_times):
        values["spike_times"] = np.empty((len(spike_times), 0))
    known = isinstance(dt, int | float | np.number) and np.isfinite(dt) and dt > 0
    out, turned = orient_arrays(values, float(dt) if known else None, time_axis)
    if turned and time_axis is None:
        raise RecordingError(f"{turned}: (trial, time) is wanted; give it transposed, or time_axis=0")
    currents = list(np.atleast_2d(out["current"]))
    voltages = list(np.atleast_2d(out["voltage"])) if "voltage" in out else [None] * len(currents)
    return currents, voltages, out["current"].ndim == 1


def _convert_array(values: npt.ArrayLike, what: str, unit: str) -> Float64[Array, "..."]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RecordingError(f"{what}: not an array of numbers in {unit} ({error})") from None


def _has_train_per_trial(spike_times: Any) -> bool:
    """Whether there is one train per trial, rather than a single train."""
    return spike_times is not None and not np.isscalar(spike_times) and any(np.ndim(train) for train in spike_times)


def _split_trains(spike_times: Any, n: int, single: bool) -> list[Any] | None:
    if spike_times is None:
        return None
    if single and not _has_train_per_trial(spike_times):
        return [spike_times]
    trains = list(spike_times)
    if len(trains) != n or any(np.ndim(train) != 1 for train in trains):
        raise RecordingError(
            f"spike_times: {len(trains)} entries for {n} trials; give one list of times (ms) for each trial"
        )
    return trains


def join_recordings(recordings: Sequence[Recording]) -> Recording:
    """Join several files of one cell into one recording.

    Parameters
    ----------
    recordings
        At least one, all of the same cell, which is not checked.

    Examples
    --------
    >>> import numpy as np
    >>> a = Recording.of(np.ones(10), 0.1, spike_times=[], cell="c7_training")
    >>> b = Recording.of(np.zeros(10), 0.1, spike_times=[], cell="c7_test")
    >>> join_recordings([a, b]).cell
    'c7'
    """
    if not recordings:
        raise RecordingError("nothing to join; give at least one recording")
    if len(recordings) == 1:
        return recordings[0]
    names = [recording.cell for recording in recordings]
    shared = _find_common_words(names)
    sweeps = tuple(sweep for recording in recordings for sweep in _label_sweeps(recording))
    return Recording(
        sweeps,
        cell=shared or names[0],
        source=", ".join(recording.source for recording in recordings),
        electrode={k: v for recording in reversed(recordings) for k, v in recording.electrode.items()},
        rejected=tuple(r for recording in recordings for r in recording.rejected),
        facts={k: v for recording in reversed(recordings) for k, v in recording.facts.items()},
        warnings=tuple(w for recording in recordings for w in recording.warnings),
        loaded={"files": [dict(recording.loaded) for recording in recordings]},
    )


def _find_common_words(names: Sequence[str]) -> str:
    """Find the words with which all names begin."""
    words = [re.split(r"([_\- .]+)", name) for name in names]
    same = takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False))
    return "".join(column[0] for column in same).rstrip("_- .")


def _label_sweeps(recording: Recording) -> list[Sweep]:
    """Add the name of the file to those of its sweeps, so that names stay unique when files are joined."""
    stem = recording.source.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return [
        replace(sweep, name=f"{stem}/{sweep.name}", stimulus=sweep.stimulus or stem)
        if recording.source != "memory"
        else sweep
        for sweep in recording.sweeps
    ]
