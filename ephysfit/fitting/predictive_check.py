"""Whether a fit, run freely on its own training data, fires as the cell did there: a posterior predictive check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ephysfit.fitting.free_run.free_runs import FreeRuns
from ephysfit.fitting.free_run.losses import within
from ephysfit.fitting.stage import Problem
from ephysfit.neuron.declare import Neuron

Array = npt.NDArray[np.float64]

#: noisy runs a sweep
RUNS = 20
#: spikes of all sweeps that a fit may fire for one of the cell, and that the cell may fire for one of the fit
FACTOR = 1.5
#: a count is wrong only beyond this many standard deviations of a Poisson count
LARGE = 3.0
#: spikes in a sweep where the other is silent that make it a miss
SOME = 3.0
#: part of the sweeps that may be missed by a fit that still counts as found
FEW_MISSED = 0.2
#: sweeps that a sentence names
NAMED = 3


@dataclass(frozen=True, eq=False)
class Counts:
    """Spikes a training sweep, of the cell and of the fit's free runs, over the samples that count.

    Attributes
    ----------
    sweeps : names
    recorded : (sweep,)
    noisy : (sweep,) or None
        Mean over noisy runs; None for a neuron without a hazard.
    noise_free : (sweep,)
        Of the causal run, or of the threshold run where the fit has no other.
    readout : str
        Which of the two.
    """

    sweeps: tuple[str, ...]
    recorded: tuple[float, ...]
    noisy: tuple[float, ...] | None
    noise_free: tuple[float, ...]
    readout: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(vars(self))

    def warnings(self) -> tuple[str, ...]:
        """What is wrong, with the numbers; noise-free runs are judged where there are no noisy ones, or beside them."""
        out = [] if self.noisy is None else _misses("its noisy runs", self.sweeps, self.recorded, self.noisy)
        return (*out, *_misses(f"the {self.readout}", self.sweeps, self.recorded, self.noise_free))

    @property
    def error(self) -> float:
        """Mean absolute error of the counts of the runs that a fit is used by."""
        model = self.noise_free if self.noisy is None else self.noisy
        return float(np.mean(np.abs(np.subtract(model, self.recorded))))

    @property
    def failed(self) -> bool:
        """Whether the runs a fit is used by do not fire as the cell did: too fast, too slow, or in other sweeps."""
        model = self.noise_free if self.noisy is None else self.noisy
        silent, dead = _wrong(self.recorded, model)
        return _off(self.recorded, model) or len(silent) + len(dead) > FEW_MISSED * len(self.sweeps)


def count_spikes(problem: Problem, neuron: Neuron, sharpen: Sequence[float] | None) -> Counts:
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
    noisy = FreeRuns(problem, RUNS, **double).counts(neuron)[0] if stochastic else None
    noise_free = FreeRuns(problem, 0, causal, **double).counts(neuron)[0]
    return counts_of(problem, noisy, noise_free, "threshold run" if causal is None or not stochastic else "causal run")


def counts_of(problem: Problem, noisy: Array | None, noise_free: Array, readout: str = "") -> Counts:
    """Counts of runs, (sweep,), beside those of the cell."""
    sweeps = problem.recording.sweeps
    recorded = [len(within(s.spike_times, m, problem.dt)) for s, m in zip(sweeps, problem.counted, strict=True)]
    return Counts(
        tuple(s.name for s in sweeps),
        tuple(map(float, recorded)),
        None if noisy is None else tuple(noisy.tolist()),
        tuple(noise_free.tolist()),
        readout,
    )


def _off(recorded: Sequence[float], model: Sequence[float]) -> bool:
    cell, fit = sum(recorded), sum(model)
    unlike = abs(fit - cell) > LARGE * np.sqrt(max(cell, 1.0))
    return bool(unlike and not cell / FACTOR <= fit <= cell * FACTOR)


def _wrong(recorded: Sequence[float], model: Sequence[float]) -> tuple[list[int], list[int]]:
    """Sweeps in which the fit fires and the cell was silent, and the other way round."""
    pairs = list(enumerate(zip(recorded, model, strict=True)))
    return (
        [k for k, (cell, fit) in pairs if cell == 0 and fit >= SOME],
        [k for k, (cell, fit) in pairs if cell >= SOME and fit < 0.5],
    )


def _misses(runs: str, names: Sequence[str], recorded: Sequence[float], model: Sequence[float]) -> list[str]:
    out = []
    if _off(recorded, model):
        out.append(
            f"on its own training data the fit fires {sum(model):.0f} spikes ({runs}), the cell {sum(recorded):.0f}: "
            "it does not describe the cell's rate"
        )
    silent, dead = _wrong(recorded, model)
    for sweeps, what in ((silent, "fires where the cell was silent"), (dead, "is silent where the cell fired")):
        if sweeps:
            listed = ", ".join(f"{names[k]!r}: {model[k]:.0f} for {recorded[k]:.0f}" for k in sweeps[:NAMED])
            more = f" and {len(sweeps) - NAMED} more" if len(sweeps) > NAMED else ""
            out.append(f"in {len(sweeps)} of {len(names)} training sweeps the fit ({runs}) {what} ({listed}{more})")
    return out
