"""Spikes are found once with their shapes, whoever asks, and anew where the arrays are others."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ephysfit.card import spike_shape
from ephysfit.card.pulses import find_pulses
from ephysfit.data import found_spikes
from ephysfit.data.loading import load
from ephysfit.data.spikes import find_spikes

CELL = Path(__file__).parents[2] / "data" / "DRN158.nwb"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each search that was made again."""
    calls: list[int] = []
    monkeypatch.setattr(found_spikes, "find_spikes", lambda *a, **o: calls.append(1) or find_spikes(*a, **o))
    return calls


def test_card_and_figures_use_what_loading_found(asked: list[int]) -> None:
    sweep = load(CELL, sweeps=[1])[0]
    expected = find_spikes(sweep.voltage, sweep.dt, current=sweep.current)
    one = spike_shape.measure_spikes([sweep], find_pulses([sweep]))
    renamed = replace(sweep, name="another name")
    two = spike_shape.measure_spikes([renamed], find_pulses([renamed]))
    assert repr(one) == repr(two)
    assert not asked
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(found_spikes.find_shapes(sweep), name), value)


def test_other_arrays_and_other_steps_are_searched_again(asked: list[int]) -> None:
    sweep = load(CELL, sweeps=[1])[0]
    shapes = found_spikes.find_shapes(sweep)
    shifted = replace(sweep, voltage=sweep.voltage + 5.0)
    assert found_spikes.find_shapes(shifted).threshold == pytest.approx(shapes.threshold + 5.0)
    assert len(asked) == 1
    found_spikes.find_shapes(replace(sweep, current=sweep.current + 0.0))
    found_spikes.find_shapes(replace(sweep, dt=2 * sweep.dt))
    assert len(asked) == 3


def test_settings_of_ones_own_are_not_kept_for_others(asked: list[int]) -> None:
    recording = load(CELL, sweeps=[1])
    few = recording.select(indices=[0]).with_spikes(min_height=60.0)[0]
    other = replace(few, voltage=few.voltage + 0.0)
    assert len(found_spikes.find_shapes(other)) == len(found_spikes.find_shapes(few)) > 0
    assert asked


def test_what_was_found_goes_with_its_voltage() -> None:
    gc.collect()
    before = len(found_spikes._FOUND)
    recording = load(CELL, sweeps=[1])
    assert len(found_spikes._FOUND) > before
    del recording
    gc.collect()
    assert len(found_spikes._FOUND) == before
