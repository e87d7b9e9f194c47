"""Depolarisation block of a membrane with sodium channels is found, with voltage and without; its likes are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ephysfit.data.assemble import Choice
from ephysfit.data.depolarisation_block import find_blocks, find_burst
from ephysfit.data.preprocess import prepare_recording
from ephysfit.data.recording import Recording
from ephysfit.data.request import Request
from ephysfit.data.sweep import Sweep
from ephysfit.errors import RecordingError
from ephysfit.synthetic import noise_current

DT, FINE = 0.1, 0.01
TIME = np.arange(6000) * DT
STEP = (TIME >= 100) & (TIME < 500)


def run_hodgkin_huxley(amplitude):
    """A sweep of Hodgkin and Huxley's membrane (1952, rest at -65 mV), 10 pA for each uA/cm2; sampled at 10 kHz."""
    v, m, h, n = -65.0, 0.053, 0.596, 0.318
    per, out = round(DT / FINE), np.empty(TIME.size)
    for k in range(TIME.size):
        out[k] = v
        drive = amplitude / 10.0 * STEP[k]
        for _ in range(per):
            am = 1.0 if abs(v + 40) < 1e-7 else 0.1 * (v + 40) / (1 - np.exp(-(v + 40) / 10))
            an = 0.1 if abs(v + 55) < 1e-7 else 0.01 * (v + 55) / (1 - np.exp(-(v + 55) / 10))
            flow = drive - 120 * m**3 * h * (v - 50) - 36 * n**4 * (v + 77) - 0.3 * (v + 54.4)
            m += FINE * (am * (1 - m) - 4 * np.exp(-(v + 65) / 18) * m)
            h += FINE * (0.07 * np.exp(-(v + 65) / 20) * (1 - h) - h / (1 + np.exp(-(v + 35) / 10)))
            n += FINE * (an * (1 - n) - 0.125 * np.exp(-(v + 65) / 80) * n)
            v += FINE * flow
    return Sweep(amplitude * STEP, DT, voltage=out, name=f"{amplitude:g} pA")


@pytest.fixture(scope="module")
def ladder():
    """Steps at which the membrane fires on, and two at which it blocks, with spikes detected."""
    sweeps = tuple(run_hodgkin_huxley(a) for a in (100.0, 300.0, 1000.0, 1400.0, 2000.0))
    return Recording(sweeps, cell="squid", source="memory").with_spikes()


def make_step(amplitude, spikes, voltage=None, **more):
    return Sweep(amplitude * STEP, DT, voltage, spike_times=np.array(spikes, float), spike_source="given", **more)


def fire(first, interval, until, growth=1.0):
    """Spikes from `first` on at intervals that grow by a factor."""
    out, at = [], first
    while at < until:
        out.append(at)
        at, interval = at + interval, interval * growth
    return out


def test_a_membrane_with_sodium_channels_blocks_at_high_steps_and_not_at_low_ones(ladder):
    assert [len(s.spike_times) > 20 for s in ladder] == [True, True, False, False, False]
    assert list(find_blocks(ladder.sweeps)) == [2, 3, 4]
    assert list(find_blocks([replace(s, voltage=None) for s in ladder])) == [2, 3, 4]


def test_by_its_voltage_a_sweep_is_judged_alone(ladder):
    said = find_blocks([ladder[4]])[0]
    assert "2 spikes, then silence for" in said
    assert "of the step of 2000 pA" in said


def test_the_refusal_names_the_sweep_and_the_way_out(ladder):
    found = prepare_recording(ladder, Request(Choice(), spikes="given"), None)
    assert [s.name for s in found.sweeps] == ["100 pA", "300 pA"]
    assert all("depolarisation block" in r.reason and "block='keep'" in r.reason for r in found.rejected)
    kept = prepare_recording(ladder, Request(Choice(), spikes="given", block="keep"), None)
    assert len(kept) == 5
    assert [any("depolarisation block" in w for w in s.warnings) for s in kept] == [False, False, True, True, True]
    with pytest.raises(RecordingError, match="block='leave'"):
        Request(Choice(), block="leave")


def test_training_sweeps_are_not_judged_by_test_sweeps(ladder):
    blind = replace(ladder, sweeps=tuple(replace(s, voltage=None) for s in ladder))
    found = prepare_recording(blind, Request(Choice(), spikes="given", test="100 pA, 300 pA"), None)
    assert len(found) == 5, "nothing smaller trains"


class TestWhatLooksLikeIt:
    def test_adaptation_falls_silent_below_where_spikes_start(self):
        silent = -58.0 * np.ones(TIME.size) + 4.0 * STEP
        voltage = silent.copy()
        spikes = fire(110.0, 8.0, 200.0, growth=1.4)
        for t in spikes:
            at = round(t / DT)
            voltage[at - 20 : at] = np.linspace(-55, -42, 20)
            voltage[at : at + 10] = np.linspace(-42, 30, 10)
            voltage[at + 10 : at + 20] = np.linspace(30, -60, 10)
        assert find_blocks([make_step(200.0, spikes, voltage)]) == {}

    def test_a_cell_that_adapts_at_every_step_is_no_block(self):
        steps = [make_step(a, fire(105.0, 1500.0 / a, 250.0, growth=1.3)) for a in (100.0, 200.0, 400.0, 800.0)]
        assert find_blocks(steps) == {}

    def test_a_phasic_cell_fires_once_or_twice_at_any_step(self):
        assert find_blocks([make_step(a, [103.0, 108.0]) for a in (100.0, 200.0, 400.0)]) == {}

    def test_a_few_spikes_at_a_low_step_are_no_block(self):
        steps = [
            make_step(60.0, [140.0, 180.0]),
            *(make_step(a, fire(110.0, 2000.0 / a, 500.0)) for a in (100.0, 200.0)),
        ]
        assert find_blocks(steps) == {}

    @pytest.mark.parametrize("stop", [210.0, 300.0])
    def test_a_recording_that_ends_is_as_long_as_it_is(self, stop):
        whole = make_step(100.0, fire(110.0, 15.0, 500.0))
        ended = make_step(200.0, fire(106.0, 12.0, stop), valid=((0.0, stop),))
        assert find_burst(ended).end == stop
        assert find_blocks([whole, ended]) == {}

    def test_noise_has_no_step(self):
        current = noise_current(600.0, DT, 50.0, 50.0, 3.0, 0)
        assert find_burst(Sweep(current, DT, spike_times=np.array([10.0, 20.0]))) is None
