"""The pieces of a kernel that depend on the neuron: its step, spike, jump and their reverse, as definitions.

In kernels state i is ``x{i}`` entering a step and ``y{i}`` after it, input k is ``i{k}``, coefficient k ``c{k}``, the
margin ``u``; ``held`` and ``s`` are flags; ``l{i}`` is the derivative of the loss with respect to state i.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import sympy

from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.stepping import Step, newest, step
from ephysfit.neuron.symbols import MARGIN, symbol
from ephysfit.simulation.printing import Definition, choose

HELD, SPIKE, SLOPE, SOURCE, AT_MARGIN, U, RATE = (
    symbol(n) for n in ("held", "s", "slope", "source", "at_margin", "u", "rate")
)


def names(prefix: str, count: int) -> list[sympy.Symbol]:
    """``x0, x1, ...``"""
    return [symbol(f"{prefix}{k}") for k in range(count)]


@dataclass(frozen=True)
class Pieces:
    """A neuron's step in kernel names; `free` and `held` are the increments of each state."""

    states: tuple[str, ...]
    inputs: int
    coefs: int
    free: tuple[sympy.Expr, ...]
    held: tuple[sympy.Expr, ...]
    margin: sympy.Expr
    jump: tuple[sympy.Expr, ...]
    hazard: sympy.Expr | None
    rest: tuple[sympy.Expr, ...]

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

    def drop(self) -> sympy.Expr:
        """What one spike changes in the loss through the states."""
        return sympy.Add(*(l * (j - y) for l, j, y in zip(names("l", len(self.y)), self.jump, self.y, strict=True)))

    def before_jump(self) -> tuple[list[Definition], list[tuple[int, sympy.Expr]]]:
        """At a spike: ``n`` = derivative with respect to the states before the jump, and what coefficients gain."""
        l = names("l", len(self.y))
        pulled = [
            (n, choose(SPIKE, sympy.Add(*(a * sympy.diff(j, y) for a, j in zip(l, self.jump, strict=True))), old))
            for n, y, old in zip(names("n", len(self.y)), self.y, l, strict=True)
        ]
        gains = [sympy.Add(*(a * sympy.diff(j, c) for a, j in zip(l, self.jump, strict=True))) for c in self.c]
        return pulled, [(k, choose(SPIKE, g, sympy.Float(0))) for k, g in enumerate(gains) if g != 0]

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
