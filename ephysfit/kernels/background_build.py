"""Kernels compiled ahead, in processes of their own: numba holds one lock per process, so threads would queue.

A build starts with the orders for kernels that are not on disk yet; a caller that needs one of them meanwhile waits for
it (`wait_for_build`) instead of compiling it a second time. What a worker could not compile, the caller compiles.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

from ephysfit import disk_cache
from ephysfit.kernels.threads import count

#: kernels under way in this process's workers
_UNDER_WAY: dict[Path, Event] = {}
_LOCK = Lock()


def _forget_builds() -> None:
    """Forget all builds in a forked child, which does not follow its parent's workers and must not wait for them."""
    global _LOCK
    _LOCK = Lock()
    _UNDER_WAY.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_builds)


@dataclass(frozen=True)
class Order:
    """One function of a generated module, and its argument types as `worker.types_of` reads them.

    Examples
    --------
    >>> Order(Path("kernel_of_no_one.py"), "forward", "q d1").on_disk
    False
    """

    path: Path
    function: str
    types: str

    @property
    def on_disk(self) -> bool:
        """Whether some process has compiled it on this machine."""
        name = disk_cache.make_code_name(self.path.stem, self.function, "*")
        return any(any(folder.glob(name)) for folder in disk_cache.list_folders(disk_cache.CODE))

    @property
    def cost(self) -> int:
        """Relative compile time, which grows with the length of the text."""
        try:
            return self.path.stat().st_size
        except OSError:  # nowhere to keep it: a worker will not find it either, and the caller compiles
            return 0


@dataclass(frozen=True, eq=False)
class Build:
    """Orders that workers are compiling."""

    orders: tuple[Order, ...] = ()
    events: tuple[Event, ...] = field(default=())

    @property
    def done(self) -> int:
        """Orders compiled."""
        return sum(e.is_set() for e in self.events)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until all are compiled; return whether they are."""
        return all(e.wait(seconds) for e in self.events)


def build(orders: Iterable[Order], *, workers: int | None = None) -> Build:
    """Start compiling what is neither on disk nor under way; returns at once.

    Parameters
    ----------
    orders : iterable of Order
    workers : int, optional
        Processes; as many as a run may use threads unless given.
    """
    with _LOCK:
        missing = [o for o in dict.fromkeys(orders) if not o.on_disk and o.path not in _UNDER_WAY]
        events = {o.path: Event() for o in missing}
        _UNDER_WAY.update(events)
    for share in _split_among_workers(missing, workers or count()):
        Thread(target=partial(_follow_worker, share, events), name="ephysfit-compile", daemon=True).start()
    return Build(tuple(missing), tuple(events[o.path] for o in missing))


def wait_for_build(path: Path) -> None:
    """Wait for a kernel that is under way; returns at once for any other."""
    event = _UNDER_WAY.get(path)
    if event is not None:
        event.wait()


def _split_among_workers(orders: list[Order], workers: int) -> list[list[Order]]:
    """Deal out the orders in the sequence of their use, each to the worker with the least to do."""
    shares: list[list[Order]] = [[] for _ in range(min(workers, len(orders)))]
    for order in orders:
        min(shares, key=lambda s: sum(o.cost for o in s)).append(order)
    return shares


def _follow_worker(share: list[Order], events: dict[Path, Event]) -> None:
    """Run one worker; every line it writes names a kernel that is ready."""
    try:
        with _start_worker(share) as process:
            assert process.stdout is not None
            for line in process.stdout:
                _mark_ready(Path(line.strip()), events)
    finally:
        for order in share:
            _mark_ready(order.path, events)


def _mark_ready(path: Path, events: dict[Path, Event]) -> None:
    if path in events:
        events[path].set()
        _UNDER_WAY.pop(path, None)


def _start_worker(share: list[Order]) -> Any:
    wanted = json.dumps([[str(o.path), o.function, o.types] for o in share])
    root = str(Path(__file__).parents[2])
    python_path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", "ephysfit.kernels.compile_worker", wanted],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONPATH": python_path},
    )  # fmt: skip
