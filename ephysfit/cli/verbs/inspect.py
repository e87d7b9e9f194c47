"""`ephysfit inspect`: draw every sweep with its detected spikes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import print_line
from ephysfit.data.recording import Recording
from ephysfit.errors import say_count

KINDS = (".png", ".svg", ".pdf")
Picture = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", dir_okay=False, show_default=False,
                 rich_help_panel=OUTPUT,
                 help="Image file: .png, .svg or .pdf. Default: CELL_sweeps.png, or .pdf for several pages."),
]  # fmt: skip
Zoom = Annotated[
    str | None,
    typer.Option("--zoom", metavar="START-STOP", show_default=False, rich_help_panel=arguments.DATA,
                 help="Draw only this stretch of each sweep, in ms."),
]  # fmt: skip


def inspect(
    files: arguments.Files,
    zoom: Zoom = None,
    spikes: arguments.SpikesOption = "auto",
    sweeps: arguments.SweepsOption = None,
    option: arguments.ReaderOption = None,
    output: Picture = None,
) -> None:
    """Draw every sweep of a recording: current, voltage, detected spikes and their shapes, masked stretches.

    Check this before a fit. Where spikes are missed or false, adjust the detection and draw again.

    Examples:

    ephysfit inspect data/DRN164.nwb

    ephysfit inspect cell.abf --zoom 200-700 -o cell.pdf

    ephysfit inspect cell.abf -O spikes.height=15 -O spikes.min_slope=3
    """
    recording = arguments.open_recording(files, spikes, sweeps, option)
    if zoom is not None:
        recording = recording.cut(*_parse_stretch(zoom))
    written = draw_recording(recording, output)
    counts = f"{say_count(len(recording), 'sweep')}, {say_count(recording.n_spikes, 'spike')}"
    print_line(f"{recording.cell}: {counts}; drawn: " + "  ".join(map(str, written)))


def _parse_stretch(text: str) -> tuple[float, float]:
    try:
        start, stop = (float(part) for part in text.split("-"))
    except ValueError:
        raise typer.BadParameter(f"{text!r}: give START-STOP in ms, such as 200-700", param_hint="--zoom") from None
    return start, stop


def draw_recording(recording: Recording, output: Path | None) -> list[Path]:
    """Draw a recording to files: several pages go into one PDF, or into numbered images."""
    from ephysfit.reports.figures.recorded_sweeps import (  # matplotlib: where something is drawn
        draw_pages,
        save_pages,
    )

    figures = draw_pages(recording)
    if output is None:
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in recording.cell)
        output = Path(f"{name}_sweeps{'.png' if len(figures) == 1 else '.pdf'}")
    if output.suffix.lower() not in KINDS:
        raise typer.BadParameter(f"{output}: give a name that ends in {', '.join(KINDS)}", param_hint="--output")
    return save_pages(figures, output)
