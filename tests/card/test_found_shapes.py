"""Shapes of spikes are found once for a sweep, whoever asks, and anew for another sweep."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ephysfit.card import spike_shape
from ephysfit.card.pulses import find_pulses
from ephysfit.data.loading import load
from ephysfit.data.spikes import find_spikes

CELL = Path(__file__).parents[2] / "data" / "DRN158.nwb"


def test_card_and_figures_share_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = load(CELL, sweeps=[1])[0]
    expected = find_spikes(sweep.voltage, sweep.dt, current=sweep.current)
    asked = []
    monkeypatch.setattr(spike_shape, "find_spikes", lambda *a, **o: asked.append(1) or find_spikes(*a, **o))
    one = spike_shape.measure_spikes([sweep], find_pulses([sweep]))
    two = spike_shape.measure_spikes([sweep], find_pulses([sweep]))
    assert repr(one) == repr(two)
    assert len(asked) == 1
    np.testing.assert_array_equal(spike_shape.find_shapes(sweep).threshold, expected.threshold)
    shifted = replace(sweep, voltage=sweep.voltage + 5.0)
    assert spike_shape.find_shapes(shifted).threshold == pytest.approx(expected.threshold + 5.0)
    assert len(asked) == 2


def test_what_was_found_goes_with_its_sweep() -> None:
    sweep = load(CELL, sweeps=[1])[0]
    gc.collect()
    before = len(spike_shape._FOUND)
    spike_shape.find_shapes(sweep)
    assert len(spike_shape._FOUND) == before + 1
    del sweep
    gc.collect()
    assert len(spike_shape._FOUND) == before
