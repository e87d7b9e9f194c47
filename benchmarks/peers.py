"""Other simulators against the compiled engine, each in an environment of its own, in turns: ratios of one run.

Run by `engines.py --peers`. Environments are made where they are missing, in ``$EPHYSFIT_PEERS`` (a folder).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from peer_cell import CAPACITANCE, DT, LEAK, THRESHOLD, WIDTH, current, timed, weights

from ephysfit.models.lif import LIF
from ephysfit.simulation.engines.compiled import Problem
from ephysfit.simulation.surrogate import Surrogate

HERE = Path(__file__).parent
#: environment: what it needs
NEEDS = {"engines_peers": ["jax"], "torch_peers": ["torch", "snntorch", "norse", "spikingjelly"], "sims": ["brian2"]}
#: peer: script, environment, precision
PEERS = {
    "brian2": ("peer_brian2.py", "sims", "float64"),
    "snntorch": ("peer_torch.py", "torch_peers", "float32"),
    "norse": ("peer_torch.py", "torch_peers", "float32"),
    "spikingjelly": ("peer_torch.py", "torch_peers", "float32"),
}
#: rows, steps; the cost of a step does not depend on their number, but brian2 starts a process for each run: longer
SIZES = ((1, 2_000), (16, 2_000), (512, 500))
LONGER = {"brian2": 20}


def python(environment: str) -> Path:
    """Its interpreter; made and filled if it is not there."""
    home = Path(os.environ.get("EPHYSFIT_PEERS", Path.home() / ".cache" / "ephysfit" / "peers")) / environment
    found = home / "bin" / "python"
    if not found.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(found), "-m", "pip", "install", "-q", *NEEDS[environment]], check=True)
    return found


def theirs(peer: str, rows: int, steps: int) -> tuple[int, float, float]:
    """Spikes, ns forward, ns forward + gradient."""
    script, environment, _ = PEERS[peer]
    done = subprocess.run(
        [str(python(environment)), str(HERE / script), peer, str(rows), str(steps)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{peer}, {rows} x {steps}: {done.stderr.strip().splitlines()[-1]}")
    spikes, forward, both = done.stdout.strip().splitlines()[-1].split()
    return int(spikes), float(forward), float(both)


def ours(rows: int, steps: int, element: str, least: int = 40_000) -> tuple[int, float, float]:
    """The same neuron and input; timed on at least 40,000 steps, over which a call of Python is spread thin."""
    cell = LIF(C=CAPACITANCE, g=LEAK, E_L=0.0, theta=THRESHOLD, V_reset=0.0, t_ref=0.0, delta=1.0)
    short = Problem.of(cell, current(rows, steps)[:, None], DT, dtype=element)
    spikes = int(short.run().lane_counts[short.layout.real].sum())
    times = -(-least // steps)
    given = np.tile(current(rows, steps), times)[:, None].astype(element)
    dense = np.tile(weights(rows, steps), times)[:, None].astype(element)
    how = {"source": "spikes", "surrogate": Surrogate(WIDTH), "detach": False, "drive": False, "tau": None}
    problem = Problem.of(cell, given, DT, dtype=element)
    forward = timed(problem.forward)
    both = timed(lambda: problem.reverse(problem.forward(keep=True), dense=dense, **how))
    unit = 1e9 / given.size
    return spikes, forward * unit, both * unit


def main(rounds: int = 2) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print("| rows x steps | peer | theirs ns: forward, both | ours | ratio | spikes theirs, ours |")
    print("|---|---|---|---|---|---|")
    for rows, steps in SIZES:
        found: dict[str, list] = {peer: [] for peer in PEERS}
        for k in range(rounds):
            for peer, (_, _, element) in PEERS.items():
                if peer == "brian2" and k:
                    continue  # building takes half a minute
                length = steps * LONGER.get(peer, 1)
                found[peer].append((theirs(peer, rows, length), ours(rows, length, element)))
        for peer, pairs in found.items():
            (n, a, b), (m, c, d) = np.median(np.array(pairs), 0)
            size = f"{rows} x {steps * LONGER.get(peer, 1):,}"
            both = ("", "", "") if np.isnan(b) else (f", {b:,.0f}", f", {d:.2f}", f", {b / d:,.0f}")
            cells = [f"{a:,.0f}{both[0]}", f"{c:.2f}{both[1]}", f"{a / c:,.0f}{both[2]}", f"{n:,.0f}, {m:,.0f}"]
            print(f"| {size} | {peer} | {' | '.join(cells)} |", flush=True)
