"""`ephysfit export`: a fitted cell, or all cells of a batch run, for another simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT

#: panel of the help
SIMULATOR = "Simulator"
NAMES = ("nest", "brian2", "neuroml", "nir", "python", "json")
WAYS = ("causal", "noisy", "threshold")

FitOrRun = Annotated[
    Path,
    typer.Argument(metavar="FIT", exists=True, show_default=False,
                   help="A fit.json that `ephysfit fit` wrote, or its folder; or the folder of a batch run: one model, "
                   "a script that loads it and a table of parameters for each neuron class (all but json)."),
]  # fmt: skip
To = Annotated[
    str,
    typer.Option("--to", "-t", metavar="NAME", callback=arguments.make_choice_check(*NAMES), show_default=False,
                 rich_help_panel=SIMULATOR,
                 help="Target. nest: NESTML and a script; brian2: a script; neuroml: LEMS; nir: plain LIF only; "
                 "python: one file on numpy; json: numbers, units, equations."),
]  # fmt: skip
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="PATH", show_default=False,
                 rich_help_panel=OUTPUT,
                 help="The main file; companion files are written beside it. Default: MODEL_CELL.* beside the fit. "
                 "Of a run: a folder; default: RUN/export/NAME."),
]  # fmt: skip
Spiking = Annotated[
    str | None,
    typer.Option("--spiking", metavar="|".join(WAYS), callback=arguments.make_choice_check(*WAYS), show_default=False,
                 rich_help_panel=SIMULATOR,
                 help="Condition for a spike. causal (default of a stochastic neuron): integrated hazard 1, "
                 "noise-free; noisy: with escape noise; threshold: the margin reaches 0."),
]  # fmt: skip
Form = Annotated[
    str,
    typer.Option("--form", metavar="NAME", rich_help_panel=SIMULATOR,
                 help="Of a Brian2 script: equations (differential) or steps (of the fit). Of NEST and NeuroML: own, a "
                 "neuron of the simulator's own where the cell is one; or its name, such as glif_psc or iafRefCell, "
                 "where it is nearly that."),
]  # fmt: skip


def export(
    fit: FitOrRun,
    to: To,
    spiking: Spiking = None,
    form: Form = "auto",
    model: arguments.NeuronOption = None,
    trust: arguments.TrustOption = False,
    dt: arguments.StepOption = None,
    output: Output = None,
) -> None:
    """Export a fitted cell to another simulator: NEST, Brian2, NeuroML, NIR, plain Python, JSON.

    A neuron that the target cannot express is refused with the reason.

    Examples:

    ephysfit export fit_DRN164_auto --to brian2

    ephysfit export fit.json --to nest --dt 0.1 -o models/cell_42.nestml

    ephysfit export fit.json --to nest --form own --spiking threshold

    ephysfit export fit.json --to nir --spiking threshold

    ephysfit export fit.json --to neuroml --form own --spiking threshold

    ephysfit export run --to brian2 -o population

    ephysfit export run --to nest --form own --spiking threshold
    """
    from ephysfit.cli import export_parts  # torch, sympy, pandas: once the usage is right

    export_parts.check_form(to, form)
    options = {"spiking": spiking, "dt": dt, "form": form}
    if export_parts.is_run(fit):
        export_parts.export_run(fit, to, output, model, **options)
    else:
        export_parts.export_fit(fit, to, output, model, trust, **options)
