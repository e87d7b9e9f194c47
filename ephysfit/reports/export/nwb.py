"""Write a fit with its predictions and scores back into the NWB file of its recording."""

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
        The NWB file, usually that of the recording. It is replaced in one step once the new file is complete
        and valid, and stays unchanged if that fails.
    test
        Sweeps to predict and score, which the fit must not have used. None: the test sweeps of the file as
        `Recording.split` chooses them; the fit must then have used its training sweeps.
    label
        Name of the fit in the file; by default the model in lower case, with a number where that label exists.
    runs
        Noisy runs of a stochastic neuron that are stored.
    seed
        Seed of the noisy runs.
    out
        Write this file instead and leave `path` unchanged.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    RecordingError
        If the file is not NWB 2 or cannot be written.
    FitError
        If `test` is None and the test sweeps cannot be determined.

    Examples
    --------
    >>> import ephysfit as ef
    >>> train, test = ef.load("cell.nwb").split()  # doctest: +SKIP
    >>> fit = ef.fit(train, "ALIF")  # doctest: +SKIP
    >>> ef.write_nwb(fit, "cell.nwb", test)  # doctest: +SKIP
    >>> ef.Fit.load("cell.nwb").neuron  # doctest: +SKIP
    """
    path = Path(path)
    held = _select_unseen_sweeps(fit, path) if test is None else test
    name = label or _find_free_label(fit.model.lower(), list_labels(path) if path.is_file() else ())
    return append_fit(path, gather_stored(fit, held, name, runs=runs, seed=seed), out)


def gather_stored(fit: Fit, test: Recording, label: str, *, runs: int = 50, seed: int = 1) -> Stored:
    """Gather what is stored of a fit: parameters, runs on the test stimuli, scores."""
    potential = type(fit.neuron).name_of(Role.POTENTIAL)
    save = () if potential is None else (potential,)
    done = fit.simulate(test, runs=runs, seed=seed, save=save)
    readouts = {s.readout: s for s in (done, *done.companions.values())}
    scores = {name: score(run, test) for name, run in readouts.items()}
    return Stored(
        label=label,
        facts=_collect_facts(fit, test),
        parameters=list(_parameter_rows(fit)),
        scores=[row for name, found in scores.items() for row in _score_rows(name, found)],
        predictions=tuple(p for run in readouts.values() for p in _make_predictions(run, test)),
        membranes=tuple(m for run in readouts.values() for m in _make_membranes(run, potential, test)),
        step=done.dt,
    )


def _select_unseen_sweeps(fit: Fit, path: Path) -> Recording:
    """Select the sweeps of the file that were not used by the fit."""
    recording = load(path)
    trained = set(fit.provenance.sweeps)
    if not trained & {s.name for s in recording.sweeps}:
        return recording
    train, test = recording.split()
    if is_of(fit.provenance.data_sha256, train):
        return test
    raise FitError(
        f"{path}: the sweeps that were not used by the fit are unknown (it was not trained on the training sweeps "
        "of recording.split()); give test="
    )


def _find_free_label(name: str, taken: tuple[str, ...]) -> str:
    names = (name if k == 1 else f"{name}_{k}" for k in range(1, len(taken) + 2))
    return next(n for n in names if n not in taken)


def _collect_facts(fit: Fit, test: Recording) -> dict[str, str]:
    made = fit.provenance
    facts = {
        "model": fit.model, "cell": fit.cell, "status": fit.status.value, "step_ms": f"{fit.dt:g}",
        "date": made.date, "version": made.version,
        "trained_on": ", ".join(made.sweeps), "tested_on": ", ".join(s.name for s in test.sweeps),
        "warnings": "; ".join(fit.warnings),
    }  # fmt: skip
    return {**facts, "fit_json": json.dumps(fit.to_dict(), allow_nan=False)}


def _parameter_rows(fit: Fit) -> Iterator[dict[str, Any]]:
    columns = ("value", "unit", "standard_error", "low", "high", "meaning")
    for row in fit.parameters():
        yield {"parameter": row["name"], **{k: row[k] for k in columns}}


def _score_rows(readout: str, found: Score) -> Iterator[dict[str, Any]]:
    for row in found.rows:
        yield {
            "readout": readout, "score": row.name, "value": row.value, "error": row.error, "cells_own": row.ceiling,
            "best": row.best, "meaning": METRICS[row.metric].doc if row.metric in METRICS else row.metric,
        }  # fmt: skip


def _make_predictions(run: Simulation, test: Recording) -> Iterator[Prediction]:
    for stimulus, trains, duration in zip(test.stimuli(), run.spike_times, run.durations, strict=True):
        names, start = ", ".join(s.name for s in stimulus.sweeps), stimulus.sweeps[0].start
        for k, train in enumerate(trains):
            yield Prediction(run.readout, stimulus.name, names, k, start, duration, np.asarray(train, dtype=np.float64))


def _make_membranes(run: Simulation, potential: str | None, test: Recording) -> Iterator[Membrane]:
    if run.stochastic or potential is None or potential not in run.traces:
        return
    for stimulus, voltage in zip(test.stimuli(), run.traces[potential], strict=True):
        yield Membrane(stimulus.name, np.asarray(voltage, dtype=np.float64), run.dt, stimulus.sweeps[0].start)
