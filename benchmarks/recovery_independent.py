"""Bias, spread and coverage of default fits to cells that an independent fine-step simulator recorded.

    python benchmarks/recovery_independent.py                          # 40 cells of each of five neurons; resumes
    python benchmarks/recovery_independent.py --neurons ALIF --cells 8
    python benchmarks/recovery_independent.py --table                  # run nothing, show what is done
    python benchmarks/recovery_independent.py --write                  # the table between its marks in docs/recovery.md

Truths come from `independent_simulator` (steps of 0.05 ms, nothing of the package), a minute of noise at about ten
spikes a second, current sampled every 0.1 ms. Fits take the default step of 0.5 ms and what a default fit runs up to
the most likely parameters; AdEx, whose likelihood is no guide, a whole default fit. Intervals are those of
`ephysfit.intervals`.

Compared is what spikes determine whatever the mV scale. Of AIGIF no single parameter is determined, nor a sum of its
weights: after-spike potentials and what the threshold makes of them are exchanged for one another. Its readings are
answers: by what its rate is multiplied after a spike and after a small pulse, on the recorded stimulus.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from independent_simulator import NEURONS, find_level, simulate

import ephysfit as ef
from ephysfit.arrays import Array
from ephysfit.data.recording import Recording, Sweep
from ephysfit.errors import near
from ephysfit.fitting.chain import choose_refractory_stage, run_stages
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.stage import Problem
from ephysfit.fitting.stages import Likelihood, Passive
from ephysfit.fitting.uncertainty.identifiability import find_readings
from ephysfit.fitting.uncertainty.intervals import intervals
from ephysfit.fitting.uncertainty.likelihood_surface import Surface
from ephysfit.fitting.warm_starts import add_starts_from_simpler_fits
from ephysfit.models import catalogue
from ephysfit.neuron.declare import Neuron, declared, flatten
from ephysfit.simulation.replay import Replay, ReplaySweep
from ephysfit.synthetic import draw, noise_current

sys.path.insert(0, str(Path(__file__).resolve().parent))

from accuracy import ROOT, _between, markdown, plain, store
from recovery import cells as draw_alif

#: sampling step of the recorded current, ms; its length, ms; spikes per second aimed for; stretch for finding the level
SAMPLED, DURATION, RATE, SOUGHT = 0.1, 60_000.0, 10.0, 5_000.0
#: fitted step, ms
DT = 0.5
#: how far about the declared starts cells are drawn, in prior widths
SPREAD = 0.15
#: a reading with a claimed standard error above this share of its value is not determined: no bias or spread is shown
DETERMINED = 0.5
#: units of parameters that are compared by themselves: time constants and rates, whatever the mV scale
FREE_OF_SCALE = ("ms", "1/ms")
#: quantile of a 95 % interval
REACH = 1.959964
#: when AIGIF's answers to a spike and to a pulse are compared, ms after its beginning
SPIKE_LAGS, PULSE_LAGS = (10.0, 50.0, 200.0), (5.0, 20.0, 40.0)
#: a pulse: its length, ms, and height, standard deviations of the current; least time between two, and two spikes
PULSE, PUSH, FARTHEST = 20.0, 0.1, 300.0
#: step of a numerical derivative, free coordinates
SLIGHT = 1e-4


@dataclass(frozen=True, eq=False)
class Answers:
    """What spikes determine of a neuron of many exchangeable weights: how its rate answers on a recorded stimulus.

    The recording is replayed as it is, with some spikes left out and with small pulses added. An answer is the rate
    with over the rate without, each summed over all those places at one lag. Logarithms would ask for what no one can
    know: whether a rate after a spike is a thousandth or a millionth.
    """

    dt: float
    sweep: ReplaySweep
    without: ReplaySweep
    pushed: ReplaySweep
    places: Mapping[str, tuple[str, Array]]

    @classmethod
    def of(cls, sweep: ReplaySweep, dt: float) -> Answers:
        """Of a recorded sweep."""
        n, far = len(sweep.spikes), round(FARTHEST / dt)
        counted = np.flatnonzero(sweep.use)
        spikes = np.flatnonzero(sweep.spikes * sweep.use)
        left = _spaced(spikes[spikes < n - far], far)
        pulses = np.arange(counted[0], n - far, far)
        without, current = sweep.spikes.copy(), sweep.current.copy()
        without[left] = 0
        for k in pulses:
            current[k : k + round(PULSE / dt)] += PUSH * float(sweep.current.std())
        asked = [("a spike", left, SPIKE_LAGS), ("a small pulse began", pulses, PULSE_LAGS)]
        places = {f"rate {t:g} ms after {what}": (what, at + round(t / dt)) for what, at, lags in asked for t in lags}
        return cls(dt, sweep, replace(sweep, spikes=without), replace(sweep, current=current), places)

    def read(self, replay: Replay, z: torch.Tensor) -> Array:
        """All answers of a neuron, in the order of `places`."""
        base, bare, more = (np.exp(replay.rates(z, [s])[0][1]) for s in (self.sweep, self.without, self.pushed))
        of = {"a spike": (base, bare), "a small pulse began": (more, base)}
        return np.array([of[what][0][at].sum() / of[what][1][at].sum() for what, at in self.places.values()])

    def slopes(self, replay: Replay, z: torch.Tensor) -> Array:
        """Derivatives of all answers by the free coordinates, (answer, coordinate), by central differences."""
        steps = torch.eye(len(z), dtype=z.dtype) * SLIGHT
        return np.stack([(self.read(replay, z + e) - self.read(replay, z - e)) / (2 * SLIGHT) for e in steps], -1)


def _spaced(places: Array, apart: int) -> Array:
    """Every place that lies at least so far behind the last that was taken."""
    out: list[int] = []
    for k in places:
        if not out or k - out[-1] >= apart:
            out.append(int(k))
    return np.array(out)


def draw_cells(name: str, count: int) -> list[Neuron]:
    """Known cells: ALIF over physiological ranges, AIGIF about a fit to the shipped cell, others about their starts."""
    if name == "ALIF":
        return draw_alif(count)
    kind = catalogue()[name]
    if name != "AIGIF":
        return list(draw(kind, count, spread=SPREAD))
    train, _ = ef.load(ROOT / "data" / "DRN164.nwb").split()
    problem = Problem(train, kind, DT)
    centre = run_stages(problem, [Passive(), Likelihood()]).neuron
    rng, out = np.random.default_rng(0), []
    for _ in range(count):
        moved = {n: np.asarray(getattr(centre, n), dtype=float) for n in ("R", "eta", "gamma")}
        moved = {n: tuple(v * np.exp(0.15 * rng.standard_normal(v.shape))) for n, v in moved.items()}
        out.append(centre.replace(**moved, theta=centre.theta + 0.3 * float(rng.standard_normal())))
    return out


def record_cells(name: str, count: int) -> tuple[list[Neuron], list[Recording]]:
    """The cells, and a minute of each by the independent simulator; what fires at another rate is passed over."""
    cells = draw_cells(name, count + count // 2)
    values = [{**c.values(), "delta": c.delta} for c in cells]  # type: ignore[attr-defined]
    if name == "AIGIF":
        level, spread = np.array([c.I_0 for c in cells]), np.array([c.I_s for c in cells])  # type: ignore[attr-defined]
    else:
        unit = noise_current(SOUGHT, SAMPLED, 1.0, 1.0, seed=1)
        level = spread = find_level(name, values, unit, SAMPLED, RATE, start=100.0, turns=7)
    amounts = enumerate(zip(level, spread, strict=True))
    noise = [noise_current(DURATION, SAMPLED, m, s, seed=100 + k) for k, (m, s) in amounts]
    trains = simulate(name, values, np.stack(noise, -1), SAMPLED, seed=7)
    kept = [k for k, t in enumerate(trains) if 0.5 < len(t) / (DURATION / 1e3 * RATE) < 2.0][:count]
    recordings = [
        Recording((Sweep(noise[k], SAMPLED, None, trains[k], name="training"),), cell=f"{name} {k}", source="synthetic")
        for k in kept
    ]
    return [cells[k] for k in kept], recordings


def fit_cell(kind: type[Neuron], data: Recording) -> Fit:
    """The most likely parameters by the default stages; a searched neuron by a whole default fit."""
    if kind.searched:
        return ef.fit(data, kind, seed=0, dt=DT)
    stages = [Passive(), Likelihood(), choose_refractory_stage(kind, Likelihood())]
    return run_stages(add_starts_from_simpler_fits(Problem(data, kind, DT)), stages)


def compare(cell: Neuron, data: Recording) -> dict[str, Any]:
    """One fit with its intervals beside the truth: value, interval and truth of every reading."""
    begin = time.process_time()
    kind = type(cell)
    found = fit_cell(kind, data)
    fitted = time.process_time() - begin
    rows = _compare_answers(cell, found, data) if kind.__name__ == "AIGIF" else _compare_readings(cell, found, data)
    return {
        "neuron": kind.__name__, "spikes": data.n_spikes, "cpu_seconds_fit": fitted,
        "cpu_seconds_intervals": time.process_time() - begin - fitted, "readings": rows,
    }  # fmt: skip


def _compare_readings(cell: Neuron, found: Fit, data: Recording) -> dict[str, dict[str, float]]:
    kind = type(cell)
    free = {n: p for n, p in declared(kind).items() if p.smooth}
    names = [n for n, p in free.items() if p.unit in FREE_OF_SCALE]
    profiled = names + [n for n, p in free.items() if n in kind.roles.values()]  # the readings are made of these
    report = intervals(found, data, "fisher" if kind.searched else "profile", names=profiled, workers=1).intervals
    assert report is not None
    readings = find_readings(Surface.of(found, data))
    out = {}
    for d in report.derived:
        truth = float(readings[d.name][2](cell))
        out[d.name] = {"true": truth, "value": d.value, "low": d.low, "high": d.high, "error": d.standard_error}
    truths = flatten(kind.parameters, cell.values())
    values = flatten(kind.parameters, found.neuron.values())
    for n in names:
        if n in report.parameters:
            low, high = report.parameters[n]
            out[n] = {
                "true": float(truths[n]), "value": float(values[n]), "error": report.standard_errors.get(n, np.inf),
                "low": -1e12 if low is None else low, "high": 1e12 if high is None else high,
            }  # fmt: skip
    return out


def _compare_answers(cell: Neuron, found: Fit, data: Recording) -> dict[str, dict[str, float]]:
    """Intervals by the delta method at the top of the likelihood."""
    surface = Surface.of(found, data)
    top, free = surface.top(), surface.free
    z = top.q[: len(free.names)]
    replay = Replay(free, top.neuron, found.dt)
    answers = Answers.of(surface.sweeps[0], found.dt)
    values, slopes = answers.read(replay, z), answers.slopes(replay, z)
    truths = answers.read(Replay(free, cell, found.dt), free.to_vector(cell))
    errors = np.sqrt(np.einsum("ai,ij,aj->a", slopes, top.covariance, slopes))
    return {
        name: {"true": float(t), "value": float(v), "error": float(e), "low": float(v - REACH * e),
               "high": float(v + REACH * e)}
        for name, t, v, e in zip(answers.places, truths, values, errors, strict=True)
    }  # fmt: skip


def run(results: Path, names: list[str], count: int) -> None:
    """Study what is not there yet, one file a cell."""
    for name in names:
        left = [k for k in range(count) if not (results / f"{name}_{k:02d}.json").exists()]
        if not left:
            continue
        cells, recordings = record_cells(name, count)
        for k in (k for k in left if k < len(cells)):
            row = compare(cells[k], recordings[k])
            store(results / f"{name}_{k:02d}.json", row)
            seconds = row["cpu_seconds_fit"] + row["cpu_seconds_intervals"]
            print(f"{name} {k}: {row['spikes']} spikes, {seconds:.0f} s", file=sys.stderr, flush=True)


HEAD = ("neuron", "cells", "reading", "bias", "spread (middle half)", "claimed s.e.", "bias in claimed s.e.",
        "in 95 % interval")  # fmt: skip


def lines(results: Path) -> list[tuple[str, ...]]:
    """One row a reading, and one a neuron with the coverage over all its readings that are determined."""
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(results.glob("*.json"))]
    out = []
    for name in NEURONS:
        mine = [r["readings"] for r in rows if r["neuron"] == name]
        if not mine:
            continue
        pooled: list[bool] = []
        for reading in mine[0]:
            line, inside = _summarize(name, reading, [m[reading] for m in mine if reading in m])
            out.append(line)
            pooled += inside
        out.append((name, str(len(mine)), "all of these", "", "", "", "", _with_error(pooled)))
    return out


def keep_rows(page: str, rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The rows, and those that the page has of neurons that were not run again, in the order of `NEURONS`."""
    table = page.partition("<!-- independent -->")[2].partition("<!-- /independent -->")[0]
    known = [tuple(c.strip() for c in line.strip("| ").split(" | ")) for line in table.strip().splitlines()[2:]]
    run = {row[0] for row in rows}
    every = [*rows, *(k for k in known if k[0] not in run)]
    return sorted(every, key=lambda row: list(NEURONS).index(row[0]))


