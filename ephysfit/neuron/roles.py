"""What a parameter or state stands for, whatever letter a neuron gives it: what a fit can measure, convert and name.

The code outside `ephysfit.models` asks a neuron for a role, never for a letter, so that a neuron with letters of its
own gets estimates from the voltage, intervals, reports and exports as the catalogue does.
"""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """A meaning that code outside the equations needs; the value describes it.

    A parameter or state declares it: ``C_m = Parameter("pF", ..., role=Role.CAPACITANCE)``. Where nothing is declared,
    the letter most papers use (`CONVENTIONS`) gives it, if the unit fits.
    """

    POTENTIAL = "membrane potential"
    CAPACITANCE = "membrane capacitance"
    LEAK = "leak conductance"
    REST = "resting potential"
    THRESHOLD = "threshold at rest"
    THRESHOLD_RISE = "rise of the threshold at a spike"
    RESET = "potential after a spike"
    REFRACTORY = "absolute refractory period"
    SOFTNESS = "softness of the threshold"
    VOLTAGE_ADAPTATION = "coupling of the adaptation current to the voltage"

    @property
    def unit(self) -> str:
        """The unit that a parameter or state of this role has."""
        return _UNITS.get(self, "mV")


_UNITS = {Role.CAPACITANCE: "pF", Role.LEAK: "nS", Role.REFRACTORY: "ms", Role.VOLTAGE_ADAPTATION: "nS"}

#: states that have a role by their letter where none is declared
STATE_CONVENTIONS = {"V": Role.POTENTIAL}
#: parameters that have a role by their letter where none is declared
CONVENTIONS = {
    "C": Role.CAPACITANCE,
    "g": Role.LEAK,
    "E_L": Role.REST,
    "theta": Role.THRESHOLD,
    "d_theta": Role.THRESHOLD_RISE,
    "V_reset": Role.RESET,
    "t_ref": Role.REFRACTORY,
    "delta": Role.SOFTNESS,
    "a": Role.VOLTAGE_ADAPTATION,
}
#: parameters of these roles are places on the mV axis and move with its origin; the others are distances on it
PLACES = frozenset({Role.REST, Role.THRESHOLD, Role.RESET})
#: beginnings of names that mark a position on that axis where a parameter in mV declares neither a role nor a place
PLACE_NAMES = ("E_", "V_")
