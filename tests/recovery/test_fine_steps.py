"""A cell recorded in fine steps comes back from a fit in coarse ones: no half step is added to its membrane."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ephysfit.data.recording import Recording
from ephysfit.fitting.chain import run_stages
from ephysfit.fitting.stage import Problem
from ephysfit.fitting.stages import Likelihood
from ephysfit.models import LIF
from ephysfit.synthetic import noise_current

#: ms, pF, nS, mV; potentials from rest
FINE, SAMPLED, DURATION = 0.05, 0.1, 60_000.0
TAU, G, THRESHOLD, RESET, SOFTNESS, REFRACTORY = 10.0, 5.0, 20.0, 5.0, 1.5, 2.0


@cache
def fine_recording(seed: int) -> Recording:
    """A leaky integrator with escape noise in steps of 0.05 ms, written out: it shares nothing with the package."""
    current = noise_current(DURATION, SAMPLED, 80.0, 60.0, seed=seed)
    drive = (np.repeat(current, round(SAMPLED / FINE)) / G).tolist()
    chance = np.random.default_rng(seed).exponential(size=20_000)
    keep, v, free_at, spikes, spent = math.exp(-FINE / TAU), 0.0, 0.0, [], 0.0
    for k, target in enumerate(drive):
        now = (k + 1) * FINE
        if now <= free_at + 1e-9:
            continue
        before, v = v, target + (v - target) * keep
        spent += FINE * math.exp((0.5 * (before + v) - THRESHOLD) / SOFTNESS)
        if spent >= chance[len(spikes)]:
            spikes.append(now)
            v, free_at, spent = RESET, now + REFRACTORY, 0.0
    return Recording.of(current, SAMPLED, spike_times=np.array(spikes))


def miss_of_membrane(dt: float, late: float = 0.0) -> float:
    """Mean error of the fitted membrane time constant over three minutes, ms; `late` is added to the spike times."""
    places = {"E_L": -70.0, "theta": THRESHOLD - 70.0, "V_reset": RESET - 70.0}
    known = LIF(C=TAU * G, g=G, **places, t_ref=REFRACTORY, delta=SOFTNESS)
    off = []
    for seed in range(3):
        data = fine_recording(seed)
        (sweep,) = data.sweeps
        moved = replace(data, sweeps=(replace(sweep, spike_times=sweep.spike_times + late),))
        cell = run_stages(Problem(moved, LIF, dt), [Likelihood(starts=1, prior=1e-5)], start=known).neuron
        off.append(cell.C / cell.g - TAU)
    return float(np.mean(off))


@pytest.mark.parametrize("dt", [0.5, 1.0])
def test_the_membrane_time_constant_does_not_take_up_half_a_step(dt):
    assert abs(miss_of_membrane(dt)) < 0.3 * dt


def test_spikes_half_a_step_off_are_taken_for_a_slower_membrane():
    """Half a step later is what rounding down to steps does: hazard and reset both come late, and the fit makes up."""
    assert 0.5 < miss_of_membrane(0.5, late=0.25) < 1.1
