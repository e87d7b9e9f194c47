"""A fitted cell, or a population of them, for NEST: a NESTML model of the discrete step of the fit, and a script that
builds and runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from ephysfit.errors import ExportError
from ephysfit.neuron.roles import Role
from ephysfit.neuron.stepping import DT
from ephysfit.neuron.symbols import equations, symbol
from ephysfit.reports.export.discrete import DiscreteStep, list_columns, list_sharpening, make_discrete_step
from ephysfit.reports.export.exported import ExportedCell, describe_population, refuse
from ephysfit.reports.export.mathtext import NESTML
from ephysfit.reports.export.quoting import UnquotedText, make_identifier
from ephysfit.reports.export.templates import fill_template

#: what stands before the name of a parameter that cannot be set alone
_FIXED = "fixed_"


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
    return {
        ".nestml": fill_template("neuron.nestml.j2", **shared, **_read_model(cell, d), population=False),
        "_nest.py": fill_template("nest.py.j2", **shared, states=_list_states(cell, d)),
    }


def write_nest_population(cells: Sequence[ExportedCell]) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """Write the model of cells of one neuron, spiking and step, its loader, and the columns of the CSV file it reads.

    Returns
    -------
    dict of str to str
        The loader (``.py``) and the model (``.nestml``), in which the numbers of a cell are parameters.
    dict of str to list
        Values by column, one for each cell, in ms, mV, pA, pF, nS; refractory steps as whole numbers.
    """
    first, each = cells[0], [make_discrete_step(cell, named=True) for cell in cells]
    models = [_read_model(cell, d) for cell, d in zip(cells, each, strict=True)]
    # NEST keeps models of all folders in one place: the name says what differs between two of one class
    model = make_identifier(first.shared_name).lower() + "_neuron"
    shared = {"about": describe_population(cells), "model": model, "dt": first.dt}
    columns = list_columns(cells, NESTML)
    columns |= {p.name: [m["parameters"][k].value for m in models] for k, p in enumerate(models[0]["parameters"])}
    columns["n_ref"] = [cell.refractory_steps for cell in cells]
    columns |= {state: [m["states"][k][1] for m in models] for k, (state, _, _) in enumerate(models[0]["states"])}
    loader = fill_template(
        "nest_population.py.j2", **shared, count=len(cells), states=_list_states(first, each[0]), own=False,
        columns=[*(p.name for p in models[0]["parameters"]), "n_ref", *(n for n, _, _ in models[0]["states"])],
    )  # fmt: skip
    return {
        ".py": loader,
        ".nestml": fill_template("neuron.nestml.j2", **shared, **models[0], population=True),
    }, columns


@dataclass(frozen=True)
class _Parameter:
    """One parameter of a model in NESTML, and what it is."""

    name: str
    value: float
    comment: str


def _read_model(cell: ExportedCell, d: DiscreteStep) -> dict[str, Any]:
    """The parts of a model in NESTML, with the numbers of this cell."""
    name, (driven,) = NESTML.name_of, d.step.inputs
    soft = d.rate is not None and cell.spiking != "threshold"
    told = _tell_coefficients(cell, d, [d.rate] if soft else [])
    flow = _write_flow(cell, told.fixed) if told.solved else None
    fixed = {symbol(n): symbol(_FIXED + n) for n in told.fixed}

    def text(e: sympy.Expr) -> str:
        return NESTML.text(sympy.sympify(e).xreplace(fixed))

    return {
        "states": [(name(n), _rest_number(e, d.coefs), cell.meanings[n]) for n, e in d.rest.items()],
        "parameters": told.parameters,
        "flow": flow,
        "internals": [
            *([(n, flow.call(where, i, j)) for n, where, i, j in told.solved] if flow else []),
            *((n, text(e)) for n, e in told.internals),
        ],
        "n_ref": cell.refractory_steps,
        "input": name(driven),
        "free": [(name(n), text(e)) for n, e in d.free],
        "held": [(name(n), text(e)) for n, e in d.held],
        "names": [name(n) for n in d.step.states],
        "margin": text(d.margin),
        "rate": text(d.rate) if soft else None,
        "jump": [(name(n), text(e), n in d.step.states) for n, e in d.jump],
        "noisy": cell.spiking == "noisy",
    }


@dataclass(frozen=True, eq=False)
class _Coefficients:
    """Coefficients of a step as NEST gets them.

    Attributes
    ----------
    parameters : list of _Parameter
        Those of the neuron by their own names, where setting one in NEST does all that it should; numbers of the step.
    internals : list of (name, expression)
        Coefficients that NEST computes from parameters.
    solved : list of (name, operator, row, column)
        Coefficients of an exact step that NEST computes from the flow (`Step.entries`).
    fixed : set of str
        Parameters of the neuron that are in numbers of the step too: they have another name, so that they cannot be
        set alone.
    """

    parameters: list[_Parameter]
    internals: list[tuple[str, sympy.Expr]]
    solved: list[tuple[str, str, int, int]]
    fixed: set[str]


def _tell_coefficients(cell: ExportedCell, d: DiscreteStep, rates: list[Any]) -> _Coefficients:
    """Tell which coefficients NEST can compute from parameters of the neuron, and which are numbers of the step."""
    eq, dt = equations(cell.neuron), sympy.Float(cell.dt)
    program = [d.margin, *rates, *(e for _, e in (*d.free, *d.held, *d.jump))]
    read = {s.name for e in program for s in sympy.sympify(e).free_symbols}
    formulas = {n: sympy.sympify(e).xreplace({DT: dt}) for n, e in d.step.gathered if n in read}
    entries = [e for e in d.step.entries if e[0] in read]
    solved = entries if all(map(_can_write, eq.flow.values())) else []
    flow = eq.flow.values() if entries else ()
    stuck = [*(() if solved else flow), *(e for e in formulas.values() if not _can_write(e))]
    in_step = {s.name for e in stuck for s in e.free_symbols} | {cell.neuron.name_of(Role.REFRACTORY)}
    computed = {
        n: e for n, e in formulas.items() if n not in eq.parameters and not {s.name for s in e.free_symbols} <= in_step
    }
    used = [*computed.values(), *(flow if solved else ())]
    needed = {s.name for e in used for s in e.free_symbols} | {n for n in formulas if n in eq.parameters}
    found = {*computed, *(name for name, *_ in solved), *eq.parameters}
    numbers = [n for n in d.coefs if n in read and n not in found]
    parameters = [
        _Parameter(_FIXED + c.name, c.value, "of the step too: cannot be set alone")
        if c.name in in_step
        else _Parameter(NESTML.name_of(c.name), c.value, UnquotedText(f"{c.unit}: {c.meaning}"))
        for c in cell.constants
        if c.name in needed
    ]
    parameters += [_Parameter(c.name, c.value, c.meaning) for c in list_sharpening(cell) if c.name in read]
    parameters += [_Parameter(NESTML.name_of(n), d.coefs[n], "of the step") for n in numbers]
    return _Coefficients(parameters, list(computed.items()), solved, needed & in_step)


@dataclass(frozen=True)
class _Flow:
    """A linear flow as a function of NESTML, which gives the change of a state over a step.

    Attributes
    ----------
    states : list of str
    input : str
    terms : list of str
        For each state its rate of change, of ``X_term`` of states, of the input, and of the number 1 (``one_term``).
    parameters : list of str
        Those that the rates read; the function gets them as ``of_X``.
    given : list of str
        Their names in the model.
    dt : float
        The step, ms.
    """

    states: list[str]
    input: str
    terms: list[str]
    parameters: list[str]
    given: list[str]
    dt: float

    def call(self, operator: str, row: int, column: int) -> str:
        """Write the call for an entry of `Step.entries`: the change of a state from 1 of another, or of a constant."""
        starts = [0.0] * (len(self.states) + 2)
        starts[-1 if "drive" in operator else column] = 1.0  # states, the constant, the input
        moves = 0.0 if operator.startswith("held") else 1.0
        return f"change({', '.join(map(str, [row, moves, *starts, *self.given]))})"


def _write_flow(cell: ExportedCell, fixed: set[str]) -> _Flow:
    eq = equations(cell.neuron)
    (driven,) = eq.inputs
    moving = [symbol(n) for n in (*eq.states, driven)]
    read = sorted({s.name for e in eq.flow.values() for s in e.free_symbols} - {v.name for v in moving})
    arguments = {symbol(n): symbol(f"of_{n}") for n in read}
    terms = []
    for n, e in eq.flow.items():
        constant = e.subs(dict.fromkeys(moving, 0))
        parts = [*((sympy.diff(e, v), symbol(f"{v.name}_term")) for v in moving), (constant, symbol("one_term"))]
        rate = sympy.Add(*(share.xreplace(arguments) * term for share, term in parts))
        terms.append(NESTML.text(rate * symbol("moves") if n in eq.held else rate))
    names = [_FIXED + n if n in fixed else NESTML.name_of(n) for n in read]
    return _Flow(list(eq.states), driven, terms, read, names, cell.dt)


def _can_write(e: sympy.Expr) -> bool:
    """Whether NESTML has the functions of a formula."""
    try:
        NESTML.text(e)
    except ExportError:
        return False
    return True


def _list_states(cell: ExportedCell, d: DiscreteStep) -> list[str]:
    """States of the model that a run changes, before its current begins too."""
    spends = d.rate is not None and cell.spiking != "threshold"
    return [*map(NESTML.name_of, d.step.states), "wait", *(["spent"] if spends else [])]


def _rest_number(e: sympy.Expr, values: dict[str, float]) -> float:
    """Evaluate a rest value."""
    return float(e.subs({s: values[s.name] for s in e.free_symbols}))
