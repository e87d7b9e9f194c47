"""Bias, spread and coverage of default fits to cells that an independent fine-step simulator recorded.

    python benchmarks/recovery_independent.py                          # 40 cells of each of five neurons; resumes
    python benchmarks/recovery_independent.py --neurons ALIF --cells 8
    python benchmarks/recovery_independent.py --table                  # run nothing, show what is done
    python benchmarks/recovery_independent.py --write                  # the table between its marks in docs/recovery.md

Truths come from `independent_simulator` (steps of 0.05 ms, nothing of the package), a minute of noise at about ten
spikes a second, current sampled every 0.1 ms. Fits take the default step of 0.5 ms and what a default fit runs up to
the most likely parameters; AdEx, whose likelihood is no guide, a whole default fit. Intervals are those of
`ephysfit.intervals`.

Compared is what spikes determine whatever the mV scale, as `ephysfit.intervals` gives it: readings of the membrane, and
answers to a spike and to a small pulse of AIGIF, which has none. How its intervals are computed was chosen on cells of
seeds 0 and 1, so that cells of another seed are shown.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from independent_simulator import NEURONS, find_level, simulate

import ephysfit as ef
from ephysfit.data.recording import Recording, Sweep
from ephysfit.errors import near
from ephysfit.fitting.chain import choose_refractory_stage, run_stages
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.stage import Problem
from ephysfit.fitting.stages import Likelihood, Passive
from ephysfit.fitting.uncertainty.derived_intervals import list_answers
from ephysfit.fitting.uncertainty.identifiability import find_readings
from ephysfit.fitting.uncertainty.intervals import intervals
from ephysfit.fitting.uncertainty.likelihood_surface import Surface
from ephysfit.fitting.warm_starts import add_starts_from_simpler_fits
from ephysfit.models import catalogue
from ephysfit.neuron.declare import Neuron, declared, flatten
from ephysfit.simulation.replay import Replay
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
#: seeds of cells, currents and spikes, where not 0
SEEDS = {"AIGIF": 2}


def draw_cells(name: str, count: int, seed: int) -> list[Neuron]:
    """Known cells: ALIF over physiological ranges, AIGIF about a fit to the shipped cell, others about their starts."""
    if name == "ALIF":
        return draw_alif(count)  # seed 0 only
    kind = catalogue()[name]
    if name != "AIGIF":
        return list(draw(kind, count, spread=SPREAD, seed=seed))
    train, _ = ef.load(ROOT / "data" / "DRN164.nwb").split()
    problem = Problem(train, kind, DT)
    centre = run_stages(problem, [Passive(), Likelihood()]).neuron
    rng, out = np.random.default_rng(seed), []
    for _ in range(count):
        moved = {n: np.asarray(getattr(centre, n), dtype=float) for n in ("R", "eta", "gamma")}
        moved = {n: tuple(v * np.exp(0.15 * rng.standard_normal(v.shape))) for n, v in moved.items()}
        out.append(centre.replace(**moved, theta=centre.theta + 0.3 * float(rng.standard_normal())))
    return out


def record_cells(name: str, count: int, seed: int = 0) -> tuple[list[Neuron], list[Recording]]:
    """The cells, and a minute of each by the independent simulator; what fires at another rate is passed over."""
    cells = draw_cells(name, count + count // 2, seed)
    values = [{**c.values(), "delta": c.delta} for c in cells]  # type: ignore[attr-defined]
    if name == "AIGIF":
        level, spread = np.array([c.I_0 for c in cells]), np.array([c.I_s for c in cells])  # type: ignore[attr-defined]
    else:
        unit = noise_current(SOUGHT, SAMPLED, 1.0, 1.0, seed=1)
        level = spread = find_level(name, values, unit, SAMPLED, RATE, start=100.0, turns=7)
    amounts = enumerate(zip(level, spread, strict=True))
    noise = [noise_current(DURATION, SAMPLED, m, s, seed=1000 * seed + 100 + k) for k, (m, s) in amounts]
    trains = simulate(name, values, np.stack(noise, -1), SAMPLED, seed=7 + seed)
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
    readings = {r.name: r for r in find_readings(Surface.of(found, data))}
    out = {}
    for d in report.derived:
        truth = float(readings[d.name].read(cell))
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
    report = intervals(found, data, names=[], workers=1).intervals
    assert report is not None
    truths = read_answers(Surface.of(found, data), cell)
    return {
        d.name: {"true": truths[d.name], "value": d.value, "error": d.standard_error, "low": d.low, "high": d.high}
        for d in report.derived
    }


def read_answers(surface: Surface, cell: Neuron) -> dict[str, float]:
    """What a known cell answers on the recorded stimulus."""
    replay = Replay(surface.free, cell, surface.problem.dt)
    return {a.name: a.read(replay, surface.free.to_vector(cell)) for a in list_answers(surface)}


def run(results: Path, names: list[str], count: int) -> None:
    """Study what is not there yet, one file a cell."""
    for name in names:
        left = [k for k in range(count) if not (results / f"{name}_{k:02d}.json").exists()]
        if not left:
            continue
        cells, recordings = record_cells(name, count, SEEDS.get(name, 0))
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
