"""Which engine `simulate` takes: every line of the rule, and that the choice changes no spike."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from ephysfit.models import LIF, PRF, AdEx, AdLIF
from ephysfit.simulation import engine_choice
from ephysfit.simulation.engine_choice import FEW, choose, device_of
from ephysfit.simulation.engines.sequential import sequential
from ephysfit.simulation.simulate import ENGINES, simulate


@pytest.fixture
def fresh(monkeypatch):
    """A process that has no kernels loaded yet."""
    monkeypatch.setattr(engine_choice, "_loaded", lambda: False)
    monkeypatch.setattr(engine_choice._Lent, "blocks", 0)


@pytest.mark.parametrize(
    ("neuron", "given", "engine"),
    [
        (LIF, {"steps": 1000}, "blocks"),
        (LIF, {"steps": 20 * FEW, "leap": 20}, "blocks"),
        (LIF, {"steps": FEW + 1}, "compiled"),
        (LIF, {"steps": 1000, "rows": FEW}, "compiled"),
        (LIF, {"steps": 1000, "plain": False}, "compiled"),
        (AdEx, {"steps": 1000}, "compiled"),
        (PRF, {"steps": 10_000_000}, "compiled"),
        (LIF, {"steps": 1000, "device": "cuda:0"}, "blocks"),
        (PRF, {"steps": 1000, "device": "cuda:0"}, "decoupled"),
        (AdEx, {"steps": 1000, "device": "cuda:0"}, "sequential"),
        (LIF, {"steps": 1000, "device": "cuda:0", "plain": False}, "sequential"),
    ],
)
def test_the_rule(fresh, neuron, given, engine):
    assert choose(neuron, **given) == engine
    assert engine in ENGINES


def test_with_kernels_at_hand_they_run_everything(monkeypatch):
    monkeypatch.setattr(engine_choice, "_loaded", lambda: True)
    assert choose(LIF, steps=1) == "compiled"


def test_short_runs_load_the_kernels_once_they_have_cost_as_much(fresh):
    taken = [choose(LIF, steps=FEW // 4) for _ in range(6)]
    assert taken == ["blocks"] * 4 + ["compiled"] * 2


@pytest.mark.parametrize("save", [(), ("V",), ("V", "margin")])
def test_the_choice_changes_no_spike(fresh, save):
    current = 200 + 200 * np.sin(np.arange(3000) / 40.0)
    found = [simulate(AdLIF.start(), current, dt=0.1, engine=e, save=save) for e in ("auto", "compiled")]
    assert len(found[0].spike_times[0][0]) > 3
    np.testing.assert_array_equal(found[0].spike_times[0][0], found[1].spike_times[0][0])
    for name in save:
        np.testing.assert_allclose(found[0].traces[name][0], found[1].traces[name][0], atol=1e-9)


def test_a_first_short_run_loads_no_kernels_where_torch_is_there():
    code = (
        "import sys, torch, numpy as np; from ephysfit.models import LIF\n"
        "from ephysfit.simulation.simulate import simulate\n"
        "simulate(LIF.start(), np.full(500, 200.0), dt=0.1); print('numba' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_tensors_say_where_they_lie():
    assert device_of([1.0, 2.0]) == "cpu"
    assert device_of(np.zeros(3)) == "cpu"
    assert device_of([torch.zeros(3)]) == "cpu"
    assert device_of(torch.zeros(3, device="meta")) == "meta"


def test_a_tensor_is_a_stimulus():
    current = np.full(2000, 150.0)
    given = torch.tensor(current, requires_grad=True)
    found = [simulate(LIF.start(), s, dt=0.1).spike_times[0][0] for s in (current, given)]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("noisy", [False, True])
def test_the_definition_runs_where_the_current_lies(noisy):
    """Meta tensors stand in for a device that is not here: a tensor left behind on the CPU would be refused."""
    current = torch.zeros(1, 2, 20, dtype=torch.float64, device="meta")
    thresholds = torch.ones(1, 2, 5, dtype=torch.float64) if noisy else None
    for out in sequential(AdEx.start() if not noisy else LIF.start(), current, 0.1, thresholds=thresholds):
        assert out.device.type == "meta"
