"""Rows of a card, with those of a model beside, as the terminal and the page show them."""

from __future__ import annotations

from ephysfit.card.measures import Card, Measure, compute_ratio, format_number

HEADS = ("measure", "value", "unit", "95 % interval", "n")
#: between a cell and its model: how far apart the values are, and as a ratio
BESIDE = ("model", "ratio")


def list_card_rows(card: Card, model: Card | None = None) -> list[tuple[str, ...]]:
    """List the rows of a card, heads first; with a model its value and the ratio follow.

    Parameters
    ----------
    card
        Of the cell.
    model
        Of a model of it.

    Examples
    --------
    >>> from ephysfit.card.measures import Measure
    >>> found = Card.of("cell", "file", [Measure("tau", 20.0, 18.0, 22.0, 5, "single exponential")])
    >>> [row for row in list_card_rows(found) if row[1] != "–"][1]
    ('membrane time constant', '20.0', 'ms', '18.0 to 22.0', '5')
    """
    if model is None:
        return [HEADS, *(_make_row(m) for m in card)]
    return [(*HEADS, *BESIDE), *((*_make_row(m), *_compare(m, model[m.name])) for m in card)]


def _make_row(m: Measure) -> tuple[str, ...]:
    if m.value is None:
        return (m.label, "–", m.unit, "", "")
    return (m.label, format_number(m.value), m.unit, m.interval, str(m.sweeps))


def _compare(cell: Measure, model: Measure) -> tuple[str, str]:
    if model.value is None:
        return ("–", "")
    ratio = compute_ratio(cell, model)
    return (format_number(model.value), "" if ratio is None else f"{ratio:.2f}")


def list_reasons(card: Card) -> list[tuple[str, str]]:
    """List what is missing on a card: label and reason."""
    return [(m.label, m.why_missing) for m in card if m.value is None]
