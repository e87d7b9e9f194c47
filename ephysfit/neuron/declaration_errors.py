"""Explanations of what goes wrong when equations written by hand are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ephysfit.errors import NeuronError, SimulationError, near
from ephysfit.neuron.declare import Neuron

#: what an equation written by hand may raise when it is evaluated
BREAKS = (TypeError, ValueError, LookupError, AttributeError, NameError, ArithmeticError, RuntimeError)


def explain_error(error: Exception) -> str:
    """The error of an equation, with the way out where it is one of the usual ones.

    Examples
    --------
    >>> explain_error(TypeError("must be real number, not Symbol"))
    'an equation calls a function that only takes numbers; use those of ephysfit.neuron.functions (must be real ...)'
    """
    text = str(error)
    if "truth value of Relational" in text:
        return "an equation branches (if, max, min, abs) on a state or parameter; write it as arithmetic, e.g. softplus"
    if any(sign in text for sign in ("loop of ufunc does not support", "must be real number", "expression to float")):
        return f"an equation calls a function that only takes numbers; use those of ephysfit.neuron.functions ({text})"
    if isinstance(error, NotImplementedError):
        return f"{text}, and a neuron needs it"
    return text if isinstance(error, NeuronError | SimulationError) else f"{type(error).__name__}: {text}"


def refuse_undeclared(neuron: type[Neuron], equation: str, given: Any) -> None:
    """Refuse what `flow` or `jump` returns unless it is a dict of declared states.

    Raises
    ------
    NeuronError
    """
    if not isinstance(given, Mapping):
        raise NeuronError(f"{equation} returns {type(given).__name__}; it must return a dict of states")
    for name in given:
        if name not in neuron.states:
            raise NeuronError(
                f"{equation} returns {name!r}, which is not a declared state; {near(name, neuron.states)}"
            )
