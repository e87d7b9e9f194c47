"""`ephysfit import-model`: a model of another program as a saved fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import ephysfit as ef
from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import print_line, print_paragraph

File = Annotated[
    Path,
    typer.Argument(metavar="FILE", exists=True, dir_okay=False, show_default=False,
                   help="JSON: neuron_config.json of an Allen GLIF neuron, parameters of a NEST neuron, or attributes "
                   "of a GIF of the GIF toolbox."),
]  # fmt: skip
NestModel = Annotated[
    str | None,
    typer.Option("--model", "-m", metavar="NAME", show_default=False,
                 help="NEST's name of the neuron, where the file has no \"model\": iaf_psc_exp, glif_psc, gif_psc_exp, "
                 "aeif_psc_exp, mat2_psc_exp ..."),
]  # fmt: skip
Cell = Annotated[str | None, typer.Option("--cell", metavar="NAME", show_default=False,
                                          help="Name of the cell. Default: that of the file.")]  # fmt: skip
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", dir_okay=False, show_default=False, rich_help_panel=OUTPUT,
                 help="The saved fit. Default: MODEL_CELL.json in the working directory."),
]  # fmt: skip


def import_model(
    file: File,
    model: NestModel = None,
    cell: Cell = None,
    dt: arguments.StepOption = None,
    output: Output = None,
) -> None:
    """Import a model of another program: Allen GLIF, NEST, GIF toolbox.

    The result is a saved fit, for simulate, score, explore and export. What was converted, left out or assumed is
    listed; a value that no neuron here has is refused.

    Examples:

    ephysfit import-model neuron_config.json -o cell.json

    ephysfit import-model parameters.json --model glif_psc --dt 0.1
    """
    fit = ef.import_model(file, model=model, dt=dt, cell=cell)
    path = output or Path(f"{fit.model}_{fit.cell}.json")
    fit.save(path)
    print_line(f"{fit.provenance.origin.partition(',')[0]} → {fit.model}, step {fit.dt:g} ms")
    for said in fit.warnings:
        print_paragraph(said, "- ")
    print_line(f"written: {path}")
