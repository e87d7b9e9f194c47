"""What a pulse leaves on a membrane is no spike, and a spike in answer to a pulse is one."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ephysfit.data.linear_membrane import fit_linear_membrane
from ephysfit.data.recording import Recording
from ephysfit.data.spikes import search_spikes

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@cache
def benchmark() -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import pulses
    finally:
        sys.path.remove(str(BENCHMARKS))
    return pulses


@pytest.mark.parametrize("width", [0.5, 1.0, 2.0, 5.0, 20.0])
@pytest.mark.parametrize("late", [0, 1, 3])
@pytest.mark.parametrize(("tau", "fast"), [(4.0, 0.0), (20.0, 0.0), (20.0, 0.4)])
def test_a_membrane_that_a_pulse_charges_does_not_spike(width: float, late: int, tau: float, fast: float) -> None:
    """Of one time constant and of two, seen by an amplifier that lags by some samples."""
    dt, size, rng = 0.05, 22.0, np.random.default_rng(1)
    t = np.arange(0, 400, dt)
    current = np.where((t % 50 >= 30) & (t % 50 < 30 + width), 1000.0, 0.0)
    kernel = (1 - fast) * np.exp(-t / tau) / tau + fast * np.exp(-t) / 1.0
    v = np.convolve(current, kernel)[: len(t)]
    v = np.roll(-70 + size * v / v.max(), late) + rng.normal(0, 0.1, len(t))
    found = search_spikes(v, dt, current=current)
    assert len(found.spikes) == 0
    assert np.ptp(v) > 20


def test_subthreshold_sweeps_of_short_pulses_are_silent_and_the_others_are_not() -> None:
    """Hodgkin-Huxley cells: pulses of 2 ms that charge by 14 to 45 mV; the weakest sweeps hold no spike at all."""
    wrong, silent = 0, 0
    for trace in benchmark().make_spiking(widths=(1.0, 3.0), charges=(14.0, 30.0)):
        found = search_spikes(trace.voltage, trace.dt, current=trace.current)
        wrong += abs(len(found.spikes) - trace.spikes)
        silent += trace.spikes == 0
    assert silent > 15
    assert wrong <= 4  # of 1,300 pulses: a failed spike is a matter of definition


def test_what_is_left_out_is_counted() -> None:
    quiet = [t for t in benchmark().make_spiking(widths=(2.0,), charges=(14.0,)) if t.dt == 0.1]
    recording = Recording.of([t.current for t in quiet], 0.1, [t.voltage for t in quiet])
    assert recording.n_spikes == 0
    counted = [r for s in recording.sweeps for r in s.removed if r.rule == "charging"]
    assert sum(r.count for r in counted) > 8 * len(quiet)


def test_events_are_found_in_noise_as_before() -> None:
    """Where the current has no pulses the rule has nothing to say."""
    rng = np.random.default_rng(2)
    t = np.arange(0, 1000, 0.1)
    current = np.convolve(rng.normal(0, 300, len(t)), np.exp(-np.arange(0, 20, 0.1) / 3), "same")
    peaks = np.arange(50.0, 990.0, 47.0)
    v = -65 + sum(90 * np.exp(-(((t - p) / 0.5) ** 2)) for p in peaks) + rng.normal(0, 0.1, len(t))
    assert len(search_spikes(v, 0.1, current=current).spikes) == len(peaks)


def test_a_current_of_a_synapse_leaves_no_spike_where_it_accounts_for_the_voltage() -> None:
    """It charges Hodgkin-Huxley cells by 16 and 20 mV, which some answer with a spike, and by 45, which all do."""
    spikes = missed = extra = quiet = shrunk = 0
    for trace in benchmark().make_synaptic(((0.5, 3.0),), (16.0, 20.0, 45.0)):
        found = len(search_spikes(trace.voltage, trace.dt, current=trace.current).spikes)
        spikes, quiet = spikes + trace.spikes, quiet + (trace.spikes == 0)
        missed, extra = missed + max(trace.spikes - found, 0), extra + max(found - trace.spikes, 0)
        small = search_spikes(-70 + 0.4 * (trace.voltage + 70), trace.dt, current=trace.current)
        shrunk += max(trace.spikes - len(small.spikes), 0)
    assert spikes > 100
    assert quiet > 20
    assert missed == 0
    assert shrunk == 0  # spikes of 40 mV, which a linear membrane might reach
    assert extra <= 2  # a failed spike is a matter of definition


def test_a_linear_membrane_is_not_found_where_there_is_none() -> None:
    constant = np.full(5000, 20.0)
    assert fit_linear_membrane(np.random.default_rng(0).normal(-65, 1, 5000), constant, 0.1) is None


@pytest.mark.parametrize("lost", ["voltage", "current"])
def test_a_missing_sample_does_not_hide_what_the_current_accounts_for(lost: str) -> None:
    dt, rng = 0.05, np.random.default_rng(0)
    t = np.arange(0, 1000, dt)
    synapse = np.exp(-(t % 50) / 2) - np.exp(-(t % 50) / 0.3)
    current = np.where(t % 50 < 40, 2500.0 * synapse, 0.0)
    decay = np.exp(-t[:4000] / 15)
    v = -70 + np.convolve(current, dt * decay / 100)[: len(t)] + rng.normal(0, 0.1, len(t))
    traces = {"voltage": v, "current": current}
    whole = search_spikes(v, dt, current=current)
    traces[lost] = traces[lost].copy()
    traces[lost][[500, 9600]] = np.nan  # between events
    gapped = search_spikes(traces["voltage"], dt, current=traces["current"])
    assert len(whole.spikes) == len(gapped.spikes) == 0
    assert [(r.rule, r.count) for r in gapped.removed] == [(r.rule, r.count) for r in whole.removed]
    assert whole.removed[0].rule == "charging"
