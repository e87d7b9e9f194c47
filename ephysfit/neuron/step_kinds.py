"""What engines ask of a neuron before they step it: whether it is affine, and how many steps it is refractory."""

from __future__ import annotations

import numpy as np

from ephysfit.arrays import Int64, Integers
from ephysfit.errors import NotAffineError
from ephysfit.neuron.declare import Neuron, cellwise
from ephysfit.neuron.plan import plan


def is_affine(neuron: type[Neuron]) -> bool:
    """Whether flow, margin and jump are affine in the states and the input."""
    return plan(neuron).affine


def refuse_unless_affine(neuron: type[Neuron], engine: str) -> None:
    """Raise NotAffineError with the way out."""
    if not is_affine(neuron):
        raise NotAffineError(
            f"{neuron.__name__} is not affine in its states and input, which engine {engine!r} needs; "
            f"use engine='sequential' or 'compiled', which step any neuron"
        )


def refractory_steps(neuron: Neuron, dt: float) -> Int64[Integers, " cell"]:
    """Refractory period in whole steps, one per cell; 0 for a neuron without one.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> refractory_steps(LIF.start().replace(t_ref=2.2), 0.5).tolist()
    [4]
    """
    period = neuron.refractory_ms
    given = period.detach().cpu() if hasattr(period, "detach") else period
    steps = np.rint(np.asarray(given, dtype=np.float64) / dt).astype(np.int64).reshape(-1)
    return np.array(np.broadcast_to(steps, cellwise(neuron)))
