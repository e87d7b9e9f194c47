"""Round trips of every export: the same current in ephysfit and in the simulator, spike times side by side.

    python benchmarks/exports.py write DIR [--all]     exports, currents and ephysfit's own spikes (this environment)
    PYTHON benchmarks/exports_run.py DIR               the simulators run them (an environment of their own)
    python benchmarks/exports.py table DIR [--docs]    the table; exit code 1 where spikes part by more than a step

``make exports`` does all three on the neurons of `SOME`; ``--all`` takes the catalogue (the NEST models alone compile
for half an hour on two cores). ``--docs`` puts the table into docs/export.md.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np

from ephysfit.errors import ExportError
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.model_import import import_model
from ephysfit.fitting.model_import.nest_neurons import MODELS
from ephysfit.fitting.stage_reports import CausalRun, Reports
from ephysfit.models import catalogue
from ephysfit.reports.export import export
from ephysfit.reports.export.mathtext import NESTML
from ephysfit.reports.export.population import export_population
from ephysfit.simulation.simulate import simulate

ROOT = Path(__file__).parents[1]
#: one of every build: linear, banks, products of states, functions, two inputs, upstroke; a hard LIF for NIR
SOME = ("LIF", "ALIF", "GLIF5", "BRF", "STCLIF", "SpatialSTC", "AdEx", "AIGIF")
#: neurons of which a population of so many cells is exported: linear, with banks, with an upstroke
CROWDS, CROWD = ("LIF", "GLIF5", "AdEx"), 50
#: neurons of NEST that are imported (model, values), and run by NEST itself: those that draw no random numbers
CURRENTS = {"t_ref": 3.7, "after_spike_currents": True, "asc_r": [1.0, 1.0]}
ALL_GLIF = {**CURRENTS, "spike_dependent_threshold": True, "adapting_threshold": True, "voltage_reset_fraction": 0.0}
IMPORTED: tuple[tuple[str, dict], ...] = (
    ("iaf_psc_exp", {}), ("mat2_psc_exp", {}), ("glif_psc", {"t_ref": 3.7}),
    ("glif_psc", {**CURRENTS, "V_reset": -70.0}), ("glif_psc", ALL_GLIF),
    ("aeif_psc_exp", {}), ("aeif_cond_exp", {"t_ref": 2.0}), ("aeif_cond_alpha", {"Delta_T": 0.0}),
)  # fmt: skip
#: mean current (pA) to which NEST's defaults spike
MEMBRANES = {"iaf_psc_exp": 500.0, "mat2_psc_exp": 700.0, "glif_psc": 500.0, "aeif_psc_exp": 700.0,
             "aeif_cond_exp": 700.0, "aeif_cond_alpha": 700.0}  # fmt: skip
#: cells that are neurons of NEST's own: class, what differs from its start, how it spikes. Those that draw at random
#: have so little softness that no draw is open
SHARP = {"delta": 1e-6}
OWN: tuple[tuple[str, dict, str], ...] = (
    ("LIF", {}, "threshold"), ("LIFASC", {}, "threshold"), ("GLIF1", {}, "threshold"), ("GLIF3", {}, "threshold"),
    ("GLIF2", {"f_v": 0.0}, "threshold"), ("GLIF4", {"f_v": 0.0}, "threshold"),
    ("GLIF5", {"f_v": 0.0, "b_v": 0.03}, "threshold"),
    ("MAT", {}, "threshold"), ("MATV", {"beta": 0.0, "tau_H": (15.0, 90.0)}, "threshold"), ("AdLIF", {}, "threshold"),
    ("LIF", SHARP, "noisy"), ("LIFASC", SHARP, "noisy"), ("GIF", SHARP, "noisy"), ("FreeGIF", SHARP, "noisy"),
)  # fmt: skip
#: cells that are cells of NeuroML's own: class, what differs from its start, form
OWN_NEUROML: tuple[tuple[str, dict, str], ...] = (
    ("LIF", {}, "own"), ("LIF", {"t_ref": 0.0}, "own"), ("GLIF1", {}, "own"), ("AdLIF", {}, "own"),
    ("Izhikevich", {"t_ref": 0.0}, "own"), ("Izhikevich2003", {}, "own"),
    ("AdEx", {"rise": 1e4}, "adExIaFCell"), ("EIF", {"rise": 1e4}, "adExIaFCell"),
)  # fmt: skip
#: populations that are one neuron of a simulator's own: class, what differs from its start, target
OWN_CROWDS: tuple[tuple[str, dict, str], ...] = (
    *((n, given, "nest") for n, given, _ in OWN if n in ("AdLIF", "GLIF5", "MAT")),
    ("LIF", {}, "neuroml"), ("AdLIF", {}, "neuroml"), ("Izhikevich", {"t_ref": 0.0}, "neuroml"),
)  # fmt: skip
#: parameters of the flow that are set in NEST after a model was built: class, new values, rest among them
SET: tuple[tuple[str, dict], ...] = (
    ("LIF", {"C": 130.0, "g": 6.0, "E_L": -67.0, "theta": -44.0}),
    ("AdLIF", {"C": 130.0, "g": 6.0, "E_L": -67.0, "a": 2.0, "tau_w": 60.0}),
    ("GLIF5", {"C": 120.0, "g": 6.5, "E_L": -66.0, "b_s": 0.03, "b_v": 0.04}),
)  # fmt: skip
#: noisy runs of a cell, which are compared by their counts of spikes: class, target, form
NOISY_RUNS, NOISY_STEP = 400, {"neuroml": 0.02}
NOISY: tuple[tuple[str, str, str], ...] = (
    *((name, to, "auto") for name in ("LIF", "ALIF", "GLIF5") for to in ("brian2", "nest", "neuroml")),
    *((name, "nest", "gif_psc_exp") for name in ("LIF", "LIFASC", "GIF")),
)  # fmt: skip
#: largest difference of mean counts, in its standard errors
MOST_ERRORS = 3.5
#: step of the test (ms); jLEMS integrates by Euler's rule, so both sides take a finer one there
DT, FINE = 0.1, 0.002
#: still finer steps of jLEMS, for populations that at FINE part by more than is allowed: Euler's rule meets cells there
#: that linger at the upstroke
FINER = {"AdEx": 0.0005, "Izhikevich": 0.0005}
#: how far spikes may part (ms): one step of the test; with Euler's rule one step of a usual fit
ALLOWED = {"neuroml": 0.5}
#: length of the current and of its pieces (ms)
LENGTH, PIECE = 800.0, 20.0
TARGETS = ("python", "brian2", "nest", "neuroml", "nir")
LEVELS = ((150.0, 60.0), (400.0, 200.0), (2.0, 1.0), (50.0, 20.0), (1500.0, 800.0))
NOISE = {"threshold": "none", "causal": "integrated"}
#: a start with empty banks hears nothing; NIR's LIF has no refractory period
HEARING = {"R": (1.0,) * 8, "gamma": (-1.0,) * 7, "theta": 4.0}
AWAKE = {"BankGIF": HEARING, "AIGIF": HEARING}


def spikes(fit: Fit, drive: np.ndarray, spiking: str, dt: float) -> np.ndarray:
    return simulate(fit.neuron, drive, dt=dt, noise=NOISE[spiking]).spike_times[0][0]


def drive_of(fit: Fit, spiking: str) -> tuple[np.ndarray, np.ndarray]:
    """A current in pieces, (piece, input), to which the neuron fires at 5 to 100 Hz, and the same in steps of DT."""
    rng = np.random.default_rng(0)
    count, inputs = round(LENGTH / PIECE), len(type(fit.neuron).inputs)
    for mean, std in LEVELS:
        levels = (mean + std * rng.standard_normal(count)).round(3)
        pieces = np.stack([levels, *[rng.random(count) < 0.2 for _ in range(inputs - 1)]], -1).astype(float)
        current = stepped(pieces, DT)
        if 0.005 * LENGTH <= len(spikes(fit, current, spiking, DT)) <= 0.1 * LENGTH:
            break
    return pieces, current


def stepped(pieces: np.ndarray, dt: float) -> np.ndarray:
    steps = np.repeat(pieces, round(PIECE / dt), axis=0)
    return steps[:, 0] if steps.shape[1] == 1 else steps


def write(folder: Path, names: list[str]) -> None:
    """Every export that exists, and why the others do not."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = []
    for name in names:
        neuron = catalogue()[name].start().replace(**AWAKE.get(name, {}))
        for to in TARGETS:
            spiking = "threshold" if to == "nir" or not type(neuron).stochastic() else "causal"
            dt = FINE if to == "neuroml" else DT
            given = neuron.replace(t_ref=0.0) if to == "nir" and "t_ref" in type(neuron).parameters else neuron
            fit, key = Fit(given, "cell", dt), f"{name}_{to}"
            try:
                files = export(fit, to, folder / (key if to != "brian2" else f"{key}_script"), spiking=spiking)
            except ExportError as error:
                plan.append({"name": name, "to": to, "refused": str(error)})
                continue
            pieces, current = drive_of(fit, spiking)
            own = spikes(fit, stepped(pieces, dt), spiking, dt)
            np.savez(folder / f"{key}.npz", pieces=pieces, current=current, own=own)
            plan.append({"name": name, "to": to, "main": files[0].name, "key": key, "dt": dt, "piece": PIECE})
        print(f"{name:18s}" + "  ".join(p["to"] for p in plan if p["name"] == name and "main" in p), flush=True)
    for name in CROWDS:
        plan += [write_crowd(folder, name, to, {"t_ref": 0.0} if to == "nir" else {}) for to in TARGETS]
        print(
            f"{CROWD} cells of {name:6s}" + "  ".join(p["to"] for p in plan[-len(TARGETS) :] if "main" in p), flush=True
        )
    plan += [write_crowd(folder, name, to, given, "own") for name, given, to in OWN_CROWDS]
    plan += [item for k in range(len(IMPORTED)) if (item := write_imported(folder, k))]
    plan += [write_own(folder, *own) for own in OWN]
    plan += [write_own_neuroml(folder, *own) for own in OWN_NEUROML]
    plan += [write_set(folder, *given) for given in SET]
    plan += [write_noisy(folder, *given) for given in NOISY]
    (folder / "plan.json").write_text(json.dumps(plan, indent=1))


