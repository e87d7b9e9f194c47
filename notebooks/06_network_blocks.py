# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Neurons inside a network
#
# `ef.layer` turns any neuron of the catalogue, or your own, into a torch module: currents in pA go in, spikes come
# out, and the physical parameters learn within their bounds. Here such layers become the two network blocks that the
# neurons of SPikE-SSM and PRF were published in, and both learn to tell two rhythms apart. Then parts are taken away,
# to see which of them did it. Last, all five blocks of the papers run through longer sequences. About two minutes.

# %%
import math
import time

import matplotlib.pyplot as plt
import torch
from torch import nn

import ephysfit as ef
from ephysfit.models import LIF, PRF, RefractoryLIF
from ephysfit.simulation.surrogate import Surrogate

torch.set_num_threads(1)

dt, steps, n = 1.0, 300, 32  # ms, steps of a trial, cells of a block
unit = 100.0  # pA that a signal of 1 stands for; it takes about this much to bring the LIF cells to threshold
seconds = time.perf_counter()

# %% [markdown]
# ## The task
# A current swings at about 10 Hz (class 0) or about 16 Hz (class 1) for 300 ms, three to five cycles, under noise.
# Each trial has its own phase, its own amplitude (40 to 120 pA) and its own frequency within ±10 %. Both classes come
# equally often, so **chance is 50 %**, and at any one instant the two have the same distribution: whoever is right
# must remember.


# %%
def trials(count, rng, noise=60.0, tau=3.0):
    """Currents (trial, 1, step) in pA, and the class of each."""
    label = torch.arange(count) % 2
    uniform = torch.rand(3, count, 1, generator=rng)
    hertz = torch.tensor([10.0, 16.0])[label, None] * (0.9 + 0.2 * uniform[0])
    swing = torch.cos(2 * math.pi * (hertz * torch.arange(steps) * dt / 1000 + uniform[1]))
    white = torch.randn(count, 1, steps + 10 * round(tau / dt), generator=rng)
    kernel = torch.exp(-torch.arange(10 * round(tau / dt) + 1) * dt / tau)
    slow = nn.functional.conv1d(white, (kernel / kernel.square().sum().sqrt()).flip(0)[None, None])
    return ((40 + 80 * uniform[2]) * swing)[:, None] + noise * slow, label


rng = torch.Generator().manual_seed(6)
train, held_out = trials(2048, rng), trials(512, rng)

fig, rows = plt.subplots(2, 2, figsize=(9, 3), sharex=True, sharey=True, layout="constrained")
for k, ax in enumerate(rows.T.flat):
    which = [0, 2, 1, 3][k]
    ax.plot(held_out[0][which, 0], color=f"C{k // 2}", lw=0.9)
    ax.set_title("about 16 Hz" if held_out[1][which] else "about 10 Hz", fontsize=9, loc="left")
fig.supylabel("current (pA)", fontsize=10)
fig.supxlabel("time (ms)", fontsize=10)
plt.show()

# %% [markdown]
# ## The blocks
# All networks are alike outside the block: a linear map to 32 channels, one block, the mean over time, a linear
# readout. Linear maps within a block (`mix`) work on the channels of one instant, and what a block makes is added to
# what came in. Only filters and neurons reach over time.
#
# * **LIF layer**, the baseline: LIF cells, then mixing. Their membrane time constants start between 10 and 100 ms.
# * **SPikE-SSM block** ([Zhong et al. 2024](https://arxiv.org/abs/2410.17268)): a linear filter per channel,
#   `RefractoryLIF` cells, mixing and a gated linear unit. As published, only the threshold and the height `U` of the
#   refractory trace learn in the cells. Our filter is the simplest that is not trivial, one damped oscillator per
#   channel; the paper's has many states.
# * **SD-TCM block** ([Huang et al. 2024](https://arxiv.org/abs/2410.03530)): `PRF` cells over time, then mixing; a
#   memoryless threshold unit of learnable amplitude, then mixing. Both halves add to the current that came in, before
#   any spike (membrane shortcuts).


# %%
def mix(given, made):
    return nn.Conv1d(given, made, 1)


def spread(low, high):
    return torch.logspace(math.log10(low), math.log10(high), n)


def cells(neuron, *learn):
    return ef.layer(neuron, n, dt=dt, learn=learn, surrogate=Surrogate(15.0))


