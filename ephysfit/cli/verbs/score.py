"""`ephysfit score`: score a saved fit on a recording."""

from __future__ import annotations

from ephysfit.cli import arguments
from ephysfit.cli.output import print_json
from ephysfit.cli.sweep_options import find_training_sweeps, select_unseen_sweeps


def score(
    fit: arguments.FitFile,
    files: arguments.Files,
    train: arguments.TrainOption = None,
    test: arguments.TestOption = None,
    spikes: arguments.SpikesOption = "auto",
    sweeps: arguments.SweepsOption = None,
    option: arguments.ReaderOption = None,
    model: arguments.NeuronOption = None,
    trust: arguments.TrustOption = False,
    runs: arguments.RunsOption = 200,
    dt: arguments.StepOption = None,
    seed: arguments.SeedOption = 1,
    full: arguments.FullOption = False,
    json: arguments.JsonOption = False,
) -> None:
    """Score a saved fit on sweeps that were not used by the fit.

    The recording of the fit is split as in the fit; of any other file, all sweeps are scored.

    Examples:

    ephysfit score fit_DRN164_auto data/DRN164.nwb

    ephysfit score fit.json cell.nwb --full

    ephysfit score fit.json another_day.abf --json
    """
    from ephysfit.cli import scoring  # numba: once the usage is right

    fitted = arguments.open_fit(fit, model, trust)
    recording = arguments.open_recording(files, spikes, sweeps, option, *arguments.find_fit_sides(fitted, train, test))
    held = select_unseen_sweeps(recording, fitted, train, test)
    fitted_on = find_training_sweeps(recording, held, fitted)  # neighbours of held-out steps
    evidence = scoring.run_and_score(fitted, held, fitted_on, runs=runs, seed=seed, dt=dt)
    if json:
        print_json(scoring.to_dict(evidence))
    else:
        scoring.print_scores(evidence, full)
