"""Did the cell stand still? Spikes that the fit expects against those that came, over the training data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ephysfit.fitting.stage import Problem
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay

#: standard deviations of a count beyond which a change is worth a warning
NOTABLE = 3.0
#: relative change from the first to the last part that matters
LARGE = 0.15
#: expected spikes under which a part tells nothing (the small steps that come first, say)
TELLING = 10.0


@dataclass(frozen=True)
class Part:
    """One part of the training data: spikes recorded, and spikes the fitted neuron expects, replayed."""

    recorded: int
    expected: float

    @property
    def ratio(self) -> float:
        return self.recorded / max(self.expected, 1e-9)


def count_spikes_in_parts(problem: Problem, neuron: Neuron, count: int = 4) -> tuple[Part, ...]:
    """Recorded and expected spikes in equal parts of the counted training time, in the order of recording."""
    if not problem.neuron.stochastic():
        return ()
    free = FreeParameters.of(problem.neuron, smooth_only=True)
    replayed = Replay(free, neuron, problem.dt).rates(free.to_vector(neuron), problem.everything)
    hold = round(float(neuron.refractory_ms) / problem.dt)
    spikes, rates = [], []
    for sweep, (_, log_rate) in zip(problem.everything, replayed, strict=True):
        use = sweep.use.astype(bool) & ~find_refractory_steps(sweep.spikes, hold)
        spikes.append(sweep.spikes[use])
        rates.append(-np.expm1(-np.exp(log_rate[use]) * problem.dt))
    pairs = zip(
        np.array_split(np.concatenate(spikes), count), np.array_split(np.concatenate(rates), count), strict=True
    )
    return tuple(Part(int(s.sum()), float(r.sum())) for s, r in pairs)


def find_refractory_steps(spikes: np.ndarray, hold: int) -> np.ndarray:
    """Steps within `hold` steps after a spike, which carry no likelihood."""
    ends = np.cumsum(np.r_[0, spikes.astype(np.int64)])
    steps = np.arange(len(spikes))
    return ends[steps] - ends[np.maximum(steps - hold, 0)] > 0


def warn_of_drift(found: tuple[Part, ...], modelled: bool = False) -> str:
    """A sentence if the cell fired clearly more or less, for the same drive, at the end than at the beginning.

    `modelled` says whether the fit has a term for it.
    """
    if len(found) < 2:
        return ""
    first, last = found[0], found[-1]
    if min(first.expected, last.expected) < TELLING:
        return ""
    spread = np.sqrt(1 / max(first.expected, 1.0) + 1 / max(last.expected, 1.0))
    factor = max(last.ratio, 1e-3) / max(first.ratio, 1e-3)
    change = factor - 1.0
    if abs(np.log(factor)) < NOTABLE * spread or abs(change) < LARGE:
        return ""
    more = "more" if change > 0 else "less"
    done = (
        "the fit takes this in and is of the cell as it was at the end"
        if modelled
        else "Likelihood(drift=None), on the command line --drift auto, fits the cell as it was at the end"
    )
    return (
        f"the cell's excitability drifted: against what the fit expects it fired {abs(change):.0%} {more} in the last "
        f"quarter of the training data than in the first; {done}"
    )