def lif_cells():
    return cells(LIF.start().replace(g=spread(1.0, 10.0)), "C", "g", "theta")


def prf_cells():
    return cells(PRF.start().replace(tau=40.0, f=spread(0.004, 0.04)), "C", "tau", "f", "theta")  # 4 to 40 Hz


class Oscillators(nn.Module):
    """A filter per channel, the response of a damped oscillator; by FFT, padded so that nothing wraps around."""

    def __init__(self, ring):
        super().__init__()
        self.ring = float(ring)
        self.log_tau = nn.Parameter(spread(10.0, 100.0)[torch.randperm(n)].log())
        self.log_f = nn.Parameter(spread(0.004, 0.04).log())  # 4 to 40 Hz
        self.gain = nn.Parameter(torch.full((n, 1), 2.0))

    def forward(self, x):
        after = torch.arange(x.shape[-1]) * dt
        rate, f = torch.exp(-self.log_tau)[:, None], torch.exp(self.log_f)[:, None]
        swing = torch.cos(self.ring * 2 * math.pi * f * after)
        kernel = self.gain * 2 * dt * rate * torch.exp(-after * rate) * swing
        size = 2 * x.shape[-1]
        return torch.fft.irfft(torch.fft.rfft(x, size) * torch.fft.rfft(kernel, size), size)[..., : x.shape[-1]]


class LIFLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells, self.mix = lif_cells(), mix(n, n)

    def spikes(self, x):
        return self.cells(unit * x)

    def forward(self, x):
        return x + self.mix(self.spikes(x))


class SpikeSSM(nn.Module):
    def __init__(self, neuron=RefractoryLIF, learn=("theta", "U"), ring=True):
        super().__init__()
        self.filter = Oscillators(ring)
        self.cells = cells(neuron, *learn)
        self.mix = nn.Sequential(mix(n, 2 * n), nn.GLU(dim=1))

    def spikes(self, x):
        return self.cells(unit * self.filter(x))

    def forward(self, x):
        return x + self.mix(self.spikes(x))


class SDTCM(nn.Module):
    def __init__(self, made=prf_cells, frozen=False):
        super().__init__()
        self.cells, self.after_time = made().requires_grad_(not frozen), mix(n, n)
        self.level = nn.Parameter(torch.full((n, 1), 0.3))
        self.amplitude = nn.Parameter(torch.ones(n, 1))
        self.after_channels = mix(n, n)

    def spikes(self, x):
        return self.cells(unit * x)

    def forward(self, x):
        x = x + self.after_time(self.spikes(x))
        return x + self.after_channels(self.amplitude * Surrogate(1.0).spike(x - self.level))


class Network(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.enter, self.block, self.read = mix(1, n), block(), nn.Linear(n, 2)
        nn.init.normal_(self.enter.weight, 0.0, 1.5)

    def forward(self, current):
        return self.read(self.block(self.enter(current / unit)).mean(-1))

    def spikes(self, current):
        with torch.no_grad():
            return self.block.spikes(self.enter(current / unit))


print(Network(SDTCM).block)

# %% [markdown]
# ## Train
# The same for all: Adam at 0.01, 120 batches of 32 trials. The 512 held-out trials are looked at along the way but
# choose nothing; their standard error is 2 % near chance and 0.5 % near the top. Where the choices came from: on other
# trials than these, a first SPikE-SSM block without a gain on its filters reached 86 %, because few of its cells fired;
# the gain repaired that. The LIF layer had no such second look.


# %%
def accuracy(network):
    with torch.no_grad():
        return (network(held_out[0]).argmax(1) == held_out[1]).double().mean().item()


def learn(block, seed, batches=120, every=20):
    torch.manual_seed(seed)
    network = Network(block)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    curve = [accuracy(network)]
    for k in range(1, batches + 1):
        batch = torch.randint(len(train[1]), (32,))
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(train[0][batch]), train[1][batch]).backward()
        optimiser.step()
        if k % every == 0:
            curve.append(accuracy(network))
    return network, curve


blocks = {"LIF layer": LIFLayer, "SPikE-SSM block": SpikeSSM, "SD-TCM block": SDTCM}
networks, curves = {}, {}
for name, block in blocks.items():
    for seed in (0, 1):
        networks[name, seed], curves[name, seed] = learn(block, seed)
    rate = 1000 / dt * networks[name, 0].spikes(held_out[0]).mean()
    right = " and ".join(f"{curves[name, seed][-1]:.1%}" for seed in (0, 1))
    print(f"{name:16s} held-out {right} (two random beginnings), {rate:.0f} spikes a second and cell")

