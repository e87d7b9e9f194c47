"""Steps of `ephysfit fit`: the fit itself, and before and after it priors, time step, messages on the data, files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from ephysfit.batch.collect import saved_fits
from ephysfit.cli import arguments, scoring
from ephysfit.cli.fit_options import FitOptions
from ephysfit.cli.output import print_line, print_note, print_paragraph, show_progress
from ephysfit.cli.shell_words import translate_hints
from ephysfit.data.electrode import compensate_electrode, measure_electrode
from ephysfit.data.loading import load
from ephysfit.data.recording import Recording
from ephysfit.errors import FitError, say_count
from ephysfit.files import to_json, write_text
from ephysfit.fitting.chain import choose_shared_step
from ephysfit.fitting.drift_check import can_model_drift
from ephysfit.fitting.fit import fit
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.population_prior import population_priors
from ephysfit.fitting.prior import Prior
from ephysfit.fitting.saved_fit import parse_fit
from ephysfit.fitting.stage import MINIMUM_SPIKES, Status
from ephysfit.fitting.stage_reports import VoltageReport
from ephysfit.fitting.stages.likelihood import STEADY, Likelihood
from ephysfit.fitting.voltage_likelihood import Voltage
from ephysfit.reports.evidence import Evidence
from ephysfit.reports.report import write_report as write_report


def describe_rejected(recording: Recording, most: int = 4) -> str:
    """Describe which sweeps are not used and why, the most frequent reason first."""
    by_reason = Counter(r.reason for r in recording.rejected)
    total = len(recording.rejected) + len(recording)
    out = [f"{len(recording.rejected)} of {total} sweeps are not used:"]
    for reason, count in by_reason.most_common(most):
        names = [r.name for r in recording.rejected if r.reason == reason]
        out.append(
            f"  {', '.join(names[:most])}{f' and {count - most} more' if count > most else ''}: "
            f"{translate_hints(reason)}"
        )
    if len(by_reason) > most:
        out.append(f"  and {len(by_reason) - most} further reasons: `ephysfit info` lists them")
    return "\n".join(out)


def check_fitted(fit: Fit, recording: Recording) -> None:
    """Raise if there were too few spikes for a fit: its start values must not be scored as a fit."""
    if fit.status is Status.TOO_FEW_SPIKES:
        lost = f"; {len(recording.rejected)} sweeps were not used (above)" if recording.rejected else ""
        raise FitError(
            f"{fit.cell}: {fit.provenance.spikes} spikes in the training data, {MINIMUM_SPIKES} are needed: nothing "
            f"was fitted{lost}. `ephysfit inspect` shows every sweep with its spikes"
        )


def describe_replaced(file: Path) -> str:
    """Describe the fit that a file holds before it is written anew; empty if there is none."""
    if not file.is_file():
        return ""
    try:
        found = parse_fit(file.read_text(encoding="utf-8"), str(file))
    except (FitError, UnicodeDecodeError):
        return f"replaced: {file}, which was no fit that can be read"
    return f"replaced: the fit of {found.model} to {found.cell} in {file}"


@contextmanager
def mention_saved_fit(saved: Path) -> Iterator[None]:
    """If a step after the fit fails, print where the fit is saved."""
    try:
        yield
    except BaseException:
        print_note(f"the fit itself is saved: {saved}; continue with `ephysfit score` and `ephysfit report`")
        raise


def can_have_intervals(fit: Fit) -> bool:
    """Whether the fit has a likelihood and enough spikes for intervals of its parameters."""
    return type(fit.neuron).stochastic() and fit.provenance.spikes >= MINIMUM_SPIKES


def describe_voltage_fit(v: VoltageReport) -> str:
    """Describe how well a fit explains the voltage."""
    return (
        f"Voltage away from spikes: {v.explained:.0%} of its variance explained, {v.rms:.2f} mV rms left; "
        f"{v.samples} samples count as {v.independent:.0f} independent ones."
    )


def remove_electrode(recording: Recording, aec: Path) -> Recording:
    """Remove the electrode from the voltage of a recording; the electrode is measured in another file."""
    electrode = measure_electrode(load(aec))
    print_note(f"electrode: {electrode.resistance:.1f} ± {electrode.error:.1f} MOhm, taken out of the voltage")
    return compensate_electrode(recording, electrode)


def describe(recording: Recording) -> str:
    """Describe a recording: sweeps, duration, spikes."""
    sweeps, spikes = say_count(len(recording), "sweep"), say_count(recording.n_spikes, "spike")
    return f"{sweeps}, {recording.duration / 1e3:g} s, {spikes}"


def find_common_step(train: Recording, test: Recording) -> float:
    """Find the time step (ms) for training and test data; a note is printed where they are sampled differently."""
    step, step_note = choose_shared_step(train, test)
    if step_note:
        print_note(f"{train.cell}: {step_note}")
    return step


def make_likelihood(voltage: bool, drift: str, recent: float | None) -> Likelihood | None:
    """Make the likelihood stage of the options; None where they leave it at its defaults."""
    if not voltage and drift == "0" and recent is None:
        return None
    return Likelihood(
        drift=None if drift == "auto" else int(drift),
        recent=None if recent is None else 1e3 * recent,
        voltage=Voltage() if voltage else None,
    )


def describe_unmodelled_drift(train: Recording, drift: str) -> str:
    """Describe what a drift as requested leaves out of these training sweeps; empty if it is modelled."""
    several = f"{len(train)} sweep{'s' * (len(train) != 1)} of {train.duration / 1e3:g} s together"
    later = "--recent S gives the later sweeps more weight"
    if drift == "auto" and not can_model_drift(len(train), train.duration):
        return (
            f"--drift auto models no drift here: it needs one training sweep of {STEADY / 1e3:g} s or more, and these "
            f"are {several}, in which order and amplitude may go together; {later}"
        )
    if drift not in ("auto", "0") and len(train) > 1:
        return (
            f"--drift {drift}: these are {several}, and the pieces begin anew with every sweep, so that a change from "
            f"sweep to sweep is not modelled; {later}"
        )
    return ""


def make_priors(paths: list[Path], cell: str, model: str) -> tuple[Prior, ...]:
    """Make population priors of the fits of other cells in runs and files."""
    mine = arguments.read_user_neuron(model) if ".py" in model else None
    runs = [saved_fits(path, [mine] if mine else []) for path in paths if path.is_dir()]
    found = [*chain.from_iterable(runs), *(Fit.load(path, mine) for path in paths if not path.is_dir())]
    others = [f for f in found if f.cell != cell]
    priors = population_priors(others)
    own = f" ({len(found) - len(others)} of this cell left out)" if len(found) > len(others) else ""
    print_note(f"prior: {', '.join(f'{p.model} of {p.cells} cells' for p in priors)}{own}")
    return priors


def write_results(folder: Path, evidence: Evidence, page: bool) -> dict[str, str]:
    """Write scores and report of a fit, and return the file of each."""
    written = {"scores": write_text(folder / "scores.json", to_json(scoring.to_dict(evidence)) + "\n")}
    if page:
        written["report"] = write_report(evidence, folder / "report.html")
    return {name: str(path) for name, path in written.items()}


def fit_cell(recording: Recording, fitted_on: Recording, model: str, how: FitOptions, dt: float, seed: int) -> Fit:
    """Fit a cell as the options say."""
    priors = make_priors(how.prior, recording.cell, model) if how.prior else ()
    if left_out := describe_unmodelled_drift(fitted_on, how.drift):
        print_note(left_out)
    stage = make_likelihood(how.voltage, how.drift, how.recent)
    with show_progress() as listener:
        found = fit(fitted_on, model, dt=dt, seed=seed, progress=listener, likelihood=stage, prior=priors,
                       objective=how.objective, effort=how.effort, undriven=how.undriven,
                       assume_steps=not how.no_assumed_steps)  # fmt: skip
    check_fitted(found, recording)
    return found


def print_fit(found: Fit) -> None:
    """Print what was fitted in how long, and what a reader of the scores must know."""
    after = f", chosen in {found.selection.seconds:.1f} s before" if found.selection else ""
    print_line(f"{found.cell}: {found.model} fitted in {found.seconds:.1f} s{after}; {found.status.value}.")
    for premise in found.premises:
        print_paragraph(premise)
    if found.voltage:
        print_paragraph(describe_voltage_fit(found.voltage))
    if found.selection:
        print_paragraph(f"{found.selection.why}.")
    if found.ensemble:
        print_paragraph(f"Ensemble in {found.ensemble.seconds:.1f} s: {found.ensemble}.")
