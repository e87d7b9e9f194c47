"""Kernel source from a declaration, kept in a cache folder under its content's hash and compiled once per machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import sympy

from ephysfit.errors import SimulationError
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.symbols import symbol
from ephysfit.simulation import templates
from ephysfit.simulation.ahead import Order
from ephysfit.simulation.cache import module, written
from ephysfit.simulation.layout import vectors_work
from ephysfit.simulation.pieces import AT_MARGIN, RATE, SLOPE, SOURCE, WEIGHT, Pieces, U, names, pieces
from ephysfit.simulation.printing import Printer

WINDOWS = {
    "triangle": ["z = one - fabs(u) * sharp", "slope = where(z > zero, z, zero) * sharp"],
    "box": ["slope = where(fabs(u) * sharp <= one, half, zero) * sharp"],
    "survival": ["z = u * sharp", "slope = exp(z - exp(z)) * sharp"],
    "fast_sigmoid": ["z = fma(fabs(u), sharp, one)", "slope = half * sharp / (z * z)"],
}

#: log of the highest hazard (per ms) a likelihood counts with, as in `replay_source`
HIGHEST = 12.0
#: what keeps the logarithm of a spike's probability finite
TINY = 1e-30

#: what kernels call, of `vectors.floats` or `scalars.numbers`
EXPORTED = (
    "F", "LANES", "SQUARE", "load", "store", "loadi", "storei", "splat", "splati", "where", "bits", "lowest", "mask",
    "both", "no", "turn", "fma", "fabs", "sqrt", "log", "sin", "cos", "exp", "sigmoid", "softplus", "phi1", "dphi1",
    "tanh",
)  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """What a kernel is asked to do; each variant is compiled on its own, when first used.

    Attributes
    ----------
    element : str
        ``"float32"`` or ``"float64"``.
    lanes : int
        Rows in a tile; 1 is plain numbers.
    shared : bool
        The rows of a tile have one current (and one list of marked events).
    spikes : str
        ``"own"``, ``"forced"`` (recorded events replayed) or ``"drawn"`` (integrated hazard reaches a threshold).
    trace : bool
        Carry the filtered difference to the marked events (van Rossum).
    escape : bool
        Forward: add up the log-likelihood of the forced spikes.
    keep : bool
        Forward: write checkpoints.
    save : tuple of int
        Forward: states to write out at every step; -1 is the margin.
    source : str
        Reverse: ``"spikes"`` (dense dL/ds), ``"margins"`` (dense dL/du), ``"trace"`` or ``"escape"``.
    window, detach :
        Reverse: the surrogate's shape; whether the reset stays out of the graph.
    drive : bool
        Reverse: also the derivative with respect to the current.
    resume : bool
        Begin from given states (forward) or derivatives (reverse): rows are stretches of one record.
    """

    element: str = "float64"
    lanes: int = 1
    shared: bool = True
    spikes: str = "own"
    trace: bool = False
    escape: bool = False
    keep: bool = False
    save: tuple[int, ...] = ()
    source: str = "spikes"
    window: str = "triangle"
    detach: bool = False
    drive: bool = False
    resume: bool = False


class _Writer:
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
        tiny = self.printer.constant(TINY)
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

    def state_slots(self) -> list[str]:
        return [f"x{k}" for k in range(len(self.p.states))] + (["e"] if self.v.trace else [])

    def source_text(self, neuron: type[Neuron], kernel: str) -> str:
        body = {"forward": weave_forward, "reverse": weave_reverse, "tangent": weave_tangent}[kernel](self)
        vector = self.v.lanes > 1
        given = f'"{self.v.element}", {self.v.lanes}' if vector else f'"{self.v.element}", {not vectors_work()}'
        sizes = [f"INPUTS, STATES, COEFS = {self.p.inputs}, {len(self.p.states)}, {self.p.coefs}"]
        header = templates.HEADER.format(
            neuron=neuron.__name__,
            variant=self.v,
            library=library(),
            module="vectors" if vector else "scalars",
            factory="floats" if vector else "numbers",
            arguments=given,
            imports="\n".join([f"{n} = v.{n}" for n in EXPORTED] + sizes),
        )
        return header + body + "\n"


def weave_forward(w: _Writer) -> str:
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
    filled["constants"] = w.printer.preamble()
    return templates.weave(templates.FORWARD, filled)


def weave_reverse(w: _Writer) -> str:
    """The reverse kernel's text."""
    p, v, slots, d = w.p, w.v, w.state_slots(), len(w.p.states)
    unjump, jump_gains = p.before_jump()
    back, gains, drives = p.reverse()
    carried = [f"l{k}" for k in range(d)] + (["pull"] if v.source == "trace" else [])
    direct, direct_gains = p.by_hazard() if v.source == "escape" else ([], [])
    gained = sorted({k for k, _ in (*gains, *jump_gains, *direct_gains)})
    g = dict(enumerate(names("g", p.coefs)))
    by_rest = [sympy.Add(*(l * sympy.diff(r, c) for l, r in zip(names("l", d), p.rest, strict=True))) for c in p.c]
    rest = [(symbol(f"g{k}"), e) for k, e in enumerate(by_rest) if e != 0]
    add = lambda k: w.add(f"g{k}", f"total[{k} * LANES + l]")  # noqa: E731
    push = [(symbol(f"push{k}"), e) for k, e in enumerate(drives)] if v.drive else []
    filled = {
        "coefs": w.coefs(),
        "zero": [f"{l} = load(later, {k} * rows + row)" if v.resume else f"{l} = zero" for k, l in enumerate(carried)],
        "earlier": [f"store(earlier, {k} * rows + row, {l})" for k, l in enumerate(carried)]
        + [f"l{k} = l{k} * load(first, row)" for k in range(d if v.resume else 0)],
        "restore": [f"{x} = load(kept, (part * {len(slots)} + {k}) * rows + row)" for k, x in enumerate(slots)]
        + ["wake = loadi(woken, part * rows + row)"],
        "fill": w.fill() + (w.read("asked", "dense", "own", "1", 0) if v.source in ("spikes", "margins") else []),
        "enter": [f"store(entered, (q * STATES + {k}) * LANES, x{k})" for k in range(d)],
        "step": w.step() + w.trace_decay(),
        "spike": w.spike(),
        "settle": w.settle(),
        "trace": ["store(asked, q * LANES, e + e)"] if v.source == "trace" else [],
        "gather": [f"g{k} = zero" for k in gained],
        "input": w.input(),
        "entered": [f"x{k} = load(entered, (q * STATES + {k}) * LANES)" for k in range(d)],
        "source": _source(w),
        "unjump": w.printer.program([*unjump, *((g[k], g[k] + e) for k, e in jump_gains)])
        + [f"l{k} = n{k}" for k in range(d)],
        "reverse": w.printer.program([*direct, *((g[k], g[k] + e) for k, e in direct_gains)])
        + [f"l{s.name[1:]} = {s.name}" for s, _ in direct]
        + w.printer.program([*back, *((g[k], g[k] + e) for k, e in gains), *push])
        + [f"l{k} = n{k}" for k in range(d)]
        + [f"store(pushed, (q * INPUTS + {k}) * LANES, push{k})" for k in range(len(push))],
        "flush": [line for k in gained for line in add(k)]
        + [f"spill(pushed, LANES, INPUTS, {k}, row, driven, t0, n)" for k in range(len(push))],
        "rest": w.printer.program(rest) + [line for s, _ in rest for line in add(int(s.name[1:]))],
    }
    filled["constants"] = w.printer.preamble()
    return templates.weave(templates.REVERSE, filled)


