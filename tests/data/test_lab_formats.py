"""Formats of acquisition programs, through neo and on their own: real bytes in, the same samples out, or the reason."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from lab_files import SAMPLES, axograph, neo_block, samples, winwcp
from nwb_files import amps, volts

from ephysfit.data.in_memory import from_pynapple
from ephysfit.data.loading import load
from ephysfit.errors import RecordingError, StimulusError

WAVES = Path(__file__).parent / "waves"


def check(recording, n=2, tolerance=0.02):
    assert len(recording) == n
    for sweep in recording:
        np.testing.assert_allclose(sweep.current[:2000], amps() * 1e12, atol=20 * tolerance)
        np.testing.assert_allclose(sweep.voltage[:2000], volts() * 1e3, atol=tolerance)
        assert sweep.spike_times == pytest.approx([49.0, 149.0], abs=0.4)
        assert sweep.dt == pytest.approx(0.1, rel=1e-6)


def test_winwcp(tmp_path):
    recording = load(winwcp(tmp_path / "a.wcp"))
    check(recording)
    assert recording[0].steps == SAMPLES
    assert len(load(tmp_path / "a.wcp", sweeps=[1])) == 1


def test_axograph(tmp_path):
    check(load(axograph(tmp_path / "a.axgd")), 1)


@pytest.mark.parametrize("suffix", [".nix", ".mat"])
def test_neo_writers(tmp_path, suffix):
    import neo

    if suffix == ".nix":
        pytest.importorskip("nixio")
    path = tmp_path / f"a{suffix}"
    io = neo.io.NixIO(str(path), "ow") if suffix == ".nix" else neo.io.NeoMatlabIO(str(path))
    io.write_block(neo_block()) if suffix == ".mat" else io.write_all_blocks([neo_block()])
    if suffix == ".nix":
        io.close()
    check(load(path))


def test_matlab_7_3_is_read_as_the_hdf5_it_is(tmp_path):
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["current_pA"], file["voltage_mV"] = (amps() * 1e12)[:, None], (volts() * 1e3)[:, None]
        file["dt_ms"] = np.array([[0.1]])
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(128))
    check(load(path), 1)


@pytest.mark.parametrize("make", [winwcp, axograph])
def test_a_damaged_file_is_one_clear_error_or_sound(tmp_path, make):
    source = make(tmp_path / f"x{'.wcp' if make is winwcp else '.axgd'}")
    whole, rng = source.read_bytes(), np.random.default_rng(7)
    refused = 0
    for k in range(60):
        data = bytearray(whole)
        for at in rng.integers(0, 1300, 4):
            data[at] = rng.integers(0, 256)
        source.write_bytes(bytes(data[: rng.integers(1, len(data))] if k % 6 == 0 else data))
        try:
            for sweep in load(source):
                assert np.isfinite(sweep.current).all()
        except RecordingError:
            refused += 1
    assert refused


class TestIgor:
    def test_a_pair_is_given_and_never_guessed(self):
        with pytest.raises(StimulusError, match=r"which wave is its current .* ad1_cell\.ibw"):
            load(WAVES / "ad0_cell.ibw")
        for current in ("ad1_cell.ibw", ("ad0", "ad1"), WAVES / "ad1_cell.ibw"):
            recording = load(WAVES / "ad0_cell.ibw", current=current)
            assert [s.current.max().round(3) for s in recording] == [100, 50]
            assert [len(s.spike_times) for s in recording] == [2, 0]
        np.testing.assert_allclose(recording[0].voltage, volts() * 1e3, atol=1e-4)

    def test_units_are_asked_for_and_pairs_checked(self):
        with pytest.raises(RecordingError, match=r"names no unit.*give current_unit="):
            load(WAVES / "ad0_cell.ibw", current="ad2_cell.ibw")
        assert load(WAVES / "ad0_cell.ibw", current="ad2_cell.ibw", current_unit="A")[0].current.max().round() == 100
        with pytest.raises(StimulusError, match="no current wave ad9_cell"):
            load(WAVES / "ad0_cell.ibw", current=("ad0", "ad9"))
        with pytest.raises(StimulusError, match="give the voltage wave"):
            load(WAVES / "ad1_cell.ibw", current="ad0_cell.ibw")
        with pytest.raises(StimulusError, match="two texts"):
            load(WAVES / "ad0_cell.ibw", current=("x", "y"))
        with pytest.raises(RecordingError, match=r"damaged|Igor wave"):
            load(WAVES / "ad0_cell.ibw", current=Path(__file__))


class TestInMemory:
    def test_neo_block_and_segment(self):
        check(load(neo_block()))
        check(load(neo_block().segments[0]), 1)
        assert len(load(neo_block(), sweeps=["s1"])) == 1
        with pytest.raises(RecordingError, match="takes no option 'electrode'"):
            load(neo_block(), electrode="x")

    def test_pynapple(self):
        nap = pytest.importorskip("pynapple")
        t = 5.0 + np.arange(2000) * 1e-4
        current, voltage = nap.Tsd(t, amps() * 1e9), nap.Tsd(t, volts())
        check(from_pynapple(current, voltage, current_unit="nA", voltage_unit="V"), 1)
        epochs = nap.IntervalSet([5.0, 5.1], [5.09995, 5.3])
        given = from_pynapple(current, spikes=nap.Ts([5.05, 5.15]), epochs=epochs, current_unit="nA")
        assert [s.spike_times.round(6).tolist() for s in given] == [[50.0], [50.0]]
        with pytest.raises(RecordingError, match="neither voltage nor spikes"):
            from_pynapple(current)
        with pytest.raises(RecordingError, match="current_unit='xA'"):
            from_pynapple(current, voltage, current_unit="xA")


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"DATA", "HEKA"),
        (b"eerT", r"HEKA.*give the \.dat"),
        (b"\xd0\xcf\x11\xe0", "Excel"),
        (b"SQLite format 3", "database"),
    ],
)
def test_known_formats_that_are_not_read_say_why_and_the_way_round(tmp_path, head, says):
    path = tmp_path / "a.dat"
    path.write_bytes(head + bytes(500))
    with pytest.raises(RecordingError, match=says) as caught:
        load(path)
    assert any(way in str(caught.value) for way in ("export", "save", "give"))


def test_in_memory_samples_are_those_of_the_files(tmp_path):
    v, i = samples()
    sweep = load(winwcp(tmp_path / "a.wcp", 1))[0]
    np.testing.assert_allclose(sweep.voltage, v, atol=0.01)
    np.testing.assert_allclose(sweep.current, i, atol=0.1)


def test_neo_is_not_imported_to_tell_an_object_from_a_path():
    code = (
        "import sys; from ephysfit.data.in_memory import is_neo_object; is_neo_object('a.nwb'); "
        "print('neo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
