"""Robust to bad luck: two seeds of a default fit agree, and no number that is not finite leaves a stage."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fitting_cells import KNOWN, begun, problem, spikes_only

import ephysfit as ef
from ephysfit.fitting.chain import run_stages
from ephysfit.fitting.fit import fit
from ephysfit.fitting.free_run.losses import KernelScore
from ephysfit.fitting.stage import Estimate, Stage, Status
from ephysfit.fitting.stage_reports import CausalRun
from ephysfit.fitting.stages import CausalReadout, Gradient, Likelihood, NoisyGradient, Passive, Refractory
from ephysfit.fitting.stages.search import Search
from ephysfit.metrics.coincidence import mean_weight, self_weight
from ephysfit.metrics.trains import cut
from ephysfit.models import AIGIF, ALIF
from ephysfit.neuron.declare import scalar_values

SHIPPED = Path(__file__).parents[2] / "data"
#: fitted until, judged until, ms
FITTED, END = 20_000.0, 30_000.0


def agreement(fitted, whole):
    """(2 n_dm - n_mm) / recorded spikes on the ten seconds after the fitted ones, at +-8 ms."""
    runs = cut(list(fitted.simulate(whole.cut(0.0, END), runs=200).spike_times[0]), FITTED, END)
    (recorded,) = cut([whole.sweeps[0].spike_times], FITTED, END)
    return (2 * mean_weight([recorded], runs, 8.0)[0] - self_weight(runs, 8.0)) / len(recorded)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "tolerance"), [(ALIF, 0.08), (AIGIF, 0.05)], ids=["ALIF", "AIGIF"])
def test_two_seeds_of_a_default_fit_agree(kind, tolerance):
    """In what they predict; ALIF, where every parameter is fitted, also in time constant and rheobase.

    With the measured membrane ALIF cannot follow this cell, and its threshold is loose.
    """
    train, _ = ef.load(SHIPPED / "DRN164.nwb").split()
    for objective in (None, "prediction") if kind is ALIF else (None,):
        one, two = (fit(train.cut(0.0, FITTED), kind, seed=s, objective=objective) for s in (0, 1))
        assert agreement(one, train) == pytest.approx(agreement(two, train), abs=tolerance)
    if kind is ALIF:
        a, b = one.neuron, two.neuron
        assert np.log(a.C / a.g) == pytest.approx(np.log(b.C / b.g), abs=0.35)
        assert a.g * (a.theta - a.E_L) == pytest.approx(b.g * (b.theta - b.E_L), rel=0.35)


class Broken(KernelScore):
    """A loss that is never finite."""

    def __call__(self, recorded, runs, duration):
        return float("nan")


STAGES = [
    Passive(),
    Likelihood(starts=1, first=2, trial=2, steps=4),
    Refractory(Likelihood(starts=1, first=1, trial=1, steps=1), longest=2.0),
    Search(evaluations=40, runs=2, judged=4),
    Search(evaluations=40, runs=2, judged=4, loss=Broken()),
    Search(evaluations=40, noisy=False),
    NoisyGradient(steps=4, runs=4, judged=4, rate=50.0),
    NoisyGradient(steps=4, runs=4, judged=4, slope="in graph"),
    Gradient(steps=4, starts=2, rate=50.0, check=2),
    CausalReadout(betas=(1.0,), offsets=(-1.0, 0.0, 2), runs=4),
]
#: cells that no spike can be had of, that cannot be kept from spiking, and a sane one
CELLS = {
    "silent": KNOWN.replace(theta=15.0, E_L=-105.0),
    "restless": KNOWN.replace(theta=-79.0, E_L=-25.0, V_reset=-40.0, d_theta=0.0),
    "sane": KNOWN,
}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("stage", STAGES, ids=lambda s: type(s).__name__)
def test_what_leaves_a_stage_is_finite(stage, cell):
    p = problem(spikes_only(6_000.0), ALIF)
    after = stage(p, Estimate(CELLS[cell]))
    assert all(np.isfinite(v) for v in scalar_values(after.neuron).values())
    assert np.isfinite(getattr(after.reports.of(CausalRun), "sharpen", None) or 0.0).all()


@dataclass(frozen=True)
class Lost(Stage):
    """A stage that loses a number."""

    name = "lost"

    def improve(self, problem, estimate):
        return estimate.with_(neuron=estimate.neuron.replace(g=float("nan")))


def test_a_stage_that_loses_a_number_is_undone():
    done = run_stages(problem(spikes_only(6_000.0), ALIF), (Lost(),), start=KNOWN)
    assert scalar_values(done.neuron) == scalar_values(KNOWN)
    assert done.history[0].status is Status.DIVERGED


def test_a_loss_that_is_never_finite_keeps_the_estimate():
    p = problem(spikes_only(6_000.0), ALIF)
    before = begun(p)
    assert Search(evaluations=40, runs=2, judged=4, loss=Broken())(p, before).neuron is before.neuron
