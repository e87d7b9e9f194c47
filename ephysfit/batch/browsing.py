"""What the page of a run and the table of the explorer show of each fit: columns, and a row per result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from ephysfit.batch.collect import list_headline_scores
from ephysfit.batch.schema import FITS
from ephysfit.card.measures import DEFINITIONS
from ephysfit.metrics.headline_scores import AGREEMENT, COINCIDENCE, RATIO

#: scores in the order in which they are shown, with short labels; their meaning stands in `schema.FITS`
SCORES = {
    AGREEMENT.name: AGREEMENT.label, "md_star_4": "Md*, ±4 ms", RATIO.name: RATIO.label,
    "consensus_over_R_4": "Γ/R, consensus", COINCIDENCE.name: COINCIDENCE.label, "ev_ratio_10": "explained variance",
    "rate_error": "rate error", "reliability_4": "reliability R",
}  # fmt: skip
#: begins the name of a measure of the model
OF_MODEL = "model."
#: measures on a small card; the others are on request
SHORT = ("rest", "input_resistance", "tau", "capacitance", "rheobase", "threshold", "fi_slope", "max_rate")


@dataclass(frozen=True)
class BrowsedColumn:
    """A column of the page: its name in a row, label, unit, group ("score", "cell" or "model") and meaning."""

    name: str
    label: str
    unit: str
    group: str
    doc: str


@cache
def list_browsed_columns() -> tuple[BrowsedColumn, ...]:
    """List the columns with numbers: scores, what was measured of the cell, and the same of its model.

    Examples
    --------
    >>> [c.name for c in list_browsed_columns() if c.unit == "pF"]
    ['capacitance', 'model.capacitance']
    """
    meaning = {c.name: c.doc for c in FITS}
    scores = [BrowsedColumn(name, label, "", "score", meaning[name]) for name, label in SCORES.items()]
    scores.append(BrowsedColumn("train_spikes", "training spikes", "", "score", meaning["train_spikes"]))
    cell = [BrowsedColumn(name, d.label, d.unit, "cell", d.formula) for name, d in DEFINITIONS.items()]
    model = [
        BrowsedColumn(OF_MODEL + c.name, f"{c.label} of the model", c.unit, "model", c.doc)
        for c in cell
        if c.name not in ("spike_height", "spike_width", "drift")  # no point neuron has them
    ]
    return (*scores, *cell, *model)


def make_browsed_row(result: Mapping[str, Any]) -> dict[str, float | None]:
    """Make the row of a result: a value per name of `list_browsed_columns`; None where there is none.

    Parameters
    ----------
    result : mapping
        As `Store.write` writes it, or any mapping with ``scores``, ``cards`` and ``sizes`` of its kind.
    """
    cards = result.get("cards") or {}
    values: dict[str, Any] = dict(list_headline_scores(result.get("scores") or {}))
    values["train_spikes"] = (result.get("sizes") or {}).get("train_spikes")
    for start, whose in (("", "cell"), (OF_MODEL, "model")):
        for name, measure in (cards.get(whose) or {}).get("measures", {}).items():
            values[start + name] = measure.get("value")
    return {c.name: _as_number(values.get(c.name)) for c in list_browsed_columns()}


def list_missing(result: Mapping[str, Any]) -> dict[str, str]:
    """List why values of the cards are missing, by the names of `list_browsed_columns`."""
    cards = result.get("cards") or {}
    return {
        start + name: str(measure["why_missing"])
        for start, whose in (("", "cell"), (OF_MODEL, "model"))
        for name, measure in (cards.get(whose) or {}).get("measures", {}).items()
        if measure.get("why_missing")
    }


def _as_number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)
