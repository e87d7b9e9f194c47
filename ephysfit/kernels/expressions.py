"""Sympy expressions as straight-line kernel code: shared parts once, products as fused multiply-adds, named constants.

What is printed calls only names of `simd.floats` / `scalar_math.numbers`, and one expression always prints alike, so
that a forward run and its recomputation round alike and agree on every spike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import sympy

from ephysfit.errors import SimulationError

#: choose(flag, x, y): x where the flag is set, else y
choose = sympy.Function("where")

_FUNCTIONS = {"exp", "log", "tanh", "cos", "sin", "sigmoid", "softplus", "phi1", "dphi1", "where", "fabs"}

Definition = tuple[sympy.Symbol, sympy.Expr]


@dataclass
class Printer:
    """Prints for one kernel; collects the constants it met.

    Examples
    --------
    >>> x, y = sympy.symbols("x y", real=True)
    >>> Printer().text(x + 3 * x * y)
    'fma(k0 * x, y, x)'
    """

    constants: dict[float, str] = field(default_factory=dict)
    temporaries: Any = field(default_factory=lambda: count())

    def constant(self, value: float) -> str:
        return self.constants.setdefault(value, f"k{len(self.constants)}")

    def preamble(self) -> list[str]:
        """One line per constant."""
        return [f"{name} = splat(F({value!r}))" for value, name in self.constants.items()]

    def text(self, e: sympy.Expr) -> str:
        """One expression."""
        if e.is_Symbol:
            return str(e.name)
        if e.is_number:
            return self.constant(float(e))
        if e.is_Add:
            return self._sum(e)
        if e.is_Mul:
            return self._product(e)
        if e.is_Pow:
            return self._power(e)
        name = type(e).__name__ if not isinstance(e, sympy.core.function.AppliedUndef) else str(e.func)
        name = "fabs" if name == "Abs" else name
        if name not in _FUNCTIONS:
            raise SimulationError(
                f"{name}(...) cannot be compiled; write the neuron with ephysfit.neuron.functions "
                f"({', '.join(sorted(_FUNCTIONS - {'where', 'fabs', 'dphi1'}))}) or use engine='sequential'"
            )
        return f"{name}({', '.join(self.text(a) for a in e.args)})"

    def _sum(self, e: sympy.Expr) -> str:
        plain = [a for a in e.args if not self._splits(a)]
        total = self.text(plain[0]) if plain else None
        for term in plain[1:]:
            total = f"({total} + {self.text(term)})"
        for term in sorted((a for a in e.args if self._splits(a)), key=_lateness):
            left, right = self._factors(term)
            if total is None:
                total = f"(-{right})" if left == "-" else f"({left} * {right})"
            elif left == "-":
                total = f"({total} - {right})"
            else:
                total = f"fma({left}, {right}, {total})"
        assert total is not None
        return total

    def _splits(self, e: sympy.Expr) -> bool:
        return bool(e.is_Mul) and sympy.fraction(e)[1] == 1

    def _factors(self, e: sympy.Expr) -> tuple[str, str]:
        """A product as two texts; the left one is ``-`` for minus one."""
        number, rest = e.as_coeff_Mul()
        parts = [self._bracketed(a) for a in sympy.Mul.make_args(rest)]
        if number == -1:
            return ("-", parts[0]) if len(parts) == 1 else (f"-{parts[0]}", " * ".join(parts[1:]))
        if number != 1:
            parts = [self.constant(float(number)), *parts]
        return " * ".join(parts[:-1]), parts[-1]

    def _product(self, e: sympy.Expr) -> str:
        top, bottom = sympy.fraction(e)
        if bottom != 1:
            return f"({self._bracketed(top)} / {self._bracketed(bottom)})"
        left, right = self._factors(e)
        return f"(-{right})" if left == "-" else f"({left} * {right})"

    def _power(self, e: sympy.Expr) -> str:
        base, exponent = e.args
        if exponent.is_Integer and 0 < exponent <= 8:
            text = self._bracketed(base)
            return "(" + " * ".join([text] * int(exponent)) + ")"
        if exponent.is_number and exponent < 0:
            return f"({self.constant(1.0)} / {self._bracketed(base**-exponent)})"
        if exponent == sympy.Rational(1, 2):
            return f"sqrt({self.text(base)})"
        return self.text(sympy.exp(exponent * sympy.log(base)))

    def _bracketed(self, e: sympy.Expr) -> str:
        text = self.text(e)
        return text if e.is_Atom or text.endswith(")") else f"({text})"

    def program(self, definitions: list[Definition]) -> list[str]:
        """Assignments in an order that works; an expression may hold symbols defined elsewhere in the list."""
        return self.lines(ordered(self.share(definitions)))

    def lines(self, definitions: list[Definition]) -> list[str]:
        """Assignments in this order."""
        return [f"{s.name} = {self.text(e)}" for s, e in definitions]

    def share(self, definitions: list[Definition]) -> list[Definition]:
        """The same with definitions of what several of them compute."""
        fresh = (sympy.Symbol(f"q{i}", real=True) for i in self.temporaries)
        shared, reduced = sympy.cse([e for _, e in definitions], symbols=fresh, order="none")
        return [*shared, *zip([s for s, _ in definitions], reduced, strict=True)]


def _lateness(e: sympy.Expr) -> int:
    """Put what depends on the previous step last in a sum, so that the chain from step to step is short."""
    first = {s.name[0] for s in e.free_symbols}
    return 2 * bool(first & {"x", "l"}) + bool(first & {"y"})


def ordered(definitions: list[Definition]) -> list[Definition]:
    """Every definition after those it reads."""
    by_name = dict(definitions)
    out: list[Definition] = []
    done: set[sympy.Symbol] = set()

    def visit(s: sympy.Symbol) -> None:
        if s in done or s not in by_name:
            return
        done.add(s)
        for needed in sorted(by_name[s].free_symbols, key=str):
            visit(needed)
        out.append((s, by_name[s]))

    for s, _ in definitions:
        visit(s)
    return out
