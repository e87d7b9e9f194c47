"""The unit in which potentials of a fit are shown: mV where a voltage fixes the scale, else what spikes do determine.

Spikes alone leave open where a neuron's potentials lie and how large they are: with all of them shifted, or stretched
about rest and conductances and capacitance with them, the neuron fires the same spikes. Numbers called mV would then
be read as measurements, which they are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ephysfit.neuron.roles import Role
from ephysfit.units import DIMENSIONS, find_dimension

#: units of potential where the scale is open: the distance from rest to threshold, the softness of the threshold
RHEOBASE, SOFTNESS = "θ", "Δ"
MEANINGS = {
    "mV": "",
    RHEOBASE: "potentials are in units of the distance from rest to threshold (θ), counted from rest, so that a leak "
    "conductance in pA/θ is the rheobase of the leak in pA",
    SOFTNESS: "potentials are in units of the softness of the threshold (Δ), over which the rate grows e-fold",
}


@dataclass(frozen=True)
class PotentialUnit:
    """A unit of potential.

    Attributes
    ----------
    name : str
        "mV", "θ" or "Δ".
    size : float
        Its size on the axis of the neuron's parameters.
    origin : float
        Where it counts from, on the same axis.

    Examples
    --------
    >>> unit = PotentialUnit("θ", 20.0, -65.0)
    >>> unit.rename("nS"), unit.rename("pF"), unit.rename("ms")
    ('pA/θ', 'ms pA/θ', 'ms')
    >>> unit.convert(5.0, "nS"), unit.convert(-55.0, "mV", place=True)
    (100.0, 0.5)
    """

    name: str = "mV"
    size: float = 1.0
    origin: float = 0.0

    @property
    def meaning(self) -> str:
        """What the unit is, in a clause; "" for mV."""
        return MEANINGS[self.name]

    def rename(self, unit: str) -> str:
        """A unit of a declaration with this one in the place of mV."""
        powers = find_dimension(unit)
        if self.name == "mV" or not powers[1]:
            return unit
        parts = list(zip(("ms", self.name, "pA"), powers, strict=True))
        above = [_raise(u, p) for u, p in parts if p > 0]
        below = [_raise(u, -p) for u, p in parts if p < 0]
        return " ".join(above or ["1"]) + "".join(f"/{u}" for u in below)

    def convert(self, value: float, unit: str, place: bool = False) -> float:
        """A value in the unit of a declaration, with this one in the place of mV; places count from the origin."""
        if self.name == "mV":
            return value
        return float((value - self.origin if place else value) / self.size ** find_dimension(unit)[1])

    def restore(self, value: float, unit: str, place: bool = False) -> float:
        """The value that `convert` was given.

        Examples
        --------
        >>> unit = PotentialUnit("θ", 20.0, -65.0)
        >>> unit.restore(unit.convert(-55.0, "mV", place=True), "mV", place=True)
        -55.0
        """
        if self.name == "mV":
            return value
        stretched = value * self.size ** find_dimension(unit)[1]
        return float(stretched + self.origin if place else stretched)


def _raise(unit: str, power: int) -> str:
    return unit if power == 1 else f"{unit}^{power}"


def find_potential_unit(cell: Any, fixed: bool) -> PotentialUnit:
    """Find the unit in which the potentials of a fitted cell are shown.

    Parameters
    ----------
    cell : Neuron
    fixed : bool
        Whether a voltage fixed the scale, or nothing was fitted.

    Examples
    --------
    >>> from ephysfit.models import AIGIF, ALIF
    >>> find_potential_unit(AIGIF.start(), True).name, find_potential_unit(ALIF.start(), False).name
    ('Δ', 'θ')
    """
    kind = type(cell)
    if has_own_scale(kind):
        return PotentialUnit(SOFTNESS, float(cell.value_of(Role.SOFTNESS)))
    if fixed or _has_fixed_potentials(kind):
        return PotentialUnit()
    rest, threshold, softness = (cell.value_of(role) for role in (Role.REST, Role.THRESHOLD, Role.SOFTNESS))
    if rest is not None and threshold is not None and threshold > rest:
        return PotentialUnit(RHEOBASE, float(threshold - rest), float(rest))
    if softness is not None:
        return PotentialUnit(SOFTNESS, float(softness), float(rest or 0.0))
    return PotentialUnit()


def has_own_scale(kind: Any) -> bool:
    """Whether a neuron (a class) counts potentials in the softness of its threshold: it has no resting potential, and
    its softness is pinned.

    Examples
    --------
    >>> from ephysfit.models import ALIF, BankGIF
    >>> has_own_scale(BankGIF), has_own_scale(ALIF)
    (True, False)
    """
    softness = kind.name_of(Role.SOFTNESS)
    return kind.name_of(Role.REST) is None and softness is not None and softness in kind.pinned


def name_unit(kind: Any, unit: str) -> str:
    """A unit of a declaration as it is shown for a neuron (a class): Δ in the place of mV where it counts in Δ.

    Examples
    --------
    >>> from ephysfit.models import AIGIF, ALIF
    >>> name_unit(AIGIF, "1/mV"), name_unit(ALIF, "1/mV")
    ('1/Δ', '1/mV')
    """
    return PotentialUnit(SOFTNESS).rename(unit) if has_own_scale(kind) else unit


def _has_fixed_potentials(kind: Any) -> bool:
    """Whether a neuron has constants in mV other than its softness, which fix the scale whatever the spikes say."""
    owner, pinned = kind, dict(kind.pinned)
    while owner.base is not None:
        owner = owner.base
    softness = kind.name_of(Role.SOFTNESS)
    units = {name: p.unit for name, p in owner.parameters.items()}
    numbers: dict[str, Sequence[float]] = {
        n: v if isinstance(v, Sequence) else (v,) for n, v in pinned.items() if isinstance(v, int | float | Sequence)
    }
    return any(
        find_dimension(units[n])[1] and n != softness and any(values)
        for n, values in numbers.items() if n in units and units[n] in DIMENSIONS
    )  # fmt: skip
