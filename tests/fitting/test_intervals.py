"""Intervals: the mV scale is found out and held, profiles bend where curvature cannot, blocks are drawn."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from fitting_cells import DT, KNOWN, known, silent_cell, spikes_only

from ephysfit.errors import FitError, NeuronError
from ephysfit.fitting.fit import fit
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.stages import Likelihood, Passive
from ephysfit.fitting.uncertainty.identifiability import compute_reading_gradient, describe_scale, find_readings
from ephysfit.fitting.uncertainty.intervals import intervals
from ephysfit.fitting.uncertainty.likelihood_surface import Surface, invert_information
from ephysfit.fitting.uncertainty.profile import _find_end
from ephysfit.models import AIGIF, ALIF, IGIF, AdEx
from ephysfit.neuron.functions import Bank
from ephysfit.reports.tables import format_parameter, make_interval_rows
from ephysfit.synthetic import recording


@cache
def fitted() -> Fit:
    return fit(spikes_only(20_000.0), ALIF, [Passive(t_ref=False), Likelihood(prior=1e-5, starts=1)], dt=DT)


@cache
def sure(how: str, **options) -> Fit:
    return intervals(fitted(), spikes_only(20_000.0), how, **options)


def test_the_scale_of_spikes_alone_is_found_out_held_and_told():
    surface = Surface.of(fitted(), spikes_only(20_000.0))
    assert surface.held == ("E_L", "theta")
    sentence = describe_scale(surface)
    assert "shifted and stretched" in sentence
    assert "E_L and theta are held" in sentence
    assert "mV" not in sentence.replace("fix no mV", "")  # numbers in mV would read as measurements
    found = sure("fisher")
    assert {"E_L", "theta"}.isdisjoint(found.intervals.parameters)
    rows = {r["name"]: r for r in found.parameters()}
    assert rows["theta"]["standard_error"] is None
    assert rows["g"]["interval"][0] < rows["g"]["value"] < rows["g"]["interval"][1]


def test_no_spike_moves_along_the_scale():
    """What is called blind is: the cell with another mV scale has the same likelihood."""
    surface = Surface.of(fitted(), spikes_only(20_000.0))
    c, top = surface.start, surface.top()
    places = {n: c.E_L + 5.0 + 1.3 * (getattr(c, n) - c.E_L) for n in ("E_L", "theta", "V_reset")}
    other = c.replace(C=c.C / 1.3, g=c.g / 1.3, delta=1.3 * c.delta, d_theta=1.3 * c.d_theta, **places)
    replay = top.target.replay
    values = [replay.value(surface.free.to_vector(n), surface.sweeps) for n in (c, other)]
    assert values[0] == pytest.approx(values[1], abs=1e-6)


def test_a_neuron_whose_scale_is_pinned_holds_nothing():
    data = spikes_only(12_000.0)
    found = fit(data, AIGIF, [Likelihood(starts=1, steps=3, first=2, trial=2)], dt=DT)
    assert Surface.of(found, data).held == ()


def test_profile_ends_lie_where_the_drop_is_that_of_the_quantile():
    surface = Surface.of(fitted(), spikes_only(20_000.0))
    top = surface.top()
    k = surface.free.names.index("tau_a")
    for way in (-1, 1):
        end = _find_end(surface, top, k, 1.96, way)
        held = np.zeros(len(top.q), dtype=bool)
        held[k] = True
        q = top.q.copy()
        q[k] = end.z
        value = surface.climb(top.target, q, steps=80, fixed=held).value
        assert not end.at_bound
        assert np.sqrt(2 * (top.value - value)) == pytest.approx(1.96, abs=0.08)


@pytest.mark.slow
def test_the_ways_agree_on_data_that_the_model_made():
    for name in ("C", "g", "tau_a", "delta"):
        widths = []
        for found in (sure("fisher"), sure("profile"), sure("bootstrap", draws=40)):
            low, high = found.intervals.parameters[name]
            assert low < getattr(fitted().neuron, name) < high
            widths.append(high - low)
        assert max(widths) < 2.2 * min(widths), name


def test_what_spikes_determine_covers_the_truth():
    derived = {d.name: d for d in sure("fisher").intervals.derived}
    truth = {"C/g": KNOWN.C / KNOWN.g, "g (theta - E_L)": KNOWN.g * (KNOWN.theta - KNOWN.E_L)}
    for name, value in truth.items():
        error = derived[name].standard_error
        assert abs(derived[name].value - value) < 4 * error
        assert error < 0.2 * value


RESET = "(V_reset - E_L)/(theta - E_L)"


@pytest.mark.parametrize("how", ["fisher", "profile"])
def test_a_reading_of_one_parameter_has_the_interval_of_that_parameter(how):
    """With rest and threshold held a ratio is its parameter in other units, so that the two intervals are one."""
    found = sure(how, names=("C", "V_reset")).intervals
    rows = {d.name: d for d in found.derived}
    cell = Surface.of(fitted(), spikes_only(20_000.0)).start
    distance = cell.theta - cell.E_L
    ends = {"C (theta - E_L)": [c * distance for c in found.parameters["C"]],
            RESET: [(v - cell.E_L) / distance for v in found.parameters["V_reset"]]}  # fmt: skip
    for name, (low, high) in ends.items():
        assert (rows[name].low, rows[name].high) == pytest.approx((low, high), rel=1e-9)
        assert rows[name].low < rows[name].value < rows[name].high


def test_a_ratio_that_can_cross_zero_is_not_put_on_a_logarithmic_axis():
    """Without an interval of its parameter it is the estimate plus and minus as much; what is positive stays so."""
    rows = {d.name: d for d in sure("fisher", names=("tau_a",)).intervals.derived}
    reset, membrane = rows[RESET], rows["C/g"]
    assert reset.high - reset.value == pytest.approx(reset.value - reset.low, rel=1e-9)
    assert reset.high - reset.value == pytest.approx(1.959964 * reset.standard_error, rel=1e-5)
    assert membrane.high / membrane.value == pytest.approx(membrane.value / membrane.low, rel=1e-9)


def test_the_interval_of_a_reset_near_rest_holds_zero():
    """A cell that is reset to rest: on a logarithmic axis the interval would end above 0 and miss the truth."""
    cell = KNOWN.replace(V_reset=KNOWN.E_L)
    data = recording(cell, duration=20_000.0, repeats=0, dt=DT, rate=15.0, noise="escape", seed=4)
    found = fit(data, ALIF, [Passive(t_ref=False), Likelihood(prior=1e-5, starts=1)], dt=DT)
    rows = {d.name: d for d in intervals(found, data, "fisher").intervals.derived}
    assert rows[RESET].low < 0 < rows[RESET].high


@pytest.mark.parametrize("how", ["fisher", "profile"])
def test_every_interval_holds_the_estimate_beside_it(how):
    found = sure(how, names=("C", "V_reset")).intervals
    assert set(found.estimates) == set(found.parameters)
    for name, (low, high) in found.parameters.items():
        assert low <= found.estimates[name] <= high


def test_a_fit_that_was_moved_off_its_interval_shows_where_the_interval_lies():
    found = sure("fisher", names=("g",))
    _, high = found.intervals.parameters["g"]
    moved = replace(found, neuron=found.neuron.replace(g=2 * high))
    (row,) = [r for r in make_interval_rows(moved, "interval") if r["parameter"] == "g"]
    estimate = moved.potential_unit.convert(found.intervals.estimates["g"], "nS")
    assert row["unit"] == "pA/θ"
    assert row["interval"].endswith(f"about {format_parameter(estimate)}")
    (row,) = [r for r in make_interval_rows(found, "interval") if r["parameter"] == "g"]
    assert "about" not in row["interval"]


def test_a_block_counts_as_often_as_it_is_drawn():
    """Twice the same data in the likelihood is twice the likelihood, gradient and information."""
    surface = Surface.of(fitted(), spikes_only(20_000.0))
    top = surface.top()
    twice = [replace(s, use=2 * s.use) for s in surface.sweeps]
    replay, z = top.target.replay, top.q
    once, double = replay.information(z, surface.sweeps), replay.information(z, twice)
    assert double.value == pytest.approx(2 * once.value, rel=1e-12)
    np.testing.assert_allclose(double.gradient, 2 * once.gradient, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(double.fisher, 2 * once.fisher, rtol=1e-9, atol=1e-9 * np.abs(once.fisher).max())
    assert replay.value(z, twice) == pytest.approx(2 * once.value, rel=1e-12)
    assert twice[0].n_spikes == 2 * surface.sweeps[0].n_spikes


def test_a_direction_of_little_information_is_not_taken_for_one_of_none():
    fisher = np.diag([1e12, 1e-3, 1.0])
    held = np.array([False, False, True])
    assert np.diag(invert_information(fisher, held)) == pytest.approx([1e-12, 1e3, 0.0])


def test_open_directions_are_named():
    data = spikes_only(12_000.0)
    found = fit(data, AIGIF, [Likelihood(starts=1, steps=3, first=2, trial=2)], dt=DT)
    told = intervals(found, data, "fisher").intervals.open
    assert told
    for d in told:
        assert d.errors is None or d.errors > 1
        assert set(d.parts) <= set(Surface.of(found, data).free.names)
        assert all(name in d.text for name in d.parts)


def test_a_saved_fit_keeps_its_intervals(tmp_path):
    path = sure("fisher").save(tmp_path / "fit.json")
    again = Fit.load(path)
    assert again.intervals.parameters == sure("fisher").intervals.parameters
    more = intervals(again, spikes_only(20_000.0), "fisher", names=["g"])
    assert list(more.intervals.parameters) == ["g"]


def test_bad_questions_are_refused():
    data = spikes_only(20_000.0)
    with pytest.raises(FitError, match="did you mean profile"):
        intervals(fitted(), data, "profil")
    with pytest.raises(FitError, match="level = 95"):
        intervals(fitted(), data, level=95.0)
    with pytest.raises(FitError, match="is not what this fit was fitted to"):
        intervals(fitted(), known(3000.0))
    with pytest.raises(FitError, match="8 blocks or more"):
        intervals(fitted(), data, "bootstrap", block=10_000.0)
    with pytest.raises(NeuronError, match="did you mean tau_a"):
        intervals(fitted(), data, "fisher", names=["tau_b"])
    with pytest.raises(FitError, match="spikes in the training data"):
        intervals(fit(silent_cell(), ALIF, [Likelihood()], dt=DT), silent_cell())


def test_held_coordinates_do_not_move():
    surface = Surface.of(fitted(), spikes_only(20_000.0))
    start = surface.free.to_vector(surface.start) + 0.05
    found = surface.climb(surface.target(surface.start), start, steps=3)
    moved = np.abs(found.z - start) > 1e-9
    assert [n for n, m in zip(surface.free.names, moved, strict=True) if not m] == ["E_L", "theta"]


def test_readings_of_a_threshold_that_follows_are_read_where_it_rests():
    """With the bend far below rest IGIF's theta may be anything: what follows makes up for it, and no spike moves."""
    found = fit(spikes_only(12_000.0), IGIF, [Passive(t_ref=False), Likelihood(starts=1, steps=3)], dt=DT)
    surface = Surface.of(found, spikes_only(12_000.0))
    cell = surface.start
    readings = {r.name: r.read for r in find_readings(surface)}
    follows = cell.k_a * np.log1p(np.exp((cell.E_L - cell.V_i) / cell.k_i))
    expected = cell.g * (cell.theta + follows - cell.E_L)
    assert readings["g (theta(E_L) - E_L)"](cell) == pytest.approx(expected, rel=1e-12)
    assert cell.margin(IGIF.State(V=cell.E_L, theta_V=follows, eta_t=Bank((0.0,) * 5), gamma_t=Bank((0.0,) * 5))) == (
        pytest.approx(-expected / cell.g, rel=1e-12)
    )


