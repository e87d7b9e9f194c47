"""Executors of a run: processes of this machine, or jobs of a cluster (dask, submitit, SLURM)."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures import TimeoutError as PoolTimeout
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ephysfit.batch.job import BUSY, Job, Outcome
from ephysfit.batch.store import CRASHED, DONE, TIMEOUT, Store
from ephysfit.errors import BatchError, near, needed
from ephysfit.system import bound_memory, check_memory_bound, collect_rarely, count_cores

#: tasks of one worker before a fresh process replaces it, so that leaked memory is freed
LIFETIME = 200
#: seconds between two checks of tasks that another run is working on
PATIENCE = 0.5
#: seconds between two checks whether the pool of workers still stands while no task ends
CHECK = 5.0
#: pools in succession that may end before any of their tasks does
POOLS = 3


class Executor(Protocol):
    """Runs jobs in a folder and yields their outcomes as they end, in any order."""

    def __call__(self, jobs: Sequence[Job], folder: Path) -> Iterator[Outcome]: ...


@dataclass(frozen=True)
class Local:
    """One process per core. A task that hangs or crashes ends its own process and no other.

    Parameters
    ----------
    workers : int
        Number of processes; 0: one per core.
    timeout : float or None
        Time limit of a task, s.
    memory : float or None
        Limit on the address space of a worker, GiB.
    """

    workers: int = 0
    timeout: float | None = None
    memory: float | None = None

    def __post_init__(self) -> None:
        if self.memory is not None:
            check_memory_bound()

    @property
    def count(self) -> int:
        """Number of worker processes."""
        return self.workers or count_cores()

    def __call__(self, jobs: Sequence[Job], folder: Path) -> Iterator[Outcome]:
        needed("pebble", "batch", "a batch by local", BatchError)
        left, failures = dict(enumerate(jobs)), 0
        while left:
            try:
                for k, outcome in self._run_in_pool(left, folder):
                    del left[k]
                    failures = 0
                    yield outcome
            except BrokenProcessPool:
                # pebble gives up a whole pool when a worker ends that holds no task while no other task runs: one
                # that is killed while it starts, say by a system short of memory. What has not ended is run in a new
                # pool; only where pools end again and again before any task does is something wrong with all workers.
                failures += 1
                if failures == POOLS:
                    raise BatchError(
                        f"{POOLS} times in succession no worker process could start; each imports the script that "
                        'started the batch: put its code below a line `if __name__ == "__main__":`'
                    ) from None

    def _run_in_pool(self, jobs: Mapping[int, Job], folder: Path) -> Iterator[tuple[int, Outcome]]:
        """Run numbered jobs in one pool of workers; BrokenProcessPool if the pool ends before they do."""
        from pebble import ProcessPool

        from ephysfit.batch.fit_task import do_task  # numba: only where tasks are done

        jobs = dict(jobs)  # the caller takes out what has ended
        waiting, later, running = deque(jobs), deque[int](), dict[Future[Outcome], int]()
        context = multiprocessing.get_context("spawn")  # threads of numerical libraries do not survive a fork
        with ProcessPool(
            min(self.count, len(jobs)), max_tasks=LIFETIME, initializer=prepare_worker, initargs=(self.memory,),
            context=context,
        ) as pool:  # fmt: skip
            try:
                while waiting or later or running:
                    if not waiting and not running:
                        time.sleep(PATIENCE)
                        waiting, later = later, deque()
                    while waiting and len(running) < 2 * self.count and pool.active:
                        k = waiting.popleft()
                        running[pool.schedule(do_task, args=[jobs[k], folder], timeout=self.timeout)] = k
                    ended = wait(running, timeout=CHECK, return_when=FIRST_COMPLETED).done
                    if not ended and not pool.active:  # what a broken pool had not yet passed on never ends
                        raise BrokenProcessPool
                    for future in ended:
                        k = running.pop(future)
                        outcome = self._outcome(future, jobs[k], folder)
                        if outcome.status == BUSY:
                            later.append(k)
                        else:
                            yield k, outcome
            finally:
                for future in running:
                    future.cancel()

    def _outcome(self, future: Future[Outcome], job: Job, folder: Path) -> Outcome:
        from pebble import ProcessExpired

        try:
            return future.result()
        except PoolTimeout:
            return _record_lost_task(job, folder, TIMEOUT, f"took longer than {self.timeout:g} s", self.timeout or 0.0)
        except ProcessExpired as e:
            return _record_lost_task(
                job, folder, CRASHED, f"its process ended ({_describe_exit_code(e.exitcode)})", 0.0
            )
        except MemoryError:
            limit = "no limit was set" if self.memory is None else f"limit: {self.memory:g} GiB"
            return _record_lost_task(job, folder, CRASHED, f"ran out of memory ({limit})", 0.0)
        except (OSError, ValueError) as e:  # its result could not be written, so nothing more is
            return Outcome(job.task.cell.name, job.task.model, CRASHED, f"its result cannot be written: {e}")


def _describe_exit_code(code: int) -> str:
    """Name the signal of a negative exit code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code}, {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def _record_lost_task(job: Job, folder: Path, status: str, reason: str, seconds: float) -> Outcome:
    """Record the failure of a task that could not do so itself; an earlier fit of the same data is kept."""
    store, task = Store(folder), job.task
    tail = _find_fault_line(store.log_path(task))
    whole = f"{reason}; {tail}" if tail else reason
    known = store.read(task)
    if known is not None and known.get("key") == job.key and known.get("status") == DONE:
        return Outcome(task.cell.name, task.model, status, f"{whole} (the earlier fit was kept)", seconds=seconds)
    return Outcome.of(store.write(task, job.key, {"status": status, "reason": whole, "seconds": seconds}))


def _find_fault_line(path: Path) -> str:
    """Find the line of a log that names a fatal error; empty if there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in lines if "Fatal Python error" in line), "")


def prepare_worker(memory: float | None) -> None:
    """Prepare a worker process: one thread, limited memory, no reaction to Ctrl-C (its runner stops it)."""
    threading.Thread(target=_exit_with_runner, args=(multiprocessing.parent_process(),), daemon=True).start()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("EPHYSFIT_THREADS", "1")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    collect_rarely()
    if memory is not None:
        bound_memory(memory)
    if "torch" in sys.modules:  # of the runner; else it reads the variables when a task loads it
        sys.modules["torch"].set_num_threads(1)


def _exit_with_runner(runner: Any) -> None:
    """End this process when the runner ends: a hanging task would otherwise outlive a killed run and keep its lock."""
    if runner is not None:
        runner.join()
        os._exit(1)


@dataclass(frozen=True)
class SubmittedParts:
    """Submits each part of the run as one command to another machine that sees the same folder.

    Parameters
    ----------
    submit : callable
        Takes commands and yields (index of the command, exit code) as they end.
    parts : int
        Number of parts.
    options : tuple of str
        Options of `ephysfit batch` on the other machine: --workers, --timeout ...
    """

    submit: Callable[[Sequence[Sequence[str]]], Iterator[tuple[int, int]]]
    parts: int
    options: tuple[str, ...] = ()

    def __call__(self, jobs: Sequence[Job], folder: Path) -> Iterator[Outcome]:
        store, open_ = Store(folder), {(j.task.cell.name, j.task.slug): j for j in jobs}
        order = store.write_order([(j.task, j.since) for j in jobs])
        options = ("--order", str(order), *self.options)
        commands = [make_part_command(folder, k, self.parts, options) for k in range(1, self.parts + 1)]
        for _ in self.submit(commands):
            yield from _take_ended(open_, store)
        yield from _take_ended(open_, store)
        order.unlink(missing_ok=True)
        for job in open_.values():
            yield _record_lost_task(
                job, folder, CRASHED, "the job that ran it ended without a result; see the logs of the scheduler", 0.0
            )


def _take_ended(open_: dict[tuple[str, str], Job], store: Store) -> Iterator[Outcome]:
    for name, job in list(open_.items()):
        result = store.read(job.task)
        if result is not None and job.settled(result):
            del open_[name]
            yield Outcome.of(result)


def make_part_command(folder: Path, part: int, parts: int, options: Sequence[str] = ()) -> list[str]:
    """Return the command that runs one part of a planned run, on this or another machine."""
    return [sys.executable, "-m", "ephysfit", "batch", "-o", str(folder), "--part", f"{part}/{parts}", *options]


def run_command(command: Sequence[str]) -> int:
    """Run a command and return its exit code; its output goes to the logs of the scheduler."""
    return subprocess.run(list(command), check=False).returncode


def submit_by_dask(address: str | None, workers: int) -> Callable[[Sequence[Sequence[str]]], Iterator[tuple[int, int]]]:
    """Return a function that submits commands through dask.distributed, to a scheduler or to a local cluster."""

    def submit(commands: Sequence[Sequence[str]]) -> Iterator[tuple[int, int]]:
        from distributed import Client, LocalCluster, as_completed

        cluster = None if address else LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
        with Client(address or cluster) as client:
            places = {client.submit(run_command, c, pure=False): k for k, c in enumerate(commands)}
            for future in as_completed(list(places)):
                yield places[future], int(future.result()) if future.status == "finished" else -1
        if cluster is not None:
            cluster.close()

    return submit


def submit_by_submitit(folder: Path, cluster: str, options: dict[str, Any]) -> Any:
    """Return a function that submits commands through submitit: as a SLURM array, or to its local executor."""

    def submit(commands: Sequence[Sequence[str]]) -> Iterator[tuple[int, int]]:
        import submitit

        executor = submitit.AutoExecutor(folder=str(folder / "submitit"), cluster=cluster)
        executor.update_parameters(**options)
        jobs = executor.map_array(run_command, commands)
        for k, job in enumerate(jobs):
            error = job.exception()
            yield k, -1 if error is not None else int(job.result())

    return submit


EXECUTORS = ("local", "dask", "submitit", "slurm")
#: the package of each executor, and the extra that installs it
NEEDS = {
    "local": ("pebble", "batch"), "dask": ("distributed", "batch"), "submitit": ("submitit", "slurm"),
    "slurm": ("submitit", "slurm"),
}  # fmt: skip


def make_executor(
    name: str, folder: Path, *, workers: int = 0, timeout: float | None = None, memory: float | None = None,
    parts: int = 0, address: str | None = None, **options: Any,
) -> Executor:  # fmt: skip
    """Return an executor by name.

    Parameters
    ----------
    name : {"local", "dask", "submitit", "slurm"}
        "submitit" is the local executor of submitit, "slurm" an array of SLURM jobs submitted by it.
    workers, timeout, memory
        As of `Local`.
    parts : int
        Number of parts of the run, for all executors but "local"; 0: as many as workers.
    address : str, optional
        Address of a dask scheduler.
    **options
        Options of submitit's jobs: timeout_min, slurm_partition, cpus_per_task ...
    """
    here = Local(workers, timeout, memory)
    if name not in EXECUTORS:
        raise BatchError(f"executor {name!r} is unknown; {near(name, EXECUTORS)}")
    module, extra = NEEDS[name]
    needed(module, extra, f"a batch by {name}", BatchError)
    if name == "local":
        return here
    worker_options = ("--workers", "1", *(("--timeout", f"{timeout:g}") if timeout else ()))
    worker_options += ("--memory", f"{memory:g}") if memory else ()
    count = parts or here.count
    if name == "dask":
        return SubmittedParts(submit_by_dask(address, here.count), count, worker_options)
    return SubmittedParts(
        submit_by_submitit(folder, "slurm" if name == "slurm" else "local", options), count, worker_options
    )
