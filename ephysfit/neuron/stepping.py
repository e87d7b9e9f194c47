r"""A neuron read as one discrete step in symbols: what kernels are generated from.

An affine neuron steps exactly; its coefficients are entries of the matrix exponential (`affine.operators`). Any other
neuron steps by exponential Euler, state by state in the order of declaration, each with the newest values of those
before it: with :math:`f_i` the flow of state i and :math:`d_i = \partial f_i/\partial x_i`,

.. math:: x_i \leftarrow x_i + f_i\, \Delta t\, \varphi_1(d_i \Delta t), \qquad \varphi_1(z) = (e^z - 1)/z,

which is exact for every state whose own flow is linear in it while the others stand still (Hochbruck & Ostermann
2010, Acta Numerica 19, 209-286). Whatever does not depend on states or inputs is gathered in *coefficients*, computed
once per cell by torch, with gradients (`coefficients`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import product
from operator import and_
from typing import TypeAlias

import sympy

from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.symbolic_functions import phi1
from ephysfit.neuron.symbols import MARGIN, Equations, affine, equations, symbol

#: matrix entries among the coefficients: name, operator, row, column
Entries: TypeAlias = tuple[tuple[str, str, int, int], ...]
#: new values by state, in order
Rule: TypeAlias = tuple[tuple[str, sympy.Expr], ...]
#: the time step, a symbol that appears in coefficients only
DT = symbol("dt_step")


def newest(state: str) -> sympy.Symbol:
    """The symbol of a state's value after the step, as later states and the margin read it."""
    return symbol(f"{state}__new")


@dataclass(frozen=True)
class Step:
    """One step of a neuron class in symbols.

    Attributes
    ----------
    states, inputs, coefs : tuple of str
        Names in the order of the arrays that kernels use.
    advance, advance_held : tuple of (state, expression)
        Next value of each state, in order; an expression may hold states (before the step), `newest` of states
        listed earlier, inputs and coefficients. `advance_held` is the step while refractory.
    margin : expression
        Of states (the values after the step, written with the plain state symbols) and coefficients.
    jump : tuple of (state, expression)
        New values at a spike, all from the values before the jump; only states that change.
    hazard : expression or None
        Spike rate per ms as a function of `MARGIN` and coefficients.
    rest : tuple of expressions
        Start values in the order of `states`, of coefficients or numbers.
    entries : tuple
        Which coefficients are matrix entries: (name, operator, row, column) read from `affine.operators`.
    gathered : tuple of (name, expression)
        Which coefficients are expressions of parameters and `DT`.
    affine : bool
    """

    neuron: type[Neuron]
    states: tuple[str, ...]
    inputs: tuple[str, ...]
    coefs: tuple[str, ...]
    advance: Rule
    advance_held: Rule
    margin: sympy.Expr
    jump: Rule
    hazard: sympy.Expr | None
    rest: tuple[sympy.Expr, ...]
    entries: Entries
    gathered: Rule
    affine: bool


@dataclass
class _Gatherer:
    """Replaces every maximal part that is free of `variables` by a named coefficient."""

    variables: frozenset[sympy.Symbol]
    found: dict[sympy.Expr, str] = field(default_factory=dict)

    def __call__(self, e: sympy.Expr) -> sympy.Expr:
        if not (e.free_symbols & self.variables):
            return self._name(e)
        if not e.args:
            return e
        if isinstance(e, (sympy.Add, sympy.Mul)):
            fixed = [a for a in e.args if not (a.free_symbols & self.variables)]
            moving = [self(a) for a in e.args if a.free_symbols & self.variables]
            return e.func(*([self._name(e.func(*fixed))] if fixed else []), *moving)
        return e.func(*[self(a) for a in e.args])

    def _name(self, e: sympy.Expr) -> sympy.Expr:
        if e.is_number:
            return e
        negative = -e
        if negative in self.found:
            return -symbol(self.found[negative])
        name = self.found.setdefault(e, str(e) if e.is_Symbol else f"coef_{len(self.found)}")
        return symbol(name)


