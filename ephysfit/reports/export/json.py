"""A fitted cell as JSON: numbers with units and bounds, equations as text, what a spike is."""

from __future__ import annotations

import json as _json
from typing import Any

from ephysfit.neuron.symbols import MARGIN, latex, symbol
from ephysfit.reports.export.exported import SPIKING, ExportedCell
from ephysfit.reports.export.mathtext import PLAIN

_FORMAT = 1


def write_json(reading: ExportedCell) -> str:
    """The text of the file; expressions are in Python's arithmetic, with `reading` of their functions beside."""
    eq, text = reading.equations, PLAIN.text
    u = symbol("u")
    found: dict[str, Any] = {
        "format": f"ephysfit cell {_FORMAT}",
        **{k: reading.about[k] for k in ("cell", "model", "version", "date", "recording", "reference")},
        "units": "ms, mV, pA, pF, nS throughout; rates per ms",
        "functions": {"softplus(x)": "log(1 + exp(x))", "sigmoid(x)": "1/(1 + exp(-x))"},
        "dt_ms": reading.dt,
        "refractory_ms": reading.t_ref,
        "parameters": [
            {"name": c.name, "value": c.value, "unit": c.unit, "bounds": c.bounds and list(c.bounds),
             "meaning": c.meaning} for c in reading.constants
        ],
        "inputs": [{"name": n, "unit": reading.units[n], "meaning": reading.meanings[n]} for n in eq.inputs],
        "states": [
            {"name": n, "unit": reading.units[n], "meaning": reading.meanings[n], "rest": text(eq.rest[n]),
             "d/dt": text(eq.flow[n]), "at_spike": text(eq.jump[n]), "held_while_refractory": n in eq.held}
            for n in eq.states
        ],
        "margin": {"expression": text(eq.margin), "unit": "mV", "meaning": "distance to threshold"},
        "hazard": eq.hazard and {"expression": text(eq.hazard.xreplace({MARGIN: u})), "argument": "u", "unit": "1/ms"},
        "spiking": {"chosen": reading.spiking, "ways": SPIKING, "sharpen": list(reading.sharpen)},
        "latex": latex(reading.neuron),
    }  # fmt: skip
    return _json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
