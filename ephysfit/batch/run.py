"""A run: what is to be done, who does it, what has been done; and the same again until nothing is left."""

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
from ephysfit.errors import BatchError, EphysfitError
from ephysfit.models import candidates, find

#: told after every task that ends
ProgressListener = Callable[["RunProgress"], None]


@dataclass
class RunProgress:
    """What a run has come to.

    Attributes
    ----------
    total : int
        Tasks asked for.
    before : Counter
        Of these, ended before with the same data and settings, by how.
    outcomes : list of Outcome
        Of the others, as they ended.
    begun : float
        When, on the clock of `time.monotonic`.
    """

    total: int
    before: Counter[str] = field(default_factory=Counter)
    outcomes: list[Outcome] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    @property
    def kept(self) -> int:
        """How many ended before and are not done again."""
        return self.before.total()

    @property
    def kept_bad(self) -> int:
        """How many of these have no fit."""
        return self.kept - self.before[DONE]

    @property
    def fits(self) -> int:
        """Tasks that have a fit, from before or from now."""
        return self.before[DONE] + self.counts[DONE]

    @property
    def counts(self) -> Counter[str]:
        """How many ended how, in this run."""
        return Counter(o.status for o in self.outcomes)

    @property
    def left(self) -> int:
        return self.total - self.kept - len(self.outcomes)

    @property
    def scores(self) -> list[float]:
        return [o.score for o in self.outcomes if np.isfinite(o.score)]

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun

    @property
    def remaining(self) -> float:
        """Seconds until all is done, at the pace so far."""
        return self.seconds / len(self.outcomes) * self.left if self.outcomes else float("nan")


def find_open_jobs(
    store: Store, tasks: Sequence[Task], *, force: bool = False, retry_failed: bool = False
) -> list[Job]:
    """The tasks that have no result of the same data and settings; all with `force`, failed ones too if asked."""
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
    watch: ProgressListener = lambda tally: None,
) -> RunProgress:
    """Do what has not been done yet.

    Parameters
    ----------
    folder : path
        Of the run; made if it is not there, gone on with if it is.
    tasks : sequence of Task, optional
        What the folder was asked for before, unless given.
    executor : Executor, optional
        `Local` unless given.
    force, retry_failed : bool
        Do everything again; do again what failed.
    part : (int, int)
        (3, 20): the third of twenty parts; for arrays of jobs on a cluster.
    order : Path, optional
        Tasks as another run wrote them down (`Store.order`), instead of `tasks`.
    watch : callable
        Told the tally when the run begins and after each task.

    Raises
    ------
    BatchError
        If the folder cannot be written, or nothing was asked for.
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
        asked = (store.tasks() if tasks is None else tuple(tasks))[share - 1 :: parts]
        jobs = find_open_jobs(store, asked, force=force, retry_failed=retry_failed)
    else:
        theirs = read_order(order)[share - 1 :: parts]
        asked = tuple(task for task, _ in theirs)
        jobs = [j for j in (Job(t, t.key(), since) for t, since in theirs) if not j.settled(store.read(j.task))]
    tally = RunProgress(len(asked), _count_ended_before(store, asked, jobs))
    watch(tally)
    if jobs:
        compile_kernels(jobs)
    for outcome in (executor or Local())(jobs, store.folder) if jobs else ():
        tally.outcomes.append(outcome)
        watch(tally)
    return tally


def _count_ended_before(store: Store, asked: Sequence[Task], jobs: Sequence[Job]) -> Counter[str]:
    """How those tasks ended that are not to be done."""
    again = {j.task.label for j in jobs}
    ends = (store.read(t) for t in asked if t.label not in again)
    return Counter(str(r["status"]) for r in ends if r is not None)


def compile_kernels(jobs: Sequence[Job]) -> None:
    """Kernels once, before workers would each compile them.

    A neuron in a file of its own is left to the workers: reading the file runs it, and what it does may be fatal.
    """
    from ephysfit.simulation.warm_up import warm_up  # torch: only where something is left to do

    for kind in {k for model in {j.task.model for j in jobs} for k in _neurons_of_model(model)}:
        warm_up(kind, purposes=("fit",) if kind.stochastic() else ("simulation",))


def _neurons_of_model(model: str) -> Iterator:
    if model == "auto":
        yield from candidates()
        return
    if ".py" not in model:
        with suppress(EphysfitError):  # a model that cannot be found fails as a task
            yield find(model)
