"""A fit that runs away is made again with a prior that counts more.

Where spikes and what evokes them always come together (trains of short pulses), a spike's own effect and that of the
pulse before it are exchanged for one another without a change in the likelihood. In free runs, whose spikes come at
other times, the sum falls apart, and the neuron excites itself. A stronger prior keeps what the data leave open near
its declared start.
"""

from __future__ import annotations

from dataclasses import replace

from ephysfit.fitting.chain import default_stages, run_stages
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.stage import Problem, Status
from ephysfit.fitting.stage_reports import LikelihoodReport
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.stages.search import Search

#: how many times the default weight of the prior is tried, in turn
TIMES = (10.0, 100.0, 1000.0)


def strengthen_prior(problem: Problem, missed: Fit, likelihood: Likelihood | None = None, source: str = "") -> Fit:
    """A fit that fires as its training data do, with the weakest prior that brings it; else the one that was given.

    Nothing is done for a fit that does not miss, for a neuron that is searched in free runs, whose prior only sets
    where the search begins, where a population's prior stands in for the declared one, or where the weight of the prior
    is not the default one.

    Parameters
    ----------
    problem : Problem
    missed : Fit
        By the default stages.
    likelihood : Likelihood, optional
        Settings that were asked for.
    source : str
        Where the neuron's class came from.
    """
    stage = likelihood or Likelihood()
    chain = default_stages(problem.neuron, likelihood)
    climbs = any(isinstance(s, Likelihood) for s in chain) and not any(isinstance(s, Search) for s in chain)
    if missed.status is not Status.MISSES or not climbs or problem.prior is not None or stage.prior != Likelihood.prior:
        return missed
    for times in TIMES:
        stronger = replace(stage, prior=stage.prior * times)
        found = run_stages(problem, default_stages(problem.neuron, stronger), source=source)
        if found.status is not Status.MISSES:
            return replace(found, warnings=(_say(missed, times), *found.warnings))
    return missed


def _say(missed: Fit, times: float) -> str:
    counts = missed.counts
    assert counts is not None  # a fit misses by its counts
    assert counts.noisy is not None  # and has a hazard where it is fitted by its likelihood
    return (
        f"free runs of the most likely {missed.model} fired {sum(counts.noisy):.0f} spikes on the training data for "
        f"the cell's {sum(counts.recorded):.0f}: the prior was made to count {times:g} times as much, which mended it"
    )


def find_prior_strength(fitted: Fit) -> float:
    """Weight of the prior, per spike, that a fit was made with."""
    found = fitted.report(LikelihoodReport)
    return Likelihood.prior if found is None or found.prior is None else found.prior.strength
