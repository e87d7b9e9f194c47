"""Checks of the axes that annotations name, for a run of tests with EPHYSFIT_CHECK_SHAPES=1.

All of ephysfit is imported, and every Python function whose annotations name axes is replaced, wherever it is known, by
one that jaxtyping and beartype hold to them: axes of one name have one length within a call. Annotations without axes
are the type checker's work; compiled functions are left alone, because numba could not read a wrapper.
"""

from __future__ import annotations

import os
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

from beartype import beartype
from jaxtyping import jaxtyped

import ephysfit

VARIABLE = "EPHYSFIT_CHECK_SHAPES"
AXES = re.compile(r"\b(Float64|Float32|Float|Bool|Int64|Int|Num|Real)\[|\b(Train|Trains|Trace)\b")

#: functions that are held to the axes they name
CHECKED: list[str] = []


def check_axes(function: FunctionType) -> Callable:
    """The function, with its arguments and its result held to the axes that their annotations name."""
    named = {k: v for k, v in function.__annotations__.items() if AXES.search(v if isinstance(v, str) else repr(v))}
    if not named or function.__name__ == "__init__":  # a record converts what it is given
        return function
    function.__annotations__ = named
    CHECKED.append(f"{function.__module__}.{function.__qualname__}")
    return jaxtyped(typechecker=beartype)(function)


def modules() -> Iterator[ModuleType]:
    """All modules of the package that can be imported here."""
    for found in pkgutil.walk_packages(ephysfit.__path__, "ephysfit."):
        if not found.name.endswith("__main__"):
            try:
                yield import_module(found.name)
            except ImportError:  # one of an extra that is not installed
                continue


def check_package() -> None:
    """Put checked functions in the place of the plain ones, in every module and class that holds them."""
    wrapped: dict[int, Any] = {}
    plain: list[Any] = []  # keeps what was replaced alive, so that no address is used twice

    def checked(value: Any) -> Any:
        inner = value.__func__ if isinstance(value, staticmethod | classmethod) else value
        if not isinstance(inner, FunctionType) or not (inner.__module__ or "").startswith("ephysfit"):
            return value
        if id(inner) not in wrapped:
            plain.append(inner)
            wrapped[id(inner)] = check_axes(inner)
        new = wrapped[id(inner)]
        return value if new is inner else type(value)(new) if inner is not value else new

    held = [m for m in modules() if m.__name__ in sys.modules]
    spaces: list[Any] = [*held]
    spaces += [c for m in held for c in vars(m).values() if isinstance(c, type) and c.__module__ == m.__name__]
    for space in spaces:
        for name, value in list(vars(space).items()):
            new = checked(value)
            if new is not value:
                setattr(space, name, new)


def begin() -> None:
    """Check this run's calls, if it is to."""
    if os.environ.get(VARIABLE):
        check_package()
