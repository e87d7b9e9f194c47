"""Which loss and which draws make `Search` predict? Judged on stretches of training files it was not fitted to.

    python benchmarks/search.py                               # every way to search, small neurons, four training files
    python benchmarks/search.py --ways kernel,none --neurons ALIF --cells DRN162 --seeds 0
    python benchmarks/search.py --table                       # run nothing, show what is done
    python benchmarks/search.py --write                       # the table between its marks in docs/accuracy.md

A neuron is fitted to the first 40 s of a training file by the default chain up to `Search`, then searched in each of
the ways, with several seeds, and run 200 times on the last 20 s. No test file is opened. Agreement is (2 n_dm - n_mm) /
recorded spikes, what the proper score rests on; Md* is 2 n_dm / (n_dd + n_mm) with n_dd set to .75 (±4 ms) and .85
(±8 ms) of the recorded spikes, because a training noise is recorded once; Γ is that of the consensus train. "Seeds" is
the standard deviation over seeds, pooled over cells and neurons. CPU seconds are those of the search alone. What is
done is not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ephysfit import models
from ephysfit.data.recording import Recording
from ephysfit.errors import near
from ephysfit.fitting.chain import one_thread
from ephysfit.fitting.free_run.losses import Coincidence, KernelScore
from ephysfit.fitting.stage import Estimate, Problem, Stage, Status
from ephysfit.fitting.stage_reports import SearchReport
from ephysfit.fitting.stages import Likelihood, Passive, Search
from ephysfit.metrics.coincidence import coincidence_factor, mean_weight, self_weight
from ephysfit.metrics.consensus import consensus
from ephysfit.metrics.trains import cut
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation.simulate import simulate

sys.path.insert(0, str(Path(__file__).resolve().parent))

from accuracy import ROOT, _between, markdown, plain, store
from terms import CELLS, training

NEURONS = ("LIF", "ALIF", "AdLIF", "MAT", "GLIF5")
DT, RUNS = 0.5, 200
FITTED, END = 40_000.0, 60_000.0
#: recorded spikes that would be repeated, by window (ms): assumed, so that Md* can be written down
REPEATED = {4: 0.75, 8: 0.85}


class Nothing:
    """The estimate as it is."""

    def __call__(self, problem: Problem, estimate: Estimate) -> Estimate:
        return estimate.with_(stage="none", status=Status.NOT_NEEDED)


#: name, and what follows the likelihood
WAYS: dict[str, Stage] = {
    "none": Nothing(),
    "coincidence": Search(loss=Coincidence()),
    "kernel": Search(),
    "kernel no cost of rate": Search(loss=KernelScore(rate=0.0)),
    "kernel cost of rate 1": Search(loss=KernelScore(rate=1.0)),
}


def judge(cell: Neuron, whole: Recording) -> dict[str, float]:
    """Scores of noisy runs on the stretch left out."""
    done = simulate(cell, whole, dt=DT, runs=RUNS, noise="escape", seed=77)
    runs = cut(list(done.spike_times[0]), FITTED, END)
    (recorded,) = cut([whole.sweeps[0].spike_times], FITTED, END)
    n, out = len(recorded), {}
    for window, repeated in REPEATED.items():
        n_dm = float(mean_weight([recorded], runs, float(window))[0])
        n_mm = self_weight(runs, float(window))
        out[f"agreement_{window}"] = (2 * n_dm - n_mm) / n
        out[f"md_{window}"] = 2 * n_dm / (repeated * n + n_mm)
    best = consensus(runs, END - FITTED, 4.0)
    out["consensus"] = coincidence_factor(recorded, best, END - FITTED, 4.0)
    out["rate"] = sum(map(len, runs)) / RUNS / n - 1.0
    return out


def run(
    results: Path, cells: Sequence[str], neurons: Sequence[str], ways: dict[str, Stage], seeds: Sequence[int]
) -> None:
    """Measure what is not there yet, one file each."""
    for cell in cells:
        whole = training(cell)
        for name in neurons:
            kind, begun = getattr(models, name), None
            for way, stage in ways.items():
                for seed in seeds if way != "none" else seeds[:1]:
                    path = results / f"{cell}_{name}_{way.replace(' ', '')}_{seed}.json"
                    if path.exists():
                        continue
                    problem = Problem(whole.cut(0.0, FITTED), kind, DT, seed=seed)
                    with one_thread():
                        begun = begun or _likely(Problem(whole.cut(0.0, FITTED), kind, DT))
                        start = time.process_time()
                        found = stage(problem, begun)
                        seconds = time.process_time() - start
                    row = {"cell": cell, "neuron": name, "way": way, "seed": seed, "seconds": seconds,
                           "kept": not getattr(found.reports.of(SearchReport), "kept", "") and way != "none",
                           **judge(found.neuron, whole)}  # fmt: skip
                    store(path, row)
                    print(" ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{v}" for k, v in row.items()),
                          file=sys.stderr, flush=True)  # fmt: skip


def _likely(problem: Problem) -> Estimate:
    return Likelihood()(problem, Passive()(problem, Estimate(problem.start())))


HEAD = ("way", "fits", "moved", "agreement 4", "agreement 8", "Md* 4", "Md* 8", "consensus Γ", "seeds: Md* 8", "rate",
        "size of rate", "CPU s")  # fmt: skip
SHOWN = ("agreement_4", "agreement_8", "md_4", "md_8", "consensus")


def lines(results: Path, neurons: Sequence[str], ways: Iterable[str]) -> list[tuple[str, ...]]:
    """One row a way: means over cells, neurons and seeds."""
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(results.glob("DRN*.json"))]
    out = []
    for way in dict.fromkeys(ways):
        mine = [r for r in rows if r["way"] == way and r["neuron"] in neurons]
        if not mine:
            continue
        groups: dict[Any, list[dict[str, Any]]] = {}
        for r in mine:
            groups.setdefault((r["cell"], r["neuron"]), []).append(r)
        mean = lambda key, of=groups: float(np.mean([np.mean([key(r) for r in g]) for g in of.values()]))  # noqa: E731
        spread = [np.var([r["md_8"] for r in g], ddof=1) for g in groups.values() if len(g) > 1]
        out.append((
            way, str(len(mine)), f"{np.mean([r['kept'] for r in mine]):.0%}",
            *[f"{mean(lambda r, k=k: r[k]):.3f}" for k in SHOWN],
            f"{np.sqrt(np.mean(spread)):.3f}" if spread else "–",
            f"{mean(lambda r: r['rate']):+.0%}", f"{mean(lambda r: abs(r['rate'])):.0%}",
            f"{mean(lambda r: r['seconds']):.1f}",
        ))  # fmt: skip
    return out


def command(text: str | None, ways: dict[str, Stage], results: str, neurons: Sequence[str], mark: str) -> None:
    """The command line of a benchmark of stages."""
    options = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--ways", default=",".join(ways))
    options.add_argument("--neurons", default=",".join(neurons))
    options.add_argument("--cells", default=",".join(CELLS))
    options.add_argument("--seeds", default="0,1")
    options.add_argument("--results", type=Path, default=ROOT / "build" / results, help="folder of what is done")
    options.add_argument("--table", action="store_true", help="run nothing, show what is done")
    options.add_argument("--write", action="store_true", help="run nothing, write the table into docs/accuracy.md")
    given = options.parse_args()
    chosen, asked = given.neurons.split(","), given.ways.split(",")
    for way in set(asked) - set(ways):
        raise SystemExit(f"no way {way!r}; {near(way, ways)}")
    if not (given.table or given.write):
        seeds = [int(s) for s in given.seeds.split(",")]
        run(given.results, given.cells.split(","), chosen, {w: ways[w] for w in asked}, seeds)
    table = lines(given.results, chosen, asked)
    if given.write:
        page = ROOT / "docs" / "accuracy.md"
        page.write_text(_between(page.read_text("utf-8"), mark, markdown(HEAD, table)), encoding="utf-8")
    print(plain(HEAD, table))


if __name__ == "__main__":
    command(__doc__, WAYS, "search", NEURONS, "search")
