"""Trains for the metric tests: random ones, recorded ones, and the independent scorer where it is at hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from metric_trains import jittered

ROOT = Path(__file__).resolve().parents[2]
SCORER = ROOT.parent / "shared" / "design" / "sketch" / "score_spikes.py"


@pytest.fixture(scope="session")
def scorer():
    """The scorer written by others, on the same formulas."""
    if not SCORER.exists():
        pytest.skip("the independent scorer lies beside the checkout only on development machines")
    spec = importlib.util.spec_from_file_location("score_spikes", SCORER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
