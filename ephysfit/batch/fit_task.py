"""Run one task in a worker: load, split, fit, score, write; an error becomes the result of the task."""

from __future__ import annotations

import contextlib
import faulthandler
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ephysfit.batch.job import BUSY, Job, Outcome
from ephysfit.batch.store import CRASHED, DONE, FAILED, Store
from ephysfit.batch.task import Task
from ephysfit.batch.thumbnails import make_thumbnail
from ephysfit.data.electrode import compensate_electrode, measure_electrode
from ephysfit.data.loading import load
from ephysfit.data.recording import Recording
from ephysfit.data.sweep_selection import divide_sweeps
from ephysfit.errors import BatchError, EphysfitError, SelectionError
from ephysfit.fitting.chain import choose_shared_step
from ephysfit.fitting.fit import fit
from ephysfit.fitting.prior import load_priors
from ephysfit.fitting.stage import Status
from ephysfit.reports.evidence import Evidence, gather_evidence
from ephysfit.system import measure_peak_memory


def do_task(job: Job, folder: Path) -> Outcome:
    """Run one task, unless another process is running it or has finished it."""
    store, task = Store(folder), job.task
    with store.claim(task) as mine:
        if not mine:
            return Outcome(task.cell.name, task.model, BUSY)
        known = store.read(task)
        if known is not None and job.settled(known):
            return Outcome.of(known)
        with _redirect_to_log(store.log_path(task)):
            result = attempt_task(task, store)
        return Outcome.of(store.write(task, job.key, result))


def attempt_task(task: Task, store: Store | None = None) -> dict[str, Any]:
    """Return the result of a task: a fit with scores, or the reason why there is none."""
    begin, before = time.perf_counter(), time.process_time()
    try:
        found: dict[str, Any] = {"status": DONE, **_fit_and_score(task, store)}
    except EphysfitError as e:
        found = {"status": FAILED, "reason": str(e)}
    except Exception as e:  # any error of one task must not stop the others
        traceback.print_exc()
        found = {"status": CRASHED, "reason": f"{type(e).__name__}: {e}"}
    spent = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - before}
    peak = measure_peak_memory()
    return {**found, **spent, **({} if peak is None else {"memory_mb": peak})}


def _fit_and_score(task: Task, store: Store | None) -> dict[str, Any]:
    s = task.settings
    recording = load(
        list(task.cell.files), **{"train": task.cell.train or None, "test": task.cell.test or None, **task.cell.options}
    )
    if task.cell.electrode is not None:
        recording = _remove_electrode(recording, task)
    try:
        train, test = divide_sweeps(recording, task.cell.train or None, task.cell.test or None)
    except SelectionError as error:
        raise BatchError(f"{task.cell.name}: {error}") from error
    priors = load_priors(Path(s.prior)) if s.prior else ()
    step, step_note = (s.dt, "") if s.dt else choose_shared_step(train, test)
    if step_note:
        sys.stdout.write(f"{task.cell.name}: {step_note}\n")  # the log of the task
    found = fit(train, task.model, prior=priors, dt=step, seed=s.seed, effort=s.effort, objective=s.objective)
    if found.status is Status.TOO_FEW_SPIKES:  # start values must not be scored as if they were a fit
        raise BatchError(f"{task.cell.name}: {found.status.value} (recorded: {train.n_spikes})")
    split = {"train": task.cell.train or None, "test": task.cell.test}
    found = replace(found, cell=task.cell.name, provenance=replace(found.provenance, split=split))
    evidence = gather_evidence(found, test, train, runs=s.runs)
    if task.cell.train:
        evidence = replace(evidence, described=recording)
    lost = _try_report(evidence, store.path("reports", task, ".html")) if s.reports and store is not None else ""
    sizes = {
        "train_spikes": train.n_spikes, "test_spikes": test.n_spikes, "train_ms": train.duration,
        "test_ms": test.duration, "repeats": max(len(x.sweeps) for x in test.stimuli()),
    }  # fmt: skip
    scores = {name: [row.to_dict() for row in score] for name, score in evidence.scores.items()}
    cards = dict(zip(("cell", "model"), (card.to_dict() for card in evidence.cards), strict=True))
    return {
        "fit": found.to_dict(),
        "scores": scores,
        "cards": cards,
        "sizes": sizes,
        "potentials_in_mv": evidence.shares_units,
        **_try_thumbnail(evidence),
        **({"report_lost": lost} if lost else {}),
    }


def _remove_electrode(recording: Recording, task: Task) -> Recording:
    """Remove the electrode, which has a file of its own, from the voltage; the log of the task says how large it is."""
    assert task.cell.electrode is not None
    try:
        found = measure_electrode(load(task.cell.electrode))
        compensated = compensate_electrode(recording, found)
    except EphysfitError as error:
        raise BatchError(
            f"{task.cell.name}: the electrode cannot be removed ({error}); delete the line `electrode` of the cell in "
            "the manifest to take the voltage as recorded"
        ) from error
    sys.stdout.write(f"{task.cell.name}: electrode of {found.resistance:.1f} MOhm removed from the voltage\n")
    return compensated


def _try_report(evidence: Evidence, path: Path) -> str:
    """Write the report of a task; return the reason if that fails, because fit and scores are valid without it."""
    # matplotlib, 60 MB that a worker without reports does not need
    from ephysfit.reports.report import write_report

    try:
        write_report(evidence, path)
    except Exception as e:  # any error of the page must not lose the fit
        traceback.print_exc()
        return f"{type(e).__name__}: {e}"
    return ""


def _try_thumbnail(evidence: Evidence) -> dict[str, Any]:
    """The thumbnail of a fit, with its key; nothing if it cannot be made, because the fit is valid without it."""
    try:
        return {"thumbnail": make_thumbnail(evidence)}
    except Exception:  # the log of the task names it
        traceback.print_exc()
        return {}


@contextlib.contextmanager
def _redirect_to_log(path: Path) -> Iterator[None]:
    """Redirect output and warnings to the log of the task, and the traceback of a fault that kills the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as f, contextlib.redirect_stdout(f), contextlib.redirect_stderr(f):
        faulthandler.enable(f)
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            yield
        faulthandler.enable(sys.__stderr__) if sys.__stderr__ is not None else faulthandler.disable()
