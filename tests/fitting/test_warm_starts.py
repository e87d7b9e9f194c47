"""Starts from simpler neurons: who gets them, and that a fit is never worse for them."""

from dataclasses import replace

import numpy as np
import pytest
from fitting_cells import begun, known, problem, silent_cell, spikes_only

from ephysfit.fitting.stage_reports import LikelihoodReport
from ephysfit.fitting.stages import Likelihood
from ephysfit.fitting.warm_starts import AWAY, add_starts_from_simpler_fits, lift_cell
from ephysfit.models import AIGIF, ALIF, GLIF4, LIF, BankIGIF


def test_the_simpler_neuron_is_fitted_and_lifted():
    ready = add_starts_from_simpler_fits(problem(known(6_000.0), ALIF))
    assert [type(c) for c in ready.extra_starts] == [ALIF, ALIF]
    strengths = [c.d_theta for c in ready.extra_starts]
    assert strengths == pytest.approx([a * ALIF.start().d_theta for a in AWAY])
    assert ready.extra_starts[0].C == ready.extra_starts[1].C != LIF.start().C


def test_every_rung_is_climbed():
    ready = add_starts_from_simpler_fits(problem(known(6_000.0), GLIF4))
    assert len(ready.extra_starts) == 2 * len(AWAY)
    assert all(isinstance(c, GLIF4) for c in ready.extra_starts)


@pytest.mark.parametrize(("data", "kind"), [(silent_cell(), ALIF), (known(6_000.0), LIF), (known(6_000.0), AIGIF)])
def test_nobody_else_gets_them(data, kind):
    """Too few spikes; nothing simpler; places of its own."""
    assert add_starts_from_simpler_fits(problem(data, kind)).extra_starts == ()


def test_what_is_measured_is_that_of_the_richer_neurons_problem():
    p = problem(spikes_only(6_000.0), AIGIF)
    (cell, _) = lift_cell(BankIGIF, replace(p, neuron=BankIGIF).start(), AIGIF, p.start())
    assert (cell.I_0, cell.I_s) == (p.start().I_0, p.start().I_s)
    assert cell.I_s == pytest.approx(np.std(p.trials.current[0, 0][p.counted[0]]), rel=1e-6)


def test_the_best_of_more_starts_is_kept():
    p = problem(known(6_000.0), ALIF)
    stage = Likelihood(starts=2, steps=60)
    plain, ready = stage(p, begun(p)), stage(add_starts_from_simpler_fits(p), begun(p))
    assert len(ready.reports.of(LikelihoodReport).starts) == len(plain.reports.of(LikelihoodReport).starts) + len(AWAY)
    assert min(ready.reports.of(LikelihoodReport).starts) <= min(plain.reports.of(LikelihoodReport).starts) + 1e-9
    assert ready.train <= plain.train + 1e-3
