"""What export tests share: a current that makes each neuron spike, and how two trains must agree."""

from __future__ import annotations

import numpy as np

from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.stage_reports import Report, Reports
from ephysfit.models import catalogue
from ephysfit.simulation.simulate import simulate

#: mean and standard deviation (pA) of currents to try, in order
LEVELS = ((150.0, 60.0), (400.0, 200.0), (2.0, 1.0), (50.0, 20.0), (1500.0, 800.0))
#: a start with empty banks hears nothing
AWAKE = {"BankGIF": {"R": (1.0,) * 8, "gamma": (-1.0,) * 7, "theta": 4.0}}
#: what `simulate` calls each way of spiking
NOISE = {"threshold": "none", "causal": "integrated", "noisy": "escape"}


def fitted(name: str, dt: float, *reports: Report) -> Fit:
    """The neuron of that name at its start values, as if fitted."""
    return Fit(catalogue()[name].start().replace(**AWAKE.get(name, {})), "demo", dt, reports=Reports(*reports))


def current(fit: Fit, steps: int, seed: int = 0, piece: float = 3.0) -> np.ndarray:
    """Pieces of constant current, `piece` ms long, to which the neuron spikes; (time,) or (time, input)."""
    rng = np.random.default_rng(seed)
    length = round(piece / fit.dt)
    for mean, std in LEVELS:
        levels = mean + std * rng.standard_normal(-(-steps // length))
        drive = np.repeat(levels.round(3), length)[:steps]
        if len(type(fit.neuron).inputs) > 1:
            drive = np.stack([drive, (rng.random(steps) < 0.01).astype(float)], -1)
        spikes = len(reference(fit, drive, "causal" if fit.neuron.stochastic() else "threshold"))
        if 0.005 * steps * fit.dt <= spikes <= 0.1 * steps * fit.dt:
            break
    return drive


def reference(fit: Fit, drive: np.ndarray, spiking: str, seed: int = 3) -> np.ndarray:
    """Spike times of ephysfit itself, ms."""
    sharpen = fit.sharpen if spiking == "causal" else (1.0, 0.0)
    done = simulate(fit.neuron, drive, dt=fit.dt, noise=NOISE[spiking], seed=seed, sharpen=sharpen)
    return done.spike_times[0][0]


def assert_same(found: np.ndarray, wanted: np.ndarray, within: float) -> None:
    """The same spikes, each within so many ms; silence proves nothing."""
    assert len(wanted) >= 3, "the reference hardly spikes"
    assert len(found) == len(wanted), (len(found), len(wanted))
    assert np.abs(found - wanted).max() <= within + 1e-6
