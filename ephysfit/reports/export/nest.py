"""A fitted cell for NEST: a NESTML model of the discrete step of the fit, and a script that builds and runs it."""

from __future__ import annotations

import sympy

from ephysfit.reports.export.discrete import make_discrete_step
from ephysfit.reports.export.exported import ExportedCell, refuse
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
    d, name, text = make_discrete_step(cell), NESTML.name_of, NESTML.text
    (driven,) = d.step.inputs
    model = make_identifier(f"{cell.fit.model}_{cell.fit.cell}").lower() + "_neuron"
    shared = {"about": cell.about, "model": model, "dt": cell.dt}
    rate = None if d.rate is None or cell.spiking == "threshold" else text(d.rate)
    values = d.coefs
    return {
        ".nestml": fill_template(
            "neuron.nestml.j2",
            **shared,
            states=[(name(n), _rest_number(e, values), cell.meanings[n]) for n, e in d.rest.items()],
            coefs=[(name(n), v) for n, v in values.items()],
            n_ref=cell.refractory_steps,
            input=name(driven),
            free=[(name(n), text(e)) for n, e in d.free],
            held=[(name(n), text(e)) for n, e in d.held],
            names=[name(n) for n in d.step.states],
            margin=text(d.margin),
            rate=rate,
            jump=[(name(n), text(e), n in d.step.states) for n, e in d.jump],
            noisy=cell.spiking == "noisy",
        ),
        "_nest.py": fill_template(
            "nest.py.j2", **shared, states=[*map(name, d.step.states), "wait", *(["spent"] if rate else [])]
        ),
    }


def _rest_number(e: sympy.Expr, values: dict[str, float]) -> float:
    """Evaluate a rest value."""
    return float(e.subs({s: values[s.name] for s in e.free_symbols}))
