"""The electrode: one that is known is measured and taken out, a bridge that is off is told, also in the raphe cells."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "data"))

import places

import ephysfit as ef
from ephysfit.data.electrode import Bridge, compensate_electrode, measure_bridge, measure_electrode
from ephysfit.data.recording import Recording
from ephysfit.errors import RecordingError
from ephysfit.models import LIF

CELL = LIF(C=100.0, g=5.0, E_L=-65.0, theta=-50.0, V_reset=-60.0, t_ref=2.0, delta=2.0)


@cache
def clean() -> tuple[Recording, Recording]:
    """A cell's voltage without an electrode: small noise, and noise that makes it spike."""
    options = {"repeats": 0, "dt": 0.1, "voltage_noise": 0.2}
    small = ef.synthetic.recording(CELL, duration=8000.0, mean=-60.0, std=10.0, tau=1.0, **options)
    return small, ef.synthetic.recording(CELL, duration=20_000.0, **options)


def through(recording: Recording, megohm: float, tau: float = 0.2) -> Recording:
    """The same voltage through an electrode."""
    out = []
    for s in recording:
        kernel = np.exp(-np.arange(0, 3.0, s.dt) / tau)
        seen = np.convolve(s.current, 1e-3 * megohm * kernel / kernel.sum())[: s.steps]
        out.append(replace(s, voltage=s.voltage + seen))
    return replace(recording, sweeps=tuple(out))


@pytest.mark.parametrize("megohm", [25.0, 0.0, -15.0])
def test_a_known_electrode_is_measured_and_taken_out(megohm):
    small, firing = clean()
    electrode = measure_electrode(through(small, megohm))
    assert electrode.resistance == pytest.approx(megohm, abs=1.0)
    cured = compensate_electrode(through(firing, megohm), electrode)
    left = np.std(cured[0].voltage[50:] - firing[0].voltage[50:])
    assert left < 0.03
    np.testing.assert_array_equal(cured[0].spike_times, firing[0].spike_times)
    assert f"{electrode.resistance:.1f} MOhm" in cured.facts["electrode_compensation"]


@pytest.mark.parametrize(("megohm", "tau"), [(25.0, 0.1), (25.0, 0.3), (-15.0, 0.1)])
def test_a_bridge_that_is_off_is_told(megohm, tau):
    found = measure_bridge(through(clean()[1], megohm, tau))
    assert found.resistance == pytest.approx(megohm, abs=2.0)
    assert found.off
    assert ("not compensated" if megohm > 0 else "too much") in found.warning()


def test_a_balanced_bridge_is_not():
    found = measure_bridge(clean()[1])
    assert abs(found.resistance) < 2.0
    assert found.warning() == ""


def test_where_nothing_tells_nothing_is_said():
    (sweep,) = clean()[1]
    steps = np.repeat([0.0, 100.0, 50.0, 120.0], sweep.steps // 4)
    silent = [
        Recording((replace(sweep, voltage=None),)),
        Recording((replace(sweep, current=np.full(sweep.steps, 50.0)),)),
        Recording((replace(sweep, current=np.resize(steps, sweep.steps)),)),
        Recording((sweep.cut(0.0, 300.0),)),
    ]
    for recording in silent:
        found = measure_bridge(recording)
        assert np.isnan(found.resistance)
        assert found.warning() == ""
    assert not Bridge(30.0, 20.0, 300.0).off, "an estimate that is not sure"
    assert not Bridge(30.0, 0.5, 20.0).off, "a current too small to matter"


def test_a_fit_that_reads_the_voltage_warns():
    data = through(clean()[1], 25.0)
    found = ef.fit(data, "LIF", [ef.stages.Passive()], dt=0.5)
    assert any("series resistance" in w for w in found.warnings)
    found = ef.fit(clean()[1], "LIF", [ef.stages.Passive()], dt=0.5)
    assert not any("series resistance" in w for w in found.warnings)


def test_what_cannot_be_measured_is_refused():
    small, firing = clean()
    with pytest.raises(RecordingError, match="too small for spikes"):
        measure_electrode(firing)
    with pytest.raises(RecordingError, match="needs ten times"):
        measure_electrode(small.cut(0.0, 1000.0))
    flat = replace(small[0], current=np.repeat(small[0].current[::100], 100)[: small[0].steps])
    with pytest.raises(RecordingError, match="with noise, not with steps"):
        measure_electrode(Recording((flat,)))
    with pytest.raises(RecordingError, match=r"sampled at 0\.1 ms.*at 0\.5 ms"):
        compensate_electrode(firing, replace(measure_electrode(small), dt=0.5))
    with pytest.raises(RecordingError, match="no voltage to compensate"):
        compensate_electrode(Recording((replace(firing[0], voltage=None),)), small)


@pytest.mark.parametrize(
    ("aec", "training"),
    [
        (places.piece("electrode"), places.SHIPPED / "DRN164.nwb"),
        *(
            (places.SHARED / "raphe" / f"{name}_aec.abf", places.SHARED / "raphe" / f"{name}_training.abf")
            for name in [places.ABF["DRN162"]] * places.SHARED.is_dir()
        ),
    ],
    ids=lambda path: path.stem,
)
def test_the_raphe_voltage_is_not_compensated_and_both_ways_say_so(aec, training):
    electrode = measure_electrode(ef.load(aec))
    training = ef.load(training, sweeps=[0])
    assert 15 < electrode.resistance < 32
    assert measure_bridge(training).resistance == pytest.approx(electrode.resistance, abs=4.0)
    assert measure_bridge(training).off
    assert not measure_bridge(compensate_electrode(training, electrode)).off
