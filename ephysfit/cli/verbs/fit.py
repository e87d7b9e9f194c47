"""`ephysfit fit`: load, split, fit, score on the held-out sweeps, report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

import ephysfit as ef
from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import as_json, note, paragraph, progress, say
from ephysfit.cli.sweep_options import parts
from ephysfit.cli.verbs import intervals
from ephysfit.files import make_safe_name, prepare_folder

#: most pieces of a drift
MOST_PIECES = 20


def drift_pieces(text: str) -> str:
    """auto, or a small whole number."""
    if text != "auto" and not (text.isdecimal() and int(text) <= MOST_PIECES):
        raise typer.BadParameter(f"{text!r}: give auto, or a number of pieces from 0 to {MOST_PIECES}")
    return text


Folder = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", file_okay=False, show_default=False, rich_help_panel=OUTPUT,
                 help="Where fit.json, scores.json and report.html go. Default: fit_CELL."),
]  # fmt: skip
IntervalsOption = Annotated[
    str,
    typer.Option("--intervals", metavar="HOW", callback=intervals.way, rich_help_panel=arguments.FIT,
                 help="Of the parameters: fisher (at once), profile (a minute), bootstrap (minutes), or none."),
]  # fmt: skip
AecOption = Annotated[
    Path | None,
    typer.Option("--aec", metavar="FILE", callback=arguments.existing_or_none, show_default=False,
                 rich_help_panel=arguments.DATA,
                 help="Recording of small noise that measures the electrode, which is then taken out of the voltage."),
]  # fmt: skip
VoltageOption = Annotated[
    bool,
    typer.Option("--voltage", rich_help_panel=arguments.FIT,
                 help="Fit the recorded voltage away from spikes, too: it measures potentials, conductances and "
                      "capacitance, which spikes alone leave open. For neurons with a membrane (GIF, ALIF ...)."),
]  # fmt: skip
DriftOption = Annotated[
    str,
    typer.Option("--drift", metavar="auto|N", callback=drift_pieces, rich_help_panel=arguments.FIT,
                 help="Let excitability drift over the training data in N straight pieces; the fit is of the cell as "
                      "it was at the end. auto: one piece, kept if the data show it."),
]  # fmt: skip
RecentOption = Annotated[
    float | None,
    typer.Option("--recent", min=0.01, metavar="S", show_default=False, rich_help_panel=arguments.FIT,
                 help="Training data this many seconds before the end count half, twice as long before a quarter."),
]  # fmt: skip
PriorOption = Annotated[
    list[Path] | None,
    typer.Option("--prior", metavar="RUN|FIT.json", exists=True, show_default=False, rich_help_panel=arguments.FIT,
                 help="What other cells have in common: folder of a batch, or fits of three cells or more, by giving "
                      "this several times. Fits of this very cell are left out."),
]  # fmt: skip
Undriven = Annotated[
    bool,
    typer.Option("--undriven", rich_help_panel=arguments.FIT,
                 help="Fit also where the current cannot explain the spikes: it never changes, or the voltage does not "
                      "follow it."),
]  # fmt: skip
NoReport = Annotated[bool, typer.Option("--no-report", rich_help_panel=OUTPUT, help="Write no report.html.")]


def fit(
    files: arguments.Files,
    train: arguments.TrainOption = None,
    test: arguments.TestOption = None,
    spikes: arguments.SpikesOption = "auto",
    sweeps: arguments.SweepsOption = None,
    option: arguments.ReaderOption = None,
    aec: AecOption = None,
    model: arguments.ModelOption = "auto",
    voltage: VoltageOption = False,
    prior: PriorOption = None,
    drift: DriftOption = "0",
    recent: RecentOption = None,
    undriven: Undriven = False,
    intervals_by: IntervalsOption = "fisher",
    runs: arguments.RunsOption = 200,
    dt: arguments.StepOption = None,
    seed: arguments.SeedOption = 0,
    output: Folder = None,
    no_report: NoReport = False,
    json: arguments.JsonOption = False,
) -> None:
    """Fit a model to the training sweeps, score it on the held-out ones, write a report.

    Repeated stimuli are kept for testing unless --train or --test says otherwise. The fit never sees the test sweeps.

    Examples:

    ephysfit fit data/DRN164.nwb

    ephysfit fit training.abf test.abf --test test.abf --model AdLIF -o adlif

    ephysfit fit cell.nwb --model my_neuron.py:MyNeuron --test 0.25

    ephysfit fit training.abf test.abf --aec aec.abf --model GIF --intervals profile

    ephysfit fit training.abf test.abf --model GIF --voltage --aec aec.abf

    ephysfit fit short.nwb --model AIGIF --prior run

    ephysfit fit cell.nwb --model AIGIF --drift auto --recent 30
    """
    from ephysfit.cli import fit_parts, scoring  # torch: once the usage is right

    chosen = arguments.find_model(model)
    recording = arguments.open_recording(files, spikes, sweeps, option)
    with prepare_folder(output or Path(f"fit_{make_safe_name(recording.cell)}")) as folder:
        if aec is not None:
            recording = fit_parts.compensated(recording, aec)
        if recording.rejected:
            note(fit_parts.lost_sentence(recording))
        fitted_on, held = parts(recording, train, test)
        note(f"{recording.cell}: train {fit_parts.describe(fitted_on)}; test {fit_parts.describe(held)}")
        if dt is None:
            dt = fit_parts.common_step(fitted_on, held)
        priors = fit_parts.priors_from(prior, recording.cell, chosen) if prior else ()
        stage = fit_parts.likelihood_of(voltage, drift, recent)
        with progress() as tell:
            found = ef.fit(fitted_on, chosen, dt=dt, seed=seed, progress=tell, likelihood=stage, prior=priors,
                           undriven=undriven)  # fmt: skip
        fit_parts.check_fitted(found, recording)
        electrode = recording.facts.get("electrode_compensation", "")
        made = replace(found.provenance, split={"train": train, "test": test}, electrode=electrode)
        found = replace(found, provenance=made)
        if intervals_by != "none" and fit_parts.likely(found):
            found = intervals.run(found, fitted_on, intervals_by, seed=seed)
        saved = found.save(folder / "fit.json")
    with fit_parts.kept(saved):
        evidence = scoring.gather(found, held, fitted_on, runs=runs)
        written = {"fit": str(saved), **fit_parts.write_results(folder, evidence, page=not no_report)}
    if json:
        as_json({"fit": found.to_dict(), "scores": scoring.to_dict(evidence), "files": written})
        return
    after = f", chosen in {found.selection.seconds:.1f} s before" if found.selection else ""
    say(f"{found.cell}: {found.model} fitted in {found.seconds:.1f} s{after}; {found.status.value}.")
    if found.voltage:
        paragraph(fit_parts.voltage_sentence(found.voltage))
    if found.selection:
        paragraph(f"{found.selection.why}.")
    scoring.show(evidence)
    say("written: " + "  ".join(written.values()))
