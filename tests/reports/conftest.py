"""A synthetic cell whose spikes are known to come from its neuron, and fits made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ephysfit.data.recording import Recording
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.provenance import Provenance
from ephysfit.fitting.stage import Estimate, Status
from ephysfit.fitting.stage_reports import CausalRun, LikelihoodReport, Report, Reports
from ephysfit.models.lif import LIF
from ephysfit.neuron.declare import Neuron, Parameter, State
from ephysfit.simulation.simulate import simulate

DT = 0.5


def noise(steps: int, mean: float = 110.0, sd: float = 60.0, tau: float = 10.0, seed: int = 3) -> np.ndarray:
    """Ornstein-Uhlenbeck current, pA."""
    rng = np.random.default_rng(seed)
    out, decay = np.empty(steps), np.exp(-DT / tau)
    x = 0.0
    for k in range(steps):
        x = decay * x + sd * np.sqrt(1 - decay**2) * rng.standard_normal()
        out[k] = mean + x
    return out


def cell() -> Neuron:
    return LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=2.0)


def recorded(neuron: Neuron, seconds: float, repeats: int, seed: int, voltage: bool = True) -> Recording:
    """Noisy runs of a neuron as if they had been recorded."""
    current = noise(round(seconds * 1e3 / DT), seed=seed)
    runs = simulate(neuron, current, dt=DT, runs=repeats, noise="escape", seed=seed)
    v = -60.0 + 0.1 * np.tile(current, (repeats, 1)) if voltage else None
    return Recording.of(np.tile(current, (repeats, 1)), DT, voltage=v, spike_times=runs.spike_times[0], cell="known")


def by_hand(neuron: Neuron, *reports: Report) -> Fit:
    """A fit with a short history that nobody ran."""
    history = (
        Estimate(neuron, "passive", Status.NOT_NEEDED, seconds=0.25),
        Estimate(neuron, "likelihood", Status.CONVERGED, 3.25, 3.5, 1.5,
                 Reports(LikelihoodReport(curves=((5.0, 4.0, 3.25),)))),
    )  # fmt: skip
    about = Provenance(version="0.1.0", recording="known.nwb", date="2026-01-02T03:04:05+00:00", seed=7)
    return Fit(neuron, "known", DT, history, ("a warning <b>with markup</b>",), about, Reports(*reports))


@pytest.fixture(scope="session")
def test_recording() -> Recording:
    return recorded(cell(), 6.0, 5, seed=11)


@pytest.fixture(scope="session")
def train_recording() -> Recording:
    return recorded(cell(), 20.0, 1, seed=12)


@pytest.fixture(scope="session")
def fit() -> Fit:
    return by_hand(cell(), CausalRun((2.0, -1.0)), LikelihoodReport(standard_errors={"C": 1.25}))


class BareQuadratic(Neuron):
    """A deterministic (no hazard) Izhikevich neuron."""

    C = Parameter("pF", 5.0, 1000.0, "capacitance", 100.0)
    k = Parameter("nS", 0.01, 20.0, "steepness, per mV", 0.7)
    V_r = Parameter("mV", -90.0, -40.0, "rest", -60.0)
    V_t = Parameter("mV", -60.0, -10.0, "instability", -40.0)
    a = Parameter("1/ms", 0.001, 1.0, "recovery rate", 0.03)
    b = Parameter("nS", -20.0, 40.0, "recovery slope", -2.0)
    c = Parameter("mV", -90.0, -20.0, "reset", -50.0)
    d = Parameter("pA", 0.0, 500.0, "recovery jump", 100.0)
    hold = ()

    V = State("mV", rest="V_r", doc="membrane potential")
    w = State("pA", doc="recovery")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        cubic = self.k * (x.V - self.V_r) * (x.V - self.V_t) / 1.0
        return {"V": (cubic - x.w + I) / self.C, "w": self.a * (self.b * (x.V - self.V_r) - x.w)}

    def margin(self, x: Any) -> Any:
        return x.V - 35.0

    def jump(self, x: Any) -> dict[str, Any]:
        return {"V": self.c, "w": x.w + self.d}