def write_own(folder: Path, name: str, given: dict, spiking: str) -> dict:
    """A cell as a neuron of NEST's own, whose spikes must be the very same."""
    fit, key = Fit(catalogue()[name].start().replace(**given), "cell", DT), f"own_{name}_{spiking}"
    main, *_ = export(fit, "nest", folder / key, spiking=spiking, form="own")
    pieces, current = drive_of(fit, "threshold")
    np.savez(folder / f"{key}.npz", pieces=pieces, current=current, own=spikes(fit, current, "threshold", DT))
    row = f"{name} written as {json.loads(main.read_text())['model']}"
    return {"name": row, "to": "nest", "main": main.name, "key": key, "dt": DT, "allowed": 0.0}


def write_own_neuroml(folder: Path, name: str, given: dict, form: str) -> dict:
    """A cell as a cell of NeuroML's own."""
    fit, key = Fit(catalogue()[name].start().replace(**given), "cell", FINE), f"own_{name}_{'_'.join(given)}_neuroml"
    main, *_ = export(fit, "neuroml", folder / key, spiking="threshold", form=form)
    pieces, current = drive_of(fit, "threshold")
    np.savez(
        folder / f"{key}.npz", pieces=pieces, current=current, own=spikes(fit, stepped(pieces, FINE), "threshold", FINE)
    )
    model, changed = re.findall(r'<(\w+) id="', main.read_text())[-1], ", ".join(f"{n} {v:g}" for n, v in given.items())
    row = f"{name}{' (' if given else ''}{changed}{')' if given else ''} written as {model}"
    return {"name": row, "to": "neuroml", "main": main.name, "key": key, "dt": FINE, "piece": PIECE}


