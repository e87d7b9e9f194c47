"""Run the tasks of a batch that have no valid result yet, and report progress."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ephysfit.batch.executors import Executor, Local
from ephysfit.batch.job import Job, Outcome
from ephysfit.batch.store import DONE, Store, read_order
from ephysfit.batch.task import Task
from ephysfit.deprecation import deprecated
from ephysfit.errors import BatchError, EphysfitError
from ephysfit.models import candidates, find

#: called with the progress of a run after every task
ProgressListener = Callable[["RunProgress"], None]

#: attributes of `RunProgress` by their names before 0.2.0
_RENAMED = {"kept": "earlier", "kept_bad": "earlier_without_fit"}


@dataclass
class RunProgress:
    """Progress of a run.

    Attributes
    ----------
    total : int
        Number of tasks.
    before : Counter
        Number of tasks that ended in an earlier run with the same data and settings, by status.
    outcomes : list of Outcome
        Outcomes of the other tasks, in the order in which they ended.
    begun : float
        Start of the run on the clock of `time.monotonic`, s.
    """

    total: int
    before: Counter[str] = field(default_factory=Counter)
    outcomes: list[Outcome] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    def __getattr__(self, name: str) -> int:
        if name not in _RENAMED:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        deprecated(f"RunProgress.{name}", f"RunProgress.{_RENAMED[name]}", "0.2.0")
        return int(getattr(self, _RENAMED[name]))

    @property
    def earlier(self) -> int:
        """Number of tasks that ended in an earlier run and are not repeated."""
        return self.before.total()

    @property
    def earlier_without_fit(self) -> int:
        """Number of these that have no fit."""
        return self.earlier - self.before[DONE]

    @property
    def fits(self) -> int:
        """Number of tasks that have a fit, from an earlier run or from this one."""
        return self.before[DONE] + self.counts[DONE]

    @property
    def counts(self) -> Counter[str]:
        """Number of tasks that ended in this run, by status."""
        return Counter(o.status for o in self.outcomes)

    @property
    def left(self) -> int:
        """Number of tasks that have not ended."""
        return self.total - self.earlier - len(self.outcomes)

    @property
    def scores(self) -> list[float]:
        """Finite headline scores of this run."""
        return [o.score for o in self.outcomes if np.isfinite(o.score)]

    @property
    def seconds(self) -> float:
        """Time since the run began, s."""
        return time.monotonic() - self.begun

    @property
    def remaining(self) -> float:
        """Estimated time to the end of the run, s; NaN before the first task has ended."""
        return self.seconds / len(self.outcomes) * self.left if self.outcomes else float("nan")


def find_open_jobs(
    store: Store, tasks: Sequence[Task], *, force: bool = False, retry_failed: bool = False
) -> list[Job]:
    """Find the tasks without a valid result: all with `force`, failed ones too with `retry_failed`."""
    now, out = time.time(), []
    for task in tasks:
        job = Job(task, task.key())
        result = store.read(task)
        again = force or (retry_failed and result is not None and result.get("status") != DONE)
        if again or not job.settled(result):
            out.append(Job(task, job.key, now if again else 0.0))
    return out


def run(
    folder: str | Path,
    tasks: Sequence[Task] | None = None,
    *,
    executor: Executor | None = None,
    force: bool = False,
    retry_failed: bool = False,
    part: tuple[int, int] = (1, 1),
    order: Path | None = None,
    progress: ProgressListener | None = None,
) -> RunProgress:
    """Run the tasks that have no valid result yet.

    Parameters
    ----------
    folder : path
        Folder of the run; created if it does not exist, otherwise the run is resumed.
    tasks : sequence of Task, optional
        The tasks planned in the folder unless given.
    executor : Executor, optional
        `Local` unless given.
    force, retry_failed : bool
        Whether to repeat all tasks, or those that failed.
    part : (int, int)
        (3, 20): the third of twenty parts; for arrays of jobs on a cluster.
    order : Path, optional
        File of tasks that another run has written (`Store.write_order`), instead of `tasks`.
    progress : callable, optional
        Called with the `RunProgress` when the run begins and after each task.

    Returns
    -------
    RunProgress

    Raises
    ------
    BatchError
        If the folder cannot be written, or no task is planned in it.
    """
    store = Store(Path(folder))
    if tasks is not None:
        try:
            store.plan(tasks)
        except OSError as e:
            raise BatchError(f"{folder}: cannot be written ({e.strerror}); choose another folder") from None
    share, parts = part
    if not 1 <= share <= parts:
        raise BatchError(f"part {share}/{parts}: count from 1 to {parts}")
    if order is None:
        planned = (store.tasks() if tasks is None else tuple(tasks))[share - 1 :: parts]
        jobs = find_open_jobs(store, planned, force=force, retry_failed=retry_failed)
    else:
        ordered = read_order(order)[share - 1 :: parts]
        planned = tuple(task for task, _ in ordered)
        jobs = [j for j in (Job(t, t.key(), since) for t, since in ordered) if not j.settled(store.read(j.task))]
    state = RunProgress(len(planned), _count_ended_before(store, planned, jobs))
    report = progress or (lambda _: None)
    report(state)
    if jobs:
        compile_kernels(jobs)
    for outcome in (executor or Local())(jobs, store.folder) if jobs else ():
        state.outcomes.append(outcome)
        report(state)
    return state


def _count_ended_before(store: Store, planned: Sequence[Task], jobs: Sequence[Job]) -> Counter[str]:
    """Count the planned tasks that are not to be run, by the status of their result."""
    again = {j.task.label for j in jobs}
    ends = (store.read(t) for t in planned if t.label not in again)
    return Counter(str(r["status"]) for r in ends if r is not None)


def compile_kernels(jobs: Sequence[Job]) -> None:
    """Compile the kernels once, so that the workers need not each compile them.

    A neuron declared in a user's file is left to the workers: importing the file runs it, which may crash.
    """
    from ephysfit.simulation.warm_up import warm_up  # numba: only where something is left to do

    for kind in {k for model in {j.task.model for j in jobs} for k in _neurons_of_model(model)}:
        warm_up(kind, purposes=("fit",) if kind.stochastic() else ("simulation",))


def _neurons_of_model(model: str) -> Iterator:
    if model == "auto":
        yield from candidates()
        return
    if ".py" not in model:
        with suppress(EphysfitError):  # a model that cannot be found fails as a task
            yield find(model)
