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
# # Choosing a model
#
# Which neuron should stand for this cell? The one that predicts best on stimuli it has not seen, and among
# equals the simplest. Four neurons of growing richness are fitted to 60 s of noise, each in seconds, and asked
# about another noise that the cell heard ten times. Under two minutes.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import ephysfit as ef
from ephysfit.neuron.declare import flat_names

data = next(p / "data" for p in [Path.cwd(), *Path.cwd().parents] if (p / "data" / "DRN164.nwb").exists())
train, test = ef.load(data / "DRN164.nwb").split()

# %% [markdown]
# ## Fit each with the same stages
# Maximum likelihood of the recorded spikes and a readout for the noise-free run. (`ef.fit(train, name)` alone
# adds a search in free run for small neurons, which takes them longer and further; here all get the same.)

# %%
stages = (ef.stages.Passive(), ef.stages.Likelihood(), ef.stages.CausalReadout())
names = ["LIF", "ALIF", "IGIF", "AIGIF"]
fits = {name: ef.fit(train, name, stages) for name in names}
for name, fit in fits.items():
    print(f"{name:6s} {fit.seconds:5.1f} s  {fit.loss:6.2f} nats per training spike; {fit.status.value}")

# %% [markdown]
# ## Test
# The training likelihood always favours the richer neuron and decides nothing. What counts is held out: Γ/R of
# one noise-free run (1: as well as the cell's own repeats agree), Md* of noisy runs (1: the same distribution
# of trains).

# %%
rows = []
for name, fit in fits.items():
    noisy = fit.simulate(test, runs=100)
    one, many = ef.score(noisy.companions["causal"], test), ef.score(noisy, test)
    free = [p for p in type(fit.neuron).parameters.items() if not p[1].measured]
    rows.append((name, len(list(flat_names(dict(free)))), one["gamma_over_R_4"], many["md_star_4"], many["md_star_8"]))
print(f"{'':6s} {'numbers':>8s} {'Γ/R ±4':>8s} {'Md* ±4':>8s} {'Md* ±8':>8s}")
for row in rows:
    print("{:6s} {:8d} {:8.2f} {:8.2f} {:8.2f}".format(*row))

# %%
fig, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
x = np.arange(len(rows))
for k, (label, color) in enumerate((("Γ/R, noise-free run, ±4 ms", "C0"), ("Md*, noisy runs, ±8 ms", "C2"))):
    values = [row[2] if k == 0 else row[4] for row in rows]
    ax.bar(x + 0.36 * k - 0.18, values, 0.34, color=color, label=label)
ax.axhline(1, color="0.6", lw=0.8)
ax.set(xticks=x, xticklabels=[f"{row[0]}\n{row[1]} numbers" for row in rows], ylabel="held-out score", ylim=(0, 1.25))
ax.legend(frameon=False, loc="upper left", ncols=2)
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# One noise-free run is noisy evidence: it moves by a tenth between fits. Md* of many runs is steadier. If two
# neurons are within a standard error of each other, take the simpler one.

# %% [markdown]
# ## What is not determined
# A parameter that ends on a bound, or that the data cannot tell from another, belongs to a neuron that is too
# rich for this recording. Each fit says so:

# %%
for name, fit in fits.items():
    on = [r["name"] for r in fit.parameters() if r["at_bound"]]
    print(f"{name:6s} on a bound: {', '.join(on) or 'none'}")

# %% [markdown]
# ## The same, done for you
# `ef.fit(train)` without a name climbs a nested ladder and keeps a richer neuron only where it predicts
# held-out blocks of the *training* data better by more than a standard error; `fit.selection.why` says what it
# saw. The test repeats stay unseen until the end. `ephysfit explore FIT FILE` shows the fits above on one page.
