"""The adjoint equals autograd through the definition for every neuron of the catalogue, in float64 to 1e-10."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ephysfit.models import catalogue

HERE = Path(__file__).parent
#: as plain Python in one process of its own: no compilation, half a second each
PLAIN = {"NUMBA_DISABLE_JIT": "1", "EPHYSFIT_VECTORS": "0"}


def found(names, **environment):
    path = os.pathsep.join(filter(None, [str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, HERE / "catalogue_gradients.py", *names],
        env={**os.environ, "PYTHONPATH": path, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def plain_errors(tmp_path_factory):
    return found(catalogue(), **PLAIN, EPHYSFIT_CACHE=str(tmp_path_factory.mktemp("cache")))


def holds(row):
    assert row["spikes"] > 1
    assert row["moved"] >= 3
    assert row["in graph"] < 1e-10
    assert row["detached"] < 1e-10


@pytest.mark.parametrize("name", catalogue())
def test_adjoint_equals_autograd(name, plain_errors):
    holds(plain_errors[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["AIGIF", "SpatialSTC", "AdEx", "ResonateFire", "Izhikevich2003", "SiLIF"])
def test_compiled_it_is_the_same(name):
    holds(found([name])[name])
