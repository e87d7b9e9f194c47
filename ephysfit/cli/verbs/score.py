"""`ephysfit score`: a saved fit, or predicted spike times, against a recording."""

from __future__ import annotations

from ephysfit.cli import arguments
from ephysfit.cli.output import print_json
from ephysfit.cli.sweep_options import select_unseen_sweeps


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
    json: arguments.JsonOption = False,
) -> None:
    """Score a saved fit on sweeps that it has not seen.

    The file it was fitted on is split as the fit split it; of any other file everything is scored.

    Examples:

    ephysfit score fit_DRN164/fit.json data/DRN164.nwb

    ephysfit score fit.json another_day.abf --json
    """
    from ephysfit.cli import scoring  # torch: once the usage is right

    fitted = arguments.open_fit(fit, model, trust)
    held = select_unseen_sweeps(arguments.open_recording(files, spikes, sweeps, option), fitted, train, test)
    evidence = scoring.run_and_score(fitted, held, None, runs=runs, seed=seed, dt=dt)
    if json:
        print_json(scoring.to_dict(evidence))
    else:
        scoring.print_scores(evidence)
