"""Cells that are hard to fit: few spikes, bursts, one level of current. The richest neuron, a few steps."""

import numpy as np
import pytest

from ephysfit.data.recording import Recording
from ephysfit.errors import FitError
from ephysfit.fitting.fit import fit
from ephysfit.fitting.stage import Status
from ephysfit.fitting.stage_reports import LikelihoodReport
from ephysfit.fitting.stages import CausalReadout, Likelihood, Passive
from ephysfit.models import AIGIF
from ephysfit.neuron.declare import scalar_values

DT = 0.5
QUICK = (
    Passive(),
    Likelihood(starts=1, first=2, trial=2, steps=6),
    CausalReadout(betas=(2.0,), offsets=(-1.0, 0.0, 2), runs=4),
)
DRAWN = np.random.default_rng(1)
NOISE = np.convolve(DRAWN.normal(0.0, 60.0, 20_000), np.exp(-np.arange(20) / 6.0), "same")
BURSTS = np.sort(
    np.concatenate([t + 4.0 * np.arange(4) for t in 600.0 + 360.0 * np.arange(25) + 50 * DRAWN.random(25)])
)
TRAINS = {
    0: [],
    1: [5000.2],
    5: [2000.0, 3000.0, 5000.0, 7000.0, 9000.0],
    20: 700.0 + 450.0 * np.arange(20),
    100: BURSTS,
}


@pytest.mark.parametrize("count", TRAINS)
def test_what_comes_out_is_finite_and_told(count):
    data = Recording.of(NOISE, DT, spike_times=np.asarray(TRAINS[count], float), cell=f"{count} spikes")
    done = fit(data, AIGIF, QUICK)
    assert all(np.isfinite(v) for v in scalar_values(done.neuron).values())
    runs = done.simulate(data, runs=4)
    assert all(np.isfinite(t).all() for t in runs.spike_times[0])
    if count < 5:
        assert done.status is Status.TOO_FEW_SPIKES
        few = f"only {count} spike{'' if count == 1 else 's'} in the training data; nothing was fitted"
        assert any(few in w for w in done.warnings), done.warnings
    else:
        assert np.isfinite(done.loss)
        assert done.loss <= done.history[1].reports.of(LikelihoodReport).curves[0][0] + 1e-9
    if 5 <= count < 100:
        assert any(f"only {count} spikes" in w for w in done.warnings)


def test_one_level_of_current_is_refused_with_the_reason():
    data = Recording.of(np.full(20_000, 50.0), DT, spike_times=np.arange(1000.0, 9000.0, 500.0), cell="flat")
    with pytest.raises(FitError, match=r"flat: the current is 50 pA throughout: it never changes.*undriven=True"):
        fit(data, AIGIF, QUICK)
