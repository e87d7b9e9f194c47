"""Held-out prediction of spike times: every neuron on real cells, one command, one table.

    python benchmarks/accuracy.py                           # all neurons of the catalogue, all cells that are there
    python benchmarks/accuracy.py --models AIGIF,ALIF --cells DRN164
    python benchmarks/accuracy.py --recovery                # synthetic cells of known parameters instead
    python benchmarks/accuracy.py --write                   # docs/accuracy.json and docs/accuracy.md from what was run
    python benchmarks/accuracy.py --json                    # the rows on stdout

One fit a row, seed 0, nothing tuned by hand. A fit sees the training noise only; scores are on 500 to 9500 ms of the
ten repeats of another noise. Each (cell, neuron) that is done lies as one JSON file in the results folder and is not
run again, so a run that was stopped goes on where it was; --again runs them anew.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import block_alif
import numpy as np

import ephysfit as ef
from ephysfit.data.recording import Recording
from ephysfit.errors import EphysfitError, near
from ephysfit.metrics.headline_scores import NOISE_FREE
from ephysfit.simulation.simulate import Simulation, simulate

ROOT = Path(__file__).resolve().parents[1]
RAPHE = ROOT.parent / "shared" / "data" / "raphe"
CELLS = ("DRN164", "DRN158", "DRN162")
#: scored stretch of the test noise, ms
SCORED = (500.0, 9500.0)
#: what fits are for: a neuron whose membrane is held at the cell's predicts less (docs/physiology.md)
OBJECTIVE = "prediction"
#: noisy runs of a stochastic neuron
RUNS = 200

#: what others reach on these cells (held-out repeats, fitted on the training noise): Γ/R | Md* 4 | Md* 8 per cell.
#: Measured by the team before the project, with the peers' own code; the source is what the code implements.
PEERS: tuple[tuple[str, str, tuple[str, str, str], str], ...] = (
    ("GIF, raphegif toolbox", "Pozzorini et al. 2015; Harkin et al. 2023",
     ("– .35 .54", "– .36 .53", "– .23 .37"), "8–9"),
    ("aGIF, raphegif toolbox", "Harkin et al. 2023", ("– .38 .60", "– .41 .61", "– .31 .46"), "16–18"),
    ("iGIF, raphegif toolbox", "Mensi et al. 2016", ("– .52 .75", "– .55 .71", "– .37 .53"), "22–26"),
    ("ALIF by brian2modelfitting, 4000 candidates", "Teska et al. 2020", (".54 .52 .66", "", ""), "280"),
    ("three-time-scale MAT, differential evolution", "Kobayashi et al. 2009",
     (".48 .47 .68", ".51 .44 .61", ".50 .45 .53"), ""),
    ("stochastic GLM, 14 + 12 bases", "Pillow et al. 2008", ("– .61 .79", "– .60 .74", "– .43 .58"), ""),
)  # fmt: skip

#: the Block-ALIF paper's own way to fit (benchmarks/block_alif.py), flaws and all
RECIPES = ("Block-ALIF-recipe",)
#: fits that take more than the default effort: ``NAME EFFORT``
EFFORTS = ("AIGIF best",)

#: neurons in the README (the best, and those that users know), and the peers beside them
SHOWN = ("AIGIF best", "AIGIF", "BankIGIF", "IGIF", "AGIF", "GIF", "GLIF4", "MAT", "ALIF", "BlockALIF", "AdLIF", "AdEx",
         "LIF")  # fmt: skip
FRONT = {
    "iGIF, raphegif toolbox": "iGIF, raphegif toolbox, voltage used (best public peer)",
    "three-time-scale MAT, differential evolution": "MAT, differential evolution",
}

Row = dict[str, Any]


def cells() -> dict[str, tuple[Recording, Recording]]:
    """(train, test) of each cell that is there: two are shipped, the third lies beside a development checkout."""
    out = {name: ef.load(ROOT / "data" / f"{name}.nwb").split() for name in CELLS[:2]}
    folder = RAPHE / "DRN162_5HT"
    if folder.is_dir():
        train, test = (ef.load(folder / f"DRN162_5ht_{part}.abf") for part in ("training", "test"))
        out["DRN162"] = (train, test)
    return out


def measure(cell: str, model: str, train: Recording, test: Recording) -> Row:
    """Fit one neuron to one cell, or run one of the published recipes on it, and score it."""
    begin, cpu = time.perf_counter(), time.process_time()
    if model in RECIPES:
        found = block_alif.fit(train)
        fitted = {"dt_ms": block_alif.DT, "train_nll": None, "status": f"{found.epochs} epochs", "warnings": []}
        runs_of = lambda: simulate(found.neuron, test, dt=block_alif.DT)  # noqa: E731
        stages = [f"{found.segments} segments of 1 s, {found.neuron!r}"]
    else:
        name, _, effort = model.partition(" ")
        fit = ef.fit(train, name, seed=0, effort=effort or "fast", objective=OBJECTIVE)
        fitted = {"dt_ms": fit.dt, "train_nll": fit.loss, "status": fit.status.name, "warnings": list(fit.warnings)}
        runs_of = lambda: fit.simulate(test, runs=RUNS, seed=1)  # noqa: E731
        stages = [e.stage for e in fit.history]
    seconds, busy = time.perf_counter() - begin, time.process_time() - cpu
    row: Row = {
        "cell": cell, "model": model, **scores(runs_of(), test), "seconds": seconds, "cpu_seconds": busy,
        "load": os.getloadavg()[0], **fitted, "stages": stages, "version": ef.__version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }  # fmt: skip
    return {k: (None if isinstance(v, float) and not np.isfinite(v) else v) for k, v in row.items()}


def scores(runs: Simulation, test: Recording) -> Row:
    """The scores of a row, on the scored stretch of the test noise."""
    own = {"start": SCORED[0], "stop": SCORED[1]}
    noisy = ef.score(runs, test, **own)
    readouts = {s.readout: s for s in (runs, *runs.companions.values())}
    causal = ef.score(next(readouts[r] for r in NOISE_FREE if r in readouts), test, **own)
    looks_ahead = runs.companions.get("consensus")
    return {
        "stochastic": noisy.stochastic, "R": noisy["R_4"], "causal": causal["gamma_over_R_4"],
        "consensus": ef.score(looks_ahead, test, **own)["gamma_over_R_4"] if looks_ahead else None,
        "md_star_4": noisy["md_star_4"], "md_star_8": noisy["md_star_8"],
        "ev_10": noisy["ev_ratio_10"], "ev_15": noisy["ev_ratio_15"],
        "rate_error": noisy.rate_error, "causal_rate_error": causal.rate_error,
    }  # fmt: skip


def run(results: Path, wanted: Sequence[str], names: Sequence[str], again: bool) -> None:
    """Measure what is not there yet, one file each."""
    data = {k: v for k, v in cells().items() if k in wanted}
    jobs = [(c, m) for m in names for c in data if again or not (results / file_of(c, m)).exists()]
    for k, (cell, model) in enumerate(jobs, 1):
        print(f"{k}/{len(jobs)} {model} on {cell} ...", end=" ", flush=True, file=sys.stderr)
        try:
            row = measure(cell, model, *data[cell])
        except (EphysfitError, ArithmeticError, ValueError, RuntimeError) as e:  # one fit must not end the night
            row = {"cell": cell, "model": model, "failed": f"{type(e).__name__}: {e}"}
        store(results / file_of(cell, model), row)
        done = (
            row.get("failed") or f"causal {_two(row['causal'])}, Md*8 {_two(row['md_star_8'])}, {row['seconds']:.0f} s"
        )
        print(done, file=sys.stderr)


def file_of(cell: str, model: str) -> str:
    """Name of the file of a row."""
    return f"{cell}_{model.replace(' ', '-')}.json"


def store(path: Path, row: Row) -> None:
    """Write beside, then replace: a run that is killed leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(row, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def stored(results: Path) -> list[Row]:
    """Rows done so far, in order."""
    return ordered(json.loads(p.read_text(encoding="utf-8")) for p in sorted(results.glob("DRN*_*.json")))


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Rows by mean Md* (8 ms) of their neuron, best first, then cells in their order."""
    rows = [r for r in rows if r.get("cell") in CELLS and "model" in r]
    means = {m: np.mean([r["md_star_8"] for r in rows if r["model"] == m and "failed" not in r] or [-1.0])
             for m in {r["model"] for r in rows}}  # fmt: skip
    return sorted(rows, key=lambda r: (-means[r["model"]], r["model"], CELLS.index(r["cell"])))


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _signed(value: float | None) -> str:
    return "–" if value is None or value != value else f"{100 * value:+.0f} %"


HEAD = ("neuron", "cell", "causal Γ/R", "consensus Γ/R", "Md* 4", "Md* 8", "EV 10", "EV 15", "rate", "s", "CPU s")


def lines(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    """The table as text."""
    out = []
    for r in rows:
        if "failed" in r:
            out.append((r["model"], r["cell"], r["failed"], *[""] * (len(HEAD) - 3)))
            continue
        causal = _two(r["causal"]) + ("" if r["stochastic"] else " (threshold)")
        values = [_two(r[k]) for k in ("consensus", "md_star_4", "md_star_8", "ev_10", "ev_15")]
        clock = (f"{r['seconds']:.0f}", f"{r['cpu_seconds']:.0f}")
        out.append((r["model"], r["cell"], causal, *values, _signed(r["rate_error"]), *clock))
    return out


def means(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """One line a neuron, over the cells it was fitted to."""
    out = []
    for model in dict.fromkeys(r["model"] for r in rows):
        mine = [r for r in rows if r["model"] == model and "failed" not in r]
        if mine:
            out.append((model, str(len(mine)), *(_mean(mine, k) for k in MEANS), _signed(_size(mine))))
    return out


MEANS = ("causal", "consensus", "md_star_4", "md_star_8", "ev_10", "ev_15", "cpu_seconds")
MEAN_HEAD = (
    "neuron",
    "cells",
    "causal Γ/R",
    "consensus Γ/R",
    "Md* 4",
    "Md* 8",
    "EV 10",
    "EV 15",
    "CPU s",
    "rate error",
)


def _mean(rows: Sequence[Row], key: str) -> str:
    values = [r[key] for r in rows if r[key] is not None]
    digits = 0 if key.endswith("seconds") else 2
    return f"{np.mean(values):.{digits}f}" if values else "–"


def _size(rows: Sequence[Row]) -> float:
    return float(np.mean([abs(r["rate_error"]) for r in rows if r["rate_error"] is not None] or [np.nan]))


BOUGHT = ("causal", "consensus", "md_star_4", "md_star_8", "ev_10")
BOUGHT_HEAD = ("richer", "than", "numbers", "cells", "causal Γ/R", "consensus Γ/R", "Md* 4", "Md* 8", "EV 10",
               "train, nats per spike", "better in Md* 8")  # fmt: skip


def bought(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """What each term of the ladder bought: the richer neuron's scores less the simpler one's, mean over cells."""
    known = {(r["model"], r["cell"]): r for r in rows if "failed" not in r}
    out = []
    for r in ef.models.ladder():
        rich, simple = r.rich.__name__, r.simple.__name__
        pairs = [(known[rich, c], known[simple, c]) for c in CELLS if {(rich, c), (simple, c)} <= known.keys()]
        if pairs:
            gains = [_gain(pairs, key, 2) for key in BOUGHT]
            better = sum(a["md_star_8"] > b["md_star_8"] for a, b in pairs)
            fewer = _gain(pairs, "train_nll", 3)
            out.append((rich, simple, f"+{r.freedoms}", str(len(pairs)), *gains, fewer, f"{better} of {len(pairs)}"))
    return out


def _gain(pairs: Sequence[tuple[Row, Row]], key: str, digits: int) -> str:
    values = [a[key] - b[key] for a, b in pairs if a.get(key) is not None and b.get(key) is not None]
    return f"{np.mean(values):+.{digits}f}" if values else "–"


def markdown(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A table in markdown."""
    return "\n".join(["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *body)])


def plain(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A table for the terminal."""
    table = [tuple(head), *map(tuple, body)]
    widths = [max(len(row[k]) for row in table) for k in range(len(head))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table)


def peers() -> str:
    """Published peers on the same cells."""
    head = ("peer", "source", *(f"{c}: Γ/R, Md* 4, Md* 8" for c in CELLS), "s a fit")
    return markdown(head, ([name, source, *(s or "–" for s in scores), s or "–"] for name, source, scores, s in PEERS))


def fittable() -> list[str]:
    """Neurons of the catalogue that take one current, and the recipes of others."""
    return [*(n for n, kind in ef.models.catalogue().items() if len(kind.inputs) == 1), *EFFORTS, *RECIPES]


def write(results: Path) -> None:
    """docs/accuracy.json, and the tables of docs/accuracy.md and of the README between their marks.

    What was not run again stays as it was; nothing is written unless everything can be.
    """
    known, page = ROOT / "docs" / "accuracy.json", ROOT / "docs" / "accuracy.md"
    before = json.loads(known.read_text("utf-8")) if known.exists() else {"accuracy": [], "recovery": None}
    there = set(fittable())
    merged = {(r["model"], r["cell"]): r for r in [*before["accuracy"], *stored(results)] if r["model"] in there}
    rows = ordered(merged.values())
    recovered = results / "recovery.json"
    again = json.loads(recovered.read_text("utf-8")) if recovered.exists() else before["recovery"]
    out = {**before, "accuracy": rows, "recovery": again}
    parts = tables(rows)
    if again:
        from recovery import HEAD as RECOVERY_HEAD
        from recovery import lines as recovery_lines

        parts["recovery"] = markdown(RECOVERY_HEAD, recovery_lines(again))
    text = page.read_text(encoding="utf-8")
    for name, table in parts.items():
        text = _between(text, name, table)
    front = ROOT / "README.md"
    first = _between(front.read_text(encoding="utf-8"), "scores", short(rows))
    if any(r["model"] == "AIGIF" for r in rows):
        first = _between(first, "why", why(rows))
    store(known, out)
    page.write_text(text, encoding="utf-8")
    front.write_text(first, encoding="utf-8")


def tables(rows: Sequence[Row]) -> dict[str, str]:
    """The tables of docs/accuracy.md by the name of their marks, but for the recovery of known cells."""
    return {
        "means": markdown(MEAN_HEAD, means(rows)), "cells": markdown(HEAD, lines(rows)), "peers": peers(),
        "ladder": markdown(BOUGHT_HEAD, bought(rows)),
    }  # fmt: skip


def why(rows: Sequence[Row]) -> str:
    """The sentence of the README's first screen: Md* at ±8 ms, mean over cells, beside the best of others."""
    ours = np.mean([r["md_star_8"] for r in rows if r["model"] == "AIGIF"])
    others = {name: np.mean([float(s.split()[2]) for s in found]) for name, _, found, _ in PEERS if all(found)}
    toolbox = max((n for n in others if "toolbox" in n), key=lambda n: others[n])
    best = max(others, key=lambda n: others[n])
    beside = "" if best == toolbox else f", a {best.partition(',')[0]} {others[best]:.2f}"
    named = toolbox.replace(", ", " of the ")
    lines = (
        f"**How well?** On noise that no fit has seen, the default `AIGIF` reaches Md\\* **{ours:.2f}** at ±8 ms",
        f"(1: as like the cell as the cell is to itself); the best public toolbox, {named},",
        f"reaches **{others[toolbox]:.2f}** on the same files{beside}. Means over three dorsal raphe neurons with ten",
        "held-out repeats each, measured by us, the others with their own code: [docs/accuracy.md](docs/accuracy.md).",
    )
    return "\n".join(lines)


def short(rows: Sequence[Row]) -> str:
    """The README's table: neurons fitted to all cells, best first, and two peers."""
    by: dict[str, dict[str, Row]] = {}
    for r in rows:
        if "md_star_8" in r and r["model"] not in RECIPES:
            by.setdefault(r["model"], {})[r["cell"]] = r
    whole = {m: c for m, c in by.items() if set(CELLS) <= set(c)}
    best = sorted(whole, key=lambda m: -sum(whole[m][c]["md_star_8"] for c in CELLS))
    keys = ("causal", "consensus", "md_star_4", "md_star_8")
    body = [(m, *(" · ".join(_two(whole[m][c].get(k)) for k in keys) for c in CELLS)) for m in best if m in SHOWN]
    for name, label in FRONT.items():
        found = next(p for p in PEERS if p[0] == name)[2]
        body.append((label, *(" · ".join([a, "–", b, c]) for a, b, c in (f.split() for f in found))))
    return markdown(("neuron", *CELLS), body)


def _between(text: str, name: str, table: str) -> str:
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    before, found, rest = text.partition(first)
    if not found or last not in rest:
        raise SystemExit(f"a page has no marks {first} ... {last}; put them where the table belongs")
    return before + first + "\n" + table + "\n" + last + rest.partition(last)[2]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--models", default="", help="names, comma between; the whole catalogue unless given")
    options.add_argument("--cells", default=",".join(CELLS))
    options.add_argument("--results", type=Path, default=ROOT / "build" / "accuracy", help="folder of what is done")
    options.add_argument("--again", action="store_true", help="run also what is done")
    options.add_argument("--recovery", action="store_true", help="synthetic cells of known parameters instead")
    options.add_argument("--n", type=int, default=20, help="synthetic cells")
    options.add_argument("--table", action="store_true", help="run nothing, show what is done")
    options.add_argument("--write", action="store_true", help="run nothing, write docs/accuracy.*")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    if given.write:
        return write(given.results)
    if given.recovery:
        return recover(given)
    names = _names(given.models)
    if not given.table:
        run(given.results, given.cells.split(","), names, given.again)
    rows = [r for r in stored(given.results) if r["model"] in names and r["cell"] in given.cells.split(",")]
    print(json.dumps(rows, indent=1) if given.json else plain(HEAD, lines(rows)))
    if not given.json:
        print("\n" + plain(MEAN_HEAD, means(rows)))
        print("\n" + plain(BOUGHT_HEAD, bought(rows)) + "\n\n" + peers())


def _names(asked: str) -> list[str]:
    known = fittable()
    names = [n for n in asked.split(",") if n] or known
    for n in names:
        if n not in known:
            raise SystemExit(f"no neuron {n!r} to fit; {near(n, known)}")
    return names


def recover(given: argparse.Namespace) -> None:
    """Bias, spread and coverage of what comes back of synthetic cells."""
    from recovery import HEAD as RECOVERY_HEAD
    from recovery import lines as recovery_lines
    from recovery import study

    found = study(given.n)
    store(given.results / "recovery.json", found)
    print(json.dumps(found, indent=1) if given.json else plain(RECOVERY_HEAD, recovery_lines(found)))


if __name__ == "__main__":
    main()
