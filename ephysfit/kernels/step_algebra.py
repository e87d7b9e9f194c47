"""The pieces of a kernel that depend on the neuron: its step, spike, jump and their reverse, as definitions.

In kernels state i is ``x{i}`` entering a step and ``y{i}`` after it, input k is ``i{k}``, coefficient k ``c{k}``, the
margin ``u``; ``held`` and ``s`` are flags; ``l{i}`` is the derivative of the loss with respect to state i.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import sympy

from ephysfit.kernels.expressions import Definition, choose, ordered
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.roles import Role
from ephysfit.neuron.stepping import Step, newest, step
from ephysfit.neuron.symbolic_functions import sigmoid, softplus
from ephysfit.neuron.symbols import MARGIN, symbol

HELD, SPIKE, SLOPE, SOURCE, AT_MARGIN, U, RATE, WEIGHT = (
    symbol(n) for n in ("held", "s", "slope", "asked_now", "at_margin", "u", "rate", "weight")
)


#: a shared sum of at least so many coefficients gets a row of derivatives of its own: the output of a filter bank,
#: which every gate reads, then costs one row, not one per reader
WIDE = 4


def names(prefix: str, count: int) -> list[sympy.Symbol]:
    """``x0, x1, ...``"""
    return [symbol(f"{prefix}{k}") for k in range(count)]


@dataclass(frozen=True)
class Pieces:
    """A neuron's step in kernel names; `free` and `held` are the increments of each state.

    `potential` is the number of the state that is the membrane potential, if the neuron has one.
    """

    states: tuple[str, ...]
    inputs: int
    coefs: int
    free: tuple[sympy.Expr, ...]
    held: tuple[sympy.Expr, ...]
    margin: sympy.Expr
    jump: tuple[sympy.Expr, ...]
    hazard: sympy.Expr | None
    rest: tuple[sympy.Expr, ...]
    potential: int | None

    @property
    def x(self) -> list[sympy.Symbol]:
        return names("x", len(self.states))

    @property
    def y(self) -> list[sympy.Symbol]:
        return names("y", len(self.states))

    @property
    def c(self) -> list[sympy.Symbol]:
        return names("c", self.coefs)

    @property
    def i(self) -> list[sympy.Symbol]:
        return names("i", self.inputs)

    def advance(self) -> list[Definition]:
        """``y`` from ``x``, the inputs and the flag ``held``; states move by increments, which keeps their digits."""
        out: list[Definition] = []
        for k, (x, y) in enumerate(zip(self.x, self.y, strict=True)):
            after, free = _moved(x, self.free[k], f"move{k}")
            out += free
            if self.free[k] == self.held[k]:
                out.append((y, after))
            elif self.held[k] == 0:
                out.append((y, choose(HELD, x, after)))
            else:
                rested, held = _moved(x, self.held[k], f"rest{k}")
                out += [*held, (y, choose(HELD, rested, after))]
        return out

    def jumps(self) -> list[Definition]:
        """``j`` for the states a spike changes."""
        return [(j, e) for j, e, y in zip(names("j", len(self.y)), self.jump, self.y, strict=True) if e != y]

    def falls(self) -> list[Definition]:
        """``fall``: what a spike takes from each state it changes."""
        return [(symbol(f"fall{k}"), j - y) for k, (j, y) in enumerate(zip(self.jump, self.y, strict=True)) if j != y]

    def tangents(self, detach: bool) -> Tangents:
        """Forward mode over one step."""
        return _tangents(self, detach)

    @property
    def log_hazard(self) -> sympy.Expr:
        """Of the margin ``u``, the states after the flow and the coefficients: what `hazard` is the exponential of."""
        assert self.hazard is not None
        written = sympy.expand_log(sympy.log(self.hazard), force=True).xreplace({sympy.Float(1.0): sympy.Integer(1)})
        # where the rate underflows its logarithm does not: ln sigma(x) = -ln(1 + e^-x)
        return written.replace(lambda e: e.func is sympy.log and e.args[0].func is sigmoid,
                               lambda e: -softplus(-e.args[0].args[0]))  # fmt: skip

    def rows(self, moving: tuple[int, ...]) -> Rows:
        """Forward mode over one step of a run with given spikes, by these coefficients."""
        return _rows(self, moving)

    def through_reset(self) -> list[Definition]:
        """``at_margin`` with the reset in the graph: what a spike changes directly and through the states it moves.

        The slope goes into each factor first, off the chain from step to step.
        """
        total = SLOPE * SOURCE
        out: list[Definition] = []
        for k, (j, y) in enumerate(zip(self.jump, self.y, strict=True)):
            if j != y:
                out.append((symbol(f"fall{k}"), SLOPE * (j - y)))
                total = total + symbol(f"fall{k}") * symbol(f"l{k}")
        return [*out, (AT_MARGIN, total)]

    def before_jump(self) -> tuple[list[Definition], list[tuple[int, sympy.Expr]]]:
        """At a spike: ``n`` = derivative with respect to the states before the jump, and what coefficients gain."""
        l = names("l", len(self.y))
        pulled = [
            (n, choose(SPIKE, sympy.Add(*(a * sympy.diff(j, y) for a, j in zip(l, self.jump, strict=True))), old))
            for n, y, old in zip(names("n", len(self.y)), self.y, l, strict=True)
        ]
        gains = [sympy.Add(*(a * sympy.diff(j, c) for a, j in zip(l, self.jump, strict=True))) for c in self.c]
        return pulled, [(k, choose(SPIKE, g, sympy.Float(0))) for k, g in enumerate(gains) if g != 0]

    def by_hazard(self) -> tuple[list[Definition], list[tuple[int, sympy.Expr]]]:
        """What a hazard reads besides the margin: its share in ``l`` (as ``n``) and in the coefficients' gains."""
        assert self.hazard is not None
        l, n = names("l", len(self.y)), names("n", len(self.y))
        slopes = [sympy.diff(self.hazard, y) for y in self.y]
        direct = [(b, a + WEIGHT * e) for a, b, e in zip(l, n, slopes, strict=True) if e != 0]
        gains = [sympy.diff(self.hazard, c) for c in self.c]
        return direct, [(k, WEIGHT * e) for k, e in enumerate(gains) if e != 0]

    def reverse(self) -> tuple[list[Definition], list[tuple[int, sympy.Expr]], list[sympy.Expr]]:
        """One step backward: definitions of ``n`` (derivative by the entering states), coefficients' and inputs' gains.

        Reads ``l`` (by the states before the jump) and ``at_margin`` (by the margin).
        """
        d = len(self.y)
        after = [l + AT_MARGIN * sympy.diff(self.margin, y) for l, y in zip(names("l", d), self.y, strict=True)]
        before = [sympy.Integer(0)] * d
        gains = [AT_MARGIN * sympy.diff(self.margin, c) for c in self.c]
        drives = [sympy.Integer(0)] * self.inputs
        out: list[Definition] = []
        # from the last state to the first: a flow reads the new values of the states before it, whose derivatives must
        # hold what it adds to them before they go back over their own flows
        for k in reversed(range(d)):
            a, free, held = (symbol(f"{p}{k}") for p in ("a", "af", "ah"))
            out.append((a, after[k]))
            before[k] = before[k] + a
            if self.free[k] == self.held[k]:
                rules = [(a, self.free[k])]
            else:
                zero = sympy.Float(0)
                rules = [(free, self.free[k])] + ([(held, self.held[k])] if self.held[k] != 0 else [])
                out.append((free, choose(HELD, zero, a)))
                if self.held[k] != 0:
                    out.append((held, choose(HELD, a, zero)))
            for weight, rule in rules:
                for m in range(d):
                    before[m] = before[m] + weight * sympy.diff(rule, self.x[m])
                    after[m] = after[m] + weight * sympy.diff(rule, self.y[m])
                gains = [g + weight * sympy.diff(rule, c) for g, c in zip(gains, self.c, strict=True)]
                drives = [g + weight * sympy.diff(rule, i) for g, i in zip(drives, self.i, strict=True)]
        out += list(zip(names("n", d), before, strict=True))
        return out, [(k, g) for k, g in enumerate(gains) if g != 0], drives


