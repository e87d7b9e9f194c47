"""The refractory period by its profile likelihood: it moves in whole steps, which no gradient sees."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from ephysfit.fitting.stage import Estimate, Need, Problem, Stage, Status
from ephysfit.fitting.stage_reports import LikelihoodReport, PeriodReport, RefractoryReport, Reports
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.neuron.declare import Neuron, scalar_values
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.neuron.roles import Role
from ephysfit.simulation.replay import Replay

#: where there are no intervals, ms
LONGEST = 6.0
#: share of the profile under which a refractory period is not worth keeping
SLIGHT = 1e-3


@dataclass(frozen=True)
class Refractory(Stage):
    """Fit the likelihood at each refractory period the intervals allow, and keep the best.

    From the estimate the period goes up and down in whole steps for as long as the likelihood may still gain, each fit
    starting from its neighbour's. Standard errors then include the uncertainty of the period: they are those of the
    mixture of the fits, weighted by likelihood.

    Parameters
    ----------
    likelihood : Likelihood
        How each is fitted.
    longest : float
        Upper limit of the period, ms; it also stays below the shortest recorded interval.
    fall : float
        A direction is given up when the log-likelihood has fallen so far (nats) below the best found before. Negative:
        already when it has not gained as much, which finds the best period but no profile to take errors from.
    """

    name: ClassVar[str] = "refractory"
    needs: ClassVar[tuple[Need, ...]] = (Need.REFRACTORY_PERIOD, Need.HAZARD, Need.SPIKES)
    likelihood: Likelihood = field(default_factory=lambda: Likelihood(starts=1, steps=30))
    longest: float = LONGEST
    fall: float = 12.0

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        found = self._fit_profile(problem, estimate)
        nats = compute_losses_in_nats(problem, found)
        best = found[min(found, key=lambda k: nats[k])]
        errors, profile = mix_over_periods(problem, found)
        report = replace(_report_with_starts(best, estimate), standard_errors=errors)
        return best.with_(reports=Reports(report, RefractoryReport(profile)))

    def _fit_profile(self, problem: Problem, estimate: Estimate) -> dict[int, Estimate]:
        """Fits by refractory period in steps, from that of the estimate outwards."""
        most = find_longest_period(problem, self.longest)
        middle = int(np.clip(round(float(estimate.neuron.refractory_ms) / problem.dt), 1, most))
        found = {middle: self._fit_at_period(problem, estimate, middle)}
        for way in (-1, 1):
            k, last = middle + way, found[middle]
            while 1 <= k <= most:
                last = found[k] = self._fit_at_period(problem, last, k)
                nats = compute_losses_in_nats(problem, found)
                if nats[k] - min(v for j, v in nats.items() if j != k) > self.fall:
                    break
                k += way
        return found

    def _fit_at_period(self, problem: Problem, estimate: Estimate, steps: int) -> Estimate:
        cell = estimate.neuron.replace(**{_period_name(problem): steps * problem.dt})
        quiet = replace(problem, progress=lambda stage, fraction: None)
        stage = self.likelihood  # a drift in one fit but not in its neighbour would not let them be compared
        if stage.drift is None:
            before = estimate.reports.of(LikelihoodReport)
            stage = replace(stage, drift=len(before.drift) if before else 0)
        found = stage(quiet, estimate.with_(neuron=cell))
        problem.progress(self.name, min(steps / find_longest_period(problem, self.longest), 1.0))
        return found if np.isfinite(found.train) else found.with_(train=np.inf)


def _period_name(problem: Problem) -> str:
    """Name of the refractory period, which these stages need among the free parameters."""
    name = problem.neuron.free_name_of(Role.REFRACTORY)
    assert name is not None
    return name


def _report_with_starts(found: Estimate, before: Estimate) -> LikelihoodReport:
    """The report of a fit that began where the likelihood had ended, with the starts that led there."""
    report, earlier = _likelihood_report(found), before.reports.of(LikelihoodReport)
    return replace(report, starts=earlier.starts if earlier else ())


def _likelihood_report(found: Estimate) -> LikelihoodReport:
    report = found.reports.of(LikelihoodReport)
    assert report is not None  # every estimate of a likelihood stage has one
    return report


def compute_losses_in_nats(problem: Problem, found: dict[int, Estimate]) -> dict[int, float]:
    """Negative log-likelihoods in nats, including that of the voltage where it was fitted, all with one weight."""
    seen = [_likelihood_report(e).voltage for e in found.values()]
    weight = seen[0].weight if seen[0] else 0.0
    return {
        k: e.train * problem.n_spikes - weight * (v.log_likelihood if v else 0.0)
        for (k, e), v in zip(found.items(), seen, strict=True)
    }


def mix_over_periods(problem: Problem, found: dict[int, Estimate]) -> tuple[dict[str, float], tuple[PeriodReport, ...]]:
    """Standard errors over the profile, and the profile itself."""
    nats = np.array(list(compute_losses_in_nats(problem, found).values()))
    share = np.exp(np.nanmin(nats) - nats)
    share = np.nan_to_num(share / np.nansum(share))
    kept = [(k, e, p) for (k, e), p in zip(found.items(), share, strict=True) if p > SLIGHT]
    weights = np.array([p for _, _, p in kept]) / sum(p for _, _, p in kept)
    cells = [scalar_values(e.neuron) for _, e, _ in kept]
    spreads = [_likelihood_report(e).standard_errors for _, e, _ in kept]
    errors: dict[str, float] = {}
    for name in spreads[0]:
        middle = np.array([c[name] for c in cells])
        within = weights @ np.square([s[name] for s in spreads])
        errors[name] = float(np.sqrt(within + weights @ np.square(middle - weights @ middle)))
    periods = np.array([k * problem.dt for k, _, _ in kept])
    errors[_period_name(problem)] = float(
        np.sqrt(weights @ np.square(periods - weights @ periods) + problem.dt**2 / 12)
    )
    profile = [PeriodReport(float(t), float(p), c) for t, p, c in zip(periods, weights, cells, strict=True)]
    return errors, tuple(profile)


@dataclass(frozen=True)
class LengthenRefractory(Stage):
    """Lengthen the refractory period of a neuron that holds nothing meanwhile, for as long as that gains.

    Such a neuron is only barred from spiking, so at the same parameters a longer period always gains what the bins it
    adds had cost; it is lengthened by as many steps as gain `gain` each and contradict no interval. Parameters that
    made up for too short a period are then fitted once more.

    Parameters
    ----------
    likelihood : Likelihood
        How the parameters are fitted again after a step.
    gain : float
        What a step has to gain, nats.
    """

    name: ClassVar[str] = "refractory"
    needs: ClassVar[tuple[Need, ...]] = (Need.REFRACTORY_PERIOD, Need.HAZARD, Need.SPIKES)
    likelihood: Likelihood = field(default_factory=lambda: Likelihood(starts=1, first=0, steps=12))
    gain: float = 1.0

    def improve(self, problem: Problem, estimate: Estimate) -> Estimate:
        cell = self._lengthen(problem, estimate.neuron)
        if cell is estimate.neuron:
            return estimate.with_(status=Status.NOT_NEEDED)
        found = self.likelihood(problem, estimate.with_(neuron=cell))
        return found.with_(reports=Reports(_report_with_starts(found, estimate)))

    def _lengthen(self, problem: Problem, cell: Neuron) -> Neuron:
        free = FreeParameters.of(problem.neuron, smooth_only=True)
        z = free.to_vector(cell)
        here = Replay(free, cell, problem.dt).value(z, problem.everything)
        for k in range(round(float(cell.refractory_ms) / problem.dt) + 1, find_longest_period(problem) + 1):
            further = cell.replace(**{_period_name(problem): k * problem.dt})
            there = Replay(free, further, problem.dt).value(z, problem.everything)
            if not there - here > self.gain:
                break
            cell, here = further, there
        return cell


def find_longest_period(problem: Problem, limit: float = np.inf) -> int:
    """Steps of the longest refractory period that no recorded interval contradicts, at most `limit` ms."""
    intervals = np.concatenate([np.diff(s.spike_times) for s in problem.recording.sweeps] or [np.empty(0)])
    shortest = float(intervals.min()) if intervals.size else min(limit, LONGEST)
    return max(int(min(shortest - problem.dt, limit) / problem.dt + 1e-9), 1)
