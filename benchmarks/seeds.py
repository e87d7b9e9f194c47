"""What survives of each seed's headline claim on a CPU: one command, a table for each.

    python benchmarks/seeds.py            # ten minutes on one core; ten more without docs/seeds.json
    python benchmarks/seeds.py --quick    # about one minute, shorter records
    python benchmarks/seeds.py --write    # also docs/seeds.md; with --only, that section of it

One core, float64. Times are CPU time of the calling thread, the best of a few runs. Every run is checked spike for
spike against the definition (engine `sequential`) or the compiled engine in the same run.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from math import log
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent))

import seed_networks
import seed_tasks

from ephysfit.models import ALIF, PRF, RefractoryLIF, SoftLIF
from ephysfit.neuron.declare import Neuron
from ephysfit.simulation import adjoint
from ephysfit.simulation.engines import compiled
from ephysfit.simulation.engines.affine_blocks import Setup, set_up
from ephysfit.simulation.engines.blocks import blocks
from ephysfit.simulation.engines.decoupled import decoupled, moving_threshold
from ephysfit.simulation.engines.pmbc import passes as pmbc_passes
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.engines.soft_reset import kick, potential_by_fft
from ephysfit.simulation.engines.speculate import passes as speculate_passes
from ephysfit.simulation.surrogate import Surrogate
from ephysfit.synthetic import noise_current

NOTES = {
    "blocks": """
ALIF, {steps} steps of 0.1 ms. The baseline is our own torch loop, which is linear in time forward and backward (the
published one is not); it hardly depends on t_ref and is timed once for each number of rows. Published: 5 to 53 times
on a GPU, the high end at 80 to 100 refractory steps and records of 2048 steps, against a baseline whose backward pass
is quadratic in time.

What survives: exactly the same spikes, and for few rows a speed-up that grows with the refractory period in steps up
to about 40. What does not: 50 times. At a physiological 1 to 2 ms it is {few} forward and {few_train} with the
gradient in 1 to 16 rows, and with 256 rows, where the loop is no longer bound by the cost of calls, {many} and
{many_train}. On a CPU the compiled kernel, which simply steps, is far ahead of both. (Its backward column is the
adjoint, whose gradient has the reset in the graph.) A GPU was not at hand.
""",
    "pmbc": """
RefractoryLIF, 4 rows, run until nothing is undecided, in Gauss-Seidel order, whose bound is spikes + 1. A pass filters
the whole record twice. Published: the number of passes hardly grows with length.

What survives: exactness; and with the seed's leak (0.1 per step, gone within two samples) few passes that hardly grow
with length, as long as the noise leaves silent gaps: 2 to 3 under sparse white noise, tens under correlated noise.
What does not: with a physiological leak passes are as many as spikes, because the bound on what undecided
spikes might have done is loose for tens of milliseconds; and so it is with the seed's own leak under dense white noise
or steady drive. Speculation to the next spike then needs about as many passes, over chunks instead of whole records.
In time, against our torch loop over the same rows, it is between {least} and {most} times as fast (last column;
published: nearly two orders of magnitude at 8,000 steps on a GPU).
""",
    "decoupled": """
4 rows, steps of 0.1 ms, the reset detached in both. The loop is linear in time and was measured up to {measured} steps;
beyond, its time per step is carried on. Published: training 6.6 to 16.5 times faster than a step-by-step loop between
1k and 32k steps on a GPU.

