"""Synthetic ALIF cells of known parameters, fitted as a recorded cell would be: bias, spread, coverage.

Spikes alone fix the scale of mV only up to a factor and an offset. What is compared is therefore what they determine:
time constants, the rheobase current, and ratios to the distance between rest and threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ephysfit.data.recording import Recording, Sweep
from ephysfit.fitting.fit import fit
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.stage import Stage
from ephysfit.fitting.stages import Likelihood, Passive, Refractory
from ephysfit.fitting.uncertainty.intervals import intervals
from ephysfit.models import ALIF
from ephysfit.neuron.declare import Neuron
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


#: what a fit with intervals calls the readings that do not depend on the mV scale
DERIVED = {
    "tau_m = C/g": "C/g",
    "rheobase (theta - E_L) g": "g (theta - E_L)",
    "adaptation d_theta/(theta - E_L)": "d_theta/(theta - E_L)",
    "reset (V_reset - E_L)/(theta - E_L)": "(V_reset - E_L)/(theta - E_L)",
}


def claims(found: Fit, data: Recording) -> dict[str, dict[str, float]]:
    """What a fit claims to know: relative standard error, and the 95 % interval as (low, high), of each reading.

    Of tau_a the profile likelihood's interval, of the others the delta method's; both over all likely refractory
    periods, as `ephysfit.intervals` gives them.
    """
    sure = intervals(found, data, "profile", names=["tau_a", "t_ref"])
    told = sure.intervals
    rows = {d.name: d for d in told.derived}
    out = {
        name: {"error": rows[key].standard_error / abs(rows[key].value), "low": rows[key].low, "high": rows[key].high}
        for name, key in DERIVED.items()
    }  # fmt: skip
    low, high = told.parameters["tau_a"]
    error = sure.intervals.standard_errors.get("tau_a", float("inf")) / found.neuron.tau_a  # type: ignore[attr-defined]
    out["tau_a"] = {"error": error, "low": low or 0.0, "high": high or float("inf")}
    if "t_ref" in told.parameters:
        low, high = told.parameters["t_ref"]
        out["t_ref"] = {"error": float("nan"), "low": low - DT / 2, "high": high + DT / 2}
    return out


def recover(cell: Neuron, seed: int, noise: str, chain: Sequence[Stage] = CHAIN) -> dict[str, Any]:
    """Relative errors of what comes back of one cell, and how large the fit says they are."""
    data = record(cell, seed, noise)
    found = fit(data, ALIF, chain, dt=DT)
    error = {n: float(read(found.neuron) / read(cell) - 1) for n, read in READINGS.items()}
    steps = round((found.neuron.t_ref - cell.t_ref) / DT)
    claimed = claims(found, data) if noise == "escape" else {}  # noise-free spikes are no sample of the hazard
    truth = {n: float(read(cell)) for n, read in READINGS.items()}
    return {"error": error, "claimed": claimed, "truth": truth, "t_ref_steps": steps, "spikes": data.n_spikes,
            "seconds": found.seconds}  # fmt: skip


def study(n: int = 20, seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """`n` cells without and with noise."""
    return {kind: [recover(c, k, noise) for k, c in enumerate(cells(n, seed))] for kind, noise in KINDS.items()}


HEAD = ("cells", "parameter", "median |error|", "bias (median error)", "spread (middle half)", "claimed s.e.",
        "in 95 % interval")  # fmt: skip


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
    known = [r["claimed"][name]["error"] for r in rows if name in r["claimed"]]
    if not known:
        return "–", "–"
    error = float(np.median(known))
    return "–" if np.isnan(error) else _percent(error), _percent(coverage(name, rows))


def coverage(name: str, rows: list[dict[str, Any]]) -> float:
    """Share of cells whose true value lies in the claimed 95 % interval, of those that have one."""
    known = [(r["claimed"][name], r["truth"][name]) for r in rows if name in r["claimed"]]
    return float(np.mean([c["low"] <= truth <= c["high"] for c, truth in known]))


def _percent(value: Any, sign: str = "") -> str:
    return f"{100 * float(value):{sign}.1f} %"
