"""The card of the open cell and that of the neuron on the sliders, measured when they are first shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from html import escape

from ephysfit.card.describe import describe
from ephysfit.card.measures import Card
from ephysfit.data.recording import Recording
from ephysfit.fitting.fit_result import Fit
from ephysfit.neuron.declare import Neuron
from ephysfit.reports.card_rows import list_card_rows, list_reasons
from ephysfit.reports.model_card import describe_model

#: columns of `list_card_rows` that hold numbers
NUMBERS = (1, 4, 5, 6)


class CellCards:
    """Cards of one cell and of its models, each measured once.

    Parameters
    ----------
    recording : Recording
        The training sweeps, as in a report, or the whole recording where it cannot be split.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._models: list[tuple[Neuron, Card]] = []

    @cached_property
    def cell(self) -> Card:
        """Card of the cell."""
        return describe(self.recording)

    def knows(self, neuron: Neuron) -> bool:
        """Whether the card of this neuron has been measured."""
        return any(n is neuron for n, _ in self._models)

    def measure_model(self, neuron: Neuron, as_fit: Callable[[], Fit]) -> Card:
        """Return the card of a neuron on the same sweeps, measured if it is not known.

        Parameters
        ----------
        neuron : Neuron
        as_fit : callable
            Gives the neuron as a fit; called only where it has to be simulated.
        """
        for known, card in self._models:
            if known is neuron:
                return card
        card = describe_model(as_fit(), self.recording)
        self._models = [*self._models[-9:], (neuron, card)]
        return card


def render_cards(cell: Card, model: Card | None, label: str) -> str:
    """Render the card of a cell, with that of a model beside it, as a table; reasons for what is missing follow."""
    head, *rows = list_card_rows(cell, model)
    missing = {f"{name}: {why}" for name, why in list_reasons(cell)}
    heads = "".join(f'<th scope="col"{_mark_number(k)}>{escape(text)}</th>' for k, text in enumerate(head))
    lines = "".join(
        "<tr>" + "".join(f"<td{_mark_number(k)}>{escape(text)}</td>" for k, text in enumerate(row)) + "</tr>"
        for row in rows
    )
    notes: list[str] = [*([] if model is None else model.warnings), *cell.warnings]
    title = f"Card of the cell and of {escape(label)}" if model is not None else "Card of the cell"
    if model is None:
        notes = [f"{label} has not been measured: press Card to see its values beside the cell's", *notes]
    return (
        f'<h2>{title}</h2><div class="scroll"><table class="compared"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
        + "".join(f'<p class="message">{escape(note[:1].upper() + note[1:])}.</p>' for note in notes)
        + (f'<p class="message">Missing of the cell: {escape("; ".join(sorted(missing)))}.</p>' if missing else "")
    )


def _mark_number(column: int) -> str:
    return ' class="n"' if column in NUMBERS else ""
