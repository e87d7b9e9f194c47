"""`ephysfit query`: SQL over the tables of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from ephysfit.batch.collect import query as ask
from ephysfit.cli import arguments
from ephysfit.cli.output import print_json, print_line, print_table

Sql = Annotated[
    str,
    typer.Argument(
        metavar="SQL", show_default=False, help="A select statement on the tables fits, scores, parameters and cards."
    ),
]


def query(run: arguments.RunFolder, sql: Sql, json: arguments.JsonOption = False) -> None:
    """Query the tables of a run in SQL (DuckDB).

    Examples:

    ephysfit query run "select cell, model, md_star_8 from fits order by md_star_8 desc limit 10"

    ephysfit query run "select name, median(value), stddev(value) from parameters where fitted = 'ALIF' group by name"
    """
    found = ask(run, sql)
    rows = [{k: v for k, v in zip(found.columns, r, strict=True)} for r in found.itertuples(index=False)]  # noqa: C416
    if json:
        print_json([{k: None if v != v else v for k, v in r.items()} for r in rows])
    else:
        print_table(
            [{k: _format_value(v) for k, v in r.items()} for r in rows],
            right=[c for c in found if found[c].dtype.kind in "if"],
        )
        print_line(f"{len(rows)} row{'s' * (len(rows) != 1)}")


def _format_value(value: object) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4g}"
    return str(value)
