"""Reading of suspicious files in a separate process, so that a crash of the parser does not end the session.

A process of one thread forks a copy of itself, which has loaded all it needs; elsewhere another interpreter is started.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import IO, Any, TypeVar

from ephysfit.data.forked import Forked
from ephysfit.data.hdf5_probe import VARIABLE
from ephysfit.errors import EphysfitError, RecordingError
from ephysfit.system import can_fork

#: seconds after which a parser is taken to hang
PATIENCE = 300.0
#: program of another interpreter: reads a pickled call, writes its pickled outcome; parsers may print
CHILD = """
import os, pickle, sys
out = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
function, arguments = pickle.load(sys.stdin.buffer)
from ephysfit.data.hdf5_probe import VARIABLE
from ephysfit.errors import EphysfitError
try:
    answer = True, function(*arguments)
except EphysfitError as error:
    answer = False, error
out.write(pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL))
"""


Result = TypeVar("Result")


def run_isolated(function: Callable[..., Result], *arguments: Any, patience: float = PATIENCE) -> Result:
    """Run a function in another process and return its result.

    Parameters
    ----------
    function
        A function of a module, so that it can be pickled.
    *arguments
        Its arguments.
    patience
        Time limit, s.

    Raises
    ------
    RecordingError
        If the process crashes or does not end; errors that ephysfit raises on purpose are passed on unchanged.
    """
    answer = _ask_copy(function, arguments, patience) if can_fork() else _ask_interpreter(function, arguments, patience)
    ended, value = pickle.loads(answer)
    if not ended:
        raise value
    result: Result = value
    return result


def _ask_copy(function: Callable[..., Any], arguments: tuple[Any, ...], patience: float) -> bytes:
    """Ask a copy of this process for the pickled outcome of a call."""

    def work(reader: IO[bytes], writer: IO[bytes]) -> None:
        os.environ[VARIABLE] = "0"
        try:
            answer: tuple[bool, Any] = True, function(*arguments)
        except EphysfitError as error:
            answer = False, error
        with os.fdopen(os.dup(writer.fileno()), "wb") as out:
            pickle.dump(answer, out, protocol=pickle.HIGHEST_PROTOCOL)

    with tempfile.TemporaryFile() as errors:
        copy = Forked(work, errors)
        answer = copy.read_all(patience)
        code = copy.end()
        errors.seek(0)
        return _check_answer(answer, code, errors.read(), arguments, patience)


def _ask_interpreter(function: Callable[..., Any], arguments: tuple[Any, ...], patience: float) -> bytes:
    """Ask another interpreter for the pickled outcome of a call."""
    call = pickle.dumps((function, arguments))
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD], input=call, capture_output=True, timeout=patience,
            env={**os.environ, VARIABLE: "0"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return _check_answer(None, 0, b"", arguments, patience)
    return _check_answer(done.stdout, done.returncode, done.stderr, arguments, patience)


def _check_answer(answer: bytes | None, code: int, errors: bytes, arguments: tuple[Any, ...], patience: float) -> bytes:
    if answer is None:
        raise RecordingError(f"{_format_arguments(arguments)}: the parser did not end within {patience:g} s")
    if code:
        crash = _describe_crash(code, errors)
        raise RecordingError(f"{_format_arguments(arguments)}: damaged: the parser crashed ({crash})")
    return answer


def _format_arguments(arguments: tuple[Any, ...]) -> str:
    first = arguments[0] if arguments else "the file"
    return ", ".join(str(one) for one in first) if isinstance(first, list | tuple) else str(first)


def _describe_crash(code: int, errors: bytes) -> str:
    if code < 0:
        return signal.Signals(-code).name
    last = errors.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
    return last[:200] or f"exit code {code}"
