"""Tables of named columns with units: text of any program, npz, Matlab and parquet.

One sample per row, `time_ms` (or `dt=`), `current_pA`, and `voltage_mV` or spike times; trials by a `trial` column. In
npz and Matlab files an array may also be (trial, time), and spikes may come flat: `spike_times_ms` and `spike_trial`.
"""

from __future__ import annotations

import fnmatch
import io
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ephysfit.arrays import Array, Float64, Trace, Train
from ephysfit.data import hdf5
from ephysfit.data.assemble import SAME_RATE, Choice, build, round_step
from ephysfit.data.columns import Column, assign_columns, find_unit, parse_column
from ephysfit.data.recording import Recording, Rejected, Sweep, check_step
from ephysfit.data.rules import Removed
from ephysfit.data.sweep import drop_missing
from ephysfit.data.text_encoding import is_text
from ephysfit.data.text_tables import read_text
from ephysfit.data.time_axis import orient_arrays
from ephysfit.errors import RecordingError, StimulusError, needed, some

NAME = "table"
HEAD = 4096
#: time stamps, often printed with few digits, may leave a regular grid by this part of a step
JITTER = 0.1
BINARY = {b"PK\x03\x04": "npz", b"MATLAB 5": "mat", b"MATLAB 7.3": "mat73", b"PAR1": "parquet"}
#: names of columns that are sweeps: "Trace #3 (mV)", "sweep_3_pA"
_SWEEP = re.compile(r"\b(trace|sweep|trial|episode|repeat|repetition)\s*[#_ ]?\s*(\d+)(?![\d.])", re.IGNORECASE)

#: program of another interpreter: reads a Matlab file, writes an npz of its numeric arrays
MAT_TO_NPZ = """
import io, sys
import numpy as np
from scipy.io import loadmat
found = loadmat(sys.argv[1])
arrays = {k: v for k, v in found.items() if isinstance(v, np.ndarray) and np.issubdtype(v.dtype, np.number)}
arrays["objects of the file"] = np.array([k for k in found if k not in arrays and not k.startswith("__")], dtype=str)
buffer = io.BytesIO()
np.savez(buffer, **arrays)
sys.stdout.buffer.write(buffer.getvalue())
"""

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class TableContents:
    """The raw contents of a table.

    Attributes
    ----------
    arrays : mapping of str to ndarray
        Arrays by name.
    summary : str
        Description of the layout of a text table.
    notes : tuple of str
        Sentences on the lines that were left out.
    left_out : int
        Number of lines left out.
    objects : tuple of str
        Names of the objects that are not arrays of numbers.
    """

    arrays: Arrays
    summary: str = ""
    notes: tuple[str, ...] = ()
    left_out: int = 0
    objects: tuple[str, ...] = ()


def recognises(path: Path) -> bool:
    """Whether a file is text with separated columns, or npz, Matlab or Parquet by its first bytes."""
    return _find_file_kind(path) is not None


