"""Text of the information of one row: phases as `segment_writer`, then the rows of derivatives, step by step.

What coefficients do to each quantity (``direct`` of a `Row`) is left by the phases where a step's columns lie side by
side. Most quantities depend on few coefficients: only columns in which a row can differ from 0 are computed.
"""

from __future__ import annotations

from itertools import groupby
from typing import ClassVar

import sympy

from ephysfit.kernels.expressions import Definition
from ephysfit.kernels.likelihood_writer import InformationSlots
from ephysfit.kernels.phases import Phase
from ephysfit.kernels.segment_writer import SegmentSlots
from ephysfit.kernels.slot_writer import SlotWriter, indent
from ephysfit.kernels.step_algebra import RATE, Row
from ephysfit.kernels.tile_memory import COLUMNS
from ephysfit.neuron.symbols import symbol

#: groups of `COLUMNS` columns in which a row may differ from 0
Support = frozenset[int]


def write_segmented_information(w: SlotWriter) -> str:
    """The text of the same with gradient and Fisher information."""
    return SegmentInformation(w).text()


class SegmentInformation(SegmentSlots):
    """The likelihood of given spikes with its gradient and information, a segment at a time."""

    kernel: ClassVar[str] = "information"
    #: derivatives are wider than values: fewer steps fill the same cache
    steps: ClassVar[int] = 64

    def __init__(self, w: SlotWriter) -> None:
        self.whole = whole = InformationSlots(w, w.v.moving)
        self.rows, self.width = whole.rows, whole.width
        self.made: list[Definition] = []
        self.factors: list[sympy.Symbol] = []
        self.support = self._find_support()
        super().__init__(w)

    def definitions(self) -> list[Definition]:
        """The step, what coefficients do in it, and the factors of the chain rule."""
        listed = [(row, column, e) for row in self.rows.flow for column, e in row.direct]
        direct = [(symbol(f"b{n}"), e) for n, (_, _, e) in enumerate(listed)]
        factors, _ = self.whole.apply_chain_rule(self.rows.flow)
        shared = self.w.printer.share([*self.rows.values, *direct, *factors])
        # what is a mere name for another quantity is kept under that one's
        asked = {s for s, _ in (*direct, *factors)}
        self.alias = {s: e for s, e in shared if s in asked and e.is_Symbol and not e.name.startswith(("c", "i"))}
        self.factors = [self.alias.get(s, s) for s, _ in factors]
        self.direct: dict[sympy.Symbol, list[tuple[sympy.Symbol, int]]] = {}
        for (row, column, _), (s, _) in zip(listed, direct, strict=True):
            self.direct.setdefault(self.alias.get(s, s), []).append((row.target, column))
        groups = sorted({(str(t), t, c // COLUMNS) for found in self.direct.values() for t, c in found}, key=str)
        self.groups = {(t, g): n for n, (_, t, g) in enumerate(groups)}
        return [(s, e) for s, e in shared if s not in self.alias]

    def wanted(self) -> list[sympy.Symbol]:
        """Direct derivatives, factors, and what the derivatives of a jump read."""
        return [*self.direct, *self.read_at_end()]

    def read_at_end(self) -> list[sympy.Symbol]:
        """Factors, and what the derivatives of a jump read."""
        jump = [e for row in self.rows.jump for _, e in (*row.chain, *row.direct)]
        return [*self.factors, *(s for e in jump for s in e.free_symbols)]

    def size(self) -> int:
        """Numbers kept of a segment."""
        return super().size() + len(self.groups) * COLUMNS * self.steps

    def text(self) -> str:
        """Sizes of the kernel's memory, and its text."""
        return f"WIDTH, WORK = {self.width}, {max(len(self.rows.active), 1) * self.width}\n{super().text()}"

    def slots(self) -> dict[str, list[str]]:
        """The lines of every slot of the template."""
        slots, whole = super().slots(), self.whole
        zeros = [x for a in ("work", "slope", "pulled") for x in (f"for k in range({a}.size):", f"    {a}[k] = F(0)")]
        rest = whole.store_derivatives(whole.direct(self.rows.rest))
        constant = {s for s, _ in self.divided.constant}
        fixed = [line for s in self.direct if s in constant for line in self._store_direct(s, str(s), q="")]
        size = len(self.groups) * COLUMNS
        every = ["for q in range(SEGMENT):", *indent([f"side = q * {size}", *fixed])] if fixed else []
        slots["begin"] = [
            *zeros, "columns = slope.size", "room = block.size // columns", "gathered = 0", "nil = spread(zero)",
            *rest, *slots["begin"], *every,
        ]  # fmt: skip
        slots["weigh"] = [
            "fired_columns = load_columns(ahead, FIRED, p)",
            "portion = phi1_columns(expected)",
            # a spike pulls by expected exp(-expected) / (1 - exp(-expected)), which is 1 / phi1(expected)
            "drawn = where(silent > nil, silent * expected, nil)",
            "lift = where(fired_columns > nil, fired_columns / portion, nil) - drawn",
            "store_columns(ahead, PULL, p, where(high, nil, lift))",
            "store_columns(ahead, WEIGHT, p, where(high, nil, (fired_columns + silent) * expected / portion))",
        ]
        slots["show"] = []
        slots["finish"] = [
            "t = t0 + q",
            *self.tangents(),
            *slots["finish"],
            *self.count(),
            *self.jump(),
            *whole.multiply(),
        ]
        slots["flush"] += whole.flush()
        return slots

    def count(self) -> list[str]:
        """Add the step to gradient and information, where it counts."""
        weighed = self.whole.add_row()
        return ["if fired + load_step(ahead, SILENT, q) > zero:", "    pull = load_step(ahead, PULL, q)",
                "    weight = load_step(ahead, WEIGHT, q)", *indent(weighed)]  # fmt: skip

    def at_end(self, s: sympy.Symbol) -> str:
        """Where a quantity is read when all phases are over."""
        return self.address(s).replace("at@", "q")

    def phase(self, phase: Phase) -> list[str]:
        """The loop of one phase; ``side`` is where the columns of its step lie."""
        head, *lines = super().phase(phase)
        number = self.divided.phases.index(phase)
        return [head, f"    side{number} = at{number} * {len(self.groups) * COLUMNS}", *lines]

    def jump(self) -> list[str]:
        """The rows after a spike; the states themselves jumped in their phases."""
        lines = self.whole.jump_rows()
        if not lines:
            return []
        read = {s for row in self.rows.jump for _, e in (*row.chain, *row.direct) for s in e.free_symbols}
        loads = [f"{s} = load_step(ahead, {self.at_end(s)})" for s in sorted(read & self.place.keys(), key=str)]
        return ["if spikes[t] != 0:", *indent([*loads, *lines])]

    def tangents(self) -> list[str]:
        """Rows of derivatives through one step: columns that are alike go together."""
        loaded = sorted({s for s in self.factors if s in self.place}, key=str)
        lines = [f"side = q * {len(self.groups) * COLUMNS}"] if self.groups else []
        lines += [f"{s}_here = spread(load_step(ahead, {self.at_end(s)}))" for s in loaded]
        bodies = [(g, self._columns(g)) for g in range(self.width // COLUMNS)]
        for body, found in groupby(bodies, key=lambda b: b[1]):
            groups = [g for g, _ in found]
            head = f"for k@ in range({groups[0] * COLUMNS}, {(groups[-1] + 1) * COLUMNS}, STRIDE):"
            loop = [head, *indent(list(body))] if body else []
            lines += [line.replace("@", f"_{groups[0]}") for line in loop]
        return lines

    def _columns(self, g: int) -> tuple[str, ...]:
        """The body of the loop over one group of columns."""
        out = []
        for n, k in enumerate(self.rows.active):
            if g in self.support[self.p_x(k)]:
                out.append(f"d{self.p_x(k)}@ = load_columns(work, {n * self.width}, k@)")
        for m, row in enumerate(self.rows.flow):
            if g in self.support[row.target]:
                out.append(f"d{row.target}@ = {self._write_derivatives(m, row, g)}")
        made = {row.target for row in self.rows.flow}
        for n, k in enumerate(self.rows.active):
            x, y = self.p_x(k), symbol(f"y{k}")
            if g in self.support[x]:
                value = f"d{y}@" if y in made and g in self.support[y] else "nil"
                out.append(f"store_columns(work, {n * self.width}, k@, {value})")
        if RATE in made and g in self.support[RATE]:
            out.append(f"store_columns(slope, 0, k@, d{RATE}@)")
        return tuple(out)

    def p_x(self, k: int) -> sympy.Symbol:
        """State k as it enters a step."""
        return symbol(f"x{k}")

    def _write_derivatives(self, m: int, row: Row, g: int) -> str:
        """A row of derivatives of one group of columns, as text."""
        total = ""
        if (row.target, g) in self.groups:
            first = super().size() + self.groups[row.target, g] * COLUMNS - g * COLUMNS
            total = f"load_columns(ahead, {first} + side, k@)"
        for n, (read, e) in enumerate(row.chain):
            if g not in self.support[read]:
                continue
            if e in (1, -1):
                sign = "+" if e == 1 else "-"
                total = f"({total} {sign} d{read}@)" if total else f"d{read}@" if e == 1 else f"(-d{read}@)"
                continue
            s = symbol(f"p{m}_{n}")
            s = self.alias.get(s, s)
            factor = f"{s}_here" if s in self.place else f"spread({s})"
            total = f"fma({factor}, d{read}@, {total})" if total else f"{factor} * d{read}@"
        return total or "nil"

    def _find_support(self) -> dict[sympy.Symbol, Support]:
        """Where rows can differ from 0: where coefficients act on them, and on what they follow from."""
        found: dict[sympy.Symbol, Support] = {}
        rows = [*self.rows.rest, *self.rows.flow, *self.rows.jump]
        follows = [(row.target, read) for row in rows for read, _ in row.chain]
        for k in self.rows.active:
            x, y, j = (symbol(f"{letter}{k}") for letter in "xyj")
            follows += [(x, y), (x, j)]
        names = {s for pair in follows for s in pair} | {row.target for row in rows}
        for s in names:
            direct = [c // COLUMNS for row in rows if row.target == s for c, _ in row.direct]
            found[s] = frozenset(direct)
        changed = True
        while changed:
            changed = False
            for target, read in follows:
                if not found[read] <= found[target]:
                    found[target], changed = found[target] | found[read], True
        return found

    def _store_direct(
        self, s: sympy.Symbol, value: str, write: str = "store_step(ahead, {place}, side@, {value})", q: str = "@"
    ) -> list[str]:
        """Put a direct derivative where the columns of its rows lie."""
        size, lines = len(self.groups) * COLUMNS, []
        for target, column in self.direct.get(s, []):
            place = super().size() + self.groups[target, column // COLUMNS] * COLUMNS + column % COLUMNS
            lines.append(write.replace("@", q).format(place=place, value=value, size=size))
        return lines

    def store_step(self, s: sympy.Symbol) -> list[str]:
        """Keep a quantity of one step."""
        return [*super().store_step(s), *self._store_direct(s, str(s))]

    def store_columns(self, s: sympy.Symbol, value: str) -> list[str]:
        """Keep a quantity of several steps."""
        write = "scatter_columns(ahead, {place} + side@, {size}, {value})"
        return [*super().store_columns(s, value), *self._store_direct(s, value, write)]
