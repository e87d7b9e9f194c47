"""What trains is judged by what trains: leaks and test pulses of test sweeps change no training sweep."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ephysfit.cli import main
from ephysfit.data.assemble import Choice
from ephysfit.data.loading import load
from ephysfit.data.preprocess import prepare_recording
from ephysfit.data.recording import Recording
from ephysfit.data.request import Request
from ephysfit.data.sides import Sides, cut_to_training_part, find_sides
from ephysfit.data.sweep import Sweep
from ephysfit.models import LIF
from ephysfit.synthetic import noise_current, respond

DT = 0.1
TIME = np.arange(6000) * DT


def make_sweep(k, leak=0.0, pulse=0.0, noise=1.0):
    """A step with noise of the recording and seven spikes; with `leak` pA locked to each of them."""
    rng = np.random.default_rng(k)
    current = 40.0 + (50.0 + 10.0 * k) * ((TIME >= 200) & (TIME < 500)) + rng.normal(0, noise, TIME.size)
    spikes = np.sort(rng.uniform(210, 490, 7))
    for at in (spikes / DT).astype(int):
        current[at + 1 : at + 11] += leak
    current += pulse * ((TIME >= 20) & (TIME < 40))
    return Sweep(current, DT, spike_times=spikes, spike_source="given", name=f"s{k}")


def make_recording(test, **how):
    return Recording(tuple(make_sweep(k, **(how if k in test else {})) for k in range(15)), cell="c", source="c.npz")


def prepare(recording, **sides):
    return prepare_recording(recording, Request(Choice(), **sides), None)


TEST = (1, 4, 7, 10, 12, 13)
NAMED = "s1, s4, s7, s10, s12, s13"


def test_a_leak_in_test_sweeps_leaves_every_training_sweep():
    found = prepare(make_recording(TEST, leak=25.0), test=NAMED)
    kept = {s.name for s in found.sweeps}
    assert kept == {f"s{k}" for k in range(15) if k not in TEST}
    assert {r.name for r in found.rejected} == {f"s{k}" for k in TEST}


def test_a_leak_in_training_sweeps_is_found_together_all_the_same():
    trained = tuple(k for k in range(15) if k not in TEST)
    found = prepare(make_recording(trained, leak=25.0), test=NAMED)
    assert {r.name for r in found.rejected} >= {f"s{k}" for k in trained}


@pytest.mark.parametrize("how", [{"leak": 25.0}, {"leak": -60.0}, {"pulse": -30.0}, {"pulse": 500.0}])
def test_training_sweeps_are_the_same_to_the_last_bit(how):
    clean, spoilt = (prepare(make_recording(TEST, **h), test=NAMED) for h in ({}, how))
    for one, other in zip(
        *([s for s in r.sweeps if s.name not in NAMED.split(", ")] for r in (clean, spoilt)), strict=True
    ):
        assert one.name == other.name
        assert one.current.tobytes() == other.current.tobytes()
        assert (one.valid, one.notes, one.warnings) == (other.valid, other.notes, other.warnings)


def test_a_pulse_that_training_sweeps_share_is_masked_in_both():
    whole = make_recording(range(15), pulse=-30.0, noise=0.1)
    found = prepare(whole, test=NAMED)
    assert all(s.valid and s.valid[0][0] >= 40.0 for s in found.sweeps)


class TestSides:
    def recording(self, n=8):
        return make_recording(()).select(indices=list(range(n)))

    def test_by_name_position_and_part(self):
        assert find_sides(self.recording(), test="s1, 4-5") == Sides((0, 2, 3, 6, 7), (1, 4, 5))
        assert find_sides(self.recording(), train="0-2") == Sides((0, 1, 2), (3, 4, 5, 6, 7))
        assert find_sides(self.recording(), test="0.25") == Sides(tuple(range(8)), (), 0.75)

    def test_by_default_as_the_recording_splits(self):
        recording = self.recording()
        names = [s.name for s in recording.split()[0].sweeps]
        assert [recording[k].name for k in find_sides(recording).train] == names
        few = recording.select(indices=[0, 1])
        assert find_sides(few).fraction == pytest.approx(0.8)

    @pytest.mark.parametrize("test", ["c", "c.npz", "other.npz", "c/s1", "s99"])
    def test_words_of_several_files(self, test):
        held = {"c": tuple(range(8)), "c.npz": tuple(range(8)), "c/s1": (1,)}.get(test, ())
        assert find_sides(self.recording(), test=test).test == held

    def test_the_end_of_each_sweep_is_not_looked_at_where_it_tests(self):
        cut = cut_to_training_part(self.recording().sweeps, Sides(tuple(range(8)), (), 0.8))
        assert {s.duration for s in cut} == {480.0}

    def test_a_leak_in_the_last_fifth_changes_nothing(self):
        long = make_sweep(3)
        late = replace(
            long, current=long.current + 25.0 * np.isin(np.arange(6000), (long.spike_times[-2:] / DT).astype(int) + 1)
        )
        both = [prepare(Recording((s, make_sweep(4)), cell="c", source="c"), test="0.2") for s in (long, late)]
        assert [len(r) for r in both] == [2, 2]


def test_load_passes_them_on(tmp_path):
    sweeps = make_recording(TEST, leak=25.0).sweeps
    np.savez(
        tmp_path / "c.npz",
        current_pA=np.stack([s.current for s in sweeps]),
        dt_ms=DT,
        spike_times_ms=np.concatenate([s.spike_times for s in sweeps]),
        spike_trial=np.repeat(np.arange(len(sweeps)), [len(s.spike_times) for s in sweeps]),
    )
    found = load(tmp_path / "c.npz", test=",".join(map(str, TEST)))
    assert len(found) == 15 - len(TEST)


class TestCommandLine:
    """A fit is the same to the last bit whatever the test sweeps hold."""

    @staticmethod
    def write(folder, name, swap):
        rng = np.random.default_rng(0)
        cell = LIF(C=80.0, g=5.0, E_L=-65.0, theta=-48.0, V_reset=-60.0, t_ref=3.0, delta=2.0)
        currents = [noise_current(4000.0, 0.5, 70.0, 120.0, 5.0, seed) for seed in range(5)]
        trains = [respond(cell, i, 0.5, noise="escape", seed=k).spike_times for k, i in enumerate(currents)]
        for k in (3,) if name == "artefact" else (3, 4):  # a sweep is left to test
            currents[k] = swap(currents[k], trains[k], rng)
        np.savez(
            folder / f"{name}.npz",
            current_pA=np.stack(currents),
            dt_ms=0.5,
            spike_times_ms=np.concatenate(trains),
            spike_trial=np.repeat(np.arange(5), [len(t) for t in trains]),
        )
        return folder / f"{name}.npz"

    @pytest.mark.slow
    @pytest.mark.parametrize("model", ["auto", "AIGIF", "ALIF", "AdEx"])
    def test_parameters_are_the_same_to_the_last_bit(self, tmp_path, model):
        def leak(current, train, rng):
            out = current.copy()
            out[(train / 0.5).astype(int) + 1] += 300.0
            return out

        swaps = {
            "as recorded": lambda i, t, rng: i,
            "noise": lambda i, t, rng: rng.normal(0, 80, i.size),
            "a thousand times": lambda i, t, rng: 1e3 * i,
            "artefact": leak,
            "zeros": lambda i, t, rng: 0.0 * i,
        }
        found = {}
        for k, (name, swap) in enumerate(swaps.items()):
            file = self.write(tmp_path, name, swap)
            out = tmp_path / f"fit_{k}"
            options = ["--model", model, "--test", "3,4", "--intervals", "none", "--no-report", "-o", str(out)]
            with pytest.raises(SystemExit):  # a thousand times the current may leave nothing to score, after the fit
                main(["fit", str(file), *options])
            saved = json.loads((out / "fit.json").read_text())
            found[name] = (saved["model"], saved["parameters"], saved["provenance"]["data_sha256"])
        assert all(f == found["as recorded"] for f in found.values()), found
