"""The membrane that the voltage shows is held while everything else is fitted to the spikes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.data.recording import Recording
from ephysfit.errors import FitError
from ephysfit.fitting import chain
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.held_membrane import has_membrane, measure_held_membrane
from ephysfit.fitting.stage import Estimate, Problem, Status
from ephysfit.fitting.stages.likelihood import Likelihood
from ephysfit.models import AIGIF, ALIF, AdEx, BlockALIF, catalogue
from ephysfit.neuron.potential_unit import PotentialUnit, find_potential_unit
from ephysfit.neuron.roles import Role
from ephysfit.reports.tables import make_interval_rows, make_parameter_lines

DATA = Path(__file__).parents[2] / "data" / "DRN164.nwb"
TRUTH = ALIF(C=120.0, g=4.0, E_L=-68.0, theta=-48.0, d_theta=6.0, tau_a=90.0, V_reset=-58.0, t_ref=3.0, delta=1.0)


@cache
def steps(
    amplitudes: tuple[float, ...] = (-20.0, -15.0, -10.0, 60.0, 90.0, 120.0, 160.0), noise: float = 0.0
) -> Recording:
    """Steps of 600 ms of a cell that is known; `noise` mV of the voltage."""
    time = np.arange(12_000) * 0.1
    currents = [np.where((time >= 300) & (time < 900), a, 0.0) for a in amplitudes]
    done = ef.simulate(TRUTH, currents, dt=0.1, save=("V",), noise="escape", seed=3)
    rng = np.random.default_rng(0)
    sweeps = [
        Recording.of(c, 0.1, v + noise * rng.standard_normal(len(v)), spike_times=t[0]).sweeps[0]
        for c, v, t in zip(currents, done.traces["V"], done.spike_times, strict=True)
    ]
    return Recording(tuple(replace(s, name=f"step {k}") for k, s in enumerate(sweeps)), cell="known")


@cache
def fitted(model: str = "ALIF", objective: str | None = None) -> Fit:
    return ef.fit(steps(), model, objective=objective)


def test_a_default_fit_has_the_membrane_that_small_steps_show():
    cell, found = fitted().neuron, fitted().membrane
    assert found.objective == "physiology"
    assert abs(cell.E_L - TRUTH.E_L) < 1.0
    assert 1e3 / cell.g == pytest.approx(1e3 / TRUTH.g, rel=0.03)
    assert cell.C / cell.g == pytest.approx(TRUTH.C / TRUTH.g, rel=0.05)
    assert {n: getattr(cell, n) for n in ("C", "g", "E_L")} == dict(found.values)
    assert cell.theta == pytest.approx(TRUTH.theta, abs=3.0)  # what is not held is fitted


def test_the_model_answers_small_steps_as_the_cell_does():
    card, own = ef.describe_model(fitted(), steps()), ef.describe(steps())
    for name, share in (("input_resistance", 0.05), ("tau", 0.05)):
        assert card[name].value == pytest.approx(own[name].value, rel=share)
    assert not any("fix no mV" in w for w in card.warnings)


def test_prediction_moves_the_membrane():
    free = fitted(objective="prediction")
    assert free.membrane.values == {}
    assert "objective is the prediction" in free.membrane.why_not
    assert free.neuron.C != fitted().neuron.C


def test_a_neuron_that_is_searched_holds_it_too_and_its_voltage_adaptation():
    quick = (ef.stages.Passive(), ef.stages.Search(evaluations=48, population=16, noisy=False))
    found = ef.fit(steps(), "AdEx", quick, objective="physiology")
    assert found.membrane.values["C"] == found.neuron.C
    assert found.neuron.a == 0.0  # no sag


def test_real_noise_gives_a_membrane():
    train, _ = ef.load(DATA).split()
    found = measure_held_membrane(train.cut(0.0, 20_000.0), ALIF)
    card = ef.describe(train.cut(0.0, 20_000.0))
    assert found.values["E_L"] == pytest.approx(card["rest"].value)
    assert 1e3 / found.values["g"] == pytest.approx(card["input_resistance"].value)
    low, high = found.intervals["g"]
    assert low < found.values["g"] < high


def test_without_a_voltage_everything_is_fitted_and_said():
    silent = Recording(tuple(replace(s, voltage=None) for s in steps().sweeps), cell="known")
    found = measure_held_membrane(silent, ALIF)
    assert found.values == {}
    assert "no voltage" in found.why_not
    with pytest.raises(FitError, match=r"known: objective='physiology' .*no voltage.*--objective prediction"):
        measure_held_membrane(silent, ALIF, "physiology")


def test_a_neuron_without_a_membrane_is_refused_for_physiology_and_fitted_otherwise():
    assert not has_membrane(AIGIF)
    assert not has_membrane(BlockALIF)  # its resting potential is pinned
    with pytest.raises(FitError, match=r"AIGIF has no membrane in mV"):
        ef.fit(steps(), "AIGIF", objective="physiology")
    with pytest.raises(FitError, match=r"objective='physics'.*did you mean physiology"):
        ef.fit(steps(), "ALIF", objective="physics")
    with pytest.raises(FitError, match="give one of the two"):
        ef.fit(steps(), "ALIF", objective="physiology", likelihood=Likelihood(voltage=ef.stages.Voltage()))


def test_a_membrane_beyond_the_bounds_is_not_held():
    high = tuple(replace(s, voltage=s.voltage + 60.0) for s in steps().sweeps)
    found = measure_held_membrane(Recording(high, cell="high"), ALIF)
    assert "resting potential of -8" in found.why_not
    assert "-110 to -20" in found.why_not


def test_an_interval_wider_than_the_value_is_no_measurement():
    noisy = steps((-2.0, -2.0, -2.0, 60.0, 90.0, 120.0), noise=4.0)
    found = measure_held_membrane(noisy, ALIF)
    assert found.values == {}
    assert found.why_not


def test_starts_keep_what_a_climb_does_not_move():
    problem = Problem(steps(), ALIF, 0.5, membrane=measure_held_membrane(steps(), ALIF))
    other = TRUTH.replace(C=400.0, g=20.0, theta=-40.0)
    begun = Likelihood()._list_starts(replace(problem, extra_starts=(other,)), Estimate(problem.start()).neuron)
    assert {c.C for c in begun} == {problem.held["C"]}
    assert -40.0 in [c.theta for c in begun]
    alone = Likelihood(names=("theta",))._list_starts(replace(problem, membrane=None, extra_starts=(other,)), TRUTH)
    assert {c.C for c in alone} == {TRUTH.C}


def test_a_saved_fit_knows_what_it_held(tmp_path):
    again = Fit.load(fitted().save(tmp_path / "fit.json"))
    assert again.membrane == fitted().membrane
    assert str(again.membrane).startswith("membrane held at what the voltage shows")


def test_tables_show_a_held_membrane_with_the_interval_of_its_measurement():
    lines = {line.name: line for line in make_parameter_lines(fitted())}
    assert lines["C"].kind == "measured"
    assert lines["theta"].kind == "fitted"
    assert lines["C"].values[0].interval
    assert lines["theta"].unit == "mV"


def test_tables_of_spikes_alone_show_no_mv():
    free = ef.intervals(fitted(objective="prediction"), steps(), "fisher")
    lines = {line.name: line for line in make_parameter_lines(free)}
    assert not any("mV" in line.unit or line.unit in ("nS", "pF") for line in lines.values())
    cell = free.neuron
    assert lines["g"].values[0].value == pytest.approx(cell.g * (cell.theta - cell.E_L))  # the rheobase, pA
    assert lines["theta"].values[0].value == 1.0
    assert lines["E_L"].values[0].value == 0.0
    for row in make_interval_rows(free, "interval"):
        assert "mV" not in row["unit"]


def test_intervals_in_a_table_hold_the_value_beside_them_in_any_unit():
    free = ef.intervals(fitted(objective="prediction"), steps(), "fisher")
    unit = free.potential_unit
    top = free.intervals.estimates
    for line in make_parameter_lines(free):
        for v in line.values:
            ends = free.intervals.parameters.get(v.name, (None, None))
            if None not in ends:
                p = type(free.neuron).parameters[line.name]
                place = line.name in type(free.neuron).places()
                low, value, high = (unit.convert(x, p.unit, place) for x in (ends[0], top[v.name], ends[1]))
                assert low <= value <= high


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_neuron_has_a_unit_of_potential(name):
    unit = find_potential_unit(catalogue()[name].start(), fixed=False)
    assert unit.name in ("mV", "θ", "Δ")
    assert unit.size > 0
    for p in catalogue()[name].parameters.values():
        assert unit.name == "mV" or "mV" not in unit.rename(p.unit)


def test_units_are_consistent():
    unit = PotentialUnit("Δ", 2.0, -60.0)
    current = unit.convert(5.0, "nS") * unit.convert(-50.0, "mV", place=True)
    assert current == pytest.approx(5.0 * 10.0)  # pA either way
    assert unit.convert(100.0, "pF") / unit.convert(5.0, "nS") == pytest.approx(20.0)  # ms
    assert unit.rename("1/mV") == "1/Δ"
    assert AdEx.name_of(Role.VOLTAGE_ADAPTATION) == "a"


def test_a_membrane_with_which_the_neuron_does_not_fire_as_the_cell_is_given_up_and_that_is_said(monkeypatch):
    """Held on request, given up by default: here the count of a fit that holds it is made to be wrong."""
    real = chain.count_spikes

    def count_wrongly(problem, *rest):
        found = real(problem, *rest)
        return replace(found, noisy=tuple(100.0 + n for n in found.noisy)) if problem.held else found

    monkeypatch.setattr(chain, "count_spikes", count_wrongly)
    quick = (ef.stages.Passive(), ef.stages.Likelihood(starts=1, steps=20))
    monkeypatch.setattr("ephysfit.fitting.fit.default_stages", lambda *_: quick)
    held = ef.fit(steps(), "ALIF", objective="physiology")
    assert held.status is Status.MISSES
    assert held.membrane.values["C"] == held.neuron.C
    freed = ef.fit(steps(), "ALIF")
    assert freed.status is not Status.MISSES
    assert "with the measured membrane ALIF does not fire" in freed.membrane.why_not


@pytest.mark.parametrize("model", [TRUTH, 3, list])
def test_what_is_no_neuron_class_is_refused_by_its_value(model):
    with pytest.raises(FitError, match=r"is neither a name nor a neuron class; give 'auto'"):
        ef.fit(steps(), model)
