"""Tables of named columns with units: csv, tsv, text, npz, Matlab and parquet.

One sample a row, `time_ms` (or `dt=`), `current_pA`, and `voltage_mV` or spike times; trials by a `trial` column. In
npz and Matlab files an array may also be (trial, time), and spikes may come flat: `spike_times_ms` and `spike_trial`.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Trace, Train
from ephysfit.data import hdf5
from ephysfit.data.building import Choice, build
from ephysfit.data.columns import Column, resolve
from ephysfit.data.recording import Recording, Rejected, Sweep, check_step
from ephysfit.errors import RecordingError, StimulusError, needed

NAME = "table"
HEAD = 4096
#: time stamps, often printed with few digits, may leave a regular grid by this part of a step
JITTER = 0.1
BINARY = {b"PK\x03\x04": "npz", b"MATLAB 5": "mat", b"MATLAB 7.3": "mat73", b"PAR1": "parquet"}

#: run by another interpreter: Matlab file in, npz of its numeric arrays out
MAT_TO_NPZ = """
import io, sys
import numpy as np
from scipy.io import loadmat
found = loadmat(sys.argv[1])
arrays = {k: v for k, v in found.items() if isinstance(v, np.ndarray) and np.issubdtype(v.dtype, np.number)}
buffer = io.BytesIO()
np.savez(buffer, **arrays)
sys.stdout.buffer.write(buffer.getvalue())
"""

Arrays = Mapping[str, npt.NDArray[Any]]


def recognises(path: Path) -> bool:
    """Text with separated columns, or an npz, Matlab 5 or parquet file by its first bytes."""
    return _kind(path) is not None


def _kind(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(HEAD)
    for magic, kind in BINARY.items():
        if head.startswith(magic):
            return kind
    if b"\0" in head:
        return None
    try:
        head[: head.rfind(b"\n") + 1 or None].decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return "text"


def read(
    path: Path,
    *,
    choice: Choice | None = None,
    columns: Mapping[str, str | int] | None = None,
    units: Mapping[str, str] | None = None,
    dt: float | None = None,
    cell: str | None = None,
    planned: bool = False,
) -> Recording:
    """The sweeps of a table.

    Parameters
    ----------
    path
        The file.
    choice
        Sweeps to keep.
    columns
        Which column (name or position) holds ``current``, ``voltage``, ``time``, ``spike_times``, ``trial``, where
        names do not say.
    units
        Units of those columns, for example ``{"current": "nA"}``.
    dt
        Sampling step, ms, where the table has no time.
    cell
        Name of the cell; the file's stem by default.
    planned
        Take currents alone too, with neither voltage nor spikes: what a fitted cell is to be given.
    """
    choice = choice or Choice()
    arrays = LOADERS[_kind(path) or "text"](path)
    roles = resolve(arrays, columns, units)
    if "current" not in roles:
        raise StimulusError(
            f"no column holds a current; found {', '.join(map(repr, arrays)) or 'no columns'}: give columns= and units="
        )
    values = {quantity: _numbers(arrays[column.name], column) for quantity, column in roles.items()}
    sweeps, rejected = _sweeps(values, dt, choice, planned)
    return Recording(tuple(sweeps), cell=cell or path.stem, source=path.name, rejected=tuple(rejected))


def _numbers(array: npt.NDArray[Any], column: Column) -> npt.NDArray[np.float64]:
    try:
        return np.asarray(array, dtype=np.float64) * column.factor
    except (TypeError, ValueError):
        raise RecordingError(f"column {column.name!r} holds something that is not a number") from None


def _sweeps(
    values: Arrays, dt: float | None, choice: Choice, planned: bool = False
) -> tuple[list[Sweep], list[Rejected]]:
    rows = _rows(values)
    names = [name for name, _ in rows]
    choice.check(names, [""])
    sweeps, rejected = [], []
    for k, (name, row) in enumerate(rows):
        if choice.takes(k, name, ""):
            try:
                sweeps.append(_sweep(name, row, dt, planned))
            except RecordingError as error:
                rejected.append(Rejected(name, str(error)))
    return sweeps, rejected


Row = dict[str, npt.NDArray[np.float64]]


def _rows(values: Arrays) -> list[tuple[str, Row]]:
    """The arrays of each trial: rows of 2-D arrays, or parts of columns that share a trial number."""
    current = values["current"]
    if current.ndim > 2 or not current.size:
        raise RecordingError(f"current of shape {current.shape}; (time,) or (trial, time) wanted, not empty")
    if current.ndim == 1 and "trial" in values:
        return _long(values)
    trials = np.atleast_2d(current)
    rows = [
        (str(k), {q: _row(q, v, k, len(trials)) for q, v in values.items() if not q.startswith("spike")})
        for k in range(len(trials))
    ]
    for k, (_, row) in enumerate(rows):
        if "spike_times" in values:
            row["spike_times"] = _train(values, k, len(trials))
    return rows


def _row(quantity: str, array: npt.NDArray[np.float64], k: int, n: int) -> npt.NDArray[np.float64]:
    """Trial k of an array that has trials, or what all trials share."""
    if array.ndim == 2 and len(array) == n:
        return array[k]
    if array.ndim <= 1 and (n == 1 or quantity not in ("current", "voltage")):
        return array
    raise RecordingError(f"{quantity} of shape {array.shape} for {n} trials of current")


def _train(values: Arrays, k: int, n: int) -> Train:
    times = values["spike_times"]
    if "spike_trial" in values:
        if values["spike_trial"].shape != times.shape:
            raise RecordingError(
                f"spike_trial of shape {values['spike_trial'].shape} for spike_times of shape {times.shape}"
            )
        times = times[values["spike_trial"] == k]
    elif times.ndim == 2 and len(times) == n:
        times = times[k]
    elif n > 1:
        raise RecordingError(
            f"spike_times of shape {times.shape} for {n} trials: give spike_trial, the trial of each spike"
        )
    return np.sort(times[np.isfinite(times)].ravel())


def _long(values: Arrays) -> list[tuple[str, Row]]:
    """Trials of a table in long form."""
    trial = values["trial"]
    if any(v.shape != trial.shape for v in values.values() if v.ndim == 1 and v.size != 1):
        raise RecordingError("columns are of different length")
    rows = []
    for number in np.unique(trial[np.isfinite(trial)]):
        row = {q: v[trial == number] if v.shape == trial.shape else v for q, v in values.items() if q != "trial"}
        if "spike_times" in row:
            row["spike_times"] = np.sort(row["spike_times"][np.isfinite(row["spike_times"])])
        rows.append((f"{number:g}", row))
    return rows


def _sweep(name: str, row: Row, dt: float | None, planned: bool) -> Sweep:
    current, voltage = row["current"], row.get("voltage")
    if voltage is None and "spike_times" not in row and not planned:
        raise RecordingError("neither a voltage nor spike times: give columns= and units=")
    step, start = _step(row, len(current), dt)
    sweep = build(current, voltage, step, name)
    if "spike_times" not in row:
        return sweep
    return replace(sweep, spike_times=row["spike_times"] - start, spike_source="given")


def _step(row: Row, n: int, dt: float | None) -> tuple[float, float]:
    """Sampling step and time of the first sample, ms, from what there is: dt given, a dt, a rate, or times."""
    if dt is not None:
        return check_step(dt, "dt="), 0.0
    if "dt" in row:
        return check_step(_scalar(row["dt"], "dt")), 0.0
    if "rate" in row:
        rate = _scalar(row["rate"], "rate")
        if not (np.isfinite(rate) and rate > 0):
            raise RecordingError(f"sampling rate {rate} Hz; it is finite and above 0")
        return 1e3 / rate, 0.0
    if "time" not in row:
        raise RecordingError("no time column, dt or rate: give dt= in ms")
    return _regular(row["time"], n)


def _scalar(values: npt.NDArray[np.float64], what: str) -> float:
    if np.unique(values).size != 1:
        raise RecordingError(f"{what} takes several values; one wanted")
    return float(values.ravel()[0])


def _regular(time: Trace, n: int) -> tuple[float, float]:
    if time.shape != (n,) or n < 2 or not np.isfinite(time).all():
        raise RecordingError(
            f"time of shape {time.shape} for {n} samples; one finite time a sample, at least two, wanted"
        )
    dt = float(time[-1] - time[0]) / (n - 1)
    off = np.abs(time - time[0] - np.arange(n) * dt).max()
    if not dt > 0 or off > JITTER * dt:
        raise RecordingError(
            f"time is not regular: mean step {dt:g} ms, up to {off:g} ms off the grid; resample it first"
        )
    return _clean(dt, off / n), float(time[0])


def _clean(dt: float, error: float) -> float:
    """The shortest decimal within the error of a printed time column: 0.1, not 0.10000000000000142."""
    for digits in range(1, 12):
        if abs(float(f"{dt:.{digits}g}") - dt) <= max(error, 1e-12 * dt):
            return float(f"{dt:.{digits}g}")
    return dt


def _npz(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return {name: np.asarray(file[name]) for name in file.files}


def _mat(path: Path) -> Arrays:
    """Numeric arrays of a Matlab file, parsed in a process of its own: SciPy's parser crashes on some damaged files."""
    done = subprocess.run([sys.executable, "-c", MAT_TO_NPZ, str(path)], capture_output=True, check=False, timeout=600)
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
        raise RecordingError(f"a damaged Matlab file ({last[:200] or 'the parser crashed'})")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as file:
        return {name: np.squeeze(file[name]) for name in file.files}


