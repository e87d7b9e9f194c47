"""The way back: a fitted cell, its predicted spikes and its scores appended to the NWB file they came from.

Everything goes into one processing module, ``ephysfit``; nothing that was in the file is changed. Predicted spikes
stand in a units table of their own with ``source = "model"``, never in the file's, so that they never pass for
recorded ones.

The file is replaced as a whole: a copy is written beside it, checked against the NWB schema, and takes its place in one
step. A crash or a full disk at any moment leaves the original as it was.
"""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit.arrays import Trace, Train
from ephysfit.data import hdf5
from ephysfit.data.registry import DAMAGE, brief, reader_of
from ephysfit.errors import RecordingError

MODULE = "ephysfit"
SOURCE = "model"
#: seconds after which an unfinished copy is nobody's
STALE = 3600.0
#: columns of the tables, with what they hold
FACTS = {"key": "What the line says.", "value": "In words; `fit_json` is the whole fit as ephysfit saves it."}
PARAMETERS = {
    "parameter": "Name.", "value": "Fitted value.", "unit": "Unit of value, error and bounds.",
    "standard_error": "Of the value; NaN where it is not known.", "low": "Lower bound.", "high": "Upper bound.",
    "meaning": "What the parameter is.",
}  # fmt: skip
SCORES = {
    "readout": "Which run of the model.", "score": "Name, with its window or smoothing in ms.", "value": "Score.",
    "error": "Standard error over recorded repeats.", "cells_own": "What the cell reaches against itself.",
    "best": "The best there is.", "meaning": "What is scored.",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Prediction:
    """One predicted spike train.

    Parameters
    ----------
    readout
        Which run of the model: "noisy runs", "causal run" ...
    stimulus
        Name of the stimulus.
    sweeps
        Names of the sweeps that repeat it, with commas.
    run
        Number of the run, counted from 0.
    start, duration
        Of the first of these sweeps on the session clock, ms.
    spike_times
        ms from `start`.
    """

    readout: str
    stimulus: str
    sweeps: str
    run: int
    start: float
    duration: float
    spike_times: Train


@dataclass(frozen=True, eq=False)
class Membrane:
    """A predicted membrane voltage, mV, shape (time,), from `start` on the session clock in steps of `dt`, ms."""

    stimulus: str
    voltage: Trace
    dt: float
    start: float


Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Stored:
    """What stands in an NWB file of one fit.

    Parameters
    ----------
    label
        By which it is found again.
    facts
        Model, cell, version, date ...; ``fit_json`` is the fit itself.
    parameters, scores
        Rows with the keys of `PARAMETERS` and `SCORES`.
    predictions, membranes
        Of the model.
    step
        Of the runs, ms: predicted spikes are not known finer.
    """

    label: str
    facts: Mapping[str, str]
    parameters: Rows = ()
    scores: Rows = ()
    predictions: tuple[Prediction, ...] = ()
    membranes: tuple[Membrane, ...] = ()
    step: float = 0.5


def append(path: str | Path, stored: Stored, out: str | Path | None = None) -> Path:
    """Put a fit into an NWB 2 file.

    Parameters
    ----------
    path
        The file.
    stored
        What goes in; a fit of the same label must not be there yet.
    out
        Another file to write instead, so that the first stays as it is.

    Returns
    -------
    Path
        Of the file written.

    Raises
    ------
    RecordingError
        If the file is not NWB 2, holds a fit of that label, cannot be written, changed meanwhile, or would not be
        valid afterwards. It is then as it was.
    """
    path = Path(path)
    target = path if out is None else Path(out)
    _check(path, stored.label)
    before = _state(path)
    with _beside(path, target) as partial:
        _add(partial, stored)
        _validate(partial, path)
        _settle(partial)
        if target == path and _state(path) != before:
            raise RecordingError(f"{path.name}: another program changed the file meanwhile; run again")
        partial.replace(target)
    return target


def _state(path: Path) -> tuple[int, int, int]:
    there = path.stat()
    return there.st_size, there.st_mtime_ns, there.st_ino


def _check(path: Path, label: str) -> None:
    if not path.is_file():
        raise RecordingError(f"{path}: no such file")
    reader = reader_of(path)
    if reader.name != "NWB 2":
        raise RecordingError(f"{path.name}: a fit can be written into NWB 2 files; this is {reader.name}")
    if not label or "/" in label or label != label.strip():
        raise RecordingError(f"label {label!r}: one name without slashes wanted, such as 'alif'")
    have = labels(path)
    if label in have:
        raise RecordingError(
            f"{path.name}: already holds a fit named {label!r} (all: {', '.join(have)}); give another label="
        )


@contextmanager
def _beside(path: Path, target: Path) -> Iterator[Path]:
    """A copy of the file in the folder of the target, removed again if it does not take the target's place."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    _sweep_up(target)
    try:
        shutil.copyfile(path, partial)
        shutil.copymode(path, partial)
        yield partial
    except OSError as error:
        raise RecordingError(f"{target}: cannot be written ({error.strerror or error}); it is as it was") from error
    finally:
        partial.unlink(missing_ok=True)


def _sweep_up(target: Path) -> None:
    """Remove what writers that were killed long ago left behind."""
    for left in target.parent.glob(f".{target.name}.*.partial"):
        if time.time() - left.stat().st_mtime > STALE:
            left.unlink(missing_ok=True)


def _settle(path: Path) -> None:
    """Have the bytes on the disk before the name points to them."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _quiet() -> Iterator[None]:
    """pynwb warns about what it reads in the user's file: nothing that we wrote."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _add(path: Path, stored: Stored) -> None:
    from pynwb import NWBHDF5IO

    try:
        with _quiet(), NWBHDF5IO(str(path), "a") as io:
            nwb = io.read()
            module = nwb.processing.get(MODULE) or nwb.create_processing_module(
                MODULE, "Point neurons fitted by ephysfit: parameters, scores on held-out stimuli, predicted spikes."
            )
            for item in _items(stored):
                module.add(item)
            io.write(nwb)
    except DAMAGE as error:
        raise RecordingError(f"{path.name}: pynwb cannot add to the file ({brief(error)}); it is as it was") from error


def _items(stored: Stored) -> Iterator[Any]:
    """The containers of one fit."""
    label, model = stored.label, stored.facts.get("model", "neuron")
    facts = [{"key": k, "value": v} for k, v in stored.facts.items()]
    yield _table(f"{label}_fit", f"Fit {label}: a {model}, and how it was found.", FACTS, facts)
    if stored.parameters:
        yield _table(f"{label}_parameters", f"Parameters of fit {label}.", PARAMETERS, stored.parameters)
    if stored.scores:
        yield _table(
            f"{label}_scores", f"Scores of fit {label} on stimuli it was not fitted to.", SCORES, stored.scores
        )
    if stored.predictions:
        yield _units(stored)
    for k, membrane in enumerate(stored.membranes):
        yield _membrane(f"{label}_membrane_{k:02d}", membrane, label)


def _table(name: str, description: str, columns: Mapping[str, str], rows: Rows) -> Any:
    from hdmf.common import DynamicTable, VectorData

    made = [
        VectorData(name=c, description=said, data=[_cell(row.get(c)) for row in rows]) for c, said in columns.items()
    ]
    return DynamicTable(name=name, description=description, columns=made)


def _cell(value: Any) -> Any:
    """A cell of a table: text, or a float with NaN for nothing."""
    return value if isinstance(value, str) else float("nan") if value is None else float(value)


def _units(stored: Stored) -> Any:
    from pynwb.misc import Units

    table = Units(
        name=f"{stored.label}_units", description=f"Spikes that fit {stored.label} predicts; none is recorded."
    )
    for name, what in {
        "source": "'model': predicted, not recorded.", "readout": "Which run of the model.",
        "stimulus": "Name of the stimulus.", "sweeps": "Sweeps that repeat it; times are those of the first.",
        "run": "Number of the run.",
    }.items():  # fmt: skip
        table.add_column(name, what)
    for p in stored.predictions:
        span = [[p.start / 1e3, (p.start + p.duration) / 1e3]]
        table.add_unit(
            spike_times=(np.asarray(p.spike_times) + p.start) / 1e3, obs_intervals=span, source=SOURCE,
            readout=p.readout, stimulus=p.stimulus, sweeps=p.sweeps, run=p.run,
        )  # fmt: skip
    return table


def _membrane(name: str, membrane: Membrane, label: str) -> Any:
    from pynwb import H5DataIO, TimeSeries

    data = H5DataIO(np.asarray(membrane.voltage, dtype=np.float32), compression="gzip", shuffle=True)
    return TimeSeries(
        name=name, data=data, unit="volts", conversion=1e-3, rate=1e3 / membrane.dt, starting_time=membrane.start / 1e3,
        description=f"Membrane of the noise-free run of fit {label}", comments=f"stimulus: {membrane.stimulus}",
    )  # fmt: skip


def _validate(path: Path, original: Path) -> None:
    """Raise where the schema finds fault with more than it found in the original."""
    found = _faults(path)
    new = found - _faults(original) if found else found
    if new:
        raise RecordingError(
            f"{original.name}: would not be valid NWB afterwards ({'; '.join(sorted(new)[:3])}); it is as it was"
        )


def _faults(path: Path) -> set[str]:
    from pynwb import validate

    with _quiet():
        return {str(error) for error in validate(path=str(path))}


def labels(path: str | Path) -> tuple[str, ...]:
    """Names of the fits that a file holds."""
    if not hdf5.is_hdf5(Path(path)):
        return ()
    with hdf5.opened(Path(path)) as file:
        module = file.get(f"processing/{MODULE}")
        return () if module is None else tuple(sorted(n.removesuffix("_fit") for n in module if n.endswith("_fit")))


def stored_in(path: str | Path) -> tuple[Stored, ...]:
    """The fits that an NWB file holds, as they were written.

    Raises
    ------
    RecordingError
        If what stands there cannot be read.
    """
    path = Path(path)
    try:
        found = labels(path)
        with hdf5.opened(path) as file:
            return tuple(_stored(file[f"processing/{MODULE}"], label) for label in found)
    except DAMAGE as error:
        raise RecordingError(f"{path.name}: its fits cannot be read ({brief(error)})") from error


def _stored(module: Any, label: str) -> Stored:
    rows = {name: _rows(module.get(f"{label}_{name}"), columns)
            for name, columns in (("fit", FACTS), ("parameters", PARAMETERS), ("scores", SCORES))}  # fmt: skip
    facts = {str(row["key"]): str(row["value"]) for row in rows["fit"]}
    membranes = sorted(name for name in module if name.startswith(f"{label}_membrane_"))
    return Stored(
        label, facts, rows["parameters"], rows["scores"], tuple(_predictions(module.get(f"{label}_units"))),
        tuple(_read_membrane(module[name]) for name in membranes),
    )  # fmt: skip


def _rows(table: Any, columns: Mapping[str, str]) -> list[dict[str, Any]]:
    if table is None:
        return []
    values = {c: table[c][()] for c in columns if c in table}
    n = len(next(iter(values.values()), ()))
    return [{c: _plain(v[k]) for c, v in values.items()} for k in range(n)]


def _plain(value: Any) -> Any:
    return hdf5.text(value) if isinstance(value, bytes | str) else float(value)


def _predictions(table: Any) -> Iterator[Prediction]:
    if table is None:
        return
    ends = table["spike_times_index"][()].astype(int)
    trains = np.split(table["spike_times"][()] * 1e3, ends)
    readouts, stimuli, sweeps = (hdf5.strings(table, name) for name in ("readout", "stimulus", "sweeps"))
    for k, (run, (start, stop)) in enumerate(zip(table["run"][()], table["obs_intervals"][()] * 1e3, strict=True)):
        times = trains[k] - start
        yield Prediction(readouts[k], stimuli[k], sweeps[k], int(run), float(start), float(stop - start), times)


def _read_membrane(series: Any) -> Membrane:
    begin = series["starting_time"]
    voltage = series["data"][()].astype(np.float64)
    stimulus = hdf5.text(series.attrs.get("comments")).removeprefix("stimulus: ")
    return Membrane(stimulus, voltage, 1e3 / float(begin.attrs["rate"]), float(begin[()]) * 1e3)
