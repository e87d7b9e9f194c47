"""Values that eFEL defines as the card does, on the same pulses; it is the library that the field uses for them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from membranes import DT, draw_spike, play, single, with_h_current

import ephysfit as ef
from ephysfit.card.firing import compute_adaptation, compute_cv

efel = pytest.importorskip("efel")


def read(feature: str, current: np.ndarray, voltage: np.ndarray, **settings: object) -> float:
    """First value of a feature."""
    efel.reset()
    for name, value in settings.items():
        efel.set_setting(name, value)
    inside = np.flatnonzero(current - current[0])
    trace = {"T": np.arange(len(voltage)) * DT, "V": voltage, "stim_start": [inside[0] * DT],
             "stim_end": [(inside[-1] + 1) * DT], "stimulus_current": [float(np.ptp(current)) / 1e3]}  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (found,) = efel.get_feature_values([trace], [feature])
    return float(found[feature][0])


def fire(times: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """A pulse with drawn spikes at these times after it begins."""
    current = play(100.0)
    v = single(current, R=0.2, tau=5.0)
    shape = draw_spike()
    for t in times:
        at = 2000 + round(t / DT)
        v[at : at + len(shape)] = shape
    return current, v


@pytest.mark.parametrize(
    ("name", "feature", "within"),
    [
        ("spike_height", "AP_amplitude", 2.5),
        ("spike_width", "AP_duration_half_width", 0.1),
        ("ahp_time", "AHP_time_from_peak", 0.15),
        ("first_spike_latency", "time_to_first_spike", 0.7),
        ("holding_potential", "voltage_base", 0.05),
        ("isi_cv", "ISI_CV", 0.005),
    ],
)
def test_spikes_and_firing(name: str, feature: str, within: float) -> None:
    current, v = fire([60.0, 100.0, 160.0, 240.0, 340.0, 460.0])
    ours = ef.describe(ef.Recording.of(current, DT, v))[name].value
    assert ours == pytest.approx(
        read(feature, current, v, ignore_first_ISI=False, strict_stiminterval=True), abs=within
    )


def test_adaptation_without_the_first_interval() -> None:
    times = [60.0, 70.0, 110.0, 170.0, 250.0, 350.0, 470.0]
    current, v = fire(times)
    assert compute_adaptation(np.array(times[1:])) == pytest.approx(read("adaptation_index2", current, v), abs=0.005)
    assert compute_cv(np.array(times[1:])) == pytest.approx(read("ISI_CV", current, v), abs=0.005)


def test_passive_membrane() -> None:
    current = play(-20.0)
    v = single(current)
    card = ef.describe(ef.Recording.of(current, DT, v, []))
    assert card["tau"].value == pytest.approx(read("time_constant", current, v), rel=0.03)
    whole = read("ohmic_input_resistance_vb_ssse", current, v)
    assert card["steady_resistance"].value == pytest.approx(-whole, rel=0.02)  # np.ptp drops the sign of the pulse


def test_sag() -> None:
    current = play(-150.0)
    v = with_h_current(current)
    ours = ef.describe(ef.Recording.of(current, DT, v, []))["sag_ratio"].value
    assert ours == pytest.approx(read("sag_ratio1", current, v), abs=0.03)