What survives: the speed-up, larger here and growing with length, and equality spike for spike, provided that the FFT is
padded to twice the length, which the printed algorithm does not say and the released code does (last column: rows that
spike wrongly without).
The moving threshold, 72 % of the published forward pass, is 0 to 3 % of ours, because it is compiled. What does not:
"parallel", since that scan is still in time order; and the gradient is the detached one, too large by about 1/dt. The
compiled kernel with its adjoint, whose gradient is right, is faster than either. Operations of the SD-TCM block for one
token of D channels at inference, as printed: 5 D for its oscillators, against H^2 + 2 D H for a state-space layer of
state size H (at D = H = 256: {ours:,} against {theirs:,}); linear maps cost the same in both and are not counted.
""",
}
DT = 0.1
SURROGATE = Surrogate(10.0)
Row = tuple[str, ...]


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """CPU time of this thread, best of a few."""
    best = float("inf")
    for _ in range(repeats):
        begin = time.thread_time()
        work()
        best = min(best, time.thread_time() - begin)
    return best


def noise(rows: int, steps: int, mean: float, std: float, tau: float = 3.0) -> Tensor:
    """(1, row, time), pA."""
    each = [noise_current(steps * DT, DT, mean, std, tau, seed) for seed in range(rows)]
    return torch.from_numpy(np.stack(each))[None]


def table(title: str, head: Row, rows: list[Row], notes: str) -> str:
    lines = [f"## {title}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(r) + " |" for r in rows), notes])


def train(engine: Callable[..., tuple], cell: Neuron, current: Tensor) -> Callable[[], None]:
    """Forward and backward of the mean rate by the capacitance, reset detached as the seeds publish it."""

    def step() -> None:
        C = torch.tensor([float(cell.C)], dtype=torch.float64, requires_grad=True)
        engine(cell.replace(C=C), current, DT, surrogate=SURROGATE, detach=True)[0].mean().backward()

    return step


def block_table(quick: bool) -> str:
    steps = 1000 if quick else 3000
    rows: list[Row] = []
    for many in (1, 16, 256):
        current = noise(many, steps, 110.0, 110.0)
        cell = ALIF.start().replace(t_ref=2.0)
        loop = seconds(lambda cell=cell, I=current: sequential(cell, I, DT), 1)
        loop_train = seconds(train(sequential, cell, current), 1)
        for t_ref in (0.5, 1.0, 2.0, 4.0, 10.0):
            cell = ALIF.start().replace(t_ref=t_ref)
            want = compiled.run(cell, current, DT).raster()
            assert np.array_equal(blocks(cell, current, DT)[0].numpy(), want)
            forward = seconds(lambda cell=cell, I=current: blocks(cell, I, DT))
            both = seconds(train(blocks, cell, current))
            best = seconds(lambda cell=cell, I=current: compiled.run(cell, I, DT))
            best_train = seconds(lambda cell=cell, I=current: _adjoint(cell, I))
            rows.append(
                (
                    str(many), f"{t_ref:g} ({round(t_ref / DT)})", f"{want.mean() / DT * 1e3:.0f}",
                    f"{loop / forward:.1f}", f"{(loop_train) / both:.1f}",
                    f"{forward / best:.0f}", f"{both / best_train:.0f}",
                )
            )  # fmt: skip
    head = ("rows", "t_ref, ms (steps)", "rate, Hz", "blocks vs loop, forward", "forward + backward",
            "compiled vs blocks, forward", "forward + backward")  # fmt: skip
    usual = [r for r in rows if r[1].split()[0] in ("1", "2")]
    few, many = [r for r in usual if r[0] != "256"], [r for r in usual if r[0] == "256"]
    said = {"few": _range(few, 3), "few_train": _range(few, 4), "many": _range(many, 3), "many_train": _range(many, 4)}
    says = NOTES["blocks"].format(steps=steps, **said)
    return table("Seed 000, Block-ALIF: blocks of the refractory period", head, rows, says)


def _range(rows: list[Row], column: int) -> str:
    """The range of a column, as words."""
    values = [float(r[column]) for r in rows]
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"


def _adjoint(cell: Neuron, current: Tensor) -> None:
    C = torch.tensor([float(cell.C)], dtype=torch.float64, requires_grad=True)
    adjoint.run(cell.replace(C=C), current, DT, surrogate=SURROGATE).mean().backward()


def pmbc_table(quick: bool) -> str:
    physiological = RefractoryLIF.start().replace(C=100.0, g=100.0 / 15.0, U=3.0, tau_R=15.0)
    seed = physiological.replace(C=100.0 / 15.0 * DT / log(10.0), tau_R=-DT / log(0.9), U=3.0)
    lengths = (1000, 4000) if quick else (1000, 4000, 16000, 32000)
    noises = [("3 ms", 3.0, 0.3, 0.6), ("3 ms", 3.0, 0.8, 0.6), ("3 ms", 3.0, 1.3, 0.6), ("30 ms", 30.0, 0.8, 0.6)]
    tonic = ("tonic", 0.0, 1.3, 0.0)
    cases = [
        ("physiological, 15 ms", physiological, [("white", 0.0, 0.9, 4.0), *noises, tonic]),
        ("seed's, 0.1 per step", seed, [("white", 0.0, 0.3, 0.35), ("white", 0.0, 0.9, 0.6), *noises, tonic]),
    ]
    rows: list[Row] = []
    against: list[float] = []
    silent = {steps: noise(4, steps, 0.0, 0.0) for steps in lengths}
    # what a torch loop takes depends on the number of steps, not on what happens in them
    loop = {steps: seconds(lambda I=I: sequential(physiological, I, DT), 1) for steps, I in silent.items()}
    for what, cell, drives in cases:
        rheobase = float(cell.g * (cell.theta - cell.E_L))
        for band, tau, mean, std in drives:
            for steps in lengths:
                current = noise(4, steps, mean * rheobase, std * rheobase, tau)
                begin = time.thread_time()
                count, fired = pmbc_passes(cell, current, DT)
                taken = time.thread_time() - begin
                assert np.array_equal(fired.numpy(), compiled.run(cell, current, DT).raster() > 0)
                n = fired.sum(-1)
                other = speculate_passes(cell, current, DT, chunk=1000)
                against.append(loop[steps] / taken)
                rows.append(
                    (
                        what, band, f"{mean:g} ± {std:g}", str(steps), f"{int(n.max())}", f"{int(count.max())}",
                        f"{float(count.max()) / max(float(n.max()), 1):.2f}", f"{int(other.max())}",
                        f"{1e3 * taken:.0f}", f"{loop[steps] / taken:.1f}",
                    )
                )  # fmt: skip
    head = ("leak", "noise", "drive / rheobase", "steps", "spikes (busiest row)", "passes", "passes per spike",
            "speculate: passes (chunk 1000)", "pmbc, ms", "vs loop, forward")  # fmt: skip
    says = NOTES["pmbc"].format(least=f"{min(against):.1f}", most=f"{max(against):.0f}")
    return table("Seed 001, SPikE-SSM: passes of parallel max-min boundary compression", head, rows, says)


def decoupled_table(quick: bool) -> str:
    lengths = (1024, 2048, 4096) if quick else (1024, 4096, 8192, 16384, 32768)
    measured = 2048 if quick else 4096
    soft = SoftLIF.start()
    cells = [("SoftLIF, soft reset", soft, 0.9), ("PRF, no reset", PRF.start(), 0.9)]
    rows: list[Row] = []
    for what, cell, level in cells:
        rheobase = 100.0 * level
        per_step = 0.0
        for steps in lengths:
            current = noise(4, steps, rheobase, rheobase)
            fast = decoupled(cell, current, DT)[0]
            if steps <= measured:
                assert torch.equal(fast, sequential(cell, current, DT)[0])
                per_step = seconds(train(sequential, cell, current), 1) / steps
            forward = seconds(lambda cell=cell, I=current: decoupled(cell, I, DT))
            both = seconds(train(decoupled, cell, current))
            best = seconds(lambda cell=cell, I=current: _adjoint(cell, I))
            share = _scan(cell, current) / forward
            rows.append(
                (
                    what, str(steps), f"{1e3 * forward:.1f}", f"{100 * share:.0f} %" if cell is soft else "none",
                    f"{per_step * steps / both:.0f}{'' if steps <= measured else ' (baseline extrapolated)'}",
                    f"{both / best:.1f}", _circular(cell, current, fast),
                )
            )  # fmt: skip
    head = ("neuron", "steps", "forward, ms", "of it the moving threshold", "vs loop, forward + backward",
            "compiled + adjoint vs decoupled", "rows wrong without padding")  # fmt: skip
    return table(
        "Seed 002, PRF: the reset decoupled from the input", head, rows, 
        NOTES["decoupled"].format(measured=measured, ours=5 * 256, theirs=256**2 + 2 * 256 * 256),
    )  # fmt: skip


def _scan(cell: Neuron, current: Tensor) -> float:
    """Time of the moving threshold alone."""
    setup = set_up(cell, current, DT, "decoupled")
    rows, steps = current.shape[1:]
    arguments = (potential_by_fft(setup)[0].numpy(), *_threshold_arguments(setup, rows))
    return seconds(lambda: moving_threshold(*arguments, np.zeros((rows, steps), dtype=np.bool_)))


def _threshold_arguments(setup: Setup, rows: int) -> tuple[np.ndarray, ...]:
    op = setup.op
    tables = (op.free[:, :-1, :-1], op.margin[:, :-1], kick(setup)[:, :-1], op.n_ref)
    return (*(t.detach().numpy().repeat(rows, 0) for t in tables), np.zeros(rows, dtype=np.int64))


def _circular(cell: Neuron, current: Tensor, right: Tensor) -> str:
    """How many rows spike wrongly if the convolution wraps around."""
    setup = set_up(cell, current, DT, "decoupled")
    rows, steps = current.shape[1:]
    quiet = set_up(cell, torch.zeros_like(current), DT, "decoupled")
    pulse = torch.zeros_like(current)
    pulse[..., 0] = 1.0
    offset = potential_by_fft(quiet)
    kernel = potential_by_fft(set_up(cell, pulse, DT, "decoupled")) - offset
    wrapped = torch.fft.irfft(torch.fft.rfft(kernel) * torch.fft.rfft(current), steps) + offset
    fired = np.zeros((rows, steps), dtype=np.bool_)
    moving_threshold(wrapped[0].contiguous().numpy(), *_threshold_arguments(setup, rows), fired)
    return f"{int((fired != right[0].numpy().astype(bool)).any(-1).sum())} of {rows}"


TABLES: dict[str, Callable[[bool], object]] = {
    "step": seed_networks.step_table, "blocks": block_table, "etv": seed_networks.etv_table, "pmbc": pmbc_table,
    "decoupled": decoupled_table, "silif": seed_networks.silif_table, "stc": seed_networks.stc_table,
    "cost": seed_networks.cost_table, "digits": seed_tasks.digits_table,
    "recall": seed_tasks.recall_table, "claims": seed_networks.claims_table,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true", help="write docs/seeds.md")
    parser.add_argument("--only", choices=list(TABLES), action="append")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["EPHYSFIT_THREADS"] = "1"
    command = "python benchmarks/seeds.py" + (" --quick" if options.quick else "")
    head = (
        "# The seeds' parallel algorithms, and what survives of their claims\n\n"
        f"Made by `{command} --write`: one core, float64, torch {torch.__version__}, {platform.machine()}. Every "
        "algorithm here gives the spikes of the step-by-step definition, spike for spike.\n"
    )
    parts = [head]
    for name, make in TABLES.items():
        if not options.only or name in options.only:
            parts.append(str(make(options.quick)))
            print(parts[-1], flush=True)
    if options.write:
        page = Path(__file__).parent.parent / "docs" / "seeds.md"
        page.write_text("\n".join(parts) if not options.only else replace_sections(page.read_text(), parts[1:]))


def replace_sections(page: str, parts: list[str]) -> str:
    """The page with these sections in the place of those of the same titles; new ones after the part before them."""
    head, *sections = page.split("\n## ")
    titled = [(s.partition("\n")[0], s.strip()) for s in sections]
    at = len(titled) - 1
    for part in (p.removeprefix("## ").strip() for p in parts):
        title, titles = part.partition("\n")[0], [t for t, _ in titled]
        at = titles.index(title) if title in titles else at + 1
        titled[at : at + (title in titles)] = [(title, part)]
    return "\n\n## ".join([head.strip(), *(s for _, s in titled)]) + "\n"


if __name__ == "__main__":
    main()
