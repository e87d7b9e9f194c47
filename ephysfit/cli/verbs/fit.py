"""`ephysfit fit`: load, split, fit, score on the held-out sweeps, report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ephysfit.cli import arguments
from ephysfit.cli.fit_options import DataOptions, FitOptions, NumericsOptions, OutputOptions
from ephysfit.cli.option_groups import spread_groups
from ephysfit.cli.output import print_files, print_json, print_note
from ephysfit.cli.sweep_options import split_recording
from ephysfit.cli.verbs import intervals
from ephysfit.files import make_safe_name, prepare_folder, split_spec


def make_default_folder(cell: str, model: str) -> Path:
    """Make the name of the folder of a fit: one for each cell and model as asked for, so that none replaces another.

    Examples
    --------
    >>> str(make_default_folder("DRN164", "neurons/mine.py:Mine"))
    'fit_DRN164_Mine'
    """
    name = split_spec(model)[1] if ".py" in model else model
    return Path(f"fit_{make_safe_name(cell)}_{make_safe_name(name)}")


@spread_groups
def fit(
    files: arguments.Files, data: DataOptions, how: FitOptions, numerics: NumericsOptions, out: OutputOptions
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
    from ephysfit.cli import fit_parts, scoring  # numba: once the usage is right

    chosen = arguments.find_model(how.model)
    recording = arguments.open_recording(files, data.spikes, data.sweeps, data.option, data.train, data.test)
    with prepare_folder(out.output or make_default_folder(recording.cell, chosen)) as folder:
        if data.aec is not None:
            recording = fit_parts.remove_electrode(recording, data.aec)
        if recording.rejected:
            print_note(fit_parts.describe_rejected(recording))
        fitted_on, held = split_recording(recording, data.train, data.test)
        print_note(f"{recording.cell}: train {fit_parts.describe(fitted_on)}; test {fit_parts.describe(held)}")
        dt = numerics.dt if numerics.dt is not None else fit_parts.find_common_step(fitted_on, held)
        found = fit_parts.fit_cell(recording, fitted_on, chosen, how, dt, numerics.seed)
        made = replace(
            found.provenance, split={"train": data.train, "test": data.test},
            electrode=recording.facts.get("electrode_compensation", ""),
        )  # fmt: skip
        found = replace(found, provenance=made)
        if how.intervals_by != "none" and fit_parts.can_have_intervals(found):
            found = intervals.compute_with_progress(found, fitted_on, how.intervals_by, seed=numerics.seed)
        if replaced := fit_parts.describe_replaced(folder / "fit.json"):
            print_note(replaced)
        saved = found.save(folder / "fit.json")
    with fit_parts.mention_saved_fit(saved):
        evidence = scoring.run_and_score(found, held, fitted_on, runs=numerics.runs)
        written = {"fit": str(saved), **fit_parts.write_results(folder, evidence, page=not out.no_report)}
    if out.json:
        print_json({"fit": found.to_dict(), "scores": scoring.to_dict(evidence), "files": written})
        return
    fit_parts.print_fit(found)
    scoring.print_scores(evidence, out.full)
    print_files(list(written.values()))
