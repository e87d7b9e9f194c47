"""A helper process that goes through the headers of an HDF5 file first: libhdf5 hangs or crashes on some damaged files.
It also lists what the file takes from other files, before any of it is read.

The helper starts with the first HDF5 file (about half a second; at once where this process can be forked) and serves
the whole session; where none can be started
files are opened without it. Where it dies or makes no progress, the file is refused with one clear error and the next
file gets a new helper. A file found sound is not checked again until it changes. Where every load runs in its own
process anyway, set ``EPHYSFIT_PROBE=0``.
"""

from __future__ import annotations

import atexit
import contextlib
import inspect
import json
import os
import queue
import subprocess
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

from ephysfit.data import external_links
from ephysfit.data.forked import Forked
from ephysfit.errors import RecordingError
from ephysfit.system import can_fork

if TYPE_CHECKING:
    from ephysfit.data.external_links import Found

#: environment variable: 0 opens files without a helper
VARIABLE = "EPHYSFIT_PROBE"
#: seconds without a sign of life
PATIENCE = 20.0
#: seconds that the helper may take to start, on a machine that is busy
START = 120.0
#: sound files that are remembered at most
MOST_STORED = 4096
#: the helper: reads paths; writes a dot now and then, "endless", or "ok" with the links to other files. Damage that
#: Python can report is left to the reader
HELPER = """
import json, sys
import h5py, numpy as np
h5py._errors.silence_errors()
SMALL = 65536
ERRORS = (OSError, LookupError, ValueError, TypeError, RuntimeError, MemoryError, ArithmeticError, AttributeError,
          SystemError)
def say(word):
    sys.stdout.write(word + "\\n"); sys.stdout.flush()
def look(item):
    for name in item.attrs:
        try: item.attrs[name]
        except ERRORS: pass
    if isinstance(item, h5py.Dataset) and not item.is_virtual and not item.external:
        if item.chunks: item.id.get_num_chunks()
        if item.size and item.size * max(item.dtype.itemsize, 1) <= SMALL: item[()]
        elif item.shape and item.shape[0]: item[:1]
def walk(path):
    import os
    most, seen, count = os.path.getsize(path) // 8 + 1000, set(), 0
    with h5py.File(path, "r") as file:
        todo = [file]
        while todo:
            item = todo.pop()
            try:
                address = h5py.h5o.get_info(item.id).addr
                if address in seen: continue
                seen.add(address)
                look(item)
                for name in (item if isinstance(item, h5py.Group) else ()):
                    count += 1
                    if count % 200 == 0: say(".")
                    if count > most: return "endless"
                    try:
                        if not isinstance(item.get(name, getlink=True), h5py.ExternalLink): todo.append(item[name])
                    except ERRORS: pass
            except ERRORS: pass
        return "ok " + json.dumps(find_external_links(file))
say("ready")
for line in sys.stdin:
    try: say(walk(json.loads(line)))
    except ERRORS: say("ok")
"""


class Helper:
    """The helper process and the lines it writes: another interpreter."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", write_program()], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, encoding="utf-8",
        )  # fmt: skip
        self.lines: queue.Queue[str] = queue.Queue()
        self.owner = os.getpid()
        threading.Thread(target=self._listen, daemon=True).start()
        self.ready = self._next(START) == "ready"

    def _next(self, patience: float) -> str:
        try:
            return self.lines.get(timeout=patience)
        except queue.Empty:
            return "silent"

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.strip())
        self.lines.put("gone")

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def ask(self, path: Path, patience: float) -> str:
        """Ask about a file: "ok" and its links, "endless", "gone" if the helper died, "silent" without progress."""
        try:
            self._say(json.dumps(str(path)) + "\n")
        except OSError:
            return "gone"
        while (line := self._next(patience)) == ".":
            pass
        return line

    def has_ended(self) -> bool:
        """Whether the process is there no more."""
        return self.process.poll() is not None

    def end(self) -> None:
        """Stop the helper process."""
        if self.owner == os.getpid():
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                with contextlib.suppress(OSError, ValueError):
                    pipe.close()  # type: ignore[union-attr]


class ForkedHelper(Helper):
    """A copy of this process as helper, which needs no thread to be listened to."""

    def __init__(self) -> None:
        program, self._read, self.owner = write_program(), "", os.getpid()

        def work(reader: IO[bytes], writer: IO[bytes]) -> None:
            sys.stdin = open(reader.fileno(), encoding="utf-8", closefd=False)  # noqa: SIM115
            sys.stdout = open(writer.fileno(), "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            exec(program, {"__name__": "helper"})

        self.copy = Forked(work)
        self.ready = self._next(START) == "ready"

    def _next(self, patience: float) -> str:
        while "\n" not in self._read:
            said = self.copy.read(patience)
            if not said:
                return "silent" if said is None else "gone"
            self._read += said.decode("utf-8")
        line, _, self._read = self._read.partition("\n")
        return line.strip()

    def _say(self, line: str) -> None:
        self.copy.write(line.encode("utf-8"))

    def has_ended(self) -> bool:
        """Whether the process is there no more."""
        return self.copy.has_ended()

    def end(self) -> None:
        """Stop the helper process."""
        if self.owner == os.getpid():
            self.copy.end()


def write_program() -> str:
    """Write the program of the helper."""
    return inspect.getsource(external_links) + HELPER


_LOCK = threading.Lock()
_HELPER: list[Helper] = []
State: TypeAlias = tuple[str, int, int, int]
_SOUND: OrderedDict[State, Found | None] = OrderedDict()


def read_file_state(path: Path) -> State:
    """Read the path, size, time of change and inode of a file: they differ once the file has changed."""
    there = path.stat()
    return str(path.absolute()), there.st_size, there.st_mtime_ns, there.st_ino


def probe(path: Path) -> Found | None:
    """Find what a file takes from other files; an error if libhdf5 would hang or crash on its headers.

    Parameters
    ----------
    path
        An HDF5 file.

    Returns
    -------
    list of tuple, or None
        The result of `find_external_links`; None if no helper can be started, or the file cannot be opened.

    Raises
    ------
    RecordingError
        If the helper died, found groups that contain themselves, or made no progress for a while.
    """
    if os.environ.get(VARIABLE, "1") == "0":
        return None
    key = read_file_state(path)
    with _LOCK:
        if key in _SOUND:
            return _SOUND[key]
        helper = _start_helper()
        if helper is None:
            return None
        said = helper.ask(path.absolute(), PATIENCE)
        word, _, listed = said.partition(" ")
        if word != "ok":
            _end_helper()
            raise RecordingError(f"{path.name}: damaged HDF5: {_WORDS.get(said, said)}")
        _SOUND[key] = [tuple(one) for one in json.loads(listed)] if listed else None
        while len(_SOUND) > MOST_STORED:
            _SOUND.popitem(last=False)
        return _SOUND[key]


_WORDS = {
    "gone": "the HDF5 library crashes on its headers",
    "silent": f"the HDF5 library makes no progress on its headers for {PATIENCE:g} s",
    "endless": "its groups go round in circles",
}


def _start_helper() -> Helper | None:
    """Start the helper of this process; None if no process can be started, as in an embedded interpreter."""
    if _HELPER and (_HELPER[0].owner != os.getpid() or _HELPER[0].has_ended()):
        _end_helper()
    if not _HELPER and sys.executable:
        with contextlib.suppress(OSError):
            _HELPER.append(ForkedHelper() if can_fork() else Helper())
    return _HELPER[0] if _HELPER and _HELPER[0].ready else None


def _end_helper() -> None:
    while _HELPER:
        _HELPER.pop().end()


atexit.register(_end_helper)
