"""Limits of reading: which other files a file may draw on, and how long a server may take; one setting per load."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ephysfit.errors import RecordingError

#: environment variable: 1 lets files take samples from files anywhere
LINKS = "EPHYSFIT_ALLOW_LINKS"
#: environment variable: the timeout of a server, s
TIMEOUT = "EPHYSFIT_TIMEOUT"
SECONDS = 30.0


@dataclass(frozen=True)
class Access:
    """Permission to follow links, and the patience with a server.

    Parameters
    ----------
    allow_links
        Whether an HDF5 file may take samples from files outside its folder.
    timeout
        Seconds a server may take to answer, and to continue after each piece; a whole request may take five times that.

    Examples
    --------
    >>> Access(timeout=5).timeout
    5
    """

    allow_links: bool = False
    timeout: float = SECONDS

    def __post_init__(self) -> None:
        if not isinstance(self.allow_links, bool):
            raise RecordingError(f"allow_links={self.allow_links!r}: give True or False")
        number = isinstance(self.timeout, int | float) and not isinstance(self.timeout, bool)
        if not (number and 0 < self.timeout < math.inf):
            raise RecordingError(f"timeout={self.timeout!r}: give a positive number of seconds")


_ACCESS: ContextVar[Access | None] = ContextVar("access", default=None)


def choose_access(allow_links: bool | None = None, timeout: float | None = None) -> Access:
    """Choose the limits for a load: those the caller gives, and the current ones for the rest."""
    now = current_access()
    return Access(now.allow_links if allow_links is None else allow_links, now.timeout if timeout is None else timeout)


def current_access() -> Access:
    """Find the limits in force: those of the enclosing `use_access`, else those of the environment."""
    return _ACCESS.get() or Access(os.environ.get(LINKS, "0") == "1", _read_timeout())


def _read_timeout() -> float:
    text = os.environ.get(TIMEOUT, "")
    try:
        return float(text) if text else SECONDS
    except ValueError:
        raise RecordingError(f"{TIMEOUT}={text!r} in the environment: give a positive number of seconds") from None


@contextmanager
def use_access(access: Access) -> Iterator[None]:
    """Apply these limits within a ``with`` block."""
    before = _ACCESS.set(access)
    try:
        yield
    finally:
        _ACCESS.reset(before)
