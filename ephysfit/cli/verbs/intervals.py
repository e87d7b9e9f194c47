"""`ephysfit intervals`: how sure a saved fit is of its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ephysfit.cli import arguments
from ephysfit.cli.output import as_json, paragraph, progress, say, table
from ephysfit.cli.sweep_options import trained

if TYPE_CHECKING:
    from ephysfit.data.recording import Recording
    from ephysfit.fitting.fit_result import Fit

HOW = ("fisher", "profile", "bootstrap")


def way(text: str) -> str:
    """One of the ways to come by intervals."""
    if text not in (*HOW, "none"):
        raise typer.BadParameter(f"{text!r}; {arguments.hint(text, (*HOW, 'none'))}")
    return text


How = Annotated[
    str,
    typer.Option("--how", metavar="HOW", callback=way,
                 help="fisher: the curvature, at once; profile: seconds to minutes; bootstrap: minutes."),
]  # fmt: skip
Level = Annotated[float, typer.Option("--level", min=0.5, max=0.999, help="Coverage of the intervals.")]
Names = Annotated[
    str | None,
    typer.Option("--parameters", metavar="NAMES", show_default=False,
                 help="Only these, with commas; the others follow all the same."),
]  # fmt: skip
Draws = Annotated[int, typer.Option("--draws", min=20, help="Draws of the bootstrap.")]
Block = Annotated[float, typer.Option("--block", min=1.0, metavar="MS", help="Length of its blocks.")]


def intervals(
    fit: arguments.FitFile,
    files: arguments.Files,
    how: How = "profile",
    level: Level = 0.95,
    parameters: Names = None,
    draws: Draws = 200,
    block: Block = 1000.0,
    train: arguments.TrainOption = None,
    test: arguments.TestOption = None,
    model: arguments.NeuronOption = None,
    trust: arguments.TrustOption = False,
    seed: arguments.SeedOption = 0,
    spikes: arguments.SpikesOption = "auto",
    sweeps: arguments.SweepsOption = None,
    option: arguments.ReaderOption = None,
    json: arguments.JsonOption = False,
) -> None:
    """Give every parameter of a saved fit an interval, and say what the data leave open.

    FILE is what the fit was made from: its training sweeps are picked as the fit picked them. The intervals are written
    into FIT, where `ephysfit report` finds them.

    Examples:

    ephysfit intervals fit_DRN164/fit.json data/DRN164.nwb

    ephysfit intervals fit.json cell.nwb --how bootstrap --draws 500 --parameters C,g,tau_a
    """
    fitted = arguments.open_fit(fit, model, trust)
    data = trained(arguments.open_recording(files, spikes, sweeps, option), fitted, train, test)
    names = [n.strip() for n in parameters.split(",")] if parameters else None
    found = run(fitted, data, how, level=level, names=names, draws=draws, block=block, seed=seed)
    found.save(fit)
    if json:
        as_json(found.intervals.to_dict() if found.intervals else {})
        return
    show(found)
    say(f"written: {fit}")


def run(fit: Fit, recording: Recording, how: str, **options: Any) -> Fit:
    """The fit with intervals, under a progress bar."""
    from ephysfit.fitting.uncertainty.intervals import intervals as find

    with progress() as tell:
        return find(fit, recording, how, progress=tell, **options)


def show(fit: Fit) -> None:
    """Parameters with their intervals, what spikes determine whatever the mV scale, and what is open."""
    from ephysfit.reports.tables import derived_lines, interval_rows, open_lines

    end = f"{100 * fit.intervals.level:g} % interval" if fit.intervals else ""
    table(interval_rows(fit, end), right=("value", "± s.e."))
    derived = derived_lines(fit)
    if derived:
        table([{"what the spikes determine": d.meaning, "as": d.name, "value": d.text, end: d.interval, "unit": d.unit}
               for d in derived], right=("value",))  # fmt: skip
    for text in open_lines(fit):
        paragraph(text, "! ")
