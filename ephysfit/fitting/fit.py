"""fit(): one cell, one neuron or the one that predicts it best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ephysfit.data import drive
from ephysfit.data.recording import Recording
from ephysfit.errors import FitError
from ephysfit.fitting.chain import default_stages, default_step, one_thread, run
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.model_selection import choose, named
from ephysfit.fitting.prior import Prior, admit_priors
from ephysfit.fitting.stage import MINIMUM_SPIKES, Estimate, Problem, Progress, Stage, silent
from ephysfit.fitting.stage_reports import Reports
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.warm_starts import with_starts_from_below
from ephysfit.models import candidates, find
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.warm_up import start as compile_ahead


def fit(
    recording: Recording,
    model: str | type[Neuron] = "auto",
    stages: Sequence[Stage] | None = None,
    *,
    likelihood: Likelihood | None = None,
    prior: Prior | Sequence[Prior] = (),
    dt: float | None = None,
    seed: int = 0,
    undriven: bool = False,
    progress: Progress = silent,
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
        drawn to, for as much as the cell's own data leave open. Of several that of the neuron is taken.
    dt : float, optional
        Step in ms; by default the largest multiple of the recorded step up to 0.5 ms (`default_step`). Recordings of
        other steps can be simulated and scored: their currents are averaged over the steps of the fit.
    seed : int
        Of everything random.
    undriven : bool
        Fit also where the current cannot explain the spikes: it never changes, or the voltage does not follow it.
    progress : callable
        Told (stage name, fraction done).

    Returns
    -------
    Fit

    Raises
    ------
    FitError
        If the recording holds nothing to fit, or its current did not drive the cell. A fit that ends badly is a value:
        see `Fit.status`, `Fit.warnings`.
    """
    if recording.planned:
        raise FitError(
            f"{recording.cell}: sweep {recording.planned[0]!r} is a planned current that nobody has recorded yet: "
            "there are no spikes to fit; fit.simulate() runs a fitted cell on it"
        )
    if not undriven and (why := drive.explain_undriven(recording)):
        raise FitError(f"{recording.cell}: {why}; undriven=True (--undriven on the shell) fits it all the same")
    priors = (prior,) if isinstance(prior, Prior) else tuple(prior)
    if isinstance(model, str) and model == "auto":
        return select(recording, stages=stages, likelihood=likelihood, priors=priors, dt=dt, seed=seed,
                      progress=progress)  # fmt: skip
    kind = find(model) if isinstance(model, str) else model
    if len(kind.inputs) > 1:
        raise FitError(
            f"{kind.__name__} has {len(kind.inputs)} inputs ({', '.join(kind.inputs)}) and a recording holds one, the "
            "injected current; fit a neuron of one input"
        )
    chain = default_stages(kind, likelihood) if stages is None else tuple(stages)
    admit_priors(priors, kind)
    problem = Problem(recording, kind, dt or default_step(recording), seed=seed, progress=progress, priors=priors)
    if stages is None:
        with one_thread():
            problem = with_starts_from_below(problem)
    return run(problem, chain, source=model if isinstance(model, str) and ":" in model else "")


def select(
    recording: Recording,
    stages: Sequence[Stage] | None = None,
    *,
    among: Sequence[type[Neuron]] = (),
    likelihood: Likelihood | None = None,
    priors: Sequence[Prior] = (),
    dt: float | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Fit:
    """Fit the neuron that predicts held-out blocks of the training data best (`selection.choose`), on all of them.

    Parameters
    ----------
    among : sequence of type[Neuron]
        Candidates from simple to rich; those of `ephysfit.models.candidates` unless given.
    likelihood : Likelihood, optional
        Settings of the winner's likelihood stage, as in `fit`; candidates are compared without them.
    priors : sequence of Prior
        Of populations; each candidate takes its own.

    Returns
    -------
    Fit
        Of the winner; `Fit.selection` holds the candidates, what choosing took and the reason in a sentence.
    """
    kinds = tuple(among) or candidates()
    for kind in kinds if likelihood is not None else ():
        default_stages(kind, likelihood)  # refuses what it could not keep to
    step = dt or default_step(recording)
    admit_priors(priors, *kinds)
    problems = [Problem(recording, k, step, seed=seed, progress=progress, priors=tuple(priors)) for k in kinds]
    if problems[0].n_spikes < MINIMUM_SPIKES:
        return run(problems[0], stages or default_stages(kinds[0]))
    compile_ahead(*kinds)
    with one_thread():
        choice = choose(problems)
    fitted = _refit(named(problems[choice.which], " (kept)"), choice.estimate, stages, likelihood)
    return replace(fitted, reports=fitted.reports | Reports(choice.report))


def _refit(problem: Problem, kept: Estimate, stages: Sequence[Stage] | None, likelihood: Likelihood | None) -> Fit:
    """The winner on all training data, from where the held-out fit ended."""
    chain = tuple(stages or default_stages(problem.neuron, likelihood))
    chain = tuple(replace(s, starts=1, first=0) if isinstance(s, Likelihood) and stages is None else s for s in chain)
    return run(problem, chain, start=kept.neuron)
