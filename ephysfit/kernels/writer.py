"""Kernel texts from a neuron's pieces: forward, reverse and tangent templates filled for one variant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sympy

from ephysfit.errors import SimulationError
from ephysfit.kernels import signature, templates
from ephysfit.kernels.expressions import Definition, Printer
from ephysfit.kernels.step_algebra import AT_MARGIN, RATE, SLOPE, SOURCE, WEIGHT, Pieces, Row, U, names, pieces
from ephysfit.neuron.symbols import symbol

if TYPE_CHECKING:
    from ephysfit.kernels.variant import Variant
    from ephysfit.neuron.declare import Neuron

WINDOWS = {
    "triangle": ["z = one - fabs(u) * sharp", "slope = where(z > zero, z, zero) * sharp"],
    "box": ["slope = where(fabs(u) * sharp <= one, half, zero) * sharp"],
    "survival": ["z = u * sharp", "slope = exp(z - exp(z)) * sharp"],
    "fast_sigmoid": ["z = fma(fabs(u), sharp, one)", "slope = half * sharp / (z * z)"],
}

#: log of the highest hazard (per ms) a likelihood counts with: at e^12 per ms every bin holds a spike
HIGHEST = 12.0
#: bins that weigh less in the information are left out: most bins of a silent neuron do, and each costs a row of the
#: matrix product
FAINT = 1e-9
#: the columns of a row of derivatives are filled up to whole vectors, so that loops over them end without a remainder
LINE = 4
#: what keeps the logarithm of a spike's probability finite, far below any that counts: 1e-30 is felt from 1e-20 on
TINY = {"float32": 1e-30, "float64": 1e-300}


class Writer:
    """Lines for the slots of one kernel."""

    def __init__(self, p: Pieces, v: Variant) -> None:
        self.p, self.v, self.printer = p, v, Printer()

    def lanewise(self) -> str:
        return "" if self.v.shared else " * LANES"

    def dense(self, scratch: str, slot: str) -> str:
        """A value per step that is shared by the tile or one per lane."""
        return f"splat({scratch}[{slot}])" if self.v.shared else f"load({scratch}, ({slot}) * LANES)"

    def coefs(self) -> list[str]:
        return [f"c{k} = load(coefs, {k} * rows + row)" for k in range(self.p.coefs)]

    def rest(self) -> list[str]:
        return self.printer.program(list(zip(self.p.x, self.p.rest, strict=True)))

    def input(self) -> list[str]:
        if self.v.shared:
            return [f"i{k} = splat(F(current[a, {k}, t0 + q]))" for k in range(self.p.inputs)]
        return [f"i{k} = load(drive, (q * INPUTS + {k}) * LANES)" for k in range(self.p.inputs)]

    def fill(self) -> list[str]:
        lines = ["a = source[row]"] if self.v.shared else []
        for k in range(0 if self.v.shared else self.p.inputs):
            lines += self.read("drive", "current", "source", "INPUTS", k)
        if self.v.trace or self.v.spikes == "forced":
            lines.append(f"mark(marks, {'1' if self.v.shared else 'LANES'}, marked, row, begin, at, t0, n)")
        return lines

    def read(self, scratch: str, array: str, rows: str, width: str, slot: int) -> list[str]:
        """A segment of every lane's own row into scratch, square by square."""
        return [
            f"begins(starts, LANES, {rows}, row, {array}, {slot})",
            "for l in range(LANES):",
            "    starts[l] += t0",
            "for q in range(0, n - SQUARE + 1, SQUARE):",
            f"    turn({array}_flat, starts, {scratch}, (q * {width} + {slot}) * LANES, {width} * LANES)",
            "    for l in range(LANES):",
            "        starts[l] += SQUARE",
            f"rest_of({scratch}, LANES, {width}, {slot}, {array}_flat, starts, n - n % SQUARE, n)",
        ]

    def step(self) -> list[str]:
        """From the states entering a step to the flag of a spike; the same text forward and in the recomputation."""
        advance = [*self.p.advance(), (U, self.p.margin)]
        return [
            *self.input(),
            "held = wake > splati(np.int32(t))",
            *self.printer.program(advance),
            *{"own": self._own, "forced": self._forced, "drawn": self._drawn}[self.v.spikes](),
        ]

    def _own(self) -> list[str]:
        return ["s = both(u >= zero, no(held))"]

    def _forced(self) -> list[str]:
        return [f"s = {self.dense('marks', 'q')} > half"]

    def hazard(self) -> sympy.Expr:
        """Of the margin ``u``, the states after the flow and the coefficients."""
        if self.p.hazard is None:
            raise SimulationError("escape noise needs a hazard(self, u), which this neuron does not declare")
        return self.p.hazard

    def expected(self) -> list[str]:
        """``expected``: spikes expected in this step, as `replay` counts them."""
        highest = self.printer.constant(float(np.exp(HIGHEST)))
        return [
            *self.printer.program([(RATE, self.hazard())]),
            f"high = rate >= {highest}",
            f"expected = where(high, {highest}, rate) * dt",
        ]

    def _drawn(self) -> list[str]:
        sharpened = self.hazard().xreplace({U: symbol("z")})
        return [
            "z = beta * (u - offset)",
            *self.printer.program([(RATE, sharpened)]),
            "total = total + where(held, zero, rate * dt)",
            "s = both(total >= limit, no(held))",
        ]

    def spike(self) -> list[str]:
        changed = [(k, f"y{k} = where(s, j{k}, y{k})") for k, j in enumerate(self.p.jump) if j != self.p.y[k]]
        lines = ["wake = where(s, splati(np.int32(t + 1)) + nref, wake)", *self.printer.program(self.p.jumps())]
        lines += [line for _, line in changed]
        if self.v.trace:
            lines.append("e = e + where(s, one, zero)")
        return lines

    def surprise(self) -> list[str]:
        """At a spike: the log of its probability instead of minus the spikes expected."""
        if not self.v.escape:
            return []
        tiny = self.printer.constant(TINY[self.v.element])
        return [
            f"chance = expected + log(fma(expected, phi1(-expected), {tiny}))",
            "square = square + where(both(s, no(held)), chance, zero)",
        ]

    def next_threshold(self) -> list[str]:
        if self.v.spikes != "drawn":
            return []
        return [
            "total = where(s, zero, total)",
            "store(line, 0, limit)",
            "for l in range(LANES):",
            "    if (m >> l) & 1:",
            "        drawn[l] = min(drawn[l] + 1, thresholds.shape[1] - 1)",
            "        line[l] = thresholds[drawing[row + l], drawn[l]]",
            "limit = load(line, 0)",
        ]

    def settle(self) -> list[str]:
        return [f"x{k} = y{k}" for k in range(len(self.p.states))]

    def trace_begin(self) -> list[str]:
        return ["e = zero"] if self.v.trace else []

    def resume(self) -> list[str]:
        if not self.v.resume:
            return []
        states = [f"{x} = load(start, {k} * rows + row)" for k, x in enumerate(self.state_slots())]
        return [*states, "wake = loadi(awake, row)"]

    def trace_decay(self) -> list[str]:
        return [f"e = fma(e, kappa, -{self.dense('marks', 'q')})"] if self.v.trace else []

    def add(self, vector: str, to: str) -> list[str]:
        """Add a vector's lanes to float64 sums."""
        return [f"store(line, 0, {vector})", "for l in range(LANES):", f"    {to} += line[l]"]

    def spread(self, vector: str, place: str) -> list[str]:
        """Put a vector's lanes (`place` says where, by lane ``l``) into memory of which they are no neighbours."""
        if self.v.lanes == 1:
            return [f"{place.format(l=0)} = {vector}"]
        return [f"store(line, 0, {vector})", "for l in range(LANES):", f"    {place.format(l='l')} = line[l]"]

    def woven(self, kernel: str, filled: dict[str, list[str]]) -> str:
        """The text of a kernel whose slots are filled."""
        slots = {**filled, "head": signature.head(kernel), "constants": self.printer.preamble()}
        return templates.weave(templates.TEXTS[kernel], slots)

    def state_slots(self) -> list[str]:
        return [f"x{k}" for k in range(len(self.p.states))] + (["e"] if self.v.trace else [])


