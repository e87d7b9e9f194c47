"""`ephysfit report`: one self-contained page on a saved fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import ephysfit as ef
from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import print_line
from ephysfit.cli.sweep_options import find_training_sweeps, select_commonly_unseen

Page = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE.html", dir_okay=False, show_default=False,
                 rich_help_panel=OUTPUT,
                 help="The page to write, or the summary on one page (.pdf). Default: report.html beside the fit; of "
                      "several fits comparison.html."),
]  # fmt: skip


Pdf = Annotated[
    bool, typer.Option("--pdf", rich_help_panel=OUTPUT, help="Write the summary on one page of A4 beside the page too.")
]


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
    pdf: Pdf = False,
) -> None:
    """Write the report of a saved fit: one HTML page that works offline.

    Several fits of one cell before the recording are compared side by side, on the sweeps that none of them has used.

    Examples:

    ephysfit report fit_DRN164_auto data/DRN164.nwb

    ephysfit report fit.json repeats.abf -o figure_2.html --pdf

    ephysfit report fit.json repeats.abf -o summary.pdf

    ephysfit report aigif/fit.json glif/fit.json data/DRN164.nwb -o comparison.html
    """
    others, recordings = split_fits(files)
    fits = [arguments.open_fit(path, model, trust) for path in (fit, *others)]
    sides = arguments.find_fit_sides(fits[0], train, test)
    recording = arguments.open_recording(recordings, spikes, sweeps, option, *sides)
    held = select_commonly_unseen(recording, fits, train, test)
    known = find_training_sweeps(recording, held, fits[0])
    several = len(fits) > 1
    page = output or fit.with_name("comparison.html" if several else "report.html")
    written = [ef.report(fits if several else fits[0], held, page, train=known, pdf=pdf)]
    if pdf and written[0].suffix != ".pdf":
        written.append(written[0].with_suffix(".pdf"))
    print_line(f"written: {'  '.join(map(str, written))}")


def split_fits(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """Split what follows the first fit in further fits (.json) and the recording; a usage error without a recording."""
    fits = [path for path in files if str(path).lower().endswith(".json")]
    recordings = [path for path in files if path not in fits]
    if not recordings:
        raise typer.BadParameter("there is no recording after the fits; give its file last", param_hint="FILE...")
    return fits, recordings
