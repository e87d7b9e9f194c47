"""Tables of `seeds.py` on sequential tasks: every block of the five papers, beside a plain LIF, in one small network.

Networks differ in the layer of cells alone: a linear map of the input, 64 cells, a linear readout of their spike
counts in stretches of time. Each training run (task, neuron, random seed) is kept in docs/seeds.json and not run again
while its settings are the same; delete the file to train anew. Nothing is chosen by test trials.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
import torch
from seed_tables import Row, Table
from torch import Tensor, nn

from ephysfit.files import write_text
from ephysfit.models import ALIF, LIF, PRF, STCLIF, CSiLIF, RefractoryLIF, SiLIF
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation.layer import NeuronLayer, layer
from ephysfit.simulation.surrogate import Surrogate

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "seeds.json"
N = 64
SEEDS = (0, 1, 2)
#: input of unit size in pA, which takes about 100 pA to bring these cells to threshold
SCALE = 400.0
COMPILED: dict[str, tuple[Any, dict[str, Any]]] = {
    "LIF": (LIF, {}), "ALIF (Block-ALIF)": (ALIF, {}), "RefractoryLIF (SPikE-SSM)": (RefractoryLIF, {}),
    "PRF": (PRF, {}), "SiLIF": (SiLIF, {}), "CSiLIF": (CSiLIF, {}), "STCLIF": (STCLIF, {}),
}  # fmt: skip
#: the same cells by a torch loop over blocks, or connected to themselves: too slow here for long sequences
SLOW: dict[str, tuple[Any, dict[str, Any]]] = {
    "ALIF, engine blocks": (ALIF, {"engine": "blocks", "detach": True}),
    "ALIF, recurrent": (ALIF, {"recurrent": True}),
}


@dataclass(frozen=True)
class Settings:
    """Of a training run: step (ms), epochs, training trials, stretches whose spikes are counted, reset detached."""

    dt: float
    epochs: int
    trials: int
    stretches: int
    window: int
    detach: bool


@dataclass(frozen=True)
class Trials:
    """Inputs (trial, step, channel) and classes."""

    x: Tensor
    label: Tensor


class Network(nn.Module):
    """Input to cells to counts of the last `window` steps, in `stretches` pieces, to classes."""

    def __init__(self, neuron: Any, options: dict[str, Any], settings: Settings, of: Trials, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.settings = settings
        self.mix = nn.Linear(of.x.shape[-1], N)
        options = {"detach": settings.detach, **options}
        self.cells: NeuronLayer = layer(
            neuron, N, dt=settings.dt, spread=0.3, seed=seed, surrogate=Surrogate(15.0), **options
        )
        self.read = nn.Linear(N * settings.stretches, int(of.label.max()) + 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        spikes = self.cells(SCALE * self.mix(x).transpose(1, 2))
        counts = spikes[..., -self.settings.window :].unflatten(-1, (self.settings.stretches, -1)).sum(-1)
        return self.read(counts.flatten(1)), spikes


def train(network: Network, given: Trials, batches: int | None = None) -> float:
    """Descend by Adam; CPU seconds per epoch, or of so many batches of one."""
    adam = torch.optim.Adam(network.parameters(), lr=0.01)
    network(given.x[:2])[0].sum().backward()  # loads kernels
    begin = time.process_time()
    for _ in range(network.settings.epochs if batches is None else 1):
        for which in torch.randperm(len(given.x)).split(64)[:batches]:
            adam.zero_grad()
            nn.functional.cross_entropy(network(given.x[which])[0], given.label[which]).backward()
            adam.step()
    return (time.process_time() - begin) / (network.settings.epochs if batches is None else 1)


def run(
    cells: tuple[Any, dict[str, Any]], settings: Settings, given: Trials, test: Trials, seed: int
) -> dict[str, float]:
    """Accuracy and spikes per cell and step on test trials, CPU seconds per epoch."""
    network = Network(*cells, settings, given, seed)
    spent = train(network, given)
    with torch.no_grad():
        parts = [network(x) for x in test.x.split(64)]
    right = torch.cat([p[0] for p in parts]).argmax(1) == test.label
    return {
        "accuracy": float(right.double().mean()), "rate": float(torch.cat([p[1] for p in parts]).mean()),
        "seconds": spent,
    }  # fmt: skip


def kept(key: str, settings: Settings, work: Callable[[], dict[str, float]], keep: bool) -> dict[str, float]:
    """The numbers of a run, from docs/seeds.json where it holds them for these settings."""
    rows: dict[str, Any] = json.loads(RESULTS.read_text()) if keep and RESULTS.exists() else {}
    found = rows.get(key)
    if found and found["settings"] == asdict(settings):
        return found["found"]
    made = work()
    if keep:
        rows[key] = {"settings": asdict(settings), "found": made}
        write_text(RESULTS, json.dumps(rows, indent=1) + "\n")
        print(key, {k: round(v, 4) for k, v in made.items()}, flush=True)
    return made


def columns(found: list[dict[str, float]]) -> Row:
    """Accuracy, spikes, time, over random seeds."""
    accuracy, rate, spent = (np.array([f[k] for f in found]) for k in ("accuracy", "rate", "seconds"))
    right = f"{100 * accuracy.mean():.0f} ± {100 * accuracy.std():.0f}"
    return (right, f"{100 * rate.mean():.1f} %", f"{np.median(spent):.1f}")


# --- digits, pixel by pixel -------------------------------------------------------------------------------------------


def draw_digits(size: int, seed: int) -> tuple[Trials, Trials]:
    """scikit-learn's digits as sequences of size x size pixels and their complements, three quarters to train."""
    from sklearn.datasets import load_digits  # only these tables need it

    images = torch.from_numpy(load_digits().images).float()[:, None] / 16
    if size != 8:
        images = nn.functional.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
    pixels = images.flatten(1)
    x, label = torch.stack([pixels, 1 - pixels], -1), torch.from_numpy(load_digits().target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    parts = order.tensor_split([3 * len(x) // 4])
    return Trials(x[parts[0]], label[parts[0]]), Trials(x[parts[1]], label[parts[1]])


def digits_table(quick: bool) -> Table:
    """Accuracy, rate and time with 64 and with 784 steps."""
    seeds, sizes, epochs = (SEEDS[:1], (8, 16), (1, 1)) if quick else (SEEDS, (8, 28), (3, 6))
    both = {**COMPILED, **SLOW}
    cells: dict[str, Row] = dict.fromkeys(both, ())
    images = 0
    for size, rounds in zip(sizes, epochs, strict=True):
        found: dict[str, list[dict[str, float]]] = {name: [] for name in cells}
        for seed in seeds:  # outside, so that times of neurons are interleaved
            given, test = draw_digits(size, seed)
            images = len(given.x) + len(test.x)
            settings = Settings(2.0, rounds, len(given.x), 8, size * size, size > 8)
            for name in cells:
                if name in COMPILED or size == 8:
                    work = lambda c=both[name], s=seed, g=given, t=test, o=settings: run(c, o, g, t, s)  # noqa: E731
                    found[name].append(kept(f"digits {size}x{size}, {name}, {seed}", settings, work, not quick))
        for name in SLOW if size != 8 else ():
            work = lambda n=name, g=given, o=settings: {"seconds": _one_batch(n, o, g)}  # noqa: E731
            one = kept(f"digits {size}x{size}, {name}, one batch", settings, work, not quick)["seconds"]
            cells[name] += ("not trained", "", f"{one * len(given.x) / 64:.0f} (from 1 batch)")
        cells |= {name: cells[name] + columns(f) for name, f in found.items() if f}
    rows = [(name, *values) for name, values in cells.items()]
    what = ("test accuracy, %", "spikes per cell and step", "CPU s per epoch")
    head = ("neuron", *(f"{s * s} steps: {w}" if k == 0 else w for s in sizes for k, w in enumerate(what)))
    says = (
        f"{images} images of 8 x 8 pixels, as they are and made {sizes[1]} x {sizes[1]} by bilinear interpolation, one "
        f"pixel per step of 2 ms; three quarters train. A linear map of the pixel and its complement, {N} cells, a "
        f"linear readout of spike counts in eight stretches of time; {epochs[0]} epochs of Adam, {epochs[1]} for the "
        "longer sequence, with one setting for all, not tuned; chance is 10 %. In the longer sequence the reset is "
        f"detached (see below). Mean and standard deviation of {len(seeds)} random seeds, which also draw the "
        "split; times are medians, neurons interleaved. A small network after few epochs, far from published "
        "accuracies on MNIST, which is another data set: it shows that all blocks train through one layer at both "
        "lengths, and what they cost; it ranks nothing. The readout sees when spikes came, so the longer sequence is "
        "longer to train through but no test of memory; the next section is one. The torch loop over blocks and "
        "the recurrent layer are timed at the longer sequence, by one batch, and not trained. Made by "
        "`benchmarks/seeds.py --only digits --write`; runs are kept in docs/seeds.json."
    )
    return Table("Layers: a sequential task for all blocks", head, rows, says)


def _one_batch(neuron: str, settings: Settings, given: Trials) -> float:
    return train(Network(*SLOW[neuron], settings, given, 0), given, batches=1)


# --- a spike pattern to remember --------------------------------------------------------------------------------------

STEPS, WINDOW, CHANNELS, CLASSES, TEST = 1024, 128, 16, 4, 256
#: the longest time constant (ms) that each block begins with, 900 or just inside its bounds, and what sets it
LONGEST = {
    "LIF": 390.0, "ALIF (Block-ALIF)": 900.0, "RefractoryLIF (SPikE-SSM)": 475.0, "PRF": 900.0, "SiLIF": 900.0,
    "CSiLIF": 900.0, "STCLIF": 95.0,
}  # fmt: skip
HOLDS: dict[str, Callable[[Tensor], dict[str, Tensor]]] = {
    "LIF": lambda tau: {"C": 5.0 * tau},
    "ALIF (Block-ALIF)": lambda tau: {"tau_a": tau},
    "RefractoryLIF (SPikE-SSM)": lambda tau: {"tau_R": tau},
    "PRF": lambda tau: {"tau": tau},
    "SiLIF": lambda tau: {"lambda_w": 1 / tau},
    "CSiLIF": lambda tau: {"gamma": 1 / tau},
    "STCLIF": lambda tau: {"tau_y": tau},
}


def slow_cells(name: str) -> tuple[Neuron, dict[str, Any]]:
    """Cells of a block whose slowest variable begins at time constants from 20 ms on, even in logarithm; options."""
    kind = COMPILED[name][0]
    tau = torch.logspace(log10(20.0), log10(LONGEST[name]), N, dtype=torch.float64)
    start = {k: torch.full_like(tau, float(v)) for k, v in kind.start().values().items()}
    learn = [k for k in FreeParameters.of(kind, None, smooth_only=True).names if k != "carry"]  # 0, on its bound
    return kind(**{**start, **HOLDS[name](tau)}), {"learn": learn, "dtype": torch.float32}


def draw_patterns(gap: int, seed: int, trials: int) -> tuple[Trials, Trials]:
    """One of four frozen spike patterns of 128 ms, `gap` ms before the last 128 ms, under spikes of 10 Hz all along.

    A pattern is drawn once per seed (30 Hz per channel); in each trial its spikes move by 3 ms and a fifth is lost.
    With a gap of -128 it is heard while the readout counts.
    """
    rng = np.random.default_rng([seed, gap + WINDOW])
    patterns = rng.random((CLASSES, CHANNELS, WINDOW)) < 0.03
    begin, total = STEPS - 2 * WINDOW - gap, trials + TEST
    label = np.arange(total) % CLASSES
    spikes = (rng.random((total, CHANNELS, STEPS)) < 0.01).astype(np.float32)
    trial, channel, at = np.nonzero(patterns[label])
    stays = rng.random(len(at)) < 0.8
    moved = np.clip(np.rint(at + rng.normal(0.0, 3.0, len(at))), 0, WINDOW - 1).astype(int)
    np.add.at(spikes, (trial[stays], channel[stays], begin + moved[stays]), 1.0)
    x = torch.from_numpy(spikes)
    fading = torch.exp(-torch.arange(25.0) / 5.0).flip(0)[None, None]  # synapses of 5 ms
    x = nn.functional.conv1d(x.flatten(0, 1)[:, None], fading, padding=24)[..., :STEPS].reshape(x.shape)
    x = (x / x.std()).transpose(1, 2)
    classes = torch.from_numpy(label)
    return Trials(x[:trials], classes[:trials]), Trials(x[trials:], classes[trials:])


def recall_table(quick: bool) -> Table:
    """Accuracy by the time for which a pattern has to be remembered."""
    seeds, gaps = (SEEDS[:1], (-WINDOW, 768)) if quick else (SEEDS, (-WINDOW, 128, 768))
    settings = Settings(1.0, 1 if quick else 3, 256 if quick else 768, 4, WINDOW, True)
    found: dict[str, list[list[dict[str, float]]]] = {name: [] for name in COMPILED}
    for gap in gaps:
        for name in COMPILED:
            found[name].append([])
        for seed in seeds:
            given, test = draw_patterns(gap, seed, settings.trials)
            for name in COMPILED:
                work = lambda c=slow_cells(name), s=seed, g=given, t=test: run(c, settings, g, t, s)  # noqa: E731
                found[name][-1].append(kept(f"recall {gap}, {name}, {seed}", settings, work, not quick))
    rows = []
    for name, by_gap in found.items():
        rows.append((name, *(columns(f)[0] for f in by_gap), *columns([r for f in by_gap for r in f])[1:]))
    when = ["in the readout" if g < 0 else f"{g} ms before it" for g in gaps]
    limit = 1 / CLASSES + 2 * np.sqrt((1 / CLASSES) * (1 - 1 / CLASSES) / TEST)
    verdict = "; ".join(
        f"after {gap} ms " + (", ".join(n for n, f in found.items() if _all_above(f[k], limit)) or "no block")
        for k, gap in enumerate(gaps)
        if gap > 0
    )
    longest = ", ".join(f"{LONGEST[name]:g} ({name.split()[0]})" for name in COMPILED)
    says = (
        f"Which of {CLASSES} frozen spike patterns came: {CHANNELS} channels, {STEPS} steps of 1 ms, a pattern of "
        f"{WINDOW} ms (30 Hz per channel, spikes moved by 3 ms, a fifth lost) under spikes of 10 Hz all along. Only "
        f"spikes of the last {WINDOW} ms are read out (counts in four stretches, linear), so that a pattern that came "
        "before must be held by the cells. One network per column, trained alone: "
        f"{settings.trials} trials, {settings.epochs} epochs of Adam, settings of the digits, in float32, not tuned; "
        f"{TEST} test trials; chance is {100 // CLASSES} %. Mean and standard deviation of {len(seeds)} random seeds; "
        f"spikes and time over all columns. Above {100 * limit:.1f} % (chance and two "
        f"standard errors) from every seed: {verdict}. The first column shows that the task can be learnt where "
        "nothing has to be remembered. So that each block has something to hold it with, its slowest time constant "
        f"(LIF: membrane) begins spread over the cells, from 20 ms to {longest} ms, and learns with the rest. The "
        "reset is detached: cells begin spread, and where the drop at a spike is far wider than the surrogate's "
        "window the gradient with the reset in the graph grows from step to step and overflowed here. PRF has none: "
        "a spike erases nothing of what its state holds. One layer of "
        f"{N} cells after few epochs: the papers' long-range results rest on deep networks and much longer training, "
        "which is not tried. Time constants were spread after a quick run of one seed with the declared starts had "
        "shown chance for all blocks at the longest gap; nothing else followed from a result. Made by "
        "`benchmarks/seeds.py --only recall --write`; runs are kept in docs/seeds.json."
    )
    head = ("neuron", *(f"test accuracy, %, pattern {w}" for w in when), "spikes per cell and step", "CPU s per epoch")
    return Table("Layers: a spike pattern to remember", head, rows, says)


def _all_above(found: list[dict[str, float]], limit: float) -> bool:
    return all(f["accuracy"] > limit for f in found)
