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
# # From current steps to a cell card and a model
#
# The protocol that nearly every cell gets first: a family of current steps. From it come the numbers a cell is known
# by (its *card*), a model with a membrane, and the question where that model is the cell and where it is not. One
# pyramidal cell, 30 sweeps, under a minute.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ephysfit as ef
from ephysfit.card.pulses import find_pulses
from ephysfit.reports.model_card import simulate_sweeps

data = next(p / "data" for p in [Path.cwd(), *Path.cwd().parents] if (p / "data" / "18713001.abf").exists())
recording = ef.load(data / "18713001.abf")
print(recording)


# %%
def show_sweeps(sweeps, others=(), title=""):
    """Draw voltages (mV) over time (s), those of a model in blue."""
    fig, axes = plt.subplots(1, len(sweeps), figsize=(10, 2.6), sharey=True, layout="constrained")
    for k, (ax, sweep) in enumerate(zip(axes, sweeps, strict=True)):
        ax.plot(sweep.times / 1e3, sweep.voltage, color="0.25", lw=0.8, label="cell")
        if others:
            ax.plot(others[k].times / 1e3, others[k].voltage, color="C0", lw=0.9, label="model")
            ax.plot(others[k].spike_times / 1e3, np.full(len(others[k].spike_times), 45.0), "|", color="C0", ms=9)
        ax.set(title=f"{amplitude_of[sweep.name]:.0f} pA", xlabel="time (s)")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("voltage (mV)")
    if others:
        axes[0].legend(frameon=False, fontsize=8)
    fig.suptitle(title)
    plt.show()


steps = [p for p in find_pulses(recording.sweeps) if p.duration > 400.0]
amplitude_of = {p.sweep.name: p.amplitude for p in steps}
by_amplitude = sorted(steps, key=lambda p: p.amplitude)
first_firing = next(p for p in by_amplitude if len(p.spikes))
shown = [first_firing.sweep, by_amplitude[-8].sweep, by_amplitude[-1].sweep]
show_sweeps(shown, title="the cell")

# %% [markdown]
# ## The card
# Each value has its unit, a 95 % interval, the number of pulses or sweeps it rests on, and how it was measured. What a
# protocol does not hold would be a dash with the reason. Formulas and sources: "The card of a cell" in the docs.

# %%
card = ef.describe(recording)
print(card)

# %% [markdown]
# Two of these values deserve a look. The *input resistance* is the asymptote of the fitted response, without the jump
# at the beginning of the pulse: that jump is the electrode (`access resistance left`), not the cell. And the *rheobase*
# is an interval between two amplitudes, here 10 pA apart: no analysis can make it finer than the protocol.

# %%
for name in ("input_resistance", "access_resistance", "tau", "rheobase"):
    print(f"{card[name].label:24s} {card[name].how}")

# %% [markdown]
# ## A model with a membrane
# `split` holds out every third amplitude at which the cell fires. Spikes alone fix no mV, so that a neuron fitted to
# them may end with a membrane that no physiologist believes. A neuron with a membrane is therefore fitted for
# physiology where the recording shows one: rest, input resistance and time constant are those of the small pulses,
# held, and everything else is fitted to the spikes. `objective="prediction"` fits the membrane too.

# %%
train, test = recording.split()
fit = ef.fit(train, "GIF")
print(f"{fit.model}: {fit.status.value}; {fit.seconds:.0f} s")
print(fit.membrane)

# %%
show_sweeps(shown, simulate_sweeps(fit, shown), title="cell and noise-free run of its model (spikes: ticks)")

# %% [markdown]
# ## The card of the model
# The fitted neuron is simulated on the same sweeps and measured in the same way, so that the two columns compare.

# %%
model = ef.describe_model(fit, recording)
print(f"{'':24s} {'cell':>9s} {'model':>9s}")
for measure in card:
    other = model[measure.name]
    if measure.value is not None and other.value is not None:
        print(f"{measure.label:24s} {measure.value:9.3g} {other.value:9.3g} {measure.unit}")

# %% [markdown]
# A point neuron draws no spike, so height and width have no counterpart. Rest, input resistance and time constant are
# the cell's because they were held; rheobase, latency and f-I curve are what the fit made of the spikes.

# %% [markdown]
# ## Does it predict?
# Spikes in the held-out steps, beside a straight line between the neighbouring amplitudes: the answer a model has to
# beat. AIGIF is fitted to the spikes alone and has no membrane in mV; it is here because it predicts best.

# %%
best = ef.fit(train, "AIGIF")
held = [p for p in find_pulses(test.sweeps) if p.duration > 400.0 and p.amplitude > 0]
trained = [p for p in find_pulses(train.sweeps) if p.duration > 400.0]
x = np.array(sorted({round(p.amplitude) for p in trained}))
y = np.array([np.mean([len(p.spikes) for p in trained if round(p.amplitude) == a]) for a in x])


def count_spikes(fitted, pulse):
    """Mean number of spikes of noisy runs in a pulse."""
    runs = fitted.simulate(test.select(names=[pulse.sweep.name]), runs=50).spike_times[0]
    return np.mean([np.sum((t >= pulse.begin) & (t < pulse.end)) for t in runs])


counts = np.array(
    [
        [len(p.spikes), count_spikes(fit, p), count_spikes(best, p), np.interp(p.amplitude, x, y)]
        for p in sorted(held, key=lambda p: p.amplitude)
    ]
)
print("     pA   cell    GIF  AIGIF   line")
for pulse, row in zip(sorted(held, key=lambda p: p.amplitude), counts, strict=True):
    print(f"{pulse.amplitude:7.0f} {row[0]:6.0f} {row[1]:6.1f} {row[2]:6.1f} {row[3]:6.1f}")
print("mean absolute error     " + " ".join(f"{e:6.2f}" for e in np.abs(counts[:, 1:] - counts[:, :1]).mean(0)))

# %% [markdown]
# What has the cell's membrane is not what predicts its spikes best: choose by what the model is for. Six held-out steps
# of one cell decide little; the documentation page on current steps has nine cells.

# %% [markdown]
# From here: `ef.report(fit, test, "cell.html", train=train)` writes all of it on one page; `ephysfit describe FILE
# --fit fit.json` prints the two cards in a terminal; for many cells, `ephysfit batch cells/ -o run` and
# `ephysfit summarize run` make a page of cards to browse.
