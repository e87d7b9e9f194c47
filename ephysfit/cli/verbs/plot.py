"""`ephysfit plot`: one figure of a saved fit, as PNG, PDF or SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import ephysfit as ef
from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import print_line
from ephysfit.cli.sweep_options import find_training_sweeps, select_unseen_sweeps
from ephysfit.errors import near

#: names of `reports.figures.single.KINDS` (a test compares them), repeated so that help stays fast
KINDS = (
    "overview", "stimuli", "misses", "steps", "traces", "f-i", "statistics", "spikes", "responses", "fitting", "bounds",
    "raster", "psth", "membrane", "current", "precision", "intervals", "rescaling", "history",
)  # fmt: skip
#: panel of the help
FIGURE = "Figure"
FORMATS = (".png", ".pdf", ".svg")


def check_kind(text: str) -> str:
    """Check the kind of figure."""
    if text.lower() in KINDS:
        return text.lower()
    raise typer.BadParameter(f"{text!r}; {near(text, KINDS)}")


def check_figure_file(path: Path) -> Path:
    """Check that the suffix of a file is a known format."""
    if path.suffix.lower() in FORMATS:
        return path
    raise typer.BadParameter(f"{path}: ends in none of {', '.join(FORMATS)}")


def parse_stretch(text: str | None) -> tuple[float, float] | None:
    """Parse a stretch in ms, ``500-3000``."""
    if text is None:
        return None
    start, dash, stop = text.partition("-")
    try:
        found = float(start), float(stop)
    except ValueError:
        found = (0.0, 0.0)
    if not dash or not 0 <= found[0] < found[1]:
        raise typer.BadParameter(f"{text!r}: give START-STOP in ms, such as 500-3000", param_hint="--from")
    return found


Kind = Annotated[
    str,
    typer.Option(
        "--kind",
        "-k",
        metavar="KIND",
        callback=check_kind,
        autocompletion=lambda: list(KINDS),
        rich_help_panel=FIGURE,
        help="One of " + ", ".join(KINDS) + ".",
    ),
]
Figure = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FILE", dir_okay=False, callback=check_figure_file, show_default=False,
                 rich_help_panel=OUTPUT,
                 help="The figure to write: .png, .pdf or .svg."),
]  # fmt: skip
Stretch = Annotated[
    str | None,
    typer.Option("--from", metavar="START-STOP", show_default=False, rich_help_panel=FIGURE,
                 help="Stretch (ms) of figures in time. Default: a typical stretch of 2500 ms."),
]  # fmt: skip


def plot(
    fit: arguments.FitFile,
    files: arguments.Files,
    *,
    kind: Kind = "overview",
    stretch: Stretch = None,
    train: arguments.TrainOption = None,
    test: arguments.TestOption = None,
    spikes: arguments.SpikesOption = "auto",
    sweeps: arguments.SweepsOption = None,
    option: arguments.ReaderOption = None,
    model: arguments.NeuronOption = None,
    trust: arguments.TrustOption = False,
    runs: arguments.RunsOption = 200,
    seed: arguments.SeedOption = 1,
    output: Figure,
) -> None:
    """Draw one figure of a saved fit on held-out sweeps, as PNG, PDF or SVG.

    Examples:

    ephysfit plot fit_DRN164_auto data/DRN164.nwb -o overview.png

    ephysfit plot fit.json cell.nwb --kind raster --from 1000-3000 -o figure_2a.pdf

    ephysfit plot fit.json cell.nwb --kind f-i -o f_i.svg
    """
    within = parse_stretch(stretch)
    fitted = arguments.open_fit(fit, model, trust)
    sides = arguments.find_fit_sides(fitted, train, test)
    recording = arguments.open_recording(files, spikes, sweeps, option, *sides)
    held = select_unseen_sweeps(recording, fitted, train, test)
    train_sweeps = find_training_sweeps(recording, held, fitted)
    ef.plot(fitted, kind, held, train=train_sweeps, stretch=within, runs=runs, seed=seed, path=output)
    print_line(f"written: {output}")