def weave_forward(w: Writer) -> str:
    """The forward kernel's text."""
    v, slots = w.v, w.state_slots()
    summed = v.trace or v.escape
    stored = [f"store(kept, (part * {len(slots)} + {k}) * rows + row, {x})" for k, x in enumerate(slots)]
    lanes = "for l in range(LANES):"
    first = ["total = zero", lanes, "    drawn[l] = 0", "    line[l] = thresholds[drawing[row + l], 0]",
             "limit = load(line, 0)"]  # fmt: skip
    for name, place in (("beta", "3"), ("offset", "3 + rows")):
        first += [lanes, f"    line[l] = numbers[{place} + row + l]", f"{name} = load(line, 0)"]
    saved = {-1: "u", **{k: f"x{k}" for k in range(len(w.p.states))}}
    filled = {
        "coefs": w.coefs(),
        "rest": w.rest(),
        "begin": (first if v.spikes == "drawn" else []) + w.trace_begin() + w.resume(),
        "keep": [*stored, "storei(woken, part * rows + row, wake)"] if v.keep else [],
        "fill": w.fill() + (["square = zero"] if summed else []),
        "step": w.step() + w.trace_decay() + (w.expected() if v.escape else []),
        "spike": w.surprise() + w.spike() + w.next_threshold(),
        "settle": w.settle(),
        "trace": (["square = fma(e, e, square)"] if v.trace else [])
        + (["square = square - where(held, zero, expected)"] if v.escape else []),
        "save": [
            line
            for k, name in enumerate(v.save)
            for line in (f"store(line, 0, {saved[name]})",
                         f"for l in range(LANES):\n{' ' * 20}saved[row + l, {k}, t] = line[l]")
        ],
        "flush": w.add("square", "loss[row + l]") if summed else [],
    }  # fmt: skip
    filled["final"] = [f"store(final, {k} * rows + row, {x})" for k, x in enumerate(slots)]
    return w.woven("forward", filled)


