"""A fitted cell as a node of the neuromorphic intermediate representation (NIR), where it is one of NIR's neurons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ephysfit.errors import ExportError, needed
from ephysfit.neuron.affine import is_affine, matrices
from ephysfit.reports.export.exported import ExportedCell, refuse

_WAY_OUT = "take brian2, nest, neuroml or python"


def write_nir(cell: ExportedCell, path: Path) -> None:
    """Write a graph of one leaky integrate-and-fire neuron (``nir.LIF``); times in ms, potentials in mV, input in pA.

    Raises
    ------
    ExportError
        For any other neuron: NIR has no adaptation, no moving threshold, no refractory period, no
        escape noise.
    """
    numbers = compute_lif_fields(cell)
    needed("nir", "export", "a graph of NIR", ExportError)
    import nir as library

    one = {k: np.array([v]) for k, v in numbers.items()}
    node = library.LIF(**one, metadata={k: str(v) for k, v in cell.about.items() if k != "equations"})
    ends = {"input": library.Input(np.array([1])), "output": library.Output(np.array([1]))}
    library.write(path, library.NIRGraph({**ends, "neuron": node}, [("input", "neuron"), ("neuron", "output")]))


def compute_lif_fields(cell: ExportedCell) -> dict[str, float]:
    """Compute the fields of ``nir.LIF`` for a plain LIF cell; raise with the reason for any other."""
    kind, eq = cell.neuron, cell.equations
    if cell.spiking != "threshold":
        raise refuse(
            cell, "NIR", f"it spikes {cell.spiking!r}, with a soft threshold, and NIR's neurons have a hard one",
            "export with spiking='threshold' to leave the soft one out",
        )  # fmt: skip
    if len(eq.states) > 1 or len(eq.inputs) > 1 or not is_affine(kind):
        what = f"it has the states {', '.join(eq.states)}" if len(eq.states) > 1 else "it is not linear"
        raise refuse(cell, "NIR", f"{what} and NIR's spiking neurons have one, linear", _WAY_OUT)
    if cell.t_ref:
        raise refuse(cell, "NIR", f"its refractory period is {cell.t_ref:g} ms and NIR's neurons have none",
                     "take brian2, nest, neuroml or python, or fit it with t_ref pinned to 0")  # fmt: skip
    m: dict[str, Any] = {k: v[0].numpy() for k, v in matrices(cell.fit.neuron).items()}
    (slope, constant, drive), (kept, reset), (above, margin) = m["flow"][0], m["jump"][0], m["margin"]
    if kept or not slope < 0:
        raise refuse(cell, "NIR", "a spike subtracts from the potential (or it does not leak), and nir.LIF leaks "
                     "and resets to a value", _WAY_OUT)  # fmt: skip
    tau = -1.0 / slope
    return {"tau": tau, "r": drive * tau, "v_leak": constant * tau, "v_threshold": -margin / above, "v_reset": reset}
