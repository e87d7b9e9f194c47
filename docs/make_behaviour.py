"""Draw how each neuron of the catalogue answers a step and noise: ``python docs/make_behaviour.py``.

The pictures lie in docs/_static/behaviour and are made with the site; `insert` puts them onto the models' pages. Each
neuron runs at its declared starts. The step is half as large again as the smallest one that makes it spike, and
the noise, the same for all, is scaled to that.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch

from ephysfit.files import replacing
from ephysfit.models import catalogue
from ephysfit.neuron.declare import Neuron
from ephysfit.reports.figures.style import CURRENT, MODEL, MUTED, make_axes, make_figure
from ephysfit.simulation.engines.sequential import sequential

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "_static" / "behaviour"
#: what a picture is made of, besides this file
SOURCES = ("models", "neuron", "simulation")
#: step of the runs and their length, ms
DT, LENGTH = 0.25, 600.0
#: beginning and end of the step of current, ms
ON, OFF = 50.0, 450.0
#: steps tried for the smallest that makes a neuron spike, pA
LEVELS = 2.0 ** np.arange(-2.0, 14.0, 0.25)
#: the step in units of that, and mean and standard deviation of the noise
SIZE, MEAN, SPREAD = 1.5, 0.7, 0.9
#: correlation time of the noise, ms
CORRELATION = 5.0

TIMES = np.arange(round(LENGTH / DT)) * DT
STEP = ((TIMES >= ON) & (TIMES < OFF)).astype(float)


def make_noise() -> np.ndarray:
    """Ornstein-Uhlenbeck noise of mean 0 and standard deviation 1."""
    kick = np.random.default_rng(0).normal(size=len(TIMES))
    keep = np.exp(-DT / CORRELATION)
    noise = np.zeros(len(TIMES))
    for n in range(1, len(TIMES)):
        noise[n] = keep * noise[n - 1] + np.sqrt(1 - keep**2) * kick[n]
    return noise


def run(neuron: type[Neuron], currents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spikes, and margins in mV, shape (trial, time); without noise."""
    inputs = len(neuron.inputs)
    drive = np.zeros((1, *currents.shape, inputs))
    drive[..., 0] = currents
    with torch.no_grad():
        spikes, _, margins = sequential(neuron.start(), torch.tensor(drive), DT)
    return spikes[0].numpy() > 0, margins[0].numpy()


def find_rheobase(neuron: type[Neuron]) -> float:
    """The smallest of the steps tried that makes the neuron spike, pA."""
    spikes, _ = run(neuron, LEVELS[:, None] * STEP)
    firing = LEVELS[spikes.any(axis=1)]
    return float(firing[0]) if len(firing) else float(LEVELS[-1])


def draw(neuron: type[Neuron], path: Path) -> None:
    """Draw the answers to a step (left) and to noise (right): the distance to threshold, spikes, and the current."""
    level = find_rheobase(neuron)
    currents = level * np.stack([SIZE * STEP, MEAN + SPREAD * make_noise()])
    spikes, margins = run(neuron, currents)
    fig = make_figure(8.4, 2.5)
    axes = make_axes(fig, 2, 2, sharex=True, sharey="row", height_ratios=(3, 1))
    low = max(float(np.percentile(margins, 0.5)), -80.0)
    for k, name in enumerate(("step", "noise")):
        upper, lower = axes[0, k], axes[1, k]
        upper.plot(TIMES, np.clip(margins[k], low, None), color=MODEL, lw=0.9)
        upper.axhline(0.0, color=MUTED, lw=0.8, ls=":")
        upper.vlines(TIMES[spikes[k]], -0.15 * low, -0.4 * low, color=MODEL, lw=1.1)
        upper.set_ylim(1.1 * low, -0.45 * low)
        upper.set_title(f"{name}: {spikes[k].sum()} spikes", fontsize=9, loc="left")
        lower.plot(TIMES, currents[k], color=CURRENT, lw=0.8)
        lower.set_xlabel("time (ms)")
    axes[0, 0].set_ylabel("to threshold (mV)", fontsize=8)
    axes[1, 0].set_ylabel("pA", fontsize=8)
    with replacing(path) as beside:
        fig.savefig(beside, dpi=100, facecolor="white")


def is_fresh(path: Path) -> bool:
    """Whether a picture is younger than all it is made of."""
    package = HERE.parent / "ephysfit"
    sources = [Path(__file__), *(file for name in SOURCES for file in (package / name).rglob("*.py"))]
    return path.is_file() and path.stat().st_mtime > max(file.stat().st_mtime for file in sources)


def insert(text: str, prefix: str) -> str:
    """The text of a page of models with a picture below the sentence that follows the heading of each neuron.

    Examples
    --------
    >>> print(insert("## LIF\\n\\n*A membrane.*\\n\\nMore", "../_static").splitlines()[4][:28])
    ![LIF at its declared starts
    """
    names = "|".join(catalogue())
    return re.sub(
        rf"(?m)^(## ({names})\n\n\*.*\*\n)",
        rf"\1\n![\2 at its declared starts: a step and noise of current, and the distance to threshold with its spikes]"
        rf"({prefix}/behaviour/\2.png)\n",
        text,
    )


def main() -> None:
    """Draw all that are missing or old."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, neuron in catalogue().items():
        if not is_fresh(FOLDER / f"{name}.png"):
            draw(neuron, FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
