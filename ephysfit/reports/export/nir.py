"""Fitted cells as a node of the neuromorphic intermediate representation (NIR), where they are one of NIR's neurons."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit.errors import ExportError, needed
from ephysfit.neuron.affine import matrices
from ephysfit.neuron.step_kinds import is_affine
from ephysfit.reports.export.exported import ExportedCell, describe_population, refuse
from ephysfit.reports.export.templates import fill_template

_WAY_OUT = "take brian2, nest, neuroml or python"


def write_nir(cell: ExportedCell, path: Path) -> None:
    """Write a graph of one leaky integrate-and-fire neuron (``nir.LIF``); times in ms, potentials in mV, input in pA.

    Raises
    ------
    ExportError
        For any other neuron: NIR has no adaptation, no moving threshold, no refractory period, no
        escape noise.
    """
    _write_graph({k: [v] for k, v in compute_lif_fields(cell).items()}, cell.about, path)


def write_nir_population(
    cells: Sequence[ExportedCell], fields: Sequence[Mapping[str, float]]
) -> tuple[dict[str, str], dict[str, list[Any]]]:
    """Write the loader (``.py``) of plain LIF cells, which makes a graph, and the columns of its CSV file."""
    loader = fill_template("nir_population.py.j2", about=describe_population(cells), count=len(cells))
    return {".py": loader}, {n: [of[n] for of in fields] for n in fields[0]}


def write_nir_graph(
    cells: Sequence[ExportedCell], names: Sequence[str], columns: Mapping[str, Sequence[float]], path: Path
) -> None:
    """Write the graph of a population, whose one node holds a value for each cell; `names` go to its metadata."""
    _write_graph(columns, {**describe_population(cells), "cells": json.dumps(names)}, path)


def _write_graph(fields: Mapping[str, Sequence[float]], about: Mapping[str, Any], path: Path) -> None:
    needed("nir", "export", "a graph of NIR", ExportError)
    import nir as library

    node = library.LIF(
        **{k: np.array(v) for k, v in fields.items()},
        metadata={k: str(v) for k, v in about.items() if k != "equations"},
    )
    size = np.array([len(node.tau)])
    ends = {"input": library.Input(size), "output": library.Output(size)}
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
