"""A fitted cell as a LEMS component type on NeuroML 2, and a simulation file that runs it."""

from __future__ import annotations

import sympy

from ephysfit.neuron.roles import Role
from ephysfit.neuron.symbols import MARGIN, symbol
from ephysfit.reports.export.discrete import order_assignments, sharpened_margin
from ephysfit.reports.export.exported import ExportedCell, refuse, select_constants
from ephysfit.reports.export.mathtext import LEMS
from ephysfit.reports.export.quoting import make_identifier
from ephysfit.reports.export.templates import fill_template


def write_neuroml(reading: ExportedCell) -> dict[str, str]:
    """The cell (``.xml``, a component type and its component) and ``_run.xml``, which runs it on a step of current.

    Notes
    -----
    Inside the component numbers are in ms, mV, pA, pF, nS and carry no dimension; the potential and the input of the
    outside have theirs. jNeuroML integrates by Euler's rule, so that steps of .02 ms or less are advised.

    Raises
    ------
    ExportError
        For a neuron of several inputs, or one whose jump reads a state that it changes before.
    """
    eq, name, text = reading.equations, LEMS.name_of, LEMS.text
    if len(eq.inputs) > 1:
        raise refuse(
            reading, "NeuroML", f"it has {len(eq.inputs)} inputs ({', '.join(eq.inputs)}), and a NeuroML cell sums all "
            "that it gets into one current", "take brian2 or python, or fit a neuron of one input",
        )  # fmt: skip
    jump = [(n, e) for n, e in eq.jump.items() if e != symbol(n)]
    if len(order_assignments(jump)) > len(jump):
        raise refuse(reading, "NeuroML", "at a spike its states change at once, each by the others",
                     "LEMS changes them one after the other; take brian2, nest or python")  # fmt: skip
    soft = reading.spiking != "threshold"
    rate = [eq.hazard.xreplace({MARGIN: sharpened_margin(reading)})] if soft and eq.hazard is not None else []
    every = [*eq.flow.values(), eq.margin, *(e for _, e in jump), *map(sympy.sympify, eq.rest.values()), *rate]
    read = {s.name for e in every for s in sympy.sympify(e).free_symbols}
    kind = make_identifier(f"{reading.fit.model}_{reading.fit.cell}")
    shared = {"about": reading.about, "kind": kind, "id": kind.lower()}
    (driven,) = eq.inputs
    potential = reading.neuron.name_of(Role.POTENTIAL)
    return {
        ".xml": fill_template(
            "cell.xml.j2",
            **shared,
            constants=[(name(c.name), c) for c in select_constants(reading, read).values()],
            t_ref=reading.t_ref,
            input=name(driven),
            states=[(name(n), text(eq.flow[n]), text(eq.rest[n]), n in eq.held) for n in eq.states],
            membrane=name(potential) if potential else None,
            margin=text(eq.margin),
            rate=text(rate[0]) if rate else None,
            jump=[(name(n), text(e)) for n, e in jump],
            noisy=reading.spiking == "noisy",
        ),
        "_run.xml": fill_template("run.xml.j2", **shared, dt=min(reading.dt, 0.02)),
    }
