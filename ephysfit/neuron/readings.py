"""Quantities that are read off a cell's parameters: what is known of a neuron whose parameters are not known singly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Reading(NamedTuple):
    """A function of one cell's parameters, analytic in them, so that its gradient is exact.

    Attributes
    ----------
    name : str
        The formula, in the letters of the neuron.
    unit, meaning : str
    read : callable
        The number, of a cell whose fields hold numbers, arrays or tensors.

    Examples
    --------
    >>> from ephysfit.models import LIF
    >>> tau = Reading("C/g", "ms", "membrane time constant", lambda cell: cell.C / cell.g)
    >>> tau.read(LIF.start())
    20.0
    """

    name: str
    unit: str
    meaning: str
    read: Callable[[Any], Any]