@cache
def step(neuron: type[Neuron]) -> Step:
    """The discrete step of a neuron class."""
    eq = equations(neuron)
    variables = {symbol(n) for n in (*eq.states, *eq.inputs)} | {newest(n) for n in eq.states} | {MARGIN}
    gather = _Gatherer(frozenset(variables))
    linear = affine(eq)
    if linear:
        entries, advance, held = _affine_step(eq)
    else:
        entries = ()
        advance = _exponential_euler(eq, gather, held=())
        held = _exponential_euler(eq, gather, held=eq.held) if eq.held else advance
    margin = gather(eq.margin)
    jump = tuple((n, gather(j)) for n, j in eq.jump.items() if j != symbol(n))
    hazard = gather(eq.hazard) if eq.hazard is not None else None
    rest = tuple(gather(eq.rest[n]) for n in eq.states)
    gathered = tuple((name, e) for e, name in gather.found.items())
    return Step(
        neuron=neuron, states=eq.states, inputs=eq.inputs,
        coefs=tuple(e[0] for e in entries) + tuple(g[0] for g in gathered),
        advance=advance, advance_held=held, margin=margin, jump=jump, hazard=hazard, rest=rest,
        entries=entries, gathered=gathered, affine=linear,
    )  # fmt: skip


def _exponential_euler(eq: Equations, gather: _Gatherer, held: tuple[str, ...]) -> Rule:
    out = []
    for i, n in enumerate(eq.states):
        x = symbol(n)
        if n in held:
            out.append((n, x))
            continue
        earlier = {symbol(m): newest(m) for m in eq.states[:i]}
        f = eq.flow[n].subs(earlier)
        rate = sympy.simplify(sympy.diff(f, x))
        weight = DT if rate == 0 else DT * phi1(rate * DT)
        out.append((n, x + gather(f * weight)))
    return tuple(out)


def _affine_step(eq: Equations) -> tuple[Entries, Rule, Rule]:
    entries: list[tuple[str, str, int, int]] = []
    rows = [symbol(n) for n in eq.states]
    columns = [*rows, None]
    drives = [symbol(n) for n in eq.inputs]

    def build(operator: str, drive: str, masked: tuple[str, ...]) -> Rule:
        reach, driven = _structure(eq, masked)
        out = []
        for i, n in enumerate(eq.states):
            terms = [rows[i]]
            for j, column in enumerate(columns):
                if (i, j) in reach:
                    terms.append(_entry(entries, operator, i, j) * (1 if column is None else column))
            terms += [_entry(entries, drive, i, k) * I for k, I in enumerate(drives) if (i, k) in driven]
            out.append((n, sympy.Add(*terms)))
        return tuple(out)

    advance = build("free", "drive", ())
    reach, _ = _structure(eq, ())
    listens = {i for i, j in reach if j < len(eq.states) and eq.states[j] in eq.held}
    alike = [i for i, n in enumerate(eq.states) if i not in listens and n not in eq.held]
    count = len(entries)
    held = [*build("held", "held_drive", eq.held)]
    for i in alike:  # what no held state drives steps alike: one coefficient, not two
        held[i] = advance[i]
    kept = {str(v) for _, e in held for v in e.free_symbols}
    return tuple(entries[:count] + [e for e in entries[count:] if e[0] in kept]), advance, tuple(held)


def _entry(entries: list[tuple[str, str, int, int]], operator: str, i: int, j: int) -> sympy.Symbol:
    name = f"{operator}_{i}_{j}"
    entries.append((name, operator, i, j))
    return symbol(name)


def _structure(eq: Equations, masked: tuple[str, ...]) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """Which entries of (step - identity) and of the drive can differ from zero: reachability in the flow's graph."""
    flows = [sympy.Integer(0) if n in masked else sympy.expand(eq.flow[n]) for n in eq.states]
    by_state, by_input = _reads(flows, eq.states), _reads(flows, eq.inputs)
    still = {symbol(m): 0 for m in (*eq.states, *eq.inputs)}
    constant = [[f.subs(still) != 0] for f in flows]
    paths = _closed(by_state)
    beside = {(i, len(flows)) for i, _ in _joined(paths, constant)}
    return _joined(paths, by_state) | beside, _joined(paths, by_input)


def _reads(flows: list[sympy.Expr], names: tuple[str, ...]) -> list[list[bool]]:
    """Whether flow i depends on name j."""
    return [[sympy.diff(f, symbol(n)) != 0 for n in names] for f in flows]


def _closed(direct: list[list[bool]]) -> list[list[bool]]:
    """Whether i depends on j at first or at second hand, or is j (Warshall)."""
    d = range(len(direct))
    paths = [[direct[i][j] or i == j for j in d] for i in d]
    for k, i, j in product(d, d, d):
        paths[i][j] = paths[i][j] or (paths[i][k] and paths[k][j])
    return paths


def _joined(paths: list[list[bool]], then: list[list[bool]]) -> set[tuple[int, int]]:
    """Pairs (i, j) for which i depends on some k that reads j."""
    columns = list(zip(*then, strict=True))
    return {(i, j) for i, row in enumerate(paths) for j, column in enumerate(columns) if any(map(and_, row, column))}
