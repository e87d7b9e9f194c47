"""What the model tests share: a noise current, a plain run, and the pairing of two spike trains."""

from __future__ import annotations

import numpy as np
import torch

from ephysfit.simulation.engines.sequential import sequential


def noise(steps: int, dt: float, mean: float, std: float, tau: float = 3.0, seed: int = 0) -> np.ndarray:
    """Ornstein-Uhlenbeck current, pA."""
    rng = np.random.default_rng(seed)
    keep = np.exp(-dt / tau)
    out, x = np.empty(steps), 0.0
    for n, kick in enumerate(rng.standard_normal(steps) * np.sqrt(1 - keep**2)):
        x = keep * x + kick
        out[n] = mean + std * x
    return out


def run(neuron, current, dt: float, **options):
    """Spikes (time,) of bool, states (time, state) and margins (time,) of one cell in one trial."""
    with torch.no_grad():
        drive = torch.as_tensor(np.asarray(current), dtype=torch.float64)[None, None]
        s, x, u = sequential(neuron, drive, dt, **options)
    return s[0, 0].numpy() > 0, x[0, 0].numpy(), u[0, 0].numpy()


def times(spikes: np.ndarray, dt: float) -> np.ndarray:
    return (np.flatnonzero(spikes) + 0.5) * dt


def assert_paired(a: np.ndarray, b: np.ndarray, tolerance: float, least: int = 5, median: float | None = None) -> None:
    """The same number of spikes (at least `least`, so that silence proves nothing), each within `tolerance` ms."""
    assert len(a) == len(b), (len(a), len(b))
    assert len(a) >= least, len(a)
    apart = np.abs(a - b)
    assert apart.max() <= tolerance, apart.max()
    assert median is None or np.median(apart) <= median, np.median(apart)
