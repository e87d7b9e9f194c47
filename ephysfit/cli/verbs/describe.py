"""`ephysfit describe`: the card of a cell, and that of a model of it beside."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import ephysfit as ef
from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import print_json, print_line, text_width
from ephysfit.reports.card_rows import list_card_rows, list_reasons

#: width of text where stdout is no terminal, columns
WIDTH = 80


def _check_fit(path: Path | None) -> Path | None:
    return None if path is None else arguments.check_fit_file(path)


FitOption = Annotated[
    Path | None,
    typer.Option("--fit", metavar="FIT", callback=_check_fit, show_default=False,
                 rich_help_panel=arguments.MODEL,
                 help="A fit.json of this cell, or its folder: its card stands beside the cell's, with the ratio."),
]  # fmt: skip
Brief = Annotated[
    bool, typer.Option("--brief", rich_help_panel=OUTPUT, help="Print the values only, not how they were measured.")
]


def describe(
    files: arguments.Files,
    fit: FitOption = None,
    model: arguments.NeuronOption = None,
    trust: arguments.TrustOption = False,
    spikes: arguments.SpikesOption = "auto",
    sweeps: arguments.SweepsOption = None,
    option: arguments.ReaderOption = None,
    brief: Brief = False,
    json: arguments.JsonOption = False,
) -> None:
    """Measure a cell: resting potential, input resistance, time constant, rheobase, threshold, spike shape, f-I curve.

    Each value has its unit, the 95 % interval and the number of pulses or sweeps. A dash stands where the protocol
    does not hold a value; the reason follows.

    Examples:

    ephysfit describe steps.abf

    ephysfit describe data/DRN164.nwb --json

    ephysfit describe steps.abf --fit my_cell/fit.json
    """
    recording = arguments.open_recording(files, spikes, sweeps, option)
    card = ef.describe(recording)
    beside = None if fit is None else ef.describe_model(arguments.open_fit(fit, model, trust), recording)
    if json:
        print_json(card.to_dict() if beside is None else {"cell": card.to_dict(), "model": beside.to_dict()})
        return
    print_card(card, beside, brief)


def print_card(card: ef.Card, model: ef.Card | None = None, brief: bool = False) -> None:
    """Print a card, with that of a model beside, in 80 columns; `brief` leaves out how values were measured."""
    cards = [card] if model is None else [card, model]
    print_line(f"{card.cell} · {card.source}" + ("" if model is None else f" · beside it {model.source}"))
    _print_columns(list_card_rows(card, model))
    for one in cards:
        whose = "" if model is None else f" ({'cell' if one is card else 'model'})"
        if not brief:
            _print_grouped(f"How{whose}", [(m.label, m.how) for m in one if m.value is not None])
        _print_grouped(f"Missing{whose}", list_reasons(one))
        for warning in one.warnings:
            print_line(_wrap(f"! {warning}", "", "  "))


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their heads in columns; numbers are right-aligned."""
    wide = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for n, row in enumerate(rows):
        cells = [
            text.ljust(w) if k in (0, 2) else text.rjust(w) for k, (text, w) in enumerate(zip(row, wide, strict=True))
        ]
        print_line("  ".join(cells).rstrip())
        if not n:
            print_line("-" * min(sum(wide) + 2 * len(wide) - 2, WIDTH))


def _print_grouped(title: str, remarks: Sequence[tuple[str, str]]) -> None:
    """Print remarks, each once with what it is on."""
    by_text: dict[str, list[str]] = defaultdict(list)
    for name, text in remarks:
        by_text[text].append(name)
    if by_text:
        print_line(f"{title}:")
    for text, names in by_text.items():
        print_line(_wrap(f"{', '.join(names)}: {text}", "  ", "    "))


def _wrap(text: str, first: str, other: str) -> str:
    width = min(text_width(), WIDTH)
    return textwrap.fill(text, width, initial_indent=first, subsequent_indent=other, break_long_words=False)
