"""Reading of suspicious files in a separate process, so that a crash of the parser does not end the session."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from ephysfit.data.hdf5_probe import VARIABLE
from ephysfit.errors import RecordingError

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
    call = pickle.dumps((function, arguments))
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD], input=call, capture_output=True, timeout=patience,
            env={**os.environ, VARIABLE: "0"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RecordingError(f"{_format_arguments(arguments)}: the parser did not end within {patience:g} s") from None
    if done.returncode:
        raise RecordingError(f"{_format_arguments(arguments)}: damaged: the parser crashed ({_describe_crash(done)})")
    ended, value = pickle.loads(done.stdout)
    if not ended:
        raise value
    result: Result = value
    return result


def _format_arguments(arguments: tuple[Any, ...]) -> str:
    first = arguments[0] if arguments else "the file"
    return ", ".join(str(one) for one in first) if isinstance(first, list | tuple) else str(first)


def _describe_crash(outcome: subprocess.CompletedProcess[bytes]) -> str:
    if outcome.returncode < 0:
        return signal.Signals(-outcome.returncode).name
    last = outcome.stderr.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
    return last[:200] or f"exit code {outcome.returncode}"