def _find_file_kind(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(HEAD)
    for magic, kind in BINARY.items():
        if head.startswith(magic):
            return kind
    return "text" if is_text(head) else None


def read(
    path: Path,
    *,
    choice: Choice | None = None,
    columns: Mapping[str, Any] | None = None,
    units: Mapping[str, str] | None = None,
    dt: float | None = None,
    cell: str | None = None,
    planned: bool = False,
    time_axis: int | None = None,
    skip: int | None = None,
    names: Sequence[str] | str | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
) -> Recording:
    """Read the sweeps of a table.

    Parameters
    ----------
    path
        The file.
    choice
        Sweeps to read.
    columns
        Column (name or position) of ``current``, ``voltage``, ``time``, ``spike_times`` and ``trial``, if the names do
        not show it. Several columns, as a list or a pattern (``"I_*"``), are one sweep each. None leaves a quantity
        out.
    units
        Units by quantity or by column, for example ``{"current": "nA"}``, if the names do not show them or are wrong.
    dt
        Sampling step, ms, if the table has no times.
    cell
        Name of the cell; the file's stem by default.
    planned
        Accept currents with neither voltage nor spikes, which are to be simulated.
    time_axis
        0 for arrays (time, trial), 1 for (trial, time), if nothing in the file decides.
    skip, names, separator, decimal, encoding
        For text whose layout is not recognised: number of lines to skip at the beginning, names of the columns (also
        one text with commas between them), separator of cells, decimal mark and encoding.
    """
    choice, columns = choice or Choice(), dict(columns or {})
    text = {
        "skip": skip,
        "names": _split_names(names),
        "separator": separator,
        "decimal": decimal,
        "encoding": encoding,
    }
    found = _read_arrays(path, text)
    arrays = _join_families(found.arrays, columns, units or {})
    roles = assign_columns(arrays, columns, units)
    if "current" not in roles:
        raise StimulusError(_explain_no_current(found))
    values = {quantity: _convert_numbers(arrays[column.name], column) for quantity, column in roles.items()}
    values, turned = orient_arrays(values, _find_known_step(values, dt), time_axis)
    sweeps, rejected = _make_sweeps(values, dt, choice, planned)
    sweeps = _add_notes(sweeps, [*found.notes, *filter(None, [turned])], found.left_out)
    facts = (
        {"table": found.summary, "columns": _describe_columns(roles)}
        if found.summary
        else {"columns": _describe_columns(roles)}
    )
    return Recording(tuple(sweeps), cell=cell or path.stem, source=path.name, rejected=tuple(rejected), facts=facts,
                     loaded=facts)  # fmt: skip


def _split_names(names: Sequence[str] | str | None) -> list[str] | None:
    """Split names that are given as a list, or separated by commas as on the command line."""
    if names is None:
        return None
    listed = names.split(",") if isinstance(names, str) else list(names)
    if not listed or not all(isinstance(name, str) for name in listed):
        raise RecordingError(f"names={names!r}: give a list of texts, such as ['time_ms', 'current_pA', 'voltage_mV']")
    return [name.strip() for name in listed]


def _read_arrays(path: Path, text: Mapping[str, Any]) -> TableContents:
    kind = _find_file_kind(path) or "text"
    if kind == "text":
        table = read_text(path, **text)
        return TableContents(table.arrays, table.summary, table.notes, table.left_out)
    asked = [name for name, value in text.items() if value is not None]
    if asked:
        raise RecordingError(f"{asked[0]}= is an option of text tables, and this is a file of kind {kind}")
    return LOADERS[kind](path)


def _join_families(arrays: Arrays, columns: dict[str, Any], units: Mapping[str, str]) -> Arrays:
    """Join columns that are one sweep each as (trial, time).

    These are the columns requested as a list or a pattern, which `columns` then holds by name, and those numbered as
    traces or sweeps.
    """
    out = dict(arrays)
    for quantity, wanted in columns.items():
        members = _find_members(wanted, out)
        if members:
            label = wanted if isinstance(wanted, str) else f"{members[0]} … {members[-1]}"
            if label not in units and quantity not in units and (unit := _find_common_unit(quantity, members)):
                label = f"{label} ({unit})"
            out[label] = _stack_columns(label, [arrays[m] for m in members])
            columns[quantity] = label
    numbered: dict[str, dict[int, str]] = {}
    for name, array in arrays.items():
        match = _SWEEP.search(name)
        if match and array.ndim == 1 and array.dtype != object:
            stem = f"{name[: match.start()]}{match[1]}{name[match.end() :]}"
            numbered.setdefault(stem, {})[int(match[2])] = name
    for stem, members_of in numbered.items():
        if len(members_of) > 1 and stem not in out:
            out = {name: array for name, array in out.items() if name not in members_of.values()}
            out[stem] = _stack_columns(stem, [arrays[members_of[k]] for k in sorted(members_of)])
    return out


def _find_common_unit(quantity: str, members: Sequence[str]) -> str:
    """Find the unit in the names of columns that are joined; empty if they have none.

    Raises
    ------
    RecordingError
        If they are in different ones.
    """
    found = sorted({find_unit(name, quantity) for name in members})
    if len(found) > 1:
        said = " and ".join(repr(unit) if unit else "none" for unit in found)
        raise RecordingError(
            f"columns {some(map(repr, members))} are in different units ({said}): give units={{{quantity!r}: ...}} "
            "or columns of one unit"
        )
    return found[0]


def _find_members(wanted: Any, arrays: Arrays) -> list[str]:
    """Find the columns that a list, a text with commas or a pattern names; empty if it is a single column."""
    if isinstance(wanted, str) and wanted not in arrays:
        if any(c in wanted for c in "*?"):
            named = [name for name in arrays if fnmatch.fnmatchcase(name, wanted.replace("[", "[[]"))]
            return sorted(named, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])
        parts = [part.strip() for part in wanted.split(",")]
        wanted = parts if len(parts) > 1 and all(part in arrays for part in parts) else wanted
    if isinstance(wanted, str | int) or wanted is None:
        return []
    listed = list(arrays)
    missing = [w for w in wanted if not (w in arrays if isinstance(w, str) else 0 <= w < len(listed))]
    if missing:
        raise RecordingError(f"columns: no column {missing[0]!r}; the file has {some(map(repr, listed))}")
    return [w if isinstance(w, str) else listed[w] for w in wanted]


