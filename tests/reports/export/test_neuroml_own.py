"""Cells as cells of NeuroML's own: they spike as here by NeuroML's rules, or a sentence says why they are none."""

from __future__ import annotations

import re
import runpy
import sys
import types
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.errors import ExportError
from ephysfit.models import LIF, AdEx, AdLIF, catalogue
from ephysfit.reports.export import export_texts
from ephysfit.reports.export.neuroml_own import PARAMETERS
from ephysfit.reports.export.population import export_population
from tests.reports.export.cells import assert_same, current, fitted, reference

sys.path.append(str(Path(__file__).parents[2] / "fitting"))
from published_rules import run_neuroml_cell

#: step of both, ms: NeuroML goes by Euler's rule
DT = 0.002
STEEP = {"rise": 1e4}
#: class, what differs from its start, form, the cell of NeuroML, how far spikes may part (ms)
EXACT = [
    ("LIF", {}, "own", "iafRefCell", 0.05), ("LIF", {"t_ref": 0.0}, "own", "iafCell", 0.05),
    ("LIF", {"t_ref": 0.0}, "iafRefCell", "iafRefCell", 0.15), ("GLIF1", {}, "own", "iafRefCell", 0.05),
    ("LIFASC", {"b": (0.0, 0.0)}, "own", "iafRefCell", 0.05),
    ("GLIF2", {"f_v": 0.0, "d_theta": 0.0}, "own", "iafRefCell", 0.05), ("AdLIF", {}, "own", "adExIaFCell", 0.05),
    ("AdLIF", {"a": 5.0, "tau_w": 20.0}, "own", "adExIaFCell", 0.05),
    ("AdEx", STEEP, "adExIaFCell", "adExIaFCell", 0.05),
    ("EIF", STEEP, "adExIaFCell", "adExIaFCell", 0.2),
    ("Izhikevich", {"t_ref": 0.0}, "own", "izhikevich2007Cell", 0.05),
]  # fmt: skip


def read_cell(document: str) -> tuple[str, dict[str, float]]:
    """The cell of a NeuroML document, and its parameters, whose units are those of ephysfit."""
    (cell,) = ElementTree.fromstring(document)
    return read_element(cell)


def read_element(cell: ElementTree.Element) -> tuple[str, dict[str, float]]:
    kind, values = cell.tag.rpartition("}")[2], {}
    for name, text in cell.attrib.items():
        if name != "id":
            number, unit = re.fullmatch(r"([-+.0-9e]+)([A-Za-z_]+)", text).groups()
            assert unit == PARAMETERS[kind][name].unit
            values[name] = float(number)
    assert list(values) == list(PARAMETERS[kind])
    return kind, values


@pytest.mark.filterwarnings("ignore:.*no fit would return it")
@pytest.mark.parametrize(("name", "given", "form", "wanted", "within"), EXACT)
def test_cells_spike_by_the_rules_of_neuroml_as_here(
    name: str, given: dict[str, Any], form: str, wanted: str, within: float
) -> None:
    fit = ef.Fit(catalogue()[name].start().replace(**given), "cell", DT)
    drive = current(fit, round(400 / DT), piece=20.0)
    document = export_texts(fit, "neuroml", form=form, spiking="threshold")[".nml"]
    kind, values = read_cell(document)
    assert kind == wanted
    found = run_neuroml_cell(kind, values, drive, DT)
    assert_same(found, reference(fit, drive, "threshold"), within=within)


@pytest.mark.filterwarnings("ignore:.*no fit would return it")
@pytest.mark.parametrize(
    ("name", "changed", "form", "spiking", "message"),
    [
        ("LIF", {}, "own", None, r"none of them spikes where .* 1 \(causal\); with spiking='threshold', which is anot"),
        ("LIF", {}, "own", "noisy", "iafRefCell spikes by threshold alone, not noisy; take"),
        ("LIF", {}, "iafCell", "threshold", "it has no refractory period, and the cell's is 2 ms"),
        ("LIF", {"V_reset": -45.0, "theta": -50.0}, "own", "threshold", "-45 mV is not below -50 mV"),
        ("SoftLIF", {}, "own", "threshold", "SoftLIF .*those have the equations of AdEx, AdLIF, GLIF5, Izhikevich, L"),
        ("ALIF", {}, "own", "threshold", "ALIF .*or of one of their pins; take --to neuroml without a form"),
        ("LIFASC", {"b": (0.0, -1e-3)}, "own", "threshold", r"a spike opens currents \(b = \(0.0, -0.001\)\)"),
        ("GLIF2", {"f_v": 0.0}, "own", "threshold", r"a spike raises the threshold \(d_theta = 3.0\)"),
        ("GLIF5", {}, "own", "threshold", r"the reset keeps a share of the potential \(f_v = 0.3\)"),
        ("AdEx", {}, "own", "threshold", "at most at 200 mV/ms, NeuroML's without limit"),
        ("AdEx", STEEP, "own", "threshold", "its step of 0.1 ms is part of the neuron"),
        ("Izhikevich2003", {}, "own", "threshold", "its step of 0.1 ms is part of the neuron"),
        ("Izhikevich", {}, "own", "threshold", "no refractory period, and the cell's is 2 ms: fit it with t_ref pin"),
        ("LIF", {}, "iafTauCell", "threshold", "'iafTauCell' is unknown to neuroml; did you mean iafCell"),
        ("LIF", {}, "glif_psc", "threshold", "'glif_psc' is unknown to neuroml"),
    ],
)  # fmt: skip
def test_what_is_no_cell_of_neuromls_own_says_why(
    name: str, changed: dict[str, Any], form: str, spiking: str | None, message: str
) -> None:
    fit = ef.Fit(fitted(name, 0.1).neuron.replace(**changed), "cell", 0.1)
    with pytest.raises(ExportError, match=message):
        export_texts(fit, "neuroml", form=form, spiking=spiking)


