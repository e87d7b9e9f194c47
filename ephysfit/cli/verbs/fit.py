"""`ephysfit fit`: load, split, fit, score on the held-out sweeps, report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ephysfit.cli import arguments, scoring
from ephysfit.cli.output import as_json, finite, note, paragraph, progress, say
from ephysfit.cli.sweep_options import parts
from ephysfit.cli.verbs import intervals
from ephysfit.files import ready_folder, safe_name, write_text

#: most pieces of a drift
MOST_PIECES = 20

if TYPE_CHECKING:
    from ephysfit.data.recording import Recording
    from ephysfit.fitting.fit_result import Fit
    from ephysfit.fitting.prior import Prior
    from ephysfit.fitting.stage_reports import VoltageReport
    from ephysfit.fitting.stages.likelihood import Likelihood
    from ephysfit.reports.evidence import Evidence


def drift_pieces(text: str) -> str:
    """auto, or a small whole number."""
    if text != "auto" and not (text.isdecimal() and int(text) <= MOST_PIECES):
        raise typer.BadParameter(f"{text!r}: give auto, or a number of pieces from 0 to {MOST_PIECES}")
    return text


Folder = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", file_okay=False, show_default=False,
                 help="Where fit.json, scores.json and report.html go. Default: fit_CELL."),
]  # fmt: skip
IntervalsOption = Annotated[
    str,
    typer.Option("--intervals", metavar="HOW", callback=intervals.way,
                 help="Of the parameters: fisher (at once), profile (a minute), bootstrap (minutes), or none."),
]  # fmt: skip
AecOption = Annotated[
    Path | None,
    typer.Option("--aec", metavar="FILE", callback=arguments.existing_or_none, show_default=False,
                 help="Recording of small noise that measures the electrode, which is then taken out of the voltage."),
]  # fmt: skip
VoltageOption = Annotated[
    bool,
    typer.Option("--voltage",
                 help="Fit the recorded voltage away from spikes, too: it measures potentials, conductances and "
                      "capacitance, which spikes alone leave open. For neurons with a membrane (GIF, ALIF ...)."),
]  # fmt: skip
DriftOption = Annotated[
    str,
    typer.Option("--drift", metavar="auto|N", callback=drift_pieces,
                 help="Let excitability drift over the training data in N straight pieces; the fit is of the cell as "
                      "it was at the end. auto: one piece, kept if the data show it."),
]  # fmt: skip
RecentOption = Annotated[
    float | None,
    typer.Option("--recent", min=0.01, metavar="S", show_default=False,
                 help="Training data this many seconds before the end count half, twice as long before a quarter."),
]  # fmt: skip
PriorOption = Annotated[
    list[Path] | None,
    typer.Option("--prior", metavar="RUN|FIT.json", exists=True, show_default=False,
                 help="What other cells have in common: folder of a batch, or fits of three cells or more, by giving "
                      "this several times. Fits of this very cell are left out."),
]  # fmt: skip
Undriven = Annotated[
    bool,
    typer.Option("--undriven",
                 help="Fit also where the current cannot explain the spikes: it never changes, or the voltage does not "
                      "follow it."),
]  # fmt: skip
NoReport = Annotated[bool, typer.Option("--no-report", help="Write no report.html.")]


def fit(
    files: arguments.Files,
    model: arguments.ModelOption = "auto",
    train: arguments.TrainOption = None,
    test: arguments.TestOption = None,
    output: Folder = None,
    runs: arguments.RunsOption = 200,
    dt: arguments.StepOption = None,
    seed: arguments.SeedOption = 0,
    intervals_by: IntervalsOption = "fisher",
    aec: AecOption = None,
    voltage: VoltageOption = False,
    prior: PriorOption = None,
    drift: DriftOption = "0",
    recent: RecentOption = None,
    spikes: arguments.SpikesOption = "auto",
    sweeps: arguments.SweepsOption = None,
    option: arguments.ReaderOption = None,
    undriven: Undriven = False,
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
    chosen = arguments.find_model(model)
    recording = arguments.open_recording(files, spikes, sweeps, option)
    with ready_folder(output or Path(f"fit_{safe_name(recording.cell)}")) as folder:
        if aec is not None:
            recording = _compensated(recording, aec)
        if recording.rejected:
            note(lost_sentence(recording))
        fitted_on, held = parts(recording, train, test)
        note(f"{recording.cell}: train {describe(fitted_on)}; test {describe(held)}")
        if dt is None:
            dt = _step(fitted_on, held)
        priors = _priors(prior, recording.cell, chosen) if prior else ()
        found = _fit(fitted_on, chosen, dt, seed, likelihood=_likelihood(voltage, drift, recent), prior=priors,
                     undriven=undriven)  # fmt: skip
        check_fitted(found, recording)
        electrode = recording.facts.get("electrode_compensation", "")
        made = replace(found.provenance, split={"train": train, "test": test}, electrode=electrode)
        found = replace(found, provenance=made)
        if intervals_by != "none" and likely(found):
            found = intervals.run(found, fitted_on, intervals_by, seed=seed)
        saved = found.save(folder / "fit.json")
    with kept(saved):
        evidence = scoring.gather(found, held, fitted_on, runs=runs)
        written = {"fit": str(saved), **_write(folder, evidence, page=not no_report)}
    if json:
        as_json({"fit": found.to_dict(), "scores": scoring.to_dict(evidence), "files": written})
        return
    after = f", chosen in {found.selection.seconds:.1f} s before" if found.selection else ""
    say(f"{found.cell}: {found.model} fitted in {found.seconds:.1f} s{after}; {found.status.value}.")
    if found.voltage:
        paragraph(voltage_sentence(found.voltage))
    if found.selection:
        paragraph(f"{found.selection.why}.")
    scoring.show(evidence)
    say("written: " + "  ".join(written.values()))


def lost_sentence(recording: Recording, most: int = 4) -> str:
    """Which sweeps are not used, and the reasons, the commonest first."""
    by_reason = Counter(r.reason for r in recording.rejected)
    total = len(recording.rejected) + len(recording)
    out = [f"{len(recording.rejected)} of {total} sweeps are not used:"]
    for reason, count in by_reason.most_common(most):
        names = [r.name for r in recording.rejected if r.reason == reason]
        out.append(f"  {', '.join(names[:most])}{f' and {count - most} more' if count > most else ''}: {reason}")
    if len(by_reason) > most:
        out.append(f"  and {len(by_reason) - most} further reasons: `ephysfit info` lists them")
    return "\n".join(out)


def check_fitted(fit: Fit, recording: Recording) -> None:
    """Raise where the start values were kept for want of spikes: that is no fit, and its scores would pass for one."""
    from ephysfit.errors import FitError
    from ephysfit.fitting.stage import MINIMUM_SPIKES, Status

    if fit.status is Status.TOO_FEW_SPIKES:
        lost = f"; {len(recording.rejected)} sweeps were not used (above)" if recording.rejected else ""
        raise FitError(
            f"{fit.cell}: {fit.provenance.spikes} spikes in the training data, {MINIMUM_SPIKES} are needed: nothing "
            f"was fitted{lost}. `ephysfit inspect` shows every sweep with its spikes"
        )


@contextmanager
def kept(saved: Path) -> Iterator[None]:
    """Where what comes after the fit fails, a word that the fit is there."""
    try:
        yield
    except BaseException:
        note(f"the fit itself is saved: {saved}; `ephysfit score` and `ephysfit report` go on from it")
        raise


def likely(fit: Fit) -> bool:
    """Whether the fit has a likelihood, and spikes enough, to give its parameters intervals."""
    from ephysfit.fitting.stage import MINIMUM_SPIKES

    return type(fit.neuron).stochastic() and fit.provenance.spikes >= MINIMUM_SPIKES


def voltage_sentence(v: VoltageReport) -> str:
    """What a fit says of the voltage that it was fitted to."""
    return (
        f"Voltage away from spikes: {v.explained:.0%} of its variance explained, {v.rms:.2f} mV rms left; "
        f"{v.samples} samples count as {v.independent:.0f} independent ones."
    )


def _compensated(recording: Recording, aec: Path) -> Recording:
    """The recording without its electrode, which was measured in another file."""
    from ephysfit.data.electrode import compensate_electrode, measure_electrode
    from ephysfit.data.loading import load

    electrode = measure_electrode(load(aec))
    note(f"electrode: {electrode.resistance:.1f} ± {electrode.error:.1f} MOhm, taken out of the voltage")
    return compensate_electrode(recording, electrode)


def describe(recording: Recording) -> str:
    """A recording in a few words."""
    n = len(recording)
    return f"{n} sweep{'s' * (n != 1)}, {recording.duration / 1e3:g} s, {recording.n_spikes} spikes"


def _step(train: Recording, test: Recording) -> float:
    """The step that serves the data to fit and to score; said where they are sampled differently."""
    from ephysfit.fitting.chain import step_for

    step, said = step_for(train, test)
    if said:
        note(f"{train.cell}: {said}")
    return step


def _likelihood(voltage: bool, drift: str, recent: float | None) -> Likelihood | None:
    """The likelihood stage as the options want it; None where they leave it as it is."""
    if not voltage and drift == "0" and recent is None:
        return None
    from ephysfit.fitting.stages.likelihood import Likelihood
    from ephysfit.fitting.voltage_likelihood import Voltage

    return Likelihood(
        drift=None if drift == "auto" else int(drift),
        recent=None if recent is None else 1e3 * recent,
        voltage=Voltage() if voltage else None,
    )


def _priors(paths: list[Path], cell: str, model: str) -> tuple[Prior, ...]:
    """Priors of the fits in runs and files, those of other cells."""
    from ephysfit.batch.collect import saved_fits
    from ephysfit.fitting.fit_result import Fit
    from ephysfit.fitting.population_prior import priors_of

    mine = arguments.user_neuron(model) if ".py" in model else None
    runs = [saved_fits(path, [mine] if mine else []) for path in paths if path.is_dir()]
    found = [*chain.from_iterable(runs), *(Fit.load(path, mine) for path in paths if not path.is_dir())]
    others = [f for f in found if f.cell != cell]
    priors = priors_of(others)
    own = f" ({len(found) - len(others)} of this cell left out)" if len(found) > len(others) else ""
    note(f"prior: {', '.join(f'{p.model} of {p.cells} cells' for p in priors)}{own}")
    return priors


def _fit(recording: Recording, model: str, dt: float | None, seed: int, **settings: Any) -> Fit:
    from ephysfit.fitting.fit import fit as run

    with progress() as tell:
        return run(recording, model, dt=dt, seed=seed, progress=tell, **settings)


def _write(folder: Path, evidence: Evidence, page: bool) -> dict[str, str]:
    """The files beside a fit: what each is, and where."""
    from json import dumps

    text = dumps(finite(scoring.to_dict(evidence)), indent=1, ensure_ascii=False, allow_nan=False)
    written = {"scores": write_text(folder / "scores.json", text + "\n")}
    if page:
        from ephysfit.reports.report import write

        written["report"] = write(evidence, folder / "report.html")
    return {name: str(path) for name, path in written.items()}
