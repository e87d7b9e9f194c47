"""Does a default fit by the likelihood end at the top? Beside it, ascents of the same objective from random starts.

    python benchmarks/restarts.py                                   # twenty cells, nine neurons, 30 restarts; resumes
    python benchmarks/restarts.py --neurons BankIGIF --cells 2019_07_24_0055_fsi --restarts 10
    python benchmarks/restarts.py --table                           # run nothing, show what is done
    python benchmarks/restarts.py --write                           # the table between its marks in docs/recovery.md

A row is the likelihood stage of a default fit (with its starts, fits of simpler neurons among them) and ascents from
starts drawn about the same estimate, one prior width wide and alternately two. Objective, data, prior and refractory
period are the same for all. Each restart climbs as a start of the stage does; the best few then go to the top. The
excess is how many nats the best restart ended above the default fit: up to 2 is as good as the same place.

Cells are the first twenty seconds of every recorded noise and step series that is there, and one synthetic cell of each
of seven neurons. A step series counts with as many sweeps, evenly spaced, as fit into that time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import ephysfit as ef
from ephysfit.data.recording import Recording
from ephysfit.errors import EphysfitError, SimulationError, near
from ephysfit.fitting.chain import default_step, one_thread
from ephysfit.fitting.stage import MINIMUM_SPIKES, Estimate, Problem
from ephysfit.fitting.stages.likelihood import Likelihood, _LikelihoodClimb
from ephysfit.fitting.stages.passive import Passive
from ephysfit.fitting.warm_starts import add_starts_from_simpler_fits
from ephysfit.models import catalogue
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters, as_floats
from ephysfit.synthetic import draw
from ephysfit.synthetic import recording as record

sys.path.insert(0, str(Path(__file__).resolve().parent))

from accuracy import ROOT, _between, markdown, plain, store

#: neurons that are fitted, and those of which a synthetic cell is drawn
NEURONS = ("LIF", "ALIF", "AdLIF", "MAT", "GLIF4", "GIF", "IGIF", "BankIGIF", "AIGIF")
SYNTHETIC = ("ALIF", "AdLIF", "MAT", "GLIF4", "GIF", "IGIF", "BankGIF")
#: data of a cell, ms
LENGTH = 20_000.0
#: widths of the draws, prior widths; steps of a restart; how many go to the top; steps to the top
SPREADS, SCREENED, FINALISTS, STEPS = (1.0, 2.0), 20, 3, 200
#: synthetic cells: spikes a second they are asked for, how many times that one may fire, how many are drawn for one
RATE, MOST, DRAWN = 10.0, 2.0, 20
#: excess, nats, up to which two ends are one
SAME = 2.0


def recorded_cells(shared: Path) -> Iterator[tuple[str, Recording]]:
    """Twenty seconds of every recorded noise and step series, by name; test halves are left out."""
    noise = [*sorted((ROOT / "data").glob("*.nwb")), *sorted((shared / "raphe").glob("DRN16[23]*/*training.abf"))]
    for path in noise:
        if "training" in path.name:
            yield path.stem[:6], ef.load(path).cut(0.0, LENGTH)
        else:
            yield path.stem, ef.load(path).split()[0].cut(0.0, LENGTH)
    steps = [*(shared / "abf").glob("*.abf"), *(shared / "raphe").glob("*/current_steps.abf"),
             *(shared / "nwb").glob("*.nwb"), *(shared / "heka").glob("*.dat")]  # fmt: skip
    for path in sorted(steps):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = ef.load(path)
        except EphysfitError:
            continue
        chosen = [k for k, s in enumerate(found.sweeps) if s.kind == "step"]
        if len(chosen) >= MINIMUM_SPIKES:
            name = f"{path.parent.name[:6]} steps" if path.stem == "current_steps" else path.stem
            yield name, thin(found.select(indices=chosen))


def thin(recording: Recording) -> Recording:
    """Sweeps evenly spaced over a series, as many as fit into `LENGTH`."""
    each = float(np.mean([s.duration for s in recording.sweeps]))
    count = min(max(int(LENGTH / each), MINIMUM_SPIKES), len(recording.sweeps))
    places = np.unique(np.linspace(0, len(recording.sweeps) - 1, count).round().astype(int))
    return recording.select(indices=places.tolist())


def all_cells(shared: Path) -> Iterator[tuple[str, Recording]]:
    """Recorded cells, then synthetic ones."""
    yield from recorded_cells(shared)
    for name in SYNTHETIC:
        yield f"synthetic {name}", record_at_rate(catalogue()[name])


def record_at_rate(neuron: type[Neuron]) -> Recording:
    """The first of some cells that fires as often as asked: with weights drawn at random, some never do."""
    for cell in draw(neuron, DRAWN, seed=3, spread=0.3):
        try:
            found = record(cell, duration=LENGTH, repeats=0, dt=0.5, rate=RATE, seed=3)
        except SimulationError:  # no current makes it fire so often
            continue
        if found.n_spikes < MOST * RATE * LENGTH / 1000.0:
            return found
    raise SystemExit(f"none of {DRAWN} cells of {neuron.__name__} fires at {RATE:g} Hz; change the seed of their draw")


@dataclass(frozen=True)
class Ending:
    """Where an ascent ended, and how high, nats."""

    cell: Neuron
    value: float


class Climber:
    """One neuron on one cell: the estimate all ascents begin about, and ascents of the one objective."""

    def __init__(self, recording: Recording, kind: type[Neuron]) -> None:
        self.problem, self.stage = Problem(recording, kind, default_step(recording)), Likelihood()
        self.estimate = Passive()(self.problem, Estimate(self.problem.start()))
        self.climb = _LikelihoodClimb(self.stage, self.problem, self.estimate.neuron)

    def ascend(self, cell: Neuron, steps: int) -> Ending:
        """An ascent of all parameters."""
        end, ascent = self.climb(cell, self.climb.everything, steps)
        return Ending(end, ascent.value)

    def begin(self, cell: Neuron) -> Ending:
        """An ascent as a start of the stage makes it, with more steps."""
        if self.climb.early:
            cell, _ = self.climb(cell, self.climb.early, self.stage.first)
        return self.ascend(cell, SCREENED)

    def fit_by_default(self) -> dict[str, Any]:
        """The likelihood stage of a default fit: where it ended, and what more steps would have brought."""
        begun = time.process_time()
        found = self.stage(add_starts_from_simpler_fits(self.problem), self.estimate)
        seconds = time.process_time() - begun
        value = self.ascend(found.neuron, 0).value
        return {
            "default": value, "unfinished": self.ascend(found.neuron, STEPS).value - value, "cpu_seconds": seconds,
            "status": found.status.name, "values": found.neuron.values(),
        }  # fmt: skip

    def restart(self, count: int) -> dict[str, Any]:
        """Random starts: how high the best ended, and how many ended there."""
        free, rng = FreeParameters.of(self.problem.neuron, smooth_only=True), np.random.default_rng(11)
        centre = self.estimate.neuron
        tried = []
        for k in range(count):
            z = free.drawn(centre, SPREADS[k % len(SPREADS)], rng)
            tried.append(self.begin(as_floats(free.to_neuron(z, centre))))
        tried.sort(key=lambda e: -e.value)
        tops = sorted((self.ascend(e.cell, STEPS) for e in tried[:FINALISTS]), key=lambda e: -e.value)
        ended = np.array([e.value for e in (*tops, *tried[FINALISTS:])])
        return {
            "best": tops[0].value, "as_good": int((ended > tops[0].value - SAME).sum()), "restarts": count,
            "values": tops[0].cell.values(),
        }  # fmt: skip


def run(results: Path, shared: Path, cells: Sequence[str], neurons: Sequence[str], restarts: int, again: bool) -> None:
    """Compare what is not there yet: one file a cell and neuron for restarts, one for the default fit."""
    for name, recording in all_cells(shared):
        if (cells and name not in cells) or recording.n_spikes < MINIMUM_SPIKES:
            continue
        for kind in neurons:
            stem = f"{name.replace(' ', '-')}_{kind}"
            paths = results / f"{stem}.restarts.json", results / f"{stem}.default.json"
            if all(p.exists() for p in paths) and not again:
                continue
            with warnings.catch_warnings(), one_thread():
                warnings.simplefilter("ignore")
                climber = Climber(recording, catalogue()[kind])
                who = {"cell": name, "neuron": kind, "spikes": climber.problem.n_spikes}
                if again or not paths[1].exists():
                    store(paths[1], {**who, **climber.fit_by_default()})
                if not paths[0].exists():
                    store(paths[0], {**who, **climber.restart(restarts)})
            a, b = (json.loads(p.read_text(encoding="utf-8")) for p in paths)
            print(f"{name} {kind}: {a['best'] - b['default']:.2f} nats above, more steps {b['unfinished']:.2f}, "
                  f"{a['as_good']} of {a['restarts']} as good, {b['cpu_seconds']:.1f} CPU s, {b['status']}",
                  file=sys.stderr, flush=True)  # fmt: skip


def lines(results: Path, neurons: Sequence[str]) -> list[tuple[str, ...]]:
    """One row a cell: excess of every neuron; last, how many are within `SAME`."""
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(results.glob("*.json"))]
    high = {(r["cell"], r["neuron"]): r["best"] for r in rows if "best" in r}
    by = {(r["cell"], r["neuron"]): high[r["cell"], r["neuron"]] - r["default"]
          for r in rows if "default" in r and (r["cell"], r["neuron"]) in high}  # fmt: skip
    out = []
    for cell in dict.fromkeys(cell for cell, neuron in by if neuron in neurons):
        shown = [f"{max(by[cell, n], 0.0):.1f}" if (cell, n) in by else "–" for n in neurons]
        out.append((cell, *shown))
    good = []
    for n in neurons:
        values = [v for (_, k), v in by.items() if k == n]
        good.append(f"{sum(v <= SAME for v in values)} of {len(values)}")
    return [*out, (f"within {SAME:g} nats", *good)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--neurons", default=",".join(NEURONS), help="names, comma between")
    options.add_argument("--cells", default="", help="names, comma between; all unless given")
    options.add_argument("--restarts", type=int, default=30)
    options.add_argument("--results", type=Path, default=ROOT / "build" / "restarts", help="folder of what is done")
    options.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data", help="recordings not shipped")
    options.add_argument("--again", action="store_true", help="default fits again, beside the restarts that are done")
    options.add_argument("--table", action="store_true", help="run nothing, show what is done")
    options.add_argument("--write", action="store_true", help="run nothing, write the table into docs/recovery.md")
    given = options.parse_args()
    neurons = given.neurons.split(",")
    for n in set(neurons) - set(catalogue()):
        raise SystemExit(f"no neuron {n!r}; {near(n, list(catalogue()))}")
    if not (given.table or given.write):
        run(given.results, given.shared, [c for c in given.cells.split(",") if c], neurons, given.restarts, given.again)
    head, table = ("cell", *neurons), lines(given.results, neurons)
    if given.write:
        page = ROOT / "docs" / "recovery.md"
        page.write_text(_between(page.read_text(encoding="utf-8"), "restarts", markdown(head, table)), encoding="utf-8")
    print(plain(head, table))


if __name__ == "__main__":
    main()
