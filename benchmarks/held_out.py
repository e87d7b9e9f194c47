"""What several benchmarks on training files share: fit the beginning of a recording, judge its end. No test file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import ephysfit as ef
from ephysfit.fitting.chain import one_thread, run_stages
from ephysfit.fitting.folds import Fold
from ephysfit.fitting.stage import Estimate, Problem, Stage
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.warm_starts import add_starts_from_simpler_fits
from ephysfit.metrics.coincidence import gamma
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay

RAPHE = Path(__file__).resolve().parents[2] / "shared" / "data" / "raphe"
#: the end that is judged begins here, ms
UNTIL = 40_000.0
DT = 0.5
#: folds of the whole noise and their blocks, ms
FOLDS, BLOCK = 5, 2000.0


def cells() -> Iterator[tuple[str, Path]]:
    """Training files of the raphe cells by name."""
    for path in sorted(RAPHE.glob("*/*_training.abf")):
        yield path.stem.split("_")[0], path


def judged(problem: Problem, start: float, stop: float) -> list:
    """The sweep of a problem where only [start, stop) ms count."""
    whole = problem.everything[0]
    before = len(whole.use) - problem.trials.shape[2]  # the run-up, where there is one
    use = np.zeros_like(whole.use)
    use[before + round(start / problem.dt) : before + round(stop / problem.dt)] = 1
    return [replace(whole, use=use & whole.use)]


def loss(recording: ef.Recording, cell: Neuron, start: float = UNTIL, stop: float | None = None) -> float:
    """Negative log-likelihood per spike (nats) of a stretch, all spikes before it replayed."""
    kind = type(cell)
    free = FreeParameters.of(kind, smooth_only=True)
    sweeps = judged(Problem(recording, kind, DT), start, stop or recording.duration)
    return -Replay(free, cell, DT).value(free.to_vector(cell), sweeps) / max(sweeps[0].n_spikes, 1)


def agreement(recording: ef.Recording, fit: ef.Fit, start: float = UNTIL, runs: int = 40, window: float = 8.0) -> float:
    """Mean coincidence factor of free noisy runs and the recorded train from `start` on."""
    length = recording.duration - start
    own = recording.sweeps[0].spike_times
    train = own[own >= start] - start
    found = ef.simulate(fit.neuron, recording, dt=DT, runs=runs, noise="escape", seed=1)
    trains = [t[t >= start] - start for t in found.spike_times[0]]
    return gamma([train], trains, length, window=window)


def fit_folds(problem: Problem, stage: Likelihood) -> Iterator[tuple[Fold, Neuron]]:
    """Folds of interleaved blocks, each with the neuron that was fitted to the other blocks."""
    for k in range(FOLDS):
        fold = Fold.of(problem, k, FOLDS, BLOCK)
        yield fold, stage(fold, Estimate(fold.start())).neuron


def fitted(
    recording: ef.Recording, kind: type[Neuron], stages: Sequence[Stage], until: float = UNTIL, **problem: object
) -> ef.Fit:
    """A fit of the beginning of a recording, begun also from the fits of simpler neurons, as `ef.fit` does."""
    asked = Problem(recording.cut(0.0, until), kind, DT, **problem)  # type: ignore[arg-type]
    with one_thread():
        ready = add_starts_from_simpler_fits(asked)
    return run_stages(ready, stages)
