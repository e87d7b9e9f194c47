"""Igor waves on the shell, text waves, planned currents, and options of tables from the command line."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ephysfit.cli import app
from ephysfit.cli.arguments import parse_options
from ephysfit.data.loading import info, load
from ephysfit.errors import FitError, RecordingError, ScoreError, StimulusError
from ephysfit.fitting.fit import fit
from ephysfit.metrics import score

WAVES = Path(__file__).parent / "waves"


def text_wave(words=("drug", "wash", "12")):
    """An Igor text wave in version 5, made of a wave of numbers: npnts, type and shape changed, words and their ends
    behind."""
    raw = (WAVES / "ad0_cell.ibw").read_bytes()
    head, wave = bytearray(raw[:64]), bytearray(raw[64:384])
    data = "".join(words).encode()
    ends = b"".join(struct.pack("<i", end) for end in np.cumsum([len(word) for word in words]))
    struct.pack_into("<ih", wave, 12, len(words), 0)
    struct.pack_into("<4i", wave, 68, len(words), 0, 0, 0)
    wave[28:60] = b"labels".ljust(32, b"\0")
    head[2:4] = b"\0\0"
    struct.pack_into("<i", head, 4, 320 + len(data))
    head[8:64] = bytes(56)
    struct.pack_into("<i", head, 52, len(ends))
    total = int(np.frombuffer(bytes(head) + bytes(wave), "<i2").astype(int).sum())
    struct.pack_into("<H", head, 2, -total & 0xFFFF)
    return bytes(head) + bytes(wave) + data + ends


def experiment(path, *waves):
    """A packed experiment of these waves."""
    path.write_bytes(b"".join(struct.pack("<Hhi", 3, 0, len(wave)) + wave for wave in waves))
    return path


class TestIgor:
    def test_the_likely_current_comes_first_and_the_way_on_the_shell(self, tmp_path):
        for name in ("ad0_cell", "ad1_cell", "ad2_cell"):
            shutil.copy(WAVES / f"{name}.ibw", tmp_path)
        with pytest.raises(StimulusError) as caught:
            load(tmp_path / "ad0_cell.ibw")
        said = str(caught.value)
        assert "give current='ad1_cell.ibw', or for all waves named so current=('ad0', 'ad1')" in said
        assert "-O current=ad0,ad1" in said
        pair = load(tmp_path / "ad0_cell.ibw", **parse_options(["current=ad0,ad1"]))
        np.testing.assert_array_equal(
            pair[0].current, load(tmp_path / "ad0_cell.ibw", current=("ad0", "ad1"))[0].current
        )

    def test_many_waves_beside_it_do_not_fill_the_screen(self, tmp_path):
        for k in range(60):
            shutil.copy(WAVES / "ad0_cell.ibw", tmp_path / f"a_wave_with_a_name_{k}.ibw")
        with pytest.raises(StimulusError, match="and 53 more") as caught:
            load(tmp_path / "a_wave_with_a_name_7.ibw")
        assert len(str(caught.value)) < 700

    def test_a_text_wave_is_no_signal(self, tmp_path):
        (tmp_path / "labels.ibw").write_bytes(text_wave())
        with pytest.raises(RecordingError, match="holds text, no samples"):
            load(tmp_path / "labels.ibw")

    def test_text_waves_of_an_experiment_are_no_signals(self, tmp_path):
        voltage, current = ((WAVES / f"ad{k}_cell.ibw").read_bytes() for k in (0, 1))
        ask = {"voltage_channel": 0, "current_channel": 2}
        plain = load(experiment(tmp_path / "a.pxp", voltage, current), **ask)
        worded = load(experiment(tmp_path / "b.pxp", text_wave(), voltage, current), **ask)
        np.testing.assert_array_equal(worded[0].voltage, plain[0].voltage)
        assert worded.n_spikes == plain.n_spikes == 2


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.csv"
    path.write_text("time_ms,current_pA\n" + "\n".join(f"{k / 10:.6g},{k % 700}" for k in range(5000)))
    return path


class TestPlanned:
    def test_one_sweep_to_simulate(self, plan):
        for how in ("auto", "given"):
            recording = load(plan, planned=True, spikes=how)
            assert [(s.steps, s.voltage, s.spike_source) for s in recording] == [(5000, None, "none")]
            assert recording.planned == ("0",)

    def test_without_it_the_way_is_named(self, plan):
        with pytest.raises(RecordingError, match="planned=True for a current that is yet to be injected"):
            load(plan)
        with pytest.raises(RecordingError, match="it is a planned current"):
            load(plan, planned=True, spikes="detect")

    def test_nothing_is_fitted_to_it_or_scored_against_it(self, plan):
        recording = load(plan, planned=True)
        with pytest.raises(FitError, match="planned current"):
            fit(recording, "LIF")
        with pytest.raises(ScoreError, match="is planned and was never recorded"):
            score([[1.0]], recording)


class TestShell:
    def test_names_and_lines_to_skip(self, tmp_path):
        rows = "\n".join(f"{k / 10:.6g} {k % 7} {-65 + k % 3}" for k in range(3000))
        (tmp_path / "cell.txt").write_text("cell 9\n1 2 3\n" + rows)
        options = ["skip=2", "names=time,current,voltage", "units.time=ms", "units.current=pA", "units.voltage=mV",
                   "clamp=current"]  # fmt: skip
        done = CliRunner().invoke(
            app, ["info", str(tmp_path / "cell.txt"), "--json", *[a for o in options for a in ("-O", o)]]
        )
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert found["sweeps"][0]["duration_ms"] == 300
        assert "numbers from line 3" in found["facts"]["table"]

    def test_separators_by_name(self, tmp_path):
        (tmp_path / "cell.txt").write_text("\n".join(f"{k},{k % 5}\t{-65 - k % 3},5" for k in range(3000)))
        options = ["separator=tab", "decimal=,", "names=current_pA,voltage_mV", "dt=0.1", "clamp=current"]
        recording = load(tmp_path / "cell.txt", **parse_options(options))
        assert recording[0].current[:3].tolist() == [0.0, 1.1, 2.2]


def test_single_precision_of_a_file_is_the_decimal_it_was(tmp_path):
    t = np.arange(2000) * 0.1
    arrays = {"current_pA": np.sin(t), "voltage_mV": -65 + np.sin(t)}
    for steps in ({"dt_ms": np.float32(0.1)}, {"dt_s": np.float32(1e-4)}, {"rate_kHz": np.float32(10)},
                  {"time_s": (t * 1e-3).astype(np.float32)}):  # fmt: skip
        np.savez(tmp_path / "a.npz", **arrays, **steps)
        assert load(tmp_path / "a.npz")[0].dt == 0.1
    assert info(tmp_path / "a.npz").sweeps[0].dt_ms == 0.1


@pytest.mark.parametrize("name", ["cell.nwb", "cell.abf", "cell.npz", "cell.parquet"])
@pytest.mark.parametrize("content", [b"x", b"\x07\x00\x1b" * 200])
def test_a_file_that_is_not_what_its_ending_says(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingError, match=r"does not begin as its ending says.*get it again"):
        load(tmp_path / name)


def test_a_table_under_another_ending_is_still_a_table(tmp_path):
    rows = "\n".join(f"{0.1 * k:.1f},{k % 7},{-65 + k % 3}" for k in range(500))
    (tmp_path / "cell.abf").write_text(f"time_ms,current_pA,voltage_mV\n{rows}\n", encoding="utf-8")
    assert load(tmp_path / "cell.abf")[0].steps == 500


def test_a_unit_that_cannot_be_says_how_it_is_overruled(tmp_path):
    (tmp_path / "cell.csv").write_text("time_ms,current_V,voltage_mV\n0,1,2\n0.1,1,3\n0.2,2,2\n", encoding="utf-8")
    with pytest.raises(RecordingError, match=r"'V' is not a unit of current.*units=\{'current_V': \.\.\.\}"):
        load(tmp_path / "cell.csv")
    assert load(tmp_path / "cell.csv", units={"current_V": "pA"})[0].current.tolist() == [1.0, 1.0, 2.0]