def _moved(x: sympy.Symbol, increment: sympy.Expr, name: str) -> tuple[sympy.Expr, list[Definition]]:
    """The state plus its increment; a sum is gathered on its own first, so that small terms keep their digits."""
    if not increment.is_Add:
        return x + increment, []
    move = symbol(name)
    return x + move, [(move, increment)]


@dataclass(frozen=True)
class Tangents:
    """Forward mode: how the derivatives ``t{i}_{k}`` of state i by coefficient k go over one step.

    `parts` are definitions: at rest, after the flow (``z``), of the margin (``ds``), at a spike (``w``); `graph` adds
    the reset.
    """

    active: tuple[int, ...]
    parts: tuple[list[Definition], list[Definition], list[Definition], list[Definition]]
    graph: list[Definition]


def _tangents(p: Pieces, detach: bool) -> Tangents:
    d = range(len(p.y))
    used = {s for e in (*p.free, *p.held, p.margin, *p.jump, *p.rest) for s in e.free_symbols}
    active = tuple(k for k, c in enumerate(p.c) if c in used)
    before = lambda i, k: symbol(f"t{i}_{k}")  # noqa: E731
    after = lambda i, k: symbol(f"z{i}_{k}")  # noqa: E731

    def along(rule: sympy.Expr, i: int, k: int) -> sympy.Expr:
        moved = [sympy.diff(rule, p.x[j]) * before(j, k) + sympy.diff(rule, p.y[j]) * after(j, k) for j in d]
        return before(i, k) + sympy.Add(*moved) + sympy.diff(rule, p.c[k])

    def by_state(e: sympy.Expr, k: int) -> sympy.Expr:
        return sympy.Add(*(sympy.diff(e, p.y[j]) * after(j, k) for j in d)) + sympy.diff(e, p.c[k])

    rest = [(before(i, k), sympy.diff(p.rest[i], p.c[k])) for i in d for k in active]
    flow = []
    for k in active:
        for i in d:
            free, held = along(p.free[i], i, k), along(p.held[i], i, k)
            flow.append((after(i, k), free if free == held else choose(HELD, held, free)))
    margin = [(symbol(f"ds{k}"), SLOPE * by_state(p.margin, k)) for k in active]
    spiked = [(i, k) for i in d if p.jump[i] != p.y[i] for k in active]
    jump = [(symbol(f"w{i}_{k}"), choose(SPIKE, by_state(p.jump[i], k), after(i, k))) for i, k in spiked]
    graph = [(after(i, k), after(i, k) + symbol(f"ds{k}") * symbol(f"fall{i}")) for i, k in spiked]
    return Tangents(active, (rest, flow, margin, jump), [] if detach else graph)


