"""Do known cells of every neuron of the catalogue come back from a default fit? One command, one table.

    python benchmarks/recovery_all.py                        # every neuron, two cells each
    python benchmarks/recovery_all.py --neurons GIF,MAT --cells 4
    python benchmarks/recovery_all.py --table                # run nothing, show what is done
    python benchmarks/recovery_all.py --write                # the table between its marks in docs/recovery.md

A cell is drawn about the declared starts and recorded for a minute at ten spikes a second, with escape noise, with
voltage where the neuron has one; `ephysfit.fit(recording, neuron)` runs its default stages, seed 0. What is done lies
in the results folder and is not run again.

Spikes do not fix the scale and the zero of mV, so compared is what they determine: time constants, currents in pA,
conductances by the leak, potentials by the distance between rest and threshold. Of these, the ones that an exact
fit could tell (standard error from the Fisher information at the truth under a quarter) must come back.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ephysfit as ef
from ephysfit.data.recording import Recording
from ephysfit.errors import NeuronError, near
from ephysfit.fitting.chain import default_stages
from ephysfit.fitting.chain import run_stages as run_stages
from ephysfit.fitting.stage import Problem, start_from_measurements
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.stages.passive import Passive
from ephysfit.fitting.stages.refractory_period import LengthenRefractory, Refractory
from ephysfit.fitting.warm_starts import add_starts_from_simpler_fits
from ephysfit.metrics.score import score
from ephysfit.models import catalogue
from ephysfit.neuron.declare import Neuron, declared, flatten, scalar_values
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.replay import Replay
from ephysfit.simulation.simulate import simulate
from ephysfit.synthetic import draw, level_for, recording

sys.path.insert(0, str(Path(__file__).resolve().parent))

from accuracy import ROOT, _between, _two, markdown, plain, store

#: recorded and fitted step, ms
DT = 0.5
#: spikes per second that cells are driven to, and how many cells are drawn to find one that can
RATE, TRIES = 10.0, 12
#: how far about the declared starts cells are drawn, in prior widths
SPREAD = 0.15
#: standard error, as a share of the value, up to which spikes determine a reading
TOLD = 0.25
#: a potential's zero and unit: rest and threshold under the names that neurons give them
REST, THRESHOLD = ("E_L", "V_r"), ("theta", "V_T", "V_t")
#: stages whose estimate is the most likely one
LIKELY = ("likelihood", "refractory")
#: potentials, by name; all other parameters in mV are differences
POTENTIALS = ("V_", "E_")


def fittable() -> list[str]:
    """Neurons of the catalogue that a recording can drive: one current."""
    return [n for n, kind in catalogue().items() if len(kind.inputs) == 1]


def known_cell(kind: type[Neuron], seed: int) -> tuple[Neuron, Recording]:
    """A cell and its recording; a neuron with a standardised input is told the operating point it was recorded at."""
    for cell in draw(kind, TRIES, seed=seed, spread=SPREAD):
        level = level_for(cell, RATE, dt=DT, noise="escape", seed=seed)
        data = recording(cell, dt=DT, mean=level, std=level, repeats=10, noise="escape", seed=seed)
        fired = len(data.sweeps[0].spike_times) / 60.0
        if fired > 2 * RATE:
            continue  # a cell that its own spikes excite: silent until it starts, then never still
        return standardised(cell, start_from_measurements(Problem(data.split()[0], kind, DT))), data
    raise SystemExit(f"none of {TRIES} cells drawn of {kind.__name__} fires at about {RATE:g} spikes per second")


def standardised(cell: Neuron, told: Neuron) -> Neuron:
    """The same AIGIF, written about another operating point."""
    if "I_0" not in type(cell).parameters:
        return cell
    gain, shift = told.I_s / cell.I_s, sum(cell.R) * (told.I_0 - cell.I_0) / cell.I_s
    moved: dict[str, Any] = {"I_0": told.I_0, "I_s": told.I_s, "R": tuple(r * gain for r in cell.R)}
    for name in {"theta", "v_m", "v_n", "v_y"} & set(type(cell).parameters):
        value = getattr(cell, name)
        moved[name] = tuple(v - shift for v in value) if isinstance(value, tuple) else value - shift
    return cell.replace(**moved)


def readings(cell: Neuron) -> dict[str, Any]:
    """What spikes can determine of a cell: no reading changes with the scale or the zero of its potentials."""
    kind, out = type(cell), {}
    flat, units = flatten(kind.parameters, cell.values()), declared(kind)
    rest = next((n for n in REST if n in flat), None)
    top = next((n for n in THRESHOLD if n in flat), None)
    apart = flat[top] - flat[rest] if rest and top else None
    for name, value in flat.items():
        unit = units[name].unit
        if name in (rest, "t_ref") or units[name].measured:
            continue
        if apart is None or (unit in ("ms", "1/ms", "1", "pA", "mV/ms") and name != "rise"):
            out[name] = value
        elif name == top:
            out[f"({top} - {rest}) x leak"] = apart * _leak(flat)
        elif unit == "mV":
            whole = value - flat[rest] if name.startswith(POTENTIALS) else value
            out[f"{name} by threshold"] = whole / apart
        elif unit == "pF":
            out["C by leak"] = value / _leak(flat)
        elif name != "g" and unit == "nS":
            out[f"{name} by leak"] = value / _leak(flat)
    return out


def _leak(flat: dict[str, Any]) -> Any:
    """The leak, nS, under whichever names the neuron gives it; a capacitance by its time constant otherwise."""
    if "g" in flat:
        return flat["g"]
    if "k" in flat and "V_r" in flat:
        return flat["k"] * (flat["V_t"] - flat["V_r"])
    if "R" in flat:
        return 1 / flat["R"]
    if "tau" in flat:
        return flat["C"] / flat["tau"]
    return flat["C"] * flat["gamma"] if "gamma" in flat else flat["C"]


def study(name: str, seed: int, quick: bool = False) -> dict[str, Any]:
    """One known cell: fitted, compared, run; quickly: by the stages up to the likelihood alone."""
    kind = catalogue()[name]
    cell, data = known_cell(kind, seed)
    train, test = data.split()
    if quick and not kind.searched:
        stages = [
            s for s in default_stages(kind) if isinstance(s, (Passive, Likelihood, Refractory, LengthenRefractory))
        ]
        found = run_stages(add_starts_from_simpler_fits(Problem(train, kind, DT)), stages)
    else:
        found = ef.fit(train, kind, seed=0)
    likely = next((e.neuron for e in reversed(found.history) if e.stage in LIKELY), found.neuron)
    problem = Problem(train, kind, DT)
    return {
        "neuron": name, "seed": seed, "spikes": problem.n_spikes,
        "numbers": len(FreeParameters.of(kind, smooth_only=True).names),
        "seconds": found.seconds, "excess": excess(cell, likely, test), "readings": compared(cell, likely, problem),
        "searched": kind.searched,
        "t_ref_steps": round((getattr(likely, "t_ref", 0.0) - getattr(cell, "t_ref", 0.0)) / DT),
        "md_likely": agreement(cell, likely, test),
        "md_final": None if quick and not kind.searched else agreement(cell, found.neuron, test),
        "md_least": agreement(cell, kind.start().replace(**told(cell)), test), "warnings": list(found.warnings),
        "cell": scalar_values(cell), "likely": scalar_values(likely), "final": scalar_values(found.neuron),
    }  # fmt: skip


def told(cell: Neuron) -> dict[str, Any]:
    """What is read off a recording and not fitted."""
    return {n: getattr(cell, n) for n, p in type(cell).parameters.items() if p.measured}


def excess(cell: Neuron, found: Neuron, test: Recording) -> float:
    """How many nats per spike the fit is expected to lose against the truth on data neither has seen.

    Not the difference of two log-likelihoods but its expectation given the recorded past: of each bin, the divergence
    of "a spike or none" under the truth from that under the fit.
    """
    kind = type(cell)
    free = FreeParameters.of(kind, smooth_only=True)
    sweeps = Problem(test, kind, DT).everything
    pair = [Replay(free, c, DT).rates(free.to_vector(c), sweeps) for c in (cell, found)]
    barred = round(max(getattr(c, "t_ref", 0.0) for c in (cell, found)) / DT)
    total = 0.0
    for sweep, (_, true), (_, guess) in zip(sweeps, *pair, strict=True):
        use = sweep.use.astype(bool) & ~_after(sweep.spikes, barred)
        r, q = np.exp(true[use]) * DT, np.exp(guess[use]) * DT
        p = -np.expm1(-r)
        total += float((p * (_log_spike(r) - _log_spike(q)) + (1 - p) * (q - r)).sum())
    return total / max(sum(s.n_spikes for s in sweeps), 1)


def _log_spike(expected: Any) -> Any:
    """Logarithm of the probability of a spike in a bin where `expected` are expected."""
    return np.log(np.maximum(-np.expm1(-expected), 1e-300))


def _after(spikes: Any, steps: int) -> Any:
    """The bins that a refractory period bars."""
    out = np.zeros(len(spikes), dtype=bool)
    for k in np.flatnonzero(spikes):
        out[k + 1 : k + 1 + steps] = True
    return out


def compared(cell: Neuron, found: Neuron, problem: Problem) -> dict[str, dict[str, float]]:
    """Each reading of the truth and of the fit, and the standard error that an exact fit would have."""
    kind = type(cell)
    free = FreeParameters.of(kind, smooth_only=True)
    z = free.to_vector(cell)
    fisher = Replay(free, cell, DT).information(z, problem.everything).fisher
    covariance = np.linalg.pinv(fisher, hermitian=True)
    # what the data do not move at all has no inverse: it is left with an error without end
    still = np.diag(fisher) <= 1e-9 * max(float(np.diag(fisher).max()), 1e-300)
    start = readings(kind.start().replace(**told(cell)))
    back, out = readings(found), {}
    for name, value in readings(cell).items():
        leaf = torch.tensor(z, requires_grad=True)
        (slope,) = torch.autograd.grad(torch.as_tensor(readings(free.to_neuron(leaf, cell))[name]), leaf)
        s = slope.numpy()
        error = np.inf if np.abs(s[still]).max(initial=0.0) > 1e-12 else float(np.sqrt(max(s @ covariance @ s, 0.0)))
        scale = max(abs(float(value)), abs(float(start[name])), 1e-3)
        out[name] = {"true": float(value), "found": float(back[name]), "error": abs(float(back[name] - value)) / scale,
                     "claimed": min(error / scale, 1e6)}  # fmt: skip
    return out


def agreement(cell: Neuron, found: Neuron, test: Recording) -> float:
    """Md* (8 ms) of noisy runs of the fit with the repeats of the truth."""
    runs = simulate(found, test, runs=100, dt=DT, noise="escape", seed=2)
    return float(score(runs, test, start=500.0, stop=9500.0)["md_star_8"])


def run(results: Path, names: Sequence[str], cells: int, quick: bool) -> None:
    """Study what is not there yet, one file each."""
    for name in names:
        for seed in range(cells):
            path = results / f"{name}_{seed}.json"
            if not path.exists():
                try:
                    row = study(name, seed, quick)
                except NeuronError as refused:  # no cell can be drawn that behaves
                    print(f"{name} {seed}: {refused}", file=sys.stderr, flush=True)
                    continue
                store(path, row)
                print(f"{name} {seed}: {brief(row)}", file=sys.stderr, flush=True)


def brief(row: dict[str, Any]) -> str:
    """A line of progress."""
    good = determined(row)
    worst = max((r["error"] for r in good.values()), default=0.0)
    return (
        f"{row['spikes']} spikes, excess {row['excess']:.4f} (expected {expected(row):.4f}) nats per spike, "
        f"{len(good)} of {len(row['readings'])} told, worst {worst:.2f}, "
        f"Md* {row['md_likely']:.2f} {_two(row['md_final'])}"
    )


def expected(row: dict[str, Any]) -> float:
    """What an efficient fit loses: half a nat a fitted number."""
    return row["numbers"] / 2 / row["spikes"]


def determined(row: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The readings that the recorded spikes determine."""
    return {n: r for n, r in row["readings"].items() if r["claimed"] <= TOLD}


