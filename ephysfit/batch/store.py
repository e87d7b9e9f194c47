"""The folder of a run: one file per task, written completely or not at all.

::

    RUN/cells.toml                its cells, to be edited, if it was planned with --plan
    RUN/run.json                  the plan: every task with its settings
    RUN/results/CELL/MODEL.json   the result of a task: the fit and its scores, or the reason why there is none
    RUN/logs/CELL/MODEL.log       its output and warnings
    RUN/reports/CELL/MODEL.html   its report, if requested
    RUN/orders/                   tasks given to other machines, while those work on them
    RUN/claims/                   locks of running tasks; the system frees them when a process ends
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ephysfit.batch.task import Task
from ephysfit.errors import BatchError
from ephysfit.files import write_text
from ephysfit.system import lock, unlock

#: version of the result files; it goes up when their keys change
SCHEMA = 1
#: how a task can end
DONE, FAILED, CRASHED, TIMEOUT = "done", "failed", "crashed", "timeout"


@dataclass(frozen=True)
class Store:
    """The folder of a run."""

    folder: Path

    def path(self, kind: str, task: Task, suffix: str) -> Path:
        """Return the path of a file of a task, in the subfolder `kind`.

        Raises
        ------
        BatchError
            If the name of the task would lead out of the folder.
        """
        inside = Path(f"{task.cell.name}/{task.slug}{suffix}")
        if inside.is_absolute() or ".." in inside.parts:
            raise BatchError(f"{self.folder}: a task named {str(inside)!r} would be written outside the run's folder")
        return self.folder / kind / inside

    def result_path(self, task: Task) -> Path:
        """Return the path of the result of a task."""
        return self.path("results", task, ".json")

    def log_path(self, task: Task) -> Path:
        """Return the path of the log of a task."""
        return self.path("logs", task, ".log")

    def plan(self, tasks: Sequence[Task], *, whole: bool = False) -> None:
        """Add tasks to the plan of the folder; tasks it holds already are replaced.

        Parameters
        ----------
        tasks : sequence of Task
        whole : bool
            Whether these are all cells of the run, as its own manifest lists them: planned tasks of other cells go,
            unless they have a result.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".plan.lock").open("a") as f:  # two runs that begin at once must both add their tasks
            lock(f, wait=True)
            known = {(t.cell.name, t.slug): t for t in (self.tasks() if self.planned else ())}
            if whole:
                listed = {t.cell.name for t in tasks}
                known = {k: t for k, t in known.items() if t.cell.name in listed or self.result_path(t).exists()}
            known |= {(t.cell.name, t.slug): t for t in tasks}
            write_json(self.folder / "run.json", {"schema": SCHEMA, "tasks": [t.to_dict() for t in known.values()]})

    def write_order(self, tasks: Sequence[tuple[Task, float]]) -> Path:
        """Write a file of tasks for another machine, each with the time before which a result is outdated."""
        path = self.folder / "orders" / f"{time.time_ns()}_{os.getpid()}.json"
        write_json(path, {"tasks": [{"task": t.to_dict(), "since": since} for t, since in tasks]})
        return path

    @property
    def planned(self) -> bool:
        """Whether the folder holds a plan."""
        return (self.folder / "run.json").is_file()

    def tasks(self) -> tuple[Task, ...]:
        """Return the planned tasks.

        Raises
        ------
        BatchError
            If the folder is not that of a run.
        """
        plan = read_json(self.folder / "run.json")
        if plan is None or "tasks" not in plan:
            raise BatchError(
                f"{self.folder}: not the folder of a run (no readable run.json); create one with ephysfit batch -o"
            )
        return tuple(Task.from_dict(t) for t in plan["tasks"])

    def read(self, task: Task) -> dict[str, Any] | None:
        """Read the result of a task; None where it has not ended, or where its file cannot be read."""
        return read_json(self.result_path(task))

    def write(self, task: Task, key: str, result: dict[str, Any]) -> dict[str, Any]:
        """Write the result of a task, and return all that was written."""
        whole = {
            "schema": SCHEMA, "key": key, "cell": task.cell.name, "model": task.model, "finished": time.time(),
            "host": socket.gethostname(), **result, "task": task.to_dict(),
        }  # fmt: skip
        write_json(self.result_path(task), whole)
        return whole

    def is_claimed(self, task: Task) -> bool:
        """Whether a process is running this task."""
        path = self.path("claims", task, ".lock")
        if not path.exists():
            return False
        with path.open("a") as f:
            mine = lock(f)
            if mine:
                unlock(f)
            return not mine

    @contextmanager
    def claim(self, task: Task) -> Iterator[bool]:
        """Lock a task for this process, and yield whether that succeeded; it is freed when the process ends."""
        path = self.path("claims", task, ".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as f:
            mine = lock(f) and _is_same_file(path, f.fileno())
            try:
                yield mine
            finally:
                if mine:
                    with suppress(
                        OSError
                    ):  # Windows cannot remove an open file; an empty file that is left locks nothing
                        path.unlink(missing_ok=True)
                    unlock(f)


def read_order(path: Path) -> list[tuple[Task, float]]:
    """Read a file that `Store.write_order` wrote.

    Raises
    ------
    BatchError
        If the file is missing or is not such a file.
    """
    found = read_json(path)
    if found is None or "tasks" not in found:
        raise BatchError(f"{path}: no readable list of tasks; the file is removed once the run that wrote it has ended")
    return [(Task.from_dict(t["task"]), float(t["since"])) for t in found["tasks"]]


def _is_same_file(path: Path, descriptor: int) -> bool:
    """Whether the open file is still the one at this path: the previous holder of the lock may have removed it."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except OSError:
        return False


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object from a file; None where there is no file or no JSON in it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write JSON to a temporary file on the disk, then rename it, so that the file is complete at any moment."""
    write_text(path, json.dumps(value, allow_nan=False))
