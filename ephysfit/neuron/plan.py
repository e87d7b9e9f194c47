"""What a run reads of a neuron class: names, and formulas as text; kept on disk, so a warm start needs no sympy."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from ephysfit.neuron.declaration_cache import remembered_on_disk
from ephysfit.neuron.declare import Neuron


@dataclass(frozen=True)
class Plan:
    """A neuron's discrete step without its symbols.

    Attributes
    ----------
    states, parameters, inputs, coefs : tuple of str
        Flat names in the order of arrays (live states, free parameters).
    held : tuple of str
        States that stay put while refractory.
    affine : bool
    resets : tuple of str
        States that a spike changes.
    moving : tuple of str
        Parameters that the flow names.
    entries : tuple of (coefficient, operator, row, column)
        Coefficients read from `affine.operators`; they come first in `coefs`.
    gathered : tuple of (coefficient, names of parameters it reads)
    values : str
        Formula (`evaluate.of_tensors`) of the gathered coefficients, of the parameters and the time step.
    places : tuple of (matrix, row, column)
        For an affine neuron: where its continuous matrices are not zero.
    matrices : str
        Formula of the entries at `places`, of the parameters; empty if the neuron is not affine.
    """

    states: tuple[str, ...]
    parameters: tuple[str, ...]
    inputs: tuple[str, ...]
    coefs: tuple[str, ...]
    held: tuple[str, ...]
    affine: bool
    resets: tuple[str, ...]
    moving: tuple[str, ...]
    entries: tuple[tuple[str, str, int, int], ...]
    gathered: tuple[tuple[str, tuple[str, ...]], ...]
    values: str
    places: tuple[tuple[str, int, int], ...]
    matrices: str


@cache
def plan(neuron: type[Neuron]) -> Plan:
    """The plan of a neuron class.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> plan(LIF).states, plan(LIF).affine
    (('V',), True)
    """
    return Plan(*_plan(neuron))


@remembered_on_disk
def _plan(neuron: type[Neuron]) -> tuple[Any, ...]:
    # sympy, which takes half a second to import, is only needed for a plan that is not on disk yet
    from ephysfit.neuron.planning import read

    made = read(neuron)
    return tuple(made[f.name] for f in fields(Plan))
