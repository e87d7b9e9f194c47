"""`ephysfit write`: write a saved fit, its predictions and scores into the NWB file of its recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import print_line
from ephysfit.cli.sweep_options import select_unseen_sweeps

NwbFile = Annotated[
    Path,
    typer.Argument(metavar="FILE.nwb", callback=arguments.check_file, show_default=False,
                   help="An NWB 2 file, usually that of the recording."),
]  # fmt: skip
Label = Annotated[
    str | None,
    typer.Option(
        "--label",
        metavar="NAME",
        show_default=False,
        rich_help_panel=OUTPUT,
        help="Name of the fit in the file. Default: the name of its model.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE.nwb", dir_okay=False, show_default=False,
                 rich_help_panel=OUTPUT,
                 help="Write this file instead and leave FILE unchanged."),
]  # fmt: skip


def write(
    fit: arguments.FitFile,
    file: NwbFile,
    train: arguments.TrainOption = None,
    test: arguments.TestOption = None,
    spikes: arguments.SpikesOption = "auto",
    sweeps: arguments.SweepsOption = None,
    option: arguments.ReaderOption = None,
    model: arguments.NeuronOption = None,
    trust: arguments.TrustOption = False,
    runs: arguments.RunsOption = 50,
    seed: arguments.SeedOption = 1,
    label: Label = None,
    output: Out = None,
) -> None:
    """Append a fit, its predicted spikes and its scores to an NWB file.

    The sweeps that were not used by the fit are predicted and scored. Existing content stays unchanged; the file is
    replaced in one step once the new one is complete and valid.

    Examples:

    ephysfit write fit_DRN164_auto DRN164.nwb

    ephysfit write fit.json cell.nwb --label alif_march -o cell_with_fit.nwb
    """
    from ephysfit.reports.export.nwb import write_nwb  # numba: once the usage is right

    fitted = arguments.open_fit(fit, model, trust)
    sides = arguments.find_fit_sides(fitted, train, test)
    recording = arguments.open_recording([file], spikes, sweeps, option, *sides)
    held = select_unseen_sweeps(recording, fitted, train, test)
    written = write_nwb(fitted, file, held, label=label, runs=runs, seed=seed, out=output)
    print_line(
        f"written into {written}: {fitted.model} of {fitted.cell}, {runs} noisy runs of {len(held)} sweeps, and scores"
    )
    print_line(f'read it back with ephysfit.Fit.load("{written}")')
