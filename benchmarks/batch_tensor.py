"""One tensor (cell, trial, time) with padding, or a process a cell? The same descent both ways, CPU time of one thread.

    python benchmarks/batch_tensor.py [--cells 64] [--seconds 60]

What is timed is one step of a gradient fit: the free run, the van Rossum distance to the recorded train and its exact
gradient to every parameter. Once for all cells in one call, with cells of unequal length padded to the longest; once in
a call a cell, without padding. Losses and gradients are compared, so both are the same fit. Below stands where the time
of a whole task goes: the fit by likelihood that runs unless told otherwise, whose second-order steps are each cell's
own, and the scoring on noisy runs.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

os.environ["EPHYSFIT_THREADS"] = "1"

import numpy as np
import torch

from ephysfit.data.recording import Recording
from ephysfit.data.trials import Trials
from ephysfit.fitting.fit import fit
from ephysfit.fitting.stages import Likelihood, Passive
from ephysfit.models import ALIF
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.reports.evidence import gather_evidence
from ephysfit.simulation.adjoint import van_rossum_loss
from ephysfit.simulation.surrogate import Surrogate
from ephysfit.synthetic import draw, recording

DT, TAU, SURROGATE = 0.5, 20.0, Surrogate(20.0)
FREE = FreeParameters.of(ALIF, smooth_only=True)


def database(n: int, seconds: float, spread: float) -> list[Recording]:
    """Cells of one noise sweep, the longest `seconds`, the shortest (1 - spread) of it."""
    lengths = 1e3 * seconds * (1.0 - spread * np.linspace(0.0, 1.0, n))
    return [
        recording(cell, duration=round(length / DT) * DT, repeats=0, dt=DT, rate=8.0, noise="escape", seed=k)
        for k, (cell, length) in enumerate(zip(draw(ALIF, n, seed=3, spread=0.2), lengths, strict=True))
    ]


def together(trials: Trials, z: torch.Tensor, base: Neuron) -> tuple[np.ndarray, np.ndarray]:
    """Loss (cell,) and gradient (cell, parameter) of all cells in one call, padding included."""
    z = z.clone().requires_grad_()
    events = [[np.flatnonzero(s) for s in cell] for cell in trials.spikes]
    loss = van_rossum_loss(FREE.to_neuron(z, base), torch.from_numpy(trials.current), events, DT, TAU, SURROGATE)
    (slope,) = torch.autograd.grad(loss.sum(), z)
    return loss.detach().numpy(), slope.numpy()


def alone(trials: Trials, z: torch.Tensor, base: Neuron, padded: bool) -> tuple[np.ndarray, np.ndarray]:
    """The same, a call a cell: with the padding it has in the tensor, or only what was recorded."""
    losses, slopes = [], []
    for k in range(len(z)):
        stop = trials.shape[2] if padded else int(trials.valid[k].sum())
        one = z[k : k + 1].clone().requires_grad_()
        events = [[np.flatnonzero(trials.spikes[k, 0])]]
        loss = van_rossum_loss(
            FREE.to_neuron(one, base), torch.from_numpy(trials.current[k : k + 1, :, :stop]), events, DT, TAU, SURROGATE
        )
        (slope,) = torch.autograd.grad(loss.sum(), one)
        losses.append(loss.detach().numpy()[0])
        slopes.append(slope.numpy()[0])
    return np.array(losses), np.array(slopes)


def clock(do: Callable[[], Any], repeats: int = 5) -> float:
    """Median CPU seconds of this thread."""
    do()
    spent = []
    for _ in range(repeats):
        began = time.thread_time()
        do()
        spent.append(time.thread_time() - began)
    return float(np.median(spent))


def compare(n: int, seconds: float, spread: float) -> float:
    """One line of the table; CPU seconds a cell of a step in a call a cell."""
    trials = Trials.of(database(n, seconds, spread), DT)
    base = ALIF.start()
    drawn = torch.randn(n, len(FREE.names), generator=torch.Generator().manual_seed(1))
    z = torch.from_numpy(FREE.to_vector(base)) + 0.05 * drawn
    z = z.to(torch.float64)
    a, b = together(trials, z, base), alone(trials, z, base, padded=True)
    worst = max(float(np.max(np.abs(x - y) / np.maximum(np.abs(y), 1e-9))) for x, y in zip(a, b, strict=True))
    one = clock(lambda: together(trials, z, base))
    each = clock(lambda: alone(trials, z, base, padded=False))
    used = float(trials.valid.double().mean())
    print(f"{n:>6} {used:>9.0%} {1e3 * one / n:>13.2f} {1e3 * each / n:>13.2f} {each / one:>9.2f} {worst:>11.1e}"
          f" {trials.current.numel() * 8 / 2**20:>9.0f}", flush=True)  # fmt: skip
    return each / n


def whole(seconds: float, cells: int = 4) -> tuple[float, float]:
    """Median CPU seconds of a whole fit by likelihood and of its scoring on 18 s of repeats; kernels on disk."""
    stages, spent = (Passive(), Likelihood(starts=1)), []
    for k, cell in enumerate(draw(ALIF, cells + 1, seed=3, spread=0.2)):
        made = recording(cell, duration=1e3 * seconds, test_duration=6000.0, repeats=3, dt=DT, rate=8.0, seed=k)
        train, test = made.split()
        began = time.process_time()
        found = fit(train, ALIF, stages, dt=DT)
        fitted = time.process_time()
        gather_evidence(found, test, train)
        spent.append((fitted - began, time.process_time() - fitted))
    by_likelihood, scoring = np.median(spent[1:], axis=0)
    return float(by_likelihood), float(scoring)


def main() -> None:
    """The tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"ALIF, float64, {given.seconds:g} s at {DT} ms: a step of a gradient fit (loss and gradient), CPU ms a cell")
    heads = ("recorded", 9), ("one tensor", 13), ("call a cell", 13), ("ratio", 9), ("difference", 11), ("MB", 9)
    print(f"{'cells':>6} " + " ".join(f"{name:>{width}}" for name, width in heads))
    for n in sorted({1, 4, 16, given.cells}):
        step = compare(n, given.seconds, 0.0)
    for spread in (0.5, 0.9):
        compare(given.cells, given.seconds, spread)
    by_likelihood, scoring = whole(given.seconds)
    print(
        f"a whole fit by likelihood: {by_likelihood:.2f} CPU s, {by_likelihood / step:.0f} such steps in a call a cell"
    )
    print(f"its scoring on 200 noisy runs: {scoring:.2f} CPU s")


if __name__ == "__main__":
    main()
