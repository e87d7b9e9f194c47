"""Every neuron as a Python file: run in an interpreter that cannot import ephysfit, spike for spike the same."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from ephysfit.fitting.stage_reports import CausalRun
from ephysfit.models import catalogue
from ephysfit.reports.export import export
from tests.reports.export.cells import assert_same, current, fitted, reference

RUNNER = """
import json, runpy, sys
import numpy as np
out = {}
for name, spiking, seed in json.load(open("wanted.json")):
    found = runpy.run_path(name + ".py")["simulate"](np.load(name + ".npy"), spiking=spiking, seed=seed)
    out[name + " " + spiking] = found.tolist()
loaded = {m.split(".")[0] for m in sys.modules}
assert not loaded & {"ephysfit", "torch", "scipy", "sympy", "numba"}, loaded
json.dump(out, open("found.json", "w"))
"""
#: its upstroke at this step multiplies rounding by more than a spike train holds: our own engines part ways too
TOUCHY = {"Izhikevich2003"}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Trains of every neuron and every way of spiking, and ephysfit's own."""
    folder = tmp_path_factory.mktemp("python")
    wanted, own = [], {}
    for name, neuron in catalogue().items():
        fit = fitted(name, 0.2, CausalRun((1.5, 0.3)))
        drive = current(fit, 4000)
        np.save(folder / f"{name}.npy", drive)
        export(fit, "python", folder / f"{name}.py")
        for spiking in ("threshold", "causal", "noisy") if neuron.stochastic() else ("threshold",):
            wanted.append((name, spiking, 3))
            own[f"{name} {spiking}"] = reference(fit, drive, spiking)
    (folder / "wanted.json").write_text(json.dumps(wanted))
    done = subprocess.run([sys.executable, "-I", "-c", RUNNER], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "found.json").read_text()), own


@pytest.mark.slow
@pytest.mark.parametrize("name", catalogue())
def test_spikes_alike_without_ephysfit(found, name):
    trains, own = found
    compared = 0
    for key, wanted in own.items():
        if key.split()[0] != name:
            continue
        k = 10 if name in TOUCHY else len(wanted)
        assert len(trains[key]) == len(wanted) or name in TOUCHY
        if len(wanted) >= 3:
            assert_same(np.array(trains[key][:k]), wanted[:k], within=1e-9)
            compared += 1
    assert compared, f"{name} never spikes in this test"


def test_another_step_in_the_file_is_another_step_of_the_engine(tmp_path):
    """The file's own matrix exponential, at a step it was not written for."""
    fit, coarse = fitted("AdLIF", 0.1), fitted("AdLIF", 0.5)
    (path,) = fit.export("python", tmp_path / "cell")
    names: dict = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    drive = current(coarse, 4000)
    assert_same(names["simulate"](drive, dt=0.5), reference(coarse, drive, "causal"), within=1e-9)


def test_an_unknown_way_of_spiking_is_refused_in_the_file(tmp_path):
    (path,) = fitted("LIF", 0.1).export("python", tmp_path / "cell")
    names: dict = {}
    exec(compile(path.read_text(), str(path), "exec"), names)
    with pytest.raises(ValueError, match="none of causal, noisy, threshold"):
        names["simulate"]([0.0], spiking="loud")
