"""Text of the likelihood of one row: a segment of steps in phases, exponentials of several steps in one vector."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import sympy

from ephysfit.kernels.expressions import Definition, Printer
from ephysfit.kernels.phases import Phase, divide_into_phases
from ephysfit.kernels.slot_writer import HIGHEST, TINY, SlotWriter, indent
from ephysfit.kernels.step_algebra import HELD, RATE
from ephysfit.kernels.tile_memory import OF_COLUMNS

#: steps that phases go over before the next one's turn: what they leave stays in the nearest cache
SEGMENT = 256
#: what every segment keeps beside the quantities of its phases
NAMED = ("RATE", "EXPECTED", "FIRED", "SILENT", "PULL", "WEIGHT")


@dataclass
class PhasePrinter(Printer):
    """Prints for one phase; `names` are what it calls quantities of its own, so that no name is assigned twice.

    Where it has a vector of steps (`columns`), what is not its own is one number for all of them.
    """

    names: dict[sympy.Symbol, str] = field(default_factory=dict)
    columns: bool = False

    def constant(self, value: float) -> str:
        name = super().constant(value)
        return f"spread({name})" if self.columns else name

    def text(self, e: sympy.Expr) -> str:
        """One expression."""
        if e.is_Symbol:
            return self.names.get(e) or (f"spread({e.name})" if self.columns else str(e.name))
        text = super().text(e)
        name = text.partition("(")[0]
        return f"{name}_columns{text[len(name) :]}" if self.columns and name in OF_COLUMNS else text


def write_segmented(w: SlotWriter) -> str:
    """The text of the likelihood's kernel for one row: value and log hazards."""
    return SegmentSlots(w).text()


