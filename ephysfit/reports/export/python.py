"""A fitted cell as one Python file that needs numpy and nothing else."""

from __future__ import annotations

import sympy

from ephysfit.neuron.roles import Role
from ephysfit.neuron.stepping import DT
from ephysfit.neuron.symbols import MARGIN, Equations, equations, symbol
from ephysfit.reports.export.discrete import DiscreteStep, U, make_discrete_step
from ephysfit.reports.export.exported import ExportedCell, select_constants
from ephysfit.reports.export.mathtext import PYTHON
from ephysfit.reports.export.templates import fill_template


def write_python(cell: ExportedCell, population: int = 0) -> str:
    """Write a Python file with the parameters of the cell, its step, and a function ``simulate``.

    With a `population` of so many cells, the parameters are read from the CSV file beside (`population.write_table`).

    The file computes matrix entries and other coefficients from the parameters and the step, so that both can be
    changed in it.
    """
    d, eq = make_discrete_step(cell), equations(cell.neuron)
    text, name = PYTHON.text, PYTHON.name_of
    gathered = [(n, e) for n, e in d.step.gathered if n not in eq.parameters]
    program = [
        *(e for _, e in (*d.free, *d.held, *d.jump, *gathered)),
        d.margin,
        *d.rest.values(),
        *_hazard_expressions(d),
    ]
    everything = [*program, *eq.flow.values()]
    read = {s.name for e in everything for s in sympy.sympify(e).free_symbols}
    period = cell.neuron.name_of(Role.REFRACTORY)
    read |= {period} if period else set()
    return fill_template(
        "python.py.j2",
        about=cell.about,
        population=population,
        constants=[(name(c.name), c) for c in select_constants(cell, read).values()],
        dt=cell.dt,
        sharpen=cell.sharpen,
        functions=sorted({type(f).__name__ for e in everything for f in sympy.sympify(e).atoms(sympy.Function)}),
        matrices=_describe_matrices(eq, d) if d.step.entries else None,
        gathered=[(n, text(e.xreplace({DT: symbol("dt_ms")}))) for n, e in gathered],
        coefs=[n for n in d.step.coefs if n not in eq.parameters],
        states=[name(n) for n in d.step.states],
        rest=[text(e) for e in d.rest.values()],
        inputs=[(name(n), cell.units[n], cell.meanings[n]) for n in d.step.inputs],
        free=[(name(n), text(e)) for n, e in d.free],
        held=[(name(n), text(e)) for n, e in d.held],
        margin=text(d.margin),
        rate=None if d.step.hazard is None else text(sympy.sympify(d.step.hazard).xreplace({MARGIN: U})),
        jump=[(name(n), text(e)) for n, e in d.jump],
        units=cell.units,
        default=cell.spiking,
        refractory=name(period) if period else "",
    )


def _hazard_expressions(d: DiscreteStep) -> list[sympy.Expr]:
    return [] if d.step.hazard is None else [sympy.sympify(d.step.hazard)]


def _describe_matrices(eq: Equations, d: DiscreteStep) -> dict[str, object]:
    """Describe the affine flow: its rows as text, and the matrix entry of each coefficient."""
    variables = [symbol(n) for n in (*eq.states, *eq.inputs)]
    still = dict.fromkeys(variables, 0)
    k = len(eq.states)
    rows = []
    for n in eq.states:
        slopes = [sympy.diff(eq.flow[n], v) for v in variables]
        rows.append([*slopes[:k], sympy.sympify(eq.flow[n]).subs(still), *slopes[k:]])
    entries = [(n, *_locate_entry(operator, i, j, k)) for n, operator, i, j in d.step.entries]
    return {
        "rows": [[PYTHON.text(e) for e in row] for row in rows],
        "held": [i for i, n in enumerate(eq.states) if n in eq.held],
        "entries": entries,
        "resting": any(matrix == "held" for _, matrix, *_ in entries),
    }


def _locate_entry(operator: str, i: int, j: int, k: int) -> tuple[str, int, int, bool]:
    """Return matrix, row and column of an entry, and whether 1 is subtracted (diagonal of a transition)."""
    drive = operator in ("drive", "held_drive")
    matrix = "held" if operator.startswith("held") else "free"
    return matrix, i, j + k + 1 if drive else j, not drive and i == j
