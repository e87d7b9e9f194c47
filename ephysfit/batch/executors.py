"""Who does the tasks: processes of this machine, or of a cluster through schedulers that exist."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures import TimeoutError as PoolTimeout
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ephysfit.batch.job import BUSY, Job, Outcome
from ephysfit.batch.store import CRASHED, DONE, TIMEOUT, Store
from ephysfit.errors import BatchError, near, needed
from ephysfit.system import bound_memory, check_memory_bound, count_cores

#: tasks of one worker before it is replaced by a fresh one: whatever leaks is given back
LIFETIME = 200
#: seconds between two looks at tasks that another run is at
PATIENCE = 0.5


class Executor(Protocol):
    """Does jobs in a folder; outcomes come as they end, in any order."""

    def __call__(self, jobs: Sequence[Job], folder: Path) -> Iterator[Outcome]: ...


@dataclass(frozen=True)
class Local:
    """One process a core. A task that hangs or dies takes its process with it, and nobody else.

    Parameters
    ----------
    workers : int
        Processes; one a core unless given.
    timeout : float or None
        Seconds a task may take.
    memory : float or None
        GiB of address space a worker may take.
    """

    workers: int = 0
    timeout: float | None = None
    memory: float | None = None

    def __post_init__(self) -> None:
        if self.memory is not None:
            check_memory_bound()

    @property
    def count(self) -> int:
        """Processes at work."""
        return self.workers or count_cores()

    def __call__(self, jobs: Sequence[Job], folder: Path) -> Iterator[Outcome]:
        needed("pebble", "batch", "a batch by local", BatchError)
        from pebble import ProcessPool

        from ephysfit.batch.fit_task import perform  # torch: only where tasks are done

        waiting, later, running = deque(jobs), deque[Job](), dict[Future[Outcome], Job]()
        context = multiprocessing.get_context("spawn")  # threads of numerical libraries do not survive a fork
        with ProcessPool(
            min(self.count, max(len(jobs), 1)), max_tasks=LIFETIME, initializer=prepare, initargs=(self.memory,),
            context=context,
        ) as pool:  # fmt: skip
            try:
                while waiting or later or running:
                    if not waiting and not running:
                        time.sleep(PATIENCE)
                        waiting, later = later, deque()
                    while waiting and len(running) < 2 * self.count:
                        job = waiting.popleft()
                        running[pool.schedule(perform, args=[job, folder], timeout=self.timeout)] = job
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        job = running.pop(future)
                        outcome = self._outcome(future, job, folder)
                        if outcome.status == BUSY:
                            later.append(job)
                        else:
                            yield outcome
            except BrokenProcessPool:
                raise BatchError(
                    "no worker process could start; each of them reads the script that began the batch: what that does "
                    'belongs below a line `if __name__ == "__main__":`'
                ) from None
            finally:
                for future in running:
                    future.cancel()

    def _outcome(self, future: Future[Outcome], job: Job, folder: Path) -> Outcome:
        from pebble import ProcessExpired

        try:
            return future.result()
        except PoolTimeout:
            return _lost(job, folder, TIMEOUT, f"took longer than {self.timeout:g} s", self.timeout or 0.0)
        except ProcessExpired as e:
            return _lost(job, folder, CRASHED, f"its process died ({_death(e.exitcode)})", 0.0)
        except MemoryError:
            limit = "no limit was set" if self.memory is None else f"limit: {self.memory:g} GiB"
            return _lost(job, folder, CRASHED, f"ran out of memory ({limit})", 0.0)
        except (OSError, ValueError) as e:  # its result could not be written, so nothing more is
            return Outcome(job.task.cell.name, job.task.model, CRASHED, f"its result cannot be written: {e}")


def _death(code: int) -> str:
    """What an exit code says."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code}, {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def _lost(job: Job, folder: Path, status: str, reason: str, seconds: float) -> Outcome:
    """A task that could not write its own end; a fit of the same data and settings that is there already stays."""
    store, task = Store(folder), job.task
    tail = _tail(store.log(task))
    whole = f"{reason}; {tail}" if tail else reason
    known = store.read(task)
    if known is not None and known.get("key") == job.key and known.get("status") == DONE:
        return Outcome(task.cell.name, task.model, status, f"{whole} (the fit from before was kept)", seconds=seconds)
    return Outcome.of(store.write(task, job.key, {"status": status, "reason": whole, "seconds": seconds}))


