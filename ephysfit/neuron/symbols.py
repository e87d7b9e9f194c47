"""A neuron read as sympy symbols: its equations for docs and exporters, and the states that nothing can move."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import sympy

from ephysfit.neuron.declaration_errors import refuse_undeclared
from ephysfit.neuron.declare import Neuron, flat_names, flatten, pack_state, unflatten
from ephysfit.neuron.functions import Bank
from ephysfit.neuron.roles import Role

#: sympy expressions by name, or by symbol
Expressions: TypeAlias = dict[Any, Any]


@dataclass(frozen=True)
class Equations:
    """The equations of a neuron class with pinned values put in; every field is sympy, by flat state name."""

    states: tuple[str, ...]
    parameters: tuple[str, ...]
    inputs: tuple[str, ...]
    flow: dict[str, sympy.Expr]
    margin: sympy.Expr
    jump: dict[str, sympy.Expr]
    hazard: sympy.Expr | None
    rest: dict[str, sympy.Expr]
    held: tuple[str, ...]


def symbol(name: str) -> sympy.Symbol:
    """The symbol of a state, parameter or input (all real)."""
    return sympy.Symbol(name, real=True)


#: the argument of `hazard`
MARGIN = symbol("u_margin")


def symbolic_instance(neuron: type[Neuron]) -> Neuron:
    """An instance whose fields are symbols."""
    return neuron(**unflatten(neuron.parameters, {n: symbol(n) for n in flat_names(neuron.parameters)}))


@cache
def equations(neuron: type[Neuron]) -> Equations:
    """All equations of a neuron as sympy; states that nothing moves are set to rest, unread ones dropped.

    Only *pinned* values can remove a state: a free parameter that happens to be 0 never does.
    """
    return _read_equations(neuron, symbolic_instance(neuron), tuple(flat_names(neuron.parameters)))


@cache
def named_equations(neuron: type[Neuron]) -> Equations:
    """The same equations of the same states, with pinned values as symbols too, except those that are 0.

    Every term then keeps its dimension, as simulators that check units require.
    """
    cell, named = symbolic_instance(neuron), list(flat_names(neuron.parameters))
    for name, value in neuron.pinned.items():
        flat = [name] if not isinstance(value, tuple) else [f"{name}_{k + 1}" for k in range(len(value))]
        given = [value] if not isinstance(value, tuple) else list(value)
        zero = [not callable(v) and v == 0 for v in given]
        given_or_zero = [sympy.Integer(0) if z else symbol(n) for n, z in zip(flat, zero, strict=True)]
        object.__setattr__(cell, name, Bank(given_or_zero) if isinstance(value, tuple) else given_or_zero[0])
        named += [n for n, z in zip(flat, zero, strict=True) if not z]
    return _read_equations(neuron, cell, tuple(named), equations(neuron).states)


def _read_equations(
    neuron: type[Neuron], cell: Neuron, parameters: tuple[str, ...], live: tuple[str, ...] | None = None
) -> Equations:
    """The equations of an instance whose fields are symbols (or numbers), of the states `live` if given."""
    names = neuron.state_names()
    symbols = {n: symbol(n) for n in names}
    x = pack_state(neuron, symbols)
    drive = [symbol(n) for n in neuron.inputs]
    flow = _fill_in_states(neuron, cell.flow(x, *drive), symbols, moving=True)
    jump = _fill_in_states(neuron, cell.jump(x), symbols, moving=False)
    rest = {n: sympy.sympify(getattr(cell, r) if isinstance(r, str) else r) for n, r in neuron.rests().items()}
    margin = sympy.sympify(cell.margin(x))
    if live is None:
        shown = neuron.name_of(Role.POTENTIAL)
        live = _find_states_that_matter(
            _find_moving_states(names, symbols, flow, jump, rest), symbols, flow, jump, margin, shown
        )
    fixed = {symbols[n]: rest[n] for n in names if n not in live}
    put = lambda e: sympy.sympify(e).subs(fixed)  # noqa: E731
    held = set(flat_names({k: s for k, s in neuron.states.items() if k in neuron.hold}))
    return Equations(
        states=live,
        parameters=parameters,
        inputs=tuple(neuron.inputs),
        flow={n: put(flow[n]) for n in live},
        margin=put(margin),
        jump={n: put(jump[n]) for n in live},
        hazard=put(cell.hazard(MARGIN)) if neuron.stochastic() else None,
        rest={n: rest[n] for n in live},
        held=tuple(n for n in live if n in held),
    )


def _fill_in_states(
    neuron: type[Neuron], given: dict[str, Any], symbols: dict[str, Any], *, moving: bool
) -> dict[str, Any]:
    """Every flat state: what the equation gives, else no change."""
    refuse_undeclared(neuron, "flow" if moving else "jump", given)
    out: dict[str, Any] = {n: sympy.Integer(0) if moving else symbols[n] for n in symbols}
    out.update(flatten({k: neuron.states[k] for k in given}, given))
    return out


def _find_moving_states(
    names: tuple[str, ...], symbols: Expressions, flow: Expressions, jump: Expressions, rest: Expressions
) -> tuple[str, ...]:
    """Find the states that leave their rest under some input or at a spike."""
    live: set[str] = set()
    while True:
        still = {symbols[n]: rest[n] for n in names if n not in live}
        new = {n for n in names if n not in live and not _stays_at_rest(n, flow, jump, rest, still)}
        if not new:
            return tuple(n for n in names if n in live)
        live |= new


def _find_states_that_matter(
    moved: tuple[str, ...],
    symbols: Expressions,
    flow: Expressions,
    jump: Expressions,
    margin: sympy.Expr,
    shown: str | None,
) -> tuple[str, ...]:
    """Those moving states on which the margin depends, directly or through others, and the one that is shown."""
    reads = {n: (sympy.sympify(flow[n]).free_symbols | sympy.sympify(jump[n]).free_symbols) for n in moved}
    wanted = {n for n in moved if symbols[n] in margin.free_symbols or n == shown}
    while True:
        more = {n for n in moved if n not in wanted and any(symbols[n] in reads[w] for w in wanted)}
        if not more:
            return tuple(n for n in moved if n in wanted)
        wanted |= more


def _stays_at_rest(n: str, flow: Expressions, jump: Expressions, rest: Expressions, still: Expressions) -> bool:
    """Whether neither flow nor jump moves state `n`, with the states of `still` held at their rest."""
    moves = sympy.expand(sympy.sympify(flow[n]).subs(still))
    jumps = sympy.expand(sympy.sympify(jump[n]).subs(still) - rest[n])
    return bool(moves == 0 and jumps == 0)


def affine(eq: Equations) -> bool:
    """Whether flow, margin and jump are affine in the states and the input."""
    variables = [symbol(n) for n in (*eq.states, *eq.inputs)]
    slopes = [sympy.diff(e, v) for e in (*eq.flow.values(), *eq.jump.values(), eq.margin) for v in variables]
    return not any(s.has(v) for s in slopes for v in variables)


def latex(neuron: type[Neuron]) -> list[str]:
    """The equations as LaTeX lines: flow, threshold condition, jumps, hazard.

    Examples
    --------
    >>> from ephysfit.models.lif import LIF
    >>> print(latex(LIF)[0])
    \\dot{V} = \\frac{I - g \\left(- E_{L} + V\\right)}{C}
    """
    eq = equations(neuron)
    lines = [rf"\dot{{{sympy.latex(symbol(n))}}} = {sympy.latex(f)}" for n, f in eq.flow.items() if f != 0]
    lines.append(rf"\text{{spike when }} {sympy.latex(eq.margin)} \geq 0")
    lines += [rf"{sympy.latex(symbol(n))} \to {sympy.latex(j)}" for n, j in eq.jump.items() if j != symbol(n)]
    if eq.hazard is not None:
        lines.append(rf"\lambda(u) = {sympy.latex(eq.hazard.subs(MARGIN, sympy.Symbol('u')))}")
    return lines


def text(neuron: type[Neuron]) -> list[str]:
    """The equations as plain text lines, for terminals."""
    eq = equations(neuron)
    lines = [f"d{n}/dt = {f}" for n, f in eq.flow.items() if f != 0]
    lines.append(f"spike when {eq.margin} >= 0")
    lines += [f"{n} -> {j}" for n, j in eq.jump.items() if j != symbol(n)]
    if eq.hazard is not None:
        lines.append(f"hazard(u) = {eq.hazard.subs(MARGIN, sympy.Symbol('u'))}  per ms")
    return lines
