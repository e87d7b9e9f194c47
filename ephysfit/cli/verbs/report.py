"""`ephysfit report`: one self-contained page on a saved fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import ephysfit as ef
from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import print_line
from ephysfit.cli.sweep_options import select_unseen_sweeps

Page = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE.html", dir_okay=False, show_default=False,
                 rich_help_panel=OUTPUT,
                 help="The page to write. Default: report.html beside the fit."),
]  # fmt: skip


def report(
    fit: arguments.FitFile,
    files: arguments.Files,
    train: arguments.TrainOption = None,
    test: arguments.TestOption = None,
    spikes: arguments.SpikesOption = "auto",
    sweeps: arguments.SweepsOption = None,
    option: arguments.ReaderOption = None,
    model: arguments.NeuronOption = None,
    trust: arguments.TrustOption = False,
    output: Page = None,
) -> None:
    """Write the report of a saved fit: one HTML page that works offline.

    Examples:

    ephysfit report fit_DRN164_auto data/DRN164.nwb

    ephysfit report fit.json repeats.abf -o figure_2.html
    """
    fitted = arguments.open_fit(fit, model, trust)
    sides = arguments.find_fit_sides(fitted, train, test)
    recording = arguments.open_recording(files, spikes, sweeps, option, *sides)
    held = select_unseen_sweeps(recording, fitted, train, test)
    print_line(f"written: {ef.report(fitted, held, output or fit.with_name('report.html'))}")
