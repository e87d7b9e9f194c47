"""Functions that differ between Linux, macOS and Windows: cores, memory, file locks."""

from __future__ import annotations

import errno
import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from ephysfit.errors import EphysfitError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # all others
    msvcrt = None  # type: ignore[assignment]
try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

#: objects that are made before Python looks for cycles among them, where it looks rarely
RARELY = 100_000
#: errors that show that someone else holds a lock
_HELD = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
#: bytes in a unit of `ru_maxrss`
_UNIT = 1 if sys.platform == "darwin" else 1024


def count_cores() -> int:
    """Count the cores that this process may run on, within the share of its container.

    Examples
    --------
    >>> count_cores() >= 1
    True
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(allowed, _read_core_share()), 1)


def collect_rarely() -> None:
    """Have Python look for cycles among objects rarely.

    Every look passes through what numba, matplotlib and torch hold for good, and took a twentieth of a report.
    """
    gc.set_threshold(RARELY)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Have BLAS use one thread, as a context or as the decorator of a function.

    Its products here are tall and thin: threads wait for one another longer than they multiply (with two of them a
    recording took four times as long to read), and the last digits of a sum depend on how many share it.

    Examples
    --------
    >>> import numpy as np
    >>> with one_blas_thread():
    ...     float(np.ones(3) @ np.ones(3))
    3.0
    """
    if os.environ.get("OPENBLAS_NUM_THREADS") == "1":  # as in commands and workers
        yield
        return
    from threadpoolctl import threadpool_limits  # not where commands need none

    with threadpool_limits(limits=1, user_api="blas"):
        yield


def can_fork() -> bool:
    """Tell whether this process may be forked: on Linux, and of one thread, so that nobody else can hold a lock.

    Examples
    --------
    >>> can_fork() in (True, False)
    True
    """
    try:
        return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def _read_core_share(path: str = "/sys/fs/cgroup/cpu.max") -> int:
    """Read the share of a container in whole cores: it may see every core of its machine, but use only a few."""
    try:
        with open(path, encoding="ascii") as file:
            quota, period = file.read().split()
        return max(int(quota) // int(period), 1)
    except (OSError, ValueError, ZeroDivisionError):  # "max", or no such thing
        return sys.maxsize


def measure_peak_memory() -> float | None:
    """Measure the peak memory of this process, MiB; None if the system does not report it."""
    return None if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT / 2**20


def check_memory_bound() -> None:
    """Check that the memory of a process can be limited on this system.

    Raises
    ------
    EphysfitError
        On macOS and Windows.
    """
    if resource is None or sys.platform == "darwin":
        raise EphysfitError(
            f"this system ({sys.platform}) cannot bound the memory of a process, as Linux does; "
            "leave the limit out (--memory, memory=)"
        )


def bound_memory(gib: float) -> None:
    """Limit this process to so many GiB of address space; larger allocations fail."""
    check_memory_bound()
    resource.setrlimit(resource.RLIMIT_AS, (int(gib * 2**30),) * 2)


def lock(file: IO[Any], *, wait: bool = False) -> bool:
    """Lock an open file for this process, until it is closed or the process ends; return whether that succeeded.

    If neither the system nor the file system supports locks, others are not excluded.

    Parameters
    ----------
    file : file
        Open for writing.
    wait : bool
        Wait until another holder releases the lock.
    """
    while True:
        try:
            return _lock_descriptor(file.fileno(), wait)
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL):
                return True
            if error.errno not in _HELD:
                raise
            if not wait:
                return False
            time.sleep(0.05)


def unlock(file: IO[Any]) -> None:
    """Unlock a file before it is closed, because Windows unlocks it only some time later."""
    if msvcrt is not None:  # pragma: no cover
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]


def _lock_descriptor(descriptor: int, wait: bool) -> bool:
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    elif msvcrt is not None:  # pragma: no cover
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    return True