HEAD = ("neuron", "numbers", "excess, nats per spike", "of an efficient fit", "Md* 8 likelihood", "Md* 8 fit",
        "Md* 8 at the start", "determined by spikes", "their median error", "within 2 s.e.",
        "not determined")  # fmt: skip


def lines(results: Path) -> list[tuple[str, ...]]:
    """One row a neuron."""
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(results.glob("*.json"))]
    out = []
    for name in fittable():
        mine = [r for r in rows if r["neuron"] == name]
        if mine:
            out.append(_line(name, mine))
    return out


def _line(name: str, rows: list[dict[str, Any]]) -> tuple[str, ...]:
    good = [r for row in rows for r in determined(row).values()]
    lost = [n for n in rows[0]["readings"] if all(n not in determined(r) for r in rows)]
    within = np.mean([r["error"] <= 2 * r["claimed"] + 1e-9 for r in good]) if good else np.nan
    mean = {k: _mean([r[k] for r in rows]) for k in ("md_likely", "md_final", "md_least")}
    return (
        name, str(rows[0]["numbers"]), *_lost(name, rows),
        *(_two(mean[k]) for k in ("md_likely", "md_final", "md_least")),
        f"{len(good) / len(rows):.0f} of {len(rows[0]['readings'])}",
        f"{100 * np.median([r['error'] for r in good]):.0f} %" if good else "–",
        f"{100 * within:.0f} %" if good else "–", shortened(lost),
    )  # fmt: skip


