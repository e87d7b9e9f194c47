"""A fitted cell as a Brian2 script: equations with units, threshold, reset, refractoriness, escape noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy

from ephysfit.errors import ExportError, near
from ephysfit.neuron.step_kinds import is_affine
from ephysfit.neuron.symbols import MARGIN, Equations, symbol
from ephysfit.reports.export.discrete import (
    DiscreteStep,
    list_columns,
    list_sharpening,
    make_discrete_step,
    order_assignments,
    sharpened_margin,
)
from ephysfit.reports.export.exported import ExportedCell, describe_population
from ephysfit.reports.export.mathtext import BRIAN2
from ephysfit.reports.export.templates import fill_template

FORMS: tuple[str, ...] = ("auto", "equations", "steps")
#: Brian2's names of the dimensions
_DIMENSIONS = {"ms": "second", "mV": "volt", "pA": "amp", "pF": "farad", "nS": "siemens", "GOhm": "ohm"}


def write_brian2(cell: ExportedCell, form: str = "auto") -> str:
    """Write a Brian2 script that builds a ``NeuronGroup`` and runs it on a current.

    Parameters
    ----------
    reading : Reading
    form : {"auto", "equations", "steps"}
        "equations": differential equations with physical units, integrated by Brian2. "steps": the discrete step of
        the fit as plain numbers. "auto": equations for an affine neuron, whose spikes then agree; steps for any other
        neuron, because its fit is valid for its own step only.

    Returns
    -------
    str

    Raises
    ------
    ExportError
        If `form` is unknown.
    """
    return _write_equations(cell) if choose_form(cell, form) == "equations" else _write_steps(cell)


def choose_form(cell: ExportedCell, form: str) -> str:
    """The form of a script, "equations" or "steps"."""
    if form not in FORMS:
        raise ExportError(f"form {form!r} is unknown; {near(form, FORMS)}")
    return form if form != "auto" else "equations" if is_affine(cell.neuron) else "steps"


def _write_equations(cell: ExportedCell) -> str:
    values = _read_equations(cell, cell.sharpen != (1.0, 0.0))  # a number of mV in a hazard would have no unit
    constants = values.pop("constants")
    listed = [(BRIAN2.name_of(c.name), c, _unit_factor(c.unit)) for c in constants]
    return fill_template(
        "brian2.py.j2", **values, about=cell.about, t_ref=cell.t_ref, parameters=[], coefs={}, constants=listed
    )


def _read_equations(cell: ExportedCell, named: bool) -> dict[str, Any]:
    """The parts of a script of differential equations with units, and the constants that they read."""
    eq, name, text = cell.equations, BRIAN2.name_of, BRIAN2.text
    jump = order_assignments([(n, e) for n, e in eq.jump.items() if e != symbol(n)])
    hazard = None if cell.spiking == "threshold" or eq.hazard is None else eq.hazard
    if hazard is not None:
        hazard = hazard.xreplace({MARGIN: sharpened_margin(cell, named)})
    every = [*eq.flow.values(), eq.margin, *(e for _, e in jump), *map(sympy.sympify, eq.rest.values())]
    read = {s.name for e in [*every, *([] if hazard is None else [hazard])] for s in e.free_symbols}
    return {
        "dt": cell.dt,
        "constants": [c for c in (*cell.constants, *list_sharpening(cell)) if c.name in read],
        "inputs": _input_lines(cell),
        "states": [(name(n), text(eq.flow[n]), _dimension_name(cell.units[n]), cell.meanings[n], n in eq.held)
                   for n in eq.states],
        "rest": [(name(n), _state_value(cell, n, eq.rest[n])) for n in eq.states],
        "margin": text(eq.margin),
        "rate": None if hazard is None else text(hazard).replace("margin_mV", "margin"),
        "jump": [(name(n), _state_value(cell, n, e)) for n, e in jump],
        "noisy": cell.spiking == "noisy",
        "method": "exact" if _has_uncoupled_states(eq) else "rk4",
        "step": None,
    }  # fmt: skip


def _has_uncoupled_states(eq: Equations) -> bool:
    """Whether all states are linear and uncoupled: only then is Brian2's exact method fast (else it takes minutes)."""
    states = {symbol(n) for n in eq.states}
    slopes = {n: [sympy.diff(f, s) for s in states - {symbol(n)}] for n, f in eq.flow.items()}
    own = [sympy.diff(f, symbol(n)) for n, f in eq.flow.items()]
    return not any(any(s != 0 for s in of) for of in slopes.values()) and not any(o.free_symbols & states for o in own)


