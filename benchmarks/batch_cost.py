"""What a cell costs in a batch: CPU seconds, memory of a worker, two workers beside one, reports; in minutes.

    python benchmarks/batch_cost.py [--cells 12] [--folder DIR]
    python benchmarks/batch_cost.py --write    # run nothing, put the table into docs/howto/speed.md

Cells are those of benchmarks/batch.py: a minute each, 42 s to fit and 3 x 6 s to test. `benchmarks/batch.py` runs a
thousand of them and looks at memory over hours. CPU time is user and system time of all processes; where others use
the machine it is longer than on one that is idle.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from accuracy import ROOT, _between, markdown, plain
from batch import database, fitted, results

from ephysfit.files import write_text

RESULTS = ROOT / "build" / "batch_cost.json"
PAGE = ROOT / "docs" / "howto" / "speed.md"
MODEL = "AIGIF"
#: name → workers, and further options of `ephysfit batch`
WAYS = {
    "1 worker": (1, ()),
    "2 workers": (2, ()),
    "1 worker, `--reports`": (1, ("--reports",)),
}
#: cells whose time is told
MANY = 1000


def measure(source: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Each way of running the batch, with kernels on disk."""
    out: dict[str, dict[str, float]] = {}
    for name, (workers, options) in WAYS.items():
        run = folder / f"run_{len(out)}"
        shutil.rmtree(run, ignore_errors=True)
        seen = fitted(source, run, MODEL, workers, 600.0, options)
        rows = [r for r in results(run) if r["status"] == "done"]
        cpu = np.array([r["cpu_seconds"] for r in rows])
        out[name] = {
            "cells": len(rows), "median": float(np.median(cpu)), "mean": float(cpu.mean()),
            "all": seen.cpu / len(rows), "memory": max(r.get("memory_mb", np.nan) for r in rows),
        }  # fmt: skip
        print(name, {k: round(v, 2) for k, v in out[name].items()}, flush=True)
    return out


def table(found: dict[str, dict[str, float]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and body of the table."""
    head = ("", "CPU s a cell (median)", "CPU s a cell, all processes", "peak memory of a worker, MiB",
            f"{MANY:,} cells, CPU h")  # fmt: skip
    body = [
        (name, f"{row['median']:.2f}", f"{row['all']:.2f}", f"{row['memory']:.0f}", f"{row['mean'] * MANY / 3600:.2f}")
        for name, row in found.items()
    ]
    return head, body


def main() -> None:
    """Make the cells, run, tell."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cells", type=int, default=12)
    options.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "ephysfit_batch_cost")
    options.add_argument("--write", action="store_true", help="run nothing, write docs/howto/speed.md")
    given = options.parse_args()
    if not given.write:
        source = given.folder / f"cells_{given.cells}"
        database(source, given.cells)
        fitted(source, given.folder / "first", MODEL, 1, 600.0, ("--reports",))  # compiles what is not on disk
        shutil.rmtree(given.folder / "first")
        write_text(RESULTS, json.dumps(measure(source, given.folder), indent=1) + "\n")
    if not RESULTS.exists():
        raise SystemExit(f"nothing to write: {RESULTS.relative_to(ROOT)} is not there; run this without --write first")
    head, body = table(json.loads(RESULTS.read_text(encoding="utf-8")))
    print(plain(head, body))
    if given.write:
        write_text(PAGE, _between(PAGE.read_text(encoding="utf-8"), "batch", markdown(head, body)))


if __name__ == "__main__":
    main()
