"""A neuron's plan, read from its symbolic step."""

from __future__ import annotations

from typing import Any

import sympy

from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.formula import formula
from ephysfit.neuron.stepping import DT, step
from ephysfit.neuron.symbols import Equations, equations, symbol


def read(neuron: type[Neuron]) -> dict[str, Any]:
    """The fields of a neuron class's `plan.Plan`, by name."""
    eq, s = equations(neuron), step(neuron)
    names = set(eq.parameters)
    reads = lambda e: tuple(sorted(v.name for v in e.free_symbols if v.name in names))  # noqa: E731
    places, entries = _matrices(eq) if s.affine else ((), "")
    return {
        "states": s.states,
        "parameters": eq.parameters,
        "inputs": s.inputs,
        "coefs": s.coefs,
        "held": eq.held,
        "affine": s.affine,
        "resets": tuple(n for n, _ in s.jump),
        "moving": tuple(sorted({n for e in eq.flow.values() for n in reads(e)})),
        "entries": s.entries,
        "gathered": tuple((n, reads(e)) for n, e in s.gathered),
        "values": formula([*(symbol(n) for n in eq.parameters), DT], [e for _, e in s.gathered]),
        "places": places,
        "matrices": entries,
    }


def _matrices(eq: Equations) -> tuple[tuple[tuple[str, int, int], ...], str]:
    """Where an affine neuron's matrices are not zero, and the formula of what stands there."""
    variables = [symbol(n) for n in (*eq.states, *eq.inputs)]
    still = dict.fromkeys(variables, 0)
    rows = [(what, i, e[n]) for what, e in (("flow", eq.flow), ("jump", eq.jump)) for i, n in enumerate(eq.states)]
    d, found = len(eq.states), [(("rest", i, len(eq.states)), eq.rest[n]) for i, n in enumerate(eq.states)]
    for what, i, e in [*rows, ("margin", 0, eq.margin)]:
        terms = [(j if j < d else j + 1, sympy.diff(e, v)) for j, v in enumerate(variables)]
        terms.append((d, sympy.sympify(e).subs(still)))
        found += [((what, i, j), term) for j, term in terms]
    found = [(place, term) for place, term in found if term != 0]
    places, values = zip(*found, strict=True)
    return places, formula([symbol(n) for n in eq.parameters], list(values))
