"""The independent simulator integrates the neurons of the catalogue: same equations, known rate, known trains."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ephysfit.models import catalogue
from ephysfit.neuron.declare import flatten, pack_state
from ephysfit.synthetic import draw

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import independent_simulator as fine

PASSIVE = {"C": 100.0, "g": 5.0, "E_L": -65.0, "theta": -60.0, "V_reset": -65.0, "d_theta": 0.0, "tau_a": 50.0}


@pytest.mark.parametrize("name", list(fine.NEURONS))
def test_its_equations_are_those_of_the_catalogue(name):
    """Flow, margin, jump and hazard, written out a second time, agree at states that no one chose."""
    kind, rng = catalogue()[name], np.random.default_rng(1)
    (cell,) = draw(kind, 1, seed=2)
    eq = fine.NEURONS[name]
    p = {n: np.asarray(v, dtype=float)[..., None] for n, v in {**cell.values(), "delta": cell.delta}.items()}
    used = [n for n in flatten_states(kind) if not n.startswith("theta_v")]  # GLIF4 pins what would move theta_v
    for _ in range(5):
        centre = np.array([-50.0 if n == "V" else 0.5 for n in used])
        values = centre + rng.standard_normal(len(used)) * np.where(np.array(used) == "V", 8.0, 0.3)
        current = float(rng.normal(100.0, 50.0))
        state = pack_state(kind, {**dict.fromkeys(flatten_states(kind), 0.0), **dict(zip(used, values, strict=True))})
        x = values[:, None]
        flows = flatten(kind.states, cell.flow(state, current))
        want = [float(flows[n]) for n in used]
        assert np.ravel(eq.flow(p, x, np.array([current]))) == pytest.approx(want, rel=1e-9, abs=1e-9)
        jumped = cell.jump(state)
        after = {**dict(zip(used, values, strict=True)), **flatten({k: kind.states[k] for k in jumped}, jumped)}
        assert np.ravel(eq.jump(p, x)) == pytest.approx([float(after[n]) for n in used], rel=1e-9, abs=1e-9)
        for u in (-3.0, 1.5):
            assert float(np.ravel(eq.hazard(p, np.array([u])))[0]) == pytest.approx(float(cell.hazard(u)), rel=1e-9)
        if name != "AdEx":  # its declared margin saturates far above the cut-off, the fine one need not
            assert float(np.ravel(eq.margin(p, x))[0]) == pytest.approx(float(cell.margin(state)), rel=1e-9, abs=1e-9)


def flatten_states(kind) -> list[str]:
    return [n if s.size == 1 else f"{n}_{k + 1}" for n, s in kind.states.items() for k in range(s.size)]


def test_a_cell_at_rest_fires_at_the_rate_of_its_hazard():
    """Intervals are the refractory period and an exponential beyond it: mean and spread are known."""
    hazard = float(np.exp(-5.0 / 2.0))
    cells = [{**PASSIVE, "t_ref": t, "delta": 2.0} for t in (0.0, 3.333)]
    trains = fine.simulate("ALIF", cells, np.zeros((40_000, 2)), 0.1, seed=3)
    for cell, train in zip(cells, trains, strict=True):
        between = np.diff(train)
        # a fine step is drawn as a whole, so an interval is up to one step longer than in continuous time
        assert between.mean() == pytest.approx(
            cell["t_ref"] + 1 / hazard, abs=4 / hazard / np.sqrt(len(between)) + 0.05
        )
        assert between.min() >= cell["t_ref"]


def test_trains_of_a_cell_do_not_depend_on_its_neighbours():
    cells = [{**PASSIVE, "t_ref": 2.0, "delta": 2.0}, {**PASSIVE, "t_ref": 4.0, "delta": 2.0}]
    both = fine.simulate("ALIF", cells, np.zeros((5000, 2)), 0.1, seed=3)
    alone = fine.simulate("ALIF", cells[:1], np.zeros((5000, 1)), 0.1, seed=3)
    assert both[0].tolist() == alone[0].tolist()


def test_it_imports_nothing_of_the_package_and_refuses_other_grids():
    source = Path(fine.__file__).read_text(encoding="utf-8")
    assert not [line for line in source.splitlines() if line.lstrip().startswith(("from ephysfit", "import ephysfit"))]
    with pytest.raises(ValueError, match=r"0.07 ms is not a whole multiple of 0.05 ms"):
        fine.simulate("ALIF", [PASSIVE], np.zeros((5, 1)), 0.07)
