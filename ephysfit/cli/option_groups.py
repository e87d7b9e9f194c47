"""Groups of options: a verb takes a few dataclasses, and the command line an option for each of their fields."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_type_hints


def spread_groups(verb: Callable[..., None]) -> Callable[..., None]:
    """Make a command whose parameters are those of a verb, with the fields of its dataclasses in their place.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Numerics:
    ...     dt: float = 0.1
    ...     seed: int = 0
    >>> def run(file: str, numerics: Numerics) -> None:
    ...     print(file, numerics)
    >>> list(inspect.signature(spread_groups(run)).parameters)
    ['file', 'dt', 'seed']
    >>> spread_groups(run)(file="a.abf", dt=0.5, seed=1)
    a.abf Numerics(dt=0.5, seed=1)
    """
    hints = get_type_hints(verb, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(verb).parameters.items():
        if name in groups:
            parameters += _list_parameters(groups[name])
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))

    @functools.wraps(verb)
    def command(**given: Any) -> None:
        made = {name: kind(**{f.name: given.pop(f.name) for f in fields(kind)}) for name, kind in groups.items()}
        verb(**made, **given)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def _list_parameters(group: Any) -> list[inspect.Parameter]:
    """Fields of a dataclass as parameters."""
    hints = get_type_hints(group, include_extras=True)
    defaults = {f.name: inspect.Parameter.empty if f.default is MISSING else f.default for f in fields(group)}
    return [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name])
        for name, default in defaults.items()
    ]
