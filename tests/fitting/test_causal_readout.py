"""The causal readout: coincidences pooled over sweeps, no veto of a silent one."""

import numpy as np
import pytest
from fitting_cells import DT, begun, problem, steps

from ephysfit.data.recording import Recording
from ephysfit.fitting.stage import Problem
from ephysfit.fitting.stage_reports import CausalRun
from ephysfit.fitting.stages.causal_readout import CausalReadout, blur_over_offsets, pooled_gamma
from ephysfit.metrics.coincidence import gamma
from ephysfit.models import LIF
from ephysfit.synthetic import respond

QUICK = CausalReadout(betas=(1.0, 3.0), offsets=(-2.0, 2.0, 5), runs=4)


def test_gamma_of_one_sweep_is_the_mean_over_its_runs_where_runs_are_equally_long():
    runs = [np.array([100.0, 300.0, 500.0]), np.array([104.0, 297.0, 700.0])]
    own = np.array([102.0, 300.0, 800.0])
    assert pooled_gamma([runs], [own], [1000.0], 4.0) == pytest.approx(gamma(runs, [own], 1000.0))


def test_a_sweep_without_spikes_changes_nothing_but_the_chance_level():
    runs, own = [np.array([100.0, 300.0])], np.array([101.0, 301.0])
    none = np.empty(0)
    alone = pooled_gamma([runs], [own], [1000.0], 4.0)
    assert pooled_gamma([runs, [none]], [own, none], [1000.0, 1000.0], 4.0) == pytest.approx(alone, abs=0.02)
    assert pooled_gamma([runs, [none]], [none, none], [1000.0, 1000.0], 4.0) == 0.0


@pytest.mark.parametrize("own", [np.empty(0), np.arange(0.0, 1000.0, 4.0)])
def test_what_is_undefined_is_worst(own):
    assert pooled_gamma([[np.empty(0)]], [own], [1000.0], 4.0) in (-1.0, 0.0)
    assert np.isfinite(pooled_gamma([[np.array([5.0])]], [own], [1000.0], 4.0))


def test_a_table_is_blurred_along_offsets_only():
    table = np.array([[0.0, 4.0, 0.0], [1.0, 1.0, 1.0]])
    assert blur_over_offsets(table).tolist() == [[1.0, 2.0, 1.0], [1.0, 1.0, 1.0]]


def test_subthreshold_sweeps_have_no_veto():
    """One sweep in which nothing ever fires made every setting equally bad, and the corner of the grid was taken."""
    quiet = respond(LIF.start(), np.full(2000, -50.0), DT, name="quiet")
    both = Problem(Recording((quiet, *steps()), cell="steps"), LIF, DT)
    only = problem(steps())
    estimate = begun(only)
    with_quiet, without = QUICK(both, estimate), QUICK(only, estimate)
    assert with_quiet.reports.of(CausalRun).agreement > 0.0
    assert with_quiet.reports.of(CausalRun).agreement == pytest.approx(without.reports.of(CausalRun).agreement, abs=0.1)
