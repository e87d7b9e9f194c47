"""The refractory period by its profile likelihood: it moves in whole steps, which no gradient sees."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ephysfit.fitting.stage import MINIMUM_SPIKES, Estimate, Problem, Status
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.neuron.declare import Neuron, scalar_values
from ephysfit.neuron.free_parameters import Free
from ephysfit.simulation.replay import Replay

#: where there are no intervals, ms
LONGEST = 6.0
#: share of the profile under which a refractory period is not worth keeping
SLIGHT = 1e-3


@dataclass(frozen=True)
class Refractory:
    """Fit the likelihood at each refractory period the intervals allow, and keep the best.

    From the estimate the period goes up and down in whole steps for as long as the likelihood may still gain, each fit
    starting from its neighbour's. Standard errors then take in that the period is uncertain: they are those of the
    mixture of the fits, weighted by likelihood.

    Parameters
    ----------
    likelihood : Likelihood
        How each is fitted.
    longest : float
        No period is longer, ms, nor as long as the shortest recorded interval.
    fall : float
        A direction is given up when the log-likelihood has fallen so far (nats) below the best found before. Negative:
        already when it has not gained as much, which finds the best period but no profile to take errors from.
    """

    likelihood: Likelihood = field(default_factory=lambda: Likelihood(starts=1, steps=30))
    longest: float = 6.0
    fall: float = 12.0

    def __call__(self, problem: Problem, estimate: Estimate) -> Estimate:
        if (idle := _idle(problem)) is not None:
            return estimate.with_(stage="refractory", status=idle)
        found = self._profile(problem, estimate)
        nats = losses(problem, found)
        best = found[min(found, key=lambda k: nats[k])]
        details = {k: v for k, v in best.details.items() if k != "starts"}  # it began where the likelihood had ended
        return best.with_(stage="refractory", details={**details, **mixture(problem, found)})

    def _profile(self, problem: Problem, estimate: Estimate) -> dict[int, Estimate]:
        """Fits by refractory period in steps, from that of the estimate outwards."""
        most = longest(problem, self.longest)
        middle = int(np.clip(round(float(estimate.neuron.t_ref) / problem.dt), 1, most))  # type: ignore[attr-defined]
        found = {middle: self._at(problem, estimate, middle)}
        for way in (-1, 1):
            k, last = middle + way, found[middle]
            while 1 <= k <= most:
                last = found[k] = self._at(problem, last, k)
                nats = losses(problem, found)
                if nats[k] - min(v for j, v in nats.items() if j != k) > self.fall:
                    break
                k += way
        return found

    def _at(self, problem: Problem, estimate: Estimate, steps: int) -> Estimate:
        cell = estimate.neuron.replace(t_ref=steps * problem.dt)
        quiet = replace(problem, progress=lambda stage, fraction: None)
        stage = self.likelihood  # a drift in one fit but not in its neighbour would not let them be compared
        if stage.drift is None:
            stage = replace(stage, drift=len(estimate.details.get("drift", ())))
        found = stage(quiet, estimate.with_(neuron=cell))
        problem.progress("refractory", min(steps / longest(problem, self.longest), 1.0))
        return found if np.isfinite(found.train) else found.with_(train=np.inf)


def _idle(problem: Problem) -> Status | None:
    """Why there is nothing to do, if there is not."""
    if "t_ref" not in problem.neuron.parameters or not problem.neuron.stochastic():
        return Status.NOT_NEEDED
    return Status.TOO_FEW_SPIKES if problem.n_spikes < MINIMUM_SPIKES else None


def losses(problem: Problem, found: dict[int, Estimate]) -> dict[int, float]:
    """Negative log-likelihoods in nats, that of the voltage counted in where it was fitted, all with one weight."""
    seen = [e.details.get("voltage") or {} for e in found.values()]
    weight = seen[0].get("weight", 0.0)
    return {
        k: e.train * problem.n_spikes - weight * v.get("log_likelihood", 0.0)
        for (k, e), v in zip(found.items(), seen, strict=True)
    }


def mixture(problem: Problem, found: dict[int, Estimate]) -> dict[str, Any]:
    """Standard errors over the profile, and the profile itself: period (ms), share, and the cell fitted at each."""
    nats = np.array(list(losses(problem, found).values()))
    share = np.exp(np.nanmin(nats) - nats)
    share = np.nan_to_num(share / np.nansum(share))
    kept = [(k, e, p) for (k, e), p in zip(found.items(), share, strict=True) if p > SLIGHT]
    weights = np.array([p for _, _, p in kept]) / sum(p for _, _, p in kept)
    cells = [scalar_values(e.neuron) for _, e, _ in kept]
    spreads = [e.details["standard_errors"] for _, e, _ in kept]
    errors = {}
    for name in spreads[0]:
        middle = np.array([c[name] for c in cells])
        within = weights @ np.square([s[name] for s in spreads])
        errors[name] = float(np.sqrt(within + weights @ np.square(middle - weights @ middle)))
    periods = np.array([k * problem.dt for k, _, _ in kept])
    errors["t_ref"] = float(np.sqrt(weights @ np.square(periods - weights @ periods) + problem.dt**2 / 12))
    profile = [{"t_ref": float(t), "share": float(p), "parameters": c} for t, p, c in
               zip(periods, weights, cells, strict=True)]  # fmt: skip
    return {"standard_errors": errors, "t_ref_profile": profile}


@dataclass(frozen=True)
class LengthenRefractory:
    """Lengthen the refractory period of a neuron that holds nothing meanwhile, for as long as that gains.

    Such a neuron is only barred from spiking, so at the same parameters a longer period always gains what the bins it
    adds had cost; it takes as many steps as gain `gain` each, and no interval was ever shorter. What was made up for
    a period too short is then fitted once more.

    Parameters
    ----------
    likelihood : Likelihood
        How the parameters are fitted again after a step.
    gain : float
        What a step has to gain, nats.
    """

    likelihood: Likelihood = field(default_factory=lambda: Likelihood(starts=1, first=0, steps=12))
    gain: float = 1.0

    def __call__(self, problem: Problem, estimate: Estimate) -> Estimate:
        if (idle := _idle(problem)) is not None:
            return estimate.with_(stage="refractory", status=idle)
        cell = self._longer(problem, estimate.neuron)
        if cell is estimate.neuron:
            return estimate.with_(stage="refractory", status=Status.NOT_NEEDED)
        found = self.likelihood(problem, estimate.with_(neuron=cell))
        details = {k: v for k, v in found.details.items() if k != "starts"}
        return found.with_(stage="refractory", details=details)

    def _longer(self, problem: Problem, cell: Neuron) -> Neuron:
        free = Free.of(problem.neuron, smooth_only=True)
        z = free.to_vector(cell)
        here = Replay(free, cell, problem.dt).value(z, problem.everything)
        for k in range(round(float(cell.t_ref) / problem.dt) + 1, longest(problem) + 1):  # type: ignore[attr-defined]
            further = cell.replace(t_ref=k * problem.dt)
            there = Replay(free, further, problem.dt).value(z, problem.everything)
            if not there - here > self.gain:
                break
            cell, here = further, there
        return cell


def longest(problem: Problem, limit: float = np.inf) -> int:
    """Steps of the longest refractory period that no recorded interval contradicts, at most `limit` ms."""
    intervals = np.concatenate([np.diff(s.spike_times) for s in problem.recording.sweeps] or [np.empty(0)])
    shortest = float(intervals.min()) if intervals.size else min(limit, LONGEST)
    return max(int(min(shortest - problem.dt, limit) / problem.dt + 1e-9), 1)