def _lost(name: str, rows: list[dict[str, Any]]) -> tuple[str, str]:
    """Excess and what is expected of it; nothing of a neuron whose likelihood is no guide."""
    if catalogue()[name].searched:
        return "–", "–"
    return f"{np.mean([r['excess'] for r in rows]):.4f}", f"{np.mean([expected(r) for r in rows]):.4f}"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def shortened(names: Iterable[str]) -> str:
    """Names of readings, with the elements of a bank joined."""
    plain_names = [n.split(" by ")[0] for n in names]
    groups: dict[str, list[str]] = {}
    for n in plain_names:
        stem, _, last = n.rpartition("_")
        groups.setdefault(stem if last.isdigit() else n, []).append(last if last.isdigit() else "")
    return ", ".join(k if v == [""] else f"{k} {','.join(v)}" for k, v in groups.items()) or "–"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--neurons", default="", help="names, comma between; the whole catalogue unless given")
    options.add_argument("--cells", type=int, default=2)
    options.add_argument("--quick", action="store_true", help="leave out what a default fit does after the likelihood")
    options.add_argument("--results", type=Path, default=ROOT / "build" / "recovery", help="folder of what is done")
    options.add_argument("--table", action="store_true", help="run nothing, show what is done")
    options.add_argument("--write", action="store_true", help="run nothing, write the table into docs/recovery.md")
    given = options.parse_args()
    if given.write:
        page = ROOT / "docs" / "recovery.md"
        text = _between(page.read_text(encoding="utf-8"), "recovery", markdown(HEAD, lines(given.results)))
        page.write_text(text, encoding="utf-8")
        return
    names = [n for n in given.neurons.split(",") if n] or fittable()
    for n in set(names) - set(fittable()):
        raise SystemExit(f"no neuron {n!r} to recover; {near(n, fittable())}")
    if not given.table:
        run(given.results, names, given.cells, given.quick)
    print(plain(HEAD, lines(given.results)))


if __name__ == "__main__":
    main()
