"""Synthetic ALIF cells of known parameters come back; what does not, is not in the data, and the fit says so.

Compared is what spikes determine (benchmarks/recovery.py): time constants, rheobase current, ratios to the distance
between rest and threshold, and the refractory period in steps of the fit.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import recovery

pytestmark = pytest.mark.slow
N = 8


@pytest.fixture(scope="module")
def noise_free():
    return [recovery.recover(c, k, "none") for k, c in enumerate(recovery.cells(N))]


@pytest.fixture(scope="module")
def noisy():
    return [recovery.recover(c, k, "escape") for k, c in enumerate(recovery.cells(N))]


def pooled(rows, names=recovery.ASKED):
    """Median relative error over cells and parameters."""
    return float(np.median([abs(r["error"][n]) for r in rows for n in names]))


def test_cells_are_those_of_a_physiologist():
    cells = recovery.cells(50)
    assert all(8 <= c.C / c.g <= 40 and 30 <= c.tau_a <= 300 and 1.5 <= c.t_ref <= 4 for c in cells)
    assert all(c.V_reset < c.theta and c.d_theta > 0 for c in cells)
    assert len({c.g for c in cells}) == 50


def test_noise_free_cells_come_back_within_five_percent(noise_free):
    assert pooled(noise_free) < 0.02
    for name in recovery.SMOOTH:
        assert pooled(noise_free, (name,)) < 0.05, name


def test_their_refractory_period_comes_back_within_a_step_for_most(noise_free):
    assert np.mean([abs(r["t_ref_steps"]) <= 1 for r in noise_free]) >= 0.7


def test_noisy_cells_come_back_as_well_as_a_minute_of_spikes_allows(noisy):
    """Five percent in the middle over parameters, up to what the fit itself says it leaves open."""
    assert pooled(noisy) < 0.075
    assert pooled(noisy, ("tau_m = C/g", "rheobase (theta - E_L) g")) < 0.05
    for name in recovery.SMOOTH:
        claimed = float(np.median([r["claimed"][name]["error"] for r in noisy]))
        assert pooled(noisy, (name,)) < max(1.5 * claimed, 0.05), name


def test_intervals_cover_the_truth(noisy):
    covered = np.mean([recovery.coverage(name, noisy) for name in recovery.SMOOTH])
    assert 0.75 <= covered <= 1.0


def test_the_table_names_every_parameter(noise_free, noisy):
    lines = list(recovery.lines({"noise-free cells": noise_free, "noisy cells": noisy}))
    assert {line[1] for line in lines} >= set(recovery.READINGS)
    assert all(len(line) == len(recovery.HEAD) for line in lines)
