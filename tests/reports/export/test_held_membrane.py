"""An exported cell has the capacitance, leak and rest that the recorded voltage shows."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import pytest

import ephysfit as ef
from ephysfit.reports.export import export_texts

DATA = Path(__file__).parents[3] / "data" / "DRN164.nwb"


@cache
def fitted(model: str) -> ef.Fit:
    """A real cell, its membrane held at what its voltage shows; the stages after that do not touch it."""
    train, _ = ef.load(DATA).split()
    return ef.fit(train, model, (ef.stages.Passive(),), objective="physiology")


def read_nest(text: str) -> dict[str, float]:
    """Membrane among the parameters of a NESTML model, from which it computes its step."""
    number = {
        n.rstrip("_"): float(v) for n, v in re.findall(r"^ +(\w+) real = (-?\d[\w.+-]*)(?=\s|$)", text, flags=re.M)
    }
    return {name: number[name] for name in ("C", "g", "E_L")}


@pytest.mark.parametrize("model", ["ALIF", "AdEx"])
def test_texts_with_parameters_hold_the_membrane_of_the_fit(model: str) -> None:
    fit = fitted(model)
    assert fit.membrane is not None
    held = {name: fit.membrane.values[name] for name in ("C", "g", "E_L")}
    script = export_texts(fit, "brian2", form="equations")[".py"]
    lems = ET.fromstring(export_texts(fit, "neuroml")[".xml"])
    (component,) = (e for e in lems if e.tag != "ComponentType")
    said = {p["name"]: p["value"] for p in json.loads(export_texts(fit, "json")[".json"])["parameters"]}
    python = export_texts(fit, "python")[".py"]
    for name, value in held.items():
        assert getattr(fit.neuron, name) == value
        assert float(re.search(rf'"{name}": ([-\d.e]+)\*', script)[1]) == value  # type: ignore[index]
        assert float(re.search(rf"^{name} = (\S+)", python, flags=re.M)[1]) == value  # type: ignore[index]
        assert float(component.attrib[name]) == value
        assert said[name] == value


@pytest.mark.parametrize("model", ["ALIF", "AdEx"])
def test_a_nest_model_has_the_membrane_of_the_fit(model: str) -> None:
    fit = fitted(model)
    assert fit.membrane is not None
    found = read_nest(export_texts(fit, "nest")[".nestml"])
    assert found == pytest.approx({name: fit.membrane.values[name] for name in found}, rel=1e-12)
