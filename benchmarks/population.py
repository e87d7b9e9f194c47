"""What the cells fitted before are worth to the next one: a population's prior against the declared one.

    python benchmarks/population.py              # synthetic populations, then the real cells
    python benchmarks/population.py --synthetic
    python benchmarks/population.py --real

Synthetic: cells of a population (drawn about a neuron's start) with 10 s of recording each; 40 make the prior, 16
others are fitted with and without it, and medians are over these. Loss: negative log-likelihood per spike (nats) on the
30 s that follow. Error: absolute log ratio of fitted to true, for what spikes determine.
Real: the four training files, one left out in turn; three (fitted to 40 s) make the prior of the fourth, which is
fitted to its first 10 or 40 s and judged on 40-60 s. No test file is opened.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from held_out import DT, UNTIL, agreement, cells, fitted, loss

import ephysfit as ef
from ephysfit.fitting.chain import run_stages
from ephysfit.fitting.population_prior import population_prior
from ephysfit.fitting.prior import Prior
from ephysfit.fitting.stage import Problem
from ephysfit.neuron.declare import Neuron
from ephysfit.synthetic import draw, recording

MAKING, JUDGED = 40, 16
SECONDS = 10_000.0
#: what spikes determine of a cell
READINGS: dict[str, Callable[[Any], float]] = {
    "tau_m": lambda c: c.C / c.g,
    "rheobase": lambda c: c.g * (c.theta - c.E_L),
    "softness": lambda c: c.delta / (c.theta - c.E_L),
    "adaptation": lambda c: c.d_theta / (c.theta - c.E_L),
    "tau_a": lambda c: c.tau_a,
}
STAGES = (ef.stages.Passive(), ef.stages.Likelihood())


def drawn(kind: type[Neuron], count: int) -> Iterator[tuple[Neuron, ef.Recording]]:
    """Cells of a population with 40 s of recording each; silent ones are drawn again."""
    made = 0
    for k, cell in enumerate(draw(kind, 2 * count, seed=7, spread=0.25)):
        data = recording(cell, duration=40_000.0, repeats=0, dt=DT, rate=6.0, seed=k)
        if data.cut(0.0, SECONDS).n_spikes >= 15:
            made += 1
            yield cell, data
        if made == count:
            return


def begun(data: ef.Recording, kind: type[Neuron], prior: Prior | None = None) -> ef.Fit:
    """A fit of the first seconds."""
    priors = () if prior is None else (prior,)
    return run_stages(Problem(data.cut(0.0, SECONDS), kind, DT, priors=priors), STAGES)


def error(found: Any, cell: Any) -> float:
    """Median absolute log ratio over what spikes determine."""
    pairs = [(read(found), read(cell)) for name, read in READINGS.items() if _has(cell, name)]
    return float(np.median([abs(np.log(max(a, 1e-9) / b)) for a, b in pairs]))


def _has(cell: Any, name: str) -> bool:
    needs = {"adaptation": "d_theta", "tau_a": "tau_a"}
    return name not in needs or needs[name] in type(cell).parameters


def synthetic(kind: type[Neuron]) -> None:
    begin = time.process_time()
    known = list(drawn(kind, MAKING + JUDGED))
    prior = population_prior(begun(data, kind) for _, data in known[:MAKING])
    few = population_prior(begun(data, kind) for _, data in known[:5])
    ways = {"declared prior": None, "population of 5": few, f"population of {MAKING}": prior}
    rows: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for cell, data in known[MAKING:]:
        for way, p in ways.items():
            found = begun(data, kind, p).neuron
            rows[way].append((loss(data, found, SECONDS), error(found, cell)))
    truth = np.median([loss(data, cell, SECONDS) for cell, data in known[MAKING:]])
    base = np.array(rows["declared prior"])
    for way, found_ in rows.items():
        x = np.array(found_)
        gain = base[:, 0] - x[:, 0]
        print(
            f"| {kind.__name__} | {way} | {np.median(x[:, 0]):.3f} | {np.median(gain):.3f} | "
            f"{int((gain > 0).sum())} of {len(gain)} | {np.median(x[:, 1]):.3f} |",
            flush=True,
        )
    print(f"| {kind.__name__} | the true cells | {truth:.3f} | | | 0 |")
    print(f"\n{time.process_time() - begin:.0f} CPU s\n", flush=True)


def real(name: str) -> None:
    kind = ef.models.find(name)
    data = {cell: ef.load(path) for cell, path in cells()}
    whole = {cell: fitted(r, kind, STAGES) for cell, r in data.items()}
    for until in (10_000.0, UNTIL):
        rows = []
        for cell, r in data.items():
            prior = population_prior(f for other, f in whole.items() if other != cell)
            alone = whole[cell] if until == UNTIL else fitted(r, kind, STAGES, until)
            helped = fitted(r, kind, STAGES, until, priors=(prior,))
            numbers = [m for f in (alone, helped) for m in (loss(r, f.neuron), agreement(r, f))]
            rows.append(numbers)
            _print(name, f"{until / 1e3:g} s", cell, numbers)
        _print(name, f"{until / 1e3:g} s", "median", list(np.median(rows, axis=0)))


def _print(name: str, until: str, cell: str, n: list[float]) -> None:
    print(f"| {name} | {until} | {cell} | {n[0]:.3f} | {n[2]:.3f} | {n[1]:.3f} | {n[3]:.3f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--synthetic", action="store_true")
    parser.add_argument("--real", action="store_true")
    asked = parser.parse_args()
    if asked.synthetic or not asked.real:
        print("| neuron | fitted with | loss | gain | better | error |\n| --- | --- | --- | --- | --- | --- |")
        for name in ("GIF", "ALIF"):
            synthetic(ef.models.find(name))
    if asked.real or not asked.synthetic:
        print("| neuron | fitted to | cell | loss: declared | population | agreement: declared | population |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for name in ("AIGIF", "GIF"):
            real(name)


if __name__ == "__main__":
    main()