def weave_reverse(w: Writer) -> str:
    """The reverse kernel's text."""
    back = _Back(w)
    filled = {
        "coefs": w.coefs(),
        "zero": back.zero(),
        "earlier": back.earlier(),
        "restore": back.restore(),
        "fill": back.fill(),
        "enter": [f"store(entered, {back.entry(k)}, x{k})" for k in back.states],
        "step": w.step() + w.trace_decay(),
        "spike": w.spike(),
        "settle": w.settle(),
        "trace": ["store(asked, q * LANES, e + e)"] if w.v.source == "trace" else [],
        "gather": back.gather(),
        "input": w.input(),
        "entered": [f"x{k} = load(entered, {back.entry(k)})" for k in back.states],
        "source": _source(w),
        "unjump": back.unjump(),
        "reverse": back.step(),
        "flush": back.flush(),
        "rest": back.rest(),
    }
    return w.woven("reverse", filled)


class _Back:
    """What is particular to the way back: derivatives ``l`` of the states, gains ``g`` of coefficients."""

    def __init__(self, w: Writer) -> None:
        self.w, self.p, self.v = w, w.p, w.v
        self.states = range(len(w.p.states))
        self.before_jump, self.jump_gains = w.p.before_jump()
        self.back, self.gains, self.drives = w.p.reverse()
        self.direct, self.direct_gains = w.p.by_hazard() if w.v.source == "escape" else ([], [])
        self.gained = sorted({k for k, _ in (*self.gains, *self.jump_gains, *self.direct_gains)})
        self.carried = [f"l{k}" for k in self.states] + (["pull"] if w.v.source == "trace" else [])

    def zero(self) -> list[str]:
        start = "load(later, {} * rows + row)" if self.v.resume else "zero"
        return [f"{l} = {start.format(k)}" for k, l in enumerate(self.carried)]

    def earlier(self) -> list[str]:
        """At the beginning of a row; what begins at rest goes on to the coefficients of the rest."""
        out = [f"store(earlier, {k} * rows + row, {l})" for k, l in enumerate(self.carried)]
        return out + ([f"l{k} = l{k} * load(first, row)" for k in self.states] if self.v.resume else [])

    def restore(self) -> list[str]:
        slots = self.w.state_slots()
        out = [f"{x} = load(kept, (part * {len(slots)} + {k}) * rows + row)" for k, x in enumerate(slots)]
        return [*out, "wake = loadi(woken, part * rows + row)"]

    def fill(self) -> list[str]:
        dense = self.v.source in ("spikes", "margins")
        return self.w.fill() + (self.w.read("asked", "dense", "own", "1", 0) if dense else [])

    def entry(self, k: int) -> str:
        return f"(q * STATES + {k}) * LANES"

    def gather(self) -> list[str]:
        return [f"g{k} = zero" for k in self.gained]

    def gaining(self, gains: list[tuple[int, sympy.Expr]]) -> list[tuple[sympy.Symbol, sympy.Expr]]:
        return [(symbol(f"g{k}"), symbol(f"g{k}") + e) for k, e in gains]

    def settle(self) -> list[str]:
        return [f"l{k} = n{k}" for k in self.states]

    def unjump(self) -> list[str]:
        return self.w.printer.program([*self.before_jump, *self.gaining(self.jump_gains)]) + self.settle()

    def step(self) -> list[str]:
        push = [(symbol(f"push{k}"), e) for k, e in enumerate(self.drives)] if self.v.drive else []
        direct = self.w.printer.program([*self.direct, *self.gaining(self.direct_gains)])
        direct += [f"l{s.name[1:]} = {s.name}" for s, _ in self.direct]
        back = self.w.printer.program([*self.back, *self.gaining(self.gains), *push]) + self.settle()
        return direct + back + [f"store(pushed, (q * INPUTS + {k}) * LANES, push{k})" for k in range(len(push))]

    def add(self, k: int) -> list[str]:
        return self.w.add(f"g{k}", f"total[{k} * LANES + l]")

    def flush(self) -> list[str]:
        driven = range(len(self.drives)) if self.v.drive else ()
        spill = [f"spill(pushed, LANES, INPUTS, {k}, row, driven, t0, n)" for k in driven]
        return [line for k in self.gained for line in self.add(k)] + spill

    def rest(self) -> list[str]:
        """What coefficients gain through the states a row begins with."""
        l = names("l", len(self.states))
        gains = [sympy.Add(*(a * sympy.diff(r, c) for a, r in zip(l, self.p.rest, strict=True))) for c in self.p.c]
        active = [(symbol(f"g{k}"), e) for k, e in enumerate(gains) if e != 0]
        return self.w.printer.program(active) + [line for s, _ in active for line in self.add(int(s.name[1:]))]