class SegmentSlots:
    """The likelihood of given spikes, a segment at a time."""

    kernel: ClassVar[str] = "likelihood"
    steps: ClassVar[int] = SEGMENT

    def __init__(self, w: SlotWriter) -> None:
        w.hazard()
        self.w, self.p = w, w.p
        self.divided = divide_into_phases(self.definitions(), w.p, [RATE, *self.wanted()])
        made = {s for phase in self.divided.phases for s in phase.outputs}
        read = {s for phase in self.divided.phases for s in phase.read} | set(self.read_at_end())
        self.place = {s: k for k, s in enumerate(sorted(made & read - {RATE}, key=str))}

    def definitions(self) -> list[Definition]:
        """All that is computed in phases."""
        return self.w.printer.share(self.w.p.rows(()).values)

    def wanted(self) -> list[sympy.Symbol]:
        """What is read when all phases are over, besides the log hazard."""
        return []

    def read_at_end(self) -> list[sympy.Symbol]:
        """That part of it which is read as other phases read it."""
        return []

    def text(self) -> str:
        """Sizes of the kernel's memory, and its text."""
        slots, steps = self.slots(), self.steps
        places = [f"{name} = {(len(self.place) + k) * steps}" for k, name in enumerate(NAMED)]
        sizes = [f"SEGMENT = {steps}", *places, f"AHEAD = {self.size()}"]
        return "\n".join(sizes) + "\n" + self.w.fill_template(self.kernel, slots, "segmented")

    def size(self) -> int:
        """Numbers kept of a segment."""
        return (len(self.place) + len(NAMED)) * self.steps

    def slots(self) -> dict[str, list[str]]:
        """The lines of every slot of the template."""
        w = self.w
        phases = [line for phase in self.divided.phases for line in self.phase(phase)]
        wakes = [f"wake{k} = 0" for k, phase in enumerate(self.divided.phases) if not phase.columns]
        highest = f"spread({w.printer.constant(HIGHEST)})"
        tiny = w.printer.constant(TINY[w.v.element])
        return {
            "coefs": [f"c{k} = load(coefs, {k})" for k in range(self.p.coefs)],
            "rest": w.rest(),
            "begin": [*w.printer.lines(self.divided.constant), *wakes],
            "phases": phases,
            "cap": [f"high = rates_here >= {highest}", f"bounded = where(high, {highest}, rates_here)"],
            "weigh": [],
            "show": ["if rates.size:", "    for q in range(n):", "        rates[t0 + q] = load_step(ahead, RATE, q)"],
            "finish": [
                "fired = load_step(ahead, FIRED, q)",
                "if fired > zero:",
                # the probability of a spike; a call of the library, which compiles in no time, for they are few
                f"    summed = fma(fired, log({tiny} - expm1(-load_step(ahead, EXPECTED, q))), summed)",
            ],
            "flush": [
                "store_columns(ahead, 0, 0, sum_columns)",
                "for q in range(STRIDE):",
                "    summed = summed - load(ahead, q)",
                "total[0] += summed",
            ],
        }

    def address(self, s: sympy.Symbol) -> str:
        """Where a quantity of a step of the segment is kept; ``@`` is the number of the phase."""
        return "RATE, at@" if s == RATE else f"{self.place[s] * self.steps}, at@"

    def store_step(self, s: sympy.Symbol) -> list[str]:
        """Keep a quantity of one step."""
        return [f"store_step(ahead, {self.address(s)}, {s})"] if s in self.place or s == RATE else []

    def store_columns(self, s: sympy.Symbol, value: str) -> list[str]:
        """Keep a quantity of several steps."""
        if s not in self.place and s != RATE:
            return []
        return [f"store_columns(ahead, {self.address(s)}, {value})"]

    def phase(self, phase: Phase) -> list[str]:
        """The loop of one phase."""
        number = self.divided.phases.index(phase)
        # numba's front end takes time with every name that is assigned in several places
        own = set(phase.read) | ({s for s, _ in phase.definitions} if phase.columns else set())
        names = {s: f"{s}_{number}" for s in sorted(own, key=str)}
        printer = PhasePrinter(self.w.printer.constants, self.w.printer.temporaries, names, phase.columns)
        lines = self.columns_phase(phase, printer) if phase.columns else self.steps_phase(phase, printer, number)
        head = f"for at{number} in range({'0, n, STRIDE' if phase.columns else 'n'}):"
        lines = lines if phase.columns else ["now@ = t0 + at@", *lines]
        return [head, *indent([line.replace("@", str(number)) for line in lines])]

    def columns_phase(self, phase: Phase, printer: PhasePrinter) -> list[str]:
        """Several steps at once."""
        names = printer.names
        return [
            *(f"{names[s]} = load_columns(ahead, {self.address(s)})" for s in phase.read),
            *(f"{names[s]} = {printer.text(e)}" for s, e in phase.definitions),
            *(line for s in phase.outputs for line in self.store_columns(s, names[s])),
        ]

    def steps_phase(self, phase: Phase, printer: PhasePrinter, number: int) -> list[str]:
        """One step after the other."""
        read = {r for _, e in phase.definitions for r in e.free_symbols}
        spike = [f"wake{number} = now@ + 1 + refractory"] if HELD in read or not number else []
        lines = self.weigh_silence() if not number else []
        lines += [f"{i} = F(current[now@, {k}])" for k, i in enumerate(self.p.i) if i in read]
        if HELD in read:
            lines.append(f"held = wake{number} > now@")
        lines += [f"{printer.names[s]} = load_step(ahead, {self.address(s)})" for s in phase.read]
        states = [f"x{k}" for k in phase.states]
        entered = [s for s in phase.outputs if s.name in states]
        lines += [line for s in entered for line in self.store_step(s)]
        lines += printer.lines(phase.definitions)
        lines += [line for s in phase.outputs if s not in entered for line in self.store_step(s)]
        jumps = [(j, e) for j, e in self.p.jumps() if int(j.name[1:]) in phase.states]
        spike += [*printer.program(jumps), *(f"x{j.name[1:]} = {j}" for j, _ in jumps)]
        lines += [f"x{k} = y{k}" for k in phase.states]
        return [*lines, "if spikes[now@] != 0:", *indent(spike)] if spike else lines

    def weigh_silence(self) -> list[str]:
        """What a spike and what silence would weigh in this step: one of the two is 0."""
        return [
            "count = counts[now@] if wake0 <= now@ else 0.0",
            "store_step(ahead, FIRED, at@, F(count if spikes[now@] != 0 else 0.0))",
            "store_step(ahead, SILENT, at@, F(count if spikes[now@] == 0 else 0.0))",
        ]
