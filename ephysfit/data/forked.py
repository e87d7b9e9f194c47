"""A copy of this process: it has imported what it needs, so that it is ready at once, and it may crash."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import IO

#: bytes read at a time
CHUNK = 1 << 20


class Forked:
    """A forked process that does some work and is talked to through pipes; where `system.can_fork`.

    Parameters
    ----------
    work
        Called in the copy with the ends of its pipes, to read from and to write to; its own output goes to `errors`.
        An exception ends it with code 1.
    errors
        File for what it prints; nowhere by default.
    """

    def __init__(self, work: Callable[[IO[bytes], IO[bytes]], None], errors: IO[bytes] | None = None) -> None:
        asked, reply = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:
            _do_and_end(work, asked[0], reply[1], errors)
        os.close(asked[0])
        os.close(reply[1])
        self.pid, self._asked, self._reply = pid, asked[1], reply[0]
        self.code: int | None = None

    def write(self, content: bytes) -> None:
        """Write to the process; an error if it has ended."""
        while content:
            content = content[os.write(self._asked, content) :]

    def read(self, patience: float) -> bytes | None:
        """Read what it wrote next; empty if it has closed its end, None if it says nothing for so many seconds."""
        ready, _, _ = select.select([self._reply], [], [], max(patience, 0.0))
        return os.read(self._reply, CHUNK) if ready else None

    def read_all(self, patience: float) -> bytes | None:
        """Read all that it writes until it ends; None if that takes more seconds."""
        parts, until = [], time.monotonic() + patience
        while part := self.read(until - time.monotonic()):
            parts.append(part)
        return None if part is None else b"".join(parts)

    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self._wait(os.WNOHANG)

    def end(self) -> int:
        """Wait for its end, having killed it if it still works; return its exit code, negative for a signal."""
        if self.code is None:
            if self.read(0.0) != b"":  # it has not closed its end
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
            self._wait(0)
        for end in (self._asked, self._reply):
            with suppress(OSError):
                os.close(end)
        return self.code or 0

    def _wait(self, options: int) -> bool:
        if self.code is None:
            try:
                pid, status = os.waitpid(self.pid, options)
            except ChildProcessError:  # somebody else waited for it
                pid, status = self.pid, 0
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None


def _do_and_end(work: Callable[[IO[bytes], IO[bytes]], None], asked: int, reply: int, errors: IO[bytes] | None) -> None:
    """Work in the copy, which keeps nothing open but its pipes, and never returns into what it is a copy of."""
    code = 1
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        shown = quiet if errors is None else errors.fileno()
        for target, fd in ((0, quiet), (1, shown), (2, shown)):
            os.dup2(fd, target)
        for fd in map(int, os.listdir("/proc/self/fd")):  # locks and sockets stay with the original
            if fd not in (0, 1, 2, asked, reply):
                with suppress(OSError):
                    os.close(fd)
        sys.stdout = sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        with open(asked, "rb", buffering=0) as reader, open(reply, "wb", buffering=0) as writer:
            work(reader, writer)
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)
