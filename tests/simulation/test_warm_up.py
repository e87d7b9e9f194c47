"""Kernels compiled ahead by workers: what they leave on disk is what a run asks for."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from ephysfit.errors import SimulationError
from ephysfit.kernels import background_build
from ephysfit.kernels.background_build import Order
from ephysfit.models.alif import ALIF
from ephysfit.models.lif import LIF
from ephysfit.simulation import warm_up

#: runs all a fit, a simulation and a gradient ask for; says how many kernels this process compiled, and if sympy came
ASK = """
import sys; import numpy as np, torch
from numba.core.event import install_recorder
from ephysfit.models.alif import ALIF
from ephysfit.neuron.free_parameters import FreeParameters
from ephysfit.simulation import adjoint, replay
from ephysfit.simulation import warm_up
from ephysfit.simulation.engines import compiled
cell = ALIF.start()
if {ahead}:
    warm_up.start(ALIF, purposes=warm_up.PURPOSES)
with install_recorder("numba:compile") as recorder:
    current = np.zeros((1, 1, 50))
    compiled.run(cell, current, 0.1)
    for rows in (1, 40):
        compiled.run(cell, current, 0.1, thresholds=np.ones((1, rows, 5)))
    sweep = replay.ReplaySweep(np.zeros((50, 1)), np.zeros(50, np.uint8), np.ones(50, np.uint8))
    likelihood = replay.Replay(FreeParameters.of(ALIF, smooth_only=True), cell, 0.1)
    z = likelihood.free.to_vector(cell)
    likelihood.information(z, [sweep])
    likelihood.value(z, [sweep])
    g = torch.tensor([5.0] * 40, dtype=torch.float64, requires_grad=True)
    adjoint.van_rossum_loss(
        cell.replace(g=g), torch.tensor(current), [[[3]]], 0.1, 10.0, dtype=torch.float32
    ).sum().backward()
names = [e.data["dispatcher"].py_func.__module__ for _, e in recorder.buffer if e.is_start]
print(sum("ephysfit_kernel" in n for n in names), "sympy" in sys.modules)
"""


def asking(folder, *, ahead):
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(ahead=ahead)],
        env={**os.environ, "EPHYSFIT_CACHE": str(folder)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    compiled, symbols = done.stdout.split()
    return int(compiled), symbols == "True"


@pytest.mark.slow
def test_workers_leave_exactly_the_kernels_that_are_asked_for(tmp_path):
    assert asking(tmp_path, ahead=True) == (0, True)  # whoever asks waits for the worker
    assert asking(tmp_path, ahead=False) == (0, False)  # and the next process loads, without reading symbols again


def test_warm_up_tells_its_progress_and_leaves_nothing_to_do():
    told = []
    warm_up.warm_up(LIF, purposes=["simulation"], progress=lambda done, of: told.append((done, of)))
    assert told[-1][0] == told[-1][1]
    assert warm_up.start(LIF, purposes=["simulation"]).orders == ()


def test_a_worker_that_fails_holds_nobody_up(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("raise RuntimeError('no kernel here')\n")
    assert background_build.build([Order(path, "forward", "q")]).wait(60)
    background_build.wait_for_build(path)
    assert not Order(path, "forward", "q").on_disk


def test_orders_are_shared_out_in_the_order_they_are_asked_for(tmp_path):
    orders = []
    for k, size in enumerate((10, 30, 10, 10)):
        (tmp_path / f"k{k}.py").write_text("#" * size)
        orders.append(Order(tmp_path / f"k{k}.py", "f", "q"))
    shares = background_build._split_among_workers(orders, 2)
    assert [[o.path.stem for o in s] for s in shares] == [
        ["k0", "k2", "k3"],
        ["k1"],
    ]


def test_an_unknown_purpose_is_refused():
    with pytest.raises(SimulationError, match="simulation"):
        warm_up.orders(ALIF, ["simulate"])


def test_types_are_those_of_the_arguments():
    from numba import typeof

    from ephysfit.kernels.compile_worker import types_of

    given = (3, np.zeros(2), np.zeros((1, 2), np.float32), np.zeros(1, np.int32), np.zeros(1, np.uint8))
    assert types_of("q d1 f2 i1 b1") == tuple(typeof(x) for x in given)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_a_forked_child_does_not_wait_for_its_parents_workers(tmp_path):
    path = tmp_path / "kernel.py"
    code = (
        "import os, sys, threading; from pathlib import Path; from ephysfit.kernels import background_build\n"
        f"path = Path({str(path)!r}); background_build._UNDER_WAY[path] = threading.Event()\n"
        "child = os.fork()\n"
        "if child == 0: background_build.wait_for_build(path); os._exit(7)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "7"


def test_a_warmed_up_fit_does_not_wait_for_exponentials_of_matrices():
    """Real ones are for values, complex ones for slopes."""
    code = (
        "from ephysfit.models import LIF; from ephysfit.simulation.warm_up import warm_up; "
        "warm_up(LIF, purposes=['fit']); "
        "from ephysfit.neuron.matrix_exponential import _exponentiate; print(len(_exponentiate.signatures))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2"]
