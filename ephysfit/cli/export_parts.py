"""What `ephysfit export` does: one fit, or the fits of a batch run. Imported once the usage is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

import ephysfit as ef
from ephysfit.batch.collect import saved_fits
from ephysfit.batch.store import Store
from ephysfit.cli import arguments
from ephysfit.cli.output import print_files, print_line, print_note
from ephysfit.errors import ExportError
from ephysfit.reports.export import forms, make_stem
from ephysfit.reports.export.population import MODEL_ENDINGS, export_population


def check_form(to: str, form: str) -> None:
    """Check the value of ``--form``."""
    try:
        forms.check_form(to, form)
    except ExportError as error:
        raise typer.BadParameter(str(error), param_hint="--form") from None


def is_run(path: Path) -> bool:
    """Whether a path is the folder of a batch run."""
    return path.is_dir() and Store(path).planned


def export_fit(path: Path, to: str, output: Path | None, model: str | None, trust: bool, **options: Any) -> None:
    """Export a saved fit."""
    if path.is_dir() and not (path / "fit.json").exists():
        raise typer.BadParameter(f"{path} is a folder without run.json or fit.json; give a fit or a batch run")
    path = arguments.check_fit_file(path)
    if output is not None and output.is_dir():
        raise typer.BadParameter(f"{output} is a folder; name a file", param_hint="--output")
    fit = arguments.open_fit(path, model, trust)
    if fit.members:
        print_note(
            f"{fit.cell}: exported is the one {fit.model} fitted to all of the training data, not its ensemble of "
            f"{len(fit.members)} fits, whose scores the report shows; fit.single.simulate() runs what is exported"
        )
    main = output or path.with_name(make_stem(fit, to, options["form"]))  # `export` adds the format's ending
    print_files([str(p) for p in ef.export(fit, to, main, **options)])


def export_run(run: Path, to: str, output: Path | None, model: str | None, **options: Any) -> None:
    """Export the fits of a batch run as populations."""
    own = [arguments.read_user_neuron(model)] if model else []
    made = export_population(saved_fits(run, own), to, output or run / "export" / to, **options)
    for path, count in made.items():
        beside = [path.with_suffix(ending) for ending in (".csv", MODEL_ENDINGS.get(to, ".csv"))]
        names = ", ".join(dict.fromkeys(file.name for file in beside if file.exists()))
        print_line(f"written: {path}  ({count} {'cell' if count == 1 else 'cells'}), {names}")
