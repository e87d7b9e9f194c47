"""At the door: kinds of stimuli, test pulses, leaking currents, junction potential, unbalanced bridges, crashes."""

import faulthandler
import os
import pickle
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nwb_files import Lab, amps, volts
from places import SHIPPED, piece, pieces, wholes

from ephysfit.data import seal_pulses, stimulus_kinds
from ephysfit.data.contents import contents
from ephysfit.data.leaks import find_leaks
from ephysfit.data.loading import info, load
from ephysfit.data.quality import measure_electrode_drop
from ephysfit.data.readers import abf
from ephysfit.data.recording import Recording, Sweep
from ephysfit.data.subprocess_read import run_isolated
from ephysfit.errors import RecordingError


def test_recordings_pickle_and_copy_whole():
    recording = load(SHIPPED / "DRN164.nwb", sweeps=[0, 1])
    again = pickle.loads(pickle.dumps(recording))
    assert repr(again) == repr(recording)
    assert dict(again.facts) == dict(recording.facts)
    assert dict(again.loaded) == dict(recording.loaded)
    np.testing.assert_array_equal(again[1].voltage, recording[1].voltage)
    with pytest.raises(TypeError):
        again.facts["x"] = "y"


class TestKinds:
    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("C1LSCOARSE150112_DA_0", "long_square"), ("X4PS_SupraThresh_DA_0[3]", "long_square"),
            ("Short Square - Triple", "short_square_triple"), ("Noise 2", "noise"), ("EXTPSMOKET141203[0]", "test"),
            ("Ramp to Rheobase", "ramp_to_rheobase"), ("frozen noise, training", "noise"), ("whatever", ""), ("", ""),
        ],
    )  # fmt: skip
    def test_names(self, name, kind):
        assert stimulus_kinds.find_kind_by_name(name) == kind

    def test_a_lab_adds_its_own_names(self, tmp_path, monkeypatch):
        own = tmp_path / "kinds.toml"
        own.write_text('[spontaneous]\ncodes = ["GF_"]\n[noise]\nwords = ["hiss"]\n')
        monkeypatch.setenv(stimulus_kinds.VARIABLE, str(own))
        found = [stimulus_kinds.find_kind_by_name(name) for name in ("gf_12", "my hiss", "Noise 1")]
        assert found == ["spontaneous", "noise", "noise"]
        own.write_text("[noise]\nwords = 'hiss'\n")
        os.utime(own, ns=(1, 1))
        with pytest.raises(RecordingError, match="lists of texts"):
            stimulus_kinds.find_kind_by_name("x")
        monkeypatch.setenv(stimulus_kinds.VARIABLE, str(tmp_path / "none.toml"))
        with pytest.raises(RecordingError, match="no such file"):
            stimulus_kinds.find_kind_by_name("x")

    @pytest.mark.parametrize(
        ("name", "kind"),
        [("noise_training", "noise"), ("steps_recorded", "step"), ("steps_fine", "step"), ("electrode", "noise")],
    )
    def test_waveforms_of_real_files(self, name, kind):
        assert {stimulus_kinds.find_kind_by_waveform(s.current) for s in load(piece(name))} == {kind}

    def test_sweeps_are_chosen_by_kind(self):
        path = SHIPPED / "DRN164.nwb"
        assert len(load(path, kind="noise")) == 11
        with pytest.raises(RecordingError, match="no sweep has a stimulus of kind 'step'"):
            load(path, kind="step")
        steps = [Sweep(amps(level=k) * 1e12, 0.1, spike_times=[1.0]) for k in (10, 20)]
        noise = Sweep(50 * np.random.default_rng(0).standard_normal(2000), 0.1, spike_times=[1.0])
        recording = Recording((*steps, noise))
        assert [len(recording.select(kind=k)) for k in ("step", "noise")] == [2, 1]
        with pytest.raises(RecordingError, match=r"no sweep has kind 'ramp'.*kinds: "):
            recording.select(kind="ramp")

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=900))
    def test_any_current_has_a_kind(self, values):
        assert stimulus_kinds.find_kind_by_waveform(np.array(values)) in ("none", "step", "ramp", "noise")


