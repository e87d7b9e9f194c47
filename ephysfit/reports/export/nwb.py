"""A fit written back into the NWB file of its recording: what is predicted, scored and stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit.data.loading import load
from ephysfit.data.nwb_stored import Membrane, Prediction, Stored, list_labels
from ephysfit.data.nwb_write import append_fit
from ephysfit.data.recording import Recording
from ephysfit.errors import FitError
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.recording_identity import is_of
from ephysfit.metrics.metric import METRICS
from ephysfit.metrics.score import Score, score
from ephysfit.neuron.roles import Role
from ephysfit.simulation.simulate import Simulation


def write_nwb(
    fit: Fit,
    path: str | Path,
    test: Recording | None = None,
    *,
    label: str | None = None,
    runs: int = 50,
    seed: int = 1,
    out: str | Path | None = None,
) -> Path:
    """Append a fit, its predicted spikes and its scores to an NWB 2 file.

    Parameters
    ----------
    fit
        The fitted cell.
    path
        The NWB file, usually that of the recording. It is replaced in one step when all is written and valid; before
        that it is as it was, whatever happens.
    test
        What is predicted and scored: sweeps that the fit has not seen. None: those of the file, split as `split`
        does; the fit must then be one of its other side.
    label
        Name of the fit in the file; by default the model's in small letters, numbered where it is taken.
    runs
        Noisy runs of a stochastic neuron that are stored.
    seed
        Of the noisy runs.
    out
        Another file to write instead.

    Returns
    -------
    Path
        Of the file written.

    Raises
    ------
    RecordingError
        If the file is not NWB 2 or cannot be written.
    FitError
        If `test` is None and nothing says which sweeps the fit has not seen.

    Examples
    --------
    >>> import ephysfit as ef
    >>> train, test = ef.load("cell.nwb").split()  # doctest: +SKIP
    >>> fit = ef.fit(train, "ALIF")  # doctest: +SKIP
    >>> ef.write_nwb(fit, "cell.nwb", test)  # doctest: +SKIP
    >>> ef.Fit.load("cell.nwb").neuron  # doctest: +SKIP
    """
    path = Path(path)
    held = _unseen(fit, path) if test is None else test
    name = label or _free(fit.model.lower(), list_labels(path) if path.is_file() else ())
    return append_fit(path, gathered(fit, held, name, runs=runs, seed=seed), out)


def gathered(fit: Fit, test: Recording, label: str, *, runs: int = 50, seed: int = 1) -> Stored:
    """What is stored of a fit: its runs on the test stimuli and their scores."""
    potential = type(fit.neuron).name_of(Role.POTENTIAL)
    save = () if potential is None else (potential,)
    done = fit.simulate(test, runs=runs, seed=seed, save=save)
    readouts = {s.readout: s for s in (done, *done.companions.values())}
    scores = {name: score(run, test) for name, run in readouts.items()}
    return Stored(
        label=label,
        facts=_facts(fit, test),
        parameters=list(_named(fit)),
        scores=[row for name, found in scores.items() for row in _scored(name, found)],
        predictions=tuple(p for run in readouts.values() for p in _trains(run, test)),
        membranes=tuple(m for run in readouts.values() for m in _membranes(run, potential, test)),
        step=done.dt,
    )


def _unseen(fit: Fit, path: Path) -> Recording:
    """The sweeps of the file that the fit was not trained on."""
    recording = load(path)
    trained = set(fit.provenance.sweeps)
    if not trained & {s.name for s in recording.sweeps}:
        return recording
    train, test = recording.split()
    if is_of(fit.provenance.data_sha256, train):
        return test
    raise FitError(
        f"{path}: nothing says which sweeps the fit has not seen (it was not trained on the training side of "
        "recording.split()); give test="
    )


def _free(name: str, taken: tuple[str, ...]) -> str:
    names = (name if k == 1 else f"{name}_{k}" for k in range(1, len(taken) + 2))
    return next(n for n in names if n not in taken)


def _facts(fit: Fit, test: Recording) -> dict[str, str]:
    made = fit.provenance
    facts = {
        "model": fit.model, "cell": fit.cell, "status": fit.status.value, "step_ms": f"{fit.dt:g}",
        "date": made.date, "version": made.version,
        "trained_on": ", ".join(made.sweeps), "tested_on": ", ".join(s.name for s in test.sweeps),
        "warnings": "; ".join(fit.warnings),
    }  # fmt: skip
    return {**facts, "fit_json": json.dumps(fit.to_dict(), allow_nan=False)}


def _named(fit: Fit) -> Iterator[dict[str, Any]]:
    kept = ("value", "unit", "standard_error", "low", "high", "meaning")
    for row in fit.parameters():
        yield {"parameter": row["name"], **{k: row[k] for k in kept}}


def _scored(readout: str, found: Score) -> Iterator[dict[str, Any]]:
    for row in found.rows:
        yield {
            "readout": readout, "score": row.name, "value": row.value, "error": row.error, "cells_own": row.ceiling,
            "best": row.best, "meaning": METRICS[row.metric].doc if row.metric in METRICS else row.metric,
        }  # fmt: skip


def _trains(run: Simulation, test: Recording) -> Iterator[Prediction]:
    for stimulus, trains, duration in zip(test.stimuli(), run.spike_times, run.durations, strict=True):
        names, start = ", ".join(s.name for s in stimulus.sweeps), stimulus.sweeps[0].start
        for k, train in enumerate(trains):
            yield Prediction(run.readout, stimulus.name, names, k, start, duration, np.asarray(train, dtype=np.float64))


def _membranes(run: Simulation, potential: str | None, test: Recording) -> Iterator[Membrane]:
    if run.stochastic or potential is None or potential not in run.traces:
        return
    for stimulus, voltage in zip(test.stimuli(), run.traces[potential], strict=True):
        yield Membrane(stimulus.name, np.asarray(voltage, dtype=np.float64), run.dt, stimulus.sweeps[0].start)
