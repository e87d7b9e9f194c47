"""`ephysfit population`: the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ephysfit.cli import arguments
from ephysfit.cli.output import say

PagePath = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE.html", dir_okay=False, show_default=False,
                 help="Default: population.html in the run's folder."),
]  # fmt: skip


def population(run: arguments.RunFolder, output: PagePath = None) -> None:
    """Write the report of a run: scores and parameters over cells, models compared, clusters, outliers, failures.

    Examples:

    ephysfit population run

    ephysfit population run -o supplement.html
    """
    from ephysfit.batch.summary_page import write  # torch and matplotlib: once the usage is right

    say(f"written: {write(run, output)}")
