"""The neuron that peers are timed on, in numbers that every environment knows (numpy only): LIF, reset to rest.

V <- DECAY V + DRIVE, a spike where V reaches THRESHOLD, then V = 0; no refractoriness, which most peers lack.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

DT, CAPACITANCE, LEAK, THRESHOLD = 0.1, 100.0, 5.0, 15.0  # ms, pF, nS, mV above rest
DECAY = float(np.exp(-DT * LEAK / CAPACITANCE))
#: mV of a step per pA
GAIN = -float(np.expm1(-DT * LEAK / CAPACITANCE)) / LEAK
#: half width of the surrogate's triangle, mV
WIDTH = 20.0
REPEATS = 3


def current(rows: int, steps: int) -> np.ndarray:
    """White noise, pA, (row, time)."""
    return np.random.default_rng(0).normal(90.0, 400.0, (rows, steps)).astype(np.float32)


def weights(rows: int, steps: int) -> np.ndarray:
    """dL/ds, (row, time)."""
    return np.random.default_rng(1).normal(size=(rows, steps)).astype(np.float32)


def timed(run: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Median seconds of the processor, after a first call."""
    run()
    spent = []
    for _ in range(REPEATS):
        began = clock()
        run()
        spent.append(clock() - began)
    return float(np.median(spent))


def asked() -> tuple[str, int, int]:
    """Peer, rows and steps of the command line."""
    return sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def tell(rows: int, steps: int, spikes: int, forward: float, both: float | None = None) -> None:
    """One line for `peers`: spikes, forward and forward + gradient in ns per neuron-step (nan: none)."""
    unit = 1e9 / (rows * steps)
    print(spikes, forward * unit, float("nan") if both is None else both * unit)
