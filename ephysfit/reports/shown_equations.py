"""The equations of a neuron as a page shows them; kept on disk, so that a second report needs no sympy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ephysfit.neuron.declaration_cache import remembered_on_disk
from ephysfit.neuron.declare import Neuron


@dataclass(frozen=True)
class ShownEquations:
    """The equations of a neuron class with pinned values substituted.

    Attributes
    ----------
    lines : tuple of (role, MathML)
        From `equations.write_equations`.
    states : tuple of str
        States that remain in them.
    distance : str
        Symbol of the distance to threshold.
    """

    lines: tuple[tuple[str, str], ...]
    states: tuple[str, ...]
    distance: str


@cache
def show_equations(neuron: type[Neuron]) -> ShownEquations:
    """Show the equations of a neuron class.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> found = show_equations(LIF)
    >>> [what for what, _ in found.lines], found.states, found.distance
    (['between spikes', 'spike', 'at a spike', 'noise'], ('V',), 'u')
    """
    return ShownEquations(*_write(neuron))


@remembered_on_disk
def _write(neuron: type[Neuron]) -> tuple[list[tuple[str, str]], list[str], str]:
    # sympy, which takes half a second to import, is only needed for equations that are not on disk yet
    from ephysfit.reports.equations import find_live_states, margin_symbol, write_equations

    return write_equations(neuron), find_live_states(neuron), margin_symbol(neuron)
