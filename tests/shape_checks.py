"""Checks of the axes that annotations name, for a run of tests with EPHYSFIT_CHECK_SHAPES=1.

Every function of ephysfit whose annotations name axes is wrapped as it is imported: jaxtyping binds the names of axes
within a call, beartype compares. Annotations without axes are the type checker's work and are left alone.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable

from beartype import beartype
from jaxtyping import install_import_hook

VARIABLE = "EPHYSFIT_CHECK_SHAPES"
AXES = re.compile(r"\b(Float64|Float32|Float|Bool|Int64|Int|Num|Real)\[|\b(Train|Trains|Trace)\b")

#: functions with annotations that name axes, wrapped so far
CHECKED: list[str] = []


def check_axes(function: Callable) -> Callable:
    """The function, with its arguments and its result held to the axes that their annotations name."""
    named = {k: v for k, v in function.__annotations__.items() if AXES.search(v if isinstance(v, str) else repr(v))}
    if not named or _is_compiled(function):
        return function
    function.__annotations__ = named
    CHECKED.append(f"{function.__module__}.{function.__qualname__}")
    return beartype(function)


def _is_compiled(function: Callable) -> bool:
    """Whether numba compiles it: a wrapped function it could not read."""
    try:
        above, _, _ = inspect.getsource(function).partition("def ")
    except OSError:
        return False
    return "@compiled" in above or "njit" in above


def begin() -> None:
    """Check from here on what is imported, if this run is to."""
    if os.environ.get(VARIABLE):
        install_import_hook("ephysfit", "shape_checks.check_axes")
