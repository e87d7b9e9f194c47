"""Text of the reverse kernel: back over a run, from checkpoint to checkpoint (`templates.REVERSE`)."""

from __future__ import annotations

import sympy

from ephysfit.kernels.slot_writer import TINY, WINDOWS, SlotWriter
from ephysfit.kernels.step_algebra import AT_MARGIN, SLOPE, SOURCE, WEIGHT, U, names
from ephysfit.neuron.symbols import symbol


def write_reverse(w: SlotWriter) -> str:
    """The reverse kernel's text."""
    back = ReverseSlots(w)
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
        "source": _write_source(w),
        "unjump": back.unjump(),
        "reverse": back.step(),
        "flush": back.flush(),
        "rest": back.rest(),
    }
    return w.fill_template("reverse", filled)


class ReverseSlots:
    """What only the backward run needs: derivatives ``l`` of the states, gains ``g`` of coefficients."""

    def __init__(self, w: SlotWriter) -> None:
        self.w, self.p, self.v = w, w.p, w.v
        self.states = range(len(w.p.states))
        self.before_jump, self.jump_gains = w.p.before_jump()
        self.back, self.gains, self.drives = w.p.reverse()
        self.direct, self.direct_gains = w.p.by_hazard() if w.v.source == "escape" else ([], [])
        self.gained = sorted({k for k, _ in (*self.gains, *self.jump_gains, *self.direct_gains)})
        self.carried = [f"l{k}" for k in self.states] + (["pull"] if w.v.source == "trace" else [])

    def zero(self) -> list[str]:
        """Derivatives with respect to the states after the last step: zero, or those of a later stretch."""
        start = "load(later, {} * rows + row)" if self.v.resume else "zero"
        return [f"{l} = {start.format(k)}" for k, l in enumerate(self.carried)]

    def earlier(self) -> list[str]:
        """Store the derivatives at a row's beginning; those of a row that begins at rest also reach the rest values."""
        out = [f"store(earlier, {k} * rows + row, {l})" for k, l in enumerate(self.carried)]
        return out + ([f"l{k} = l{k} * load(first, row)" for k in self.states] if self.v.resume else [])

    def restore(self) -> list[str]:
        """Load the checkpoint at which a segment begins."""
        slots = self.w.state_slots()
        out = [f"{x} = load(kept, (part * {len(slots)} + {k}) * rows + row)" for k, x in enumerate(slots)]
        return [*out, "wake = loadi(woken, part * rows + row)"]

    def fill(self) -> list[str]:
        """Bring a segment of currents, events and the derivative of the loss into scratch memory."""
        dense = self.v.source in ("spikes", "margins")
        return self.w.fill() + (self.w.load_rows("asked", "dense", "own", "1", 0) if dense else [])

    def entry(self, k: int) -> str:
        """Where the state k that entered step q is stored."""
        return f"(q * STATES + {k}) * LANES"

    def gather(self) -> list[str]:
        """Set the gains of the coefficients to zero at the beginning of a segment.

        Within a segment they are summed in the kernel's own precision, in registers; `flush` adds each segment's to a
        float64 sum, because a float32 sum over a whole run would lose digits.
        """
        return [f"g{k} = zero" for k in self.gained]

    def add_gains(self, gains: list[tuple[int, sympy.Expr]]) -> list[tuple[sympy.Symbol, sympy.Expr]]:
        """Definitions that add to the gains of some coefficients."""
        return [(symbol(f"g{k}"), symbol(f"g{k}") + e) for k, e in gains]

    def settle(self) -> list[str]:
        """The derivatives before this step become those after the step before."""
        return [f"l{k} = n{k}" for k in self.states]

    def unjump(self) -> list[str]:
        """Go back over a spike's jump."""
        return self.w.printer.program([*self.before_jump, *self.add_gains(self.jump_gains)]) + self.settle()

    def step(self) -> list[str]:
        """Go back over the flow of one step."""
        push = [(symbol(f"push{k}"), e) for k, e in enumerate(self.drives)] if self.v.drive else []
        direct = self.w.printer.program([*self.direct, *self.add_gains(self.direct_gains)])
        direct += [f"l{s.name[1:]} = {s.name}" for s, _ in self.direct]
        back = self.w.printer.program([*self.back, *self.add_gains(self.gains), *push]) + self.settle()
        return direct + back + [f"store(pushed, (q * INPUTS + {k}) * LANES, push{k})" for k in range(len(push))]

    def add(self, k: int) -> list[str]:
        """Add the gain of coefficient k to its float64 sum."""
        return self.w.add_lanes(f"g{k}", f"total[{k} * LANES + l]")

    def flush(self) -> list[str]:
        """At the end of a segment, add up the gains and write the derivatives with respect to the current."""
        driven = range(len(self.drives)) if self.v.drive else ()
        spill = [f"spill(pushed, LANES, INPUTS, {k}, row, driven, t0, n)" for k in driven]
        return [line for k in self.gained for line in self.add(k)] + spill

    def rest(self) -> list[str]:
        """What coefficients gain through the states a row begins with."""
        l = names("l", len(self.states))
        gains = [sympy.Add(*(a * sympy.diff(r, c) for a, r in zip(l, self.p.rest, strict=True))) for c in self.p.c]
        active = [(symbol(f"g{k}"), e) for k, e in enumerate(gains) if e != 0]
        return self.w.printer.program(active) + [line for s, _ in active for line in self.add(int(s.name[1:]))]


def _write_source(w: SlotWriter) -> list[str]:
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
