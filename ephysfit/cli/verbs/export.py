"""`ephysfit export`: a fitted cell, or all cells of a batch run, for another simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import ephysfit as ef
from ephysfit.batch.collect import saved_fits
from ephysfit.batch.store import Store
from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import print_files, print_line, print_note
from ephysfit.reports.export.population import MODEL_ENDINGS, export_population

#: panel of the help
SIMULATOR = "Simulator"
NAMES = ("nest", "brian2", "neuroml", "nir", "python", "json")
WAYS = ("causal", "noisy", "threshold")
NEST = ("iaf_psc_exp", "glif_psc", "gif_psc_exp", "mat2_psc_exp", "aeif_psc_exp", "aeif_psc_alpha", "aeif_cond_exp",
        "aeif_cond_alpha")  # fmt: skip
FORMS = ("auto", "equations", "steps", "own", *NEST)


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
    typer.Option("--form", metavar="NAME", callback=arguments.make_choice_check(*FORMS),
                 rich_help_panel=SIMULATOR,
                 help="Of a Brian2 script: equations (differential) or steps (of the fit). Of NEST: own, a neuron of "
                 "NEST's own where the cell is one; or its name, such as glif_psc, where it is nearly that."),
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

    ephysfit export run --to brian2 -o population

    ephysfit export run --to nest --form own --spiking threshold
    """
    if fit.is_dir() and Store(fit).planned:
        _export_run(fit, to, output, model, spiking=spiking, dt=dt, form=form)
        return
    if fit.is_dir() and not (fit / "fit.json").exists():
        raise typer.BadParameter(f"{fit} is a folder without run.json or fit.json; give a fit or a batch run")
    fit = arguments.check_fit_file(fit)
    if output is not None and output.is_dir():
        raise typer.BadParameter(f"{output} is a folder; name a file", param_hint="--output")
    fitted = arguments.open_fit(fit, model, trust)
    if fitted.members:
        print_note(
            f"{fitted.cell}: exported is the one {fitted.model} fitted to all of the training data, not its ensemble "
            f"of {len(fitted.members)} fits, whose scores the report shows; fit.single.simulate() runs what is exported"
        )
    name = "".join(c if c.isalnum() else "_" for c in f"{fitted.model}_{fitted.cell}")
    path = output or fit.with_name(name + _kind(to, form))  # `export` adds the format's ending
    print_files([str(p) for p in ef.export(fitted, to, path, spiking=spiking, dt=dt, form=form)])


def _kind(to: str, form: str) -> str:
    """What keeps files of one ending apart."""
    return "_brian2" if to == "brian2" else "_nest_own" if to == "nest" and form != "auto" else ""


def _export_run(run: Path, to: str, output: Path | None, model: str | None, **options: Any) -> None:
    """Export the fits of a batch run as populations."""
    own = [arguments.read_user_neuron(model)] if model else []
    made = export_population(saved_fits(run, own), to, output or run / "export" / to, **options)
    for path, count in made.items():
        beside = [path.with_suffix(ending) for ending in (".csv", MODEL_ENDINGS.get(to, ".csv"))]
        names = ", ".join(dict.fromkeys(file.name for file in beside if file.exists()))
        print_line(f"written: {path}  ({count} {'cell' if count == 1 else 'cells'}), {names}")
