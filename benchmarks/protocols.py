"""What the score depends on beside the neuron: the step, how much was recorded, and which protocol.

    python benchmarks/protocols.py                    # all four studies
    python benchmarks/protocols.py --studies dt,steps
    python benchmarks/protocols.py --write            # run nothing, put the tables into docs/accuracy.md and draw

dt: the same cell fitted and scored at steps of 0.1 to 1 ms. data: at the last 3 to 60 s of the training noise.
steps: fitted to step currents only, to noise only, and to both, scored on noise. hour: an hour of a synthetic cell,
with processor time and peak memory. One default fit a row (AIGIF, seed 0); what is done is not run again.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import accuracy

import ephysfit as ef
from ephysfit.data.recording import Recording, join_recordings
from ephysfit.errors import EphysfitError
from ephysfit.models import AIGIF, ALIF

CELLS = ("DRN164", "DRN158")
STEPS = (0.1, 0.2, 0.5, 1.0)
SECONDS = (3.0, 7.5, 15.0, 30.0, 60.0)
FOLDERS = {"DRN164": "DRN164_5HT", "DRN162": "DRN162_5HT"}

Job = tuple[str, Callable[[], accuracy.Row]]


def scored(train: Recording, test: Recording, model: Any = "AIGIF", **options: Any) -> accuracy.Row:
    """One fit, its scores, and what it took."""
    cpu = time.process_time()
    fit = ef.fit(train, model, seed=0, **options)
    busy = time.process_time() - cpu
    row = accuracy.scores(fit.simulate(test, runs=accuracy.RUNS, seed=1), test)
    return {**row, "cpu_seconds": busy, "spikes": train.n_spikes, "train_seconds": train.duration / 1e3,
            "warnings": list(fit.warnings)}  # fmt: skip


def dt_jobs() -> Iterator[Job]:
    """The step of the fit, which is also that of its runs."""
    for cell, (train, test) in accuracy.cells().items():
        if cell in CELLS:
            for dt in STEPS:
                yield f"dt {cell} {dt:g}", lambda train=train, test=test, dt=dt: scored(train, test, dt=dt)


def data_jobs() -> Iterator[Job]:
    """The last seconds of the training noise."""
    for cell, (train, test) in accuracy.cells().items():
        if cell in CELLS:
            end = train.duration
            for s in SECONDS:
                part = train.cut(end - 1e3 * s, end)
                yield f"data {cell} {s:g}", lambda part=part, test=test: scored(part, test)


def steps_jobs() -> Iterator[Job]:
    """Step currents, noise, and both, of the same cell."""
    for cell, (noise, test) in accuracy.cells().items():
        path = accuracy.RAPHE / FOLDERS.get(cell, "none") / "current_steps.abf"
        if path.exists():
            steps = ef.load(path)
            for what, train in {"noise": noise, "steps": steps, "both": join_recordings([noise, steps])}.items():
                yield f"steps {cell} {what}", lambda train=train, test=test: scored(train, test)


def hour_jobs() -> Iterator[Job]:
    """An hour of one cell: seconds of a processor, and the most memory this process ever took."""
    for model in (ALIF, AIGIF):
        yield f"hour synthetic {model.__name__}", lambda model=model: hour(model)


def hour(model: type[ef.Neuron]) -> accuracy.Row:
    """Fit an hour of a synthetic ALIF cell by likelihood."""
    cell = ALIF(C=100.0, g=5.0, E_L=-65.0, theta=-48.0, d_theta=6.0, tau_a=80.0, V_reset=-60.0, t_ref=2.0, delta=1.5)
    known = ef.synthetic.recording(cell, duration=3.6e6, test_duration=10_000.0, repeats=9, dt=0.5, mean=95.0, std=60.0)
    train, test = known.split()
    chain = [ef.stages.Passive(), ef.stages.Likelihood(starts=1), ef.stages.CausalReadout()]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = scored(train, test, model, stages=chain)
    return {
        **row,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "megabytes_before": before / 1e3,
    }


STUDIES: dict[str, Callable[[], Iterator[Job]]] = {
    "dt": dt_jobs, "data": data_jobs, "steps": steps_jobs, "hour": hour_jobs,
}  # fmt: skip


def run(results: Path, studies: list[str], again: bool) -> None:
    """Run what is not there yet, one file each."""
    for study in studies:
        for name, job in STUDIES[study]():
            path = results / f"{name.replace(' ', '_')}.json"
            if path.exists() and not again:
                continue
            print(f"{name} ...", end=" ", flush=True, file=sys.stderr)
            try:
                row = job()
            except EphysfitError as e:
                row = {"failed": f"{type(e).__name__}: {e}"}
            accuracy.store(path, {"name": name, "study": study, **row})
            done = row.get("failed") or f"Md*8 {accuracy._two(row['md_star_8'])}"
            print(done, file=sys.stderr)


HEAD = ("study", "cell", "setting", "spikes", "causal Γ/R", "consensus Γ/R", "Md* 4", "Md* 8", "rate", "CPU s", "MB")


def stored(results: Path) -> list[accuracy.Row]:
    """Rows done so far, in order."""
    return ordered([json.loads(p.read_text("utf-8")) for p in sorted(results.glob("*.json"))])


def ordered(rows: list[accuracy.Row]) -> list[accuracy.Row]:
    """Rows in the order of the studies, then cells, then settings."""
    place = {"noise": 0, "steps": 1, "both": 2}
    key = lambda r: (list(STUDIES).index(r["study"]), r["name"].split()[1], _order(r["name"].split()[2], place))  # noqa: E731
    return sorted(rows, key=key)


def write(results: Path) -> list[accuracy.Row]:
    """The rows into docs/accuracy.json, their table into docs/accuracy.md, and the picture; others stay."""
    known, page = accuracy.ROOT / "docs" / "accuracy.json", accuracy.ROOT / "docs" / "accuracy.md"
    before = json.loads(known.read_text("utf-8"))
    rows = ordered(list({r["name"]: r for r in [*before.get("protocols", []), *stored(results)]}.values()))
    text = accuracy._between(page.read_text("utf-8"), "protocols", accuracy.markdown(HEAD, lines(rows)))
    accuracy.store(known, {**before, "protocols": rows})
    page.write_text(text, encoding="utf-8")
    draw(rows, accuracy.ROOT / "docs" / "pictures" / "learning.png")
    return rows


def _order(text: str, place: dict[str, int]) -> float:
    try:
        return float(text)
    except ValueError:
        return float(place.get(text, 9))


UNITS = {"dt": " ms", "data": " s"}


def lines(rows: list[accuracy.Row]) -> Iterator[tuple[str, ...]]:
    """The table as text."""
    for r in rows:
        study, cell, setting = r["name"].split()
        setting += UNITS.get(study, "")
        if "failed" in r:
            yield (study, cell, setting, r["failed"], *[""] * (len(HEAD) - 4))
            continue
        values = (accuracy._two(r[k]) for k in ("causal", "consensus", "md_star_4", "md_star_8"))
        memory = f"{r['megabytes']:.0f}" if "megabytes" in r else ""
        yield (study, cell, setting, str(r["spikes"]), *values, accuracy._signed(r["rate_error"]),
               f"{r['cpu_seconds']:.0f}", memory)  # fmt: skip


def draw(rows: list[accuracy.Row], path: Path) -> None:
    """Score against seconds of training data."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.0, 3.6), layout="constrained")
    for cell, colour in zip(CELLS, ("#1b6ca8", "#2a8f66"), strict=True):
        mine = [r for r in rows if r["name"].startswith(f"data {cell}") and "failed" not in r]
        seconds = [float(r["name"].split()[2]) for r in mine]
        for key, style in (("md_star_8", "-"), ("md_star_4", "--")):
            label = f"{cell}, Md* ±{key[-1]} ms"
            axes.plot(seconds, [r[key] for r in mine], style, color=colour, marker="o", ms=4, label=label)
    axes.set_xscale("log")
    axes.set_xticks(SECONDS, [f"{s:g}" for s in SECONDS])
    axes.minorticks_off()
    axes.set(xlabel="seconds of training noise", ylabel="Md* on noise the fit never saw", ylim=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--studies", default=",".join(STUDIES))
    options.add_argument("--results", type=Path, default=accuracy.ROOT / "build" / "protocols")
    options.add_argument("--again", action="store_true", help="run also what is done")
    options.add_argument("--write", action="store_true", help="run nothing, write the table and the picture")
    given = options.parse_args()
    if not given.write:
        run(given.results, given.studies.split(","), given.again)
    rows = write(given.results) if given.write else stored(given.results)
    print(accuracy.plain(HEAD, lines(rows)))


if __name__ == "__main__":
    main()
