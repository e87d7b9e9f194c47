"""Small problems with known answers."""

from __future__ import annotations

from functools import cache

import numpy as np

from ephysfit.data.recording import Recording, Sweep
from ephysfit.fitting.stage import Estimate, Problem
from ephysfit.models import ALIF, LIF
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.synthetic import recording

DT = 0.5
KNOWN = ALIF(
    C=100.0, g=5.0, E_L=-65.0, theta=-48.0, d_theta=6.0, tau_a=80.0, V_reset=-60.0, t_ref=2.0, delta=1.5
)  # fmt: skip


class Plain(Neuron):
    """A leaky membrane that no noise was declared for."""

    C = Parameter("pF", 5.0, 2000.0, "capacitance", start=100.0)
    g = Parameter("nS", 0.1, 200.0, "leak", start=5.0)
    E_L = Parameter("mV", -110.0, -20.0, "rest", start=-65.0)
    theta = Parameter("mV", -80.0, 20.0, "threshold", start=-50.0)
    V = State("mV", rest="E_L")

    def flow(self, x, I):
        return {"V": (-self.g * (x.V - self.E_L) + I) / self.C}

    def margin(self, x):
        return x.V - self.theta

    def jump(self, x):
        return {"V": self.E_L}


@cache
def known(duration: float = 12_000.0, seed: int = 0, dt: float = DT, noise: str = "escape") -> Recording:
    """A synthetic ALIF cell, with voltage."""
    options = {"duration": duration, "dt": dt, "seed": seed, "noise": noise}
    return recording(KNOWN, repeats=0, mean=95.0, std=60.0, **options)


@cache
def spikes_only(duration: float = 12_000.0, seed: int = 0) -> Recording:
    """The same cell without voltage."""
    (sweep,) = known(duration, seed)
    return Recording((Sweep(sweep.current, DT, None, sweep.spike_times, name="training"),), cell="spikes only")


@cache
def steps(n: int = 6) -> Recording:
    """Step currents, every sweep of another length."""
    from ephysfit.synthetic import respond

    sweeps = []
    for k in range(n):
        current = np.full(1600 + 200 * k, 60.0 + 25.0 * k)
        current[:200] = 0.0
        sweeps.append(respond(KNOWN, current, DT, seed=k, name=f"step {k}"))
    return Recording(tuple(sweeps), cell="steps")


def silent_cell() -> Recording:
    """Noise that the cell does not answer but for two spikes."""
    current = 5.0 * np.random.default_rng(0).standard_normal(8000)
    return Recording.of(current, DT, spike_times=[1000.0, 3000.0], cell="silent")


def problem(data: Recording | None = None, kind: type[Neuron] = LIF, **settings) -> Problem:
    return Problem(spikes_only() if data is None else data, kind, DT, **settings)


def begun(p: Problem) -> Estimate:
    """The estimate that a chain starts from: what can be read off the recording."""
    from ephysfit.fitting.stages.passive import Passive

    return Passive()(p, Estimate(p.start()))


def altered(data: Recording, where, seed: int = 9) -> Recording:
    """The same recording with all spikes in the steps of `where` taken out and others put in."""
    (sweep,) = data
    kept = sweep.spike_times[~where[(sweep.spike_times / DT).astype(int)]]
    drawn = (np.random.default_rng(seed).choice(np.flatnonzero(where), 12, replace=False) + 0.5) * DT
    changed = Sweep(sweep.current, DT, None, np.sort(np.r_[kept, drawn]), name=sweep.name)
    return Recording((changed,), cell=data.cell)
