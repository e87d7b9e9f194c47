"""Fits stored in an NWB file: their records, and reading them back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit.arrays import Trace, Train
from ephysfit.data import hdf5
from ephysfit.data.registry import DAMAGE, describe_error
from ephysfit.errors import RecordingError

#: name of the processing module that holds them
MODULE = "ephysfit"
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
        Kind of run of the model: "noisy runs", "causal run" ...
    stimulus
        Name of the stimulus.
    sweeps
        Names of the sweeps that repeat it, separated by commas.
    run
        Number of the run, counted from 0.
    start, duration
        Start on the session clock and length of the first of these sweeps, ms.
    spike_times
        Predicted spikes, ms from `start`.
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
    """The record of one fit in an NWB file.

    Parameters
    ----------
    label
        Name under which the fit is stored.
    facts
        Model, cell, version, date ...; ``fit_json`` is the fit itself.
    parameters, scores
        Rows with the keys of `PARAMETERS` and `SCORES`.
    predictions, membranes
        Spike trains and membrane voltages that the model predicts.
    step
        Step of the runs, ms, which is the resolution of the predicted spikes.
    """

    label: str
    facts: Mapping[str, str]
    parameters: Rows = ()
    scores: Rows = ()
    predictions: tuple[Prediction, ...] = ()
    membranes: tuple[Membrane, ...] = ()
    step: float = 0.5


def list_labels(path: str | Path) -> tuple[str, ...]:
    """List the names of the fits in a file."""
    if not hdf5.is_hdf5(Path(path)):
        return ()
    with hdf5.open_file(Path(path)) as file:
        module = file.get(f"processing/{MODULE}")
        return () if module is None else tuple(sorted(n.removesuffix("_fit") for n in module if n.endswith("_fit")))


def read_stored_fits(path: str | Path) -> tuple[Stored, ...]:
    """Read the fits in an NWB file, as they were written.

    Raises
    ------
    RecordingError
        If they cannot be read.
    """
    path = Path(path)
    try:
        found = list_labels(path)
        with hdf5.open_file(path) as file:
            return tuple(_read_stored_fit(file[f"processing/{MODULE}"], label) for label in found)
    except DAMAGE as error:
        raise RecordingError(f"{path.name}: its fits cannot be read ({describe_error(error)})") from error


def _read_stored_fit(module: Any, label: str) -> Stored:
    rows = {name: _read_rows(module.get(f"{label}_{name}"), columns)
            for name, columns in (("fit", FACTS), ("parameters", PARAMETERS), ("scores", SCORES))}  # fmt: skip
    facts = {str(row["key"]): str(row["value"]) for row in rows["fit"]}
    membranes = sorted(name for name in module if name.startswith(f"{label}_membrane_"))
    return Stored(
        label, facts, rows["parameters"], rows["scores"], tuple(_read_predictions(module.get(f"{label}_units"))),
        tuple(_read_membrane(module[name]) for name in membranes),
    )  # fmt: skip


def _read_rows(table: Any, columns: Mapping[str, str]) -> list[dict[str, Any]]:
    if table is None:
        return []
    values = {c: table[c][()] for c in columns if c in table}
    n = len(next(iter(values.values()), ()))
    return [{c: _convert_cell(v[k]) for c, v in values.items()} for k in range(n)]


def _convert_cell(value: Any) -> Any:
    return hdf5.decode_text(value) if isinstance(value, bytes | str) else float(value)


def _read_predictions(table: Any) -> Iterator[Prediction]:
    if table is None:
        return
    ends = table["spike_times_index"][()].astype(int)
    trains = np.split(table["spike_times"][()] * 1e3, ends)
    readouts, stimuli, sweeps = (hdf5.read_strings(table, name) for name in ("readout", "stimulus", "sweeps"))
    for k, (run, (start, stop)) in enumerate(zip(table["run"][()], table["obs_intervals"][()] * 1e3, strict=True)):
        times = trains[k] - start
        yield Prediction(readouts[k], stimuli[k], sweeps[k], int(run), float(start), float(stop - start), times)


def _read_membrane(series: Any) -> Membrane:
    begin = series["starting_time"]
    voltage = series["data"][()].astype(np.float64)
    stimulus = hdf5.decode_text(series.attrs.get("comments")).removeprefix("stimulus: ")
    return Membrane(stimulus, voltage, 1e3 / float(begin.attrs["rate"]), float(begin[()]) * 1e3)
