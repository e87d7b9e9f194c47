"""Stages made of stages."""

from dataclasses import dataclass

import numpy as np
import pytest
from fitting_cells import begun, problem, spikes_only

from ephysfit.errors import FitError, NeuronError
from ephysfit.fitting.stage import Stage, Status
from ephysfit.fitting.stage_reports import Report, Reports
from ephysfit.fitting.stages import BestOf, CausalReadout, Likelihood, MultiStart, Only, Rounds
from ephysfit.models import LIF
from ephysfit.neuron.declare import scalar_values


@dataclass(frozen=True)
class Sum(Report):
    """What was added so far, mV."""

    kind = "sum"
    total: float


@dataclass(frozen=True)
class Add(Stage):
    """Raise the threshold, and report a loss."""

    by: float = 1.0
    loss: float = 0.0

    name = "add"

    def improve(self, problem, estimate):
        theta = estimate.neuron.theta + self.by
        before = estimate.reports.of(Sum) or Sum(0.0)
        return estimate.with_(
            neuron=estimate.neuron.replace(theta=theta), validation=self.loss, status=Status.CONVERGED,
            reports=Reports(Sum(before.total + self.by)),
        )  # fmt: skip


@dataclass(frozen=True)
class Judge(Stage):
    """A validation loss that is lowest at one capacitance."""

    at: float

    name = "judge"

    def improve(self, problem, estimate):
        return estimate.with_(validation=abs(np.log(estimate.neuron.C / self.at)))


@pytest.fixture(scope="module")
def p():
    return problem(spikes_only(6_000.0))


def test_only_moves_the_named_and_no_others(p):
    before = begun(p)
    after = Only(("theta",), Likelihood(starts=1, steps=6))(p, before)
    found, start = scalar_values(after.neuron), scalar_values(before.neuron)
    assert found["theta"] != start["theta"]
    assert {n: v for n, v in found.items() if n != "theta"} == {n: v for n, v in start.items() if n != "theta"}


def test_only_refuses_unknown_names_and_stages_without_names(p):
    with pytest.raises(NeuronError, match=r"no free parameter 'thet'.*did you mean theta"):
        Only(("thet",), Likelihood())(p, begun(p))
    with pytest.raises(FitError, match="CausalReadout moves no named parameters"):
        Only(("theta",), CausalReadout())(p, begun(p))


def test_rounds_run_in_order_and_carry_reports(p):
    before = begun(p)
    after = Rounds(3, (Add(1.0), Add(0.5)))(p, before)
    assert after.neuron.theta == pytest.approx(before.neuron.theta + 4.5)
    assert after.stage == "add"
    assert list(after.reports) == ["sum"]  # not those of the estimate it was given
    assert after.reports.of(Sum).total == 4.5


def test_best_of_keeps_the_lowest_validation_loss_and_never_nan(p):
    before = begun(p)
    stages = (Add(1.0, loss=np.nan), Add(2.0, loss=0.7), Add(3.0, loss=0.3), Add(4.0, loss=0.5))
    assert BestOf(stages)(p, before).neuron.theta == before.neuron.theta + 3.0


def test_multistart_begins_at_the_estimate_and_keeps_the_best_start(p):
    before = begun(p)
    here = MultiStart(4, Judge(before.neuron.C))(p, before)
    assert here.neuron.C == before.neuron.C
    elsewhere = MultiStart(12, Judge(3 * before.neuron.C))(p, before)
    one = MultiStart(1, Judge(3 * before.neuron.C))(p, before)
    assert elsewhere.validation < one.validation
    assert one.neuron.C == before.neuron.C
    assert elsewhere.neuron.t_ref == before.neuron.t_ref  # drawn are smooth parameters alone


def test_multistart_of_the_likelihood_is_no_worse_than_one_start(p):
    before, stage = begun(p), Likelihood(starts=1, steps=10)
    one, several = stage(p, before), MultiStart(3, stage, spread=0.3)(p, before)
    assert several.validation <= one.validation + 1e-12
    assert isinstance(several.neuron, LIF)
