"""`ephysfit info`: what a file holds, what of it is usable, what would train and test, and why the rest is not used."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

import ephysfit as ef
from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import NARROWEST, WIDTH, as_json, complain, say, table
from ephysfit.cli.verbs.inspect import draw
from ephysfit.data.info import Report
from ephysfit.data.loading import survey
from ephysfit.data.recording import Recording

NUMBERS = ("length (s)", "step (ms)", "current (pA)", "voltage (mV)", "spikes", "rate (Hz)", "repeats", "#",
           "s", "ms", "pA", "mV", "Hz")  # fmt: skip
#: rows of a long table that are shown at its beginning and at its end
FIRST, LAST = 40, 10
#: names of the columns where the terminal is narrow
SHORT = {"sweep": "sweep", "use": "use", "stimulus": "#", "length (s)": "s", "step (ms)": "ms", "current (pA)": "pA",
         "voltage (mV)": "mV", "spikes": "spikes", "rate (Hz)": "Hz"}  # fmt: skip
#: columns of a terminal from which the table of sweeps names their stimuli too
WIDE = 110

Together = Annotated[
    bool,
    typer.Option("--together", rich_help_panel=arguments.DATA,
                 help="Join the files as `fit` would: they are of one cell."),
]  # fmt: skip
Headers = Annotated[
    bool,
    typer.Option("--headers", rich_help_panel=arguments.DATA,
                 help="Only what the headers say: no samples are read or fetched."),
]  # fmt: skip
Everything = Annotated[bool, typer.Option("--all", rich_help_panel=OUTPUT, help="Every sweep of a long list.")]
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
    plot: Plot = None,
    json: arguments.JsonOption = False,
) -> None:
    """Show what a recording holds, what would train and test a model, and why the rest is not used.

    Examples:

    ephysfit info data/DRN164.nwb

    ephysfit info training.abf test.abf --together --plot cell.png

    ephysfit info cell.csv -O columns.current=I -O units.current=nA -O dt=0.05

    ephysfit info --headers https://host/cell.nwb
    """
    if headers:
        _headers(files, json)
        return
    groups = [files] if together else [[path] for path in files]
    found = [survey(list(g), **arguments.load_options(spikes, sweeps, option), isolate=True) for g in groups]
    reports = [report for report, _ in found]
    if json:
        as_json([r.to_dict() for r in reports] if len(reports) > 1 else reports[0].to_dict())
    else:
        for k, report in enumerate(reports):
            if k:
                say()
            _show(report, everything)
    for report in reports:
        if report.problem:
            complain(report.problem)
    _plotted([recording for _, recording in found if recording], plot, json)
    if not all(r.usable for r in reports):
        raise typer.Exit(1)


def _plotted(recordings: list[Recording], plot: Path | None, quiet: bool) -> None:
    for k, recording in enumerate(recordings if plot else ()):
        assert plot is not None
        name = plot if len(recordings) == 1 else plot.with_stem(f"{plot.stem}_{k + 1}")
        written = draw(recording, name)
        if not quiet:
            say("drawn: " + "  ".join(str(path) for path in written))


def _show(report: Report, everything: bool) -> None:
    say(_title(report))
    _facts({**report.facts, **{f"electrode {k}": v for k, v in report.electrode.items()}})
    if any(s.repeats > 1 for s in report.stimuli):
        table([_stimulus(k, row) for k, row in enumerate(report.stimuli)], "Stimuli", NUMBERS)
    if report.sweeps:
        rows = _compact(report)
        left = len(rows) - FIRST - LAST
        shown = rows if everything or left <= 0 else [*rows[:FIRST], {"sweep": f"… {left} more: --all"}, *rows[-LAST:]]
        table(shown, "Sweeps", NUMBERS)
    _listed("Not used", ((r.name, r.reason) for r in report.rejected))
    _listed("Notes", ((s.name, note) for s in report.sweeps for note in s.notes))
    _listed("Careful", ((s.name, w) for s in report.sweeps for w in s.warnings), len(report.sweeps))
    if report.removed:
        _wrapped(f"Left out on the way in: {', '.join(map(str, report.removed))}; docs/reading.md lists the rules", 2)
    for warning in report.warnings:
        _wrapped(f"! {warning}", 2)
    _sides(report)


def _title(report: Report) -> str:
    """The file in one line."""
    words = [report.source, str(report.loaded.get("reader", ""))]
    if not report.usable:
        return " · ".join([*filter(None, words), "nothing usable"])
    seconds = sum(s.duration_ms for s in report.sweeps) / 1e3
    refused = f", {len(report.rejected)} not used" if report.rejected else ""
    words += [f"cell {report.cell}", f"{len(report.sweeps)} sweeps{refused}", f"{seconds:g} s"]
    return " · ".join(filter(None, [*words, f"{sum(s.spikes for s in report.sweeps)} spikes"]))


def _width() -> int:
    return max(min(shutil.get_terminal_size((WIDTH, 24)).columns, 120), NARROWEST) if sys.stdout.isatty() else WIDTH


def _wrapped(text: str, indent: int, first: str = "") -> None:
    say(textwrap.fill(text, _width(), initial_indent=first, subsequent_indent=" " * indent, break_long_words=False))


def _facts(facts: Mapping[str, Any]) -> None:
    kept = {name.replace("_", " "): value for name, value in facts.items() if value not in ("", None)}
    wide = min(max(map(len, kept), default=0), 24)
    for name, value in kept.items():
        _wrapped(str(value), wide + 4, f"  {name:<{wide}}  ")


def _stimulus(number: int, row: Any) -> dict[str, Any]:
    return {
        "#": number, "stimulus": row.name, "kind": row.kind, "repeats": row.repeats,
        "length (s)": f"{row.duration_ms / 1e3:g}", "spikes": row.spikes, "use": row.use,
    }  # fmt: skip


def _compact(report: Report) -> list[dict[str, str]]:
    """Rows of the sweeps that fit a terminal; what is said of sweeps follows the table."""
    wide = not sys.stdout.isatty() or _width() >= WIDE
    steps = {s.dt_ms for s in report.sweeps}
    rows = []
    for sweep, row in zip(report.sweeps, report.rows(), strict=False):
        kept = {k: v for k, v in row.items() if k != "notes" and not (k == "step (ms)" and len(steps) == 1)}
        kept = kept if wide else {**kept, "stimulus": str(sweep.group)}
        rows.append(kept if wide else {SHORT[k]: v for k, v in kept.items() if k in SHORT})
    return rows


def _listed(title: str, said: Iterable[tuple[str, str]], total: int = 0) -> None:
    """Sentences about sweeps, each once with the sweeps it holds for."""
    by_text: dict[str, list[str]] = defaultdict(list)
    for name, text in said:
        by_text[text].append(name)
    if by_text:
        say(f"{title}:")
    for text, names in by_text.items():
        who = "all sweeps" if total and len(names) == total else _some(names)
        _wrapped(f"{who}: {text}", 4, "  ")


def _some(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _sides(report: Report) -> None:
    """What would train and test, and why."""
    if not report.why:
        if report.split:
            _wrapped(f"! {report.split}", 2)
        return
    say("Split:")
    for side in report.split.split("; "):
        say(f"  {side}")
    _wrapped(f"because {report.why}; --train and --test of `ephysfit fit` choose otherwise", 2, "  ")


def _headers(files: Iterable[Any], json: bool) -> None:
    """Sweeps as the headers tell them."""
    found = [ef.contents(file) for file in files]
    if json:
        as_json([[{**vars(h), "kind": h.kind} for h in one.headers] for one in found])
        return
    for one in found:
        say(f"{one.source} · {one.format} · {len(one)} sweeps, electrodes: {', '.join(one.electrodes) or 'not named'}")
        table(list(_lines(one.headers)), right=NUMBERS)


def _lines(headers: Iterable[Any]) -> Iterator[dict[str, str]]:
    for h in headers:
        yield {
            "sweep": h.name, "electrode": h.electrode, "stimulus": h.stimulus, "kind": h.kind,
            "length (s)": "" if h.duration_ms is None else f"{h.duration_ms / 1e3:g}",
            "step (ms)": "" if h.dt_ms is None else f"{h.dt_ms:g}", "notes": h.refused,
        }  # fmt: skip