# %%
fig, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
for k, name in enumerate(blocks):
    for seed, ls in ((0, "-"), (1, "--")):
        curve = 100 * torch.tensor(curves[name, seed])
        ax.plot(20 * torch.arange(len(curve)), curve, f"C{k}", ls=ls, label=None if seed else name)
ax.axhline(50, color="0.6", lw=0.8)
ax.text(120, 49, "chance", color="0.4", fontsize=8, ha="right", va="top")
ax.set(xlabel="batches of 32 trials", ylabel="held-out trials right (%)", ylim=(40, 102))
fig.legend(frameon=False, fontsize=8, loc="outside upper center", ncols=3)
plt.show()

# %% [markdown]
# ## Look inside
# Spikes of the trained cells in one trial of each class, cells ordered by the frequency they listen to: that of their
# filter in the SPikE-SSM block, their own in the SD-TCM block. `PRF` has no reset and no refractory period: it marks
# every millisecond above threshold, which is why its "rate" is high and its marks come in runs.

# %%
fig, panels = plt.subplots(2, 2, figsize=(9, 5), sharex=True, sharey="row", layout="constrained")
for row, name in zip(panels, ("SPikE-SSM block", "SD-TCM block"), strict=True):
    block = networks[name, 0].block
    f = block.filter.log_f if hasattr(block, "filter") else block.cells.cells().f
    spikes = networks[name, 0].spikes(held_out[0][:2])[:, f.argsort()]
    for ax, of_cells, label in zip(row, spikes, held_out[1], strict=False):
        ax.eventplot([dt * (s.nonzero()[:, 0].numpy() + 0.5) for s in of_cells], colors="k", lw=0.7)
        ax.set_title(f"{name}, about {16 if label else 10} Hz", fontsize=9, loc="left")
    row[0].set_ylabel("cell, low to high frequency")
for ax in panels[1]:
    ax.set_xlabel("time (ms)")
plt.show()

# %% [markdown]
# What learned in the cells are physical numbers within declared bounds, so they can be read:

# %%
before, after = (b.cells.cells() for b in (SDTCM(), networks["SD-TCM block", 0].block))
for name, what in (("C", "pF"), ("tau", "ms"), ("f", "1/ms"), ("theta", "mV")):
    was, now = (getattr(c, name).detach().expand(n) for c in (before, after))
    print(f"{name:6s} {was.min():8.3g} to {was.max():6.3g}  ->  {now.min():8.3g} to {now.max():6.3g} {what}")

# %% [markdown]
# ## Take parts away
# The same training, from the first random beginning, with one part changed.

# %%
changed = {
    "SPikE-SSM, LIF cells (no refractory trace)": lambda: SpikeSSM(LIF, ("theta",)),
    "SPikE-SSM, filters that decay but do not ring": lambda: SpikeSSM(ring=False),
    "SD-TCM, cells as they began (nothing in them learns)": lambda: SDTCM(frozen=True),
    "SD-TCM, LIF cells": lambda: SDTCM(lif_cells),
}
for name, block in changed.items():
    print(f"{name:54s} held-out {learn(block, 0)[1][-1]:.1%}")
print(f"{time.perf_counter() - seconds:.0f} s in all")

# %% [markdown]
# ## Longer sequences
# The blocks once more, each as a single layer of 32 cells between a linear map and a linear readout of spike counts, in
# two tasks. Scikit-learn's digits, made 28 x 28, come **one pixel per step, 784 steps**; the readout counts in eight
# stretches of time (chance 10 %). And one of four spike patterns of 128 ms comes in a record of **1,024 steps**, in the
# last 128 ms, which alone are read out, or 128 ms before them, so that the cells have to hold it (chance 25 %). Short
# training and one random beginning; `benchmarks/seeds.py` trains longer, from three random beginnings each, and over a
# longer gap, and writes what it finds to docs/seeds.md. The reset is detached: where its drop is far wider than the
# surrogate's window, the gradient with the reset in the graph grows from step to step, and overflows over so many.

# %%
from sklearn.datasets import load_digits

from ephysfit.models import ALIF, STCLIF, CSiLIF, SiLIF


