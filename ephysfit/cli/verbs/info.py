"""`ephysfit info`: what a file holds, what of it is usable, and why the rest is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ephysfit.cli import arguments
from ephysfit.cli.output import as_json, complain, say, table

if TYPE_CHECKING:
    from ephysfit.data.info import Report

NUMBERS = ("length (s)", "step (ms)", "current (pA)", "voltage (mV)", "spikes", "rate (Hz)", "repeats")


def info(
    files: arguments.Files,
    together: Annotated[
        bool, typer.Option("--together", help="Join the files as `fit` would: they are of one cell.")
    ] = False,
    spikes: arguments.SpikesOption = "auto",
    sweeps: arguments.SweepsOption = None,
    option: arguments.ReaderOption = None,
    json: arguments.JsonOption = False,
) -> None:
    """Show what a recording holds, what of it is usable, and why the rest is not.

    Examples:

    ephysfit info data/DRN164.nwb

    ephysfit info training.abf test.abf --together

    ephysfit info cell.csv -O columns.current=I -O units.current=nA -O dt=0.05
    """
    from ephysfit.data.loading import info as inspect

    groups = [files] if together else [[path] for path in files]
    reports = [inspect(list(group), **arguments.load_options(spikes, sweeps, option)) for group in groups]
    if json:
        as_json([r.to_dict() for r in reports] if len(reports) > 1 else reports[0].to_dict())
    else:
        for report in reports:
            _show(report)
    for report in reports:
        if report.problem:
            complain(report.problem)
    if not all(r.usable for r in reports):
        raise typer.Exit(1)


def _show(report: Report) -> None:
    say(f"{report.source}: {'cell ' + report.cell if report.cell else 'nothing usable'}")
    for name, value in {**report.facts, **{f"electrode, {k}": v for k, v in report.electrode.items()}}.items():
        say(f"  {name}: {value}")
    if any(s.repeats > 1 for s in report.stimuli):
        rows = [
            {
                "stimulus": f"{k}: {s.name}",
                "repeats": s.repeats,
                "length (s)": f"{s.duration_ms / 1e3:g}",
                "spikes": s.spikes,
            }
            for k, s in enumerate(report.stimuli)
        ]
        table(rows, "Stimuli", NUMBERS)
    if report.sweeps or report.rejected:
        table(report.rows(), "Sweeps", NUMBERS)
    if report.split:
        say(f"split: {report.split}")
    for warning in report.warnings:
        say(f"! {warning}")