def pulsed(level=-50.0, start=10, stop=20, k=0.0, n=6000):
    t = np.arange(n) * 0.1
    return level * ((t >= start) & (t < stop)) + k * ((t >= 200) & (t < 500))


class TestPulses:
    def recording(self, **changes):
        return Recording(tuple(Sweep(pulsed(k=20.0 * k, **changes), 0.1, name=str(k)) for k in range(1, 6)))

    def test_masked_and_said_not_deleted(self):
        found = seal_pulses.mask_test_pulses(self.recording())
        assert {s.valid for s in found} == {((40.0, 600.0),)}
        np.testing.assert_array_equal(found[0].current, pulsed(k=20.0))
        assert "test pulse of -50 pA, 10 to 20 ms, masked" in found[0].notes[0]

    def test_noise_of_a_recorded_current_does_not_hide_it(self):
        rng = np.random.default_rng(0)
        noisy = [replace(s, current=s.current + rng.normal(0, 0.5, s.steps)) for s in self.recording()]
        assert all(s.notes for s in seal_pulses.mask_test_pulses(Recording(tuple(noisy))))

    @pytest.mark.parametrize("why", ["late", "long", "only stimulus", "differs", "spikes", "few"])
    def test_what_is_no_test_pulse_stays(self, why):
        sweeps = list(
            self.recording(**{"late": {"start": 450, "stop": 470}, "long": {"start": 10, "stop": 190}}.get(why, {}))
        )
        if why == "only stimulus":
            sweeps = [replace(s, current=pulsed()) for s in sweeps]
        if why == "differs":
            sweeps = [replace(s, current=pulsed(level=-10.0 * (k + 1), k=20.0)) for k, s in enumerate(sweeps)]
        if why == "spikes":
            sweeps = [replace(s, spike_times=[15.0]) for s in sweeps]
        recording = Recording(tuple(sweeps[: 2 if why == "few" else None]))
        assert all(not s.notes and not s.valid for s in seal_pulses.mask_test_pulses(recording))

    def test_in_a_file_and_on_request_only(self, tmp_path):
        lab = Lab(tmp_path / "tp.nwb")
        for k in range(4):
            lab.response(f"v{k}", volts(6000, (300.0,)), sweep_number=k, start=float(k))
            lab.stimulus(f"i{k}", pulsed(k=20.0 * k + 20) * 1e-12, sweep_number=k, start=float(k))
        path = lab.save()
        assert {s.valid for s in load(path)} == {((40.0, 600.0),)}
        assert {s.valid for s in load(path, test_pulse="keep")} == {()}
        assert "masked" in info(path).sweeps[0].notes[0]
        with pytest.raises(RecordingError, match="did you mean mask"):
            load(path, test_pulse="maks")

    def test_as_mies_marks_it(self, tmp_path):
        """One sweep only, so that nothing but the epochs table can tell."""
        from pynwb.base import TimeSeriesReferenceVectorData

        assert TimeSeriesReferenceVectorData
        lab = Lab(tmp_path / "mies.nwb")
        lab.response("v", volts(6000, (300.0,)), sweep_number=0, start=7.0)
        stimulus = lab.stimulus("i", pulsed(k=20.0) * 1e-12, sweep_number=0, start=7.0)
        for start, stop, tag in ((7.0, 7.03, "Type=Inserted Testpulse"), (7.2, 7.5, "Type=Square pulse")):
            lab.nwb.add_epoch(start, stop, [tag, "ShortName=x"], [stimulus])
        sweep = load(lab.save())[0]
        assert sweep.valid == ((50.0, 600.0),)
        assert "marked in the file" in sweep.notes[0]


