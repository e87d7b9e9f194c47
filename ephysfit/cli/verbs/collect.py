"""`ephysfit collect`: the tables of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from ephysfit.batch.collect import collect as gather
from ephysfit.batch.schema import TABLES
from ephysfit.cli import arguments
from ephysfit.cli.output import print_line, print_table

NoCsv = Annotated[bool, typer.Option("--no-csv", help="Write Parquet files only.")]
Schema = Annotated[bool, typer.Option("--schema", help="Print the columns and their meanings instead.")]


def collect(run: arguments.RunFolder, no_csv: NoCsv = False, schema: Schema = False) -> None:
    """Collect the results of a run in Parquet and CSV tables: fits, scores, parameters, cards.

    Examples:

    ephysfit collect run

    ephysfit collect run --schema
    """
    if schema:
        for name, columns in TABLES.items():
            print_table([vars(c) for c in columns], title=name)
        return
    for name, path in gather(run, csv=not no_csv).items():
        print_line(f"{name}: {path}")
