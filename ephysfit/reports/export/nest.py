"""A fitted cell, or a population of them, for NEST: a NESTML model of the discrete step of the fit, and a script that
builds and runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy

from ephysfit.reports.export.discrete import OFFSET, SLOPE, DiscreteStep, list_columns, make_discrete_step
from ephysfit.reports.export.exported import ExportedCell, describe_population, refuse
from ephysfit.reports.export.mathtext import NESTML
from ephysfit.reports.export.quoting import make_identifier
from ephysfit.reports.export.templates import fill_template


def write_nest(cell: ExportedCell) -> dict[str, str]:
    """Write the model (``.nestml``) and a script (``_nest.py``) that builds it and runs it on a current.

    Notes
    -----
    The neurons built into NEST are not used (`nest_own` writes those): none spikes where the integrated hazard is 1.

    Raises
    ------
    ExportError
        For a neuron of several inputs: NEST's generators drive a neuron with one current.
    """
    if len(cell.equations.inputs) > 1:
        raise refuse(
            cell, "NEST", f"it has {len(cell.equations.inputs)} inputs ({', '.join(cell.equations.inputs)}), "
            "and NEST's devices drive a neuron with one current", "take brian2 or python, or fit a neuron of one input",
        )  # fmt: skip
    d = make_discrete_step(cell)
    model = make_identifier(f"{cell.fit.model}_{cell.fit.cell}").lower() + "_neuron"
    shared = {"about": cell.about, "model": model, "dt": cell.dt}
    coefs = {NESTML.name_of(n): v for n, v in d.coefs.items()}
    return {
        ".nestml": fill_template("neuron.nestml.j2", **shared, **_read_model(cell, d), coefs=coefs, population=False),
        "_nest.py": fill_template("nest.py.j2", **shared, states=_list_states(cell, d)),
    }


def write_nest_population(cells: Sequence[ExportedCell], name: str) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """Write the model of cells of one neuron, spiking and step, its loader, and the columns of the CSV file it reads.

    Parameters
    ----------
    cells : sequence of ExportedCell
    name : str
        Of the files, and of the model.

    Returns
    -------
    dict of str to str
        The loader (``.py``) and the model (``.nestml``), in which the numbers of a cell are parameters.
    dict of str to list
        Values by column, one for each cell, in ms, mV, pA, pF, nS; refractory steps as whole numbers.
    """
    first, each = cells[0], [make_discrete_step(cell, named=True) for cell in cells]
    read, model = _read_model(first, each[0]), f"{name.lower()}_neuron"
    columns = list_columns(cells, NESTML, each)
    columns["n_ref"] = [cell.refractory_steps for cell in cells]
    rest = [[_rest_number(e, d.coefs) for d in each] for e in each[0].rest.values()]
    columns |= dict(zip([state for state, _, _ in read["states"]], rest, strict=True))
    set_for_each = [*map(NESTML.name_of, each[0].coefs), *([SLOPE.name, OFFSET.name] if read["rate"] else [])]
    coefs = {n: columns[n][0] for n in set_for_each}
    shared = {"about": describe_population(cells), "model": model, "dt": first.dt}
    loader = fill_template(
        "nest_population.py.j2", **shared, count=len(cells), states=_list_states(first, each[0]),
        columns=[*coefs, "n_ref", *(state for state, _, _ in read["states"])], own=False,
    )  # fmt: skip
    return {".py": loader, ".nestml": fill_template("neuron.nestml.j2", **shared, **read, coefs=coefs, population=True)
            }, columns  # fmt: skip


def _read_model(cell: ExportedCell, d: DiscreteStep) -> dict[str, Any]:
    """The parts of a model in NESTML, with the numbers of this cell."""
    name, text = NESTML.name_of, NESTML.text
    (driven,) = d.step.inputs
    return {
        "states": [(name(n), _rest_number(e, d.coefs), cell.meanings[n]) for n, e in d.rest.items()],
        "n_ref": cell.refractory_steps,
        "input": name(driven),
        "free": [(name(n), text(e)) for n, e in d.free],
        "held": [(name(n), text(e)) for n, e in d.held],
        "names": [name(n) for n in d.step.states],
        "margin": text(d.margin),
        "rate": None if d.rate is None or cell.spiking == "threshold" else text(d.rate),
        "jump": [(name(n), text(e), n in d.step.states) for n, e in d.jump],
        "noisy": cell.spiking == "noisy",
    }


def _list_states(cell: ExportedCell, d: DiscreteStep) -> list[str]:
    """States of the model that a run changes, before its current begins too."""
    spends = d.rate is not None and cell.spiking != "threshold"
    return [*map(NESTML.name_of, d.step.states), "wait", *(["spent"] if spends else [])]


def _rest_number(e: sympy.Expr, values: dict[str, float]) -> float:
    """Evaluate a rest value."""
    return float(e.subs({s: values[s.name] for s in e.free_symbols}))
