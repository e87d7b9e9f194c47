"""Are responses to short pulses of current, and to currents of a synapse's shape, told from spikes?

    python benchmarks/pulses.py            # a minute

Two sets of traces with a known answer, each pulse 12 times in a sweep, sampled every 0.02 to 0.2 ms, with noise and a
bridge that is balanced, or off to either side.

- passive: membranes of one and of two time constants that pulses of 0.2 to 20 ms charge by 12 to 40 mV; no spikes.
- spiking: three Hodgkin-Huxley cells (equations of Pospischil et al. 2008, Biol Cybern 99:427; integrated here in steps
  of 0.01 ms) that pulses of 0.2 to 10 ms charge by 14 to 45 mV; spikes are crossings of -5 mV.
- synaptic: the same cells and currents that rise in 0.2 to 1 ms and decay in 1 to 8 ms; the first column is the decay.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from scipy.signal import fftconvolve

from ephysfit.data.spikes import search_spikes

sys.path.insert(0, str(Path(__file__).resolve().parent))

from accuracy import plain

#: pulses in a sweep, ms from one to the next, and before the first
PULSES, APART, BEFORE = 12, 60.0, 40.0
#: step of the integration, ms
FINE = 0.01
#: C pF, leak nS, rest mV, V_T mV, M current nS/pF: regular-spiking, fast-spiking, large
KINDS = ((100.0, 5.0, -70.0, -58.0, 0.07), (50.0, 8.0, -70.0, -55.0, 0.0), (250.0, 10.0, -65.0, -50.0, 0.05))


@dataclass(frozen=True)
class Trace:
    """A sweep of one width of pulse, ms, with the number of its spikes."""

    width: float
    voltage: np.ndarray
    current: np.ndarray
    dt: float
    spikes: int


def make_current(width: float, dt: float) -> np.ndarray:
    """Pulses of 1, (time,)."""
    current = np.zeros(round((BEFORE + PULSES * APART) / dt))
    for k in range(PULSES):
        begin = round((BEFORE + k * APART) / dt)
        current[begin : begin + max(round(width / dt), 1)] = 1.0
    return current


def make_passive() -> Iterator[Trace]:
    """Membranes of one time constant, or of two, that only charge."""
    rng = np.random.default_rng(0)
    membranes = product((3.0, 8.0, 20.0, 40.0), ((0.0, 1.0), (0.3, 0.3), (0.3, 1.5), (0.6, 1.0)))
    for (tau, (fast, tau_fast)), width, dt in product(
        membranes, (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0), (0.02, 0.05, 0.1, 0.2)
    ):
        if width < dt:
            continue
        current, times = make_current(width, dt), np.arange(0, APART, dt)

        def step(t: np.ndarray, a: float = tau, b: float = tau_fast, f: float = fast) -> np.ndarray:
            since = np.maximum(t, 0.0)
            return (1 - f) * a * -np.expm1(-since / a) + f * 0.3 * a * -np.expm1(-since / b)

        one = (step(times) - step(times - width)) / step(np.array([width]))
        shape = np.concatenate([np.zeros(round(BEFORE / dt)), np.tile(one, PULSES)])[: len(current)]
        for noise, bridge in product((0.05, 0.3), (-6.0, 0.0, 10.0)):
            size = rng.uniform(12.0, 40.0)
            v = -70 + size * shape + bridge * current + rng.normal(0, noise, len(current))
            yield Trace(width, v, 1000 * current + rng.normal(0, 0.5, len(current)), dt, 0)


def integrate(current: np.ndarray, cells: np.ndarray, seed: int) -> np.ndarray:
    """Voltage of Hodgkin-Huxley cells, mV, (cell, time); cells are rows of C pF, leak nS, rest, V_T mV, M current.

    `current` is pA, (cell, time), in steps of `FINE`.
    """
    capacity, leak, rest, v_t, g_m = cells.T
    rng, out = np.random.default_rng(seed), np.empty_like(current)
    v, m, h, n, p = rest.copy(), *(np.zeros_like(rest) for _ in range(4))
    h += 1.0
    wander = np.zeros_like(rest)

    def fraction(x: np.ndarray, k: float) -> np.ndarray:
        return np.where(np.abs(x) < 1e-6, k, x / np.where(np.abs(x) < 1e-6, 1.0, np.expm1(x / k)))

    for t in range(current.shape[1]):
        u = v - v_t
        m += FINE * (0.32 * fraction(13 - u, 4.0) * (1 - m) - 0.28 * fraction(u - 40, 5.0) * m)
        h += FINE * (0.128 * np.exp((17 - u) / 18) * (1 - h) - 4 / (1 + np.exp((40 - u) / 5)) * h)
        n += FINE * (0.032 * fraction(15 - u, 5.0) * (1 - n) - 0.5 * np.exp((10 - u) / 40) * n)
        slow = 1000 / (3.3 * np.exp((v + 35) / 20) + np.exp(-(v + 35) / 20))
        p += FINE * (1 / (1 + np.exp(-(v + 35) / 10)) - p) / slow
        wander += -FINE * wander / 3 + 0.15 * capacity * np.sqrt(2 * FINE / 3) * rng.standard_normal(len(v))
        ions = 50 * m**3 * h * (v - 50) + 5 * n**4 * (v + 90) + g_m * p * (v + 90)
        v = v + FINE * (-leak * (v - rest) - capacity * ions + current[:, t] + wander) / capacity
        out[:, t] = v
    return out


def make_spiking(
    widths: tuple[float, ...] = (0.2, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
    charges: tuple[float, ...] = (14.0, 18.0, 20.0, 23.0, 30.0, 45.0),
) -> Iterator[Trace]:
    """Cells at rest that spike in answer to some pulses, and to others do not."""
    rows = list(product(KINDS, widths, charges))
    current = np.stack([q * kind[0] / w * make_current(w, FINE) for kind, w, q in rows])
    yield from record([w for _, w, _ in rows], np.array([kind for kind, _, _ in rows]), current)


def make_synaptic(
    shapes: tuple[tuple[float, float], ...] = ((0.2, 1.0), (0.5, 3.0), (1.0, 8.0)),
    charges: tuple[float, ...] = (12.0, 16.0, 20.0, 25.0, 35.0, 45.0),
) -> Iterator[Trace]:
    """The same cells, driven by differences of two exponentials, (rise, decay) in ms."""
    rows = list(product(KINDS, shapes, charges))
    t, at, currents = np.arange(0, APART, FINE), np.zeros(round((BEFORE + PULSES * APART) / FINE)), []
    at[np.round((BEFORE + APART * np.arange(PULSES)) / FINE).astype(int)] = 1.0
    for kind, (rise, decay), q in rows:
        one = np.exp(-t / decay) - np.exp(-t / rise)
        currents.append(fftconvolve(at, q * kind[0] * one / (one.sum() * FINE))[: len(at)])
    yield from record([s[1] for _, s, _ in rows], np.array([kind for kind, _, _ in rows]), np.stack(currents))


def record(widths: list[float], cells: np.ndarray, current: np.ndarray) -> Iterator[Trace]:
    """Sweeps of these cells, (row, parameter), and currents, pA, (row, time), through an amplifier."""
    voltage, rng = integrate(current, cells, seed=3), np.random.default_rng(1)
    for width, v, i in zip(widths, voltage, current, strict=True):
        for dt, (noise, bridge) in product((0.02, 0.05, 0.1), ((0.05, 0.0), (0.2, 8.0), (0.2, -6.0))):
            every = round(dt / FINE)
            seen, sent = v[every - 1 :: every], i.reshape(-1, every).mean(1)
            spikes = int(np.sum((seen[1:] > -5) & (seen[:-1] <= -5)))
            measured = seen + rng.normal(0, noise, len(seen)) + bridge * sent / i.max()
            yield Trace(width, measured, sent + rng.normal(0, 0.5, len(sent)), dt, spikes)


def main() -> None:
    print(__doc__.splitlines()[0], end="\n\n")
    for name, traces in (("passive", make_passive()), ("spiking", make_spiking()), ("synaptic", make_synaptic())):
        by: dict[float, np.ndarray] = defaultdict(lambda: np.zeros(4, int))
        for trace in traces:
            found = len(search_spikes(trace.voltage, trace.dt, current=trace.current).spikes)
            more = found - trace.spikes
            by[trace.width] += (PULSES, trace.spikes, max(-more, 0), max(more, 0))
        rows = [(f"{w:g}", *map(str, n)) for w, n in sorted(by.items())] + [("all", *map(str, sum(by.values())))]
        print(plain((f"{name}, ms", "pulses", "spikes", "missed", "too many"), rows), end="\n\n")


if __name__ == "__main__":
    main()
