"""Text of the kernels of the likelihood of recorded spikes: its value, and its gradient with Fisher information."""

from __future__ import annotations

import sympy

from ephysfit.kernels.expressions import Definition
from ephysfit.kernels.slot_writer import HIGHEST, TINY, SlotWriter, indent
from ephysfit.kernels.step_algebra import RATE, Row
from ephysfit.kernels.tile_memory import fill_columns
from ephysfit.neuron.symbols import symbol

#: bins that weigh less in the information are left out: most bins of a silent neuron do, and each costs a row of the
#: matrix product
FAINT = 1e-9
#: what begins a loop over the columns of coefficients
EACH = "for k in range(0, WIDTH, STRIDE):"
#: the end of a line that adds a row of slopes to the gradient
PULLED = "fma(spread(pull), {}, load_columns(pulled, 0, k)))"


def write_likelihood(w: SlotWriter) -> str:
    """The text of the likelihood's kernel: value and log hazards."""
    return "AHEAD = 0\n" + w.fill_template("likelihood", LikelihoodSlots(w).slots())


def write_information(w: SlotWriter) -> str:
    """The text of the same with gradient and Fisher information."""
    information = InformationSlots(w, w.v.moving)
    return information.sizes() + "\n" + w.fill_template("information", information.slots())


class LikelihoodSlots:
    """The likelihood of given spikes: they are forced through the step, and every counted bin adds its share."""

    def __init__(self, w: SlotWriter, moving: tuple[int, ...] = ()) -> None:
        w.hazard()
        self.w, self.p, self.v = w, w.p, w.v
        self.rows = w.p.rows(moving)

    def slots(self) -> dict[str, list[str]]:
        """The lines of every slot of the template."""
        w, with_voltage = self.w, self.v.voltage
        return {
            "coefs": w.coefs(),
            "rest": w.rest(),
            "begin": self.begin() + (["before = zero"] if with_voltage else []),
            "input": [f"i{k} = splat(F(current[t, {k}]))" for k in range(self.p.inputs)],
            "step": self.step(),
            "cap": self.cap(),
            "save": self.save(),
            "count": self.count(),
            "observe": ["if watch[t] != 0:", *indent(self.observe())] if with_voltage else [],
            "spike": self.spike(),
            "settle": w.settle(),
            "multiply": self.multiply(),
            "flush": [*w.add_lanes("summed", "total[row + l]"), *self.flush()],
        }

    def begin(self) -> list[str]:
        """What is set up once per tile."""
        return []

    def step(self) -> list[str]:
        """The flow of one step and the log hazard after it."""
        return self.w.printer.program(self.rows.values)

    def cap(self) -> list[str]:
        """Bound the log hazard."""
        highest = self.w.printer.constant(HIGHEST)
        return [f"high = rate >= {highest}", f"rate = where(high, {highest}, rate)"]

    def save(self) -> list[str]:
        """Write the log hazard of this step."""
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
            *self.add_information(),
        ]

    def add_information(self) -> list[str]:
        """Nothing, where only the value is wanted."""
        return []

    def observe(self) -> list[str]:
        """Add a watched sample of the voltage: the part of its error that the sample before does not predict.

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
            *self.compare_voltage(),
        ]

    def compare_voltage(self) -> list[str]:
        """Write the error of the voltage."""
        return ["store(misses, t * rows + row, miss)"]

    def spike(self) -> list[str]:
        """The jump at a recorded spike."""
        jumps = self.p.jumps()
        return [*self.w.printer.program(jumps), *(f"y{j.name[1:]} = {j.name}" for j, _ in jumps)]

    def multiply(self) -> list[str]:
        """Nothing, where only the value is wanted."""
        return []

    def flush(self) -> list[str]:
        """Nothing beyond the value, which every likelihood adds up."""
        return []


class InformationSlots(LikelihoodSlots):
    """The same with gradient and Fisher information: each value carries a row of derivatives along.

    ``work`` holds the rows that last (of states entering a step), then what coefficients do to each quantity in this
    step (``direct`` of a `Row`), then, with a voltage, the potential's row at the sample before. A bin adds its row of
    slopes of the log hazard, weighted by the root of its information, to a block; full blocks are multiplied with
    themselves, which a matrix product does faster than a sum over bins could.
    """

    def __init__(self, w: SlotWriter, moving: tuple[int, ...]) -> None:
        super().__init__(w, moving)
        self.width = fill_columns(max(len(moving), 1))
        self.place = {self.p.x[k]: n for n, k in enumerate(self.rows.active)}
        for row in self.rows.flow:
            if row.direct:
                self.place[row.target] = len(self.place)
        self.before = len(self.place)

    def sizes(self) -> str:
        """Columns, filled up to whole vectors, and all numbers of ``work``, as a line of the module."""
        return f"WIDTH, WORK, AHEAD = {self.width}, {(self.before + 1) * self.width}, 0"

    def address(self, row: int, column: int) -> str:
        """Where a column of a row of derivatives begins in ``work``."""
        return f"{row * self.width + column} * LANES"

    def begin(self) -> list[str]:
        """Zero the memory and store the derivatives that no step changes."""
        zeros = ["nil = spread(zero)", "columns = slope.size // LANES", "room = block.size // slope.size"]
        zeros += [x for a in ("work", "slope", "pulled") for x in (f"for k in range({a}.size):", f"    {a}[k] = F(0)")]
        steady = [d for d in self.direct(self.rows.flow) if _is_constant(d[1])]
        return [*zeros, "gathered = 0", *self.store_derivatives([*self.direct(self.rows.rest), *steady])]

    def direct(self, rows: tuple[Row, ...]) -> list[tuple[str, sympy.Expr]]:
        """What coefficients do, and where in ``work`` it goes."""
        return [(self.address(self.place[row.target], column), e) for row in rows for column, e in row.direct]

    def store_derivatives(self, direct: list[tuple[str, sympy.Expr]]) -> list[str]:
        """Compute derivatives with respect to coefficients and store them in ``work``."""
        slots = [(symbol(f"b{n}"), place, e) for n, (place, e) in enumerate(direct)]
        program = self.w.printer.program([(s, e) for s, _, e in slots])
        return [*program, *(f"store(work, {place}, {s.name})" for s, place, _ in slots)]

    def step(self) -> list[str]:
        """The flow of one step, with the rows of derivatives of what it computes."""
        changing = [d for d in self.direct(self.rows.flow) if not _is_constant(d[1])]
        slots = [(symbol(f"b{n}"), place, e) for n, (place, e) in enumerate(changing)]
        factors, loop = self.apply_chain_rule(self.rows.flow)
        program = self.w.printer.program([*self.rows.values, *((s, e) for s, _, e in slots), *factors])
        made = {row.target for row in self.rows.flow}
        for x, y in zip(self.p.x, self.p.y, strict=True):
            if x in self.place:
                loop.append(self.store_row(self.place[x], f"d{y}" if y in made else "nil"))
        loop.append(f"store_columns(slope, 0, k, {f'd{RATE}' if RATE in made else 'nil'})")
        loads = [f"d{self.p.x[k]} = {self.load_row(n)}" for n, k in enumerate(self.rows.active)]
        stores = [f"store(work, {place}, {s.name})" for s, place, _ in slots]
        return [*program, *stores, EACH, *indent([*loads, *loop])]

    def load_row(self, row: int) -> str:
        """Some columns of a row of ``work``, in a loop over them."""
        return f"load_columns(work, {row * self.width}, k)"

    def store_row(self, row: int, value: str) -> str:
        """Put them there."""
        return f"store_columns(work, {row * self.width}, k, {value})"

    def apply_chain_rule(self, rows: tuple[Row, ...]) -> tuple[list[Definition], list[str]]:
        """Factors of the chain rule, and the lines of a loop that puts rows together with them."""
        # a factor holds for all columns, so it is computed once, before the loop; most are 1 or -1 and need no product
        factors, loop = [], []
        for m, row in enumerate(rows):
            place = self.place.get(row.target)
            total = "" if place is None or not row.direct else self.load_row(place)
            for n, (read, e) in enumerate(row.chain):
                factor = symbol(f"p{m}_{n}")
                if e == 1:
                    total = f"({total} + d{read})" if total else f"d{read}"
                elif e == -1:
                    total = f"({total} - d{read})" if total else f"(-d{read})"
                else:
                    factors.append((factor, e))
                    total = f"fma(spread({factor}), d{read}, {total})" if total else f"spread({factor}) * d{read}"
            loop.append(f"d{row.target} = {total or 'nil'}")
        return factors, loop

    def spike(self) -> list[str]:
        """Rows first, for they read the states before the jump."""
        return [*self.jump_rows(), *super().spike()]

    def jump_rows(self) -> list[str]:
        """What a spike does to rows of derivatives."""
        if not self.rows.jump:
            return []
        factors, loop = self.apply_chain_rule(self.rows.jump)
        row_of = lambda s: self.place[symbol(f"x{s.name[1:]}")]  # noqa: E731
        reads = sorted({read for row in self.rows.jump for read, _ in row.chain}, key=str)
        loads = [f"d{y} = {self.load_row(row_of(y))}" for y in reads]
        stores = [self.store_row(row_of(row.target), f"d{row.target}") for row in self.rows.jump]
        direct = [(self.address(row_of(row.target), column), e) for row in self.rows.jump for column, e in row.direct]
        slots = [(symbol(f"b{n}"), place, e) for n, (place, e) in enumerate(direct)]
        return [
            *self.w.printer.program([*factors, *((s, e) for s, _, e in slots)]),
            EACH,
            *indent([*loads, *loop, *stores]),
            *(f"store(work, {place}, load(work, {place}) + {s.name})" for s, place, _ in slots),
        ]

    def save(self) -> list[str]:
        """Nothing: the log hazards are not wanted here."""
        return []

    def add_information(self) -> list[str]:
        """A spike pulls by ``expected exp(-expected) / (1 - exp(-expected))``, which is ``1 / phi1(expected)``."""
        return [
            "portion = phi1(expected)",
            "pull = where(high, zero, count / portion if spikes[t] != 0 else -count * expected)",
            "weight = where(high, zero, count * expected / portion)",
            *self.add_row(),
        ]

    def add_row(self) -> list[str]:
        """Add the row of slopes to the gradient by its pull, and to the block by its weight."""
        faint = self.w.printer.constant(FAINT)
        return [
            "for j in range(drifts):",
            "    store(slope, (WIDTH + j) * LANES, splat(F(slow[t, j])))",
            *self.over_all_columns(["store_columns(pulled, 0, k, " + PULLED.format("load_columns(slope, 0, k)")]),
            f"if bits(weight > {faint}) != 0:",
            *indent(["scale = sqrt(weight)", *self.gather_row()]),
        ]

    def over_all_columns(self, lines: list[str]) -> list[str]:
        """A loop over the columns of coefficients, whose number is known, then one over those of drift."""
        return [EACH, *indent(lines), "for k in range(WIDTH, columns, STRIDE):", *indent(lines)]

    def gather_row(self) -> list[str]:
        """Add the row of slopes to the block."""
        row = "spread(scale) * load_columns(slope, 0, k)"
        if self.v.lanes == 1:
            lines = [f"store_columns(block, gathered * columns, k, {row})"]
        else:
            lines = self.w.scatter_lanes(row, "block[({l} * room + gathered) * columns + k]")
        return [*self.over_all_columns(lines), "gathered += 1"]

    def multiply(self) -> list[str]:
        """Multiply where another step may not fit or there is none: one place, so that it is compiled once."""
        # a step adds two rows at most: that of its spikes and that of its voltage
        return [
            "if gathered + 2 > room or t == current.shape[0] - 1:",
            "    for l in range(LANES):",
            "        add_products(block, l * room * columns, gathered, columns, information, row + l)",
            "    gathered = 0",
        ]

    def compare_voltage(self) -> list[str]:
        """The potential's row where it has one; its error depends on the potential alone, so drift adds nothing."""
        row = self.place.get(symbol(f"x{self.p.potential}"))
        if row is None:
            return []
        return [
            "scale = sqrt(splat(sure))",
            "pull = splat(sure) * error",
            EACH,
            f"    now = {self.load_row(row)}",
            f"    moved = fma(spread(splat(-share)), {self.load_row(self.before)}, now)",
            f"    {self.store_row(self.before, 'now')}",
            "    store_columns(slope, 0, k, moved)",
            "    store_columns(pulled, 0, k, " + PULLED.format("moved"),
            "for j in range(drifts):",
            "    store(slope, (WIDTH + j) * LANES, zero)",
            *self.gather_row(),
        ]

    def flush(self) -> list[str]:
        """Add the gradient of the tile to its rows."""
        return [
            "for k in range(columns):",
            *indent(self.w.add_lanes("load(pulled, k * LANES)", "gradient[k, row + l]")),
        ]


def _is_constant(e: sympy.Expr) -> bool:
    """Whether an expression is of coefficients alone, and so the same in every step."""
    return all(s.name[0] == "c" for s in e.free_symbols)