def _mat73(path: Path) -> Arrays:
    """Numeric arrays of a Matlab 7.3 file, which is HDF5; Matlab keeps them column by column."""
    import h5py

    with hdf5.opened(path) as file:
        found = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
        numbers = {name: item for name, item in found.items() if np.issubdtype(item.dtype, np.number) and item.shape}
        return {name: np.squeeze(hdf5.column(item).T) for name, item in numbers.items()}


def _parquet(path: Path) -> Arrays:
    needed("pyarrow.parquet", "store", f"{path.name}: a table in Parquet", RecordingError)
    import pyarrow.parquet as parquet

    table = parquet.read_table(str(path))
    return {name: table.column(name).to_numpy() for name in table.column_names}


def _text(path: Path) -> Arrays:
    import pandas as pd

    with path.open(encoding="utf-8-sig") as file:
        head = [
            line for line in (file.readline(10_000) for _ in range(60)) if line.strip() and not line.startswith("#")
        ]
    separator, decimal = _format(head)
    named = bool(head) and not _numeric(head[0], separator)
    try:
        frame = pd.read_csv(path, sep=separator, decimal=decimal, comment="#", header=0 if named else None,
                            encoding="utf-8-sig", skipinitialspace=True, index_col=False)  # fmt: skip
    except pd.errors.ParserError as error:
        raise RecordingError(f"text, but not a table of columns ({str(error).strip()})") from None
    return {str(name).strip(): frame[name].to_numpy() for name in frame.columns}


def _format(head: list[str]) -> tuple[str, str]:
    """Separator and decimal sign of a text table."""
    if len(head) < 2:
        raise RecordingError(
            f"no other format recognises the file, and as a table it has {len(head)} line(s); a table needs a line of "
            "column names with units, as time_ms,current_pA,voltage_mV, and rows below it"
        )
    for separator in ("\t", ";", ","):
        counts = {line.count(separator) for line in head[:2]}
        if len(counts) == 1 and counts != {0}:
            comma = (
                separator != "," and not any("." in line for line in head[1:]) and any("," in line for line in head[1:])
            )
            return separator, "," if comma else "."
    return r"\s+", "."


def _numeric(line: str, separator: str) -> bool:
    cells = re.split(separator, line.strip())
    return all(re.fullmatch(r"\s*[-+]?[\d.,]+(e[-+]?\d+)?\s*|\s*nan\s*", cell, re.IGNORECASE) for cell in cells)


LOADERS: dict[str, Callable[[Path], Arrays]] = {
    "npz": _npz, "mat": _mat, "mat73": _mat73, "parquet": _parquet, "text": _text,
}  # fmt: skip
