"""The door: formats told by content, abuse refused with one clear error, files never touched, odd values named."""

import hashlib
import os
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from nwb_files import Lab, amps, volts
from places import CELLS, SHIPPED, piece

from ephysfit.data import registry
from ephysfit.data.loading import info, load
from ephysfit.data.quality import list_findings
from ephysfit.data.recording import Recording, Sweep
from ephysfit.errors import RecordingError

RUBBISH = [
    b"", b"\0", b"\0" * 5000, b"hello", b"ABF2", b"ABF ", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"MATLAB 5.0 MAT-file",
    b"PAR1", b"\xff\xfe\x00", b"1,2\n3,4\n", bytes(range(256)) * 12,
]  # fmt: skip


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class TestAbuse:
    @pytest.mark.parametrize("suffix", [".nwb", ".abf", ".csv", ".npz", ".mat", ".smr", ""])
    @pytest.mark.parametrize("content", RUBBISH)
    def test_rubbish_is_one_clear_error(self, tmp_path, suffix, content):
        path = tmp_path / f"x{suffix}"
        path.write_bytes(content)
        with pytest.raises(RecordingError) as caught:
            load(path)
        assert "x" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_missing_folder_nothing(self, tmp_path):
        with pytest.raises(RecordingError, match="no such file"):
            load(tmp_path / "none.nwb")
        with pytest.raises(RecordingError, match="a folder"):
            load(tmp_path)
        (tmp_path / ".zgroup").write_text("{}")
        with pytest.raises(RecordingError, match="Zarr"):
            load(tmp_path)
        for nothing in ([], [3], None, 5):
            with pytest.raises((RecordingError, TypeError)):
                load(nothing)

    def test_wrong_suffix_is_read_by_content(self, tmp_path):
        path = tmp_path / "cell.abf"
        shutil.copy(SHIPPED / "DRN164.nwb", path)
        assert len(load(path)) == 11

    def test_unicode_and_spaces_in_names(self, tmp_path):
        path = tmp_path / "zelle µ 细胞 ✓.nwb"
        shutil.copy(SHIPPED / "DRN164.nwb", path)
        assert load(path).source == path.name

    @pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root reads everything")
    def test_no_permission(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("time_ms,current_pA\n")
        path.chmod(0)
        with pytest.raises(RecordingError, match="permission"):
            load(path)

    def test_cyclic_link(self, tmp_path):
        (tmp_path / "a.nwb").symlink_to(tmp_path / "b.nwb")
        (tmp_path / "b.nwb").symlink_to(tmp_path / "a.nwb")
        with pytest.raises(RecordingError):
            load(tmp_path / "a.nwb")

    @pytest.mark.parametrize("suffix", [".nwb", ".abf", ".csv", ".mat", ".pxp", ".smr", ".wcp", ".nix", ".ibw"])
    def test_ten_sparse_gigabytes_are_refused_at_once(self, tmp_path, suffix):
        path = tmp_path / f"huge{suffix}"
        with path.open("wb") as file:
            file.truncate(10 * 2**30)
        says = "does not begin as its ending says" if suffix in (".nwb", ".abf") else "no reader knows"
        with pytest.raises(RecordingError, match=says):
            load(path)

    @pytest.mark.parametrize("keep", [0.001, 0.1, 0.5, 0.9, 0.999])
    def test_truncated_nwb(self, tmp_path, keep):
        whole = (SHIPPED / "DRN164.nwb").read_bytes()
        path = tmp_path / "cut.nwb"
        path.write_bytes(whole[: int(len(whole) * keep)])
        with pytest.raises(RecordingError):
            load(path)

    @pytest.mark.parametrize("keep", [0.001, 0.01, 0.1, 0.5, 0.9])
    def test_truncated_abf(self, tmp_path, keep):
        whole = piece("steps_axon").read_bytes()
        path = tmp_path / "cut.abf"
        path.write_bytes(whole[: int(len(whole) * keep)])
        with pytest.raises(RecordingError):
            load(path)

    def test_cyclic_links_inside_an_nwb_file(self, tmp_path):
        import h5py

        path = tmp_path / "loop.nwb"
        shutil.copy(SHIPPED / "DRN158.nwb", path)
        with h5py.File(path, "a") as file:
            file["acquisition/loop"] = h5py.SoftLink("/acquisition")
            file["acquisition/gone"] = h5py.SoftLink("/nowhere")
            file["acquisition/self"] = h5py.SoftLink("/acquisition/self")
        assert len(load(path)) == 11

    def test_all_nan_and_no_samples(self, tmp_path):
        lab = Lab(tmp_path / "nan.nwb")
        for k, v in enumerate((volts() * np.nan, volts(0, ()))):
            lab.response(f"v{k}", v, sweep_number=k, start=float(k))
            lab.stimulus(f"i{k}", amps(), sweep_number=k, start=float(k))
        with pytest.raises(RecordingError, match="no usable"):
            load(lab.save())

    @pytest.mark.parametrize("rate", [0.0, -1e4, float("nan"), float("inf")])
    def test_impossible_rates(self, tmp_path, rate):
        import h5py

        lab = Lab(tmp_path / "rate.nwb")
        lab.response("v", volts(), sweep_number=0)
        lab.stimulus("i", amps(), sweep_number=0)
        with h5py.File(lab.save(), "a") as file:
            file["acquisition/v/starting_time"].attrs["rate"] = rate
        with pytest.raises(RecordingError, match="no positive sampling rate"):
            load(lab.path)

    def test_wrong_settings(self):
        path = SHIPPED / "DRN164.nwb"
        with pytest.raises(RecordingError, match="did you mean detect"):
            load(path, spikes="detected")
        with pytest.raises(RecordingError, match="takes no option 'electrod'; did you mean electrode"):
            load(path, electrod="x")


@pytest.mark.parametrize("cell", CELLS)
def test_loading_leaves_the_file_as_it_was(tmp_path, cell):
    path = tmp_path / f"{cell}.nwb"
    shutil.copy(SHIPPED / path.name, path)
    os.utime(path, ns=(10**18, 10**18))
    before = digest(path)
    load(path).split()
    info(path)
    assert digest(path) == before
    assert path.stat().st_mtime_ns == 10**18
    assert sorted(tmp_path.iterdir()) == [path]


def test_loading_leaves_an_abf_as_it_was():
    path = piece("steps_pyramidal")
    before = digest(path), path.stat().st_mtime_ns
    load(path)
    assert (digest(path), path.stat().st_mtime_ns) == before


class TestInfo:
    def test_tells_what_is_there(self):
        report = info(SHIPPED / "DRN164.nwb")
        assert report.usable
        assert [(s.name, s.repeats) for s in report.stimuli] == [
            ("frozen noise, training", 1),
            ("frozen noise, test repeats", 10),
        ]
        assert report.split == "train: 1 sweep, 60 s, 527 spikes; test: 10 sweeps, 100 s, 707 spikes"
        row = report.rows()[0]
        assert (row["length (s)"], row["step (ms)"], row["spikes"], row["use"]) == ("60", "0.1", "527", "train")

    def test_is_plain_json(self):
        import json

        found = json.loads(json.dumps(info(SHIPPED / "DRN158.nwb").to_dict()))
        assert found["usable"] is True
        assert found["sweeps"][0]["spikes"] == 309

    def test_unusable_sweeps_are_rows_with_reasons(self, tmp_path):
        lab = Lab(tmp_path / "vc.nwb")
        lab.response("seal", amps(), kind="vc")
        report = info(lab.save())
        assert not report.usable
        assert report.rows() == [{"sweep": "seal", "use": "no", "notes": report.rejected[0].reason}]
        assert "voltage clamp" in report.problem

    def test_no_file_is_an_error(self, tmp_path):
        with pytest.raises(RecordingError):
            info(tmp_path / "none.abf")


class TestSanity:
    def sweep(self, **changes):
        t = np.arange(20_000) * 0.1
        rng = np.random.default_rng(0)
        fields = {"current": 100 * rng.standard_normal(t.size), "dt": 0.1, "voltage": -65 + rng.standard_normal(t.size)}
        return Sweep(**(fields | changes))

    def test_nothing_odd_about_a_sound_sweep(self):
        assert list_findings(self.sweep()) == ()

    @pytest.mark.parametrize(
        ("factor", "says"),
        [(1e-3, "look like volts"), (1e3, "look like microvolts"), (10, "gain of 10"), (0, "no neuron rests")],
    )
    def test_scale_of_the_voltage(self, factor, says):
        assert says in list_findings(self.sweep(voltage=factor * self.sweep().voltage))[0]

    def test_scale_of_the_current_and_step(self):
        assert "no pipette passes" in list_findings(self.sweep(current=1e3 * self.sweep().current))[0]
        assert "look like nA" in list_findings(self.sweep(current=1e-3 * self.sweep().current, spike_times=[5.0]))[0]
        assert "kHz taken for Hz" in list_findings(self.sweep(dt=100.0))[0]
        assert "no neuron keeps that up" in list_findings(self.sweep(spike_times=np.arange(2000.0)))[0]

    def test_swapped_channels(self):
        sound = self.sweep()
        assert any(
            "swapped" in f
            for f in list_findings(self.sweep(current=sound.voltage + 60 * (sound.current > 0), voltage=sound.current))
        )

    def test_clipping_and_drift(self):
        v = self.sweep().voltage
        assert (
            "clipped" in list_findings(self.sweep(voltage=np.minimum(v + 3 * np.sin(np.arange(v.size) / 500), -63)))[0]
        )
        assert "unstable" in list_findings(self.sweep(voltage=v + np.linspace(0, 25, v.size)))[0]


def test_a_reader_of_ones_own_is_asked_first(monkeypatch, tmp_path):
    class Mine:
        NAME = "mine"

        @staticmethod
        def recognises(path):
            return path.suffix == ".mine"

        @staticmethod
        def read(path, *, choice=None, gain=1.0):
            return Recording.of(gain * np.ones(10), 0.1, spike_times=[0.5], source=path.name)

    monkeypatch.setattr(registry, "entry_points", lambda group: [SimpleNamespace(load=lambda: Mine)])
    path = tmp_path / "a.mine"
    path.write_text("x")
    assert load(path, gain=3.0)[0].current.max() == 3.0
