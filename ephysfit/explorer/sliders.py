"""Describe the sliders of a neuron from its declaration: name, unit, bounds, axis and meaning; banks are groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ephysfit.neuron.declare import Neuron, flat_names, scalar_values, unflatten
from ephysfit.neuron.functions import Bank


def describe_sliders(neuron: Neuron) -> list[dict[str, Any]]:
    """Describe the sliders, one group per declared parameter with its scalars.

    Parameters
    ----------
    neuron : Neuron

    Returns
    -------
    list of dict

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> g = describe_sliders(LIF.start())[0]
    >>> g["name"], g["unit"], g["log"], [k["name"] for k in g["sliders"]]
    ('C', 'pF', True, ['C'])
    """
    values = scalar_values(neuron)
    out = []
    for name, p in type(neuron).parameters.items():
        sliders = [{"name": flat, "value": values[flat]} for flat in flat_names({name: p})]
        out.append(
            {"name": name, "unit": p.unit, "low": p.low, "high": p.high, "log": p.logarithmic, "doc": p.doc,
             "measured": bool(p.measured), "sliders": sliders}
        )  # fmt: skip
    return out


def change_parameters(neuron: Neuron, changes: Mapping[str, Any]) -> Neuron:
    """Change some scalars by flat name; values beyond a bound are set to it.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> change_parameters(LIF.start(), {"C": 1e9, "nonsense": 3.0}).C == LIF.parameters["C"].high
    True
    """
    kind = type(neuron)
    values = scalar_values(neuron)
    for name, p in kind.parameters.items():
        for flat in flat_names({name: p}):
            if isinstance(changes.get(flat), int | float) and changes[flat] == changes[flat]:
                values[flat] = min(max(float(changes[flat]), p.low), p.high)
    return kind(**unflatten(kind.parameters, values))


def start_sharing_parameters(neuron: Neuron, kind: type[Neuron]) -> Neuron:
    """Start another neuron with the values of what means the same in both, whatever the letters.

    Parameters mean the same if they have one `Role`; or, where neither has a role, if name, unit, size and declared
    meaning are equal. Values beyond the bounds of the other neuron are left.

    Examples
    --------
    >>> from ephysfit.models import GLIF4, LIF
    >>> start_sharing_parameters(LIF.start().replace(C=77.0), GLIF4).C
    77.0
    """
    shared = {}
    for name, p in kind.parameters.items():
        own = _find_same(type(neuron), kind, name)
        if own is not None and (q := type(neuron).parameters[own]).size == p.size and q.unit == p.unit:
            shared[name] = getattr(neuron, own)
    inside = {n: v for n, v in shared.items() if _lies_within(v, kind.parameters[n].low, kind.parameters[n].high)}
    return kind.start().replace(**inside)


def _find_same(old: type[Neuron], new: type[Neuron], name: str) -> str | None:
    """The parameter of one neuron that means what `name` means in another; None where it has none."""
    role = next((r for r, n in new.roles.items() if n == name), None)
    if role is not None:
        return old.free_name_of(role)
    same = old.parameters.get(name)
    if same is None or same.doc != new.parameters[name].doc or name in old.roles.values():
        return None
    return name


def _lies_within(value: Any, low: float, high: float) -> bool:
    return all(low <= float(v) <= high for v in (value if isinstance(value, Bank) else (value,)))
