"""Whether a fit, run freely on its own training data, fires as the cell did there: a posterior predictive check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ephysfit.arrays import Array
from ephysfit.data.readout import Readout
from ephysfit.fitting.free_run.free_runs import FreeRuns
from ephysfit.fitting.free_run.losses import select_spikes_in
from ephysfit.fitting.stage import Problem
from ephysfit.fitting.stage_reports import SpikeCounts
from ephysfit.neuron.declare import Neuron

#: noisy runs per sweep
RUNS = 20


def count_spikes(problem: Problem, neuron: Neuron, sharpen: Sequence[float] | None) -> SpikeCounts:
    """Run a fitted cell freely on its training sweeps, each from the level it began at, and count.

    Parameters
    ----------
    problem
        With the training data.
    neuron
        The fitted cell.
    sharpen
        Of the causal run; None where the threshold run is the noise-free one.
    """
    stochastic = type(neuron).stochastic()
    causal = None if sharpen is None else (float(sharpen[0]), float(sharpen[1]))
    double: dict[str, Any] = {"element": np.float64}  # as the fit's own simulations
    noisy = FreeRuns(problem, RUNS, **double).count_spikes(neuron)[0] if stochastic else None
    noise_free = FreeRuns(problem, 0, causal, **double).count_spikes(neuron)[0]
    readout = Readout.THRESHOLD if causal is None or not stochastic else Readout.CAUSAL
    return compare_with_recorded(problem, noisy, noise_free, readout)


def compare_with_recorded(problem: Problem, noisy: Array | None, noise_free: Array, readout: str = "") -> SpikeCounts:
    """Counts of runs, (sweep,), beside those of the cell."""
    sweeps = problem.recording.sweeps
    recorded = [
        len(select_spikes_in(s.spike_times, m, problem.dt)) for s, m in zip(sweeps, problem.counted, strict=True)
    ]
    return SpikeCounts(
        tuple(s.name for s in sweeps),
        tuple(map(float, recorded)),
        None if noisy is None else tuple(noisy.tolist()),
        tuple(noise_free.tolist()),
        readout,
    )
