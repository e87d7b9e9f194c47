"""Imported models spike as their origin's update rule, transcribed in `published_rules`; what they lack is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from published_rules import (
    run_allen_glif,
    run_gif_toolbox,
    run_nest_aeif,
    run_nest_gif,
    run_nest_glif,
    run_nest_iaf,
    run_nest_mat,
)
from typer.testing import CliRunner

import ephysfit as ef
from ephysfit.cli.app import app
from ephysfit.errors import NeuronError
from ephysfit.fitting.model_import.nest_neurons import MODELS

#: published models of the Allen Cell Types Database, one of each level
ALLEN = sorted((Path(__file__).parents[1] / "data" / "models").glob("glif*.json"))
#: spikes, and the step of the last one, that AllenSDK itself gave at twice the rheobase (public test data of others)
ALLENSDK = {
    "glif1": (46, 15928),
    "glif2": (57, 15912),
    "glif3": (28, 15667),
    "glif4": (34, 15595),
    "glif5": (23, 15630),
}
STEPS, H = 10_000, 0.1
GIF = {
    "gl": 0.01, "C": 0.2, "El": -65.0, "Vr": -50.0, "Tref": 4.0, "Vt_star": -48.0, "DV": 0.8, "lambda0": 1.0, "dt": 0.1,
    "eta": {"filter_coeff": [0.2, 0.05], "taus": [20.0, 100.0]},
    "gamma": {"filter_coeff": [10.0, 3.0], "taus": [30.0, 100.0]},
}  # fmt: skip
GLIF = {"asc_r": (1.0, 1.0), "t_ref": 3.7}
GIF_NEST = {"q_stc": [56.7, -6.9], "tau_stc": [57.8, 218.2], "q_sfa": [11.7, 1.8], "tau_sfa": [53.8, 640.0],
            "V_T_star": -42.0}  # fmt: skip


def pieces(mean: float, std: float, steps: int = STEPS, length: int = 30) -> np.ndarray:
    """A current in pieces of constant value."""
    levels = mean + std * np.random.default_rng(0).standard_normal(-(-steps // length))
    return np.repeat(levels, length)[:steps]


def run_ours(fit: ef.Fit, current: np.ndarray) -> np.ndarray:
    """Steps of the spikes of an imported model: its noise-free run, which for a stochastic one integrates the rate."""
    done = ef.simulate(fit.neuron, current, dt=fit.dt, **fit.noise_free)
    return np.rint(done.spike_times[0][0] / fit.dt - 0.5)


@pytest.mark.filterwarnings("ignore:.*no fit would return it")
@pytest.mark.parametrize("path", ALLEN, ids=lambda p: p.stem)
@pytest.mark.parametrize("kind", ["step", "noise"])
def test_allen_glif_spikes_at_the_very_steps_of_the_allensdk(path: Path, kind: str) -> None:
    config = json.loads(path.read_text())
    rheobase = config["th_inf"] * config["coeffs"]["th_inf"] / config["R_input"]
    current = rheobase * (
        np.repeat([0.0, 2.0, 0.0], [2000, 14000, 4000]) if kind == "step" else pieces(2.0, 1.5, 20_000)
    )
    fit = ef.import_model(path)
    wanted = run_allen_glif(config, current)
    assert fit.model == f"GLIF{path.stem[4]}"
    assert len(wanted) > 20
    if kind == "step":
        assert (len(wanted), wanted[-1]) == ALLENSDK[path.stem[:5]]
    np.testing.assert_array_equal(run_ours(fit, current * 1e12), wanted)


def test_the_gif_toolbox_spikes_at_its_very_steps() -> None:
    current = pieces(0.35, 0.3, 20_000)
    wanted = run_gif_toolbox(GIF, current)
    assert len(wanted) > 20
    np.testing.assert_array_equal(run_ours(ef.import_model(GIF), 1e3 * current), wanted)


KEEPS_NOTHING = {"spike_dependent_threshold": True, "voltage_reset_fraction": 0.0}
EXACT = [
    ("iaf_psc_exp", run_nest_iaf, {}, (420.0, 150.0)),
    ("iaf_psc_exp", run_nest_iaf, {"delta": 1.0, "rho": 10.0, "V_reset": -62.0}, (420.0, 150.0)),
    ("glif_psc", run_nest_glif, GLIF, (350.0, 150.0)),
    ("glif_psc", run_nest_glif, {**GLIF, "V_reset": -70.0}, (350.0, 150.0)),
    ("glif_psc", run_nest_glif, {**GLIF, "after_spike_currents": True}, (400.0, 150.0)),
    ("glif_psc", run_nest_glif, {**GLIF, "after_spike_currents": True, "V_reset": -70.0}, (400.0, 150.0)),
    ("glif_psc", run_nest_glif, {**GLIF, **KEEPS_NOTHING}, (350.0, 150.0)),
    ("glif_psc", run_nest_glif, {**GLIF, **KEEPS_NOTHING, "after_spike_currents": True,
                                 "adapting_threshold": True}, (450.0, 150.0)),
    ("gif_psc_exp", run_nest_gif, GIF_NEST, (220.0, 120.0)),
    ("mat2_psc_exp", run_nest_mat, {}, (600.0, 250.0)),
    ("mat2_psc_exp", run_nest_mat, {"tau_1": 8.0}, (600.0, 250.0)),
]  # fmt: skip


@pytest.mark.parametrize(("model", "rule", "values", "drive"), EXACT)
def test_nest_neurons_spike_at_the_very_steps_of_their_update(model: str, rule: Any, values: Any, drive: Any) -> None:
    whole, current = {**MODELS[model].defaults, **values}, pieces(*drive)
    wanted = rule(whole, current, H)
    assert len(wanted) >= 10
    np.testing.assert_array_equal(run_ours(ef.import_model({**whole, "model": model}), current), wanted)


def test_a_glif_of_nest_that_keeps_potential_at_a_spike_is_as_near_as_its_note_says() -> None:
    """Its reset reads the potential of the step before, ours that of the spike."""
    whole = {**MODELS["glif_psc"].defaults, **GLIF, "spike_dependent_threshold": True}
    current = pieces(350.0, 150.0)
    fit = ef.import_model({**whole, "model": "glif_psc"})
    assert any("a step before" in said for said in fit.warnings)
    ours, wanted = run_ours(fit, current), run_nest_glif(whole, current, H)
    assert np.mean([np.abs(ours - step).min() <= 1 for step in wanted]) > 0.95
    assert abs(len(ours) - len(wanted)) <= 1


@pytest.mark.filterwarnings("ignore:.*no fit would return it")
@pytest.mark.parametrize("values", [{}, {"t_ref": 2.0}, {"Delta_T": 0.0}])
def test_aeif_neurons_spike_within_two_steps_of_nest(values: dict[str, float]) -> None:
    """NEST puts the end of a refractory period onto its grid, spikes within a step notwithstanding."""
    whole, current = {**MODELS["aeif_psc_exp"].defaults, **values}, pieces(700.0, 300.0)
    wanted = (run_nest_aeif(whole, current, H) + 0.5) * H
    fit = ef.import_model(whole, model="aeif_cond_exp")
    ours = (run_ours(fit, np.repeat(current, round(H / fit.dt))) + 0.5) * fit.dt
    assert len(ours) == len(wanted) > 10
    assert np.abs(ours - wanted).max() <= 2 * H + 1e-9


def test_what_neuron_get_returns_is_read_and_synapses_are_said_to_be_left_out() -> None:
    kept = {"frozen": False, "global_id": 1, "thread": 0, "recordables": ["V_m"], "t_spike": -1.0, "V_m": -70.0}
    more = {**MODELS["iaf_psc_exp"].defaults, "model": "iaf_psc_exp", "tau_syn_ex": np.float64(2.0), "I_syn_ex": 0.0}
    clock = {"ignore_and_spike": False, "ignore_and_spike_interval": 100.0, "ignore_and_spike_offset": 1.0}
    assert ef.import_model({"model": "aeif_psc_alpha", "dI_syn_ex": 0.0, "dI_syn_in": 0.0, **clock}).model == "AdEx"
    fit = ef.import_model({**kept, **more, **clock})
    assert "synapses are left out: our neurons get an injected current" in fit.warnings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "iaf_psc_exp", "I_e": 100.0}, "I_e = 100 must be 0: .*add it to the injected current"),
        ({"model": "iaf_psc_exp", "V_m": -60.0}, "V_m = -60 must be -70: .*begins at rest"),
        ({"model": "iaf_psc_exp", "tau_M": 10.0}, "'tau_M' is no value .*did you mean tau_m"),
        ({"model": "iaf_psc_exp", "ignore_and_spike": True}, "ignore_and_spike = True makes NEST's neuron spike by a"),
        ({"model": "iaf_psc_exp", "C_m": "big"}, "C_m = 'big' must be a finite number"),
        ({"model": "iaf_psc_exp", "C_m": -1.0}, "LIF.C = -1 pF must be positive"),
        ({"model": "iaf_psc_exp", "delta": 1.0, "rho": 0.0}, "rho = 0 must be positive"),
        ({"model": "hh_psc_alpha"}, "'hh_psc_alpha' of NEST is none that one of our neurons is"),
        ({"C_m": 100.0}, "does not name its model"),
        ({"model": "glif_psc", "asc_r": (0.5, 1.0), "after_spike_currents": True}, "asc_r = 0.5 must be 1"),
        ({"model": "gif_psc_exp", "t_ref": 0.0}, "t_ref = 0 must be positive"),
        ({"model": "gif_psc_exp", "q_stc": [1.0], "tau_stc": []}, "one for each of the 1 weights"),
        ({**GIF, "eta": {"filter_coeff": [1.0], "bins": [1.0]}}, "no time constants .*Filter_Exps"),
        ({**GIF, "ki": 3.0}, "'ki' is no value that ephysfit knows"),
        ({**GIF, "C": 1e-4}, "time constant of 0.01 ms, which forward Euler steps of 0.1 ms cannot follow"),
        ({"a": 1.0}, "no model that ephysfit reads: it holds a"),
    ],
)  # fmt: skip
def test_what_our_neurons_lack_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(NeuronError, match=message):
        ef.import_model(values)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"voltage_reset_method": {"name": "fixed", "params": {"value": 0.0}}}, "method 'fixed' is none"),
        ({"AScurrent_reset_method": {"name": "sum", "params": {"r": [0.5, 1.0]}}}, "r = 0.5 must be 1"),
        ({"init_voltage": 0.01}, "init_voltage = 0.01 must be 0"),
        ({"th_infinite": 0.01}, "'th_infinite' is no value"),
        ({"R_input": None}, "R_input = None must be a finite number"),
    ],
)  # fmt: skip
def test_what_our_glif_neurons_lack_is_refused_by_name(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(NeuronError, match=message):
        ef.import_model({**json.loads(ALLEN[2].read_text()), **changed})


def test_files_that_hold_no_model_are_refused(tmp_path: Path) -> None:
    for name, content, message in (
        ("a.json", b"{", "not JSON"),
        ("b.json", b"[1]", "holds no values by name"),
        ("c.pck", pickle.dumps(GIF), "to read one is to run what it holds"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(NeuronError, match=message):
            ef.import_model(tmp_path / name)
    with pytest.raises(NeuronError, match="No such file"):
        ef.import_model(tmp_path / "none.json")
    with pytest.raises(NeuronError, match=r"2 models .*give one of them"):
        ef.import_model({"1": dict(GIF), "2": dict(GIF)})


def test_an_object_of_the_toolbox_is_read_by_its_attributes() -> None:
    filters = {name: SimpleNamespace(**GIF[name], filter_coeffNb=2) for name in ("eta", "gamma")}  # type: ignore[arg-type]
    assert (
        ef.import_model(SimpleNamespace(**{**GIF, **filters})).neuron.values() == ef.import_model(GIF).neuron.values()
    )


def test_filters_that_the_toolbox_fitted_with_exponentials_are_read_and_said_to_be_that() -> None:
    rectangles = {"filter_coeff": [1.0] * 9, "bins": list(range(10)), "expfit_falg": True, "b0": [0.2], "tau0": [30.0]}
    fit = ef.import_model({**GIF, "eta": rectangles})
    assert fit.neuron.tau_eta[0] == 30.0
    assert any("the toolbox's fit of exponentials" in said for said in fit.warnings)


def test_an_imported_model_is_saved_read_and_simulated_as_a_fit(tmp_path: Path) -> None:
    fit = ef.import_model(ALLEN[1])
    again = ef.Fit.load(fit.save(tmp_path / "cell.json"))
    assert again.neuron.values() == fit.neuron.values()
    assert again.cell == ALLEN[1].stem
    assert again.provenance.origin.startswith("GLIF2 of the AllenSDK, glif2_")
    assert len(again.provenance.loaded["sha256"]) == 64
    current = 1e3 * pieces(0.12, 0.1, 20_000)
    done = again.simulate(current, runs=20)
    (causal,) = done.companions["causal"].spike_times[0]
    np.testing.assert_array_equal(np.rint(causal / fit.dt - 0.5), run_ours(fit, current))
    assert done.spike_times[0][0].size == pytest.approx(causal.size, abs=3)


def test_the_command_writes_a_fit_and_says_what_it_converted(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["import-model", str(ALLEN[3]), "--cell", "mouse", "-o", str(tmp_path / "cell.json")]
    )
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert "GLIF4 of the AllenSDK → GLIF4, step 0.05 ms" in said
    assert "with the 38.9341 pF of the file" in said
    assert ef.Fit.load(tmp_path / "cell.json").cell == "mouse"


def test_what_is_no_model_is_named(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{"a": 1}')
    with pytest.raises(NeuronError, match=r"settings.json is no model that ephysfit reads: it holds a\. "):
        ef.import_model(path)
    with pytest.raises(NeuronError, match=r"int 3 is no model: give "):
        ef.import_model(3)
