"""fit(): one cell, one neuron or the one that predicts it best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ephysfit.data import drive
from ephysfit.data.recording import Recording, check_recording
from ephysfit.errors import FitError, near
from ephysfit.fitting.chain import default_stages, default_step, mark_missed, one_thread, run_stages
from ephysfit.fitting.effort import EFFORTS
from ephysfit.fitting.ensemble import Ensemble
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.held_membrane import has_membrane, measure_held_membrane
from ephysfit.fitting.model_selection import Selection, choose_neuron, name_progress
from ephysfit.fitting.predictive_check import count_spikes
from ephysfit.fitting.prior import Prior, check_priors
from ephysfit.fitting.progress_bar import show_progress_by_default
from ephysfit.fitting.residual import can_have_residual, compile_residual
from ephysfit.fitting.stage import MINIMUM_SPIKES, Estimate, Problem, Progress, Stage, Status, ignore_progress
from ephysfit.fitting.stage_reports import HeldMembrane, Reports, SelectionReport
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.stronger_prior import find_prior_strength, strengthen_prior
from ephysfit.fitting.warm_starts import add_starts_from_simpler_fits
from ephysfit.models import candidates, find
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.warm_up import start as compile_ahead
from ephysfit.system import one_blas_thread


@one_blas_thread()
def fit(
    recording: Recording,
    model: str | type[Neuron] = "auto",
    stages: Sequence[Stage] | None = None,
    *,
    likelihood: Likelihood | None = None,
    prior: Prior | Sequence[Prior] = (),
    dt: float | None = None,
    seed: int = 0,
    objective: str | None = None,
    effort: str | Ensemble = "fast",
    assume_steps: bool = True,
    undriven: bool = False,
    progress: Progress | bool | None = None,
) -> Fit:
    """Fit a neuron to the training recording of one cell.

    Parameters
    ----------
    recording : Recording
        Training data only; keep the test data out (``train, test = recording.split()``).
    model : str or type[Neuron]
        "auto", a name of the catalogue, ``"file.py:Name"``, or a neuron class.
    stages : sequence of Stage, optional
        What to run, in order; by default what is read off the recording, maximum likelihood, and the causal readout.
    likelihood : Likelihood, optional
        The likelihood stage of the default chain, where its settings are not the default ones: a drift, the recorded
        voltage (``Likelihood(voltage=Voltage())``).
    prior : Prior or sequence of Prior, optional
        Of the population the cell comes from (`ephysfit.population_prior`): where the fit also begins, and what it is
        drawn to as far as the cell's own data leave it open. Of several, the one of the neuron is used.
    dt : float, optional
        Step in ms; by default the largest multiple of the recorded step up to 0.5 ms (`default_step`). Recordings of
        other steps can be simulated and scored: their currents are averaged over the steps of the fit.
    seed : int
        Seed of everything random.
    objective : {"physiology", "prediction"}, optional
        "physiology": the passive membrane (resting potential, input resistance, time constant) is what the recorded
        voltage shows, small pulses first, and is held while everything else is fitted to the spikes. It is what a
        neuron with a membrane is fitted for unless the recording does not show one, `stages` are given, or the voltage
        is fitted too. "prediction": every parameter is fitted to the spikes, which predicts better where the neuron
        lacks currents that the cell has, at the price of a membrane that is not the cell's (docs/physiology.md). What
        was held is in the report `HeldMembrane` of the fit.
    effort : {"fast", "best"} or Ensemble
        "best": also an ensemble of fits, each to four fifths of the training data, whose noisy runs are pooled; those
        of AIGIF and of neurons nested in it carry a small network on their log hazard, if that predicts data that its
        member was not fitted to (`ephysfit.fitting.ensemble`). It predicts better and takes three times as long.
        `Fit.neuron` is the same as with "fast", and what is exported. An `Ensemble` gives settings of one's own.
    assume_steps : bool
        Where noise leaves a neuron's answer to a steady current open (`Neuron.sustained`: AIGIF and its kin) and the
        recording holds noise alone, count a few steps with two thirds of the rate that the cell has in noise of that
        level (`ephysfit.fitting.assumed_steps`); `Fit.premises` says so. False fits the noise as it is.
    undriven : bool
        Fit also where the current cannot explain the spikes: it never changes, or the voltage does not follow it.
    progress : callable or bool, optional
        Called with the name of the stage and the fraction of it that is done. By default a bar is drawn where stderr is
        a terminal or this is a notebook; False draws none.

    Returns
    -------
    Fit

    Raises
    ------
    FitError
        If the recording holds nothing to fit, or its current did not drive the cell. A fit that ends badly is returned
        all the same: see `Fit.status` and `Fit.warnings`.
    """
    with show_progress_by_default(progress) as listener:
        return _fit(recording, model, stages, likelihood, prior, dt, seed, objective, effort, assume_steps, undriven,
                    listener)  # fmt: skip


def _fit(
    recording: Recording,
    model: str | type[Neuron],
    stages: Sequence[Stage] | None,
    likelihood: Likelihood | None,
    prior: Prior | Sequence[Prior],
    dt: float | None,
    seed: int,
    objective: str | None,
    effort: str | Ensemble,
    assume_steps: bool,
    undriven: bool,
    progress: Progress,
) -> Fit:
    check_recording(recording, "fit")
    if recording.planned:
        raise FitError(
            f"{recording.cell}: sweep {recording.planned[0]!r} is a planned current that has not been recorded yet: "
            "there are no spikes to fit; fit.simulate() runs a fitted cell on it"
        )
    if not undriven and (why := drive.explain_undriven(recording)):
        raise FitError(f"{recording.cell}: {why}; undriven=True (--undriven on the shell) fits it all the same")
    priors = (prior,) if isinstance(prior, Prior) else tuple(prior)
    if isinstance(model, str) and model == "auto":
        return select(recording, stages=stages, likelihood=likelihood, priors=priors, dt=dt, seed=seed,
                      objective=objective, effort=effort, assume_steps=assume_steps, progress=progress)  # fmt: skip
    kind = find(model) if isinstance(model, str) else model
    if not (isinstance(kind, type) and issubclass(kind, Neuron)):
        raise FitError(
            f"model = {kind!r:.80} is neither a name nor a neuron class; give 'auto', a name that `ephysfit models` "
            "lists, or a class: of a cell, type(cell)"
        )
    if len(kind.inputs) > 1:
        raise FitError(
            f"{kind.__name__} has {len(kind.inputs)} inputs ({', '.join(kind.inputs)}) and a recording holds one, the "
            "injected current; fit a neuron with one input"
        )
    chain = default_stages(kind, likelihood) if stages is None else tuple(stages)
    check_priors(priors, kind)
    membrane = find_held_membrane(recording, kind, objective, stages, likelihood)
    problem = Problem(
        recording,
        kind,
        dt or default_step(recording),
        seed=seed,
        progress=progress,
        priors=priors,
        membrane=membrane,
        assume_steps=assume_steps,
    )
    if stages is None:
        with one_thread():
            problem = add_starts_from_simpler_fits(problem)
    ensemble = find_ensemble(effort, kind)
    source = model if isinstance(model, str) and ":" in model else ""
    fitted = run_stages(problem, chain, source=source)
    if objective is None and problem.held and fitted.status is Status.MISSES:
        problem, fitted = _give_up_membrane(problem, fitted, chain, source)
    if stages is None:
        fitted = strengthen_prior(problem, fitted, likelihood, source)
    return add_members(problem, fitted, ensemble)


def _give_up_membrane(problem: Problem, held: Fit, chain: Sequence[Stage], source: str) -> tuple[Problem, Fit]:
    """A fit with the membrane fitted too, if a neuron does not fire as the cell with the one that was measured."""
    why = (
        f"with the measured membrane {problem.neuron.__name__} does not fire as its training data do; "
        "objective='physiology' (--objective physiology) holds it all the same"
    )
    freed = replace(problem, membrane=HeldMembrane("prediction", why_not=why))
    found = run_stages(freed, chain, source=source)
    return (problem, held) if found.status is Status.MISSES else (freed, found)


@one_blas_thread()
def select(
    recording: Recording,
    stages: Sequence[Stage] | None = None,
    *,
    among: Sequence[type[Neuron]] = (),
    likelihood: Likelihood | None = None,
    priors: Sequence[Prior] = (),
    dt: float | None = None,
    seed: int = 0,
    objective: str | None = None,
    effort: str | Ensemble = "fast",
    assume_steps: bool = True,
    progress: Progress = ignore_progress,
) -> Fit:
    """Fit the neuron that predicts held-out blocks of the training data best, on all of the training data.

    The neuron is chosen by `ephysfit.fitting.model_selection.choose_neuron`.

    Parameters
    ----------
    among : sequence of type[Neuron]
        Candidates from simple to rich; those of `ephysfit.models.candidates` unless given.
    likelihood : Likelihood, optional
        Settings of the winner's likelihood stage, as in `fit`; candidates are compared without them.
    priors : sequence of Prior
        Of populations; each candidate takes its own.
    objective : {"physiology", "prediction"}, optional
        As in `fit`, for each candidate.
    effort : {"fast", "best"} or Ensemble
        As in `fit`, for the winner.
    assume_steps : bool
        As in `fit`, for each candidate.

    Returns
    -------
    Fit
        Of the winner; `Fit.selection` holds the candidates, what choosing took and the reason in a sentence.
    """
    kinds = tuple(among) or candidates()
    for kind in kinds if likelihood is not None else ():
        default_stages(kind, likelihood)  # refuses settings that it could not honour
    step = dt or default_step(recording)
    check_priors(priors, *kinds)
    membranes = [find_held_membrane(recording, k, objective, stages, likelihood) for k in kinds]
    problems = [
        Problem(
            recording,
            k,
            step,
            seed=seed,
            progress=progress,
            priors=tuple(priors),
            membrane=held,
            assume_steps=assume_steps,
        )
        for k, held in zip(kinds, membranes, strict=True)
    ]
    if problems[0].n_spikes < MINIMUM_SPIKES:
        return run_stages(problems[0], stages or default_stages(kinds[0]))
    for problem in problems:
        compile_ahead(problem.neuron, held=tuple(problem.held))
    for kind in kinds:
        find_ensemble(effort, kind)
    with one_thread():
        choice = choose_neuron(problems)
    winner, fitted, report = _refit_best_that_fires(problems, choice, stages, likelihood)
    fitted = replace(fitted, reports=fitted.reports | Reports(report))
    return add_members(winner, fitted, find_ensemble(effort, winner.neuron))


def _refit_best_that_fires(
    problems: Sequence[Problem], choice: Selection, stages: Sequence[Stage] | None, likelihood: Likelihood | None
) -> tuple[Problem, Fit, SelectionReport]:
    """The winner on all training data; where it does not fire as they do, the next best candidate that does."""
    tried: list[tuple[Problem, Fit]] = []
    for which in choice.ranking:
        problem = name_progress(problems[which], " (kept)")
        fitted = _refit_winner(problem, choice.estimates[which], stages, likelihood)
        fitted = strengthen_prior(problem, fitted, likelihood) if stages is None else fitted
        if fitted.status is not Status.MISSES:
            return problem, fitted, choice.report.explain_missed([f.model for _, f in tried], fitted.model)
        tried.append((problem, fitted))
    return *tried[0], choice.report


def find_held_membrane(
    recording: Recording,
    kind: type[Neuron],
    objective: str | None,
    stages: Sequence[Stage] | None,
    likelihood: Likelihood | None,
) -> HeldMembrane | None:
    """The membrane that a fit holds; None for a neuron without one, stages of one's own, or a voltage fitted too.

    Raises
    ------
    FitError
        If the objective is unknown or cannot be had (`measure_held_membrane`), or a voltage is fitted as well.
    """
    joint = likelihood is not None and likelihood.voltage is not None
    if objective is None and (joint or stages is not None or not has_membrane(kind)):
        return None
    if joint and objective == "physiology":
        raise FitError(
            "objective='physiology' holds the membrane that the voltage shows, and Likelihood(voltage=...) (--voltage "
            "on the shell) fits it; give one of the two"
        )
    return measure_held_membrane(recording, kind, objective)


def find_ensemble(effort: str | Ensemble, kind: type[Neuron]) -> Ensemble | None:
    """How the ensemble of an effort is made, None for a single fit; kernels it needs are compiled in the background.

    Raises
    ------
    FitError
        If there is no such effort, or the neuron has no likelihood that an ensemble could be fitted by.
    """
    if effort == "fast":
        return None
    if not isinstance(effort, Ensemble) and effort != "best":
        raise FitError(f"effort={effort!r} is unknown; {near(str(effort), EFFORTS)}")
    if kind.searched or not kind.stochastic():
        raise FitError(
            f"effort={effort!r}: an ensemble is fitted by its likelihood, and {kind.__name__} is not "
            f"({kind.searched or 'it declares no hazard'}); leave the effort out, or take AIGIF or auto"
        )
    ensemble = effort if isinstance(effort, Ensemble) else Ensemble()
    if ensemble.residual is not None and can_have_residual(kind):
        compile_residual()
    return ensemble


def add_members(problem: Problem, fitted: Fit, ensemble: Ensemble | None) -> Fit:
    """A fit with the members of an ensemble; as it is where none is wanted, or the data hold too few spikes."""
    if ensemble is None or problem.n_spikes < MINIMUM_SPIKES:
        return fitted
    with one_thread():
        members, reports = ensemble.fit(problem, fitted.neuron, find_prior_strength(fitted))
        counts = count_spikes(problem, fitted.neuron, fitted.sharpen, members)
    before = fitted.counts.warnings() if fitted.counts else ()
    return replace(
        fitted,
        members=members,
        history=tuple(mark_missed(fitted.history, counts)),
        warnings=(*counts.warnings(), *(w for w in fitted.warnings if w not in before)),
        reports=fitted.reports | reports | Reports(counts),
    )


def _refit_winner(
    problem: Problem, kept: Estimate, stages: Sequence[Stage] | None, likelihood: Likelihood | None
) -> Fit:
    """The winner on all training data, from where the held-out fit ended."""
    chain = tuple(stages or default_stages(problem.neuron, likelihood))
    chain = tuple(replace(s, starts=1, first=0) if isinstance(s, Likelihood) and stages is None else s for s in chain)
    return run_stages(problem, chain, start=kept.neuron)
