"""Thumbnails: what is drawn of which recording, and that it is where it was recorded."""

from __future__ import annotations

import base64

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.batch.thumbnails import COLUMNS, GAP, LEVELS, choose_pulses, encode_trace, is_thumbnail, make_thumbnail
from ephysfit.models import LIF
from ephysfit.reports.evidence import gather_evidence

DT = 0.1
CELL = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-50.0, V_reset=-65.0, t_ref=2.0, delta=0.2)


def read(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8)


def record_steps(*amplitudes: float) -> ef.Recording:
    """Steps of 600 ms from 200 ms on, with the voltage and spikes of a known neuron."""
    currents = [np.repeat([0.0, a, 0.0], [2000, 6000, 2000]) for a in amplitudes]
    run = ef.simulate(CELL, currents, dt=DT, save=("V",))
    voltages = [np.array(v) for v in run.traces["V"]]
    for v, (train,) in zip(voltages, run.spike_times, strict=True):
        v[np.floor(train / DT).astype(int)] = 30.0
    return ef.Recording.of(currents, DT, voltages, spike_times=[t[0] for t in run.spike_times])


@pytest.fixture(scope="module")
def steps():
    recording = record_steps(-60.0, -20.0, 60.0, 120.0, 160.0, 200.0)
    return gather_evidence(ef.Fit(CELL, "cell", DT), recording, runs=2)


def test_steps_show_the_lowest_the_first_that_fires_and_the_largest(steps):
    assert [round(p.amplitude) for p in choose_pulses(steps.test)] == [-60, 120, 200]
    made = make_thumbnail(steps)
    assert made["kind"] == "steps"
    assert made["caption"] == "steps of −60, 120, 200 pA, held out"
    assert [whose for whose, _ in made["trains"]] == ["cell"] * 3 + ["model"] * 3
    assert made["range_mV"] == [-82.0, 30.0]


def test_a_model_fitted_to_spikes_alone_is_not_drawn_on_the_cells_scale(steps):
    assert {whose for whose, _ in make_thumbnail(steps)["traces"]} == {"cell"}


def test_spikes_and_the_step_stand_where_they_were_recorded(steps):
    made = make_thumbnail(steps)
    train = choose_pulses(steps.test)[2].sweep.spike_times  # shown from 80 to 920 ms
    expected = np.unique(np.floor((train - 80.0) / 840.0 * LEVELS))
    assert read(made["trains"][2][1]).tolist() == expected.tolist()
    lowest = read(made["traces"][0][1]).reshape(COLUMNS, 2)[:, 0]
    at = 80.0 + 840.0 * (np.arange(COLUMNS) + 0.5) / COLUMNS
    assert lowest[(at > 350) & (at < 780)].max() <= 3  # the end of the pulse of -60 pA is the lowest of all
    assert lowest[at < 190].min() > 20


def test_noise_without_a_voltage_is_a_raster(tmp_path):
    rng = np.random.default_rng(0)
    current = 120.0 + 150.0 * np.repeat(rng.standard_normal(300), 10)
    run = ef.simulate(CELL, [current], dt=0.5, noise="escape", runs=8, seed=1)
    recording = ef.Recording.of([current] * 8, 0.5, spike_times=list(run.spike_times[0]))
    made = make_thumbnail(gather_evidence(ef.Fit(CELL, "cell", 0.5), recording, runs=2))
    assert (made["kind"], made["traces"], made["range_mV"]) == ("noise", [], None)
    assert [whose for whose, _ in made["trains"]] == ["cell"] * 6 + ["model"]
    assert made["caption"].endswith("8 repeats")


def test_missing_samples_are_gaps():
    trace = np.linspace(-70.0, 30.0, 1200)
    trace[:600] = np.nan
    made = read(encode_trace(trace, (-70.0, 30.0)))
    assert set(made[: COLUMNS - 1]) == {GAP}
    assert made[-1] == LEVELS


@pytest.mark.parametrize("found", [None, 3, {}, {"caption": 1}, {"caption": "", "traces": [["cell", 3]]}])
def test_what_is_no_thumbnail_is_not_drawn(found):
    assert not is_thumbnail(found)