def weave_tangent(w: Writer) -> str:
    """The forward-mode kernel's text."""
    p, v = w.p, w.v
    t = p.tangents(v.detach)
    first, flow, margin, jump = ([(s, e) for s, e in part] for part in t.parts)
    pairs = [(a, b) for n, a in enumerate(t.active) for b in t.active[n:]]
    filled = {
        "coefs": w.coefs(),
        "rest": [*w.rest(), *w.printer.program(first)],
        "begin": ["e = zero", *[f"d{k} = zero" for k in t.active]],
        "fill": w.fill(),
        "gather": ["square = zero", *[f"g{k} = zero" for k in t.active], *[f"h{a}_{b} = zero" for a, b in pairs]],
        "step": [*w.step(), *w.trace_decay(), *w.printer.program(flow)],
        "slope": [*WINDOWS[v.window], "slope = where(held, zero, slope)", *w.printer.program(margin)],
        "falls": w.printer.program(p.falls()),
        "graph": w.printer.program(t.graph),
        "spike": [*w.printer.program(jump), *[f"z{s.name[1:]} = {s.name}" for s, _ in jump], *w.spike()],
        "settle": w.settle() + [f"t{i}_{k} = z{i}_{k}" for i in range(len(p.y)) for k in t.active],
        "sums": ["square = fma(e, e, square)"]
        + [f"d{k} = fma(d{k}, kappa, ds{k})" for k in t.active]
        + [f"g{k} = fma(e, d{k}, g{k})" for k in t.active]
        + [f"h{a}_{b} = fma(d{a}, d{b}, h{a}_{b})" for a, b in pairs],
        "flush": w.add("square", "loss[row + l]")
        + [line for k in t.active for line in w.add(f"g{k}", f"gradient[{k}, row + l]")]
        + [line for a, b in pairs for line in w.add(f"h{a}_{b}", f"matrix[{a}, {b}, row + l]")],
    }
    return w.woven("tangent", filled)