def _stack_columns(label: str, arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    if len({array.shape for array in arrays}) > 1 or arrays[0].ndim != 1:
        raise RecordingError(f"columns {label!r} are of different length, and sweeps side by side are not")
    return np.stack(arrays)


def _explain_no_current(found: TableContents) -> str:
    names = some(map(repr, found.arrays)) if found.arrays else "no columns"
    objects = f" ({_describe_objects(found.objects)})" if found.objects else ""
    said = f"; {found.summary}" if found.summary else ""
    way = "give columns= and units=" + (", or names= for the columns" if found.summary else "")
    if len(found.arrays) > 100 and all(array.size <= 10 for array in found.arrays.values()):
        way = "samples stand side by side, and one below the other is wanted: transpose the table"
    return f"no column holds a current; found {names}{objects}: {way}{said}"


def _describe_objects(names: Sequence[str]) -> str:
    what = "holds objects" if len(names) == 1 else "hold objects"
    return (
        f"{some(map(repr, names))} {what} (lists of different length, cells, structs, text), not numbers, and objects "
        "are not opened: save arrays of numbers, spike times as one flat spike_times_ms with spike_trial beside it"
    )


def _describe_columns(roles: Mapping[str, Column]) -> str:
    """Describe in one line which column was taken for which quantity."""
    return ", ".join(f"{q} from {c.name!r}{f' ({c.how})' if c.how else ''}" for q, c in roles.items())


def _add_notes(sweeps: list[Sweep], notes: Sequence[str], left_out: int) -> list[Sweep]:
    """Add notes on what was left out or transposed to every sweep, and the count to the first."""
    out = [replace(sweep, notes=(*sweep.notes, *notes)) for sweep in sweeps] if notes else sweeps
    if left_out and out:
        out[0] = replace(out[0], removed=(*out[0].removed, Removed("words among the numbers", left_out, "lines")))
    return out


def _convert_numbers(array: npt.NDArray[Any], column: Column) -> Float64[Array, "..."]:
    if array.dtype == object and array.size == 1 and isinstance(array.flat[0], str):
        raise RecordingError(f"column {column.name!r} holds something that is not a number: {array.flat[0]}")
    if np.iscomplexobj(array):
        if np.any(array.imag):
            raise RecordingError(
                f"column {column.name!r} holds complex numbers, and samples are real: save their real part"
            )
        array = array.real
    try:
        values = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise RecordingError(f"column {column.name!r} holds something that is not a number") from None
    if array.dtype == np.float32 and array.size == 1:
        values = np.full(values.shape, float(str(array.flat[0])))  # 0.1, not 0.10000000149
    scaled: Float64[Array, "..."] = values * column.factor
    return scaled


def _find_known_step(values: Arrays, dt: float | None) -> float | None:
    """Find the step that is given or stored, ms, if it is valid; None if it must follow from times."""
    stored = {q: float(values[q].flat[0]) for q in ("dt", "rate") if q in values and values[q].size}
    step = dt if dt is not None else stored.get("dt", 1e3 / stored["rate"] if stored.get("rate") else None)
    return step if isinstance(step, int | float) and np.isfinite(step) and step > 0 else None


def _make_sweeps(
    values: Arrays, dt: float | None, choice: Choice, planned: bool = False
) -> tuple[list[Sweep], list[Rejected]]:
    rows = _split_trials(values)
    names = [name for name, _ in rows]
    choice.check(names, [""])
    sweeps, rejected = [], []
    for k, (name, row) in enumerate(rows):
        if choice.takes(k, name, ""):
            try:
                sweeps.append(_make_sweep(name, row, dt, planned))
            except RecordingError as error:
                rejected.append(Rejected(name, str(error)))
    return sweeps, rejected


Row = dict[str, Float64[Array, "..."]]


def _split_trials(values: Arrays) -> list[tuple[str, Row]]:
    """Split arrays into those of each trial: rows of 2-D arrays, or parts of columns that share a trial number."""
    current = values["current"]
    if current.ndim == 1 and "trial" in values:
        return _split_long_form(values)
    trials = np.atleast_2d(current)
    rows = [
        (str(k), {q: _find_trial_row(q, v, k, len(trials)) for q, v in values.items() if not q.startswith("spike")})
        for k in range(len(trials))
    ]
    for k, (_, row) in enumerate(rows):
        if "spike_times" in values:
            row["spike_times"] = _find_train(values, k, len(trials))
    return rows


def _find_trial_row(quantity: str, array: Float64[Array, "..."], k: int, n: int) -> Float64[Array, "..."]:
    """Find trial k of an array with trials, or the array that all trials share."""
    if array.ndim == 2 and len(array) == n:
        row: Float64[Array, "..."] = array[k]
        return row
    if array.ndim <= 1 and (n == 1 or quantity not in ("current", "voltage")):
        return array
    raise RecordingError(f"{quantity} of shape {array.shape} for {n} trials of current")


def _find_train(values: Arrays, k: int, n: int) -> Train:
    times = values["spike_times"]
    _check_times(times, values["current"])
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
    return times.ravel()


def _check_times(times: Float64[Array, "..."], current: Float64[Array, "..."]) -> None:
    """Raise an error if spike times are not times, or a matrix of them has one trial per column."""
    if times.shape == current.shape and times.size > 2 and np.isin(times, (0.0, 1.0)).all():
        raise RecordingError(
            f"spike_times of shape {times.shape} hold only 0 and 1: these mark the samples with a spike; give the "
            "times, in ms"
        )
    if times.ndim == 2 and min(times.shape) > 1:
        down, along = (bool((np.diff(times, axis=axis)[np.isfinite(np.diff(times, axis=axis))] >= 0).all())
                       for axis in (0, 1))  # fmt: skip
        if down and not along:
            raise RecordingError(
                f"spike_times of shape {times.shape} rise down the columns and not along the rows: one row per trial "
                "is needed; transpose them"
            )


def _split_long_form(values: Arrays) -> list[tuple[str, Row]]:
    """Split a table in long form into trials."""
    trial = values["trial"]
    if any(v.shape != trial.shape for v in values.values() if v.ndim == 1 and v.size != 1):
        raise RecordingError("columns are of different length")
    rows = []
    for number in np.unique(trial[np.isfinite(trial)]):
        row = {q: v[trial == number] if v.shape == trial.shape else v for q, v in values.items() if q != "trial"}
        rows.append((f"{number:g}", row))
    return rows


def _make_sweep(name: str, row: Row, dt: float | None, planned: bool) -> Sweep:
    current, voltage = row["current"], row.get("voltage")
    if voltage is None and "spike_times" not in row and not planned:
        raise RecordingError(
            "neither a voltage nor spike times: give columns= and units=, or planned=True for a current that is yet to "
            "be injected"
        )
    step, start = _find_step(row, len(current), dt)
    sweep = build(current, voltage, step, name)
    if "spike_times" not in row:
        return sweep
    train, missing = drop_missing(row["spike_times"])
    said = tuple(f"{one.count} spike times are missing (NaN) between others: left out" for one in missing)
    return replace(sweep, spike_times=train - start, spike_source="given", removed=(*sweep.removed, *missing),
                   warnings=(*sweep.warnings, *said))  # fmt: skip


def _find_step(row: Row, n: int, dt: float | None) -> tuple[float, float]:
    """Find the sampling step and the time of the first sample, ms: from dt=, a stored step or rate, or times."""
    if dt is not None:
        return check_step(dt, "dt="), 0.0
    stored = _read_stored_step(row)
    if "time" not in row:
        if stored is None:
            raise RecordingError("no time column, dt or rate: give dt= in ms")
        return stored, 0.0
    step, start = _measure_regular_step(row["time"], n)
    if stored is not None and abs(step - stored) > JITTER * stored / max(n - 1, 1) + SAME_RATE * stored:
        raise RecordingError(f"its times are {step:g} ms apart and its step or rate says {stored:g} ms: give dt= in ms")
    return step if stored is None else stored, start


def _read_stored_step(row: Row) -> float | None:
    """Read the step, ms, from a stored step or rate."""
    if "dt" in row:
        return check_step(_read_scalar(row["dt"], "dt"))
    if "rate" not in row:
        return None
    rate = _read_scalar(row["rate"], "rate")
    if not (np.isfinite(rate) and rate > 0):
        raise RecordingError(f"sampling rate {rate} Hz; it is finite and above 0")
    return check_step(1e3 / rate)


def _read_scalar(values: Float64[Array, "..."], what: str) -> float:
    if np.unique(values).size != 1:
        raise RecordingError(f"{what} has several values; one is needed")
    return float(values.ravel()[0])


def _measure_regular_step(time: Trace, n: int) -> tuple[float, float]:
    if time.shape != (n,) or n < 2 or not np.isfinite(time).all():
        raise RecordingError(
            f"time of shape {time.shape} for {n} samples; one finite time per sample is needed, and at least two"
        )
    dt = float(time[-1] - time[0]) / (n - 1)
    off = np.abs(time - time[0] - np.arange(n) * dt).max()
    if not dt > 0 or off > JITTER * dt:
        raise RecordingError(
            f"time is not regular: mean step {dt:g} ms, up to {off:g} ms off the grid; resample it first, or give dt= "
            "where only its digits are too few"
        )
    return round_step(dt, off / n), float(time[0])


def _read_npz(path: Path) -> TableContents:
    arrays, objects = {}, []
    with np.load(path, allow_pickle=False) as file:
        for name in file.files:
            try:
                arrays[name] = np.asarray(file[name])
            except ValueError as error:
                if "Object arrays" not in str(error):
                    raise
                objects.append(name)
    _refuse_needed(objects)
    return TableContents(arrays, objects=tuple(objects))


def _names_quantity(name: str) -> bool:
    """Whether a name contains a quantity, with a unit or without."""
    try:
        return parse_column(name) is not None
    except RecordingError:
        return True


def _refuse_needed(objects: Sequence[str]) -> None:
    """Raise an error if an array that cannot be opened holds a quantity, by its name."""
    needed = [name for name in objects if _names_quantity(name)]
    if needed:
        raise RecordingError(_describe_objects(needed))


def _read_mat(path: Path) -> TableContents:
    """Read the numeric arrays of a Matlab file in a separate process: SciPy's parser crashes on some damaged files."""
    done = subprocess.run([sys.executable, "-c", MAT_TO_NPZ, str(path)], capture_output=True, check=False, timeout=600)
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
        raise RecordingError(f"a damaged Matlab file ({last[:200] or 'the parser crashed'})")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as file:
        arrays = {name: np.squeeze(file[name]) for name in file.files}
    objects = [str(name) for name in np.atleast_1d(arrays.pop("objects of the file"))]
    _refuse_needed(objects)
    return TableContents(arrays, objects=tuple(objects))


def _read_mat73(path: Path) -> TableContents:
    """Read the numeric arrays of a Matlab 7.3 file, which is HDF5 with arrays stored column by column."""
    with hdf5.open_file(path) as file:
        found = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
        numbers = {name: item for name, item in found.items() if np.issubdtype(item.dtype, np.number) and item.shape}
        return TableContents({name: np.squeeze(hdf5.read_column(item).T) for name, item in numbers.items()})


def _read_parquet(path: Path) -> TableContents:
    needed("pyarrow.parquet", "store", f"{path.name}: a table in Parquet", RecordingError)
    import pyarrow.parquet as parquet

    table = parquet.read_table(str(path))
    return TableContents({name: table.column(name).to_numpy() for name in table.column_names})


LOADERS: dict[str, Callable[[Path], TableContents]] = {
    "npz": _read_npz, "mat": _read_mat, "mat73": _read_mat73, "parquet": _read_parquet,
}  # fmt: skip