def write_set(folder: Path, name: str, changed: dict) -> dict:
    """A model of NESTML in which NEST sets other parameters than those it was written with."""
    start, key = catalogue()[name].start(), f"set_{name}"
    main, *_ = export(Fit(start, key, DT), "nest", folder / key, spiking="causal")
    pieces, current = drive_of(Fit(start, key, DT), "causal")
    own = spikes(Fit(start.replace(**changed), key, DT), current, "causal", DT)
    np.savez(folder / f"{key}.npz", pieces=pieces, current=current, own=own)
    values = {NESTML.name_of(n): v for n, v in changed.items()} | {"V_": changed["E_L"]}
    row = f"{name} with {', '.join(changed)} set in NEST"
    return {"name": row, "to": "nest", "main": main.name, "key": key, "dt": DT, "set": values}


def write_noisy(folder: Path, name: str, to: str, form: str) -> dict:
    """Many noisy runs of a cell: a population of cells that are all the same."""
    neuron, dt, key = catalogue()[name].start(), NOISY_STEP.get(to, DT), f"{name}_noisy_{to}_{form}"
    fits = [Fit(neuron, f"run {k}", dt) for k in range(NOISY_RUNS)]
    (script,) = export_population(fits, to, folder / key, spiking="noisy", form=form)
    pieces, _ = drive_of(Fit(neuron, "cell", DT), "causal")
    current = stepped(pieces, dt)
    runs = simulate(neuron, current, dt=dt, noise="escape", runs=NOISY_RUNS, seed=1)
    np.savez(folder / f"{key}.npz", pieces=pieces, current=current, own=[len(t) for t in runs.spike_times[0]])
    row = f"{NOISY_RUNS} noisy runs of {name}" + (f" written as {form}" if form != "auto" else "")
    return {"name": row, "to": to, "main": str(script.relative_to(folder)), "key": key, "dt": dt,
            "cells": [f.cell for f in fits], "count": True}  # fmt: skip


