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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBHDF5IO, H5DataIO, TimeSeries, validate
from pynwb.misc import Units

from ephysfit.data.nwb_stored import FACTS, MODULE, PARAMETERS, SCORES, Membrane, Rows, Stored, labels
from ephysfit.data.registry import DAMAGE, brief, reader_of
from ephysfit.errors import RecordingError
from ephysfit.files import settle

SOURCE = "model"
#: seconds after which an unfinished copy is nobody's
STALE = 3600.0


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
        settle(partial)
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


@contextmanager
def _quiet() -> Iterator[None]:
    """pynwb warns about what it reads in the user's file: nothing that we wrote."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _add(path: Path, stored: Stored) -> None:
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
    made = [
        VectorData(name=c, description=said, data=[_cell(row.get(c)) for row in rows]) for c, said in columns.items()
    ]
    return DynamicTable(name=name, description=description, columns=made)


def _cell(value: Any) -> Any:
    """A cell of a table: text, or a float with NaN for nothing."""
    return value if isinstance(value, str) else float("nan") if value is None else float(value)


def _units(stored: Stored) -> Any:
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
    with _quiet():
        return {str(error) for error in validate(path=str(path))}
