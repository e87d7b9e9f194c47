"""The nested ladder as data: which pins of the richer neuron make the simpler one.

Model selection and likelihood-ratio tests read it; a test checks that every rung's equations agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ephysfit.errors import NeuronError, near
from ephysfit.models.adex import EIF, AdEx
from ephysfit.models.adlif import AdLIF
from ephysfit.models.afterspike import LIFASC
from ephysfit.models.aigif import AIGIF, BankGIF, BankIGIF
from ephysfit.models.alif import ALIF, MultiALIF
from ephysfit.models.autaptic import STCLIF, AutapticLIF, SpatialSTC
from ephysfit.models.gif import AGIF, GIF, IGIF, SCALES, FreeAGIF, FreeGIF, FreeIGIF
from ephysfit.models.glif import GLIF1, GLIF2, GLIF3, GLIF4, GLIF5
from ephysfit.models.izhikevich import Izhikevich, Izhikevich2003
from ephysfit.models.lif import LIF, SoftLIF
from ephysfit.models.mat import MAT, MATV
from ephysfit.models.refractory import RefractoryCurrentLIF, RefractoryLIF
from ephysfit.models.resonate import ResetPRF, ResonantLIF
from ephysfit.neuron.declare import Neuron, flat_names
from ephysfit.neuron.functions import Bank, elements


@dataclass(frozen=True)
class Rung:
    """One step of the ladder.

    Attributes
    ----------
    simple, rich : type[Neuron]
    pins : mapping
        Parameters of `rich` and the values at which it is `simple`. Some are fixed only because the term they shape is
        off (the time constant of a term that is zero).
    """

    simple: type[Neuron]
    rich: type[Neuron]
    pins: Mapping[str, Any]

    @property
    def freedoms(self) -> int:
        """How many more numbers `rich` has than `simple`: degrees of freedom of a likelihood-ratio test."""
        return len(list(flat_names(self.rich.parameters))) - len(list(flat_names(self.simple.parameters)))

    def model(self) -> type[Neuron]:
        """`rich` pinned down to `simple`."""
        return self.rich.pin(self.simple.__name__, **self.pins)

    def lift(self, cell: Neuron, away: float = 0.0) -> Neuron:
        """A cell of the simple neuron as one of the rich neuron: what a fit of the richer one may start from.

        Parameters
        ----------
        cell : Neuron
            An instance of `simple`.
        away : float
            How far the pinned parameters go from the pins towards the rich neuron's declared start, 0 to 1. At 0 both
            neurons are the same; but a term that is off at a bound (a conductance of zero) has next to no gradient
            there, so that a fit needs it switched on a little.

        Examples
        --------
        >>> lifted = rung(LIF, ALIF).lift(LIF.start().replace(C=80.0), away=0.5)
        >>> lifted.C, lifted.d_theta, lifted.tau_a
        (80.0, 2.5, 100.0)
        """
        if not isinstance(cell, self.simple):
            raise NeuronError(f"{type(cell).__name__} is not {self.simple.__name__}, the simple neuron of this rung")
        declared = self.rich.start()
        values = cell.values()
        for name, pin in self.pins.items():
            ends = list(elements(getattr(declared, name)))
            at = list(elements(pin(cell) if callable(pin) else Bank(pin) if isinstance(pin, tuple) else pin))
            moved = [a + away * (b - a) for a, b in zip(at, ends, strict=True)]
            values[name] = tuple(moved) if len(moved) > 1 else moved[0]
        return self.rich(**{n: values[n] for n in self.rich.parameters})


def _between(simple: type[Neuron], rich: type[Neuron]) -> Rung:
    """The rung between two pins of one declaration."""
    return Rung(simple, rich, {k: v for k, v in simple.pinned.items() if k not in rich.pinned})


@cache
def ladder() -> tuple[Rung, ...]:
    """All rungs, simpler neurons first within a family.

    Examples
    --------
    >>> rung = ladder()[0]
    >>> rung.simple.__name__, rung.rich.__name__, dict(rung.pins), rung.freedoms
    ('LIF', 'ALIF', {'d_theta': 0.0, 'tau_a': 100.0}, 2)
    """
    none = (0.0,) * len(SCALES)
    channel = {"V_m": -30.0, "s_m": 8.0, "V_h": -60.0, "s_h": 6.0, "tau_h": 45.0, "E_K": -100.0}
    follow = {"k_i": 4.0, "V_i": -55.0, "tau_theta": 10.0}
    return (
        Rung(LIF, ALIF, {"d_theta": 0.0, "tau_a": 100.0}),
        Rung(LIF, MultiALIF, {"d_theta": (0.0,) * 3, "tau_a": (10.0, 80.0, 600.0)}),
        Rung(LIF, AdLIF, {"a": 0.0, "b": 0.0, "tau_w": 100.0}),
        Rung(LIF, LIFASC, {"b": (0.0, 0.0), "tau_b": (10.0, 100.0)}),
        Rung(LIF, AutapticLIF, {"W_b": 0.0, "tau_y": 8.0}),
        _between(AutapticLIF, STCLIF),
        Rung(STCLIF, SpatialSTC, {"J_1": 0.0, "W_1": 0.0, "tau_s": 8.0}),
        Rung(SoftLIF, RefractoryLIF, {"U": 0.0, "tau_R": 15.0}),
        Rung(SoftLIF, RefractoryCurrentLIF, {"J": 0.0, "tau_R": 15.0}),
        _between(ResetPRF, ResonantLIF),
        _between(GLIF1, GLIF2),
        _between(GLIF1, GLIF3),
        _between(GLIF2, GLIF4),
        _between(GLIF3, GLIF4),
        _between(GLIF4, GLIF5),
        Rung(LIF, GIF, {"eta": none, "gamma": none}),
        _between(GIF, FreeGIF),
        Rung(GIF, AGIF, {"g_A": 0.0, **channel}),
        Rung(GIF, IGIF, {"k_a": 0.0, **follow}),
        _between(AGIF, FreeAGIF),
        _between(IGIF, FreeIGIF),
        Rung(FreeGIF, FreeAGIF, {"g_A": 0.0, **channel}),
        Rung(FreeGIF, FreeIGIF, {"k_a": 0.0, **follow}),
        _between(MAT, MATV),
        _between(EIF, AdEx),
        _between(Izhikevich2003, Izhikevich),
        _between(BankGIF, BankIGIF),
        _between(BankIGIF, AIGIF),
    )


def below(neuron: type[Neuron]) -> tuple[Rung, ...]:
    """Rungs that lead down from a neuron: the simpler neurons it contains.

    Examples
    --------
    >>> [r.simple.__name__ for r in below(GLIF4)]
    ['GLIF2', 'GLIF3']
    """
    return tuple(r for r in ladder() if r.rich is neuron)


def above(neuron: type[Neuron]) -> tuple[Rung, ...]:
    """Rungs that lead up from a neuron: the richer neurons that contain it."""
    return tuple(r for r in ladder() if r.simple is neuron)


def rung(simple: type[Neuron], rich: type[Neuron]) -> Rung:
    """The rung between two neurons.

    Raises
    ------
    NeuronError
        If the first is not nested in the second as far as the ladder knows.
    """
    for r in ladder():
        if r.simple is simple and r.rich is rich:
            return r
    known = [f"{r.simple.__name__} < {r.rich.__name__}" for r in ladder()]
    raise NeuronError(f"no rung {simple.__name__} < {rich.__name__}; {near(f'{simple.__name__} < ', known)}")
