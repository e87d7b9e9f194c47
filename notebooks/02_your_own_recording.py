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
# # Your own recording
#
# Four ways in: a file that ephysfit reads, a table, arrays, and several files of one cell. In each case ephysfit
# needs the current that was injected and what the cell did, voltage or spike times. It never guesses a current.

# %%
import tempfile
from pathlib import Path

import numpy as np

import ephysfit as ef
from ephysfit.data.loading import info
from ephysfit.errors import RecordingError

data = next(p / "data" for p in [Path.cwd(), *Path.cwd().parents] if (p / "data" / "DRN164.nwb").exists())
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## A file
# NWB 2, Allen NWB 1, ABF 1 and 2, whatever neo reads: the format is told by content, channels by their unit.
# `info` says what was found, what is usable, and why the rest is not; it is what `ephysfit info FILE` prints.

# %%
found = info(data / "DRN164.nwb")
for row in found.rows()[:3]:
    print({k: v for k, v in row.items() if v})
print(found.split)

# %% [markdown]
# A sweep holds current, voltage and spike times in pA, mV and ms:

# %%
recording = ef.load(data / "DRN164.nwb")
sweep = recording[0]
print(sweep.name, sweep.dt, "ms;", sweep.current[:3].round(1), "pA;", sweep.voltage[:3].round(1), "mV")
print(len(sweep.spike_times), "spikes, the first at", sweep.spike_times[0].round(2), "ms,", sweep.spike_source)

# %% [markdown]
# ## A table
# CSV, NPZ, MAT or Parquet. Column names carry quantity and unit (`current_pA`, `Vm (mV)`, `time [s]`). Here we
# write ten seconds of the cell as a lab might have exported them, in nA and volts:

# %%
part = sweep.cut(0, 10_000)
table = np.column_stack([part.times / 1e3, part.current / 1e3, part.voltage / 1e3])
np.savetxt(
    folder / "cell.csv", table, delimiter=",", header="time (s),current (nA),voltage (V)", comments="", fmt="%.9g"
)
same = ef.load(folder / "cell.csv")[0]
print(same.dt, "ms,", len(same.spike_times), "spikes; the same:", np.allclose(same.current, part.current, atol=1e-3))

# %% [markdown]
# Names that say nothing are refused, not guessed, until you say what they are:

# %%
np.savetxt(folder / "bare.csv", table[:, 1:], delimiter=",", header="a,b", comments="", fmt="%.9g")
try:
    ef.load(folder / "bare.csv")
except RecordingError as error:
    print(error)
named = ef.load(
    folder / "bare.csv", columns={"current": "a", "voltage": "b"}, units={"current": "nA", "voltage": "V"}, dt=0.1
)
print(len(named[0].spike_times), "spikes")

# %% [markdown]
# ## Arrays
# One row a trial. Spike times alone will do: models without voltage are fitted to spike times anyway.

# %%
current = np.stack([s.current for s in recording.sweeps[1:4]])
spikes = [s.spike_times for s in recording.sweeps[1:4]]
three = ef.Recording.of(current, dt=recording.dt, spike_times=spikes, cell="from arrays")
print(len(three), "trials;", three.stimuli()[0].repeats, "repeats of one stimulus;", three.n_spikes, "spikes")

# %% [markdown]
# ## Several files of one cell
# `ef.load([...])` joins them; sweeps carry the file's name. A common protocol has training noise in one file and
# repeats in another; the repeats are found by comparing currents and kept for testing.

# %%
np.savez(folder / "c7_noise.npz", current_pA=sweep.current, dt_ms=sweep.dt, spike_times_ms=sweep.spike_times)
np.savez(
    folder / "c7_repeats.npz",
    current_pA=current,
    dt_ms=recording.dt,
    spike_times_ms=np.concatenate(spikes),
    spike_trial=np.repeat(np.arange(3), [len(t) for t in spikes]),
)
joined = ef.load([folder / "c7_noise.npz", folder / "c7_repeats.npz"])
train, test = joined.split()
print(joined.cell, [s.name for s in train.sweeps], [s.name for s in test.sweeps])

# %% [markdown]
# ## Spikes
# Spikes are detected where the file has none: without an absolute threshold, and between samples. Look at them
# once; if they are wrong, give options or your own times.

# %%
again = ef.load(folder / "cell.csv", spikes="detect")
print(again.n_spikes, "detected;", recording.with_spikes([s.spike_times for s in recording.sweeps]).n_spikes, "given")

# %% [markdown]
# ## From here
# `train` and `test` go where those of the first notebook went: `ef.fit(train, "AdLIF")`,
# `ef.score(fit.simulate(test), test)`.
