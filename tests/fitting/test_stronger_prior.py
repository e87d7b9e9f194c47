"""A fit whose free runs run away is made again with a stronger prior, and says so."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.data.recording import Recording
from ephysfit.fitting.chain import default_stages, run_stages
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.stage import Problem, Status
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.fitting.stronger_prior import find_prior_strength, strengthen_prior
from ephysfit.models import AIGIF, ALIF

DT = 0.1


@cache
def record_pulses() -> Recording:
    """Trains of short pulses: each spike follows a pulse, so that the effects of the two are not told apart."""
    stored = json.loads((Path(__file__).parent / "pulse_trains.json").read_text(encoding="utf-8"))
    currents = []
    for sweep in stored["sweeps"]:
        current = np.zeros(20_000)
        for k in range(10):
            begin = int((200 + k * 1000 / sweep["pulses_per_second"]) / DT)
            current[begin : begin + 20] = sweep["amplitude_pA"]
        currents.append(current)
    return Recording.of(currents, DT, spike_times=[s["spikes"] for s in stored["sweeps"]])


@cache
def fit_plainly() -> tuple[Problem, Fit]:
    problem = Problem(record_pulses(), AIGIF, 0.5)
    return problem, run_stages(problem, default_stages(AIGIF))


def test_a_runaway_is_mended_and_said() -> None:
    _, plain = fit_plainly()
    cell = record_pulses().n_spikes
    assert plain.status is Status.MISSES  # else there is nothing to mend here
    assert plain.counts is not None
    assert sum(plain.counts.noisy or ()) > 2 * cell
    mended = ef.fit(record_pulses(), AIGIF)
    assert mended.status is not Status.MISSES
    assert mended.counts is not None
    assert sum(mended.counts.noisy or ()) == pytest.approx(cell, rel=1 / 3)
    assert find_prior_strength(mended) > find_prior_strength(plain) == Likelihood.prior
    assert f"for the cell's {cell}: the prior was made to count" in mended.warnings[0]


def test_what_was_asked_for_is_kept() -> None:
    problem, plain = fit_plainly()
    assert strengthen_prior(problem, plain, Likelihood(prior=2e-3)) is plain
    fires = replace(plain, history=tuple(e.with_(status=Status.CONVERGED) for e in plain.history))
    assert strengthen_prior(problem, fires) is fires
    searched = replace(problem, neuron=ALIF)
    assert strengthen_prior(searched, plain) is plain  # ALIF is searched in free runs after its likelihood
