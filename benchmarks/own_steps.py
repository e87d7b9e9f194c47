"""A cell's own current steps: what a fit to noise alone makes of them, and what they add to a fit.

    python benchmarks/own_steps.py              # every raphe cell that has steps
    python benchmarks/own_steps.py --models AIGIF,auto --cells DRN164
    python benchmarks/own_steps.py --write      # run nothing, put the table into docs/steps.md

Every row is a default fit, seed 0: of the training noise alone; of the noise and of all step amplitudes but every
third at which the cell fires. Ratio (spikes of the model's noisy runs over those of the cell) and count error are of
amplitudes held out from the second fit, for both. Γ/R (of the causal readout a report quotes), consensus and Md* are
those of the test noise, where the cell has one: they say whether steps in the training cost or gain on noise. Nothing
is chosen by them. What is done is kept (docs/own_steps.json).
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import steps
from accuracy import SCORED, _between, markdown, plain

import ephysfit as ef
from ephysfit.files import write_text
from ephysfit.metrics.headline_scores import NOISE_FREE

ROOT = Path(__file__).resolve().parents[1]
RAPHE = ROOT.parent / "shared" / "data" / "raphe"
RESULTS = ROOT / "docs" / "own_steps.json"
HEAD = ("cell", "model", "fitted to", "spikes on own steps, model over cell", "count error", "causal Γ/R",
        "consensus Γ/R", "Md* 4", "Md* 8", "CPU s")  # fmt: skip
#: noisy runs of a sweep of the steps, and of the test noise
STEP_RUNS, RUNS = 50, 200


def measure(folder: Path, model: str, with_steps: bool) -> dict[str, object]:
    """One row: a default fit, its own held-out steps, and its test noise."""
    noise = next(folder.glob("*_training.abf"))
    protocol = ef.load(folder / "current_steps.abf")
    _, held = steps.held_out(protocol)
    cpu = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train = ef.load(noise)
        if with_steps:
            both = ef.load([noise, folder / "current_steps.abf"])
            away = {f"current_steps/{protocol.sweeps[k].name}" for k in held}
            train = both.select(indices=[k for k, s in enumerate(both.sweeps) if s.name not in away])
        fit = ef.fit(train, model, seed=0)
        cpu = time.process_time() - cpu
        runs = [
            [len(t) for t in fit.simulate(protocol.select(indices=[k]), runs=STEP_RUNS, seed=1).spike_times[0]]
            for k in held
        ]
    own = np.array([len(protocol.sweeps[k].spike_times) for k in held], dtype=float)
    counts = np.array([np.mean(r) for r in runs])
    row: dict[str, object] = {
        "fitted": fit.model, "sweeps": len(train), "ratio": float(counts.sum() / own.sum()),
        "count": float(np.abs(counts - own).mean()), "cpu_seconds": cpu,
    }  # fmt: skip
    for path in folder.glob("*_test.abf"):
        test = ef.load(path)
        done = fit.simulate(test, runs=RUNS, seed=1)
        readouts = {s.readout: s for s in (done, *done.companions.values())}
        window = {"start": SCORED[0], "stop": SCORED[1]}
        noisy = ef.score(done, test, **window)
        quoted = readouts[next(r for r in NOISE_FREE if r in readouts)]
        row |= {
            "causal": ef.score(quoted, test, **window)["gamma_over_R_4"],
            "consensus": ef.score(readouts["consensus"], test, **window)["gamma_over_R_4"],
            "md_star_4": noisy["md_star_4"], "md_star_8": noisy["md_star_8"],
        }  # fmt: skip
    return row


def lines(rows: dict[str, dict[str, object]]) -> list[tuple[str, ...]]:
    """The table as text."""
    keys = ("ratio", "count", "causal", "consensus", "md_star_4", "md_star_8")
    out = []
    for name, row in rows.items():
        cell, model, data = name.split("|")
        fitted = model if model == row["fitted"] else f"{model} ({row['fitted']})"
        values = [f"{row[k]:.2f}" if k in row else "–" for k in keys]
        out.append((cell, fitted, data, *values, f"{row['cpu_seconds']:.0f}"))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="AIGIF,auto")
    parser.add_argument("--cells", default="", help="all unless given")
    parser.add_argument("--again", action="store_true", help="run also what is done")
    parser.add_argument("--write", action="store_true", help="run nothing, write docs/steps.md")
    given = parser.parse_args()
    rows: dict[str, dict[str, object]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    wanted = set(filter(None, given.cells.split(",")))
    for path in [] if given.write else sorted(RAPHE.glob("*/current_steps.abf")):
        cell = path.parent.name.split("_")[0]
        for model in given.models.split(",") if not wanted or cell in wanted else ():
            for with_steps in (False, True):
                name = f"{cell}|{model}|{'noise and steps' if with_steps else 'noise'}"
                if name not in rows or given.again:
                    rows[name] = measure(path.parent, model, with_steps)
                    write_text(RESULTS, json.dumps(rows, indent=1) + "\n")
                    print(name, rows[name], flush=True)
    print(plain(HEAD, lines(rows)))
    if given.write:
        page = ROOT / "docs" / "steps.md"
        write_text(page, _between(page.read_text(encoding="utf-8"), "own", markdown(HEAD, lines(rows))))


if __name__ == "__main__":
    main()
