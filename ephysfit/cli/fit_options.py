"""The options of `ephysfit fit`, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.verbs import intervals

#: largest number of pieces of a drift
MOST_PIECES = 20


def check_drift(text: str) -> str:
    """Check the number of pieces of a drift: auto, or an integer from 0 to 20."""
    if text != "auto" and not (text.isdecimal() and int(text) <= MOST_PIECES):
        raise typer.BadParameter(f"{text!r}: give auto, or a number of pieces from 0 to {MOST_PIECES}")
    return text


Folder = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", file_okay=False, show_default=False, rich_help_panel=OUTPUT,
                 help="Folder of fit.json, scores.json and report.html. Default: fit_CELL_MODEL."),
]  # fmt: skip
IntervalsOption = Annotated[
    str,
    typer.Option("--intervals", metavar="HOW", callback=intervals.check_method, rich_help_panel=arguments.FIT,
                 help="Intervals of parameters: fisher (immediate), profile (a minute; minutes for "
                      "AIGIF and other large neurons), bootstrap (minutes), none."),
]  # fmt: skip
AecOption = Annotated[
    Path | None,
    typer.Option("--aec", metavar="FILE", callback=arguments.check_optional_file, show_default=False,
                 rich_help_panel=arguments.DATA,
                 help="Recording of subthreshold noise for active electrode compensation of the voltage."),
]  # fmt: skip
VoltageOption = Annotated[
    bool,
    typer.Option("--voltage", rich_help_panel=arguments.FIT,
                 help="Also fit the recorded voltage between spikes: it determines potentials, conductances and "
                      "capacitance, which spikes alone do not. For neurons with a membrane (GIF, ALIF ...)."),
]  # fmt: skip
DriftOption = Annotated[
    str,
    typer.Option("--drift", metavar="auto|N", callback=check_drift, rich_help_panel=arguments.FIT,
                 help="Let excitability drift over the training data in N linear pieces; the fit describes the cell "
                      "at the end. auto: one piece, if the data support it."),
]  # fmt: skip
RecentOption = Annotated[
    float | None,
    typer.Option("--recent", min=0.01, metavar="S", show_default=False, rich_help_panel=arguments.FIT,
                 help="Half-life of the weight of training data, s: data this long before the end count half."),
]  # fmt: skip
NoAssumedSteps = Annotated[
    bool,
    typer.Option("--no-assumed-steps", rich_help_panel=arguments.FIT,
                 help="Fit noise alone as it is. By default AIGIF and its kin also assume steps of current where the "
                      "training data hold none, since noise leaves their answer to a steady current open."),
]  # fmt: skip
PriorOption = Annotated[
    list[Path] | None,
    typer.Option("--prior", metavar="RUN|FIT.json", exists=True, show_default=False, rich_help_panel=arguments.FIT,
                 help="Population prior of other cells: folder of a batch run, or fits of three or more cells "
                      "(repeatable). Fits of this cell are left out."),
]  # fmt: skip
Undriven = Annotated[
    bool,
    typer.Option("--undriven", rich_help_panel=arguments.FIT,
                 help="Fit even if the current cannot explain the spikes, because it is constant or the voltage does "
                      "not follow it."),
]  # fmt: skip
NoReport = Annotated[bool, typer.Option("--no-report", rich_help_panel=OUTPUT, help="Write no report.html.")]


@dataclass(frozen=True)
class DataOptions:
    """What is read, and what of it is fitted and tested."""

    train: arguments.TrainOption = None
    test: arguments.TestOption = None
    spikes: arguments.SpikesOption = "auto"
    sweeps: arguments.SweepsOption = None
    option: arguments.ReaderOption = None
    aec: AecOption = None


@dataclass(frozen=True)
class FitOptions:
    """What is fitted, and how."""

    model: arguments.ModelOption = "auto"
    voltage: VoltageOption = False
    prior: PriorOption = None
    drift: DriftOption = "0"
    recent: RecentOption = None
    no_assumed_steps: NoAssumedSteps = False
    undriven: Undriven = False
    effort: arguments.EffortOption = "fast"
    objective: arguments.ObjectiveOption = None
    intervals_by: IntervalsOption = "fisher"


@dataclass(frozen=True)
class NumericsOptions:
    """Runs, step and seed."""

    runs: arguments.RunsOption = 200
    dt: arguments.StepOption = None
    seed: arguments.SeedOption = 0


@dataclass(frozen=True)
class OutputOptions:
    """What is written and printed."""

    output: Folder = None
    no_report: NoReport = False
    full: arguments.FullOption = False
    json: arguments.JsonOption = False