def write_imported(folder: Path, k: int) -> dict:
    """Values of a neuron of NEST, for NEST, and the spikes of what they are imported as."""
    model, given = IMPORTED[k]
    values = {n: list(v) if isinstance(v, tuple) else v for n, v in {**MODELS[model].defaults, **given}.items()}
    fit, key = import_model(values, model=model), f"imported_{k}"
    noise = np.random.default_rng(0).standard_normal(round(LENGTH / PIECE))
    pieces = MEMBRANES[model] * (1.0 + 0.4 * noise)
    own = np.rint(spikes(fit, stepped(pieces[:, None], fit.dt), "threshold", fit.dt) / DT - 0.5) + 0.5
    np.savez(folder / f"{key}.npz", pieces=pieces, current=stepped(pieces[:, None], DT), own=own * DT)
    flags = ", ".join(n for n, v in given.items() if v is True)
    name = f"{model}{' with ' if flags else ''}{flags} as {fit.model}"
    allowed = 4 * DT if model.startswith("aeif") else DT  # an upstroke ends within a step, NEST's refractory period not
    return {"name": name, "to": "nest", "main": "", "native": model, "key": key, "values": values, "dt": DT,
            "allowed": allowed}  # fmt: skip


def draw_crowd(name: str, given: dict, dt: float, shortest: int) -> list[Fit]:
    """Cells of their own membrane, refractory period and sharpened hazard."""
    rng, fits = np.random.default_rng(1), []
    for k in range(CROWD):
        start = catalogue()[name].start().replace(**given)
        C, g = start.C * rng.uniform(0.7, 1.4), getattr(start, "g", 1.0) * rng.uniform(0.7, 1.4)
        readout = CausalRun((rng.uniform(0.8, 2.0), rng.uniform(-1.0, 1.0)))
        own = {"C": C, "g": g} if "g" in type(start).parameters else {"C": C}
        cell = start.replace(**own, t_ref=given.get("t_ref", float(rng.integers(shortest, 6))))
        fits.append(Fit(cell, f"cell {k}", dt, reports=Reports(readout)))
    return fits