def _source(w: Writer) -> list[str]:
    """``at_margin``: the derivative of the loss by the margin of this step."""
    p, v = w.p, w.v
    if v.source == "escape":
        through_margin = sympy.diff(w.hazard(), U) * WEIGHT
        advance, expected = w.printer.program([*p.advance(), (U, p.margin)]), w.expected()
        tiny = w.printer.constant(TINY[v.element])
        return [
            *advance,
            *expected,
            f"spared = where(mask(m), one / fma(expected, phi1(expected), {tiny}), -one)",
            "weight = where(held, zero, where(high, zero, spared * dt))",
            *w.printer.program([(AT_MARGIN, through_margin)]),
        ]
    if v.source == "margins":
        return [*w.printer.program(p.advance()), "at_margin = load(asked, q * LANES)"]
    asked = ["pull = fma(pull, kappa, load(asked, q * LANES))"] if v.source == "trace" else []
    value = "pull" if v.source == "trace" else "load(asked, q * LANES)"
    through = [(AT_MARGIN, SLOPE * SOURCE)] if v.detach else p.through_reset()
    return [
        *w.printer.program([*p.advance(), (U, p.margin)]),
        *asked,
        f"asked_now = {value}",
        *WINDOWS[v.window],
        "slope = where(held, zero, slope)",
        *w.printer.program(through),
    ]


def weave_likelihood(w: Writer) -> str:
    """The text of the likelihood's kernel: value and log hazards."""
    return w.woven("likelihood", _Likelihood(w).slots())


def weave_information(w: Writer) -> str:
    """The text of the same with gradient and Fisher information."""
    information = _Information(w, w.v.moving)
    return information.sizes() + "\n" + w.woven("information", information.slots())


class _Likelihood:
    """The likelihood of given spikes: they are forced through the step, and every counted bin adds its share."""

    def __init__(self, w: Writer, moving: tuple[int, ...] = ()) -> None:
        w.hazard()
        self.w, self.p, self.v = w, w.p, w.v
        self.rows = w.p.rows(moving)

    def slots(self) -> dict[str, list[str]]:
        w, watched = self.w, self.v.voltage
        return {
            "coefs": w.coefs(),
            "rest": w.rest(),
            "begin": self.begin() + (["before = zero"] if watched else []),
            "input": [f"i{k} = splat(F(current[t, {k}]))" for k in range(self.p.inputs)],
            "step": self.step(),
            "cap": self.cap(),
            "save": self.save(),
            "count": self.count(),
            "observe": ["if watch[t] != 0:", *_indented(self.observe())] if watched else [],
            "spike": self.spike(),
            "settle": w.settle(),
            "multiply": self.multiply(),
            "flush": [*w.add("summed", "total[row + l]"), *self.flush()],
        }

    def begin(self) -> list[str]:
        return []

    def step(self) -> list[str]:
        return self.w.printer.program(self.rows.values)

    def cap(self) -> list[str]:
        highest = self.w.printer.constant(HIGHEST)
        return [f"high = rate >= {highest}", f"rate = where(high, {highest}, rate)"]

    def save(self) -> list[str]:
        return ["store(rates, t * rows + row, rate)"]

    def count(self) -> list[str]:
        """``1 - exp(-expected)`` is a spike's probability, ``exp(-expected)`` that of none."""
        tiny = self.w.printer.constant(TINY[self.v.element])
        return [
            "count = splat(F(counts[t]))",
            "if spikes[t] != 0:",
            f"    summed = fma(count, log(fma(expected, phi1(-expected), {tiny})), summed)",
            "else:",
            "    summed = fma(-count, expected, summed)",
            *self.learn(),
        ]

    def learn(self) -> list[str]:
        return []

    def observe(self) -> list[str]:
        """Add a watched sample of the voltage: the part of its error that the one before does not foretell.

        ``watch`` is 1 for the first sample of a stretch, which is drawn from the noise's own distribution, 2 for one
        that follows another.
        """
        return [
            f"miss = splat(F(potential[t])) - y{self.p.potential}",
            "share = keeps if watch[t] == 2 else F(0)",
            "sure = F(counts[t]) * precision * (F(1) if watch[t] == 2 else F(1) - keeps * keeps)",
            "error = fma(splat(-share), before, miss)",
            "before = miss",
            "summed = fma(splat(F(-0.5) * sure), error * error, summed)",
            *self.missed(),
        ]

    def missed(self) -> list[str]:
        return ["store(misses, t * rows + row, miss)"]

    def spike(self) -> list[str]:
        jumps = self.p.jumps()
        return [*self.w.printer.program(jumps), *(f"y{j.name[1:]} = {j.name}" for j, _ in jumps)]

    def multiply(self) -> list[str]:
        return []

    def flush(self) -> list[str]:
        return []


