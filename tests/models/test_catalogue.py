"""Every neuron of the catalogue: declared whole, steps, spikes when driven, found by name or from a file."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from model_runs import noise, run

from ephysfit.errors import NeuronError
from ephysfit.models import catalogue, find, spatial_stc
from ephysfit.neuron.declare import flat_names
from ephysfit.neuron.dimensions import check_units
from ephysfit.neuron.stepping import step
from ephysfit.neuron.symbols import latex, text
from ephysfit.units import find_dimension

ALL = list(catalogue().values())
#: in the seed's own units (threshold 1) or standardised: a current in pA means something else to them
SCALED = {"BlockALIF", "BankGIF", "AIGIF", "BankIGIF", "Izhikevich2003"}
NON_AFFINE = {
    "BRF", "STCLIF", "AutapticLIF", "SpatialSTC", "AGIF", "FreeAGIF", "IGIF", "FreeIGIF", "EIF", "AdEx",
    "Izhikevich", "Izhikevich2003", "AIGIF", "BankIGIF",
}  # fmt: skip


@pytest.fixture(params=ALL, ids=lambda n: n.__name__)
def neuron(request):
    return request.param


def test_declared_whole(neuron):
    assert neuron.reference
    assert neuron.biology.endswith(".")
    assert len(neuron.__doc__ or "") > 60
    assert neuron.stochastic()
    for name, p in neuron.parameters.items():
        assert p.doc, name
        assert len(p.starts) == p.size, name
        assert all(p.low <= v <= p.high for v in p.starts), name
        find_dimension(p.unit)
    for name, s in neuron.states.items():
        assert s.doc, name


def test_units_agree(neuron):
    check_units(neuron)


def test_pinned_values_lie_within_bounds_or_are_ties(neuron):
    root = neuron
    while root.base is not None:
        root = root.base
    outside = []
    for name, value in neuron.pinned.items():
        p = root.parameters[name]
        if callable(value):
            continue
        values = value if isinstance(value, tuple) else (value,)
        outside += [name for v in values if not p.low <= v <= p.high]
    # the seed's threshold units of BlockALIF are not millivolts
    assert not outside or neuron.__name__ == "BlockALIF", outside


def test_steps_and_reads_as_equations(neuron):
    s = step(neuron)
    assert s.affine == (neuron.__name__ not in NON_AFFINE)
    assert set(s.states) <= set(neuron.state_names())
    assert len(latex(neuron)) == len(text(neuron))
    assert any("spike when" in line for line in text(neuron))


def with_silent_partners(neuron, current):
    extra = len(neuron.inputs) - 1
    return np.stack([current] + [np.zeros_like(current)] * extra, -1) if extra else current


IN_PICOAMPERES = [n for n in ALL if n.__name__ not in SCALED]


@pytest.mark.parametrize("neuron", IN_PICOAMPERES, ids=lambda n: n.__name__)
def test_start_is_silent_at_rest_and_fires_when_driven(neuron):
    dt, quiet = 0.2, 300
    current = np.concatenate([np.zeros(quiet), noise(1700, dt, 250.0, 150.0)])
    spikes, states, margins = run(neuron.start(), with_silent_partners(neuron, current), dt)
    assert np.isfinite(states).all()
    assert np.isfinite(margins).all()
    assert not spikes[:quiet].any()
    assert spikes.sum() >= 3
    if neuron.__name__ != "PRF":  # no refractoriness: it spikes in every step above threshold
        assert spikes.sum() <= 170


@pytest.mark.parametrize("neuron", IN_PICOAMPERES, ids=lambda n: n.__name__)
def test_noisy_and_replayed_runs_are_finite(neuron):
    cell, drive = neuron.start(), with_silent_partners(neuron, noise(800, 0.2, 300.0, 400.0, seed=3))
    forced = torch.zeros(1, 1, 800, dtype=torch.bool)
    forced[..., [300, 500]] = True
    _, states, margins = run(cell, drive, 0.2, forced=forced)
    assert np.isfinite(states).all()
    assert np.isfinite([float(cell.hazard(float(u))) for u in margins[::20]]).all()
    thresholds = torch.tensor(np.random.default_rng(1).exponential(size=(1, 1, 800)))
    spikes, states, _ = run(cell, drive, 0.2, thresholds=thresholds)
    assert np.isfinite(states).all()
    assert spikes.any()


def test_find_ignores_case_and_hints_at_the_nearest_name():
    assert find("glif5") is catalogue()["GLIF5"]
    with pytest.raises(NeuronError, match="did you mean AdEx"):
        find("adexx")


def test_names_are_unique_and_survive_pickling(neuron):
    assert catalogue()[neuron.__name__] is neuron
    cell = neuron.start()
    assert pickle.loads(pickle.dumps(neuron)) is neuron
    assert repr(cell).startswith(neuron.__name__)


def test_spatial_neurons_survive_pickling_by_count():
    assert pickle.loads(pickle.dumps(spatial_stc(3))) is spatial_stc(3)
    with pytest.raises(NeuronError, match="1 to 16"):
        spatial_stc(0)


def test_flat_names_of_every_bank_are_distinct(neuron):
    names = [*flat_names(neuron.parameters), *neuron.state_names(), *neuron.inputs]
    assert len(names) == len(set(names))


MINE = '''
from ephysfit.models import LIF
from ephysfit.neuron.declare import Neuron, Parameter, State

class Mine(Neuron):
    """A perfect integrator."""
    C = Parameter("pF", 5.0, 2000.0, "capacitance", start=100.0)
    V = State("mV")

    def flow(self, x, I):
        return {"V": I / self.C}

    def margin(self, x):
        return x.V - 0 * x.V

    def jump(self, x):
        return {"V": 0 * x.V}

Quiet = LIF.pin("Quiet", "a LIF that rests at -80 mV", E_L=-80.0)
'''


def test_find_reads_a_users_file(tmp_path):
    file = tmp_path / "my_neuron.py"
    file.write_text(MINE)
    mine = find(f"{file}:Mine")
    assert mine.state_names() == ("V",)
    assert find(f"{file}:Mine") is mine
    assert find(f"{file}:Quiet").start().E_L == -80.0
    assert pickle.loads(pickle.dumps(mine)) is mine


@pytest.mark.parametrize(
    ("content", "name", "match"),
    [
        (None, "gone.py:Mine", "is not a file"),
        (MINE, "a.py:Mind", "did you mean Mine"),
        (MINE, "b.py", "say which: b.py:Mine"),
        ("x = 1\n", "c.py:Mine", "declares no neuron"),
        ("class Mine(:\n", "d.py:Mine", "does not run: SyntaxError, line 1"),
        ("import no_such_module\n", "e.py:Mine", "ModuleNotFoundError"),
        ("x = 1\n1 / 0\n", "f.py:Mine", "f.py does not run: ZeroDivisionError, line 2: division by zero"),
        ("import sys\nsys.exit(3)\n", "g.py:Mine", "g.py does not run: SystemExit, line 2: 3"),
        ("open('gone.txt')\n", "h.py:Mine", "h.py does not run: FileNotFoundError, line 1"),
        (MINE.replace("start=100.0", "start=1e9"), "i.py:Mine", "i.py, line 7: start 1000000000.0 pF lies outside"),
        (
            MINE.replace("self.C}", "self.c}"),
            "j.py:Mine",
            "j.py, line 11, Mine: Mine has no parameter 'c'; did you mean C",
        ),
        (MINE.replace("x.V - 0", "x.U - 0"), "k.py:Mine", "k.py, line 14, Mine: Mine has no state 'U'; Known: V"),
        (MINE.replace("I / self.C", "I * self.C"), "l.py:Mine", "l.py, Mine: .*mV/ms"),
        (MINE.replace("return x.V - 0 * x.V", "return x.V if x.V > 0 else -x.V"), "m.py:Mine", "line 14.*branches"),
        (MINE.replace('{"V": 0 * x.V}', '{"W": 0 * x.V}'), "n.py:Mine", "jump returns 'W', which is not .* Known: V"),
        (MINE.replace('return {"V": 0 * x.V}', "pass"), "o.py:Mine", "jump returns NoneType"),
        (MINE.replace("def margin", "def marginal"), "p.py:Mine", "Mine writes no margin"),
    ],
)
def test_errors_of_a_users_file_say_what_is_wrong(tmp_path, content, name, match):
    if content is not None:
        (tmp_path / name.partition(":")[0]).write_text(content)
    with pytest.raises(NeuronError, match=match):
        find(str(tmp_path / name))


def test_importing_the_catalogue_imports_no_heavy_library():
    code = "import sys, ephysfit.models; print([m for m in ('torch', 'sympy', 'scipy', 'numba') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
