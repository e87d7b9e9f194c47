"""How far does the seed of a search move what it ends with? Judged on the training blocks and on stretches left out.

    python benchmarks/search_seeds.py                                # two ways to search, ALIF, four training files
    python benchmarks/search_seeds.py --neurons AdLIF --cells DRN162 --seeds 0,1
    python benchmarks/search_seeds.py --table                        # run nothing, show what is done
    python benchmarks/search_seeds.py --write                        # the table between its marks in docs/recovery.md

A neuron is fitted to the first 40 s of a training file by the default stages up to `Search`, every parameter free,
then searched with several seeds in each of the ways, in turn. The loss of an end is that of the search on its training
blocks over 600 runs in draws that no search saw; agreement is that of `benchmarks/search.py` on the last 20 s. No test
file is opened. CPU seconds are the median of the search alone. What is done is not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit import models
from ephysfit.fitting.chain import choose_refractory_stage, one_thread
from ephysfit.fitting.free_run.evaluation import FreeRunEvaluation
from ephysfit.fitting.free_run.losses import KernelScore
from ephysfit.fitting.stage import Estimate, Problem
from ephysfit.fitting.stages import Likelihood, Passive, Search
from ephysfit.neuron.declare import Neuron

sys.path.insert(0, str(Path(__file__).resolve().parent))

from accuracy import ROOT, _between, markdown, plain, store
from search import DT, FITTED, judge
from terms import CELLS, training

#: ways to search; the first is the default that was, begun wherever the likelihood ended
WAYS = {"before": Search(evaluations=1200, population=10, runs=8, farthest=np.inf), "now": Search()}
#: runs that judge an end, and the seed of their draws
RUNS, DRAWS = 600, 999


def begin(problem: Problem) -> Estimate:
    """The default stages of a neuron of few parameters, up to the search."""
    likely, estimate = Likelihood(draws=0), Estimate(problem.start())
    for stage in (Passive(), likely, choose_refractory_stage(problem.neuron, likely)):
        found = stage(problem, estimate)
        estimate = found.with_(reports=estimate.reports | found.reports)
    return estimate


def measure_loss(problem: Problem, cell: Neuron) -> float:
    """The loss of the search on its training blocks, in draws that no search saw."""
    free = problem.free(None)
    evaluation = FreeRunEvaluation(replace(problem, seed=DRAWS), free, cell, KernelScore(), RUNS)
    return float(evaluation.training_losses(free.to_vector(cell)[None])[0])


def run(results: Path, cells: Sequence[str], neurons: Sequence[str], seeds: Sequence[int]) -> None:
    """Measure what is not there yet, one file each."""
    for cell in cells:
        whole = training(cell)
        for name in neurons:
            problem, begun = Problem(whole.cut(0.0, FITTED), getattr(models, name), DT), None
            for seed in seeds:
                for way, stage in WAYS.items():
                    path = results / f"{cell}_{name}_{way}_{seed}.json"
                    if path.exists():
                        continue
                    with one_thread():
                        begun = begun or begin(problem)
                        start = time.process_time()
                        found = stage(replace(problem, seed=seed), begun).neuron
                        seconds = time.process_time() - start
                        row = {
                            "cell": cell, "neuron": name, "way": way, "seed": seed, "cpu_seconds": seconds,
                            "begun": measure_loss(problem, begun.neuron), "loss": measure_loss(problem, found),
                            "held_out": judge(found, whole)["agreement_8"],
                        }  # fmt: skip
                    store(path, row)
                    print(" ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{v}" for k, v in row.items()),
                          file=sys.stderr, flush=True)  # fmt: skip


HEAD = ("neuron", "cell", "way", "seeds", "loss begun", "loss", "its s.d. over seeds", "agreement 8, left out", "CPU s")


def lines(results: Path, neurons: Sequence[str]) -> list[tuple[str, ...]]:
    """One row a neuron, cell and way."""
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(results.glob("*.json"))]
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for r in sorted(rows, key=lambda r: (r["neuron"], r["cell"], list(WAYS).index(r["way"]))):
        groups.setdefault((r["neuron"], r["cell"], r["way"]), []).append(r)
    out = []
    for who, mine in groups.items():
        if who[0] not in neurons:
            continue
        loss = np.array([r["loss"] for r in mine])
        spread = f"{100 * loss.std(ddof=1) / loss.mean():.1f} %" if len(mine) > 1 else "–"
        out.append((
            *who, str(len(mine)), f"{mine[0]['begun']:.4f}", f"{loss.mean():.4f}", spread,
            f"{np.mean([r['held_out'] for r in mine]):.3f}", f"{np.median([r['cpu_seconds'] for r in mine]):.1f}",
        ))  # fmt: skip
    return out


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--neurons", default="ALIF")
    options.add_argument("--cells", default=",".join(CELLS))
    options.add_argument("--seeds", default="20,21,22,23")
    options.add_argument("--results", type=Path, default=ROOT / "build" / "search_seeds", help="folder of what is done")
    options.add_argument("--table", action="store_true", help="run nothing, show what is done")
    options.add_argument("--write", action="store_true", help="run nothing, write the table into docs/recovery.md")
    given = options.parse_args()
    neurons = given.neurons.split(",")
    if not (given.table or given.write):
        run(given.results, given.cells.split(","), neurons, [int(s) for s in given.seeds.split(",")])
    table = lines(given.results, neurons)
    if given.write:
        page = ROOT / "docs" / "recovery.md"
        page.write_text(_between(page.read_text(encoding="utf-8"), "seeds", markdown(HEAD, table)), encoding="utf-8")
    print(plain(HEAD, table))


if __name__ == "__main__":
    main()
