"""A fitted cell, or a population of them, as a LEMS component type on NeuroML 2, and what runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy

from ephysfit.neuron.roles import Role
from ephysfit.neuron.symbols import MARGIN, symbol
from ephysfit.reports.export.discrete import list_columns, list_sharpening, order_assignments, sharpened_margin
from ephysfit.reports.export.exported import Constant, ExportedCell, describe_population, refuse
from ephysfit.reports.export.mathtext import LEMS
from ephysfit.reports.export.quoting import make_identifier
from ephysfit.reports.export.templates import fill_template

#: step that jNeuroML takes at most unless told otherwise, ms: it integrates by Euler's rule
STEP = 0.02


def write_neuroml(cell: ExportedCell) -> dict[str, str]:
    """Write the cell (``.xml``, a component type and its component) and ``_run.xml``, which runs it on a current step.

    Notes
    -----
    Inside the component, quantities are dimensionless numbers in ms, mV, pA, pF and nS; the exposed potential and the
    input carry dimensions. jNeuroML integrates by the Euler method, so steps of 0.02 ms or less are advisable.

    Raises
    ------
    ExportError
        For a neuron of several inputs, or one whose jump reads a state that it has changed before.
    """
    kind = make_identifier(f"{cell.fit.model}_{cell.fit.cell}")
    shared = {"about": cell.about, "kind": kind, "id": kind.lower()}
    return {
        ".xml": fill_template("cell.xml.j2", **shared, **_read_component(cell), population=False),
        "_run.xml": fill_template("run.xml.j2", **shared, dt=min(cell.dt, STEP)),
    }


def write_neuroml_population(cells: Sequence[ExportedCell], name: str) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """Write the component type of cells of one neuron and spiking, its loader, and the columns of its CSV file.

    Parameters
    ----------
    cells : sequence of ExportedCell
    name : str
        Of the files, and of the component type.

    Returns
    -------
    dict of str to str
        The loader (``.py``), which makes a component of each cell, and the type (``.xml``).
    dict of str to list
        Values by column, one for each cell, in ms, mV, pA, pF, nS.
    """
    first = cells[0]
    read = _read_component(first, named=True)
    shared = {"about": describe_population(cells), "kind": name}
    loader = fill_template(
        "neuroml_population.py.j2", **shared, count=len(cells), dt=first.dt, step=min(first.dt, STEP), own=False,
        columns=[n for n, _ in read["constants"]],
    )  # fmt: skip
    columns = list_columns(cells, LEMS) | {"refractory_ms": [cell.t_ref for cell in cells]}
    return {".py": loader, ".xml": fill_template("cell.xml.j2", **shared, **read, population=True)}, columns


def _read_component(cell: ExportedCell, named: bool = False) -> dict[str, Any]:
    """The parts of a component type, with the numbers of this cell; `named` as of `sharpened_margin`."""
    eq, name, text = cell.equations, LEMS.name_of, LEMS.text
    if len(eq.inputs) > 1:
        raise refuse(
            cell, "NeuroML", f"it has {len(eq.inputs)} inputs ({', '.join(eq.inputs)}), and a NeuroML cell sums all "
            "its inputs into one current", "take brian2 or python, or fit a neuron of one input",
        )  # fmt: skip
    jump = [(n, e) for n, e in eq.jump.items() if e != symbol(n)]
    if len(order_assignments(jump)) > len(jump):
        raise refuse(cell, "NeuroML", "at a spike its states change at once, each by the others",
                     "LEMS changes them one after the other; take brian2, nest or python")  # fmt: skip
    soft = cell.spiking != "threshold"
    rate = [eq.hazard.xreplace({MARGIN: sharpened_margin(cell, named)})] if soft and eq.hazard is not None else []
    every = [*eq.flow.values(), eq.margin, *(e for _, e in jump), *map(sympy.sympify, eq.rest.values()), *rate]
    read = {s.name for e in every for s in sympy.sympify(e).free_symbols}
    constants: list[Constant] = [c for c in (*cell.constants, *list_sharpening(cell)) if c.name in read]
    (driven,) = eq.inputs
    potential = cell.neuron.name_of(Role.POTENTIAL)
    return {
        "constants": [(name(c.name), c) for c in constants],
        "t_ref": cell.t_ref,
        "input": name(driven),
        "states": [(name(n), text(eq.flow[n]), text(eq.rest[n]), n in eq.held) for n in eq.states],
        "membrane": name(potential) if potential else None,
        "margin": text(eq.margin),
        "rate": text(rate[0]) if rate else None,
        "jump": [(name(n), text(e)) for n, e in jump],
        "noisy": cell.spiking == "noisy",
    }
