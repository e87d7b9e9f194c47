"""A step taken apart: what each step needs of the one before, and what many steps can compute side by side.

With recorded spikes a neuron's nonlinear functions hardly ever feed back into their own arguments: AIGIF's gates read
a filter bank, its threshold reads the gates, its hazard both. So a segment of steps is gone over several times. *Steps*
phases carry states on, one step after the other; *columns* phases compute exponentials and their kin, of several steps
in one vector. What a phase leaves for a later one is kept for the whole segment.

    ::

        steps 0: filter banks ─► columns 0: gates' sigmoids ─► steps 1: gates ─► columns 1: softplus ─► steps 2: ...
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sympy

from ephysfit.kernels.expressions import Definition, ordered
from ephysfit.kernels.step_algebra import HELD, RATE, Pieces
from ephysfit.kernels.tile_memory import COSTLY
from ephysfit.neuron.symbols import symbol

Symbols = frozenset[sympy.Symbol]
#: level of a phase, and whether it is one of columns
Place = tuple[int, bool]


@dataclass(frozen=True)
class Phase:
    """One pass over a segment.

    Attributes
    ----------
    columns : bool
        Several steps in a vector; else one after the other.
    definitions : list of definitions
        In an order that works.
    states : tuple of int
        States that this phase carries from step to step.
    read : tuple of symbol
        What it needs of earlier phases.
    outputs : tuple of symbol
        What later ones need of it.
    """

    columns: bool
    definitions: list[Definition]
    states: tuple[int, ...]
    read: tuple[sympy.Symbol, ...]
    outputs: tuple[sympy.Symbol, ...]


@dataclass(frozen=True)
class Phases:
    """The phases of a step, in turn, and what is computed once before the first."""

    constant: list[Definition]
    phases: list[Phase]


def divide_into_phases(definitions: list[Definition], p: Pieces, wanted: Iterable[sympy.Symbol]) -> Phases:
    """Take a step apart; `wanted` are the quantities that are read when all phases are over."""
    program = ordered(_name_costly(definitions))
    rules = dict(program)
    jumps = {k: e for (j, e) in p.jumps() for k in [int(j.name[1:])]}
    reads = {s: e.free_symbols & (rules.keys() | set(p.x)) for s, e in program}
    for k, (x, y) in enumerate(zip(p.x, p.y, strict=True)):
        # a state and what becomes of it belong together, even where a jump alone connects them
        reads[x] = ({y} | (jumps[k].free_symbols if k in jumps else set())) & reads.keys()
        reads[y] = reads[y] | {x}
    home: dict[sympy.Symbol, Place] = {}
    for group in _find_cycles(reads):
        place = _place(group, rules, {home[r] for s in group for r in reads[s] - group}, set(p.x))
        home |= dict.fromkeys(group, place)
    if RATE in home and home[RATE][0] < 0:
        home[RATE] = (0, False)  # each step reads it, even where no state and no current moves it
    return _gather_phases(program, p, jumps, home, frozenset(wanted))


def _gather_phases(
    program: list[Definition], p: Pieces, jumps: dict[int, sympy.Expr], home: dict[sympy.Symbol, Place], wanted: Symbols
) -> Phases:
    """Phases by the places that were found for everything."""
    out = []
    where = sorted({place for place in home.values() if place[0] >= 0})
    read_in: dict[Place, set[sympy.Symbol]] = {}
    for place in where:
        carried = [k for k, x in enumerate(p.x) if home[x] == place]
        needed = {r for s, e in program if home[s] == place for r in e.free_symbols}
        needed |= {r for k in carried if k in jumps for r in jumps[k].free_symbols}
        read_in[place] = {s for s in needed if home.get(s, (-1, False))[0] >= 0 and home[s] != place}
    for place in where:
        later = wanted.union(*read_in.values())
        mine = [(s, e) for s, e in program if home[s] == place]
        states = tuple(k for k, x in enumerate(p.x) if home[x] == place)
        made = {s for s, _ in mine} | {p.x[k] for k in states}
        out.append(Phase(place[1], mine, states, _in_order(read_in[place]), _in_order(made & later)))
    return Phases([(s, e) for s, e in program if home[s][0] < 0], out)


def _in_order(found: Iterable[sympy.Symbol]) -> tuple[sympy.Symbol, ...]:
    return tuple(sorted(found, key=str))


def _place(
    group: set[sympy.Symbol], rules: dict[sympy.Symbol, sympy.Expr], before: set[Place], x: set[sympy.Symbol]
) -> Place:
    """Level of a group's phase and whether it is one of columns; level -1 for what is the same in every step."""
    steps = max((level for level, columns in before if not columns), default=-1)
    columns = max((level for level, columns in before if columns), default=-1)
    expressions = [rules[s] for s in group if s in rules]
    inputs = any(s == HELD or s.name[0] == "i" for e in expressions for s in e.free_symbols)
    if group & x or inputs:
        return max(steps, columns + 1, 0), False
    if any(_is_costly(e) for e in expressions):
        return max(steps, columns), True
    # what is cheap stays where most of what it reads is at hand
    return (max(steps, columns), True) if columns >= 0 else (steps, False)


def _is_costly(e: sympy.Expr) -> bool:
    return any(getattr(f, "func", None) and str(f.func) in COSTLY for f in sympy.preorder_traversal(e))


def _name_costly(definitions: list[Definition]) -> list[Definition]:
    """The same with a symbol of its own for every costly function, so that cycles hold none they do not have to."""
    made: dict[sympy.Expr, sympy.Symbol] = {}

    def visit(e: sympy.Expr) -> sympy.Expr:
        if not e.args:
            return e
        args = [visit(a) for a in e.args]
        new = e if list(e.args) == args else e.func(*args)
        return made.setdefault(new, symbol(f"f{len(made)}")) if str(new.func) in COSTLY else new

    named = [(s, visit(e)) for s, e in definitions]
    return [*((s, e) for e, s in made.items()), *named]


def _find_cycles(reads: dict[sympy.Symbol, set[sympy.Symbol]]) -> list[set[sympy.Symbol]]:
    """Strongly connected components, every one after those it reads (Tarjan 1972, SIAM J. Comput. 1, 146-160)."""
    number: dict[sympy.Symbol, int] = {}
    lowest: dict[sympy.Symbol, int] = {}
    stack: list[sympy.Symbol] = []
    out: list[set[sympy.Symbol]] = []

    def visit(s: sympy.Symbol) -> None:
        number[s] = lowest[s] = len(number)
        stack.append(s)
        for r in sorted(reads[s], key=str):
            if r not in number:
                visit(r)
                lowest[s] = min(lowest[s], lowest[r])
            elif r in stack:
                lowest[s] = min(lowest[s], number[r])
        if lowest[s] == number[s]:
            cut = stack.index(s)
            out.append(set(stack[cut:]))
            del stack[cut:]

    for s in reads:
        if s not in number:
            visit(s)
    return out
