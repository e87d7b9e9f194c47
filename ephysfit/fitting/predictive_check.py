"""Whether a fit, run freely on its own training data, fires as the cell did there: a posterior predictive check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ephysfit.fitting.arena import Arena
from ephysfit.fitting.losses import KernelScore, within
from ephysfit.fitting.stage import Problem
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free import Free

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
    """

    sweeps: tuple[str, ...]
    recorded: tuple[float, ...]
    noisy: tuple[float, ...] | None
    noise_free: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(vars(self))

    def warnings(self) -> tuple[str, ...]:
        """What is wrong, with the numbers; noise-free runs are judged where there are no noisy ones, or beside them."""
        out = [] if self.noisy is None else _misses("noisy runs", self.sweeps, self.recorded, self.noisy)
        return (*out, *_misses("the noise-free run", self.sweeps, self.recorded, self.noise_free))

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
    free, stochastic = Free.of(type(neuron)), type(neuron).stochastic()
    arena = Arena(problem, free, neuron, KernelScore(), RUNS if stochastic else 0, element=np.float64)
    causal = Arena(
        problem, free, neuron, KernelScore(), 1 if stochastic and sharpen is not None else 0, element=np.float64,
        sharpen=None if sharpen is None else (float(sharpen[0]), float(sharpen[1])),
    )  # fmt: skip
    sweeps = problem.recording.sweeps
    recorded = [len(within(s.spike_times, m, problem.dt)) for s, m in zip(sweeps, problem.counted, strict=True)]
    return Counts(
        tuple(s.name for s in sweeps),
        tuple(map(float, recorded)),
        _mean_counts(arena, neuron) if stochastic else None,
        _mean_counts(causal, neuron),
    )


def _mean_counts(arena: Arena, neuron: Neuron) -> tuple[float, ...]:
    p = arena.problem
    found = {
        k: float(np.mean([len(within(t, p.counted[k], p.dt)) for t in runs[0]])) for k, runs in arena.runs_of(neuron, 0)
    }
    return tuple(found[k] for k in range(len(p.counted)))


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


def _misses(readout: str, names: Sequence[str], recorded: Sequence[float], model: Sequence[float]) -> list[str]:
    out = []
    if _off(recorded, model):
        out.append(
            f"on its own training data the fit fires {sum(model):.0f} spikes ({readout}), the cell "
            f"{sum(recorded):.0f}: it does not describe the cell's rate"
        )
    silent, dead = _wrong(recorded, model)
    for sweeps, what in ((silent, "fires in {} where the cell was silent"), (dead, "is silent in {} where it fired")):
        if sweeps:
            listed = ", ".join(f"{names[k]!r}: {model[k]:.0f} for {recorded[k]:.0f}" for k in sweeps[:NAMED])
            more = f" and {len(sweeps) - NAMED} more" if len(sweeps) > NAMED else ""
            number = f"{len(sweeps)} of {len(names)} training sweeps"
            out.append(f"the fit ({readout}) {what.format(number)} ({listed}{more})")
    return out
