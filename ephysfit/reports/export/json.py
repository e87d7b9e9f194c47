"""A fitted cell as JSON: parameters with units and bounds, equations as text, the condition for a spike."""

from __future__ import annotations

import json as _json
from typing import Any

from ephysfit.neuron.symbols import MARGIN, latex, symbol
from ephysfit.reports.export.exported import SPIKING, ExportedCell
from ephysfit.reports.export.mathtext import PLAIN

_FORMAT = 1


def write_json(cell: ExportedCell) -> str:
    """Write the JSON text; expressions are Python arithmetic, and the file explains their functions."""
    eq, text = cell.equations, PLAIN.text
    u = symbol("u")
    found: dict[str, Any] = {
        "format": f"ephysfit cell {_FORMAT}",
        **{k: cell.about[k] for k in ("cell", "model", "version", "date", "recording", "reference")},
        "units": "ms, mV, pA, pF, nS throughout; rates per ms",
        "potentials": cell.about["potentials"],
        "functions": {"softplus(x)": "log(1 + exp(x))", "sigmoid(x)": "1/(1 + exp(-x))"},
        "dt_ms": cell.dt,
        "refractory_ms": cell.t_ref,
        "parameters": [
            {"name": c.name, "value": c.value, "unit": c.unit, "bounds": c.bounds and list(c.bounds),
             "meaning": c.meaning} for c in cell.constants
        ],
        "inputs": [{"name": n, "unit": cell.units[n], "meaning": cell.meanings[n]} for n in eq.inputs],
        "states": [
            {"name": n, "unit": cell.units[n], "meaning": cell.meanings[n], "rest": text(eq.rest[n]),
             "d/dt": text(eq.flow[n]), "at_spike": text(eq.jump[n]), "held_while_refractory": n in eq.held}
            for n in eq.states
        ],
        "margin": {"expression": text(eq.margin), "unit": "mV", "meaning": "distance to threshold"},
        "hazard": eq.hazard and {"expression": text(eq.hazard.xreplace({MARGIN: u})), "argument": "u", "unit": "1/ms"},
        "spiking": {"chosen": cell.spiking, "ways": SPIKING, "sharpen": list(cell.sharpen)},
        "latex": latex(cell.neuron),
    }  # fmt: skip
    return _json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
