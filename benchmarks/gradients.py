"""Size and direction of surrogate gradients against finite differences, by time step.

    python benchmarks/gradients.py            # a minute on one core
    python benchmarks/gradients.py --sweeps 64

Loss: mean spike count of 256 sweeps of 500 ms under coloured noise, which is smooth in the parameters to within a few
per cent. Derivatives by the logarithms of C, g, theta - E_L and the adaptation strength, the central difference over
5 % as the truth. Size is the ratio of norms, direction the cosine.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from scipy.signal import lfilter

from ephysfit.models.alif import ALIF
from ephysfit.simulation import adjoint
from ephysfit.simulation.engines import compiled
from ephysfit.simulation.surrogate import Surrogate

DURATION, STEP = 500.0, 0.05
NAMES = ("C", "g", "theta", "d_theta")
#: window, reset in the graph; widths in drops of the margin at a spike
SETTINGS = [
    (shape, width, detach)
    for detach in (False, True)
    for shape, width in (("triangle", 1.0), ("triangle", 0.1), ("box", 0.5), ("survival", 0.5))
]


def sweeps(count: int, dt: float) -> np.ndarray:
    """The same noise (made at 0.05 ms) in steps of dt, pA, (1, sweep, time)."""
    fine = np.random.default_rng(0).normal(size=(1, count, int(DURATION / 0.05)))
    noise = lfilter([np.sqrt(1 - np.exp(-0.1 / 3.0))], [1, -np.exp(-0.05 / 3.0)], fine, axis=-1)
    k = round(dt / 0.05)
    return 150.0 + 120.0 * noise.reshape(1, count, -1, k).mean(-1)


def moved(start: ALIF, logs: torch.Tensor) -> ALIF:
    """The cell with its parameters scaled; of theta the distance from rest."""
    scale = dict(zip(NAMES, torch.exp(logs), strict=True))
    values = {n: getattr(start, n) * scale[n] for n in NAMES if n != "theta"}
    return start.replace(**values, theta=start.E_L + (start.theta - start.E_L) * scale["theta"])


def truth(start: ALIF, current: np.ndarray, dt: float) -> np.ndarray:
    """Central differences of the mean count."""
    out = []
    for k in range(len(NAMES)):
        ends = []
        for sign in (1, -1):
            logs = torch.zeros(len(NAMES), dtype=torch.float64)
            logs[k] = sign * STEP
            ends.append(compiled.run(moved(start, logs), current, dt).counts.mean())
        out.append((ends[0] - ends[1]) / (2 * STEP))
    return np.array(out)


def gradient(start: ALIF, current: np.ndarray, dt: float, surrogate: Surrogate, detach: bool) -> np.ndarray:
    """Of the mean count, by the surrogate."""
    logs = torch.zeros(len(NAMES), dtype=torch.float64, requires_grad=True)
    spikes = adjoint.run(moved(start, logs), torch.from_numpy(current), dt, surrogate=surrogate, detach=detach)
    (found,) = torch.autograd.grad(spikes.sum() / current.shape[1], logs)
    return found.numpy()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=256)
    count = parser.parse_args().sweeps
    start = ALIF.start()
    drop = float(start.theta - start.V_reset)
    steps = (1.0, 0.5, 0.1, 0.05)
    print(f"size / direction; window widths in units of the drop of the margin, {drop:g} mV\n")
    print("| window, half width | reset | " + " | ".join(f"{dt:g} ms" for dt in steps) + " |")
    print("|---|---|" + "---|" * len(steps))
    currents = {dt: sweeps(count, dt) for dt in steps}
    truths = {dt: truth(start, currents[dt], dt) for dt in steps}
    for shape, width, detach in SETTINGS:
        cells = []
        for dt in steps:
            found = gradient(start, currents[dt], dt, Surrogate(width * drop, shape), detach)
            size, true = np.linalg.norm(found), np.linalg.norm(truths[dt])
            cells.append(f"{size / true:.3g} / {found @ truths[dt] / (size * true):.3f}")
        print(
            f"| {shape}, {width:g} | {'detached' if detach else 'in graph'} | " + " | ".join(cells) + " |", flush=True
        )
    print("\nfinite differences: " + "; ".join(f"{dt:g} ms {np.round(truths[dt], 2)}" for dt in steps))


if __name__ == "__main__":
    main()
