"""Trains for the metric tests: random ones, recorded ones, and the independent scorer."""

from __future__ import annotations

from pathlib import Path

import independent_scorer
import numpy as np
import pytest
from metric_trains import jittered

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def scorer():
    """The scores of the same formulas, written apart from the package."""
    return independent_scorer


@pytest.fixture(scope="session")
def repeats():
    """Ten recorded repeats of 10 s of DRN164, as a Recording."""
    from ephysfit.data.loading import load

    _, test = load(ROOT / "data" / "DRN164.nwb").split()
    return test


@pytest.fixture(scope="session")
def synthetic():
    """Eight repeats and forty runs around one template on 5 s, one repeat and one run silent."""
    rng = np.random.default_rng(3)
    template = np.sort(rng.uniform(0, 5000, 40))
    data = [*jittered(rng, template, 7, 2.0, 0.9, 5000), np.empty(0)]
    model = [*jittered(rng, template, 39, 4.0, 0.7, 5000), np.empty(0)]
    return data, model, 5000.0
