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
# # How the block-parallel simulator works
#
# A spiking neuron is simulated step by step because each spike changes what follows. Taylor, King & Harper
# (2023) saw that within a refractory period a neuron spikes *at most once*: a block of that length needs no
# loop inside. Here the idea is built in a few lines, compared with the definition, and then with the engine of
# the house, which is the same for any affine neuron.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
import torch

from ephysfit.models import LIF
from ephysfit.simulation.engines.blocks import blocks
from ephysfit.simulation.engines.sequential import sequential

cell = LIF.start().replace(t_ref=4.0)
dt, steps = 0.1, 3000
rng = np.random.default_rng(1)
slow = np.convolve(rng.standard_normal(steps), np.ones(100) / 10, "same")
current = 130.0 + 120.0 * slow
print(cell)

# %% [markdown]
# ## The definition: a loop over time
# Three thousand steps, one after the other.

# %%
decay = np.exp(-dt * cell.g / cell.C)
drive = cell.E_L + current / cell.g
held = round(cell.t_ref / dt)


def by_loop():
    v, wait, spikes = cell.E_L, 0, []
    for n in range(steps):
        if wait:
            wait -= 1
            continue
        v = decay * v + (1 - decay) * drive[n]
        if v >= cell.theta:
            spikes.append(n)
            v, wait = cell.V_reset, held
    return spikes


loop = by_loop()
print(len(loop), "spikes at steps", loop[:8], "...")

# %% [markdown]
# ## One block
# As long as nothing happens the membrane is a *linear* function of the voltage that enters and of the input:
# all its values over a block come out at once, by one product with a table of powers. The first value at or
# above threshold is the spike; what comes after it in the block is refractory by construction.

# %%
length = held + 1
n = np.arange(length)
table = np.tril(decay ** (n[:, None] - n[None, :])) * (1 - decay)
powers = decay ** (n + 1)


def one_block(v, inputs):
    """Membrane without reset over a block, and the first crossing (or None)."""
    free = powers[: len(inputs)] * v + table[: len(inputs), : len(inputs)] @ inputs
    over = np.flatnonzero(free >= cell.theta)
    return free, (int(over[0]) if over.size else None)


free, first = one_block(-47.0, drive[1230 : 1230 + length])
print(f"a block that enters at -47 mV crosses at its step {first}")

# %% [markdown]
# ## From block to block
# What crosses a border is the voltage and how many refractory steps are left. Only that goes step by step: 3000
# steps become 74 blocks.

# %%


def by_blocks():
    v, wait, spikes, pieces, count = cell.E_L, 0, [], [], 0
    for start in range(0, steps, length):
        stop = min(start + length, steps)
        begin, count = start + min(wait, stop - start), count + 1
        wait -= begin - start
        if begin == stop:
            continue
        free, first = one_block(v, drive[begin:stop])
        pieces.append((begin, free, first))
        if first is None:
            v = free[-1]
        else:
            spikes.append(begin + first)
            v, wait = cell.V_reset, held - (stop - begin - first - 1)
    return spikes, count, pieces


found, count, pieces = by_blocks()
assert found == loop
print(f"the same {len(found)} spikes from {count} blocks instead of {steps} steps")

# %% [markdown]
# Each stretch between grey lines is one block, computed at once; where it crosses (red), the rest of it is thrown away
# (shaded): the cell is refractory.

# %%
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
for begin, free, first in pieces:
    if 1170 <= begin < 1480:
        at = (begin + np.arange(len(free))) * dt
        ax.axvline(begin * dt, color="0.85", lw=0.6)
        kept = len(free) if first is None else first + 1
        ax.plot(at[:kept], free[:kept], color="C0", lw=1.4)
        ax.plot(at[kept - 1 :], free[kept - 1 :], color="C0", lw=1, ls=":")
        if first is not None:
            ax.plot(at[first], free[first], "o", color="C3")
            ax.axvspan(at[first], at[first] + cell.t_ref, color="0.9", lw=0)
ax.axhline(cell.theta, color="k", lw=0.8, ls="--")
ax.set(xlabel="time (ms)", ylabel="membrane without reset (mV)")
plt.show()

# %% [markdown]
# ## The engine
# `ephysfit.simulation.engines.blocks` does this for *any* affine neuron: reset to a value or by a jump, adaptation,
# states that move while refractory, many cells and trials at once, in torch, so on any device. It equals the
# definition spike for spike.

# %%
torch.set_num_threads(1)
many = torch.from_numpy(current).repeat(1, 16, 1)
timed = {}
for name, engine in (("sequential", sequential), ("blocks", blocks)):
    with torch.no_grad():
        engine(cell, many[..., :200], dt)
        begin = time.thread_time()
        spikes, _, _ = engine(cell, many, dt)
    timed[name] = time.thread_time() - begin
    assert np.flatnonzero(spikes[0, 0].numpy()).tolist() == loop
print(f"16 rows, CPU time of the loop over that of blocks: {timed['sequential'] / timed['blocks']:.1f}")

# %% [markdown]
# ## What it is worth
# The longer the refractory period in steps, the more is gained: measured for 1 to 256 rows on the docs page on
# the parallel algorithms (6 to 14 times at physiological 1 to 2 ms and few rows). Where the work is done on a
# CPU, the compiled engine, which simply steps, is far ahead of both; blocks are for torch graphs and GPUs.
