"""Current steps: does a model count, time and keep silent as the cell does at amplitudes it was not fitted to?

    python benchmarks/steps.py                              # all recordings, all models: about an hour
    python benchmarks/steps.py --models ALIF,GLIF4 --cells 171116sh_0018
    python benchmarks/steps.py --third 1                    # the same with other amplitudes held out
    python benchmarks/steps.py --write                      # run nothing, put the tables into docs/steps.md

Of every recording of current steps in ../shared/data and data/, every third inner amplitude at which the cell fires is
held out; the model is fitted to all others. Amplitudes, not sweeps, are held out, so that no repeat of one is trained.
Scored on the held-out sweeps, per recording and model:

- count: mean absolute error of the number of spikes, mean over noisy runs, and of the noise-free run;
- latency: median absolute error of the first spike after the step begins, ms, where both fire;
- adaptation: median absolute error of log2 of last over first interval, where both have three spikes;
- silent: share of all sweeps in which the cell is silent that the model's noise-free run leaves silent;
- interpolation: the same count and latency read off the two neighbouring amplitudes that trained. It is the answer to
  beat: a model that does worse than a straight line between two sweeps has learned nothing of the cell.

What is done is not run again (benchmarks/steps.json beside the tables); a row takes a default fit, seed 0.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

import ephysfit as ef
from ephysfit.data.recording import Recording
from ephysfit.errors import EphysfitError
from ephysfit.files import write_text
from ephysfit.metrics.step_answers import Answer, find_steps, interpolate_answer
from ephysfit.metrics.trains import mean_defined

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "docs" / "steps.json"
PAGE = ROOT / "docs" / "steps.md"
MODELS = ("auto", "AIGIF", "IGIF", "GLIF4", "ALIF", "AdEx")
#: noisy runs a held-out sweep
RUNS = 50
#: amplitudes within this, pA, are one
SAME = 2.0


def recordings(names: set[str]) -> Iterator[tuple[str, Recording]]:
    """Recordings of at least six step sweeps, by name."""
    paths = [*sorted((SHARED / "abf").glob("*.abf")), *sorted((SHARED / "raphe").glob("*/current_steps.abf")),
             *sorted((SHARED / "nwb").glob("*.nwb")), *sorted((SHARED / "heka").glob("*.dat")),
             *sorted((ROOT / "data").glob("*.nwb"))]  # fmt: skip
    for path in paths:
        name = path.parent.name if path.stem == "current_steps" else path.stem
        if names and name not in names:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = ef.load(path)
        except EphysfitError:
            continue
        chosen = [k for k, s in enumerate(found.sweeps) if s.kind == "step"]
        if len(chosen) >= 6:
            yield name, found.select(indices=chosen)


def held_out(recording: Recording, third: int = 0) -> tuple[list[int], list[int]]:
    """Positions that train and that test: every third inner amplitude that evokes spikes is held out, from one on."""
    steps = find_steps(recording.sweeps)
    levels = np.array(sorted({round(s.amplitude / SAME) * SAME for s in steps}))
    level = np.array([int(np.argmin(np.abs(levels - s.amplitude))) for s in steps])
    counts = np.array([len(s.spike_times) for s in recording.sweeps])
    fires = [k for k in range(len(levels)) if counts[level == k].mean() > 0]
    away = set(fires[1:-1][third::3])
    test = [k for k in range(len(steps)) if level[k] in away]
    return [k for k in range(len(steps)) if level[k] not in away], test


def interpolated(recording: Recording, train: list[int], at: int) -> Answer:
    """The answer on a straight line between the neighbouring amplitudes that trained."""
    steps = find_steps(recording.sweeps)
    answers = [Answer.of(recording.sweeps[k].spike_times, steps[k]) for k in train]
    return interpolate_answer([steps[k] for k in train], answers, steps[at].amplitude)


def measure(recording: Recording, model: str, third: int = 0) -> dict[str, object]:
    """One row: a default fit and its errors on the held-out amplitudes."""
    train, test = held_out(recording, third)
    steps = find_steps(recording.sweeps)
    cpu = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = ef.fit(recording.select(indices=train), model, seed=0)
    cpu = time.process_time() - cpu
    done = simulated(fit, recording)
    noisy = done.spike_times
    single = done.companions["causal"].spike_times if "causal" in done.companions else done.spike_times
    cell = [Answer.of(s.spike_times, p) for s, p in zip(recording.sweeps, steps, strict=True)]
    runs = [[Answer.of(t, p) for t in trains] for trains, p in zip(noisy, steps, strict=True)]
    alone = [Answer.of(trains[0], p) for trains, p in zip(single, steps, strict=True)]
    line = [interpolated(recording, train, k) for k in test]
    silent = [k for k, a in enumerate(cell) if a.count == 0]

    def error(found: list[float], of: str) -> list[float]:
        return [abs(f - getattr(cell[k], of)) for k, f in zip(test, found, strict=True)]

    middle = lambda values: float(np.median([v for v in values if np.isfinite(v)] or [np.nan]))  # noqa: E731
    of_runs = lambda of: [mean_defined([getattr(a, of) for a in runs[k]]) for k in test]  # noqa: E731
    return {
        "fitted": fit.model, "status": fit.status.name, "sweeps": len(test), "cpu_seconds": cpu,
        "count": float(np.mean(error(of_runs("count"), "count"))),
        "count_noise_free": float(np.mean(error([alone[k].count for k in test], "count"))),
        "count_line": float(np.mean(error([a.count for a in line], "count"))),
        "latency": middle(error(of_runs("latency"), "latency")),
        "latency_line": middle(error([a.latency for a in line], "latency")),
        "adaptation": middle(error(of_runs("adaptation"), "adaptation")),
        "silent": f"{sum(alone[k].count == 0 for k in silent)}/{len(silent)}",
    }  # fmt: skip


def simulated(fit: ef.Fit, recording: Recording) -> ef.Simulation:
    """Runs of every sweep by itself: sweeps of one amplitude are no repeats of one stimulus here."""
    parts = [fit.simulate(recording.select(indices=[k]), runs=RUNS, seed=1) for k in range(len(recording.sweeps))]

    def joined(runs: list[ef.Simulation]) -> ef.Simulation:
        return replace(runs[0], spike_times=tuple(t for r in runs for t in r.spike_times))

    companions = {name: joined([p.companions[name] for p in parts]) for name in parts[0].companions}
    return replace(joined(parts), companions=companions)


def table(rows: dict[str, dict[str, dict]]) -> str:
    """One table per score, recordings by models; means in the last line."""
    out = []
    for score, head in (
        ("count", "Spike count, mean absolute error of the mean over noisy runs"),
        ("count_noise_free", "The same, of the noise-free run"),
        ("latency", "First spike, median absolute error, ms"),
        ("adaptation", "Last over first interval, median absolute error, octaves"),
        ("silent", "Silent sweeps left silent by the noise-free run"),
        ("cpu_seconds", "CPU seconds of the fit"),
    ):
        models = [m for m in MODELS if any(m in by for by in rows.values())]
        line = score in ("count", "latency")
        names = [*(["interpolation"] if line else []), *models]
        out += [f"\n**{head}**\n", f"| recording | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
        columns: dict[str, list[float]] = {n: [] for n in names}
        for cell, by in rows.items():
            first = next(iter(by.values()))
            values = {
                "interpolation": first.get(f"{score}_line"),
                **{m: by[m][score] if m in by else None for m in models},
            }
            for n in names:
                if isinstance(values[n], float) and np.isfinite(values[n]):
                    columns[n].append(values[n])
            out.append(f"| {cell} | {' | '.join(_text(values[n]) for n in names)} |")
        if score != "silent":
            means = [f"**{np.mean(columns[n]):.2f}**" if columns[n] else "–" for n in names]
            out.append(f"| mean | {' | '.join(means)} |")
    return "\n".join(out) + "\n"


def _text(value: object) -> str:
    if value is None:
        return "–"
    return (f"{value:.2f}" if np.isfinite(value) else "–") if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--cells", default="", help="names of recordings, all unless given")
    parser.add_argument(
        "--third", type=int, default=0, choices=(0, 1, 2), help="which third of the amplitudes to hold out"
    )
    parser.add_argument("--again", action="store_true", help="run also what is done")
    parser.add_argument("--write", action="store_true", help="run nothing, write docs/steps.md")
    given = parser.parse_args()
    results = ROOT / "build" / f"steps_third_{given.third}.json" if given.third else RESULTS
    rows: dict[str, dict[str, dict]] = json.loads(results.read_text()) if results.exists() else {}
    if given.third and given.write:
        parser.error("docs/steps.md has the table of --third 0; leave --third or --write out")
    if not given.write:
        for name, recording in recordings(set(filter(None, given.cells.split(",")))):
            if not held_out(recording, given.third)[1]:
                continue
            for model in given.models.split(","):
                if model in rows.get(name, {}) and not given.again:
                    continue
                row = measure(recording, model, given.third)
                rows.setdefault(name, {})[model] = row
                print(name, model, {k: round(v, 2) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
                results.parent.mkdir(exist_ok=True)
                write_text(results, json.dumps(rows, indent=1) + "\n")
    print(table(rows))
    if given.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- steps -->")
        _, _, after = rest.partition("<!-- /steps -->")
        write_text(PAGE, f"{before}<!-- steps -->\n{table(rows)}\n<!-- /steps -->{after}")


if __name__ == "__main__":
    main()