def _write_steps(cell: ExportedCell) -> str:
    d = make_discrete_step(cell)
    coefs = {BRIAN2.name_of(n): v for n, v in d.coefs.items()}
    return fill_template(
        "brian2.py.j2", **_read_steps(cell, d), about=cell.about, t_ref=cell.t_ref, parameters=[], coefs=coefs,
        constants=[],
    )  # fmt: skip


def _read_steps(cell: ExportedCell, d: DiscreteStep) -> dict[str, Any]:
    """The parts of a script of discrete steps as plain numbers."""
    name, text = BRIAN2.name_of, BRIAN2.text
    return {
        "dt": cell.dt,
        "inputs": _input_lines(cell),
        "states": [(name(n), "", "1", cell.meanings[n], False) for n in d.step.states],
        "rest": [(name(n), text(e)) for n, e in d.rest.items()],
        "margin": text(d.margin),
        "rate": None if d.rate is None or cell.spiking == "threshold" else text(d.rate).replace("margin_mV", "margin"),
        "jump": [(name(n), text(e)) for n, e in d.jump],
        "noisy": cell.spiking == "noisy",
        "method": None,
        "step": _step_lines(d),
    }


def write_brian2_population(cells: Sequence[ExportedCell], form: str = "auto") -> tuple[str, dict[str, list[Any]]]:
    """Write a Brian2 script for cells of one neuron, spiking and step, and the columns of the CSV file that it reads.

    Returns
    -------
    str
        The script: equations, and a loader of the file beside.
    dict of str to list of float
        Values by column, one for each cell, in ms, mV, pA, pF, nS.
    """
    first = cells[0]
    steps = choose_form(first, form) == "steps"
    each = [make_discrete_step(cell, named=True) for cell in cells] if steps else []
    columns = list_columns(cells, BRIAN2, each)
    if steps:
        values = _read_steps(first, each[0])
        listed = [(BRIAN2.name_of(n), "", "1", "") for n in each[0].coefs]
        if values["rate"]:
            listed += [(c.name, "", "1", c.meaning) for c in list_sharpening(first)]
    else:
        values = _read_equations(first, named=True)
        listed = [
            (BRIAN2.name_of(c.name), _unit_factor(c.unit), _dimension_name(c.unit), c.meaning)
            for c in values.pop("constants")
        ]
    columns["refractory_ms"] = [cell.refractory_steps * cell.dt for cell in cells]
    parameters = [("refractory_ms", "*ms", "second", ""), ("held", "", "second", "refractory, as Brian2 counts it")]
    listed = [*listed, parameters[0]]
    script = fill_template(
        "brian2_population.py.j2", **values, about=describe_population(cells), count=len(cells),
        columns=[(n, factor) for n, factor, _, _ in listed],
        parameters=[(n, dimension, meaning) for n, _, dimension, meaning in [*listed, parameters[1]]],
    )  # fmt: skip
    return script, columns


def _step_lines(d: DiscreteStep) -> list[tuple[str, str]]:
    """Write the lines of one step: the free or the refractory rule, selected by ``not_refractory``."""
    name, text = BRIAN2.name_of, BRIAN2.text
    lines = []
    for (n, free), (_, held) in zip(d.free, d.held, strict=True):
        if free == held:
            lines.append((name(n), text(free)))
        else:
            lines.append((name(n), f"int(not_refractory)*({text(free)}) + int(not not_refractory)*({text(held)})"))
    return lines + [(name(n), name(after)) for n, (after, _) in zip(d.step.states, d.free, strict=True)]


def _input_lines(cell: ExportedCell) -> list[tuple[str, str, str, str]]:
    return [
        (BRIAN2.name_of(n), _unit_factor(cell.units[n]), _dimension_name(cell.units[n]), cell.meanings[n])
        for n in cell.equations.inputs
    ]


def _unit_factor(unit: str) -> str:
    """Write a unit as a Brian2 factor after a number: ``*mV``, nothing for a dimensionless number."""
    if unit == "1":
        return ""
    return unit.removeprefix("1") if unit.startswith("1/") else "*" + unit.replace("GOhm", "Gohm")


def _dimension_name(unit: str) -> str:
    for ours, theirs in _DIMENSIONS.items():
        unit = unit.replace(ours, theirs)
    return unit


def _state_value(cell: ExportedCell, state: str, e: sympy.Expr) -> str:
    """Write an expression as a value of a state; a number gets the unit of the state."""
    e = sympy.sympify(e)
    text = BRIAN2.text(e)
    return f"{text}{_unit_factor(cell.units[state])}" if e.is_number else text