def pixels():
    data = load_digits()
    images = torch.from_numpy(data.images).float()[:, None] / 16
    x = nn.functional.interpolate(images, size=(28, 28), mode="bilinear").flatten(1)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    return torch.stack([x, 1 - x], -1)[order], torch.from_numpy(data.target)[order]


def patterns(gap, count=512, channels=16):
    made = torch.Generator().manual_seed(1)
    frozen = torch.rand(4, channels, 128, generator=made) < 0.03
    label = torch.arange(count) % 4
    x = (torch.rand(count, channels, 1024, generator=made) < 0.01).float()
    begin = 1024 - 256 - gap
    x[..., begin : begin + 128] += frozen[label] & (torch.rand(count, channels, 128, generator=made) < 0.8)
    fading = torch.exp(-torch.arange(25.0) / 5.0).flip(0)[None, None]  # synapses of 5 ms
    x = nn.functional.conv1d(x.flatten(0, 1)[:, None], fading, padding=24)[..., :1024].reshape(x.shape)
    return (x / x.std()).transpose(1, 2), label


def learn_sequence(neuron, x, label, window, stretches, held=256, epochs=2, size=n):
    """Held-out accuracy and spikes per cell and step; counts of the last `window` steps are read out."""
    torch.manual_seed(0)
    of_cells = ef.layer(neuron, size, dt=1.0, spread=0.3, surrogate=Surrogate(15.0), detach=True)
    enter, read = nn.Linear(x.shape[-1], size), nn.Linear(size * stretches, int(label.max()) + 1)
    optimiser = torch.optim.Adam([*enter.parameters(), *of_cells.parameters(), *read.parameters()], lr=0.01)

    def run(given):
        spikes = of_cells(4 * unit * enter(given).transpose(1, 2))
        return read(spikes[..., -window:].unflatten(-1, (stretches, -1)).sum(-1).flatten(1)), spikes

    for _ in range(epochs):
        for batch in torch.randperm(len(x) - held).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(run(x[held:][batch])[0], label[held:][batch]).backward()
            optimiser.step()
    with torch.no_grad():
        made, spikes = run(x[:held])
    return (made.argmax(1) == label[:held]).double().mean().item(), spikes.mean().item()


tasks = {
    "digits": (*pixels(), 784, 8),
    "pattern now": (*patterns(-128), 128, 4),
    "128 ms ago": (*patterns(128), 128, 4),
}
seconds = time.perf_counter()
print(f"{'':14s}" + "".join(f"{name + ': right, spikes':>30s}" for name in tasks))
for neuron in (LIF, ALIF, RefractoryLIF, PRF, SiLIF, CSiLIF, STCLIF):
    found = [learn_sequence(neuron, *task) for task in tasks.values()]
    print(f"{neuron.__name__:14s}" + "".join(f"{right:20.1%} {rate:9.1%}" for right, rate in found))
print(f"{time.perf_counter() - seconds:.0f} s")

# %% [markdown]
# ## What this shows, and what not
# It shows that the neurons of the catalogue work as layers: both published blocks train through them, from raw
# current to a decision, well above chance on trials they have not seen, within a minute on one core, while their
# parameters stay numbers with units and bounds.
#
# It also shows where the success comes from. Something in the block must *ring*: the filter of the SPikE-SSM block or
# the PRF cells of the SD-TCM block. Without it the same blocks fall to where the LIF layer is, or to chance. The
# refractory trace and the learning inside the PRF cells are worth about two percent each, seen from one random
# beginning, which is too little to tell: a bank from 4 to 40 Hz holds both rhythms before anything is learnt.
#
# The longer sequences show that all blocks train through hundreds of steps. After so little training no block answers
# what came 128 ms before the readout: as declared, cells hold tens of milliseconds. Where the benchmark begins them
# slower and trains longer, some answer. The papers' long-range claims rest on deep networks, which are not tried.
#
# It does not show that one block is better than the other, nor anything about speed or the papers'
# benchmarks: one task, made so that resonance helps, one width, one learning rate for all, short training; a LIF
# network with more layers, recurrence or time may well learn it. Nor is it a claim about cells: gradients go through
# a surrogate for the spike, and these cells were not fitted to any recording. To begin from fitted ones, hand
# `ef.layer` the neuron of a fit, `ef.layer(fit.neuron, 32, dt=1.0)`.
