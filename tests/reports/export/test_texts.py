"""What can be checked of exports without the simulators: names, refusals, JSON that holds all it takes."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import sympy

import ephysfit as ef
from ephysfit.errors import ExportError
from ephysfit.models import LIF, catalogue
from ephysfit.reports.export import TARGETS, export_texts
from ephysfit.reports.export.exported import read_fit
from ephysfit.reports.export.nir import compute_lif_fields
from tests.reports.export.cells import assert_same, current, fitted, reference

ONE_INPUT = [n for n, k in catalogue().items() if len(k.inputs) == 1]


@pytest.mark.parametrize("name", catalogue())
def test_brian2_scripts_are_python_and_say_every_constant(name):
    fit = fitted(name, 0.1)
    for form in ("equations", "steps"):
        script = export_texts(fit, "brian2", form=form)[".py"]
        compile(script, name, "exec")
        assert not re.search(r"\b(sigmoid|softplus|phi1)\(", script)
    values = {c.name: c.value for c in read_fit(fit).constants}
    script = export_texts(fit, "brian2", form="equations")[".py"]
    for known, value in re.findall(r'^    "(\w+)": ([-\d.e]+)', script, flags=re.M):
        assert float(value) == values[known.removesuffix("_") if known not in values else known]


@pytest.mark.parametrize("name", ONE_INPUT)
def test_lems_declares_all_that_it_reads(name):
    files = export_texts(fitted(name, 0.1), "neuroml")
    kind = ET.fromstring(files[".xml"]).find("ComponentType")
    known = {e.get("name") for e in kind.iter() if e.get("name")} | {
        "t",
        "exp",
        "ln",
        "tanh",
        "sqrt",
        "abs",
        "sin",
        "cos",
    }
    for e in kind.iter():
        for text in (e.get("value"), e.get("test"), e.get("condition")):
            if text and e.tag != "Constant":
                read_names = set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", re.sub(r"\d+\.?\d*e-?\d+|\.\w+\.", " ", text)))
                assert read_names <= known, (e.attrib, read_names - known)
    ET.fromstring(files["_run.xml"])


@pytest.mark.parametrize("to", ["nest", "neuroml"])
def test_two_inputs_are_refused_with_the_reason(to):
    with pytest.raises(
        ExportError, match=r"SpatialSTC cannot be exported to .* 2 inputs \(I, s_1\).* take brian2 or python"
    ):
        export_texts(fitted("SpatialSTC", 0.1), to)


@pytest.mark.parametrize(
    ("name", "spiking", "reason"),
    [("LIF", None, "soft threshold"), ("LIF", "threshold", "refractory period"), ("ALIF", "threshold", "states V, h"),
     ("SoftLIF", "threshold", "refractory"), ("EIF", "threshold", "not linear")],
)  # fmt: skip
def test_nir_says_why_not(tmp_path, name, spiking, reason):
    with pytest.raises(ExportError, match=f"cannot be exported to NIR: .*{reason}"):
        fitted(name, 0.1).export("nir", tmp_path / "cell.nir", spiking=spiking)


def test_nir_numbers_are_those_of_the_membrane():
    cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=0.0, delta=2.0)
    numbers = compute_lif_fields(read_fit(ef.Fit(cell, "demo", 0.1), "threshold"))
    assert numbers == pytest.approx({"tau": 20.0, "r": 0.2, "v_leak": -70.0, "v_threshold": -50.0, "v_reset": -65.0})


def test_names_and_values_that_do_not_exist_are_refused(tmp_path):
    fit = fitted("LIF", 0.1)
    for call, message in (
        (lambda: fit.export("neuron", tmp_path / "x"), "did you mean neuroml"),
        (lambda: fit.export("nest", tmp_path / "x", spiking="loud"), "'loud' is unknown"),
        (lambda: fit.export("python", tmp_path / "x", form="steps"), "for brian2, nest and neuroml only"),
        (lambda: fit.export("nir", tmp_path / "x", form="own", spiking="threshold"), "nir has one form"),
        (lambda: fit.export("brian2", tmp_path / "x", form="step"), "did you mean steps"),
        (lambda: fit.export("json", tmp_path / "x", dt=-1.0), "must be positive"),
    ):
        with pytest.raises(ExportError, match=message):
            call()
    assert not list(tmp_path.iterdir())


def test_every_target_gets_its_ending_and_makes_folders(tmp_path):
    for to, target in TARGETS.items():
        if to != "nir":
            main, *_ = fitted("ALIF", 0.1).export(to, tmp_path / to / "cell")
            assert main.name == "cell" + target.ending
            assert main.read_text()
    assert "cell.xml" in (tmp_path / "neuroml" / "cell_run.xml").read_text()


@pytest.mark.parametrize("name", ["ALIF", "GLIF5", "STCLIF", "AdEx"])
def test_json_is_enough_to_simulate(name):
    """A reader that knows nothing of ephysfit: fine Runge-Kutta steps of the expressions in the file."""
    fit = fitted(name, 0.02 if name == "AdEx" else 0.05)
    said = json.loads(export_texts(fit, "json", spiking="threshold")[".json"])
    drive = current(fit, 4000, piece=10.0)
    assert_same(_integrated(said, drive), reference(fit, drive, "threshold"), within=0.5)


def _integrated(said: dict, drive: np.ndarray) -> np.ndarray:
    functions = {"softplus": lambda x: np.logaddexp(0.0, x), "sigmoid": lambda x: 1 / (1 + math.exp(-x))}
    names = [s["name"] for s in said["states"]]
    symbols = [sympy.Symbol(n) for n in (*names, "I")]
    values = {p["name"]: p["value"] for p in said["parameters"]}

    def function(texts_: list[str]):
        local = {n: sympy.Symbol(n) for n in (*names, *values, "I")} | {n: sympy.Function(n) for n in functions}
        read_ = [sympy.sympify(t, locals=local).subs(values) for t in texts_]
        return sympy.lambdify(symbols, read_, modules=[functions, "math"])

    flow, jump = (function([s[k] for s in said["states"]]) for k in ("d/dt", "at_spike"))
    rest, margin = function([s["rest"] for s in said["states"]]), function([said["margin"]["expression"]])
    held = np.array([s["held_while_refractory"] for s in said["states"]])
    dt, x, wait, spikes = said["dt_ms"], np.array(rest(*[0.0] * len(symbols)), dtype=float), 0, []
    for step, current_now in enumerate(drive):
        rate = lambda y, I=current_now, on=~(held & (wait > 0)): on * np.array(flow(*y, I))  # noqa: E731
        a = rate(x)
        b = rate(x + dt / 2 * a)
        c = rate(x + dt / 2 * b)
        x = x + dt / 6 * (a + 2 * b + 2 * c + rate(x + dt * c))
        if wait:
            wait -= 1
        elif margin(*x, current_now)[0] >= 0:
            spikes.append((step + 0.5) * dt)
            x, wait = np.array(jump(*x, current_now), dtype=float), round(said["refractory_ms"] / dt)
    return np.array(spikes)
