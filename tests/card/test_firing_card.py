"""Rheobase, f-I curve, adaptation and spike shapes of made cells, and the reasons where there is none."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest
from membranes import DT, SHAPE, draw_spike, play, single

import ephysfit as ef
from ephysfit.card.measures import DEFINITIONS, Card, CardError, Measure, compute_ratio, summarise
from ephysfit.data.recording import Recording

BEGIN, LENGTH = SHAPE[:2]


def train(rate: float, latency: float = 20.0) -> list[float]:
    """Regular spikes of a pulse, ms: `rate` Hz from `latency` on."""
    return list(np.arange(BEGIN + latency, BEGIN + LENGTH, 1e3 / rate)) if rate else []


def fire(rates: Sequence[float], step: float = 20.0, **options: float) -> Recording:
    """Spike times at pulses of `step` pA, twice that, and so on."""
    currents = np.array([play(step * (k + 1)) for k in range(len(rates))])
    return Recording.of(currents, DT, spike_times=[train(r, **options) for r in rates])


def test_rheobase_lies_between_silence_and_spikes() -> None:
    m = ef.describe(fire([0, 0, 5, 10, 20]))["rheobase"]
    assert (m.low, m.value, m.high, m.sweeps) == (40.0, 50.0, 60.0, 5)
    assert "600 ms" in m.how


def test_rheobase_of_uncertain_firing_is_where_half_of_the_pulses_fire() -> None:
    currents = np.array([play(a) for a in (20.0, 40.0, 40.0, 40.0, 40.0, 60.0)])
    trains = [[], [400.0], [], [], [], [300.0, 500.0]]
    m = ef.describe(Recording.of(currents, DT, spike_times=trains))["rheobase"]
    assert m.value == pytest.approx(40.0 + 20.0 * (0.5 - 0.25) / 0.75)


def test_latency_is_that_at_the_smallest_firing_amplitude() -> None:
    recording = fire([0, 5, 10], latency=33.0)
    assert ef.describe(recording)["first_spike_latency"].value == pytest.approx(33.0)


def test_f_i_slope_and_largest_rate() -> None:
    card = ef.describe(fire([0, 10, 20, 30, 40], latency=0.0))
    assert card["fi_slope"].value == pytest.approx(0.5, rel=0.03)
    assert card["fi_slope"].low == pytest.approx(0.5)  # on a line exactly
    bent = ef.describe(fire([0, 10, 20, 25, 40], latency=0.0))["fi_slope"]
    assert bent.low < 0.48 < bent.high
    assert card["max_rate"].value == pytest.approx(40.0)
    assert "may fire faster" in card["max_rate"].how
    falling = ef.describe(fire([0, 10, 20, 30, 25], latency=0.0))
    assert falling["max_rate"].value == pytest.approx(30.0)
    assert "60 to" not in falling["fi_slope"].how
    assert "faster" not in falling["max_rate"].how


def test_adaptation_and_variation_of_known_intervals() -> None:
    times = BEGIN + np.cumsum([10.0, 20.0, 40.0, 80.0])
    card = ef.describe(Recording.of(play(50.0), DT, spike_times=times))
    assert card["adaptation_index"].value == pytest.approx(1 / 3)
    gaps = np.array([20.0, 40.0, 80.0])
    assert card["isi_cv"].value == pytest.approx(gaps.std(ddof=1) / gaps.mean())


def test_two_amplitudes_give_a_rheobase_and_no_slope() -> None:
    card = ef.describe(fire([0, 10]))
    assert card["rheobase"].value == pytest.approx(30.0)
    assert card["fi_slope"].why_missing == "1 amplitude fires up to the largest rate; a slope needs 3"


def test_a_silent_cell_says_how_far_it_was_driven() -> None:
    card = ef.describe(fire([0, 0, 0]))
    for name in ("rheobase", "fi_slope", "max_rate"):
        assert card[name].why_missing == "no pulse makes spikes (the largest is 60 pA)"
    assert card["adaptation_index"].why_missing == "no pulse makes 4 spikes or more"


def test_a_cell_that_fires_by_itself_has_no_rheobase() -> None:
    currents = np.array([play(20.0 * k) for k in (1, 2, 3)])
    recording = Recording.of(currents, DT, spike_times=[[100.0, *train(10)]] * 3)
    assert ef.describe(recording)["rheobase"].why_missing == "the cell fires without a pulse (3 of 3 baselines)"


def test_depolarisation_block_is_left_out() -> None:
    burst = [BEGIN + t for t in (5.0, 12.0, 20.0)]
    rates = [0, 10, 20, 30, 40]
    currents = np.array([play(20.0 * (k + 1)) for k in range(6)])
    recording = Recording.of(currents, DT, spike_times=[*(train(r, 10.0) for r in rates), burst])
    card = ef.describe(recording)
    assert card["max_rate"].value == pytest.approx(40.0)
    assert "1 pulse with depolarisation block left out" in card["max_rate"].how
    assert "60" not in card["fi_slope"].how.split("of")[0]
    alone = ef.describe(with_block())
    assert alone["fi_slope"].why_missing == "depolarisation block in every depolarising pulse"


def with_block() -> Recording:
    """A pulse at which the cell fires three spikes and stays depolarised, 20 mV above where they started."""
    current = play(300.0)
    v = np.where(current > 0, -25.0, -70.0)
    shape = draw_spike()
    times = [BEGIN + t for t in (5.0, 35.0, 65.0)]
    for t in times:
        v[round(t / DT) : round(t / DT) + len(shape)] = shape
        v[round(t / DT) - 20 : round(t / DT)] = -45.0
    return Recording.of(current, DT, v, times)


def test_spikes_have_the_shape_that_was_drawn() -> None:
    shape, rows, trains = draw_spike(), [], []
    currents = [play(20.0 * k) for k in (1, 2, 3)]
    for current in currents:
        v = single(current, R=0.2, tau=5.0)
        v[2000:8000] = -45.0
        v[3000 : 3000 + len(shape)] = shape
        rows.append(v)
        trains.append([300.0])
    card = ef.describe(Recording.of(np.array(currents), DT, np.array(rows), trains))
    assert card["threshold"].value == pytest.approx(-45.0, abs=3.0)
    assert card["spike_height"].value == pytest.approx(80.0, abs=3.0)
    assert card["spike_width"].value == pytest.approx(0.5 / 2 + 1.5 * 40.0 / 92.0, abs=0.08)
    depth = card["ahp_depth"].value
    assert depth == pytest.approx(card["threshold"].value + 45.0 + 12.0, abs=0.1)
    assert card["ahp_time"].value == pytest.approx(1.5, abs=0.15)


def test_given_times_without_a_spike_in_the_voltage_say_so() -> None:
    current = play(20.0)
    card = ef.describe(Recording.of(current, DT, single(current), [300.0]))
    assert card["threshold"].why_missing == "the spikes given are not found in the voltage"


@pytest.mark.parametrize("name", ["rest", "tau", "sag_ratio", "threshold", "ahp_time", "drift"])
def test_without_voltage_what_needs_one_says_so(name: str) -> None:
    card = ef.describe(fire([0, 5, 10, 20]))
    assert card[name].why_missing == "no voltage, spike times only"
    assert card["rheobase"].value is not None


@pytest.mark.parametrize("name", ["rheobase", "first_spike_latency", "fi_slope", "max_rate", "adaptation_index"])
def test_without_steps_what_needs_one_says_so(name: str) -> None:
    current = 50.0 * np.random.default_rng(0).standard_normal(20_000)
    card = ef.describe(Recording.of(current, DT, spike_times=np.arange(100.0, 2000.0, 150.0)))
    assert card[name].why_missing == "no pulses of constant current"
    assert card["isi_cv"].value == pytest.approx(0.0, abs=1e-9)


def test_every_measure_has_a_value_or_a_reason() -> None:
    for recording in (fire([0, 10, 20, 30]), with_block(), Recording.of(np.zeros(5000), DT, np.full(5000, -70.0))):
        card = ef.describe(recording)
        assert [m.name for m in card] == list(DEFINITIONS)
        for m in card:
            assert (m.value is None) == bool(m.why_missing)
            assert m.value is None or (m.how and m.sweeps)


def test_a_card_becomes_plain_json() -> None:
    plain = json.loads(json.dumps(ef.describe(fire([0, 10, 20, 30])).to_dict(), allow_nan=False))
    assert plain["measures"]["rheobase"]["unit"] == "pA"
    assert plain["measures"]["rheobase"]["value"] == 30.0
    assert plain["measures"]["tau"]["value"] is None
    assert plain["measures"]["tau"]["why_missing"] == "no voltage, spike times only"


def test_records_refuse_what_makes_no_sense() -> None:
    with pytest.raises(KeyError, match="no measure 'taus'"):
        Measure("taus", 1.0)
    with pytest.raises(ValueError, match="not both"):
        Measure("tau", 1.0, why_missing="no voltage")
    with pytest.raises(CardError, match="rheobase"):
        Card.of("cell", "file", [])["rheobas"]


def test_intervals_of_what_is_positive_end_at_zero() -> None:
    assert summarise("ahp_time", [1.0, 90.0], "two", "").low == 0.0
    assert summarise("ahp_depth", [-1.0, 9.0], "two", "").low < 0.0


def test_weights_count() -> None:
    assert summarise("tau", [10.0, 20.0], "two", "", weights=[3.0, 1.0]).value == pytest.approx(12.5)


@pytest.mark.parametrize(
    ("name", "cell", "model", "ratio"),
    [
        ("tau", 20.0, 30.0, 1.5),
        ("threshold", -40.0, -50.0, None),
        ("sag_ratio", 0.1, None, None),
        ("tau", 0.0, 1.0, None),
    ],
)
def test_ratios(name: str, cell: float, model: float | None, ratio: float | None) -> None:
    other = Measure.missing(name, "no") if model is None else Measure(name, model)
    assert compute_ratio(Measure(name, cell), other) == ratio