@pytest.mark.filterwarnings("ignore:.*no fit would return it")
def test_what_is_nearly_one_is_written_by_its_name_and_the_document_says_so() -> None:
    steep = ef.Fit(AdEx.start().replace(**STEEP), "cell", DT)
    with pytest.raises(ExportError, match="it is nearly adExIaFCell, which form='adExIaFCell' writes: the upstroke"):
        export_texts(steep, "neuroml", form="own", spiking="threshold")
    near = export_texts(steep, "neuroml", form="adExIaFCell", spiking="threshold")[".nml"]
    assert "may part from the cell's: the upstroke of NeuroML has no limit" in near
    own = export_texts(fitted("LIF", 0.1), "neuroml", form="own", spiking="threshold")[".nml"]
    assert "may part" not in own


def test_an_upstroke_that_must_never_be_heard_is_below_the_digits_of_other_currents() -> None:
    _, p = read_cell(
        export_texts(ef.Fit(AdLIF.start(), "cell", 0.1), "neuroml", form="own", spiking="threshold")[".nml"]
    )
    largest = p["gL"] * p["delT"] * np.exp((p["thresh"] - p["VT"]) / p["delT"])
    leak = p["gL"] * (p["thresh"] - p["EL"])
    assert leak - largest == leak


@pytest.mark.parametrize("name", ["Izhikevich", "Izhikevich2003"])
def test_a_parabola_bends_off_by_less_than_a_thousandth_at_its_peak(name: str) -> None:
    p = catalogue()[name].start()
    state = types.SimpleNamespace(V=p.V_peak, u=0.0)
    parabola = p.k * (p.V_peak - p.V_r) * (p.V_peak - p.V_t)
    assert float(p.C * p.flow(state, 0.0)["V"]) == pytest.approx(parabola, rel=1e-3)


def test_the_file_that_runs_it_includes_the_document(tmp_path: Path) -> None:
    main, run = fitted("LIF", 0.1).export("neuroml", tmp_path / "a & b", form="own", spiking="threshold")
    assert (main.name, run.name) == ("a & b.nml", "a & b_run.xml")
    lems = ElementTree.parse(run).getroot()
    assert main.name in [e.get("file") for e in lems.iter("Include")]
    (cell,) = ElementTree.parse(main).getroot()
    assert [e.get("component") for e in lems.iter("population")] == [cell.get("id")]


def test_a_population_has_the_cells_of_single_exports(tmp_path: Path) -> None:
    fits = [ef.Fit(LIF.start().replace(C=C, t_ref=2.2), f"cell {C:g}", 0.1) for C in (90.0, 110.0)]
    (script,) = export_population(fits, "neuroml", tmp_path, form="own", spiking="threshold")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["LIF_own.csv", "LIF_own.py"]
    names = runpy.run_path(str(script))
    loaded = names["load"]()
    for fit in fits:
        document = export_texts(fit, "neuroml", form="own", spiking="threshold")[".nml"]
        assert read_element(ElementTree.fromstring(loaded[fit.cell])) == read_cell(document)
    path, _ = names["write"](np.array([100.0, 200.0]), ["cell 110"])
    root = ElementTree.parse(path).getroot()
    assert [e.get("id") for e in root.iter("iafRefCell")] == ["cell_0"]
    assert [e.get("file") for e in root.iter("Include")][-1] == "Simulation.xml"


def test_cells_of_several_cells_of_neuroml_take_the_one_that_is_named(tmp_path: Path) -> None:
    fits = [ef.Fit(LIF.start().replace(t_ref=t), f"{t:g}", 0.1) for t in (0.0, 2.0)]
    with pytest.raises(ExportError, match="several neurons of NeuroML, iafCell and iafRefCell: name the one"):
        export_population(fits, "neuroml", tmp_path, form="own", spiking="threshold")
    (script,) = export_population(fits, "neuroml", tmp_path, form="iafRefCell", spiking="threshold")
    assert "held at its reset for a step of LEMS" in script.read_text()
