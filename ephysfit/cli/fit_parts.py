"""What `ephysfit fit` does before and after the fit itself: priors, the step, sentences about the data, files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from ephysfit.batch.collect import saved_fits
from ephysfit.cli import arguments, scoring
from ephysfit.cli.output import print_note
from ephysfit.data.electrode import compensate_electrode, measure_electrode
from ephysfit.data.loading import load
from ephysfit.data.recording import Recording
from ephysfit.errors import FitError
from ephysfit.files import to_json, write_text
from ephysfit.fitting.chain import step_for
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.population_prior import priors_of
from ephysfit.fitting.prior import Prior
from ephysfit.fitting.stage import MINIMUM_SPIKES, Status
from ephysfit.fitting.stage_reports import VoltageReport
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.voltage_likelihood import Voltage
from ephysfit.reports.evidence import Evidence
from ephysfit.reports.report import write_report as write_report


def describe_rejected(recording: Recording, most: int = 4) -> str:
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
    if fit.status is Status.TOO_FEW_SPIKES:
        lost = f"; {len(recording.rejected)} sweeps were not used (above)" if recording.rejected else ""
        raise FitError(
            f"{fit.cell}: {fit.provenance.spikes} spikes in the training data, {MINIMUM_SPIKES} are needed: nothing "
            f"was fitted{lost}. `ephysfit inspect` shows every sweep with its spikes"
        )


@contextmanager
def mention_saved_fit(saved: Path) -> Iterator[None]:
    """Where what comes after the fit fails, a word that the fit is there."""
    try:
        yield
    except BaseException:
        print_note(f"the fit itself is saved: {saved}; `ephysfit score` and `ephysfit report` go on from it")
        raise


def can_have_intervals(fit: Fit) -> bool:
    """Whether the fit has a likelihood, and spikes enough, to give its parameters intervals."""
    return type(fit.neuron).stochastic() and fit.provenance.spikes >= MINIMUM_SPIKES


def describe_voltage_fit(v: VoltageReport) -> str:
    """What a fit says of the voltage that it was fitted to."""
    return (
        f"Voltage away from spikes: {v.explained:.0%} of its variance explained, {v.rms:.2f} mV rms left; "
        f"{v.samples} samples count as {v.independent:.0f} independent ones."
    )


def remove_electrode(recording: Recording, aec: Path) -> Recording:
    """The recording without its electrode, which was measured in another file."""
    electrode = measure_electrode(load(aec))
    print_note(f"electrode: {electrode.resistance:.1f} ± {electrode.error:.1f} MOhm, taken out of the voltage")
    return compensate_electrode(recording, electrode)


def describe(recording: Recording) -> str:
    """A recording in a few words."""
    n = len(recording)
    return f"{n} sweep{'s' * (n != 1)}, {recording.duration / 1e3:g} s, {recording.n_spikes} spikes"


def find_common_step(train: Recording, test: Recording) -> float:
    """The step that serves the data to fit and to score; said where they are sampled differently."""
    step, said = step_for(train, test)
    if said:
        print_note(f"{train.cell}: {said}")
    return step


def make_likelihood(voltage: bool, drift: str, recent: float | None) -> Likelihood | None:
    """The likelihood stage as the options want it; None where they leave it as it is."""
    if not voltage and drift == "0" and recent is None:
        return None
    return Likelihood(
        drift=None if drift == "auto" else int(drift),
        recent=None if recent is None else 1e3 * recent,
        voltage=Voltage() if voltage else None,
    )


def make_priors(paths: list[Path], cell: str, model: str) -> tuple[Prior, ...]:
    """Priors of the fits in runs and files, those of other cells."""
    mine = arguments.read_user_neuron(model) if ".py" in model else None
    runs = [saved_fits(path, [mine] if mine else []) for path in paths if path.is_dir()]
    found = [*chain.from_iterable(runs), *(Fit.load(path, mine) for path in paths if not path.is_dir())]
    others = [f for f in found if f.cell != cell]
    priors = priors_of(others)
    own = f" ({len(found) - len(others)} of this cell left out)" if len(found) > len(others) else ""
    print_note(f"prior: {', '.join(f'{p.model} of {p.cells} cells' for p in priors)}{own}")
    return priors


def write_results(folder: Path, evidence: Evidence, page: bool) -> dict[str, str]:
    """The files beside a fit: what each is, and where."""
    written = {"scores": write_text(folder / "scores.json", to_json(scoring.to_dict(evidence)) + "\n")}
    if page:
        written["report"] = write_report(evidence, folder / "report.html")
    return {name: str(path) for name, path in written.items()}
