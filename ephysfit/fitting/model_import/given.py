"""The values of another program's model: each is taken by name, and what is left over is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ephysfit.errors import NeuronError, near


class Given:
    """The values of a model, of which each is taken once.

    Parameters
    ----------
    values : mapping
        Values by their names in the other program.
    model : str
        What they are of, for errors.
    defaults : mapping
        The other program's values of what is not given.

    Examples
    --------
    >>> given = Given({"C_m": 100.0, "tau_M": 5.0}, "iaf_psc_exp of NEST", {"tau_m": 10.0})
    >>> given.take("C_m"), given.take("tau_m"), given.list_defaults()
    (100.0, 10.0, ['not given, so the default of iaf_psc_exp of NEST: tau_m = 10'])
    >>> given.finish()
    Traceback (most recent call last):
    ...
    ephysfit.errors.NeuronError: iaf_psc_exp of NEST: 'tau_M' is no value that ephysfit knows of it; did you mean ...
    """

    def __init__(self, values: Mapping[str, Any], model: str, defaults: Mapping[str, Any] | None = None) -> None:
        self.values = {str(name): make_plain(value) for name, value in values.items()}
        self.model, self.defaults = model, dict(defaults or {})
        self.taken: set[str] = set()
        self.notes: list[str] = []
        self.assumed: dict[str, Any] = {}

    def find(self, name: str) -> Any:
        """A value of any kind, or its default."""
        self.taken.add(name)
        if name in self.values:
            return self.values[name]
        if name not in self.defaults:
            raise NeuronError(f"{self.model}: {name!r} is missing, and it has no default; add it")
        self.assumed[name] = self.defaults[name]
        return self.defaults[name]

    def take(self, name: str, scale: float = 1.0) -> float:
        """A number, times the scale that brings it into our units."""
        return self._check(name, self.find(name)) * scale

    def take_list(self, name: str, scale: float = 1.0) -> tuple[float, ...]:
        """A list of numbers, times the scale that brings them into our units; a number is a list of one."""
        value = self.find(name)
        items = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        return tuple(self._check(name, item) * scale for item in items)

    def take_part(self, name: str) -> Given:
        """A mapping within, whose values are taken one by one too."""
        value = self.find(name)
        if not isinstance(value, Mapping):
            raise NeuronError(f"{self.model}: {name} = {_show(value)} must hold values by name")
        return Given(value, f"{self.model}, {name}")

    def require(self, name: str, wanted: float, reason: str) -> None:
        """Refuse a value, where it is given, that is another than the one that our neurons have."""
        self.taken.add(name)
        for item in self.take_list(name) if name in self.values else ():
            if not math.isclose(item, wanted, rel_tol=1e-9, abs_tol=1e-12):
                raise NeuronError(f"{self.model}: {name} = {item:g} must be {wanted:g}: {reason}")

    def skip(self, *names: str) -> list[str]:
        """Leave out values that no spike depends on; return which of them are given."""
        self.taken.update(names)
        return [name for name in names if name in self.values]

    def finish(self) -> None:
        """Refuse what is left over."""
        for name in self.values:
            if name not in self.taken:
                raise NeuronError(
                    f"{self.model}: {name!r} is no value that ephysfit knows of it; {near(name, sorted(self.taken))} "
                    "If no spike depends on it, remove it"
                )

    def list_defaults(self) -> list[str]:
        """Say which values were not given; empty where all were."""
        said = ", ".join(f"{name} = {_show(value)}" for name, value in self.assumed.items())
        return [f"not given, so the default of {self.model}: {said}"] if said else []

    def refuse(self, name: str, value: object, rule: str) -> NeuronError:
        """Make the error about a value."""
        return NeuronError(f"{self.model}: {name} = {_show(value)} {rule}")

    def _check(self, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise NeuronError(f"{self.model}: {name} = {_show(value)} must be a finite number")
        return float(value)


def make_plain(value: Any) -> Any:
    """Values of numpy as plain numbers and lists."""
    return value.tolist() if hasattr(value, "tolist") else value


def _show(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