def test_intervals_of_a_neuron_whose_likelihood_is_no_guide_say_so():
    data = spikes_only(12_000.0)
    found = fit(data, AdEx, [Passive(t_ref=False), Likelihood(starts=1, steps=2, first=1, trial=1)], dt=DT)
    notes = intervals(found, data, "fisher").intervals.notes
    assert any("too narrow to be used" in note for note in notes)


@pytest.mark.parametrize("kind", [ALIF, IGIF])
def test_gradients_of_readings_are_those_of_torch(kind):
    known = fitted() if kind is ALIF else fit(spikes_only(20_000.0), kind, [Likelihood(starts=1, steps=3)], dt=DT)
    surface = Surface.of(known, spikes_only(20_000.0))
    cell, readings = surface.start, find_readings(surface)
    assert len(readings) >= 4
    for _, _, _, read in readings:
        z = torch.tensor(surface.free.to_vector(cell), requires_grad=True)
        expected = read(surface.free.to_neuron(z, cell))
        (slopes,) = torch.autograd.grad(expected, z)
        value, found = compute_reading_gradient(surface, cell, read)
        assert value == pytest.approx(float(expected.detach()), rel=1e-12)
        np.testing.assert_allclose(found, slopes, rtol=1e-11, atol=1e-14 * float(slopes.abs().max()))