@dataclass(frozen=True)
class Row:
    """How the derivatives of one quantity, by all moving coefficients at once, follow from the rows of others.

    Attributes
    ----------
    target : symbol
        The quantity.
    chain : tuple of (symbol, expression)
        Quantities it reads that have a row, and its derivative by each.
    direct : tuple of (column, expression)
        Its derivative by each moving coefficient it reads itself.
    """

    target: sympy.Symbol
    chain: tuple[tuple[sympy.Symbol, sympy.Expr], ...]
    direct: tuple[tuple[int, sympy.Expr], ...]


@dataclass(frozen=True)
class Rows:
    """Forward mode by rows: where `Tangents` spells out every derivative, a kernel loops over the columns of rows.

    The spikes are given, so nothing goes through the margin's sign and no surrogate is needed; what is wanted is the
    derivative of ``rate``, here the log hazard.

    Attributes
    ----------
    values : list of definitions
        ``y``, the shared sums ``w`` and ``rate``, from ``x``, the inputs and the flag ``held``.
    active : tuple of int
        States that a moving coefficient reaches; their rows last from step to step.
    flow : tuple of Row
        Of ``w``, ``y`` and ``rate``, each after those it reads.
    jump, rest : tuple of Row
        Of ``j`` from ``y``, at a spike; of ``x`` at the beginning.
    """

    values: list[Definition]
    active: tuple[int, ...]
    flow: tuple[Row, ...]
    jump: tuple[Row, ...]
    rest: tuple[Row, ...]


@dataclass(frozen=True)
class _Quantity:
    """What a step computes, free and held."""

    name: sympy.Symbol
    free: sympy.Expr
    held: sympy.Expr

    @property
    def read(self) -> set[sympy.Symbol]:
        found: set[sympy.Symbol] = self.free.free_symbols | self.held.free_symbols
        return found

    def by(self, s: sympy.Symbol) -> sympy.Expr:
        free, held = sympy.diff(self.free, s), sympy.diff(self.held, s)
        return free if free == held else choose(HELD, held, free)

    def row(self, live: set[sympy.Symbol], columns: dict[sympy.Symbol, int]) -> Row:
        chain = [(s, self.by(s)) for s in sorted(self.read & live, key=str)]
        direct = [(columns[s], self.by(s)) for s in sorted(self.read & columns.keys(), key=str)]
        return Row(self.name, tuple((s, e) for s, e in chain if e != 0), tuple((k, e) for k, e in direct if e != 0))


def _rows(p: Pieces, moving: tuple[int, ...]) -> Rows:
    columns = {p.c[k]: n for n, k in enumerate(moving)}
    wide, put = _shared([*p.free, *p.held, p.margin, p.log_hazard], set(p.c))
    d = len(p.y)
    put_in = replace(p, free=tuple(put[:d]), held=tuple(put[d : 2 * d]), margin=put[2 * d])
    rate = put[-1]
    if len(put_in.margin.free_symbols & set(p.c)) < WIDE:
        rate = rate.xreplace({U: put_in.margin})
    else:
        wide = [*wide, (U, put_in.margin)]
    states = [_Quantity(y, x + f, x + h) for x, y, f, h in zip(p.x, p.y, put_in.free, put_in.held, strict=True)]
    quantities = {q.name: q for q in (*states, *(_Quantity(w, e, e) for w, e in wide), _Quantity(RATE, rate, rate))}
    live = _live(p, quantities, set(columns))
    jumps = [_Quantity(j, e, e) for j, e in p.jumps() if p.x[int(j.name[1:])] in live]
    rests = [_Quantity(x, e, e) for x, e in zip(p.x, p.rest, strict=True)]
    order = [s for s, _ in ordered([(q.name, sympy.Tuple(q.free, q.held)) for q in quantities.values()])]
    return Rows(
        values=[*wide, *put_in.advance(), (RATE, rate)],
        active=tuple(k for k, x in enumerate(p.x) if x in live),
        flow=tuple(quantities[s].row(live, columns) for s in order if s in live),
        jump=tuple(q.row(live, columns) for q in jumps),
        rest=tuple(row for q in rests if (row := q.row(set(), columns)).direct),
    )


