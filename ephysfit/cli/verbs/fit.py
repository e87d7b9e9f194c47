"""`ephysfit fit`: load, split, fit, score on the held-out sweeps, report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

import ephysfit as ef
from ephysfit.cli import arguments
from ephysfit.cli.commands import OUTPUT
from ephysfit.cli.output import print_files, print_json, print_line, print_note, print_paragraph, show_progress
from ephysfit.cli.sweep_options import split_recording
from ephysfit.cli.verbs import intervals
from ephysfit.files import make_safe_name, prepare_folder, split_spec

#: largest number of pieces of a drift
MOST_PIECES = 20


def check_drift(text: str) -> str:
    """Check the number of pieces of a drift: auto, or an integer from 0 to 20."""
    if text != "auto" and not (text.isdecimal() and int(text) <= MOST_PIECES):
        raise typer.BadParameter(f"{text!r}: give auto, or a number of pieces from 0 to {MOST_PIECES}")
    return text


def make_default_folder(cell: str, model: str) -> Path:
    """Make the name of the folder of a fit: one for each cell and model as asked for, so that none replaces another.

    Examples
    --------
    >>> str(make_default_folder("DRN164", "neurons/mine.py:Mine"))
    'fit_DRN164_Mine'
    """
    name = split_spec(model)[1] if ".py" in model else model
    return Path(f"fit_{make_safe_name(cell)}_{make_safe_name(name)}")


Folder = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", file_okay=False, show_default=False, rich_help_panel=OUTPUT,
                 help="Folder of fit.json, scores.json and report.html. Default: fit_CELL_MODEL."),
]  # fmt: skip
IntervalsOption = Annotated[
    str,
    typer.Option("--intervals", metavar="HOW", callback=intervals.check_method, rich_help_panel=arguments.FIT,
                 help="Intervals of parameters: fisher (immediate), profile (a minute), bootstrap (minutes), none."),
]  # fmt: skip
AecOption = Annotated[
    Path | None,
    typer.Option("--aec", metavar="FILE", callback=arguments.check_optional_file, show_default=False,
                 rich_help_panel=arguments.DATA,
                 help="Recording of subthreshold noise for active electrode compensation of the voltage."),
]  # fmt: skip
VoltageOption = Annotated[
    bool,
    typer.Option("--voltage", rich_help_panel=arguments.FIT,
                 help="Also fit the recorded voltage between spikes: it determines potentials, conductances and "
                      "capacitance, which spikes alone do not. For neurons with a membrane (GIF, ALIF ...)."),
]  # fmt: skip
DriftOption = Annotated[
    str,
    typer.Option("--drift", metavar="auto|N", callback=check_drift, rich_help_panel=arguments.FIT,
                 help="Let excitability drift over the training data in N linear pieces; the fit describes the cell "
                      "at the end. auto: one piece, if the data support it."),
]  # fmt: skip
RecentOption = Annotated[
    float | None,
    typer.Option("--recent", min=0.01, metavar="S", show_default=False, rich_help_panel=arguments.FIT,
                 help="Half-life of the weight of training data, s: data this long before the end count half."),
]  # fmt: skip
NoAssumedSteps = Annotated[
    bool,
    typer.Option("--no-assumed-steps", rich_help_panel=arguments.FIT,
                 help="Fit noise alone as it is. By default AIGIF and its kin also assume steps of current where the "
                      "training data hold none, since noise leaves their answer to a steady current open."),
]  # fmt: skip
PriorOption = Annotated[
    list[Path] | None,
    typer.Option("--prior", metavar="RUN|FIT.json", exists=True, show_default=False, rich_help_panel=arguments.FIT,
                 help="Population prior of other cells: folder of a batch run, or fits of three or more cells "
                      "(repeatable). Fits of this cell are left out."),
]  # fmt: skip
Undriven = Annotated[
    bool,
    typer.Option("--undriven", rich_help_panel=arguments.FIT,
                 help="Fit even if the current cannot explain the spikes, because it is constant or the voltage does "
                      "not follow it."),
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
    no_assumed_steps: NoAssumedSteps = False,
    undriven: Undriven = False,
    effort: arguments.EffortOption = "fast",
    objective: arguments.ObjectiveOption = None,
    intervals_by: IntervalsOption = "fisher",
    runs: arguments.RunsOption = 200,
    dt: arguments.StepOption = None,
    seed: arguments.SeedOption = 0,
    output: Folder = None,
    no_report: NoReport = False,
    full: arguments.FullOption = False,
    json: arguments.JsonOption = False,
) -> None:
    """Fit a model to the training sweeps, score it on the held-out sweeps and write a report.

    Repeated stimuli are reserved for testing unless --train or --test selects otherwise. Test sweeps are never fitted.

    Examples:

    ephysfit fit data/DRN164.nwb

    ephysfit fit training.abf test.abf --test test.abf --model AdLIF -o adlif

    ephysfit fit cell.nwb --model my_neuron.py:MyNeuron --test 0.25

    ephysfit fit training.abf test.abf --aec aec.abf --model GIF --intervals profile

    ephysfit fit training.abf test.abf --model GIF --voltage --aec aec.abf

    ephysfit fit data/DRN164.nwb --model IGIF --objective prediction

    ephysfit fit data/DRN164.nwb --model AIGIF --effort best

    ephysfit fit short.nwb --model AIGIF --prior run

    ephysfit fit cell.nwb --model AIGIF --drift auto --recent 30
    """
    from ephysfit.cli import fit_parts, scoring  # torch: once the usage is right

    chosen = arguments.find_model(model)
    recording = arguments.open_recording(files, spikes, sweeps, option, train, test)
    with prepare_folder(output or make_default_folder(recording.cell, chosen)) as folder:
        if aec is not None:
            recording = fit_parts.remove_electrode(recording, aec)
        if recording.rejected:
            print_note(fit_parts.describe_rejected(recording))
        fitted_on, held = split_recording(recording, train, test)
        print_note(f"{recording.cell}: train {fit_parts.describe(fitted_on)}; test {fit_parts.describe(held)}")
        if dt is None:
            dt = fit_parts.find_common_step(fitted_on, held)
        priors = fit_parts.make_priors(prior, recording.cell, chosen) if prior else ()
        if left_out := fit_parts.describe_unmodelled_drift(fitted_on, drift):
            print_note(left_out)
        stage = fit_parts.make_likelihood(voltage, drift, recent)
        with show_progress() as listener:
            found = ef.fit(fitted_on, chosen, dt=dt, seed=seed, progress=listener, likelihood=stage, prior=priors,
                           objective=objective, effort=effort, undriven=undriven,
                           assume_steps=not no_assumed_steps)  # fmt: skip
        fit_parts.check_fitted(found, recording)
        electrode = recording.facts.get("electrode_compensation", "")
        made = replace(found.provenance, split={"train": train, "test": test}, electrode=electrode)
        found = replace(found, provenance=made)
        if intervals_by != "none" and fit_parts.can_have_intervals(found):
            found = intervals.compute_with_progress(found, fitted_on, intervals_by, seed=seed)
        if replaced := fit_parts.describe_replaced(folder / "fit.json"):
            print_note(replaced)
        saved = found.save(folder / "fit.json")
    with fit_parts.mention_saved_fit(saved):
        evidence = scoring.run_and_score(found, held, fitted_on, runs=runs)
        written = {"fit": str(saved), **fit_parts.write_results(folder, evidence, page=not no_report)}
    if json:
        print_json({"fit": found.to_dict(), "scores": scoring.to_dict(evidence), "files": written})
        return
    after = f", chosen in {found.selection.seconds:.1f} s before" if found.selection else ""
    print_line(f"{found.cell}: {found.model} fitted in {found.seconds:.1f} s{after}; {found.status.value}.")
    for premise in found.premises:
        print_paragraph(premise)
    if found.voltage:
        print_paragraph(fit_parts.describe_voltage_fit(found.voltage))
    if found.selection:
        print_paragraph(f"{found.selection.why}.")
    if found.ensemble:
        print_paragraph(f"Ensemble in {found.ensemble.seconds:.1f} s: {found.ensemble}.")
    scoring.print_scores(evidence, full)
    print_files(list(written.values()))