def weave_tangent(w: _Writer) -> str:
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
    filled["constants"] = w.printer.preamble()
    return templates.weave(templates.TANGENT, filled)


def _source(w: _Writer) -> list[str]:
    """``at_margin``: the derivative of the loss by the margin of this step."""
    p, v = w.p, w.v
    if v.source == "escape":
        through_margin = sympy.diff(w.hazard(), U) * WEIGHT
        return [
            *w.printer.program([*p.advance(), (U, p.margin)]),
            *w.expected(),
            f"spared = where(mask(m), one / fma(expected, phi1(expected), {w.printer.constant(TINY)}), -one)",
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


@cache
def source(neuron: type[Neuron], kernel: str, variant: Variant) -> str:
    """Source of one kernel (``"forward"`` or ``"reverse"``) of a neuron class."""
    return _Writer(pieces(neuron), variant).source_text(neuron, kernel)


@cache
def kernel(neuron: type[Neuron], name: str, variant: Variant) -> Any:
    """The compiled kernel; its first call on a machine compiles it, later processes load it."""
    return getattr(module(name, source(neuron, name, variant)), name)


def order(neuron: type[Neuron], name: str, variant: Variant, current: str = "float64") -> Order:
    """What a worker needs to compile a kernel for currents of this type."""
    letter = {"float32": "f", "float64": "d"}
    types = templates.TYPES[name].replace("F", letter[variant.element]).replace("C", letter[current])
    return Order(written(name, source(neuron, name, variant)), name, types)


@cache
def library() -> str:
    """A hash of the code that kernels inline, so that a changed library never meets a stale kernel."""
    here = Path(__file__).parent
    texts = [(here / f"{m}.py").read_bytes() for m in ("vectors", "vectormath", "scalars", "rows")]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]
