"""What Linux, macOS and Windows do each in its own way: cores, memory, locks of files."""

from __future__ import annotations

import errno
import os
import sys
import time
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

#: what says that someone else holds a lock
_HELD = {errno.EACCES, errno.EAGAIN, errno.EDEADLK}
#: bytes in a unit of `ru_maxrss`
_UNIT = 1 if sys.platform == "darwin" else 1024


def count_cores() -> int:
    """Cores that this process may run on, within its container's share.

    Examples
    --------
    >>> count_cores() >= 1
    True
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(min(allowed, _read_core_share()), 1)


def _read_core_share(path: str = "/sys/fs/cgroup/cpu.max") -> int:
    """Whole cores of a container's share; a container may see every core of its machine, and use few."""
    try:
        with open(path, encoding="ascii") as file:
            quota, period = file.read().split()
        return max(int(quota) // int(period), 1)
    except (OSError, ValueError, ZeroDivisionError):  # "max", or no such thing
        return sys.maxsize


def measure_peak_memory() -> float | None:
    """MiB that this process held at most; None where the system does not say."""
    return None if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT / 2**20


def check_memory_bound() -> None:
    """See whether the memory of a process can be bounded here.

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
    """Have allocations of this process fail beyond so many GiB of address space."""
    check_memory_bound()
    resource.setrlimit(resource.RLIMIT_AS, (int(gib * 2**30),) * 2)


def lock(file: IO[Any], *, wait: bool = False) -> bool:
    """Lock an open file for this process, until it is closed or the process ends; whether it is locked now.

    Where neither the system nor the file system knows locks, nobody is kept out.

    Parameters
    ----------
    file : file
        Open for writing.
    wait : bool
        Until whoever holds it lets go.
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
    """Let a locked file go before it is closed: Windows does so some time after."""
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
