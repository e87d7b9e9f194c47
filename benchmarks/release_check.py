"""Before a release: the numbers in texts are those measured, and the fits of today still give them.

    python benchmarks/release_check.py                     # texts, then AIGIF and LIF on the shipped cells
    python benchmarks/release_check.py --texts             # texts alone, no fit: a second
    python benchmarks/release_check.py --models AIGIF,GIF,"AIGIF best"

The tables and the sentence of the README and of docs/accuracy.md are made again from docs/accuracy.json, and numbers
that notebooks print are looked up in their outputs. Every place that differs is named; the exit code is then 1.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import accuracy

import ephysfit as ef

ROOT = Path(__file__).resolve().parents[1]
KEYS = ("causal", "consensus", "md_star_4", "md_star_8")
#: cells that are shipped, and what is fitted to them unless asked otherwise
CELLS, MODELS = ("DRN164", "DRN158"), "AIGIF,LIF"
#: what notebooks print of the default AIGIF fit of DRN164, scored on all of the noise: notebook → pattern and scores
PRINTED = {
    "01_first_fit": (r"One noise-free run reaches (\S+) of", ("gamma_over_R_4",)),
    "03_choosing_a_model": (r"AIGIF +\d+ +(\S+) +(\S+) +(\S+)", ("gamma_over_R_4", "md_star_4", "md_star_8")),
}
#: what the README says of the same
ALL_NOISE = r"on all of it, as the shell and\s+the notebooks do, AIGIF on DRN164 has Γ/R (\S+)\s+instead of (\S+?)\)"


def find_stale_texts() -> list[str]:
    """Places where a text differs from docs/accuracy.json, one sentence each."""
    rows = json.loads((ROOT / "docs" / "accuracy.json").read_text(encoding="utf-8"))["accuracy"]
    wanted = {("docs/accuracy.md", name): text for name, text in accuracy.tables(rows).items()}
    wanted |= {("README.md", "scores"): accuracy.short(rows), ("README.md", "why"): accuracy.why(rows)}
    found = []
    for (page, name), text in wanted.items():
        inside = (
            (ROOT / page).read_text(encoding="utf-8").partition(f"<!-- {name} -->")[2].partition(f"<!-- /{name} -->")
        )
        if inside[0].strip() != text.strip():
            found.append(f"{page}: what stands between the marks {name!r} is not of docs/accuracy.json")
    stated = re.search(ALL_NOISE, (ROOT / "README.md").read_text(encoding="utf-8"))
    measured = next(r["causal"] for r in rows if (r["model"], r["cell"]) == ("AIGIF", "DRN164"))
    if stated is None or stated[2] != f"{measured:.2f}":
        found.append(
            f"README.md: the sentence on all of the noise does not say {measured:.2f}, as docs/accuracy.json does"
        )
    return found


def read_printed() -> dict[str, dict[str, str]]:
    """Scores that texts print of the default fit: place → score → number as it stands there."""
    out = {}
    for name, (pattern, scores) in PRINTED.items():
        cells = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
        text = "".join("".join(o.get("text", "")) for cell in cells for o in cell.get("outputs", ()))
        match = re.search(pattern, text)
        out[f"notebooks/{name}.ipynb"] = dict(zip(scores, match.groups() if match else ["nothing"] * 3, strict=False))
    stated = re.search(ALL_NOISE, (ROOT / "README.md").read_text(encoding="utf-8"))
    out["README.md"] = {"gamma_over_R_4": stated[1] if stated else "nothing"}
    return out


def find_stale_fits(models: list[str]) -> Iterator[str]:
    """Scores that the fits of today do not give, one sentence each."""
    known = {
        (r["model"], r["cell"]): r
        for r in json.loads((ROOT / "docs" / "accuracy.json").read_text(encoding="utf-8"))["accuracy"]
    }
    for cell in CELLS:
        train, test = accuracy.cells()[cell]
        for model in models:
            name, _, effort = model.partition(" ")
            fit = ef.fit(train, name, seed=0, effort=effort or "fast", objective=accuracy.OBJECTIVE)
            runs = fit.simulate(test, runs=accuracy.RUNS, seed=1)
            today = accuracy.scores(runs, test)
            print(f"{model} on {cell}: " + ", ".join(f"{key} {today[key]:.2f}" for key in KEYS), file=sys.stderr)
            for key in KEYS:
                before, now = f"{known[model, cell][key]:.2f}", f"{today[key]:.2f}"
                if before != now:
                    yield f"docs/accuracy.json: {model} on {cell} has {key} {before}, the fit of today {now}"
            if (model, cell) == ("AIGIF", "DRN164"):
                yield from _compare_printed(_score_whole(runs, test))


def _score_whole(runs: ef.Simulation, test: ef.Recording) -> dict[str, float]:
    noisy, causal = ef.score(runs, test), ef.score(runs.companions["causal"], test)
    return {
        "gamma_over_R_4": causal["gamma_over_R_4"],
        "md_star_4": noisy["md_star_4"],
        "md_star_8": noisy["md_star_8"],
    }


def _compare_printed(whole: dict[str, float]) -> Iterator[str]:
    for place, numbers in read_printed().items():
        for key, stated in numbers.items():
            if stated != f"{whole[key]:.2f}":
                yield f"{place}: says {key} {stated}, the fit of today has {whole[key]:.2f}"


def main() -> None:
    """Print what differs; the exit code is 1 if anything does."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--texts", action="store_true", help="compare texts alone, fit nothing")
    options.add_argument("--models", default=MODELS, help=f"what to fit, comma between ({MODELS})")
    chosen = options.parse_args()
    found = find_stale_texts()
    if not chosen.texts:
        found += find_stale_fits(chosen.models.split(","))
    for line in found:
        print(line)
    print("all numbers agree" if not found else f"{len(found)} numbers or tables differ")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
