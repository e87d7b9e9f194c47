"""Time per neuron-step of every engine, forward and with gradient, with spike equality checked in the same run.

    python benchmarks/engines.py [--quick] [--markdown docs/table.md] [--plot docs/pictures/engines.svg]
    python benchmarks/engines.py --hour      # one record of an hour at 0.1 ms: time and peak memory
    python benchmarks/engines.py --cores     # two threads against one, wall time
    python benchmarks/engines.py --peers     # jax, brian2, snntorch, norse, spikingjelly as ratios, each in an
                                             # environment of its own under $EPHYSFIT_PEERS (made where missing)

CPU time of one thread (`time.thread_time`), median of several runs, ALIF at 10-20 spikes per second, 0.1 ms steps.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import resource
import subprocess
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("EPHYSFIT_THREADS", "1")

import numpy as np
import torch
from scipy.signal import lfilter

from ephysfit.kernels.tiles import Lists
from ephysfit.models.alif import ALIF
from ephysfit.simulation.engines.blocks import blocks
from ephysfit.simulation.engines.compiled import Problem
from ephysfit.simulation.engines.sequential import sequential
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


@dataclass(frozen=True)
class Row:
    """One line of the table: times in ns per neuron-step, peak memory beyond the inputs in MB."""

    rows: int
    steps: int
    engine: str
    precision: str
    what: str
    forward: float
    both: float
    peak: float

    def line(self) -> str:
        """As markdown."""
        digits = 2 if self.forward < 50 else 0
        times = f"{self.forward:,.{digits}f} | {self.both:,.{digits}f}"
        size = f"{self.rows} x {self.steps:,}"
        return f"| {size} | {self.engine} | {self.precision} | {self.what} | {times} | {self.peak:,.3g} |"

    @property
    def kind(self) -> tuple[str, str, str]:
        """What a line of the plot has in common."""
        return self.engine.split(" (")[0], self.precision, self.what


def numpy_peak(run: Callable[[], object]) -> float:
    """MB that numpy allocates at most at once."""
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6


def resident_peak(run: Callable[[], object]) -> float:
    """MB by which the process grows at most (Linux; not a number elsewhere)."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not reset.exists():
        return float("nan")
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what earlier runs left goes back first
    reset.write_text("5")  # the peak begins anew
    read = lambda: {line.split()[0]: line.split()[1] for line in status.read_text().splitlines() if "kB" in line}  # noqa: E731
    before = float(read()["VmRSS:"])
    run()
    return (float(read()["VmHWM:"]) - before) / 1e3


def compiled_row(rows: int, steps: int, element: str, own: bool, repeats: int) -> Row:
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
    peak = numpy_peak(lambda: problem.reverse(problem.forward(keep=True, tau=tau), tau=tau, dense=dense, **how))
    what = "own input, dense dL/ds" if own else "shared input, fused van Rossum"
    name = f"compiled + adjoint ({problem.layout.lanes} lanes)"
    return Row(rows, steps, name, element, what, ahead, ahead + back, peak)


def torch_row(name: str, engine: Callable, rows: int, steps: int) -> Row:
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

    times = clock(forward, rows * steps, 1), clock(gradient, rows * steps, 1)
    return Row(rows, steps, f"{name} (torch)", "float64", "own input, sum", *times, resident_peak(gradient))


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


def table(quick: bool) -> list[Row]:
    """All rows, printed as they come."""
    print("| rows x steps | engine | precision | input, loss | forward ns | + gradient ns | peak MB |")
    print("|---|---|---|---|---|---|---|")
    out: list[Row] = []
    for rows, steps in SIZES:
        steps_now = steps // 10 if quick and rows > 1 else steps
        made = [
            lambda e=element, o=own: compiled_row(rows, steps_now, e, o, 3 if quick else 9)  # noqa: B023
            for element in ("float32", "float64")
            for own in (False, True)
        ]
        short = max(200, (5_000 if quick else 20_000) // rows if rows < 64 else 200)
        made += [
            lambda n=name, e=engine: torch_row(n, e, rows, short)  # noqa: B023
            for name, engine in (("sequential", sequential), ("blocks", blocks))
            if (rows, steps) != (1, 600_000)  # as 1 x 200,000: the cost of a step is the same
        ]
        for make in made:
            out.append(make())
            print(out[-1].line(), flush=True)
        double, single, count = agreement(rows)
        print(f"  spikes differing from the definition: float64 {double}, float32 {single}, of {count}", flush=True)
        if double:
            raise SystemExit(f"{rows} rows: float64 spikes differ from the definition")
    return out


def plot(found: list[Row], path: str) -> None:
    """Time per neuron-step over rows, a line per engine."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "ephysfit"
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    kinds = dict.fromkeys(r.kind for r in found)
    colours = {"sequential": "#8c8c8c", "blocks": "#c4731a", "shared": "#1b6ca8", "own": "#2a8f66"}
    for axis, field, title in zip(axes, ("forward", "both"), ("forward", "forward + gradient"), strict=True):
        for engine, precision, what in kinds:
            mine = {r.rows: getattr(r, field) for r in found if r.kind == (engine, precision, what)}
            colour = colours.get(engine, colours[what.split()[0]])
            label = f"{engine} (torch)" if engine in colours else f"compiled, {what.split(',')[0]}, {precision}"
            style = "--" if precision == "float64" and engine not in colours else "-"
            axis.loglog(list(mine), list(mine.values()), style, marker="o", ms=3.5, lw=1.4, color=colour, label=label)
        axis.set(xlabel="rows", title=title, xticks=sorted({r.rows for r in found}))
        axis.set_xticklabels([str(t) for t in axis.get_xticks()])
        axis.minorticks_off()
        axis.grid(axis="y", lw=0.4, alpha=0.5)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("ns per neuron-step")
    axes[1].legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Date": None})


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
    """Other simulators against the compiled engine, own input and dense dL/ds, in turns: jax.lax.scan, then `peers`."""
    import peers as others

    others.main()
    python = others.python("engines_peers")
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
            mine = compiled_row(rows, steps, "float32", True, 5)
            ours.append([mine.forward, mine.both])
        (a, b), (c, d) = np.median(theirs, 0), np.median(ours, 0)
        print(f"| {rows} x {steps:,} | {a:.1f}, {b:.1f} | {c:.2f}, {d:.2f} | {a / c:.0f}, {b / d:.0f} |", flush=True)


def main() -> None:
    """Print the table; write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, run in (("hour", hour), ("cores", cores), ("peers", peers)):
        parser.add_argument(f"--{option}", action="store_const", const=run, dest="other", help=run.__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter runs, about a minute")
    parser.add_argument("--markdown", help="file to write the table to")
    parser.add_argument("--plot", help="file to draw the table to")
    arguments = parser.parse_args()
    if arguments.other:
        arguments.other()
        return
    found = table(arguments.quick)
    if arguments.markdown:
        Path(arguments.markdown).write_text("\n".join(r.line() for r in found) + "\n", encoding="utf-8")
    if arguments.plot:
        plot(found, arguments.plot)


if __name__ == "__main__":
    main()
