"""Cells as neurons of NEST's own: back to the dictionary they came from, or a sentence that says why not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.errors import ExportError
from ephysfit.fitting.model_import.nest_neurons import MODELS
from ephysfit.models import catalogue
from ephysfit.reports.export import export_texts
from ephysfit.reports.export.nest_own import NEST_OWN
from tests.reports.export.cells import current, fitted, reference

sys.path.append(str(Path(__file__).parents[2] / "fitting"))
from published_rules import run_nest_glif, run_nest_iaf, run_nest_mat

ASC = {"asc_r": [1.0, 1.0], "t_ref": 3.7}
CURRENTS = {**ASC, "after_spike_currents": True}
KEEPS_NOTHING = {"spike_dependent_threshold": True, "voltage_reset_fraction": 0.0}
FILTERS = {"q_stc": [56.7, -6.9], "tau_stc": [57.8, 218.2], "q_sfa": [11.7, 1.8], "tau_sfa": [53.8, 640.0]}
#: every case that the import is held to, and what NEST and ours differ in
CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("iaf_psc_exp", {}), ("iaf_psc_exp", {"delta": 1.0, "rho": 1000.0, "V_reset": -62.0}),
    ("glif_psc", ASC), ("glif_psc", {**ASC, "V_reset": -85.0}), ("glif_psc", CURRENTS),
    ("glif_psc", {**CURRENTS, "V_reset": -85.0}), ("glif_psc", {**ASC, **KEEPS_NOTHING}),
    ("glif_psc", {**ASC, "spike_dependent_threshold": True}), ("glif_psc", {**CURRENTS, **KEEPS_NOTHING}),
    ("glif_psc", {**CURRENTS, **KEEPS_NOTHING, "adapting_threshold": True}),
    ("glif_psc", {**CURRENTS, "asc_r": [1.0], "asc_decay": [0.01], "asc_amps": [-20.0]}),
    ("gif_psc_exp", {}), ("gif_psc_exp", {**FILTERS, "V_T_star": -42.0}),
    ("mat2_psc_exp", {}), ("mat2_psc_exp", {"tau_1": 8.0}),
    *((name, more) for name in MODELS if name.startswith("aeif") for more in ({}, {"t_ref": 2.0}, {"Delta_T": 0.0})),
)  # fmt: skip


def write(fit: ef.Fit, form: str = "own", spiking: str | None = None) -> dict[str, Any]:
    """The parameters that are written, with the name of the model."""
    return json.loads(export_texts(fit, "nest", form=form, spiking=spiking)[".json"])


def assert_equal(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-12)), name


@pytest.mark.parametrize(("model", "values"), CASES)
def test_what_was_imported_is_written_as_it_came(model: str, values: dict[str, Any]) -> None:
    whole = {"model": model, **MODELS[model].defaults, **values}
    fit = ef.import_model(whole)
    assert_equal(write(fit, model, "noisy" if fit.noise_free else None), whole)


def test_another_rate_constant_is_the_same_neuron() -> None:
    """Rate constant and threshold are one parameter here: which of the two moved, nobody can tell."""
    for model, values in (("iaf_psc_exp", {"delta": 1.0, "rho": 10.0}), ("gif_psc_exp", {"lambda_0": 5.0})):
        fit = ef.import_model({"model": model, **values})
        again = ef.import_model(write(fit, model, "noisy")).neuron.values()
        for name, value in fit.neuron.values().items():
            assert again[name] == pytest.approx(value), name


EXACT = [
    ("LIF", {}, run_nest_iaf), ("LIFASC", {}, run_nest_glif), ("GLIF1", {}, run_nest_glif),
    ("GLIF3", {}, run_nest_glif), ("GLIF2", {"f_v": 0.0}, run_nest_glif), ("GLIF4", {"f_v": 0.0}, run_nest_glif),
    ("GLIF5", {"f_v": 0.0, "b_v": 0.03}, run_nest_glif), ("MAT", {}, run_nest_mat),
    ("MATV", {"beta": 0.0, "tau_H": (15.0, 90.0)}, run_nest_mat),
]  # fmt: skip


@pytest.mark.parametrize("dt", [0.1, 0.5])
@pytest.mark.parametrize(("name", "given", "rule"), EXACT)
def test_cells_spike_at_the_very_steps_of_nest(name: str, given: dict[str, Any], rule: Any, dt: float) -> None:
    """Refractory periods between steps, too: NEST rounds up, ours to the nearest."""
    neuron = catalogue()[name].start().replace(t_ref=2.2, **given)
    fit = ef.Fit(neuron, "cell", dt)
    drive = current(fit, round(1000 / dt))
    wanted = reference(fit, drive, "threshold")
    assert len(wanted) >= 10
    found = rule(write(fit, spiking="threshold"), drive, dt)
    np.testing.assert_array_equal(found, np.rint(wanted / dt - 0.5))


def test_a_neuron_without_its_currents_and_thresholds_is_written_as_the_level_it_is() -> None:
    plain = catalogue()["GLIF5"].start().replace(f_v=0.0, dV=0.0, d_theta=0.0, dI=(0.0, 0.0), a_v=0.0)
    found = write(ef.Fit(plain, "cell", 0.1), spiking="threshold")
    assert not any(found[n] for n in ("spike_dependent_threshold", "after_spike_currents", "adapting_threshold"))


@pytest.mark.parametrize(
    ("name", "changed", "form", "spiking", "message"),
    [
        ("LIF", {}, "own", None, r"none of them spikes where the integrated hazard reaches 1 .*noisy.*threshold"),
        ("ALIF", {}, "own", "threshold", r"ALIF .*those have the equations of AdEx, AdLIF, FreeGIF"),
        ("LIF", {}, "mat2_psc_exp", "threshold", r"own \(mat2_psc_exp\): those have the equations of MATV"),
        ("GIF", {}, "own", "threshold", "gif_psc_exp spikes by noisy alone, not threshold"),
        ("GLIF2", {}, "own", "threshold", r"nearly glif_psc, which form='glif_psc' writes: .*a step before"),
        ("GLIF5", {"f_v": 0.0}, "own", "threshold", r"divides by the difference of b_v \(0.05 /ms\) and g/C"),
        ("MATV", {}, "own", "threshold", r"follows the voltage \(beta = -0.05 /ms\)"),
        ("AdEx", {}, "own", "threshold", r"at most at 200 mV/ms, NEST's without limit"),
        ("AdEx", {"rise": 1e4}, "aeif_psc_exp", "threshold", r"its step of 0.1 ms is part of the neuron"),
        ("GLIF1", {"t_ref": 0.0}, "own", "threshold", "a refractory period of a step at least"),
        ("LIF", {"V_reset": -45.0, "theta": -50.0}, "iaf_psc_exp", "threshold", "-45 mV is not below -50 mV"),
        ("LIF", {}, "glif", "threshold", "form 'glif' is unknown to nest; did you mean glif_psc"),
        ("LIF", {}, "steps", None, "form 'steps' is unknown to nest"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*no fit would return it")
def test_what_is_no_neuron_of_nests_own_says_why(
    name: str, changed: dict[str, Any], form: str, spiking: str | None, message: str
) -> None:
    fit = ef.Fit(fitted(name, 0.1).neuron.replace(**changed), "cell", 0.1)
    with pytest.raises(ExportError, match=message):
        write(fit, form, spiking)


@pytest.mark.parametrize("name", ["GLIF2", "LIF"])
def test_what_is_nearly_one_is_written_by_its_name_and_the_script_says_so(name: str) -> None:
    form, spiking, said = (
        ("glif_psc", "threshold", "a step before") if name == "GLIF2" else ("iaf_psc_exp", "noisy", "while it is refr")
    )
    script = export_texts(fitted(name, 0.1), "nest", form=form, spiking=spiking)["_nest.py"]
    compile(script, name, "exec")
    assert "may part from the cell's" in script
    assert said in script
    own = export_texts(fitted("LIF", 0.1), "nest", form="own", spiking="threshold")["_nest.py"]
    assert "may part" not in own


def test_every_neuron_of_nest_that_is_read_can_be_written() -> None:
    assert set(NEST_OWN.by_name) == set(MODELS)


def test_files_have_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fit = fitted("LIF", 0.1)
    written = [p.name for form in ("auto", "own") for p in fit.export("nest", form=form, spiking="threshold")]
    assert written == ["LIF_demo.nestml", "LIF_demo_nest.py", "LIF_demo_nest_own.json", "LIF_demo_nest_own_nest.py"]
    assert ef.import_model("LIF_demo_nest_own.json").neuron.values() == pytest.approx(
        fit.neuron.replace(delta=0.1).values()
    )
