"""A table of fitted parameters for notebooks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ephysfit.html_tables import make_table
from ephysfit.neuron.potential_unit import PotentialUnit


def make_fit_table(
    title: str, rows: Sequence[Mapping[str, Any]], unit: PotentialUnit, places: Collection[str], notes: Sequence[str]
) -> str:
    """Make the table: a row a number, in the unit of potential that the fit determines.

    Parameters
    ----------
    title : str
    rows : sequence of mapping
        As of `Fit.parameters`.
    unit : PotentialUnit
    places : collection of str
        Parameters that are places on the axis of potentials.
    notes : sequence of str
        Sentences below the table.

    Examples
    --------
    >>> row = {"name": "g", "value": 5.0, "unit": "nS", "standard_error": 0.2, "fitted": True, "at_bound": "",
    ...        "meaning": "leak conductance"}
    >>> "pA/θ" in make_fit_table("LIF of a cell", [row], PotentialUnit("θ", 20.0), (), ())
    True
    """
    cells = []
    for row in rows:
        value = unit.convert(row["value"], row["unit"], row["name"] in places)
        error = row["standard_error"]
        spread = "" if error is None else f"{unit.convert(error, row['unit']):.2g}"
        kind = "" if row["fitted"] else "measured"
        bound = f"on its {row['at_bound']} bound" if row["at_bound"] else kind
        name = "" if row["unit"] == "1" else unit.rename(row["unit"])
        cells.append([row["name"], f"{value:.4g}", spread, name, bound, row["meaning"]])
    meaning = [f"{unit.meaning[0].upper()}{unit.meaning[1:]}."] if unit.meaning else []
    return make_table(title, ["parameter", ">value", ">± s.e.", "unit", "", "meaning"], cells, [*meaning, *notes])
