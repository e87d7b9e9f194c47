"""Source of the replay kernel: likelihood of recorded spikes with its exact gradient and Fisher information.

The kernel forces the recorded spikes through the declared step (teacher forcing) and carries, beside each state, its
derivative with respect to every moving coefficient (forward mode). Straight-line code is printed from the symbolic
step; derivatives are taken by sympy; shared sums over many coefficients (a filter bank's output) are kept as
intermediates with a derivative row of their own, so that a bank costs one row, not one a reader.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy
from sympy.printing.pycode import PythonCodePrinter

from ephysfit.neuron.stepping import Step, newest
from ephysfit.neuron.symbols import MARGIN, symbol

POTENTIAL = "V"
#: a shared sum that reads at least this many moving coefficients gets a derivative row of its own
_WIDE = 4

_HEADER = """
import numpy as np
import numba as nb
from math import exp, log, tanh, sqrt, cos, sin, log1p, expm1
from ephysfit.compiling import compiled


@nb.njit(inline="always")
def sigmoid(x):
    return 1.0 / (1.0 + exp(-x))


@nb.njit(inline="always")
def softplus(x):
    return x + log1p(exp(-x)) if x > 0.0 else log1p(exp(x))


@nb.njit(inline="always")
def phi1(x):
    return expm1(x) / x if abs(x) > 1e-5 else 1.0 + 0.5 * x + x * x / 6.0


@nb.njit(inline="always")
def dphi1(x):
    return (exp(x) * (x - 1.0) + 1.0) / (x * x) if abs(x) > 1e-3 else 0.5 + x / 3.0 + x * x / 8.0
"""


#: one more row of the buffer is full
_FILLED = ["filled += 1", "if filled == 128:", "    gram += buffer.T @ buffer", "    filled = 0"]


class _Printer(PythonCodePrinter):
    def _print_Function(self, e: sympy.Expr) -> str:
        return f"{e.func.__name__}({', '.join(self._print(a) for a in e.args)})"

    _print_exp = _print_log = _print_tanh = _print_sqrt = _print_cos = _print_sin = _print_Function

    def _print_Pow(self, e: sympy.Expr, rational: bool = False) -> str:
        base, power = e.as_base_exp()
        if power.is_Integer and 0 < int(power) <= 4:
            return "(" + "*".join([f"({self._print(base)})"] * int(power)) + ")"
        if power == -1:
            return f"(1.0/({self._print(base)}))"
        return super()._print_Pow(e, rational)


def printed(e: sympy.Expr) -> str:
    """An expression as Python source over the names of its symbols."""
    return _Printer({"fully_qualified_modules": False}).doprint(sympy.sympify(e))


@dataclass(frozen=True)
class _Item:
    """One assignment of the step: a state's new value or a shared sum."""

    target: sympy.Symbol
    expression: sympy.Expr
    is_state: bool


@dataclass(frozen=True)
class _Branch:
    """The assignments of one branch (free or held) in order, and the log hazard after them."""

    items: tuple[_Item, ...]
    outcome: sympy.Expr


def _branch(s: Step, rule: tuple, outcome: sympy.Expr, moving: set[sympy.Symbol]) -> _Branch:
    shared, reduced = sympy.cse([*(e for _, e in rule), outcome], symbols=sympy.numbered_symbols("shared_", real=True))
    wide: list[_Item] = []
    narrow: dict[sympy.Symbol, sympy.Expr] = {}
    for name, e in shared:
        e = e.xreplace(narrow)
        if len(e.free_symbols & moving) >= _WIDE:
            wide.append(_Item(name, e, is_state=False))
        else:
            narrow[name] = e
    put = [e.xreplace(narrow) for e in reduced]
    pending = [_Item(newest(n), e, is_state=True) for (n, _), e in zip(rule, put[:-1], strict=True)]
    made: set[sympy.Symbol] = set()
    unmade = {newest(n) for n, _ in rule} | {w.target for w in wide}
    items: list[_Item] = []
    while pending:
        ready = [w for w in wide if w.target not in made and not (w.expression.free_symbols & unmade - made)]
        item = ready[0] if ready else pending.pop(0)
        items.append(item)
        made.add(item.target)
    for w in wide:
        if w.target not in made:
            items.append(w)
            made.add(w.target)
    return _Branch(tuple(items), put[-1])


