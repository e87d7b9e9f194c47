"""`ephysfit intervals`: intervals of the parameters of a saved fit."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import ephysfit as ef
from ephysfit.cli import arguments
from ephysfit.cli.output import print_json, print_line, print_paragraph, print_table, show_progress
from ephysfit.cli.sweep_options import select_training_sweeps
from ephysfit.errors import near

#: panel of the help
INTERVALS = "Intervals"
HOW = ("fisher", "profile", "bootstrap")


def check_method(text: str) -> str:
    """Check the method of the intervals."""
    if text not in (*HOW, "none"):
        raise typer.BadParameter(f"{text!r}; {near(text, (*HOW, 'none'))}")
    return text


How = Annotated[
    str,
    typer.Option("--how", metavar="HOW", callback=check_method, rich_help_panel=INTERVALS,
                 help="fisher: from the curvature, immediate; profile: seconds to minutes; bootstrap: minutes."),
]  # fmt: skip
Level = Annotated[
    float,
    typer.Option("--level", min=0.5, max=0.999, metavar="P", rich_help_panel=INTERVALS,
                 help="Coverage of the intervals."),
]  # fmt: skip
Names = Annotated[
    str | None,
    typer.Option("--parameters", metavar="NAMES", show_default=False, rich_help_panel=INTERVALS,
                 help="Only these parameters, comma-separated; the others are refitted all the same."),
]  # fmt: skip
Draws = Annotated[
    int, typer.Option("--draws", min=20, metavar="N", rich_help_panel=INTERVALS, help="Number of bootstrap samples.")
]
Block = Annotated[
    float,
    typer.Option(
        "--block", min=1.0, metavar="MS", rich_help_panel=INTERVALS, help="Length of the bootstrap blocks, ms."
    ),
]
Trains = Annotated[
    int | None,
    typer.Option("--trains", min=0, metavar="N", show_default=False, rich_help_panel=INTERVALS,
                 help="Of filter banks: simulated trains to fit again, whose bias is taken off; 20, with fisher none."),
]  # fmt: skip


def intervals(
    fit: arguments.FitFile,
    files: arguments.Files,
    how: How = "profile",
    level: Level = 0.95,
    parameters: Names = None,
    draws: Draws = 200,
    block: Block = 1000.0,
    trains: Trains = None,
    train: arguments.TrainOption = None,
    test: arguments.TestOption = None,
    spikes: arguments.SpikesOption = "auto",
    sweeps: arguments.SweepsOption = None,
    option: arguments.ReaderOption = None,
    model: arguments.NeuronOption = None,
    trust: arguments.TrustOption = False,
    seed: arguments.SeedOption = 0,
    json: arguments.JsonOption = False,
) -> None:
    """Compute intervals of the parameters of a saved fit, and list what the data do not determine.

    FILE is the recording of the fit; the training sweeps are selected as in the fit. The intervals are written into
    FIT, where `ephysfit report` finds them.

    Examples:

    ephysfit intervals fit_DRN164_auto data/DRN164.nwb

    ephysfit intervals fit.json cell.nwb --how bootstrap --draws 500 --parameters C,g,tau_a
    """
    fitted = arguments.open_fit(fit, model, trust)
    sides = arguments.find_fit_sides(fitted, train, test)
    recording = arguments.open_recording(files, spikes, sweeps, option, *sides)
    data = select_training_sweeps(recording, fitted, train, test)
    names = [n.strip() for n in parameters.split(",")] if parameters else None
    options = {"level": level, "names": names, "draws": draws, "block": block, "trains": trains, "seed": seed}
    found = compute_with_progress(fitted, data, how, **options)
    found.save(fit)
    if json:
        print_json(found.intervals.to_dict() if found.intervals else {})
        return
    print_intervals(found)
    print_line(f"written: {fit}")


def compute_with_progress(fit: ef.Fit, recording: ef.Recording, how: str, **options: Any) -> ef.Fit:
    """Compute the intervals of a fit with a progress bar."""
    with show_progress() as listener:
        return ef.intervals(fit, recording, how, progress=listener, **options)


def print_intervals(fit: ef.Fit) -> None:
    """Print parameters with intervals, quantities independent of the mV scale, and undetermined directions."""
    from ephysfit.reports.tables import (  # numba: once there is something to show
        describe_open_directions,
        make_derived_lines,
        make_interval_rows,
    )

    end = f"{100 * fit.intervals.level:g} % interval" if fit.intervals else ""
    print_table(make_interval_rows(fit, end), right=("value", "± s.e."))
    derived = make_derived_lines(fit)
    if derived:
        print_table([{"what the spikes determine": d.meaning, "as": d.name, "value": d.text, end: d.interval,
                      "unit": d.unit}
               for d in derived], right=("value",))  # fmt: skip
    for text in describe_open_directions(fit):
        print_paragraph(text, "! ")
