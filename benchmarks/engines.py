"""Time per neuron-step of every engine, forward and with gradient, with spike equality checked in the same run.

    python benchmarks/engines.py [--quick] [--markdown docs/table.md]
    python benchmarks/engines.py --hour      # one record of an hour at 0.1 ms: time and peak memory
    python benchmarks/engines.py --cores     # two threads against one, wall time
    python benchmarks/engines.py --peers     # jax in an environment of its own (made if missing), as ratios

CPU time of one thread (`time.thread_time`), median of several runs, ALIF at 10-20 spikes per second, 0.1 ms steps.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("EPHYSFIT_THREADS", "1")

import numpy as np
import torch
from scipy.signal import lfilter

from ephysfit.models.alif import ALIF
from ephysfit.simulation.blocks import blocks
from ephysfit.simulation.compiled import Problem
from ephysfit.simulation.layout import Lists
from ephysfit.simulation.sequential import sequential
from ephysfit.simulation.surrogate import Surrogate

DT, TAU, SURROGATE = 0.1, 10.0, Surrogate(20.0)
SIZES = ((1, 200_000), (1, 600_000), (16, 200_000), (64, 100_000), (512, 20_000), (4096, 5_000))
torch.set_num_threads(1)


def cells(rows: int) -> ALIF:
    """Cells around the start values."""
    rng = np.random.default_rng(1)
    values = {k: torch.tensor(v * rng.uniform(0.95, 1.05, rows)) for k, v in ALIF.start().values().items()}
    return ALIF(**{**values, "t_ref": torch.full((rows,), 2.0, dtype=torch.float64)})


def noise(rows: int, steps: int) -> np.ndarray:
    """Coloured noise current, pA."""
    white = np.random.default_rng(2).normal(0, 250, (rows, 1, steps)).astype(np.float32)
    return (100 + lfilter([0.3], [1, -0.97], white, axis=-1)).astype(np.float32)


def clock(run: Callable[[], object], steps: int, repeats: int) -> float:
    """Median ns per neuron-step."""
    run()
    spent = []
    for _ in range(repeats):
        began = time.thread_time()
        run()
        spent.append(time.thread_time() - began)
    return float(np.median(spent)) * 1e9 / steps


def compiled_row(rows: int, steps: int, element: str, own: bool, repeats: int) -> tuple[float, float, Problem]:
    """Forward and forward + gradient: one current and the fused loss, or own currents and a dense dL/ds."""
    current = noise(rows if own else 1, steps).astype(element)
    targets = Lists.of([[np.sort(np.random.default_rng(3).integers(0, steps, steps // 1000))]], steps)
    problem = Problem.of(cells(rows), current, DT, dtype=element, targets=None if own else targets)
    tau = None if own else TAU
    dense = np.random.default_rng(4).normal(size=(rows, 1, steps)).astype(element) if own else None
    how = {"source": "spikes" if own else "trace", "surrogate": SURROGATE, "detach": False, "drive": False}
    done = problem.forward(keep=True, tau=tau)
    ahead = clock(lambda: problem.forward(keep=True, tau=tau), rows * steps, repeats)
    back = clock(lambda: problem.reverse(done, tau=tau, dense=dense, **how), rows * steps, repeats)
    return ahead, ahead + back, problem


def torch_row(engine: Callable, rows: int, steps: int) -> tuple[float, float]:
    """A torch engine in float64 on a shorter run of own currents (its cost per step does not depend on the length)."""
    current = torch.from_numpy(noise(rows, steps)).double()
    cell = cells(rows)

    def forward() -> None:
        with torch.no_grad():
            engine(cell, current, DT)

    def gradient() -> None:
        theta = cell.theta.clone().requires_grad_()
        how = {"detach": True} if engine is sequential else {}
        engine(cell.replace(theta=theta), current, DT, surrogate=SURROGATE, **how)[0].sum().backward()

    return clock(forward, rows * steps, 1), clock(gradient, rows * steps, 1)


def agreement(rows: int) -> tuple[int, int, int]:
    """Spikes that differ from the definition in a run of 1,000 steps: float64, float32; and how many there are."""
    rows = min(rows, 64)
    current = 2.0 * noise(rows, 1000)
    cell = cells(rows)
    with torch.no_grad():
        truth = sequential(cell, torch.from_numpy(current).double(), DT)[0].numpy()
    differ = [
        int((Problem.of(cell, current, DT, dtype=e).forward().raster() != truth).sum()) for e in ("float64", "float32")
    ]
    return differ[0], differ[1], int(truth.sum())


def table(quick: bool) -> list[str]:
    """Markdown lines."""
    lines = [
        "| rows x steps | engine | precision | input, loss | forward ns | + gradient ns |",
        "|---|---|---|---|---|---|",
    ]
    repeats = 3 if quick else 9
    for rows, steps in SIZES:
        steps_now = steps // 10 if quick and rows > 1 else steps
        for element in ("float32", "float64"):
            for own in (False, True):
                ahead, both, problem = compiled_row(rows, steps_now, element, own, repeats)
                what = "own input, dense dL/ds" if own else "shared input, fused van Rossum"
                name = f"compiled + adjoint ({problem.layout.lanes} lanes)"
                lines.append(f"| {rows} x {steps_now:,} | {name} | {element} | {what} | {ahead:.2f} | {both:.2f} |")
                print(lines[-1], flush=True)
        for name, engine in (("sequential", sequential), ("blocks", blocks)):
            short = max(200, (20_000 if quick else 60_000) // rows if rows < 64 else 200)
            ahead, both = torch_row(engine, rows, short)
            lines.append(
                f"| {rows} x {short:,} | {name} (torch) | float64 | own input, sum | {ahead:,.0f} | {both:,.0f} |"
            )
            print(lines[-1], flush=True)
        double, single, count = agreement(rows)
        print(f"  spikes differing from the definition: float64 {double}, float32 {single}, of {count}", flush=True)
        if double:
            raise SystemExit(f"{rows} rows: float64 spikes differ from the definition")
    return lines


def hour() -> None:
    """36 million steps in one row, float32: forward, and loss with gradient; peak memory beyond the record."""
    steps = 36_000_000
    current = np.tile(noise(1, 400_000), (1, 1, steps // 400_000))
    targets = Lists.of([[np.sort(np.random.default_rng(3).integers(0, steps, steps // 1000))]], steps)
    how = {"source": "trace", "surrogate": SURROGATE, "detach": False, "drive": False, "dense": None}
    problem = Problem.of(cells(1), current, DT, dtype="float32", targets=targets)
    few, lone = current[..., :600_000].copy(), Lists.of([[[5]]], 600_000)
    small = Problem.of(cells(1), few, DT, dtype="float32", targets=lone)
    small.reverse(small.forward(keep=True, tau=TAU), tau=TAU, **how)  # compiles
    tracemalloc.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.thread_time()
    done = problem.forward(keep=True, tau=TAU)
    between = time.thread_time()
    gradient, _ = problem.reverse(done, tau=TAU, **how)
    ended = time.thread_time()
    _, peak = tracemalloc.get_traced_memory()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if not np.isfinite(gradient).all():
        raise SystemExit("the gradient is not finite")
    print(f"{steps:,} steps, record {current.nbytes / 1e6:.0f} MB, {int(done.lane_counts[0]):,} spikes")
    print(f"  forward {between - began:.3f} s, gradient {ended - between:.3f} s (CPU)")
    print(f"  peak beyond the record: {peak / 1e6:.1f} MB allocated by numpy, {grown:.1f} MB of resident memory")


def cores() -> None:
    """Two threads against one over 512 rows, wall time, interleaved."""
    how = {"source": "trace", "surrogate": SURROGATE, "detach": False, "drive": False, "dense": None}
    targets = Lists.of([[np.arange(100, 20_000, 1000)]], 20_000)
    problem = Problem.of(cells(512), noise(1, 20_000), DT, dtype="float32", targets=targets)
    spent: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(15):
        for threads, times in spent.items():
            os.environ["EPHYSFIT_THREADS"] = threads
            began = time.perf_counter()
            problem.reverse(problem.forward(keep=True, tau=TAU), tau=TAU, **how)
            times.append(time.perf_counter() - began)
    ratio = np.array(spent["1"]) / np.array(spent["2"])
    print(
        f"two threads against one, 512 x 20,000, loss + gradient: median {np.median(ratio):.2f}, best {ratio.max():.2f}"
    )


def peers() -> None:
    """jax.lax.scan against the compiled engine, each with own input and a dense dL/ds in float32, in turns."""
    home = Path(os.environ.get("EPHYSFIT_PEERS", Path.home() / ".cache" / "ephysfit" / "peers"))
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "jax"], check=True)
    print("| rows x steps | jax scan forward, both | ours forward, both | ratio forward, both |\n|---|---|---|---|")
    for rows, steps in SIZES[:1] + SIZES[2:]:
        steps = max(steps // 10, 1000)
        theirs, ours = [], []
        for _ in range(3):
            done = subprocess.run(
                [str(python), str(Path(__file__).with_name("peer_jax.py")), str(rows), str(steps)],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            theirs.append([float(x) for x in done.stdout.split()])
            ours.append(compiled_row(rows, steps, "float32", True, 5)[:2])
        (a, b), (c, d) = np.median(theirs, 0), np.median(ours, 0)
        print(f"| {rows} x {steps:,} | {a:.1f}, {b:.1f} | {c:.2f}, {d:.2f} | {a / c:.0f}, {b / d:.0f} |", flush=True)


def main() -> None:
    """Print the table; write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, run in (("hour", hour), ("cores", cores), ("peers", peers)):
        parser.add_argument(f"--{option}", action="store_const", const=run, dest="other", help=run.__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter runs, about a minute")
    parser.add_argument("--markdown", help="file to write the table to")
    arguments = parser.parse_args()
    if arguments.other:
        arguments.other()
        return
    lines = table(arguments.quick)
    if arguments.markdown:
        with open(arguments.markdown, "w", encoding="utf-8") as f:
            f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
