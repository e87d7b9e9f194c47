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
# # Resonance
#
# Some cells answer best at one frequency: a slow current that opposes the membrane lets slow input leak away
# and follows fast input too late. Where the peak lies and how high it is can be read off a neuron's parameters,
# and measured in a recording with a chirp. Here both, and what resonance does to spikes.

# %%
import matplotlib.pyplot as plt
import numpy as np

import ephysfit as ef
from ephysfit.models import AdLIF, impedance, measured_impedance, measured_resonance, resonance

# %% [markdown]
# ## From parameters
# `AdLIF` has a subthreshold conductance `a` with time constant `tau_w`. At a = 0 its impedance falls from the
# lowest frequency on; as `a` grows a peak rises.

# %%
cells = {a: AdLIF.start().replace(C=150.0, g=10.0, a=a, tau_w=100.0, theta=-30.0) for a in (0.0, 3.0, 10.0)}
for a, cell in cells.items():
    f, q = resonance(cell)
    print(
        f"a = {a:4.1f} nS: "
        + (f"resonates at {f:.1f} Hz, {q:.2f} times the impedance at rest" if f else "no resonance")
    )

# %% [markdown]
# ## From a chirp
# A current that sweeps from 0.5 to 50 Hz in 40 s, small enough not to fire, is injected; the impedance is the
# cross-spectrum of voltage and current over the power of the current, in bands. Dots lie on the lines.

# %%
dt, seconds = 0.5, 40.0
t = np.arange(0, 1e3 * seconds, dt) / 1e3
rate = np.log(50.0 / 0.5) / seconds
chirp = 20.0 * np.sin(2 * np.pi * 0.5 * (np.exp(rate * t) - 1) / rate)
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
grid = np.geomspace(0.5, 50, 200)
for k, (a, cell) in enumerate(cells.items()):
    run = ef.simulate(cell, [chirp], dt=dt, save=("V",))
    assert run.rate_hz == 0
    f, z = measured_impedance(chirp, run.traces["V"][0], dt)
    left.loglog(grid, 1e3 * abs(impedance(cell, grid)), color=f"C{k}", label=f"a = {a:g} nS")
    left.loglog(f, 1e3 * abs(z), "o", color=f"C{k}", ms=4)
    if a:
        seen, told = measured_resonance(chirp, run.traces["V"][0], dt), resonance(cell)
        print(f"a = {a:4.1f} nS: measured {seen.f_hz:.2f} Hz, from parameters {told.f_hz:.2f} Hz")
        assert abs(seen.f_hz / told.f_hz - 1) < 0.1
left.set(xlabel="frequency (Hz)", ylabel="impedance (MΩ)")
left.legend(frameon=False)
right.plot(t, run.traces["V"][0], color="C2", lw=0.6)
right.set(xlabel="time in the chirp (s)", ylabel="membrane, a = 10 nS (mV)")
plt.show()

# %% [markdown]
# ## In spikes
# Hold the cell just below threshold, add noise and a sine, and ask how well spikes keep to its phase. Making spikes
# filters too (both cells lock best at some 5 to 10 Hz here), but the resonant one gives up more where input is slow.

# %%
rng = np.random.default_rng(0)
long = np.arange(0, 400.0, dt / 1e3)
noise = np.convolve(rng.standard_normal(len(long)), np.ones(10) / 10**0.5, "same")


def locking(cell, f_hz, hold):
    current = hold + 15.0 * np.sin(2 * np.pi * f_hz * long) + 25.0 * noise
    spikes = ef.simulate(cell, [current], dt=dt).spike_times[0][0] / 1e3
    return abs(np.exp(2j * np.pi * f_hz * spikes).mean()) if len(spikes) > 20 else np.nan, len(spikes) / 400.0


frequencies = (1.0, 2.0, 5.0, 10.0, 25.0)
fig, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
for color, a in (("C0", 0.0), ("C2", 10.0)):
    cell = cells[a].replace(theta=-50.0)
    hold = (cell.g + a) * 13.0
    values = [locking(cell, f, hold) for f in frequencies]
    ax.semilogx(frequencies, [v for v, _ in values], "o-", color=color, label=f"a = {a:g} nS")
    share = values[0][0] / max(v for v, _ in values)
    print(f"a = {a:4.1f} nS: locking {', '.join(f'{v:.2f}' for v, _ in values)}; at 1 Hz {share:.2f} of its best")
ax.set(xlabel="frequency of the input (Hz)", ylabel="phase locking (0 to 1)")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Your own cell
# `measured_resonance(current, voltage, dt)` takes any stretch without spikes: a chirp, or noise below
# threshold. If it finds a quality above 1, fit a neuron that can resonate: `AdLIF`, or those of `ephysfit
# models` whose line says so (`ResonantLIF`, `PRF`, `BRF`), and compare on held-out data as in notebook 03.
