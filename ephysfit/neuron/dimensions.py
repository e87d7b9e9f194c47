"""A neuron read as physical dimensions: every term of every equation must agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ephysfit.errors import UnitsError
from ephysfit.neuron.declare import Neuron, flat_names, flatten, pack_state, unflatten
from ephysfit.neuron.functions import Bank
from ephysfit.units import find_dimension, name_dimension


@dataclass(frozen=True)
class Dimension:
    """Powers of (ms, mV, pA) of a term, with the text of the term for messages."""

    powers: tuple[int, int, int]
    what: str = ""

    def _require_same(self, other: Any, sign: str) -> Any:
        if isinstance(other, Bank):
            return NotImplemented
        if isinstance(other, (int, float)):
            if other == 0:
                return self
            other = Dimension((0, 0, 0), repr(other))
        if self.powers != other.powers:
            raise UnitsError(
                f"{self.what} {sign} {other.what}: {name_dimension(self.powers)} {sign} {name_dimension(other.powers)}"
            )
        return Dimension(self.powers, f"({self.what} {sign} {other.what})")

    def __add__(self, o: Any) -> Any:
        return self._require_same(o, "+")

    def __sub__(self, o: Any) -> Any:
        return self._require_same(o, "-")

    __radd__ = __add__

    def __rsub__(self, o: Any) -> Any:
        return self._require_same(o, "-")

    def __neg__(self) -> Dimension:
        return self

    def __mul__(self, o: Any) -> Any:
        if isinstance(o, Bank):
            return NotImplemented
        if not isinstance(o, Dimension):
            return self
        return Dimension(_add_powers(self.powers, o.powers, 1), f"{self.what}*{o.what}")

    __rmul__ = __mul__

    def __truediv__(self, o: Any) -> Any:
        if isinstance(o, Bank):
            return NotImplemented
        if not isinstance(o, Dimension):
            return self
        return Dimension(_add_powers(self.powers, o.powers, -1), f"{self.what}/{o.what}")

    def __rtruediv__(self, o: Any) -> Dimension:
        return Dimension(_add_powers((0, 0, 0), self.powers, -1), f"{o}/{self.what}")

    def __pow__(self, n: int) -> Dimension:
        a, b, c = self.powers
        return Dimension((a * n, b * n, c * n), f"{self.what}^{n}")

    def through(self, function: str) -> Dimension:
        """The dimension of a function of this term; every function but sqrt needs a pure number."""
        if function == "sqrt":
            a, b, c = self.powers
            return Dimension((a // 2, b // 2, c // 2), f"sqrt({self.what})")
        if self.powers != (0, 0, 0):
            raise UnitsError(
                f"{function}({self.what}): {name_dimension(self.powers)}, but {function} takes a pure number"
            )
        return Dimension((0, 0, 0), f"{function}({self.what})")


def _add_powers(a: tuple[int, int, int], b: tuple[int, int, int], sign: int) -> tuple[int, int, int]:
    return (a[0] + sign * b[0], a[1] + sign * b[1], a[2] + sign * b[2])


def _read_dimensions(declared: Any) -> dict[str, Dimension]:
    return {n: Dimension(find_dimension(item.unit), n) for k, item in declared.items() for n in flat_names({k: item})}


def check_units(neuron: type[Neuron]) -> None:
    """Raise UnitsError unless every term of flow, margin, jump and hazard has the right unit.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> check_units(LIF)
    """
    root = neuron
    while root.base is not None:  # pinned values carry no unit: check the declaration they come from
        root = root.base
    cell = root(**unflatten(root.parameters, _read_dimensions(root.parameters)))
    states = _read_dimensions(root.states)
    x = pack_state(root, states)
    drive = [Dimension(find_dimension(i.unit), n) for n, i in root.inputs.items()]
    _check_flow(root, states, cell.flow(x, *drive))
    _check_jump(root, states, cell.jump(x))
    margin = cell.margin(x)
    _require_unit(margin, "mV", f"{root.__name__}.margin")
    if root.stochastic():
        rate = cell.hazard(Dimension(find_dimension("mV"), "u"))
        if rate.powers != (0, 0, 0):  # a pure number counts as "per ms"
            _require_unit(rate, "1/ms", f"{root.__name__}.hazard")


def _check_flow(neuron: type[Neuron], states: dict[str, Dimension], flow: dict[str, Any]) -> None:
    for n, rate in flatten({k: neuron.states[k] for k in flow}, flow).items():
        want = _add_powers(states[n].powers, (1, 0, 0), -1)
        if isinstance(rate, Dimension) and rate.powers != want:
            raise UnitsError(
                f"{neuron.__name__}.flow: d{n}/dt has unit {name_dimension(rate.powers)}; it must be "
                f"{name_dimension(want)}"
            )


def _check_jump(neuron: type[Neuron], states: dict[str, Dimension], jump: dict[str, Any]) -> None:
    for n, new in flatten({k: neuron.states[k] for k in jump}, jump).items():
        if isinstance(new, Dimension) and new.powers != states[n].powers:
            raise UnitsError(
                f"{neuron.__name__}.jump: {n} becomes {name_dimension(new.powers)}, but it is in "
                f"{name_dimension(states[n].powers)}"
            )


def _require_unit(value: Any, unit: str, where: str) -> None:
    if isinstance(value, Dimension) and value.powers != find_dimension(unit):
        raise UnitsError(f"{where} has unit {name_dimension(value.powers)}; it must be {unit}")
