"""Describe the sliders of a neuron from its declaration: name, unit, bounds, axis and meaning; banks are groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ephysfit.neuron.declare import Neuron, flat_names, scalar_values, unflatten
from ephysfit.neuron.functions import Bank
from ephysfit.neuron.potential_unit import PotentialUnit

MV = PotentialUnit()


def describe_sliders(neuron: Neuron, scale: PotentialUnit = MV) -> list[dict[str, Any]]:
    """Describe the sliders, one group per declared parameter with its scalars.

    Parameters
    ----------
    neuron : Neuron
    scale : PotentialUnit
        Unit of potential in which values and bounds are given.

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
    values = show_values(neuron, scale)
    places, out = type(neuron).places(), []
    for name, p in type(neuron).parameters.items():
        low, high = (scale.convert(end, p.unit, name in places) for end in (p.low, p.high))
        sliders = [{"name": flat, "value": values[flat]} for flat in flat_names({name: p})]
        out.append(
            {"name": name, "unit": scale.rename(p.unit), "low": low, "high": high, "log": p.logarithmic, "doc": p.doc,
             "measured": bool(p.measured), "sliders": sliders}
        )  # fmt: skip
    return out


def show_values(neuron: Neuron, scale: PotentialUnit = MV) -> dict[str, float]:
    """Scalar values of a neuron by flat name, as sliders show them."""
    values, places = scalar_values(neuron), type(neuron).places()
    return {
        flat: scale.convert(values[flat], p.unit, name in places)
        for name, p in type(neuron).parameters.items()
        for flat in flat_names({name: p})
    }


def change_parameters(neuron: Neuron, changes: Mapping[str, Any], scale: PotentialUnit = MV) -> Neuron:
    """Change some scalars by flat name; values beyond a bound are set to it.

    Parameters
    ----------
    neuron : Neuron
    changes : mapping
    scale : PotentialUnit
        Unit of potential in which the changes are given.

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
                changed = scale.restore(float(changes[flat]), p.unit, name in kind.places())
                values[flat] = min(max(changed, p.low), p.high)
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
