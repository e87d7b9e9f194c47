"""Synthetic ALIF cells of known parameters, fitted as a recorded cell would be: bias, spread, coverage.

Spikes alone fix the scale of mV only up to a factor and an offset. What is compared is therefore what they determine:
time constants, the rheobase current, and ratios to the distance between rest and threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ephysfit.data.recording import Recording, Sweep
from ephysfit.fitting.fit import Fit, fit
from ephysfit.fitting.stage import Problem, Stage
from ephysfit.fitting.stages import Likelihood, Passive, Refractory
from ephysfit.models import ALIF
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free import Free
from ephysfit.simulation.replay import Replay
from ephysfit.synthetic import recording

#: recorded and fitted step, ms
DT = 0.5
DURATION = 60_000.0
#: what is compared: name, and how it is read off a cell
READINGS: dict[str, Callable[[Any], Any]] = {
    "tau_m = C/g": lambda c: c.C / c.g,
    "tau_a": lambda c: c.tau_a,
    "rheobase (theta - E_L) g": lambda c: (c.theta - c.E_L) * c.g,
    "adaptation d_theta/(theta - E_L)": lambda c: c.d_theta / (c.theta - c.E_L),
    "reset (V_reset - E_L)/(theta - E_L)": lambda c: (c.V_reset - c.E_L) / (c.theta - c.E_L),
    "t_ref": lambda c: c.t_ref,
}
#: those that a recovery is judged by
ASKED = tuple(n for n in READINGS if not n.startswith("reset"))
#: of these the likelihood gives standard errors; t_ref moves in steps
SMOOTH = tuple(n for n in READINGS if n != "t_ref")
#: how cells are run: label, engine noise
KINDS = {"noise-free cells": "none", "noisy cells": "escape"}


#: synthetic cells stand still, so no drift is looked for
CLIMB = Likelihood(prior=1e-5, drift=0)
CHAIN: tuple[Stage, ...] = (Passive(), CLIMB, Refractory(replace(CLIMB, starts=1)))


def cells(n: int, seed: int = 0) -> list[Neuron]:
    """ALIF cells over physiological ranges: 8 to 40 ms membranes, 30 to 300 ms adaptation, 1.5 to 4 ms refractory."""
    rng = np.random.default_rng(seed)
    out: list[Neuron] = []
    for _ in range(n):
        tau_m, tau_a = np.exp(rng.uniform(np.log([8.0, 30.0]), np.log([40.0, 300.0]))).tolist()
        distance, strength, reset = rng.uniform([12.0, 0.15, 0.1], [25.0, 0.5, 0.6]).tolist()
        rest, g = float(rng.uniform(-75.0, -60.0)), float(np.exp(rng.uniform(np.log(3.0), np.log(15.0))))
        membrane = {"C": tau_m * g, "g": g, "E_L": rest, "theta": rest + distance, "V_reset": rest + reset * distance}
        spike = {"d_theta": strength * distance, "tau_a": tau_a, "t_ref": float(rng.integers(3, 9) * DT)}
        out.append(ALIF(**membrane, **spike, delta=0.08 * distance))
    return out


def record(cell: Neuron, seed: int, noise: str = "escape", rate: float = 10.0) -> Recording:
    """The spikes of a minute of noise that makes the cell fire at `rate` Hz, without voltage."""
    (sweep,) = recording(cell, duration=DURATION, repeats=0, dt=DT, rate=rate, noise=noise, seed=seed)
    return Recording((Sweep(sweep.current, DT, None, sweep.spike_times),), cell=f"synthetic {seed}")


def log_errors(found: Fit, data: Recording) -> dict[str, float]:
    """Standard error of the logarithm of each smooth reading, over the profile of the refractory period.

    At each period the delta method on the Fisher information; then the mixture by likelihood, so that what is not known
    of the period is in the error of the reset.
    """
    problem = Problem(data, ALIF, DT)
    free = Free.of(ALIF, smooth_only=True)
    shares, means, spreads = [], [], []
    for row in found.history[-1].details["t_ref_profile"]:
        cell = ALIF(**row["parameters"])
        z = free.to_vector(cell)
        covariance = np.linalg.pinv(Replay(free, cell, DT).information(z, problem.everything).fisher, hermitian=True)
        shares.append(row["share"])
        means.append([float(np.log(abs(READINGS[n](cell)))) for n in SMOOTH])
        spreads.append([_spread(READINGS[n], free, z, cell, covariance) for n in SMOOTH])
    share, mean = np.array(shares)[:, None], np.array(means)
    total = (share * (np.square(spreads) + np.square(mean - (share * mean).sum(0)))).sum(0)
    return dict(zip(SMOOTH, np.sqrt(total).tolist(), strict=True))


def _spread(read: Any, free: Free, z: Any, cell: Neuron, covariance: Any) -> float:
    leaf = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(torch.log(read(free.to_neuron(leaf, cell)).abs()), leaf)
    return float(np.sqrt(max(slope.numpy() @ covariance @ slope.numpy(), 0.0)))


def recover(cell: Neuron, seed: int, noise: str, chain: Sequence[Stage] = CHAIN) -> dict[str, Any]:
    """Relative errors of what comes back of one cell, and how large the fit says they are."""
    data = record(cell, seed, noise)
    found = fit(data, ALIF, chain, dt=DT)
    error = {n: float(read(found.neuron) / read(cell) - 1) for n, read in READINGS.items()}
    steps = round((found.neuron.t_ref - cell.t_ref) / DT)
    return {"error": error, "claimed": log_errors(found, data), "t_ref_steps": steps, "spikes": data.n_spikes,
            "seconds": found.seconds}  # fmt: skip


def study(n: int = 20, seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """`n` cells without and with noise."""
    return {kind: [recover(c, k, noise) for k, c in enumerate(cells(n, seed))] for kind, noise in KINDS.items()}


HEAD = ("cells", "parameter", "median |error|", "bias (median error)", "spread (middle half)", "claimed s.e.",
        "within 1.96 s.e.")  # fmt: skip


def lines(found: dict[str, list[dict[str, Any]]]) -> Iterable[tuple[str, ...]]:
    """The table as text."""
    for kind, rows in found.items():
        for name in READINGS:
            errors = np.array([r["error"][name] for r in rows])
            low, high = np.quantile(errors, [0.25, 0.75])
            row = (kind, name, _percent(np.median(np.abs(errors))), _percent(np.median(errors), "+"))
            yield (*row, f"{_percent(low, '+')} to {_percent(high, '+')}", *_claims(name, kind, rows))
        pooled = np.median([abs(r["error"][n]) for r in rows for n in ASKED])
        steps = np.mean([abs(r["t_ref_steps"]) <= 1 for r in rows])
        yield (
            kind,
            "the five asked for, pooled",
            _percent(pooled),
            f"t_ref within a step: {_percent(steps)}",
            "",
            "",
            "",
        )


def _claims(name: str, kind: str, rows: list[dict[str, Any]]) -> tuple[str, str]:
    """Claimed standard error and coverage, which mean something for noisy cells only."""
    if name not in SMOOTH or KINDS[kind] == "none":
        return "–", "–"
    return _percent(np.median([r["claimed"][name] for r in rows])), _percent(coverage(name, rows))


def coverage(name: str, rows: list[dict[str, Any]]) -> float:
    """Share of cells whose error (of the logarithm) is within 1.96 claimed standard errors."""
    return float(np.mean([abs(np.log1p(max(r["error"][name], -0.99))) <= 1.96 * r["claimed"][name] for r in rows]))


def _percent(value: Any, sign: str = "") -> str:
    return f"{100 * float(value):{sign}.1f} %"
