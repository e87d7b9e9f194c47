"""Lines of code that several kernels share, one method for each slot of `templates` or part of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sympy

from ephysfit.errors import SimulationError
from ephysfit.kernels import signature, templates
from ephysfit.kernels.expressions import Printer
from ephysfit.kernels.step_algebra import RATE, Pieces, U
from ephysfit.neuron.symbols import symbol

if TYPE_CHECKING:
    from ephysfit.kernels.variant import Variant

#: lines of the surrogate's window, by its shape
WINDOWS = {
    "triangle": ["z = one - fabs(u) * sharp", "slope = where(z > zero, z, zero) * sharp"],
    "box": ["slope = where(fabs(u) * sharp <= one, half, zero) * sharp"],
    "survival": ["z = u * sharp", "slope = exp(z - exp(z)) * sharp"],
    "fast_sigmoid": ["z = fma(fabs(u), sharp, one)", "slope = half * sharp / (z * z)"],
}

#: log of the highest hazard (per ms) a likelihood counts with: at e^12 per ms every bin holds a spike
HIGHEST = 12.0
#: what keeps the logarithm of a spike's probability finite, far below any that counts: 1e-30 is felt from 1e-20 on
TINY = {"float32": 1e-30, "float64": 1e-300}


class SlotWriter:
    """Lines for the slots of one kernel."""

    def __init__(self, p: Pieces, v: Variant) -> None:
        self.p, self.v, self.printer = p, v, Printer()

    def dense(self, scratch: str, slot: str) -> str:
        """A value per step that is shared by the tile or one per lane."""
        return f"splat({scratch}[{slot}])" if self.v.shared else f"load({scratch}, ({slot}) * LANES)"

    def coefs(self) -> list[str]:
        """Load the coefficients of the tile's rows."""
        return [f"c{k} = load(coefs, {k} * rows + row)" for k in range(self.p.coefs)]

    def rest(self) -> list[str]:
        """States at the beginning of a run, at rest."""
        return self.printer.program(list(zip(self.p.x, self.p.rest, strict=True)))

    def input(self) -> list[str]:
        """The input of this step: one broadcast value, or each lane's own."""
        if self.v.shared:
            return [f"i{k} = splat(F(current[a, {k}, t0 + q]))" for k in range(self.p.inputs)]
        return [f"i{k} = load(drive, (q * INPUTS + {k}) * LANES)" for k in range(self.p.inputs)]

    def fill(self) -> list[str]:
        """Bring a segment of currents and marked events into scratch memory."""
        lines = ["a = source[row]"] if self.v.shared else []
        for k in range(0 if self.v.shared else self.p.inputs):
            lines += self.load_rows("drive", "current", "source", "INPUTS", k)
        if self.v.trace or self.v.spikes == "forced":
            lines.append(f"mark(marks, {'1' if self.v.shared else 'LANES'}, marked, row, begin, at, t0, n)")
        return lines

    def load_rows(self, scratch: str, array: str, rows: str, width: str, slot: int) -> list[str]:
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
        # marks are counts: a recorded train may hold two spikes in a step, which jumps once
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
        """The jump of the lanes that spike, and the end of their refractory period."""
        # all jumps are computed before a state is overwritten, because each reads the states before the jump
        changed = [(k, f"y{k} = where(s, j{k}, y{k})") for k, j in enumerate(self.p.jump) if j != self.p.y[k]]
        lines = ["wake = where(s, splati(np.int32(t + 1)) + nref, wake)", *self.printer.program(self.p.jumps())]
        lines += [line for _, line in changed]
        if self.v.trace:
            lines.append("e = e + where(s, one, zero)")
        return lines

    def log_probability(self) -> list[str]:
        """At a spike: the log of its probability instead of minus the spikes expected."""
        if not self.v.escape:
            return []
        tiny = self.printer.constant(TINY[self.v.element])
        return [
            f"chance = expected + log(fma(expected, phi1(-expected), {tiny}))",
            "square = square + where(both(s, no(held)), chance, zero)",
        ]

    def next_threshold(self) -> list[str]:
        """With escape noise, draw the next threshold of each lane that spiked."""
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
        """The states after the step become those that enter the next one."""
        return [f"x{k} = y{k}" for k in range(len(self.p.states))]

    def trace_begin(self) -> list[str]:
        """The van Rossum trace at the beginning of a run."""
        return ["e = zero"] if self.v.trace else []

    def resume(self) -> list[str]:
        """Begin at given states instead of at rest."""
        if not self.v.resume:
            return []
        states = [f"{x} = load(start, {k} * rows + row)" for k, x in enumerate(self.state_slots())]
        return [*states, "wake = loadi(awake, row)"]

    def trace_decay(self) -> list[str]:
        """One step of the van Rossum trace: decay, less the marked events."""
        return [f"e = fma(e, kappa, -{self.dense('marks', 'q')})"] if self.v.trace else []

    def add_lanes(self, vector: str, to: str) -> list[str]:
        """Add a vector's lanes to float64 sums, which keep the digits that float32 would lose over a long run."""
        return [f"store(line, 0, {vector})", "for l in range(LANES):", f"    {to} += line[l]"]

    def scatter_lanes(self, vector: str, place: str) -> list[str]:
        """Put a vector's lanes (`place` says where, by lane ``l``) into memory in which they are not adjacent."""
        if self.v.lanes == 1:
            return [f"{place.format(l=0)} = {vector}"]
        return [f"store(line, 0, {vector})", "for l in range(LANES):", f"    {place.format(l='l')} = line[l]"]

    def fill_template(self, kernel: str, filled: dict[str, list[str]], template: str = "") -> str:
        """The text of a kernel whose slots are filled; `template` where it is not the kernel's own."""
        slots = {**filled, "head": signature.head(kernel), "constants": self.printer.preamble()}
        return templates.fill_slots(templates.TEXTS[template or kernel], slots)

    def state_slots(self) -> list[str]:
        """Names of all that a checkpoint holds: the states, and the trace where there is one."""
        return [f"x{k}" for k in range(len(self.p.states))] + (["e"] if self.v.trace else [])


def indent(lines: list[str]) -> list[str]:
    """The lines one level deeper, as the body of a loop or branch."""
    return ["    " + line for line in lines]
