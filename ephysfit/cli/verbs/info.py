"""`ephysfit info`: the sweeps of a file, their use for training and testing, and the reasons for unused sweeps."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import ephysfit as ef
from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import NARROWEST, WIDTH, print_error, print_json, print_line, print_table
from ephysfit.cli.shell_words import translate_hints
from ephysfit.cli.verbs.describe import print_card
from ephysfit.cli.verbs.inspect import draw_recording
from ephysfit.data.info import Report
from ephysfit.data.loading import survey
from ephysfit.data.recording import Recording
from ephysfit.errors import say_count

NUMBERS = ("length (s)", "step (ms)", "current (pA)", "voltage (mV)", "spikes", "rate (Hz)", "repeats", "#",
           "s", "ms", "pA", "mV", "Hz")  # fmt: skip
#: rows of a long table shown at its beginning and at its end
FIRST, LAST = 40, 10
#: remarks that differ in their numbers alone: more of them are shown by the first
ALIKE = 3
_NUMBER = re.compile(r"\d+(\.\d+)?")
#: names of the columns on a narrow terminal
SHORT = {"sweep": "sweep", "use": "use", "stimulus": "#", "length (s)": "s", "step (ms)": "ms", "current (pA)": "pA",
         "voltage (mV)": "mV", "spikes": "spikes", "rate (Hz)": "Hz"}  # fmt: skip
#: columns that a narrow terminal goes without, the first one first
SPARED = ("Hz", "mV", "s")

Together = Annotated[
    bool,
    typer.Option("--together", rich_help_panel=arguments.DATA,
                 help="Join the files as `fit` does: they belong to one cell."),
]  # fmt: skip
Headers = Annotated[
    bool,
    typer.Option("--headers", rich_help_panel=arguments.DATA,
                 help="Read only the headers: no samples are read or downloaded."),
]  # fmt: skip
Everything = Annotated[bool, typer.Option("--all", rich_help_panel=OUTPUT, help="Print every sweep of a long list.")]
WithCard = Annotated[
    bool,
    typer.Option("--card", rich_help_panel=OUTPUT,
                 help="Also print the card of the cell, as `ephysfit describe` does."),
]  # fmt: skip
Plot = Annotated[
    Path | None,
    typer.Option("--plot", "-p", metavar="FILE", dir_okay=False, show_default=False,
                 rich_help_panel=OUTPUT,
                 help="Also draw every sweep with its spikes: .png, .svg or .pdf, as `ephysfit inspect` does."),
]  # fmt: skip


def info(
    files: arguments.Files,
    together: Together = False,
    headers: Headers = False,
    spikes: arguments.SpikesOption = "auto",
    sweeps: arguments.SweepsOption = None,
    option: arguments.ReaderOption = None,
    everything: Everything = False,
    card: WithCard = False,
    plot: Plot = None,
    json: arguments.JsonOption = False,
) -> None:
    """List the sweeps of a recording, their use for training and testing, and the reasons for unused sweeps.

    Examples:

    ephysfit info data/DRN164.nwb

    ephysfit info training.abf test.abf --together --plot cell.png

    ephysfit info steps.abf --card

    ephysfit info cell.csv -O columns.current=I -O units.current=nA -O dt=0.05

    ephysfit info --headers https://host/cell.nwb
    """
    if headers:
        _print_headers(files, json)
        return
    groups = [files] if together else [[path] for path in files]
    found = [survey(list(g), **arguments.make_load_options(spikes, sweeps, option), isolate=True) for g in groups]
    reports = [report for report, _ in found]
    cards = [ef.describe(recording) if card and recording else None for _, recording in found]
    if json:
        rows = [r.to_dict() | ({"card": c.to_dict()} if c else {}) for r, c in zip(reports, cards, strict=True)]
        print_json(rows if len(rows) > 1 else rows[0])
    else:
        for k, report in enumerate(reports):
            if k:
                print_line()
            _print_report(report, everything)
            if (one := cards[k]) is not None:
                print_line()
                print_card(one)
    for report in reports:
        if report.problem:
            print_error(translate_hints(report.problem))
    _draw_recordings([recording for _, recording in found if recording], plot, json)
    if not all(r.usable for r in reports):
        raise typer.Exit(1)


def _draw_recordings(recordings: list[Recording], plot: Path | None, quiet: bool) -> None:
    for k, recording in enumerate(recordings if plot else ()):
        assert plot is not None
        name = plot if len(recordings) == 1 else plot.with_stem(f"{plot.stem}_{k + 1}")
        written = draw_recording(recording, name)
        if not quiet:
            print_line("drawn: " + "  ".join(str(path) for path in written))


def _print_report(report: Report, everything: bool) -> None:
    print_line(_make_title(report))
    _print_facts({**report.facts, **{f"electrode {k}": v for k, v in report.electrode.items()}})
    if any(s.repeats > 1 for s in report.stimuli):
        print_table([_make_stimulus_row(k, row) for k, row in enumerate(report.stimuli)], "Stimuli", NUMBERS)
    if report.sweeps:
        rows = _make_sweep_rows(report)
        left = len(rows) - FIRST - LAST
        shown = rows if everything or left <= 0 else [*rows[:FIRST], {"sweep": f"… {left} more: --all"}, *rows[-LAST:]]
        print_table(shown, "Sweeps", NUMBERS)
    _print_grouped(
        "Not used", ((r.name, r.reason) for r in report.rejected), most=len(report.rejected) if everything else ALIKE
    )
    _print_grouped("Notes", ((s.name, note) for s in report.sweeps for note in s.notes))
    _print_grouped("Careful", ((s.name, w) for s in report.sweeps for w in s.warnings), len(report.sweeps))
    if report.removed:
        _print_wrapped(
            f"Left out while loading: {', '.join(map(str, report.removed))}; docs/reading.md lists the rules", 2
        )
    for warning in report.warnings:
        _print_wrapped(f"! {translate_hints(warning)}", 2)
    _print_split(report)


def _make_title(report: Report) -> str:
    """Describe the file in one line."""
    words = [report.source, str(report.loaded.get("reader", ""))]
    if not report.usable:
        return " · ".join([*filter(None, words), "nothing usable"])
    seconds = sum(s.duration_ms for s in report.sweeps) / 1e3
    refused = f", {len(report.rejected)} not used" if report.rejected else ""
    words += [f"cell {report.cell}", f"{say_count(len(report.sweeps), 'sweep')}{refused}", f"{seconds:g} s"]
    return " · ".join(filter(None, [*words, say_count(sum(s.spikes for s in report.sweeps), "spike")]))


def _text_width() -> int:
    return max(min(shutil.get_terminal_size((WIDTH, 24)).columns, 120), NARROWEST) if sys.stdout.isatty() else WIDTH


def _print_wrapped(text: str, indent: int, first: str = "") -> None:
    print_line(
        textwrap.fill(text, _text_width(), initial_indent=first, subsequent_indent=" " * indent, break_long_words=False)
    )


def _print_facts(facts: Mapping[str, Any]) -> None:
    given = {name.replace("_", " "): value for name, value in facts.items() if value not in ("", None)}
    wide = min(max(map(len, given), default=0), 24)
    for name, value in given.items():
        _print_wrapped(str(value), wide + 4, f"  {name:<{wide}}  ")


def _make_stimulus_row(number: int, row: Any) -> dict[str, Any]:
    return {
        "#": number, "stimulus": row.name, "kind": row.kind, "repeats": row.repeats,
        "length (s)": f"{row.duration_ms / 1e3:g}", "spikes": row.spikes, "use": row.use,
    }  # fmt: skip


def _make_sweep_rows(report: Report) -> list[dict[str, str]]:
    """Make the rows of the table of sweeps, as many columns as the terminal holds; notes follow the table."""
    steps = {s.dt_ms for s in report.sweeps}
    unshown = {"notes", "step (ms)"} if len(steps) == 1 else {"notes"}
    full = [{k: v for k, v in row.items() if k not in unshown} for row in report.rows()[: len(report.sweeps)]]
    if not sys.stdout.isatty() or _find_width(full) <= _text_width():
        return full
    numbered = [{**row, "stimulus": str(s.group)} for row, s in zip(full, report.sweeps, strict=True)]
    rows = [{SHORT[k]: v for k, v in row.items() if k in SHORT} for row in numbered]
    for name in SPARED:
        if _find_width(rows) > _text_width():
            rows = [{k: v for k, v in row.items() if k != name} for row in rows]
    return rows


def _find_width(rows: Sequence[Mapping[str, str]]) -> int:
    """Width of a table, columns."""
    return sum(max(len(name), *(len(row[name]) for row in rows)) + 3 for name in rows[0])


def _print_grouped(title: str, remarks: Iterable[tuple[str, str]], total: int = 0, most: int = ALIKE) -> None:
    """Print remarks on sweeps, each once with the names of its sweeps; of more than `most` that differ in numbers alone
    the first."""
    by_text: dict[str, list[str]] = defaultdict(list)
    for name, text in remarks:
        by_text[text].append(name)
    if by_text:
        print_line(f"{title}:")
    alike: dict[str, list[str]] = defaultdict(list)
    for text in by_text:
        alike[_NUMBER.sub("#", text)].append(text)
    for texts in alike.values():
        if len(texts) > most:
            names = [name for text in texts for name in by_text.pop(text)]
            by_text[f"{texts[0]} (so the first; the others alike: --all)"] = names
    for text, names in by_text.items():
        who = "all sweeps" if total and len(names) == total else _shorten_list(names)
        _print_wrapped(f"{who}: {translate_hints(text)}", 4, "  ")


def _shorten_list(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _print_split(report: Report) -> None:
    """Print which sweeps would train and test, and why."""
    if not report.why:
        if report.split:
            _print_wrapped(f"! {report.split}", 2)
        return
    print_line("Split:")
    for side in report.split.split("; "):
        print_line(f"  {side}")
    _print_wrapped(f"because {report.why}; --train and --test of `ephysfit fit` choose otherwise", 2, "  ")


def _print_headers(files: Iterable[Any], json: bool) -> None:
    """Print the sweeps as described in the headers."""
    found = [ef.contents(file) for file in files]
    if json:
        print_json([[{**vars(h), "kind": h.kind} for h in one.headers] for one in found])
        return
    for one in found:
        print_line(
            f"{one.source} · {one.format} · {len(one)} sweeps, electrodes: {', '.join(one.electrodes) or 'not named'}"
        )
        print_table(list(_make_header_rows(one.headers)), right=NUMBERS)


def _make_header_rows(headers: Iterable[Any]) -> Iterator[dict[str, str]]:
    for h in headers:
        yield {
            "sweep": h.name, "electrode": h.electrode, "stimulus": h.stimulus, "kind": h.kind,
            "length (s)": "" if h.duration_ms is None else f"{h.duration_ms / 1e3:g}",
            "step (ms)": "" if h.dt_ms is None else f"{h.dt_ms:g}", "notes": h.refused,
        }  # fmt: skip