class TestLeaks:
    @pytest.fixture
    def leaking(self, tmp_path):
        """The shipped training sweep with the voltage let into its current."""
        path = tmp_path / "leak.nwb"
        path.write_bytes((SHIPPED / "DRN164.nwb").read_bytes())
        sweep = load(path, sweeps=[0])[0]
        with h5py.File(path, "a") as file:
            data = file["stimulus/presentation/stimulus_00/data"]
            artefact = 0.15 * np.gradient(sweep.voltage, sweep.dt) * 1e-12 / data.attrs["conversion"]
            data[...] = np.round(data[()] + artefact).astype(data.dtype)
        return path

    def test_refused_where_the_file_holds_no_command(self, leaking):
        recording = load(leaking)
        assert [r.name for r in recording.rejected] == ["response_00"]
        assert "would give the spikes away" in recording.rejected[0].reason
        assert "leak='keep'" in recording.rejected[0].reason
        assert "527 spikes in 60 s are lost" in recording.rejected[0].reason
        assert len(recording) == 10
        kept = load(leaking, leak="keep")
        assert len(kept) == 11
        assert "give the spikes away" in kept[0].warnings[0]

    @pytest.mark.parametrize("path", [*pieces("steps_recorded"), *wholes("raphe/DRN164_5HT/current_steps.abf")])
    def test_replaced_by_the_command_where_the_protocol_holds_it(self, monkeypatch, path):
        sound, true_signal = load(path), abf._read_signal

        def leaky(reader, segment, channel, known):
            trace = true_signal(reader, segment, channel, known)
            if "pA" not in known:
                return trace
            volts = true_signal(reader, segment, 0, abf.units.TO_MV)
            return trace + 0.4 * np.gradient(volts, 0.1)

        monkeypatch.setattr(abf, "_read_signal", leaky)
        recording = load(path)
        replaced = [s for s in recording if any("commanded current is taken instead" in note for note in s.notes)]
        assert replaced
        assert not recording.rejected
        assert not find_leaks(recording.sweeps)
        for sweep in replaced:
            ours = next(s for s in sound if s.name == sweep.name)
            assert np.abs(np.median(sweep.current - ours.current)) < 0.5
            np.testing.assert_array_equal(sweep.voltage, ours.voltage)

    def test_the_command_can_be_asked_for(self):
        command = load(piece("steps_recorded"), use_command=True)
        assert np.unique(command[0].current).size < 10
        assert command.loaded["options"] == {"use_command": True}


class TestJunction:
    def test_taken_off_said_and_kept(self):
        path = SHIPPED / "DRN164.nwb"
        plain, shifted = load(path, sweeps=[1]), load(path, sweeps=[1], junction_potential=14.0)
        np.testing.assert_allclose(shifted[0].voltage, plain[0].voltage - 14.0)
        np.testing.assert_array_equal(shifted[0].spike_times, plain[0].spike_times)
        assert shifted.electrode["liquid_junction_potential_mV"] == 14.0
        assert "junction potential of 14 mV taken off" in shifted[0].notes[0]
        assert shifted.loaded["junction_potential_mV"] == 14.0

    @pytest.mark.parametrize("wrong", [0.9e3, float("nan"), "14", True])
    def test_what_cannot_be_one_is_refused(self, wrong):
        with pytest.raises(RecordingError, match="junction_potential"):
            load(SHIPPED / "DRN164.nwb", junction_potential=wrong)


def test_an_unbalanced_bridge_is_named_and_a_balanced_one_is_not():
    rng = np.random.default_rng(0)
    current = np.repeat(rng.normal(0, 100, 400), 50)
    membrane = np.convolve(current, np.exp(-np.arange(1500) * 0.05 / 15) * 0.05 / 15)[: current.size] * 0.1
    noise = rng.normal(-65, 0.1, current.size)
    assert measure_electrode_drop(Sweep(current, 0.05, voltage=membrane + noise)) < 0.005
    assert measure_electrode_drop(Sweep(current, 0.05, voltage=membrane + noise + 0.02 * current)) == pytest.approx(
        0.02, rel=0.1
    )
    assert "bridge was not balanced" in load(SHIPPED / "DRN158.nwb", sweeps=[0, 1]).warnings[0]


