"""How wide a surrogate should be for one cell."""

from __future__ import annotations

import numpy as np

from ephysfit.fitting.stage import Problem
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.roles import Role
from ephysfit.simulation.engines.compiled import run


def measure_drop_at_spike(problem: Problem, cell: Neuron) -> float:
    """How far a spike lowers the margin (mV), over the spikes of a replay; at least the softness of the threshold."""
    current, spikes = problem.trials.current[0, 0], problem.trials.spikes[0, 0]
    done = run(cell, current[None, None], problem.dt, forced=spikes[None, None].astype(np.uint8), save=("margin",))
    margin = np.asarray(done.traces["margin"])[0, 0]
    after = round(float(cell.refractory_ms) / problem.dt) + 1
    at = np.flatnonzero(spikes)
    at = at[at + after < len(margin)]
    drop = float(np.median(margin[at] - margin[at + after])) if at.size else 0.0
    return max(drop, 2.0 * float(cell.value_of(Role.SOFTNESS, 1.0)), 1e-3)
