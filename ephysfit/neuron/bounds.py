"""Checks of an instance against its declared bounds: impossible values are refused, unusual ones cause a warning.

A constructor accepts any value, because the equations are also read with symbols and dimensions, and published neurons
have units of their own. What runs a cell checks it here first.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from math import isfinite
from typing import Any

from ephysfit.errors import NeuronError
from ephysfit.neuron.declare import Neuron, Parameter, flat_names, flatten


def impossible(cell: Neuron) -> tuple[str, ...]:
    """Describe the values that are not finite, or whose sign the declared bounds rule out in any unit.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> impossible(LIF.start().replace(C=-5.0))
    ('LIF.C = -5 pF must be positive (membrane capacitance; declared for 5 to 2000 pF)',)
    """
    return tuple(
        f"{_where(cell, n, p, v)} {rule} ({_declared(p)})" for n, p, v in _values(cell) if (rule := _rule(p, v))
    )


def outside(cell: Neuron) -> tuple[str, ...]:
    """Describe the values outside their declared bounds.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> outside(LIF.start().replace(C=5000.0))
    ('LIF.C = 5000 pF lies above its bounds (membrane capacitance; declared for 5 to 2000 pF)',)
    """
    out = []
    for name, p, value in _values(cell):
        if not p.low - _rounding(p.low) <= value <= p.high + _rounding(p.high):
            side = "above" if value > p.high else "below" if value < p.low else "nowhere within"
            out.append(f"{_where(cell, name, p, value)} lies {side} its bounds ({_declared(p)})")
    return tuple(out)


def _rounding(bound: float) -> float:
    """By how much rounding may move a value that a fit put on this bound."""
    return 1e-9 * abs(bound)


def admit(cell: Neuron) -> None:
    """Check a cell before a run: refuse impossible values, warn of those that are merely outside their bounds.

    Raises
    ------
    NeuronError
        If a value is not finite or has an impossible sign.
    """
    wrong = impossible(cell)
    if wrong:
        raise NeuronError("; ".join(wrong) + "; correct it with .replace(...)")
    beyond = outside(cell)
    if beyond:
        warnings.warn("; ".join(beyond) + "; the cell runs, but no fit would return it", UserWarning, stacklevel=3)


def admit_start(cell: Neuron) -> None:
    """Check a cell that a fit starts from: a fit moves within the bounds, so a start outside them is refused.

    Raises
    ------
    NeuronError
        If a value lies outside its bounds.
    """
    beyond = outside(cell)
    if beyond:
        raise NeuronError("a fit cannot start there: " + "; ".join(beyond) + "; move it inside with .replace(...)")


def _values(cell: Neuron) -> Iterator[tuple[str, Parameter, float]]:
    """Flat name, declaration and value of every number of a cell; for tensors of many cells the least and largest."""
    kind = type(cell)
    flat = flatten(kind.parameters, cell.values())
    declared = {f: p for n, p in kind.parameters.items() for f in flat_names({n: p})}
    for name, value in flat.items():
        for number in sorted(set(_ends(value))):
            yield name, declared[name], number


def _ends(value: Any) -> tuple[float, ...]:
    if hasattr(value, "detach"):
        all_of_it = value.detach().reshape(-1)
        return (float(all_of_it.min()), float(all_of_it.max()))
    return (float(value),)


def _rule(p: Parameter, value: float) -> str:
    if not isfinite(value):
        return "must be a finite number"
    if p.low > 0 and value <= 0:
        return "must be positive"
    return "must not be negative" if p.low == 0 and value < 0 else ""


def _where(cell: Neuron, name: str, p: Parameter, value: float) -> str:
    return f"{type(cell).__name__}.{name} = {value:g}" + ("" if p.unit == "1" else f" {p.unit}")


def _declared(p: Parameter) -> str:
    return f"{p.doc or 'a parameter'}; declared for {p.low:g} to {p.high:g}" + ("" if p.unit == "1" else f" {p.unit}")
