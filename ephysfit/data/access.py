"""What reading may reach: other files that a file leans on, and how long a server may take; one setting for a load."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from ephysfit.errors import RecordingError

#: set to 1, files may lean on files anywhere
LINKS = "EPHYSFIT_ALLOW_LINKS"
#: seconds
TIMEOUT = "EPHYSFIT_TIMEOUT"
SECONDS = 30.0


@dataclass(frozen=True)
class Access:
    """What may be reached, and for how long.

    Parameters
    ----------
    allow_links
        Whether an HDF5 file may take samples from files outside its folder.
    timeout
        Seconds that a server may take to answer, and to go on after each piece; five times as long for one request.

    Examples
    --------
    >>> Access(timeout=5).timeout
    5
    """

    allow_links: bool = False
    timeout: float = SECONDS

    def __post_init__(self) -> None:
        if not isinstance(self.allow_links, bool):
            raise RecordingError(f"allow_links={self.allow_links!r}; True or False")
        number = isinstance(self.timeout, int | float) and not isinstance(self.timeout, bool)
        if not (number and 0 < self.timeout < math.inf):
            raise RecordingError(f"timeout={self.timeout!r}; a positive number of seconds")


_ACCESS: ContextVar[Access | None] = ContextVar("access", default=None)


def choose_access(allow_links: bool | None = None, timeout: float | None = None) -> Access:
    """What a caller wants; what it leaves open is as it stands now."""
    now = current_access()
    return Access(now.allow_links if allow_links is None else allow_links, now.timeout if timeout is None else timeout)


def current_access() -> Access:
    """What holds now: as given, else as the environment says."""
    return _ACCESS.get() or Access(os.environ.get(LINKS, "0") == "1", _read_timeout())


def _read_timeout() -> float:
    text = os.environ.get(TIMEOUT, "")
    try:
        return float(text) if text else SECONDS
    except ValueError:
        raise RecordingError(f"{TIMEOUT}={text!r} in the environment; a positive number of seconds") from None


@contextmanager
def use_access(access: Access) -> Iterator[None]:
    """Let this hold for a while."""
    before = _ACCESS.set(access)
    try:
        yield
    finally:
        _ACCESS.reset(before)
