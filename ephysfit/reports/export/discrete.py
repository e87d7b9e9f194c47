"""The discrete step of a neuron as assignments, from which step-wise exports are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from ephysfit.neuron.coefficients import coefficients
from ephysfit.neuron.stepping import Step, newest, step
from ephysfit.neuron.symbols import MARGIN, symbol
from ephysfit.reports.export.exported import Constant, ExportedCell
from ephysfit.reports.export.mathtext import Language

#: symbol of the margin in exported programs
U = symbol("margin_mV")
#: symbols of the slope and offset of a sharpened hazard, where they are named constants
SLOPE, OFFSET = symbol("sharpen_slope"), symbol("sharpen_offset")

Assignment = tuple[str, sympy.Expr]


@dataclass(frozen=True, eq=False)
class DiscreteStep:
    """The step of a neuron as assignments, in the order of execution.

    Attributes
    ----------
    step : Step
    coefs : mapping of str to float
        Coefficients of this cell at the step of the fit, those that occur in an expression.
    free, held : list of (name, expression)
        ``X_next`` of every state between spikes and while refractory; an expression may read earlier ones.
    margin, rate : expression
        Distance to threshold after the step, mV, and the hazard per ms at it (None without one).
    jump : list of (name, expression)
        Changes at a spike, in an order that is safe for sequential execution.
    rest : mapping of str to expression
        Initial state of a run.
    """

    step: Step
    coefs: dict[str, float]
    free: list[Assignment]
    held: list[Assignment]
    margin: sympy.Expr
    rate: sympy.Expr | None
    jump: list[Assignment]
    rest: dict[str, sympy.Expr]


def make_discrete_step(cell: ExportedCell, named: bool = False) -> DiscreteStep:
    """Make the discrete step of a fitted cell; `named` as of `sharpened_margin`."""
    s = step(cell.neuron)
    values = coefficients(cell.fit.neuron, cell.dt)[0].tolist()
    after = {newest(n): symbol(name_after_step(n)) for n in s.states}
    free, held = ([(name_after_step(n), e.xreplace(after)) for n, e in rule] for rule in (s.advance, s.advance_held))
    margin, jump = sympy.sympify(s.margin), order_assignments(list(s.jump))
    rest = dict(zip(s.states, map(sympy.sympify, s.rest), strict=True))
    rate = None if s.hazard is None else sympy.sympify(s.hazard).xreplace({MARGIN: sharpened_margin(cell, named)})
    every = [*(e for _, e in (*free, *held, *jump)), margin, *rest.values(), *([] if rate is None else [rate])]
    read = {a.name for e in every for a in sympy.sympify(e).free_symbols}
    return DiscreteStep(
        step=s,
        coefs={n: v for n, v in zip(s.coefs, values, strict=True) if n in read},
        free=free,
        held=held,
        margin=margin,
        rate=rate,
        jump=jump,
        rest=rest,
    )


def name_after_step(state: str) -> str:
    """Return the name of a state after the step."""
    return f"{state}_next"


def sharpened_margin(cell: ExportedCell, named: bool = False) -> sympy.Expr:
    """Return the argument of the hazard: the margin, sharpened for the causal run.

    Slope and offset are numbers, or the constants `SLOPE` and `OFFSET` where they are `named`: in a script with units,
    and where every cell of a population has its own.
    """
    if named:
        return SLOPE * (U - OFFSET)
    beta, offset = cell.sharpen
    return U if (beta, offset) == (1.0, 0.0) else sympy.Float(beta) * (U - sympy.Float(offset))


def list_sharpening(cell: ExportedCell) -> list[Constant]:
    """Slope and offset of the sharpened hazard as constants."""
    slope, offset = cell.sharpen
    return [
        Constant(SLOPE.name, slope, "1", "slope of the hazard in the causal run", None),
        Constant(OFFSET.name, offset, "mV", "its offset", None),
    ]


def list_columns(
    cells: Sequence[ExportedCell], language: Language, steps: Sequence[DiscreteStep] = ()
) -> dict[str, list[Any]]:
    """Columns of the table of a population: its constants, the coefficients of `steps` (one for each cell), sharpening.

    Returns
    -------
    dict of str to list
        Values by their name in the language, one for each cell, in ms, mV, pA, pF, nS.
    """
    columns = {language.name_of(c.name): [cell.values[c.name] for cell in cells] for c in cells[0].constants}
    for n in steps[0].coefs if steps else ():
        columns[language.name_of(n)] = [d.coefs[n] for d in steps]
    for k, constant in enumerate(list_sharpening(cells[0])):
        columns[constant.name] = [cell.sharpen[k] for cell in cells]
    return columns


def order_assignments(changes: list[Assignment]) -> list[Assignment]:
    """Order simultaneous changes as sequential assignments; a value that is overwritten too early is stored first.

    Examples
    --------
    >>> a, b = symbol("a"), symbol("b")
    >>> order_assignments([("a", b), ("b", a + b)])
    [('a_before', a), ('a', b), ('b', a_before + b)]
    """
    out: list[Assignment] = []
    stored: dict[sympy.Symbol, sympy.Symbol] = {}
    for k, (name, e) in enumerate(changes):
        if any(symbol(name) in sympy.sympify(later).free_symbols for _, later in changes[k + 1 :]):
            stored[symbol(name)] = symbol(f"{name}_before")
            out.append((f"{name}_before", symbol(name)))
        out.append((name, sympy.sympify(e).xreplace({s: b for s, b in stored.items() if s != symbol(name)})))
    return out
