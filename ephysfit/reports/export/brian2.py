"""A fitted cell as a Brian2 script: equations with units, threshold, reset, refractoriness, escape noise."""

from __future__ import annotations

import sympy

from ephysfit.errors import ExportError, near
from ephysfit.neuron.affine import is_affine
from ephysfit.neuron.symbols import MARGIN, Equations, symbol
from ephysfit.reports.export.discrete import DiscreteStep, make_discrete_step, order_assignments, sharpened_margin
from ephysfit.reports.export.exported import ExportedCell, select_constants
from ephysfit.reports.export.mathtext import BRIAN2
from ephysfit.reports.export.templates import fill_template

FORMS = ("auto", "equations", "steps")
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
    if form not in FORMS:
        raise ExportError(f"form {form!r} is unknown; {near(form, FORMS)}")
    if form == "auto":
        form = "equations" if is_affine(cell.neuron) else "steps"
    return _write_equations(cell) if form == "equations" else _write_steps(cell)


def _write_equations(cell: ExportedCell) -> str:
    eq, name, text = cell.equations, BRIAN2.name_of, BRIAN2.text
    jump = order_assignments([(n, e) for n, e in eq.jump.items() if e != symbol(n)])
    hazard = None if eq.hazard is None else eq.hazard.xreplace({MARGIN: sharpened_margin(cell)})
    every = [*eq.flow.values(), eq.margin, *(e for _, e in jump), *map(sympy.sympify, eq.rest.values())]
    read = {s.name for e in [*every, *([] if hazard is None else [hazard])] for s in e.free_symbols}
    return fill_template(
        "brian2.py.j2",
        about=cell.about,
        dt=cell.dt,
        t_ref=cell.t_ref,
        constants=[(name(c.name), c, _unit_factor(c.unit)) for c in select_constants(cell, read).values()],
        inputs=_input_lines(cell),
        states=[(name(n), text(eq.flow[n]), _dimension_name(cell.units[n]), cell.meanings[n], n in eq.held)
                for n in eq.states],
        rest=[(name(n), _state_value(cell, n, eq.rest[n])) for n in eq.states],
        margin=text(eq.margin),
        rate=None if hazard is None or cell.spiking == "threshold" else text(hazard).replace("margin_mV", "margin"),
        sharpened=cell.sharpen != (1.0, 0.0),
        jump=[(name(n), _state_value(cell, n, e)) for n, e in jump],
        noisy=cell.spiking == "noisy",
        method="exact" if _has_uncoupled_states(eq) else "rk4",
        step=None,
        coefs={},
    )  # fmt: skip


def _has_uncoupled_states(eq: Equations) -> bool:
    """Whether all states are linear and uncoupled: only then is Brian2's exact method fast (else it takes minutes)."""
    states = {symbol(n) for n in eq.states}
    slopes = {n: [sympy.diff(f, s) for s in states - {symbol(n)}] for n, f in eq.flow.items()}
    own = [sympy.diff(f, symbol(n)) for n, f in eq.flow.items()]
    return not any(any(s != 0 for s in of) for of in slopes.values()) and not any(o.free_symbols & states for o in own)


def _write_steps(cell: ExportedCell) -> str:
    d, name, text = make_discrete_step(cell), BRIAN2.name_of, BRIAN2.text
    return fill_template(
        "brian2.py.j2",
        about=cell.about,
        dt=cell.dt,
        t_ref=cell.t_ref,
        constants=[],
        inputs=_input_lines(cell),
        states=[(name(n), "", "1", cell.meanings[n], False) for n in d.step.states],
        rest=[(name(n), text(e)) for n, e in d.rest.items()],
        margin=text(d.margin),
        rate=None if d.rate is None or cell.spiking == "threshold" else text(d.rate).replace("margin_mV", "margin"),
        sharpened=False,
        jump=[(name(n), text(e)) for n, e in d.jump],
        noisy=cell.spiking == "noisy",
        method=None,
        step=_step_lines(d),
        coefs={name(n): v for n, v in d.coefs.items()},
    )


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