class ReplaySource:
    """Writes the kernel for a step and the coefficients that move."""

    def __init__(self, s: Step, moving: tuple[str, ...]) -> None:
        self.step = s
        self.moving = [symbol(n) for n in moving]
        self.column = {c: k for k, c in enumerate(self.moving)}
        to_new = {symbol(n): newest(n) for n in s.states}
        rate = sympy.expand_log(sympy.log(s.hazard), force=True).subs(MARGIN, s.margin)
        self.outcome = rate.xreplace(to_new)
        group = set(self.moving)
        self.free = _branch(s, s.advance, self.outcome, group)
        self.held = self.free if s.advance_held == s.advance else _branch(s, s.advance_held, self.outcome, group)
        self.jump = tuple((n, e) for n, e in s.jump)
        self.active = self._active()
        self.rows = {n: i for i, n in enumerate(self.active)}

    def _active(self) -> tuple[str, ...]:
        """States whose value depends on a moving coefficient."""
        group = set(self.moving)
        active: set[str] = set()
        rests = dict(zip(self.step.states, self.step.rest, strict=True))
        while True:
            live = {symbol(n) for n in active} | {newest(n) for n in active}
            new = set()
            for branch in (self.free, self.held):
                made = set(live)
                for item in branch.items:
                    if item.expression.free_symbols & (group | made):
                        made.add(item.target)
                new |= {n for n in self.step.states if newest(n) in made}
            new |= {n for n, e in self.jump if e.free_symbols & (group | live)}
            new |= {n for n, e in rests.items() if sympy.sympify(e).free_symbols & group}
            if new <= active:
                return tuple(n for n in self.step.states if n in active)
            active |= new

    # the layout of `work`: state rows, then per branch the source rows of items, then the outcome's source row

    def write(self, name: str) -> str:
        """A kernel as module source: ``"value"`` (log-likelihood, log rates) or ``"fisher"``.

        With ``_voltage`` behind: the log-likelihood of the recorded voltage is added to that of the spikes.
        """
        return _HEADER + self._kernel(name, tangents=name.startswith("fisher"), voltage=name.endswith("_voltage"))

    def _kernel(self, name: str, *, tangents: bool, voltage: bool) -> str:
        s = self.step
        extra = ", grad, gram, width, work, buffer, slope" if tangents else ", rates"
        extra += (", potential, watch, keep, precision" + ("" if tangents else ", misses")) if voltage else ""
        lines = ["", "", "@compiled(nogil=True, error_model='numpy', fastmath={'contract'})",
                 f"def {name}(coefs, current, spikes, use, n_ref, log_dt, slow, weights{extra}):"]  # fmt: skip
        body = [f"{c} = coefs[{k}]" for k, c in enumerate(s.coefs)]
        body += [f"{n} = {printed(e)} + 0.0" for n, e in zip(s.states, s.rest, strict=True)]
        body += ["hold = 0", "total = 0.0"]
        body += ["before = 0.0"] if voltage else []
        if tangents:
            body += self._tangent_setup()
        body += ["for t in range(current.shape[0]):"]
        loop = [f"{n} = current[t, {k}]" for k, n in enumerate(s.inputs)]
        if self.held is self.free:
            loop += self._advance(self.free, tangents, 0)
        else:
            loop += ["if hold > 0:", *_indent(self._advance(self.held, tangents, 1)), "else:",
                     *_indent(self._advance(self.free, tangents, 0))]  # fmt: skip
        loop += ["for j in range(weights.shape[0]):", "    rate += weights[j] * slow[t, j]"]
        if tangents:
            loop += ["for j in range(weights.shape[0]):", f"    slope[{len(self.moving)} + j] = slow[t, j]"]
        loop += ["if rate > 12.0:", "    rate = 12.0", "clipped = rate + log_dt", "expected = exp(clipped)"]
        loop += ["if use[t] and hold == 0:", *_indent(self._collect(tangents))]
        if voltage:
            loop += ["if watch[t]:", *_indent(self._observe(tangents))]
        loop += ["if hold > 0:", "    hold -= 1"]
        loop += ["if spikes[t]:", *_indent([*self._spike(tangents), "hold = n_ref"])]
        if not tangents:
            loop += ["rates[t] = rate"]
        body += _indent(loop)
        if tangents:
            body += ["if filled > 0:", "    part = buffer[:filled]", "    gram += part.T @ part"]
        body += ["return total"]
        return "\n".join([*lines, *_indent(body)]) + "\n"

    @property
    def memory(self) -> int:
        """Numbers of `work`, which the caller of ``"fisher"`` provides: allocating inside costs compile time."""
        return (len(self.active) + len(self.free.items) + len(self.held.items) + 3) * max(len(self.moving), 1)

    def _tangent_setup(self) -> list[str]:
        nc = max(len(self.moving), 1)
        setup = [
            "filled = 0",
            f"for k in range({self.memory}):",
            "    work[k] = 0.0",
        ]
        for n, e in zip(self.step.states, self.step.rest, strict=True):
            for c in sorted(sympy.sympify(e).free_symbols & set(self.moving), key=str):
                setup.append(f"work[{self.rows[n] * nc + self.column[c]}] = {printed(sympy.diff(e, c))}")
        return setup

    def _advance(self, branch: _Branch, tangents: bool, which: int) -> list[str]:
        values = []
        for item in branch.items:
            values.append(f"{item.target} = {printed(item.expression)}")
        values.append(f"rate = {printed(branch.outcome)}")
        if tangents:
            values += self._tangents(branch, which)
        return [*values, *(f"{n} = {newest(n)}" for n in self.step.states)]

    def _tangents(self, branch: _Branch, which: int) -> list[str]:
        nc = max(len(self.moving), 1)
        base = len(self.active) + (len(self.free.items) + 1 if which else 0)
        stores, sums, back = [], [], []
        names: dict[sympy.Symbol, str] = {symbol(n): f"d_{n}" for n in self.active}
        scalars: list[tuple[str, sympy.Expr]] = []
        loads = [f"d_{n} = work[{self.rows[n] * nc} + k]" for n in self.active]
        targets = [*((i.target, i.expression) for i in branch.items), (None, branch.outcome)]
        for place, (target, e) in enumerate(targets):
            terms: list[str] = []
            for v in sorted(e.free_symbols & set(names), key=str):
                scalars.append((f"j_{place}_{len(terms)}", sympy.diff(e, v)))
                terms.append(f"j_{place}_{len(terms)} * {names[v]}")
            sources = sorted(e.free_symbols & set(self.moving), key=str)
            for c in sources:
                scalars.append((f"work[{(base + place) * nc + self.column[c]}]", sympy.diff(e, c)))
            if sources:
                terms.append(f"work[{(base + place) * nc} + k]")
            if not terms:
                continue
            label = "slope[k]" if target is None else f"e_{target}"
            sums.append(f"{label} = {' + '.join(terms)}")
            if target is not None:
                names[target] = f"e_{target}"
        for n in self.active:
            if newest(n) in names:
                back.append(f"work[{self.rows[n] * nc} + k] = {names[newest(n)]}")
            else:
                back.append(f"work[{self.rows[n] * nc} + k] = 0.0")
        common, reduced = sympy.cse([e for _, e in scalars], symbols=sympy.numbered_symbols("part_", real=True))
        stores += [f"{v} = {printed(e)}" for v, e in common]
        stores += [f"{label} = {printed(e)}" for (label, _), e in zip(scalars, reduced, strict=True)]
        return [*stores, "for k in range(width):", *_indent([*loads, *sums, *back])]

    def _collect(self, tangents: bool) -> list[str]:
        """Add the bin to the log-likelihood; with tangents also to gradient and Fisher information."""
        chance = ["count = float(use[t])", "if spikes[t]:", "    gone = -expm1(-expected)",
                  "    total += count * log(gone + 1e-300)", "else:", "    total -= count * expected"]  # fmt: skip
        if not tangents:
            return chance
        return [
            *chance,
            "pull = count * (expected * exp(-expected) / gone if spikes[t] else -expected)",
            "weight = count * (expected * expected / expm1(expected) if expected > 1e-8 else expected)",
            "if rate >= 12.0:",
            "    weight = 0.0",
            "    pull = 0.0",
            "for k in range(width + weights.shape[0]):",
            "    grad[k] += pull * slope[k]",
            "if weight > 1e-9:",
            "    scale = sqrt(weight)",
            "    for k in range(width + weights.shape[0]):",
            "        buffer[filled, k] = scale * slope[k]",
            *_indent(_FILLED),
        ]

    def _observe(self, tangents: bool) -> list[str]:
        """Add a watched sample of the voltage: the part of its error that the one before does not foretell.

        ``watch`` is 1 for the first sample of a stretch, which is drawn from the noise's own distribution, 2 for one
        that follows another.
        """
        lines = [f"miss = potential[t] - {POTENTIAL}", "share = keep if watch[t] == 2 else 0.0",
                 "sure = use[t] * precision * (1.0 if watch[t] == 2 else 1.0 - keep * keep)",
                 "error = miss - share * before", "before = miss", "total -= 0.5 * sure * error * error"]  # fmt: skip
        if not tangents:
            return [*lines, "misses[t] = miss"]
        if POTENTIAL not in self.rows:
            return lines
        nc = max(len(self.moving), 1)
        row, past = self.rows[POTENTIAL] * nc, self.memory - nc
        return [
            *lines,
            "scale = sqrt(sure)",
            "for k in range(width):",
            f"    now = work[{row} + k]",
            f"    moved = now - share * work[{past} + k]",
            f"    work[{past} + k] = now",
            "    grad[k] += sure * error * moved",
            "    buffer[filled, k] = scale * moved",
            "for k in range(weights.shape[0]):",
            "    buffer[filled, width + k] = 0.0",
            *_FILLED,
        ]

    def _spike(self, tangents: bool) -> list[str]:
        lines = []
        nc = max(len(self.moving), 1)
        if tangents:
            loads = [f"d_{n} = work[{self.rows[n] * nc} + k]" for n in self.active]
            sums, stores = [], []
            for n, e in self.jump:
                if n not in self.rows:
                    continue
                reads = sorted(e.free_symbols & {symbol(m) for m in self.active}, key=str)
                terms = [f"({printed(sympy.diff(e, v))}) * d_{v}" for v in reads]
                sums.append(f"work[{self.rows[n] * nc} + k] = {' + '.join(terms) or '0.0'}")
                for c in sorted(e.free_symbols & set(self.moving), key=str):
                    stores.append(f"work[{self.rows[n] * nc + self.column[c]}] += {printed(sympy.diff(e, c))}")
            if sums:
                lines += ["for k in range(width):", *_indent([*loads, *sums])]
            lines += stores
        lines += [f"after_{n} = {printed(e)}" for n, e in self.jump]
        lines += [f"{n} = after_{n}" for n, _ in self.jump]
        return lines


def _indent(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]
