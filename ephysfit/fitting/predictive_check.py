"""Whether a fit, run freely on its own training data, fires as the cell did there: a posterior predictive check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ephysfit.arrays import Array
from ephysfit.data.readout import Readout
from ephysfit.fitting.free_run.free_runs import FreeRuns
from ephysfit.fitting.free_run.losses import select_spikes_in
from ephysfit.fitting.spike_counts import SpikeCounts
from ephysfit.fitting.stage import Problem
from ephysfit.neuron.declare import Neuron

#: noisy runs per sweep
RUNS = 20
#: as the fit's own simulations
_DOUBLE: dict[str, Any] = {"element": np.float64}


def count_spikes(
    problem: Problem, neuron: Neuron, sharpen: Sequence[float] | None, members: Sequence[Neuron] = ()
) -> SpikeCounts:
    """Run a fitted cell freely on its training sweeps, each from the level it began at, and count.

    Parameters
    ----------
    problem
        With the training data.
    neuron
        The fitted cell.
    sharpen
        Of the causal run; None where the threshold run is the noise-free one.
    members
        Of an ensemble, whose noisy runs are pooled; the cell's own runs where there are none.
    """
    stochastic = type(neuron).stochastic()
    causal = None if sharpen is None else (float(sharpen[0]), float(sharpen[1]))
    noisy = _count_noisy_runs(problem, members or (neuron,)) if stochastic else None
    noise_free = FreeRuns(problem, 0, causal, **_DOUBLE).count_spikes(neuron)[0]
    readout = Readout.THRESHOLD if causal is None or not stochastic else Readout.CAUSAL
    return compare_with_recorded(problem, noisy, noise_free, readout)


def _count_noisy_runs(problem: Problem, cells: Sequence[Neuron]) -> Array:
    """Spikes per sweep, the mean over runs of these cells in equal parts, (sweep,)."""
    each = -(-RUNS // len(cells))
    counts = [FreeRuns(replace(problem, neuron=type(c)), each, **_DOUBLE).count_spikes(c)[0] for c in cells]
    mean: Array = np.mean(counts, 0)
    return mean


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
