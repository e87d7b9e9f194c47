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
# # A first fit
#
# A serotonin neuron of the mouse dorsal raphe was driven with frozen noise: 60 s of one noise, then ten times the
# same 10 s of another. We fit a point neuron to the first and ask it to predict the second. About two minutes.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ephysfit as ef

data = next(p / "data" for p in [Path.cwd(), *Path.cwd().parents] if (p / "data" / "DRN164.nwb").exists())

# %% [markdown]
# ## Load
# Any format that `ephysfit info FILE` understands goes through the same call. Inside, everything is in ms, mV,
# pA, pF and nS. `split` finds the stimulus that was repeated and keeps it for testing: a model that was tested on
# what it was fitted on says nothing.

# %%
recording = ef.load(data / "DRN164.nwb")
train, test = recording.split()
for name, part in (("train", train), ("test", test)):
    print(f"{name}: {len(part)} sweeps, {part.duration / 1e3:g} s, {part.n_spikes} spikes, {part.rate:.1f} Hz")

# %% [markdown]
# ## Look
# The current, the voltage that came back, and the spikes that were found in it. Below, the ten repeats: where the
# rows line up the cell is reliable, and a model can be asked to be right; where they do not, nobody can.

# %%
sweep = train[0]
shown = slice(round(2000 / sweep.dt), round(3500 / sweep.dt))
fig, (top, middle, bottom) = plt.subplots(3, 1, figsize=(9, 6), height_ratios=[1, 2, 2], layout="constrained")
top.plot(sweep.times[shown] / 1e3, sweep.current[shown], color="0.5", lw=0.8)
top.set(ylabel="current (pA)", xticks=[])
middle.plot(sweep.times[shown] / 1e3, sweep.voltage[shown], color="k", lw=0.8)
spikes = sweep.spike_times[(sweep.spike_times > 2000) & (sweep.spike_times < 3500)]
middle.plot(spikes / 1e3, np.full(len(spikes), 45.0), "v", color="C3")
middle.set(ylabel="voltage (mV)", xlabel="time in the training noise (s)")
bottom.eventplot([t / 1e3 for t in test.spike_times], colors="k", linelengths=0.8)
bottom.set(xlim=(2, 6), ylabel="repeat", xlabel="time in the test noise (s)")
plt.show()

# %% [markdown]
# ## Fit
# `AIGIF` is an integrate-and-fire neuron with spike-triggered currents, an A-type potassium current and a
# threshold that follows the voltage. It is fitted by maximum likelihood of the recorded spike times;
# `ef.fit(train)` alone would choose among simpler and richer neurons. The test repeats take no part.

# %%
fit = ef.fit(train, "AIGIF")
print(f"{fit.model}, {fit.seconds:.0f} s: {fit.status.value}")
for warning in fit.warnings:
    print("!", warning)

# %% [markdown]
# Each parameter has a unit, bounds and a meaning:

# %%
for row in fit.parameters()[:12]:
    print(f"{row['name']:8s} {row['value']:9.3f} {row['unit']:4s} [{row['low']:g}, {row['high']:g}]  {row['meaning']}")

# %% [markdown]
# ## Score
# The model now runs on the test noise. A stochastic neuron gives noisy runs, as the cell gives repeats, and two
# noise-free readouts. Scores stand beside what the cell itself reproduces: the ten repeats do not agree perfectly
# either.

# %%
simulated = fit.simulate(test)
noisy = ef.score(simulated, test)
causal = ef.score(simulated.companions["causal"], test)
print(noisy)
print()
print(f"One noise-free run reaches {causal['gamma_over_R_4']:.2f} of the cell's own reliability (Γ/R, ±4 ms).")

# %% [markdown]
# ## Plot
# Recorded repeats in black, noisy runs of the model in red, its noise-free run in blue.

# %%
stretch = (4000.0, 6500.0)


def inside(train, start=stretch[0], stop=stretch[1]):
    return train[(train >= start) & (train < stop)] / 1e3


rows = [
    *((inside(t), "k") for t in test.spike_times),
    *((inside(t), "C3") for t in simulated.spike_times[0][:10]),
    (inside(simulated.companions["causal"].spike_times[0][0]), "C0"),
]
fig, (raster, rate) = plt.subplots(2, 1, figsize=(9, 5), sharex=True, height_ratios=[2, 1], layout="constrained")
raster.eventplot([t for t, _ in rows], colors=[c for _, c in rows], linelengths=0.8)
raster.set(ylabel="cell (black), model (red, blue)", yticks=[])
bins = np.arange(*stretch, 10.0) / 1e3
for trains, color, label in ((test.spike_times, "k", "cell"), (simulated.spike_times[0], "C3", "model")):
    count, _ = np.histogram(np.concatenate([inside(t) for t in trains]), bins)
    rate.stairs(count / len(trains) / 0.01, bins, color=color, label=label)
rate.set(xlabel="time (s)", ylabel="rate (Hz)")
rate.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Keep
# A fit is one readable JSON file with everything needed to repeat it; a report is one HTML page that opens
# anywhere.

# %%
import tempfile

folder = Path(tempfile.mkdtemp())
fit.save(folder / "DRN164.json")
again = ef.Fit.load(folder / "DRN164.json")
assert again.neuron.values() == fit.neuron.values()
page = ef.report(fit, test, folder / "DRN164.html", train=train)
print(f"{page.name}: {page.stat().st_size / 1e6:.1f} MB; made by ephysfit {fit.provenance.version}")