def _live(p: Pieces, quantities: dict[sympy.Symbol, _Quantity], moving: set[sympy.Symbol]) -> set[sympy.Symbol]:
    """Quantities, and states entering a step, whose value depends on a moving coefficient."""
    # a state may be reached by way of another one in an earlier step, so the search goes on until it finds nothing new
    live: set[sympy.Symbol] = set()
    while True:
        reached = live | moving
        new = {s for s, q in quantities.items() if q.read & reached}
        for x, y, jump, rest in zip(p.x, p.y, p.jump, p.rest, strict=True):
            if y in live or (jump.free_symbols | rest.free_symbols) & reached:
                new.add(x)
        if new <= live:
            return live
        live |= new


def _shared(expressions: list[sympy.Expr], coefs: set[sympy.Symbol]) -> tuple[list[Definition], list[sympy.Expr]]:
    """Sums of many coefficients under names of their own (``w``), and the expressions that read them."""
    found, reduced = sympy.cse(expressions, symbols=sympy.numbered_symbols("w", real=True), order="none")
    wide: list[Definition] = []
    narrow: dict[sympy.Symbol, sympy.Expr] = {}
    for name, e in found:
        e = e.xreplace(narrow)
        if len(e.free_symbols & coefs) < WIDE:
            narrow[name] = e  # put back where it is read: its row would cost more than it saves
        else:
            wide.append((name, e))
    out = [e.xreplace(narrow) for e in reduced]
    for name, total in wide:
        if total.is_Add:
            out = [_with_sum(e, total, name) for e in out]
    return wide, out


def _with_sum(e: sympy.Expr, total: sympy.Expr, name: sympy.Symbol) -> sympy.Expr:
    """Where a longer sum holds all terms of `total`, or all their negatives (which `sympy.cse` misses), its name."""
    terms, negatives = set(total.args), {-a for a in total.args}

    def shortened(a: sympy.Expr) -> sympy.Expr:
        args = set(a.args)
        if terms <= args:
            return sympy.Add(*(args - terms), name)
        return sympy.Add(*(args - negatives), -name) if negatives <= args else a

    return e.replace(lambda a: a.is_Add, shortened)


@cache
def pieces(neuron: type[Neuron]) -> Pieces:
    """The pieces of a neuron class."""
    s = step(neuron)
    entering = _renaming(s, "x")
    leaving = _renaming(s, "y")
    x = names("x", len(s.states))
    increments = lambda rule: tuple(_increment(e.xreplace(entering), x[k]) for k, (_, e) in enumerate(rule))  # noqa: E731
    after = dict(s.jump)
    return Pieces(
        states=s.states,
        inputs=len(s.inputs),
        coefs=len(s.coefs),
        free=increments(s.advance),
        held=increments(s.advance_held),
        margin=s.margin.xreplace(leaving),
        jump=tuple(after.get(n, symbol(n)).xreplace(leaving) for n in s.states),
        hazard=None if s.hazard is None else s.hazard.xreplace({**leaving, MARGIN: U}),
        rest=tuple(sympy.sympify(r).xreplace(leaving) for r in s.rest),
        potential=s.states.index(shown) if (shown := neuron.name_of(Role.POTENTIAL)) in s.states else None,
    )


def _renaming(s: Step, state: str) -> dict[sympy.Symbol, sympy.Symbol]:
    out = {symbol(n): symbol(f"{state}{k}") for k, n in enumerate(s.states)}
    out |= {newest(n): symbol(f"y{k}") for k, n in enumerate(s.states)}
    out |= {symbol(n): symbol(f"i{k}") for k, n in enumerate(s.inputs)}
    return out | {symbol(n): symbol(f"c{k}") for k, n in enumerate(s.coefs)}


def _increment(e: sympy.Expr, x: sympy.Symbol) -> sympy.Expr:
    terms = list(sympy.Add.make_args(e))
    if x in terms:
        terms.remove(x)
        return sympy.Add(*terms)
    return e - x
