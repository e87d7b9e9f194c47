"""Populations for NEST, NeuroML and NIR: models and tables from which each cell spikes as it does here."""

from __future__ import annotations

import json
import math
import re
import runpy
import sys
import textwrap
import types
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.errors import ExportError
from ephysfit.models import GLIF5, LIF, MAT, AdEx, AdLIF, catalogue
from ephysfit.neuron.functions import sqrt
from ephysfit.neuron.step_kinds import is_affine
from ephysfit.reports.export import export_texts
from ephysfit.reports.export.discrete import make_discrete_step
from ephysfit.reports.export.exported import read_fit
from ephysfit.reports.export.nest_own import NEST_OWN, write_own_population
from ephysfit.reports.export.population import export_population
from tests.reports.export.cells import assert_same, reference
from tests.reports.export.test_population import KINDS, draw_current, draw_fits


@pytest.fixture
def no_nest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of that name: scripts can be read where NEST is missing."""
    monkeypatch.setitem(sys.modules, "nest", types.ModuleType("nest"))


def run_head(text: str, values: dict[str, Any]) -> dict[str, Any]:
    """All values of a model of NESTML before its first step, with these of its parameters and states."""
    head, _, _ = text.partition("    update:\n")
    head, _, internals = head.partition("    internals:\n")
    internals, _, function = internals.partition("    function ")
    given = {n: float(v) for n, v in re.findall(r"^        (\w+) (?:real|integer) = (\S+)", head, flags=re.M)}
    assert set(values) <= set(given)
    functions = {n: getattr(math, n) for n in ("exp", "expm1", "sin", "cos")}
    functions |= {"ln": math.log, "true": True, "false": False}
    scope = {**functions, **given, "begun": False, **values}
    if function:  # nearly Python, too
        body, _, _ = function.partition("\n\n")
        python = textwrap.dedent("    def " + re.sub(r"(?<=\w) (real|integer)\b|(?<=\)) real(?=:)", "", body))
        exec(python, scope)
    for name, formula in re.findall(r"^        (\w+) real = (.+)", internals, flags=re.M):
        scope[name] = eval(formula, scope)
    return scope


def run_nestml(text: str, values: dict[str, Any], current: np.ndarray, dt: float) -> np.ndarray:
    """Run a model of NESTML, whose lines are nearly Python, with these values of its parameters and states."""
    _, _, update = text.partition("    update:\n")
    lines = re.sub(r"(\w+) real = ", r"\1 = ", textwrap.dedent(update)).replace("(1 pA)", "1.0")
    spikes: list[float] = []
    scope, code = run_head(text, values), compile(lines, "update", "exec")
    for step, value in enumerate(current.tolist()):
        scope |= {"I_stim": value, "emit_spike": lambda at=step: spikes.append((at + 0.5) * dt)}
        exec(code, scope)
    return np.array(spikes)


@pytest.mark.usefixtures("no_nest")
@pytest.mark.parametrize("spiking", ["causal", "threshold"])
def test_one_model_of_nestml_runs_every_cell(spiking: str, tmp_path: Path) -> None:
    fits, current = draw_fits(2), draw_current()
    assert set(export_population(fits, "nest", tmp_path, spiking=spiking).values()) == {2}
    for kind in KINDS:
        text = (tmp_path / f"{kind.__name__}.nestml").read_text()
        assert (
            f"model {kind.__name__.lower()}_{spiking}_0p1ms_neuron:" in text
        )  # NEST keeps models of all runs together
        rows = runpy.run_path(str(tmp_path / f"{kind.__name__}.py"))["load"]()
        for fit in (f for f in fits if type(f.neuron) is kind):
            found = run_nestml(text, rows[fit.cell], current, fit.dt)
            assert_same(found, reference(fit, current, spiking), within=1e-9)


SETTABLE = [
    (LIF, {"theta": -43.0, "V_reset": -62.0, "delta": 1.5}, {}),
    (LIF, {"C": 120.0, "g": 6.0, "E_L": -67.0}, {"C": "C_", "g": "g_"}),
    (AdLIF, {"C": 120.0, "g": 4.0, "E_L": -67.0, "a": 2.0, "tau_w": 60.0}, {"C": "C_", "g": "g_"}),
    (
        GLIF5,
        {"C": 120.0, "g": 6.0, "E_L": -66.0, "b_s": 0.03, "a_v": 0.02, "b_v": 0.06, "dV": 4.0},
        {"C": "C_", "g": "g_"},
    ),
    (AdEx, {"C": 120.0, "g": 6.0, "E_L": -67.0, "tau_w": 80.0, "V_T": -47.0}, {"C": "C_", "g": "g_"}),
    (GLIF5, {"theta": -44.0, "dV": 11.0, "d_theta": 1.5}, {}),
]


@pytest.mark.parametrize(("kind", "changed", "names"), SETTABLE)
def test_what_has_its_name_in_nestml_can_be_set_there(
    kind: type[ef.Neuron], changed: dict[str, float], names: dict[str, str]
) -> None:
    """A coefficient that NEST computes follows its parameters; initial states are set beside."""
    neuron, current = kind.start(), draw_current()
    text = export_texts(ef.Fit(neuron, "cell", 0.1), "nest")[".nestml"]
    values = {names.get(n, n): v for n, v in changed.items()}
    if "E_L" in changed:
        values["V_"] = changed["E_L"]
    wanted = reference(ef.Fit(neuron.replace(**changed), "cell", 0.1), current, "causal")
    assert not np.array_equal(wanted, reference(ef.Fit(neuron, "cell", 0.1), current, "causal"))
    assert_same(run_nestml(text, values, current, 0.1), wanted, within=1e-9)


@pytest.mark.parametrize("name", [n for n, k in catalogue().items() if is_affine(k) and len(k.inputs) == 1])
@pytest.mark.parametrize("dt", [0.1, 0.5])
def test_the_step_that_nest_computes_is_that_of_the_fit(name: str, dt: float) -> None:
    """Coefficients from the parameters in the file, to the last digits."""
    fit = ef.Fit(catalogue()[name].start(), "cell", dt)
    values = run_head(export_texts(fit, "nest")[".nestml"], {})
    wanted = make_discrete_step(read_fit(fit)).coefs
    entries = [n for n in wanted if re.match("free|drive|held", n)]
    assert len(entries) >= 3
    for n in entries:
        assert values[n] == pytest.approx(wanted[n], rel=1e-12, abs=1e-15), n


class RootLeak(ef.Neuron):
    """A LIF whose leak holds a square root, which NESTML does not have, and whose reset reads rest."""

    C, g, E_L, theta, t_ref, delta = LIF.C, LIF.g, LIF.E_L, LIF.theta, LIF.t_ref, LIF.delta
    kappa = ef.Parameter("1", 0.1, 10.0, "its share, squared")
    V = ef.State("mV", rest="E_L", doc="membrane potential")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        return {"V": (-self.g * (x.V - self.E_L) * sqrt(self.kappa) + I) / self.C}

    def margin(self, x: Any) -> Any:
        return x.V - self.theta

    def jump(self, x: Any) -> dict[str, Any]:
        return {"V": self.E_L - self.delta}


def test_what_the_step_holds_too_has_no_name_by_which_it_could_be_set_alone() -> None:
    fit, current = ef.Fit(RootLeak.start(), "cell", 0.1), draw_current()
    text = export_texts(fit, "nest")[".nestml"]
    declared = set(re.findall(r"^        (\w+) real", text, flags=re.M))
    assert not declared & {"C_", "g_", "E_L"}
    assert "fixed_E_L" in declared  # which a spike reads as well
    assert_same(run_nestml(text, {}, current, 0.1), reference(fit, current, "threshold"), within=1e-9)


class RootLIF(ef.Neuron):
    """A LIF whose threshold holds a square root, which NESTML does not have, and its refractory period."""

    C, g, E_L, V_reset, t_ref, delta = LIF.C, LIF.g, LIF.E_L, LIF.V_reset, LIF.t_ref, LIF.delta
    theta, kappa = LIF.theta, ef.Parameter("1", 0.1, 10.0, "its share, squared")
    V = ef.State("mV", rest="E_L", doc="membrane potential")

    def flow(self, x: Any, I: Any) -> dict[str, Any]:
        return {"V": (-self.g * (x.V - self.E_L) + I) / self.C}

    def margin(self, x: Any) -> Any:
        return x.V - self.theta * sqrt(self.kappa)

    def jump(self, x: Any) -> dict[str, Any]:
        return {"V": self.V_reset + self.delta * self.t_ref / (1.0 + self.t_ref)}


def test_a_coefficient_that_nestml_cannot_compute_is_a_number_of_the_step() -> None:
    fit = ef.Fit(RootLIF.start(), "cell", 0.1)
    text, current = export_texts(fit, "nest")[".nestml"], draw_current()
    declared = set(re.findall(r"^        (\w+) real", text, flags=re.M))
    assert "delta" in declared
    assert not declared & {"theta", "kappa", "t_ref"}
    assert_same(run_nestml(text, {}, current, 0.1), reference(fit, current, "threshold"), within=1e-9)


@pytest.mark.usefixtures("no_nest")
def test_a_loader_takes_some_cells_in_the_order_given(tmp_path: Path) -> None:
    (script,) = export_population(draw_fits(3)[:3], "nest", tmp_path)
    load = runpy.run_path(str(script))["load"]
    assert list(load(["LIF 2", "LIF 0"])) == ["LIF 2", "LIF 0"]
    assert load(["LIF 2"])["LIF 2"] == load()["LIF 2"] != load()["LIF 0"]


@pytest.mark.usefixtures("no_nest")
def test_cells_as_a_neuron_of_nests_own_have_the_dictionaries_of_single_exports(tmp_path: Path) -> None:
    start = catalogue()["GLIF5"].start().replace(f_v=0.0, b_v=0.03)
    fits = [ef.Fit(start.replace(C=C, t_ref=2.0), f"cell {C:g}", 0.1) for C in (90.0, 110.0)]
    fits.append(ef.Fit(start.replace(a_v=0.0, dI=(0.0, 0.0), d_theta=0.0, dV=0.0), "plain", 0.1))
    (script,) = export_population(fits, "nest", tmp_path, form="own", spiking="threshold")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["GLIF5_own.csv", "GLIF5_own.py"]
    found = runpy.run_path(str(script))
    for fit in fits:
        single = json.loads(export_texts(fit, "nest", form="own", spiking="threshold")[".json"])
        assert {"model": found["MODEL"], **found["load"]()[fit.cell]} == single


def test_a_cell_that_is_no_neuron_of_nests_own_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    fits = [ef.Fit(LIF.start(), "good", 0.1), ef.Fit(LIF.start().replace(V_reset=-45.0, theta=-50.0), "high", 0.1)]
    with pytest.raises(
        ExportError, match=r"^high: LIF cannot be exported to a neuron of NEST's own.*-45 mV is not below"
    ):
        export_population([ef.Fit(MAT.start(), "other", 0.1), *fits], "nest", tmp_path, form="own", spiking="threshold")
    assert not list(tmp_path.iterdir())


def test_cells_of_several_neurons_of_nest_are_refused() -> None:
    cells = [read_fit(ef.Fit(LIF.start(), name, 0.1), "threshold") for name in "ab"]
    with pytest.raises(ExportError, match="LIF are several neurons of NEST, iaf_psc_exp and glif_psc: name the one"):
        write_own_population(cells, [NEST_OWN.find(c, f) for c, f in zip(cells, ("own", "glif_psc"), strict=True)])


def test_a_form_of_nest_is_none_of_other_targets(tmp_path: Path) -> None:
    for to, message in (
        ("neuroml", "'glif_psc' is unknown to neuroml"),
        ("python", "for brian2, nest and neuroml only"),
    ):
        with pytest.raises(ExportError, match=message):
            export_population(draw_fits(1)[:1], to, tmp_path, form="glif_psc")


def look_up(expression: str, k: int) -> float:
    """A formula of a current at its k-th value."""
    return eval(expression, {"H": lambda x: float(x > 0), "k": k, "one_pA": 1.0, "one_ms": 1.0})


def test_a_current_of_neuroml_is_the_one_given(tmp_path: Path) -> None:
    fits = [replace(f, dt=0.5) for f in draw_fits(2)[:2]]
    (script,) = export_population(fits, "neuroml", tmp_path)
    current = np.repeat([0.0, -120.5, 300.25, 300.25, 1e-6], 7)
    names = runpy.run_path(str(script))
    path, spikes = names["write"](np.stack([current, current[::-1]], -1))
    assert (path.name, spikes.name) == ("LIF_run.xml", "LIF_run.spikes")
    root = ElementTree.parse(path).getroot()
    for k, wanted in enumerate((current, current[::-1])):
        (kind,) = (c for c in root.iter("ComponentType") if c.get("name") == f"current_{k}_type")
        value, following, _ = (a.get("value", "") for a in next(kind.iter("OnCondition")))
        found, at, event = [], 0.0, -1
        for t in np.arange(len(current)) * 0.5:
            if t >= at:
                event += 1
                held, at = look_up(value, event), look_up(following, event)
            found.append(held)
        np.testing.assert_array_equal(found, wanted)
    assert root.find("Simulation").get("length") == "17.5ms"  # type: ignore[union-attr]


def test_components_of_neuroml_hold_every_parameter_of_the_type(tmp_path: Path) -> None:
    fits = draw_fits(2)
    for script in export_population(fits, "neuroml", tmp_path):
        (kind,) = ElementTree.parse(script.with_suffix(".xml")).getroot()
        declared = {p.get("name") for p in kind.iter("Parameter")}
        for fit in (f for f in fits if f.model == script.stem):
            component = ElementTree.fromstring(runpy.run_path(str(script))["load"]([fit.cell])[fit.cell])
            assert set(component.keys()) - {"id"} == declared
            assert component.tag == kind.get("name")
            assert float(component.get("C", "")) == fit.neuron.C
            assert float(component.get("sharpen_offset", "")) == fit.sharpen[1]
            assert float(component.get("refract", "").removesuffix("ms")) == pytest.approx(fit.neuron.t_ref, abs=1e-5)


def test_one_graph_of_nir_runs_every_cell(tmp_path: Path) -> None:
    nir = pytest.importorskip("nir")
    fits = [replace(f, neuron=f.neuron.replace(t_ref=0.0)) for f in draw_fits(3)[:3]]
    (script,) = export_population(fits, "nir", tmp_path, spiking="threshold")
    node = nir.read(script.with_suffix(".nir")).nodes["neuron"]
    assert json.loads(node.metadata["cells"]) == [f.cell for f in fits]
    current = draw_current()
    trains, v = [[] for _ in fits], node.v_leak
    for n, value in enumerate(current):
        goal = node.v_leak + node.r * value
        v = goal + (v - goal) * np.exp(-0.1 / node.tau)
        for k in np.flatnonzero(v >= node.v_threshold):
            trains[k].append((n + 0.5) * 0.1)
        v = np.where(v >= node.v_threshold, node.v_reset, v)
    for fit, train in zip(fits, trains, strict=True):
        assert_same(np.array(train), reference(fit, current, "threshold"), within=1e-9)
    some = runpy.run_path(str(script))["graph"](["LIF 2"]).nodes["neuron"]
    assert (some.tau, some.r) == (node.tau[2:], node.r[2:])


@pytest.mark.parametrize(
    ("neuron", "spiking", "message"),
    [
        (LIF.start().replace(t_ref=0.0), "causal", r"^cell: LIF cannot be exported to NIR: it spikes 'causal'"),
        (LIF.start(), "threshold", r"^cell: .*its refractory period is 2 ms"),
        (AdEx.start(), "threshold", r"^cell: AdEx cannot be exported to NIR: it has the states"),
    ],
)
def test_nir_says_which_cell_it_cannot_hold_and_why(
    neuron: ef.Neuron, spiking: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match=message):
        export_population([ef.Fit(neuron, "cell", 0.1)], "nir", tmp_path, spiking=spiking)
    assert not list(tmp_path.iterdir())
