"""fit() from end to end on small data: what it returns, saves, loads and refuses."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from fitting_cells import DT, KNOWN, known, problem, silent_cell, spikes_only, steps

from ephysfit.data.recording import Recording, Sweep
from ephysfit.errors import FitError
from ephysfit.fitting.chain import choose_shared_step, default_stages, default_step, run_stages
from ephysfit.fitting.fit import fit
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.fit_warnings import list_warnings
from ephysfit.fitting.recording_identity import hash_recording
from ephysfit.fitting.stage import Stage, Status
from ephysfit.fitting.stage_reports import CausalRun
from ephysfit.fitting.stages import CausalReadout, Likelihood, Passive
from ephysfit.models import AIGIF, ALIF, LIF
from ephysfit.neuron.declare import scalar_values

QUICK = (Passive(), Likelihood(starts=1, steps=12), CausalReadout(betas=(1.0, 2.0), offsets=(-1.0, 1.0, 3), runs=4))


@dataclass(frozen=True)
class Broken(Stage):
    """A stage that leaves the finite numbers."""

    value: float = float("nan")

    name = "broken"

    def improve(self, problem, estimate):
        return estimate.with_(neuron=estimate.neuron.replace(theta=self.value))


@pytest.fixture(scope="module")
def fitted():
    return fit(known(6_000.0), ALIF, QUICK, seed=4)


def test_a_fit_runs_its_stages_in_order(fitted):
    assert [e.stage for e in fitted.history] == ["passive", "likelihood", "readout"]
    assert fitted.status in (Status.CONVERGED, Status.AT_BOUND)
    assert all(e.seconds >= 0 for e in fitted.history)
    assert fitted.seconds == pytest.approx(sum(e.seconds for e in fitted.history))
    assert np.isfinite(fitted.loss)
    assert (fitted.model, fitted.cell, fitted.dt) == ("ALIF", "synthetic ALIF", DT)


def test_spikes_alone_and_step_sweeps_fit():
    for data in (spikes_only(6_000.0), steps()):
        done = fit(data, LIF, QUICK)
        assert done.status in (Status.CONVERGED, Status.AT_BOUND)
        assert done.simulate(data, runs=2).rate_hz == pytest.approx(data.rate, rel=0.6)


def test_silence_is_a_value_with_a_sentence():
    done = fit(silent_cell(), LIF, QUICK)
    assert done.status is done.history[-1].status is Status.TOO_FEW_SPIKES
    assert any("only 2 spikes in the training data; nothing was fitted" in w for w in done.warnings)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_never_leaves_a_stage(value):
    done = fit(spikes_only(6_000.0), LIF, (Passive(), Broken(value)))
    assert done.history[-1].status is Status.DIVERGED
    assert scalar_values(done.neuron) == scalar_values(done.history[0].neuron)
    assert any("broken" in w and "estimate before it was kept" in w for w in done.warnings)


def test_reports_of_earlier_stages_stay():
    done = fit(spikes_only(6_000.0), LIF, (*QUICK, Passive(t_ref=False)))
    assert len(done.report(CausalRun).sharpen) == 2
    assert set(done.likelihood.standard_errors) == set(LIF.parameters) - {"t_ref"}


def test_save_and_load_is_a_round_trip(fitted, tmp_path):
    path = fitted.save(tmp_path / "new folder" / "fit.json")
    back = Fit.load(path)
    assert type(back.neuron) is ALIF
    assert scalar_values(back.neuron) == scalar_values(fitted.neuron)
    assert back.to_dict() == json.loads(path.read_text())
    assert back.status is fitted.status
    assert back.warnings == fitted.warnings
    data = known(6_000.0)
    one, two = (f.simulate(data, runs=3, seed=5) for f in (fitted, back))
    for a, b in zip(one.spike_times[0], two.spike_times[0], strict=True):
        assert np.array_equal(a, b)
    for name in ("causal", "consensus"):
        a, b = (s.companions[name].spike_times[0][0] for s in (one, two))
        assert np.array_equal(a, b), name
    assert not list(path.parent.glob("*.partial"))


def test_a_bank_survives_the_round_trip(tmp_path):
    start = AIGIF.start().replace(R=tuple(0.1 * k for k in range(8)))
    done = run_stages(problem(spikes_only(6_000.0), AIGIF), (), start)
    back = Fit.load(done.save(tmp_path / "a.json"))
    assert tuple(back.neuron.R) == pytest.approx(tuple(start.R))


def test_load_says_what_is_wrong_with_a_file(fitted, tmp_path):
    with pytest.raises(FitError, match=r"absent\.json.*give the path of a fit saved by ephysfit"):
        Fit.load(tmp_path / "absent.json")
    for name, text in {"text": "no json", "list": "[1]", "other": '{"model": "LIF"}'}.items():
        path = tmp_path / f"{name}.json"
        path.write_text(text)
        with pytest.raises(FitError, match=f"{name}.json is not a fit saved by ephysfit"):
            Fit.load(path)
    saved = fitted.to_dict()
    path = tmp_path / "older.json"
    path.write_text(json.dumps({**saved, "parameters": {k: v for k, v in saved["parameters"].items() if k != "g"}}))
    with pytest.raises(FitError, match="ALIF of this version differs in g; refit"):
        Fit.load(path)
    path.write_text(json.dumps({**saved, "model": "ALFI", "provenance": {}}))
    with pytest.raises(FitError, match="did you mean ALIF"):
        Fit.load(path)
    path.write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(FitError, match="is not a fit saved by ephysfit"):
        Fit.load(path)
    with pytest.raises(FitError, match="give the path of a fit"):
        Fit.load(tmp_path)


def test_a_file_that_lacks_parts_is_refused_too(fitted, tmp_path):
    for part in ("cell", "dt_ms", "history", "warnings", "reports"):
        saved = fitted.to_dict()
        saved.pop(part)
        path = tmp_path / f"no_{part}.json"
        path.write_text(json.dumps(saved))
        with pytest.raises(FitError, match=f"no_{part}.json is not a fit saved by ephysfit"):
            Fit.load(path)


def test_provenance_says_of_what_and_how(fitted):
    p = fitted.provenance
    assert p.seed == 4
    assert p.data_sha256 == hash_recording(known(6_000.0))
    assert [s["stage"] for s in p.stages] == ["Passive", "Likelihood", "CausalReadout"]
    assert p.stages[1]["steps"] == 12
    assert p.spikes == problem(known(6_000.0)).n_spikes
    assert {"version", "date", "torch", "numba", "python", "recording", "sweeps"} <= set(p.to_dict())


def test_the_same_seed_gives_the_same_fit(fitted):
    again = fit(known(6_000.0), ALIF, QUICK, seed=4)
    assert scalar_values(again.neuron) == pytest.approx(scalar_values(fitted.neuron), rel=1e-9)


def test_a_noisy_fit_simulates_three_readouts_and_never_mixes_them(fitted):
    done = fitted.simulate(known(6_000.0), runs=6)
    assert done.stochastic
    assert len(done.spike_times[0]) == 6
    assert {n: c.stochastic for n, c in done.companions.items()} == {"causal": False, "consensus": False}


def test_parameters_on_a_bound_are_named():
    cell = KNOWN.replace(delta=0.1)
    found = list_warnings(problem(kind=ALIF), cell, ())
    assert any(w.startswith("delta sits on its low bound (0.1 mV)") for w in found)
    rows = {r["name"]: r for r in Fit(cell, "c", DT).parameters()}
    assert rows["delta"]["at_bound"] == "low"
    assert rows["theta"]["at_bound"] == ""
    assert set(rows) == set(ALIF.parameters)


def test_default_step_is_the_largest_multiple_up_to_half_a_millisecond():
    for have, expected in ((0.1, 0.5), (0.05, 0.5), (0.2, 0.4), (0.3, 0.3), (0.5, 0.5), (0.8, 0.8)):
        data = Recording.of(np.ones(100), have, spike_times=[1.0])
        assert default_step(data) == pytest.approx(expected)


def test_default_stages_suit_the_neuron():
    kinds = [[type(s).__name__ for s in default_stages(k)] for k in (LIF, AIGIF)]
    assert kinds[0] == ["Passive", "Likelihood", "Refractory", "Search", "CausalReadout", "VoteReadout"]
    assert kinds[1] == ["Passive", "Likelihood", "LengthenRefractory", "CausalReadout", "VoteReadout"]


def test_progress_is_told():
    told = []
    fit(spikes_only(6_000.0), LIF, QUICK[:2], progress=lambda stage, done: told.append((stage, done)))
    assert list(dict.fromkeys(s for s, _ in told)) == [s.name for s in QUICK[:2]]
    assert all(0 <= f <= 1 for _, f in told)


def test_auto_keeps_the_neuron_that_made_the_data():
    """An ALIF cell: LIF must lose on held-out blocks; no richer neuron is offered."""
    from ephysfit.fitting.fit import select

    done = select(spikes_only(20_000.0), QUICK, among=(LIF, ALIF))
    assert done.model == "ALIF"
    rows = done.selection.candidates
    assert [r.model for r in rows] == ["LIF", "ALIF"]
    assert rows[1].gain > rows[1].error > 0
    assert "ALIF predicts held-out blocks of the training data best" in done.selection.why


@pytest.mark.parametrize(
    ("spikes", "current", "says"),
    [
        ([100.3, 100.5, 300.3, 300.6, 500.0, 700.0, 900.0], 1.0, "2 of 7 training spikes share a step"),
        ([100.0, 300.0, 500.0, 700.0, 900.0, 1100.0], 0.0, "training current is constant"),
        ([100.0, 300.0, 500.0, 700.0, 900.0, 1100.0], 1e-12, "these look like nA"),
        ([100.0, 300.0, 500.0, 700.0, 900.0, 1100.0], 1e6, "no pipette passes that"),
    ],
)
def test_data_that_cannot_be_fitted_as_they_stand_are_said(spikes, current, says):
    noise = 100.0 * np.random.default_rng(0).standard_normal(4000) * current
    data = Recording.of(np.repeat(noise, 5), DT / 5, spike_times=spikes, cell="odd")
    assert any(says in w for w in fit(data, LIF, (), undriven=True).warnings)


def test_a_step_that_serves_training_and_test_data():
    def at(*steps):
        return Recording(tuple(Sweep(np.ones(100), dt, spike_times=np.empty(0)) for dt in steps), cell="c")

    assert choose_shared_step(at(0.1), at(0.1)) == (pytest.approx(0.5), "")
    step, said = choose_shared_step(at(0.1), at(0.2))
    assert step == pytest.approx(0.4)
    assert said == "sampled at 0.1 and 0.2 ms: fitted in steps of 0.4 ms, a multiple of each"
    step, said = choose_shared_step(at(0.1), at(0.07))
    assert step == pytest.approx(0.5)
    assert "averaged" in said
    assert default_step(at(0.1, 0.2)) == pytest.approx(0.4)
    with pytest.raises(FitError, match=r"sampled at 0\.07, 0\.3 ms, steps without a common multiple"):
        default_step(at(0.07, 0.3))
