"""`ephysfit summarize`: write the report of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ephysfit.cli import arguments
from ephysfit.cli.output import print_line, print_note

PagePath = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE.html", dir_okay=False, show_default=False,
                 help="File of the page. Default: population.html in the folder of the run."),
]  # fmt: skip


def summarize(run: arguments.RunFolder, output: PagePath = None) -> None:
    """Write the report of a run: scores and parameters over cells, comparison of models, clusters, outliers,
    failures.

    Examples:

    ephysfit summarize run

    ephysfit summarize run -o supplement.html
    """
    from ephysfit.batch.summary_page import write_page  # matplotlib: once the usage is right

    print_line(f"written: {write_page(run, output)}")


def population(run: arguments.RunFolder, output: PagePath = None) -> None:
    """Write the report of a run: the name of `ephysfit summarize` before 0.2.0."""
    print_note(
        "note: `ephysfit population` is `ephysfit summarize` since 0.2.0; the old name goes with the next version"
    )
    summarize(run, output)
