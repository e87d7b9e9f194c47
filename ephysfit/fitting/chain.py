"""Which stages a fit runs by default, at which step, and how they are run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from ephysfit.data.recording import Recording
from ephysfit.data.resampling import divides, find_common_step
from ephysfit.errors import FitError
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.fit_warnings import list_warnings
from ephysfit.fitting.predictive_check import count_spikes
from ephysfit.fitting.provenance import record_provenance
from ephysfit.fitting.spike_counts import SpikeCounts
from ephysfit.fitting.stage import MINIMUM_SPIKES, Estimate, Problem, Stage, Status
from ephysfit.fitting.stage_reports import CausalRun, Reports
from ephysfit.fitting.stages.causal_readout import CausalReadout
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.stages.passive import Passive
from ephysfit.fitting.stages.refractory_period import LengthenRefractory, Refractory
from ephysfit.fitting.stages.search import Search
from ephysfit.fitting.stages.softness import Softness
from ephysfit.fitting.stages.vote_readout import VoteReadout
from ephysfit.fitting.voltage_likelihood import require_potential
from ephysfit.neuron.bounds import admit_start
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters, as_floats
from ephysfit.neuron.roles import Role
from ephysfit.simulation.warm_up import start as compile_ahead

#: a neuron with no more free parameters than this is also searched in free run
FEW = 14

#: coarsest step a fit chooses by itself, ms
COARSEST = 0.5


def default_stages(neuron: type[Neuron], likelihood: Likelihood | None = None) -> tuple[Stage, ...]:
    """The stages that a fit runs by default.

    A neuron without a hazard has no likelihood and is searched. One of few parameters cannot follow the cell closely,
    so that the most likely parameters need not predict best in free runs: it is searched in free runs too.
    The refractory period is tried a step longer and, where a state is held meanwhile, shorter, and further for as long
    as that gains. One that declares its likelihood no guide (`Neuron.searched`) is searched in noise-free runs.

    Where the recorded voltage is fitted too, parameters are meant as measurements: no search follows, and the
    refractory period is the most likely one.

    Parameters
    ----------
    likelihood : Likelihood, optional
        Settings of the likelihood stage.

    Raises
    ------
    FitError
        If settings are given for a neuron that is not fitted by its likelihood, or a voltage for one without potential.
    """
    stage = likelihood or Likelihood()
    if neuron.searched or not neuron.stochastic():
        if likelihood is not None:
            why = neuron.searched or "it declares no hazard"
            out = "leave the likelihood's settings (voltage, drift, recent) out"
            raise FitError(f"{neuron.__name__} is not fitted by its likelihood ({why}); {out}")
        return (Passive(), Search(evaluations=4800, population=16, noisy=False), *([Softness()] * neuron.stochastic()))
    if stage.voltage is not None:
        require_potential(neuron)
        return (Passive(), stage, Refractory(replace(stage, starts=1, steps=30)), CausalReadout(), VoteReadout())
    few = len(FreeParameters.of(neuron).names) <= FEW
    if few and likelihood is None:  # the search looks further than draws of the likelihood, for what is asked of it
        stage = replace(stage, draws=0)
    period = [choose_refractory_stage(neuron, stage)] if neuron.free_name_of(Role.REFRACTORY) else []
    return (Passive(), stage, *period, *([Search()] if few else []), CausalReadout(), VoteReadout())


def choose_refractory_stage(neuron: type[Neuron], stage: Likelihood) -> Refractory | LengthenRefractory:
    """The search for a better refractory period nearby.

    The period read off the intervals is too long where a spike holds the membrane low, and may be too short where a
    neuron is only barred from spiking.
    """
    again = replace(stage, starts=1, first=0, steps=12)
    if any(name in neuron.states for name in neuron.hold):
        return Refractory(likelihood=again, fall=-1.0)
    return LengthenRefractory(likelihood=again)


def default_step(recording: Recording, *others: Recording) -> float:
    """The largest step, up to 0.5 ms, that all sampling steps of the training data divide, and those of the others too.

    Where no step serves the others too, the training data decide: currents of a simulation are averaged over
    whatever steps they are given.

    Raises
    ------
    FitError
        If the sweeps of the training data are sampled at steps without a common multiple of up to 1 ms.

    Examples
    --------
    >>> import numpy as np
    >>> def silent(dt): return Recording.of(np.zeros(100), dt, spike_times=[])
    >>> default_step(silent(0.1)), default_step(silent(0.1), silent(0.2)), default_step(silent(0.1), silent(0.07))
    (0.5, 0.4, 0.5)
    """
    own = [s.dt for s in recording.sweeps]
    have = find_common_step(own)
    if have > max(2 * COARSEST, *own):
        steps = ", ".join(f"{dt:g}" for dt in sorted(set(own)))
        raise FitError(
            f"{recording.cell}: sweeps are sampled at {steps} ms, steps without a common multiple of up to "
            f"{2 * COARSEST:g} ms; fit sweeps of one step"
        )
    shared = find_common_step([have, *(s.dt for r in others for s in r.sweeps)])
    step = shared if shared <= max(COARSEST, have) else have
    return max(int(COARSEST / step + 1e-9), 1) * step


def choose_shared_step(train: Recording, test: Recording) -> tuple[float, str]:
    """`default_step` for data to fit and data to score, ms, and a sentence where their sampling steps differ."""
    step = default_step(train, test)
    steps = sorted({round(s.dt, 9) for s in (*train.sweeps, *test.sweeps)})
    if len(steps) == 1:
        return step, ""
    sampled = " and ".join(f"{dt:g}" for dt in steps)
    if all(divides(dt, step) for dt in steps):
        return step, f"sampled at {sampled} ms: fitted in steps of {step:g} ms, a multiple of each"
    return step, (
        f"sampled at {sampled} ms, without a common multiple of up to {COARSEST:g} ms: fitted in steps of {step:g} ms, "
        "over which the test currents are averaged"
    )


def run_stages(problem: Problem, stages: Sequence[Stage], start: Neuron | None = None, source: str = "") -> Fit:
    """Run stages in order, and check the result on its own training data.

    Raises
    ------
    FitError
        If one of them is not a `Stage`.
    """
    if start is not None:
        admit_start(start)
    strangers = [type(s).__name__ for s in stages if not isinstance(s, Stage)]
    if strangers:
        raise FitError(
            f"{strangers[0]} is not a stage; a stage of your own is a subclass of ephysfit.stages.Stage with a method "
            "improve(self, problem, estimate)"
        )
    estimate = Estimate(start or problem.start())
    history: list[Estimate] = []
    if any(isinstance(s, Likelihood) for s in stages):
        searched = any(isinstance(s, Search) for s in stages)
        purposes = ("fit", "search") if searched else ("fit",)
        compile_ahead(problem.neuron, purposes=purposes, held=tuple(problem.held))
    with one_thread():
        for stage in stages:
            found = stage(problem, estimate)
            history.append(found)
            estimate = found.with_(reports=estimate.reports | found.reports)
    neuron = as_floats(estimate.neuron)
    reports = Reports() if problem.membrane is None else Reports(problem.membrane)
    missed: tuple[str, ...] = ()
    if history and problem.n_spikes >= MINIMUM_SPIKES:
        causal = estimate.reports.of(CausalRun) or CausalRun((1.0, 0.0))
        with one_thread():
            counts = count_spikes(problem, neuron, causal.sharpen)
        reports, missed = reports | Reports(counts), counts.warnings()
        history = mark_missed(history, counts)
    return Fit(
        neuron=neuron,
        cell=problem.recording.cell,
        dt=problem.dt,
        history=tuple(history),
        warnings=(*missed, *list_warnings(problem, neuron, history)),
        provenance=record_provenance(problem, stages, source),
        reports=reports,
    )


def mark_missed(history: Sequence[Estimate], counts: SpikeCounts) -> list[Estimate]:
    """The history of a fit, the last stage of which did not find the cell if free runs do not fire as it did."""
    out = list(history)
    last = max((k for k, e in enumerate(out) if e.status is not Status.NOT_NEEDED), default=-1)
    if counts.failed and out[last].status in (Status.CONVERGED, Status.AT_BOUND):
        out[last] = out[last].with_(status=Status.MISSES)
    return out


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread, if it is loaded: tensors of a fit are tiny, and threads that wait for each other cost more."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