def _tail(path: Path) -> str:
    """The first lines of a fault's trace in a log."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in lines if "Fatal Python error" in line), "")


def prepare(memory: float | None) -> None:
    """Make a worker: one thread, bounded memory, deaf to Ctrl-C (the runner ends it), and gone with its runner."""
    threading.Thread(target=_follow, args=(multiprocessing.parent_process(),), daemon=True).start()

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("EPHYSFIT_THREADS", "1")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if memory is not None:
        bound_memory(memory)
    import torch  # after the variables that it reads when it is loaded

    torch.set_num_threads(1)


def _follow(runner: Any) -> None:
    """End with the runner. A hanging task would else outlive a killed run, hold its claim, and stop the next run."""
    if runner is not None:
        runner.join()
        os._exit(1)


@dataclass(frozen=True)
class Parts:
    """Each part of the run as one command on another machine that sees the same folder.

    Parameters
    ----------
    submit : callable
        Takes commands, yields (command's place, exit code) as they end.
    parts : int
        How many.
    options : tuple of str
        Of `ephysfit batch` on the other machine: --workers, --timeout ...
    """

    submit: Callable[[Sequence[Sequence[str]]], Iterator[tuple[int, int]]]
    parts: int
    options: tuple[str, ...] = ()

    def __call__(self, jobs: Sequence[Job], folder: Path) -> Iterator[Outcome]:
        store, open_ = Store(folder), {(j.task.cell.name, j.task.slug): j for j in jobs}
        order = store.order([(j.task, j.since) for j in jobs])
        options = ("--order", str(order), *self.options)
        commands = [part_command(folder, k, self.parts, options) for k in range(1, self.parts + 1)]
        for _ in self.submit(commands):
            yield from _ended(open_, store)
        yield from _ended(open_, store)
        order.unlink(missing_ok=True)
        for job in open_.values():
            yield _lost(job, folder, CRASHED, "the machine that had it ended without a result; see its own logs", 0.0)


def _ended(open_: dict[tuple[str, str], Job], store: Store) -> Iterator[Outcome]:
    for name, job in list(open_.items()):
        result = store.read(job.task)
        if result is not None and job.settled(result):
            del open_[name]
            yield Outcome.of(result)


def part_command(folder: Path, part: int, parts: int, options: Sequence[str] = ()) -> list[str]:
    """The command that does one part of a planned run, here or on another machine."""
    return [sys.executable, "-m", "ephysfit", "batch", "-o", str(folder), "--part", f"{part}/{parts}", *options]


def run_command(command: Sequence[str]) -> int:
    """A command's exit code; what it says goes where the scheduler keeps output."""
    return subprocess.run(list(command), check=False).returncode


def by_dask(address: str | None, workers: int) -> Callable[[Sequence[Sequence[str]]], Iterator[tuple[int, int]]]:
    """Submit through dask.distributed: to the scheduler at an address, or to a cluster made here."""

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


def by_submitit(folder: Path, cluster: str, options: dict[str, Any]) -> Any:
    """Submit through submitit: an array of SLURM, or its local executor."""

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


def executor(
    name: str, folder: Path, *, workers: int = 0, timeout: float | None = None, memory: float | None = None,
    parts: int = 0, address: str | None = None, **options: Any,
) -> Executor:  # fmt: skip
    """An executor by name.

    Parameters
    ----------
    name : {"local", "dask", "submitit", "slurm"}
        "submitit" runs submitit's local executor, "slurm" an array of SLURM jobs through it.
    parts : int
        For the others than local: into how many parts the run is cut; as many as workers unless given.
    address : str, optional
        Of a dask scheduler.
    **options
        Of submitit's jobs: timeout_min, slurm_partition, cpus_per_task ...
    """
    here = Local(workers, timeout, memory)
    if name not in EXECUTORS:
        raise BatchError(f"executor {name!r} is unknown; {near(name, EXECUTORS)}")
    module, extra = NEEDS[name]
    needed(module, extra, f"a batch by {name}", BatchError)
    if name == "local":
        return here
    asked = ("--workers", "1", *(("--timeout", f"{timeout:g}") if timeout else ()))
    asked += ("--memory", f"{memory:g}") if memory else ()
    count = parts or here.count
    if name == "dask":
        return Parts(by_dask(address, here.count), count, asked)
    return Parts(by_submitit(folder, "slurm" if name == "slurm" else "local", options), count, asked)