class TestContents:
    def test_headers_then_single_sweeps(self):
        found = contents(SHIPPED / "DRN164.nwb")
        assert (len(found), found.electrodes) == (11, ("electrode",))
        assert [h.duration_ms for h in found][:2] == [60_000, 10_000]
        assert found[3].name == found["response_03"].name == found[-8].name == "response_03"
        assert [len(found.select(stimulus=s).load()) for s in ("training", "test")] == [1, 10]
        with pytest.raises(RecordingError, match="no sweep 11"):
            found[11]
        with pytest.raises(RecordingError, match="did you mean response_"):
            found["response_0"]
        with pytest.raises(RecordingError, match="no sweep has kind 'ramp'"):
            found.select(kind="ramp")

    def test_simultaneous_cells_one_at_a_time(self, tmp_path):
        lab = Lab(tmp_path / "pair.nwb", ("left", "right"))
        for side, level in (("left", 40), ("right", 80)):
            for k in range(2):
                lab.response(f"v_{side}_{k}", volts(), sweep_number=k, electrode=side, start=float(k))
                lab.stimulus(f"i_{side}_{k}", amps(level=level), sweep_number=k, electrode=side, start=float(k))
        lab.response("vc", amps(), kind="vc", electrode="left", start=5.0)
        found = contents(lab.save())
        assert found.electrodes == ("left", "right")
        assert [h.refused.split(":")[0] for h in found if h.refused] == ["voltage clamp"]
        with pytest.raises(RecordingError, match="sweeps of 2 electrodes"):
            found.load()
        cells = [found.select(electrode=side).load() for side in found.electrodes]
        assert [c[0].current.max().round() for c in cells] == [40, 80]
        assert found["v_right_1"].current.max().round() == 80

    def test_a_changed_file_is_indexed_anew(self, tmp_path):
        lab = Lab(tmp_path / "a.nwb")
        lab.response("v", volts(), sweep_number=0)
        lab.stimulus("i", amps(), sweep_number=0)
        assert len(contents(lab.save())) == 1
        lab.response("v2", volts(), sweep_number=1, start=1.0)
        lab.stimulus("i2", amps(), sweep_number=1, start=1.0)
        assert len(contents(lab.save())) == 2

    @pytest.mark.parametrize("name", ["csv", "abf"])
    def test_other_formats(self, tmp_path, name):
        path = tmp_path / "t.csv"
        path.write_text("time_ms,current_pA,voltage_mV\n" + "".join(f"{k / 10},{k},-65\n" for k in range(100)))
        if name == "abf":
            path = piece("steps_fine")
        found = contents(path)
        assert len(found) == (3 if name == "abf" else 1)
        assert found[0].duration == pytest.approx(found.headers[0].duration_ms)


class TestIsolation:
    def test_the_same_recording(self):
        path = SHIPPED / "DRN164.nwb"
        here, there = load(path, sweeps=[1]), load(path, sweeps=[1], isolate=True)
        assert repr(here) == repr(there)
        np.testing.assert_array_equal(here[0].voltage, there[0].voltage)

    def test_a_crash_a_hang_and_an_error_are_errors(self, tmp_path):
        with pytest.raises(RecordingError, match=r"damaged: the parser crashed \(SIGSEGV\)"):
            run_isolated(faulthandler._sigsegv)
        with pytest.raises(RecordingError, match=r"did not end within 1 s"):
            run_isolated(time.sleep, 60, patience=1.0)
        (tmp_path / "x.csv").write_text("hello")
        with pytest.raises(RecordingError, match=r"x\.csv: no other format|x\.csv \(table\)"):
            load(tmp_path / "x.csv", isolate=True)
