"""Starts from below: a richer neuron begins where the fits of the simpler neurons that it contains ended.

A neuron with many terms has many optima, and its declared start may lie in the basin of a bad one. The simpler
neuron has fewer, and its fit, with the new terms switched on a little, is a good second place to begin.
"""

from __future__ import annotations

from dataclasses import replace

from ephysfit.fitting.stage import MINIMUM_SPIKES, Estimate, Problem
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.stages.passive import Passive
from ephysfit.models import below
from ephysfit.neuron.declare import Neuron

#: how far new terms are switched on, of the way to their declared start: at 0 they have no gradient
AWAY = (0.02, 0.2)


def add_starts_from_simpler_fits(problem: Problem) -> Problem:
    """The problem with `extra_starts` filled from the fits of simpler neurons; as it is where there is nothing to gain.

    A neuron that declares `alternatives` says itself where its fits may begin, and is left alone.

    Parameters
    ----------
    problem : Problem

    Examples
    --------
    >>> from ephysfit.models import LIF
    >>> from ephysfit.synthetic import recording
    >>> p = Problem(recording(LIF.start(), duration=3000.0, repeats=0, dt=0.5), LIF, 0.5)
    >>> add_starts_from_simpler_fits(p).extra_starts  # nothing is simpler than LIF
    ()
    """
    if problem.neuron.alternatives or problem.n_spikes < MINIMUM_SPIKES:
        return problem
    return replace(problem, extra_starts=_lift_simpler_fits(problem, problem.neuron, {}))


def lift_cell(simple: type[Neuron], cell: Neuron, rich: type[Neuron], begun: Neuron) -> tuple[Neuron, ...]:
    """A fitted cell of `simple` as starts of `rich`; `begun` holds what is measured for `rich`, and its t_ref."""
    measured = {n: getattr(begun, n) for n, p in rich.parameters.items() if p.measured}
    steps = [r for r in below(rich) if r.simple is simple]
    return tuple(r.lift(cell, away).replace(**measured) for r in steps for away in AWAY)


def _lift_simpler_fits(problem: Problem, rich: type[Neuron], known: dict[type[Neuron], Neuron]) -> tuple[Neuron, ...]:
    out: tuple[Neuron, ...] = ()
    for rung in below(rich):
        if _has_likelihood(rung.simple) and _has_likelihood(rich) and len(rung.simple.inputs) == len(rich.inputs):
            cell = _fit_simpler(replace(problem, neuron=rung.simple), known)
            out += lift_cell(rung.simple, cell, rich, replace(problem, neuron=rich).start())
    return out


def _has_likelihood(kind: type[Neuron]) -> bool:
    """Whether a neuron has a likelihood with something in it to move."""
    return kind.stochastic() and any(p.smooth and not p.measured for p in kind.parameters.values())


def _fit_simpler(problem: Problem, known: dict[type[Neuron], Neuron]) -> Neuron:
    """A fit of a simpler neuron, itself begun from below; each neuron is fitted once."""
    kind = problem.neuron
    if kind not in known:
        begun = Passive()(problem, Estimate(problem.start()))
        ready = replace(problem, extra_starts=_lift_simpler_fits(problem, kind, known))
        known[kind] = Likelihood(starts=1 + len(ready.extra_starts), draws=0, steps=40)(ready, begun).neuron
    return known[kind]
