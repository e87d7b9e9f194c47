"""What a worker does with one task: load, split, fit, score, write; whatever goes wrong becomes a result."""

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
from ephysfit.data.loading import load
from ephysfit.data.sweep_selection import divide_sweeps
from ephysfit.errors import BatchError, EphysfitError, SelectionError
from ephysfit.fitting.chain import step_for
from ephysfit.fitting.fit import fit
from ephysfit.fitting.prior import load_priors
from ephysfit.fitting.stage import Status
from ephysfit.reports.evidence import Evidence, gather
from ephysfit.reports.report import write
from ephysfit.system import measure_peak_memory


def perform(job: Job, folder: Path) -> Outcome:
    """Do one task, unless another process is at it or has done it."""
    store, task = Store(folder), job.task
    with store.claim(task) as mine:
        if not mine:
            return Outcome(task.cell.name, task.model, BUSY)
        known = store.read(task)
        if known is not None and job.settled(known):
            return Outcome.of(known)
        with _logged(store.log(task)):
            result = attempt(task, store)
        return Outcome.of(store.write(task, job.key, result))


def attempt(task: Task, store: Store | None = None) -> dict[str, Any]:
    """The result of a task: a fit with scores, or why there is none."""
    begin, before = time.perf_counter(), time.process_time()
    try:
        found: dict[str, Any] = {"status": DONE, **_fitted(task, store)}
    except EphysfitError as e:
        found = {"status": FAILED, "reason": str(e)}
    except Exception as e:  # one task may break in any way; it must stop nobody
        traceback.print_exc()
        found = {"status": CRASHED, "reason": f"{type(e).__name__}: {e}"}
    spent = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.process_time() - before}
    peak = measure_peak_memory()
    return {**found, **spent, **({} if peak is None else {"memory_mb": peak})}


def _fitted(task: Task, store: Store | None) -> dict[str, Any]:
    s = task.settings
    recording = load(list(task.cell.files), **task.cell.options)
    try:
        train, test = divide_sweeps(recording, task.cell.train or None, task.cell.test or None)
    except SelectionError as error:
        raise BatchError(f"{task.cell.name}: {error}") from error
    priors = load_priors(Path(s.prior)) if s.prior else ()
    step, said = (s.dt, "") if s.dt else step_for(train, test)
    if said:
        sys.stdout.write(f"{task.cell.name}: {said}\n")  # the log of the task
    found = fit(train, task.model, prior=priors, dt=step, seed=s.seed)
    if found.status is Status.TOO_FEW_SPIKES:  # start values are no fit, and their scores would count as one
        raise BatchError(f"{task.cell.name}: {found.status.value} (recorded: {train.n_spikes})")
    split = {"train": task.cell.train or None, "test": task.cell.test}
    found = replace(found, cell=task.cell.name, provenance=replace(found.provenance, split=split))
    evidence = gather(found, test, train, runs=s.runs)
    lost = _reported(evidence, store.path("reports", task, ".html")) if s.reports and store is not None else ""
    sizes = {
        "train_spikes": train.n_spikes, "test_spikes": test.n_spikes, "train_ms": train.duration,
        "test_ms": test.duration, "repeats": max(len(x.sweeps) for x in test.stimuli()),
    }  # fmt: skip
    scores = {name: [row.to_dict() for row in score] for name, score in evidence.scores.items()}
    return {"fit": found.to_dict(), "scores": scores, "sizes": sizes, **({"report_lost": lost} if lost else {})}


def _reported(evidence: Evidence, path: Path) -> str:
    """Write the page of a task; why it could not be, in words: the fit and its scores stand without it."""
    try:
        write(evidence, path)
    except Exception as e:  # a page may break in any way; it must not take the fit with it
        traceback.print_exc()
        return f"{type(e).__name__}: {e}"
    return ""


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """What is printed and warned goes to the task's log; where a fault kills the process, so does its trace."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as f, contextlib.redirect_stdout(f), contextlib.redirect_stderr(f):
        faulthandler.enable(f)
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            yield
        faulthandler.enable(sys.__stderr__) if sys.__stderr__ is not None else faulthandler.disable()
