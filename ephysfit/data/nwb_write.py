"""Writing fits: a fitted neuron, its predicted spikes and its scores appended to the NWB file of the recording.

Everything goes into one processing module, ``ephysfit``; nothing that was in the file is changed. Predicted spikes
are stored in a units table of their own with ``source = "model"``, so that they cannot be mistaken for recorded ones.

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

from ephysfit.data.nwb_stored import FACTS, MODULE, PARAMETERS, SCORES, Membrane, Rows, Stored, list_labels
from ephysfit.data.registry import DAMAGE, describe_error, find_reader
from ephysfit.errors import RecordingError
from ephysfit.files import flush_to_disk

SOURCE = "model"
#: seconds after which an unfinished copy is removed
STALE = 3600.0


def append_fit(path: str | Path, stored: Stored, out: str | Path | None = None) -> Path:
    """Append a fit to an NWB 2 file.

    Parameters
    ----------
    path
        The file.
    stored
        The record of the fit; the file must not hold one with the same label.
    out
        Another file to write instead, so that the first stays as it is.

    Returns
    -------
    Path
        Path of the file written.

    Raises
    ------
    RecordingError
        If the file is not NWB 2, holds a fit of that label, cannot be written, changed meanwhile, or would not be
        valid afterwards. The file is then unchanged.
    """
    path = Path(path)
    target = path if out is None else Path(out)
    _check_target(path, stored.label)
    before = _read_file_state(path)
    with _copy_beside(path, target) as partial:
        _add_containers(partial, stored)
        _validate(partial, path)
        flush_to_disk(partial)
        if target == path and _read_file_state(path) != before:
            raise RecordingError(f"{path.name}: another program changed the file meanwhile; run again")
        partial.replace(target)
    return target


def _read_file_state(path: Path) -> tuple[int, int, int]:
    there = path.stat()
    return there.st_size, there.st_mtime_ns, there.st_ino


def _check_target(path: Path, label: str) -> None:
    if not path.is_file():
        raise RecordingError(f"{path}: no such file")
    reader = find_reader(path)
    if reader.name != "NWB 2":
        raise RecordingError(f"{path.name}: a fit can be written into NWB 2 files; this is {reader.name}")
    if not label or "/" in label or label != label.strip():
        raise RecordingError(f"label {label!r}: one name without slashes wanted, such as 'alif'")
    have = list_labels(path)
    if label in have:
        raise RecordingError(
            f"{path.name}: already holds a fit named {label!r} (all: {', '.join(have)}); give another label="
        )


@contextmanager
def _copy_beside(path: Path, target: Path) -> Iterator[Path]:
    """Copy a file into the folder of the target; the copy is removed unless it takes the target's place."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    _remove_stale_copies(target)
    try:
        shutil.copyfile(path, partial)
        shutil.copymode(path, partial)
        yield partial
    except OSError as error:
        raise RecordingError(f"{target}: cannot be written ({error.strerror or error}); it is as it was") from error
    finally:
        partial.unlink(missing_ok=True)


def _remove_stale_copies(target: Path) -> None:
    """Remove the copies of writers that were killed long ago."""
    for left in target.parent.glob(f".{target.name}.*.partial"):
        if time.time() - left.stat().st_mtime > STALE:
            left.unlink(missing_ok=True)


@contextmanager
def _silence_pynwb() -> Iterator[None]:
    """Suppress the warnings of pynwb, which concern the user's file and nothing written here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _add_containers(path: Path, stored: Stored) -> None:
    try:
        with _silence_pynwb(), NWBHDF5IO(str(path), "a") as io:
            nwb = io.read()
            module = nwb.processing.get(MODULE) or nwb.create_processing_module(
                MODULE, "Point neurons fitted by ephysfit: parameters, scores on held-out stimuli, predicted spikes."
            )
            for item in _make_containers(stored):
                module.add(item)
            io.write(nwb)
    except DAMAGE as error:
        raise RecordingError(
            f"{path.name}: pynwb cannot add to the file ({describe_error(error)}); it is as it was"
        ) from error


def _make_containers(stored: Stored) -> Iterator[Any]:
    """Make the containers of one fit."""
    label, model = stored.label, stored.facts.get("model", "neuron")
    facts = [{"key": k, "value": v} for k, v in stored.facts.items()]
    yield _make_table(f"{label}_fit", f"Fit {label}: a {model}, and how it was found.", FACTS, facts)
    if stored.parameters:
        yield _make_table(f"{label}_parameters", f"Parameters of fit {label}.", PARAMETERS, stored.parameters)
    if stored.scores:
        yield _make_table(
            f"{label}_scores", f"Scores of fit {label} on stimuli it was not fitted to.", SCORES, stored.scores
        )
    if stored.predictions:
        yield _make_units(stored)
    for k, membrane in enumerate(stored.membranes):
        yield _make_membrane(f"{label}_membrane_{k:02d}", membrane, label)


def _make_table(name: str, description: str, columns: Mapping[str, str], rows: Rows) -> Any:
    made = [
        VectorData(name=c, description=said, data=[_convert_cell(row.get(c)) for row in rows])
        for c, said in columns.items()
    ]
    return DynamicTable(name=name, description=description, columns=made)


def _convert_cell(value: Any) -> Any:
    """Convert a cell of a table: text, or a float with NaN for None."""
    return value if isinstance(value, str) else float("nan") if value is None else float(value)


def _make_units(stored: Stored) -> Any:
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


def _make_membrane(name: str, membrane: Membrane, label: str) -> Any:
    data = H5DataIO(np.asarray(membrane.voltage, dtype=np.float32), compression="gzip", shuffle=True)
    return TimeSeries(
        name=name, data=data, unit="volts", conversion=1e-3, rate=1e3 / membrane.dt, starting_time=membrane.start / 1e3,
        description=f"Membrane of the noise-free run of fit {label}", comments=f"stimulus: {membrane.stimulus}",
    )  # fmt: skip


def _validate(path: Path, original: Path) -> None:
    """Raise an error if the schema finds faults that the original did not have."""
    found = _find_faults(path)
    new = found - _find_faults(original) if found else found
    if new:
        raise RecordingError(
            f"{original.name}: would not be valid NWB afterwards ({'; '.join(sorted(new)[:3])}); it is as it was"
        )


def _find_faults(path: Path) -> set[str]:
    with _silence_pynwb():
        return {str(error) for error in validate(path=str(path))}