def _summarize(name: str, reading: str, rows: list[dict[str, float]]) -> tuple[tuple[str, ...], list[bool]]:
    value, true, error = (np.array([r[k] for r in rows]) for k in ("value", "true", "error"))
    scale = np.maximum(np.abs(true), 1e-9)
    inside = [bool(r["low"] <= r["true"] <= r["high"]) for r in rows]
    claimed = float(np.median(error / scale))
    known = claimed <= DETERMINED
    off = (value - true) / scale
    low, high = np.quantile(off, [0.25, 0.75])
    with np.errstate(divide="ignore", invalid="ignore"):
        in_errors = float(np.median((value - true) / error))
    shown = (
        f"{100 * np.median(off):+.1f} %" if known else "–",
        f"{100 * low:+.1f} to {100 * high:+.1f} %" if known else "–",
        f"{100 * claimed:.1f} %" if known else "not determined",
        f"{in_errors:+.2f}" if np.isfinite(in_errors) else "–",
    )
    return (name, str(len(rows)), reading, *shown, _with_error(inside)), inside


def _with_error(inside: list[bool]) -> str:
    """A share with its binomial standard error."""
    p, n = float(np.mean(inside)), len(inside)
    return f"{100 * p:.0f} ± {100 * np.sqrt(max(p * (1 - p), 0.25 / n) / n):.0f} %"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--neurons", default="", help="names, comma between; all five unless given")
    options.add_argument("--cells", type=int, default=40)
    options.add_argument("--results", type=Path, default=ROOT / "build" / "recovery_independent", help="what is done")
    options.add_argument("--table", action="store_true", help="run nothing, show what is done")
    options.add_argument("--write", action="store_true", help="run nothing, write the table into docs/recovery.md")
    given = options.parse_args()
    if given.write:
        page = ROOT / "docs" / "recovery.md"
        before = page.read_text(encoding="utf-8")
        kept = keep_rows(before, lines(given.results))
        page.write_text(_between(before, "independent", markdown(HEAD, kept)), encoding="utf-8")
        return
    names = [n for n in given.neurons.split(",") if n] or list(NEURONS)
    for n in set(names) - set(NEURONS):
        raise SystemExit(f"no neuron {n!r} has independent equations; {near(n, list(NEURONS))}")
    if not given.table:
        run(given.results, names, given.cells)
    print(plain(HEAD, lines(given.results)))


if __name__ == "__main__":
    main()