def write_crowd(folder: Path, name: str, to: str, given: dict, form: str = "auto") -> dict:
    """A population in one model, loader and table, and the spikes of all its cells."""
    spiking = "threshold" if to == "nir" or form == "own" else "causal"
    fits = draw_crowd(name, given, FINE if to == "neuroml" else DT, shortest=form == "own")
    row, key, dt = f"{CROWD} cells of {name}", f"{name}_crowd_{to}_{form}", fits[0].dt
    try:
        (script,) = export_population(fits, to, folder / key, spiking=spiking, form=form)
    except ExportError as error:
        return {"name": row, "to": to, "refused": str(error)}
    if form == "own":
        row += " written as " + re.findall(r'^(?:MODEL|TYPE), DT = "(\w+)"', script.read_text(), flags=re.M)[0]
    pieces, _ = drive_of(Fit(fits[0].neuron, "cell", DT), spiking)
    current = stepped(pieces, dt)
    how = [f.noise_free if spiking == "causal" else {"noise": NOISE[spiking]} for f in fits]
    runs = [simulate(f.neuron, current, dt=dt, **options) for f, options in zip(fits, how, strict=True)]
    own = np.concatenate([k * LENGTH + run.spike_times[0][0] for k, run in enumerate(runs)])  # one after the other
    np.savez(folder / f"{key}.npz", pieces=pieces, current=current, own=own)
    more = {"step": FINER[name]} if to == "neuroml" and name in FINER else {}
    more |= {"allowed": 0.0} if to == "nest" and form == "own" else {}
    return {"name": row, "to": to, "main": str(script.relative_to(folder)), "key": key, "dt": dt, **more,
            "cells": [f.cell for f in fits]}  # fmt: skip


def verdict(folder: Path, item: dict) -> tuple[str, bool]:
    """A cell of the table, and whether it is as it should be."""
    if "refused" in item:
        return "–", True
    result = folder / f"{item['key']}.found.json"
    if not result.exists():
        return "not run", False
    found = json.loads(result.read_text())
    if "error" in found:
        return f"failed: {found['error'][:60]}", False
    own, other = np.load(folder / f"{item['key']}.npz")["own"], np.array(found["spikes"])
    if "count" in item:
        error = float(np.hypot(*(np.std(counts, ddof=1) / np.sqrt(len(counts)) for counts in (own, other))))
        apart = float(other.mean() - own.mean())
        return f"{other.mean():.2f}, here {own.mean():.2f} ({apart:+.2f} ± {error:.2f})", abs(
            apart
        ) <= MOST_ERRORS * error
    if len(own) != len(other):
        return f"{len(other)} spikes, not {len(own)}", False
    if not len(own):
        return "silent", False
    apart = float(np.abs(own - other).max())
    word = "the same" if apart < 1e-6 else f"within {max(apart, 0.001):.1g} ms"
    return f"{word} ({len(own)})", apart <= item.get("allowed", ALLOWED.get(item["to"], DT)) + 1e-6


def table(folder: Path, docs: bool) -> int:
    """Print the table; the number of cells that are not as they should be."""
    plan = json.loads((folder / "plan.json").read_text())
    rows, bad = [], 0
    for name in dict.fromkeys(p["name"] for p in plan):
        cells = {p["to"]: verdict(folder, p) for p in plan if p["name"] == name}
        bad += sum(not good for _, good in cells.values())
        rows.append(f"| {name} | " + " | ".join(cells[to][0] if to in cells else "" for to in TARGETS) + " |")
    lines = [f"| neuron | {' | '.join(TARGETS)} |", "|---" * (len(TARGETS) + 1) + "|", *rows]
    print("\n".join(lines))
    for item in plan:
        if "refused" in item and not docs:
            print(f"{item['name']} / {item['to']}: {item['refused']}")
    if docs:
        page = ROOT / "docs" / "export.md"
        between = re.compile(r"(<!-- table -->\n).*?(\n<!-- end -->)", flags=re.S)
        text = between.sub(lambda m: m[1] + "\n".join(lines) + m[2], page.read_text())
        page.write_text(text)
    return bad


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["write", "table"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true", help="the whole catalogue, not one of every build")
    parser.add_argument("--docs", action="store_true", help="put the table into docs/export.md")
    asked = parser.parse_args()
    if asked.what == "write":
        write(asked.folder, list(catalogue()) if asked.all else list(SOME))
    else:
        sys.exit(1 if table(asked.folder, asked.docs) else 0)


if __name__ == "__main__":
    main()
