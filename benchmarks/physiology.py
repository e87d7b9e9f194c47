"""What do fits say of the membrane, and what does holding it at its measurement cost in prediction?

    python benchmarks/physiology.py                          # about an hour
    python benchmarks/physiology.py --models ALIF --cells DRN164_5HT
    python benchmarks/physiology.py --write                  # run nothing, put the tables into docs/physiology.md

Each neuron is fitted twice, objective "physiology" (the default where the recording shows a membrane) and "prediction":

- noise: to the first 40 s of a training file, judged on its last 20 s: mean coincidence factor of 40 free noisy runs
  and the recorded train (8 ms). The voltage is as recorded.
- steps: to all amplitudes but every third inner one at which the cell fires (benchmarks/steps.py), judged on those:
  mean absolute error of the number of spikes, mean over noisy runs.

Resting potential, input resistance and time constant of the neurons are E_L, 1/g and C/g, beside those of the card of
the training data. No test file is opened.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from held_out import UNTIL, agreement, cells
from steps import RUNS, held_out, recordings

import ephysfit as ef
from ephysfit.files import write_text
from ephysfit.fitting.objective import OBJECTIVES
from ephysfit.metrics.step_answers import Answer, find_steps

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "physiology.json"
PAGE = ROOT / "docs" / "physiology.md"
MODELS = ("ALIF", "GLIF4", "GIF", "IGIF", "AdEx")
MEASURES = {"rest": "rest, mV", "input_resistance": "R_in, MOhm", "tau": "tau, ms"}


def problems(names: set[str]) -> Iterator[tuple[str, ef.Recording, object]]:
    """Name of a recording, its training part, and a function that judges a fit of it."""
    for cell, path in cells():
        whole = ef.load(path)
        if not names or f"{cell} noise" in names or cell in names:
            yield f"{cell} noise", whole.cut(0.0, UNTIL), lambda fit, whole=whole: agreement(whole, fit)
    for name, recording in recordings(set()):
        if not names or name in names:
            train, test = held_out(recording)
            judge = lambda fit, r=recording, k=test: count_error(r, k, fit)  # noqa: E731
            yield name, recording.select(indices=train), judge


def count_error(recording: ef.Recording, test: list[int], fit: ef.Fit) -> float:
    """Mean absolute error of the number of spikes of held-out steps, mean over noisy runs."""
    steps, errors = find_steps(recording.sweeps), []
    for k in test:
        one = recording.select(indices=[k])
        runs = fit.simulate(one, runs=RUNS if type(fit.neuron).stochastic() else 1, seed=1).spike_times[0]
        counts = [Answer.of(train, steps[k]).count for train in runs]
        errors.append(abs(float(np.mean(counts)) - Answer.of(one.sweeps[0].spike_times, steps[k]).count))
    return float(np.mean(errors))


def measure(train: ef.Recording, judge: object, model: str, objective: str) -> dict[str, object]:
    """One fit: its membrane, its score on what it has not seen, CPU seconds."""
    begin = time.process_time()
    fit = ef.fit(train, model, objective=None if objective == "physiology" else objective)
    spent = time.process_time() - begin
    c = fit.neuron
    return {
        "rest": c.E_L, "input_resistance": 1e3 / c.g, "tau": c.C / c.g, "score": judge(fit), "cpu_seconds": spent,  # type: ignore[operator]
        "status": fit.status.name, "held": bool(fit.membrane and fit.membrane.values),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--cells", default="", help="names of recordings, all unless given")
    parser.add_argument("--again", action="store_true", help="run also what is done")
    parser.add_argument("--write", action="store_true", help="run nothing, write docs/physiology.md")
    given = parser.parse_args()
    rows: dict[str, dict[str, dict]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if given.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- table -->")
        _, _, after = rest.partition("<!-- /table -->")
        write_text(PAGE, f"{before}<!-- table -->\n{tables(rows)}<!-- /table -->{after}")
        return
    warnings.simplefilter("ignore")
    for name, train, judge in problems(set(filter(None, given.cells.split(",")))):
        row = rows.setdefault(name, {})
        if "cell" not in row or given.again:
            card = ef.describe(train)
            row["cell"] = {n: card[n].value for n in MEASURES}
        for model in given.models.split(","):
            for objective in OBJECTIVES:
                key = f"{model} {objective}"
                if key in row and not given.again:
                    continue
                row[key] = measure(train, judge, model, objective)
                print(
                    name, key, {k: round(v, 2) if isinstance(v, float) else v for k, v in row[key].items()}, flush=True
                )
                write_text(RESULTS, json.dumps(rows, indent=1) + "\n")
    print(tables(rows))


def tables(rows: dict[str, dict[str, dict]]) -> str:
    """One table a measure of the membrane, then the scores: recordings by neurons, physiology and prediction."""
    models = [m for m in MODELS if any(f"{m} physiology" in row for row in rows.values())]
    out = []
    for name, label in MEASURES.items():
        out.append(f"\n**{label}**: cell, and fits for physiology · prediction\n")
        out.append(f"| recording | cell | {' | '.join(models)} |")
        out.append(f"|---|---:|{'---:|' * len(models)}")
        for recording, row in rows.items():
            out.append(
                f"| {recording} | {text(row['cell'][name])} | {' | '.join(pair(row, m, name) for m in models)} |"
            )
    for kind, label in (
        ("noise", "Agreement of free noisy runs on the unseen end of the noise (8 ms; higher is better)"),
        ("steps", "Error of the spike count on held-out amplitudes (lower is better)"),
    ):
        some = {r: row for r, row in rows.items() if r.endswith(" noise") == (kind == "noise")}
        out.append(f"\n**{label}**: physiology · prediction\n")
        out.append(f"| recording | {' | '.join(models)} |")
        out.append(f"|---|{'---:|' * len(models)}")
        for recording, row in some.items():
            out.append(f"| {recording} | {' | '.join(pair(row, m, 'score', 2) for m in models)} |")
        medians = [
            " · ".join(
                text(np.median([row[f"{m} {o}"]["score"] for row in some.values() if f"{m} {o}" in row] or [np.nan]), 2)
                for o in OBJECTIVES
            )
            for m in models
        ]
        out.append(f"| median | {' | '.join(medians)} |")
    return "\n".join(out) + "\n"


def pair(row: dict[str, dict], model: str, name: str, digits: int = 0) -> str:
    """A value of both fits of a neuron; a star where nothing could be held."""
    found = [row.get(f"{model} {objective}") for objective in OBJECTIVES]
    star = "" if found[0] is None or found[0]["held"] else "*"
    return " · ".join("–" if f is None else text(f[name], digits) for f in found) + star


def text(value: float | None, digits: int = 0) -> str:
    """A number with three digits, or as many decimals."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:.{digits}f}" if digits else f"{value:.3g}"


if __name__ == "__main__":
    main()