class _Information(_Likelihood):
    """The same with gradient and Fisher information: beside the values a row of derivatives of each goes along.

    ``work`` holds the rows that last (of states entering a step), then what coefficients do to each quantity in this
    step (``direct`` of a `Row`), then, with a voltage, the potential's row at the sample before. A bin adds its row of
    slopes of the log hazard, weighted by the root of its information, to a block; full blocks are multiplied with
    themselves, which a matrix product does faster than a sum over bins could.
    """

    def __init__(self, w: Writer, moving: tuple[int, ...]) -> None:
        super().__init__(w, moving)
        self.moving = len(moving)
        self.width = -(-max(len(moving), 1) // LINE) * LINE
        self.place = {self.p.x[k]: n for n, k in enumerate(self.rows.active)}
        for row in self.rows.flow:
            if row.direct:
                self.place[row.target] = len(self.place)
        self.before = len(self.place)

    def sizes(self) -> str:
        """Columns, their number filled up, and all numbers of ``work``, as a line of the module."""
        return f"MOVING, WIDTH, WORK = {self.moving}, {self.width}, {(self.before + 1) * self.width}"

    def at(self, row: int, column: str | int) -> str:
        first = row * self.width
        return f"{first + column} * LANES" if isinstance(column, int) else f"({first} + {column}) * LANES"

    def begin(self) -> list[str]:
        zeros = [x for a in ("work", "slope", "pulled") for x in (f"for k in range({a}.size):", f"    {a}[k] = F(0)")]
        steady = [d for d in self.direct(self.rows.flow) if _steady(d[1])]
        return [*zeros, "gathered = 0", *self.stored([*self.direct(self.rows.rest), *steady])]

    def direct(self, rows: tuple[Row, ...]) -> list[tuple[str, sympy.Expr]]:
        """What coefficients do, and where in ``work`` it goes."""
        return [(self.at(self.place[row.target], column), e) for row in rows for column, e in row.direct]

    def stored(self, direct: list[tuple[str, sympy.Expr]]) -> list[str]:
        slots = [(symbol(f"b{n}"), place, e) for n, (place, e) in enumerate(direct)]
        program = self.w.printer.program([(s, e) for s, _, e in slots])
        return [*program, *(f"store(work, {place}, {s.name})" for s, place, _ in slots)]

    def step(self) -> list[str]:
        changing = [d for d in self.direct(self.rows.flow) if not _steady(d[1])]
        slots = [(symbol(f"b{n}"), place, e) for n, (place, e) in enumerate(changing)]
        factors, loop = self.along(self.rows.flow)
        program = self.w.printer.program([*self.rows.values, *((s, e) for s, _, e in slots), *factors])
        made = {row.target for row in self.rows.flow}
        for x, y in zip(self.p.x, self.p.y, strict=True):
            if x in self.place:
                loop.append(f"store(work, {self.at(self.place[x], 'k')}, {f'd{y}' if y in made else 'zero'})")
        loop.append(f"store(slope, k * LANES, {f'd{RATE}' if RATE in made else 'zero'})")
        loads = [f"d{self.p.x[k]} = load(work, {self.at(n, 'k')})" for n, k in enumerate(self.rows.active)]
        stores = [f"store(work, {place}, {s.name})" for s, place, _ in slots]
        return [*program, *stores, "for k in range(WIDTH):", *_indented([*loads, *loop])]

    def along(self, rows: tuple[Row, ...]) -> tuple[list[Definition], list[str]]:
        """Factors of the chain rule, and the lines of a loop that puts rows together with them."""
        factors, loop = [], []
        for m, row in enumerate(rows):
            place = self.place.get(row.target)
            total = "" if place is None or not row.direct else f"load(work, {self.at(place, 'k')})"
            for n, (read, e) in enumerate(row.chain):
                factor = symbol(f"p{m}_{n}")
                if e == 1:
                    total = f"({total} + d{read})" if total else f"d{read}"
                elif e == -1:
                    total = f"({total} - d{read})" if total else f"(-d{read})"
                else:
                    factors.append((factor, e))
                    total = f"fma({factor}, d{read}, {total})" if total else f"{factor} * d{read}"
            loop.append(f"d{row.target} = {total or 'zero'}")
        return factors, loop

    def spike(self) -> list[str]:
        """Rows first, for they read the states before the jump."""
        if not self.rows.jump:
            return super().spike()
        factors, loop = self.along(self.rows.jump)
        row_of = lambda s: self.place[symbol(f"x{s.name[1:]}")]  # noqa: E731
        reads = sorted({read for row in self.rows.jump for read, _ in row.chain}, key=str)
        loads = [f"d{y} = load(work, {self.at(row_of(y), 'k')})" for y in reads]
        stores = [f"store(work, {self.at(row_of(row.target), 'k')}, d{row.target})" for row in self.rows.jump]
        direct = [(self.at(row_of(row.target), column), e) for row in self.rows.jump for column, e in row.direct]
        slots = [(symbol(f"b{n}"), place, e) for n, (place, e) in enumerate(direct)]
        return [
            *self.w.printer.program([*factors, *((s, e) for s, _, e in slots)]),
            "for k in range(WIDTH):",
            *_indented([*loads, *loop, *stores]),
            *(f"store(work, {place}, load(work, {place}) + {s.name})" for s, place, _ in slots),
            *super().spike(),
        ]

    def save(self) -> list[str]:
        return []

    def learn(self) -> list[str]:
        """A spike pulls by ``expected exp(-expected) / (1 - exp(-expected))``, which is ``1 / phi1(expected)``."""
        faint = self.w.printer.constant(FAINT)
        return [
            "portion = phi1(expected)",
            "pull = where(high, zero, count / portion if spikes[t] != 0 else -count * expected)",
            "weight = where(high, zero, count * expected / portion)",
            "for k in range(WIDTH):",
            "    store(pulled, k * LANES, fma(pull, load(slope, k * LANES), load(pulled, k * LANES)))",
            "for j in range(drifts):",
            "    k = (WIDTH + j) * LANES",
            "    store(pulled, k, fma(pull, splat(F(slow[t, j])), load(pulled, k)))",
            f"if bits(weight > {faint}) != 0:",
            *_indented(["scale = sqrt(weight)", *self.gather("scale * splat(F(slow[t, j]))")]),
        ]

    def gather(self, drift: str) -> list[str]:
        """Add the row of slopes to the block."""
        return [
            "for k in range(MOVING):",
            *_indented(self.w.spread("scale * load(slope, k * LANES)", "block[{l}, gathered, k]")),
            "for j in range(drifts):",
            *_indented(self.w.spread(drift, "block[{l}, gathered, MOVING + j]")),
            "gathered += 1",
        ]

    def multiply(self) -> list[str]:
        """When there may be no room for what another step adds, or no other step: one place, compiled once."""
        return [
            "if gathered + 2 > block.shape[1] or t == current.shape[0] - 1:",
            "    for l in range(LANES):",
            "        add_products(block[l], gathered, product, information[row + l])",
            "    gathered = 0",
        ]

    def missed(self) -> list[str]:
        """The potential's row where it has one; its error hangs on the potential alone, so drift adds nothing."""
        row = self.place.get(symbol(f"x{self.p.potential}"))
        if row is None:
            return []
        now, past = self.at(row, "k"), self.at(self.before, "k")
        return [
            "scale = sqrt(splat(sure))",
            "pull = splat(sure) * error",
            "for k in range(WIDTH):",
            f"    now = load(work, {now})",
            f"    moved = fma(splat(-share), load(work, {past}), now)",
            f"    store(work, {past}, now)",
            "    store(slope, k * LANES, moved)",
            "    store(pulled, k * LANES, fma(pull, moved, load(pulled, k * LANES)))",
            *self.gather("zero"),
        ]

    def flush(self) -> list[str]:
        return [
            "for k in range(MOVING):",
            *_indented(self.w.add("load(pulled, k * LANES)", "gradient[k, row + l]")),
            "for j in range(drifts):",
            *_indented(self.w.add("load(pulled, (WIDTH + j) * LANES)", "gradient[MOVING + j, row + l]")),
        ]


def _steady(e: sympy.Expr) -> bool:
    """Whether an expression is of coefficients alone, and so the same in every step."""
    return all(s.name[0] == "c" for s in e.free_symbols)


def _indented(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


def woven(neuron: type[Neuron], kernel: str, variant: Variant) -> str:
    """The body of a kernel and the constants before it (`signature.KERNELS` names the kernels)."""
    p = pieces(neuron)
    weave = {
        "forward": weave_forward,
        "reverse": weave_reverse,
        "tangent": weave_tangent,
        "likelihood": weave_likelihood,
        "information": weave_information,
    }[kernel]
    sizes = f"INPUTS, STATES, COEFS = {p.inputs}, {len(p.states)}, {p.coefs}"
    return sizes + "\n" + weave(Writer(p, variant)) + "\n"
