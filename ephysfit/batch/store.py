"""The folder of a run: one file a task, written whole or not at all.

::

    RUN/run.json                  what was asked: every task with its settings
    RUN/results/CELL/MODEL.json   how a task ended: the fit, its scores, or why there is none
    RUN/logs/CELL/MODEL.log       what it said on the way
    RUN/reports/CELL/MODEL.html   its page, if asked for
    RUN/orders/                   what other machines are asked for, while they are at it
    RUN/claims/                   locks of tasks under way; the system frees them when a process dies
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

#: of result files; goes up when their keys change
SCHEMA = 1
#: how a task can end
DONE, FAILED, CRASHED, TIMEOUT = "done", "failed", "crashed", "timeout"


@dataclass(frozen=True)
class Store:
    """The folder of a run."""

    folder: Path

    def path(self, kind: str, task: Task, suffix: str) -> Path:
        inside = Path(f"{task.cell.name}/{task.slug}{suffix}")
        if inside.is_absolute() or ".." in inside.parts:
            raise BatchError(f"{self.folder}: a task named {str(inside)!r} would be written outside the run's folder")
        return self.folder / kind / inside

    def result(self, task: Task) -> Path:
        return self.path("results", task, ".json")

    def log(self, task: Task) -> Path:
        return self.path("logs", task, ".log")

    def plan(self, tasks: Sequence[Task]) -> None:
        """Add tasks to what the folder is asked for; those it knows are replaced."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".plan.lock").open("a") as f:  # two runs that begin at once both add theirs
            lock(f, wait=True)
            known = {(t.cell.name, t.slug): t for t in (self.tasks() if self.planned else ())}
            known |= {(t.cell.name, t.slug): t for t in tasks}
            write_json(self.folder / "run.json", {"schema": SCHEMA, "tasks": [t.to_dict() for t in known.values()]})

    def order(self, asked: Sequence[tuple[Task, float]]) -> Path:
        """A file that tells another machine which tasks to do, each with the age from which a result is too old."""
        path = self.folder / "orders" / f"{time.time_ns()}_{os.getpid()}.json"
        write_json(path, {"tasks": [{"task": t.to_dict(), "since": since} for t, since in asked]})
        return path

    @property
    def planned(self) -> bool:
        return (self.folder / "run.json").is_file()

    def tasks(self) -> tuple[Task, ...]:
        """What the folder is asked for.

        Raises
        ------
        BatchError
            If it is no run.
        """
        plan = read_json(self.folder / "run.json")
        if plan is None or "tasks" not in plan:
            raise BatchError(f"{self.folder}: not the folder of a run (no readable run.json); make one with batch -o")
        return tuple(Task.from_dict(t) for t in plan["tasks"])

    def read(self, task: Task) -> dict[str, Any] | None:
        """How a task ended; None where it has not, or where its file cannot be read."""
        return read_json(self.result(task))

    def write(self, task: Task, key: str, result: dict[str, Any]) -> dict[str, Any]:
        """Keep how a task ended."""
        whole = {
            "schema": SCHEMA, "key": key, "cell": task.cell.name, "model": task.model, "finished": time.time(),
            "host": socket.gethostname(), **result, "task": task.to_dict(),
        }  # fmt: skip
        write_json(self.result(task), whole)
        return whole

    def claimed(self, task: Task) -> bool:
        """Whether some process is at this task."""
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
        """Whether this process may do the task, until it leaves; a process that dies leaves, too."""
        path = self.path("claims", task, ".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as f:
            mine = lock(f) and _is_same_file(path, f.fileno())
            try:
                yield mine
            finally:
                if mine:
                    with suppress(OSError):  # Windows removes no open file; an empty one that is left claims nothing
                        path.unlink(missing_ok=True)
                    unlock(f)


def read_order(path: Path) -> list[tuple[Task, float]]:
    """What `Store.order` wrote.

    Raises
    ------
    BatchError
        If the file is gone or no order.
    """
    found = read_json(path)
    if found is None or "tasks" not in found:
        raise BatchError(f"{path}: no readable order; it is gone once the run that wrote it has ended")
    return [(Task.from_dict(t["task"]), float(t["since"])) for t in found["tasks"]]


def _is_same_file(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one at this path: who had the claim before may have taken it away meanwhile."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except OSError:
        return False


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from a file; None where there is no file, or no JSON in it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: Path, value: dict[str, Any]) -> None:
    """JSON into a file: beside it, to the disk, then in its place, so that no moment leaves half a file."""
    write_text(path, json.dumps(value, allow_nan=False))
