"""HEKA Patchmaster: a real bundle, read beside other parsers, and bundles laid out by hand in every other way."""

import random
import re
import struct
import time

import heka_files
import numpy as np
import pytest
from heka_files import heka
from places import PIECES, piece, pieces, wholes

from ephysfit.data.contents import contents
from ephysfit.data.loading import info, load
from ephysfit.data.suffixes import is_recording
from ephysfit.errors import RecordingError

REAL = [*pieces("steps_heka"), *wholes("heka/step_series.dat")]
#: scale of the real file's samples, V, and its sampling step, s
SCALE, POINTS = 3.126413331388561e-05, 25_000


def part(path, name):
    """An item of a little-endian bundle."""
    data = path.read_bytes()
    for k in range(12):
        start, length, ending = struct.unpack_from("<ii8s", data, 64 + 16 * k)
        if ending.startswith(name):
            return data[start : start + length]
    raise AssertionError(name)


def traces(path):
    """Records of sweeps and traces of the real file's series of one trace per sweep, at the places of the format."""
    pulse = part(path, b".pul")
    sizes = struct.unpack_from("<5i", pulse, 8)
    first = 28 + sum(size + 4 for size in sizes[:3])
    each = sizes[3] + sizes[4] + 8
    for at in range(first, len(pulse), each):
        yield pulse[at : at + sizes[3]], pulse[at + sizes[3] + 4 :][: sizes[4]]


@pytest.mark.parametrize("path", REAL)
class TestReal:
    def test_samples_equal_their_bytes(self, path):
        recording, data = load(path, block="keep"), path.read_bytes()
        records = list(traces(path))
        assert len(recording) == len(records) in (3, 50)
        for k, (sweep, (_, trace)) in enumerate(zip(recording, records, strict=True)):
            raw = np.frombuffer(data, "<i2", POINTS, 256 + 2 * POINTS * k)
            np.testing.assert_allclose(sweep.voltage, raw * SCALE * 1e3, rtol=1e-12)
            # Patchmaster stores lowest and highest voltage of a trace too, in V
            lowest, highest = struct.unpack_from("<dd", trace, 224)
            np.testing.assert_allclose(
                [sweep.voltage.min(), sweep.voltage.max()], [lowest * 1e3, highest * 1e3], atol=1e-4
            )

    def test_samples_equal_pyheka(self, path):
        """Another parser of the same bytes."""
        pyheka = pytest.importorskip("pyheka")
        with pyheka.Bundle(str(path)) as bundle:
            for k, sweep in enumerate(load(path, block="keep")):
                np.testing.assert_allclose(sweep.voltage, 1e3 * np.asarray(bundle.data[0, 0, k, 0]), rtol=1e-12)

    def test_command_is_holding_plus_step(self, path):
        recording = load(path, block="keep")
        numbers = [struct.unpack_from("<i", sweep, 44)[0] for sweep, _ in traces(path)]
        assert numbers[:2] in ([1, 21], [1, 2])
        # the amplifier's own state, in a third tree, holds the holding current too, in A
        amplifier = part(path, b".amp")
        first = 8 + 4 * 3 + 80 + 4 + 16 + 4 + 112
        (holding,) = struct.unpack_from("<d", amplifier, first + 144)
        assert amplifier[first + 237] == 2  # current clamp
        for sweep, number in zip(recording, numbers, strict=True):
            assert sweep.current[[0, 2499, 17_500, 24_999]] == pytest.approx(holding * 1e12, abs=1e-9)
            step = sweep.current[2500:17_500] - holding * 1e12
            np.testing.assert_allclose(step, -100 + 20 * (number - 1), atol=1e-9)
        # the amplifier went from holding the voltage to holding the current that it took: the cell stays where it was
        (voltage,) = struct.unpack_from("<d", amplifier, first + 112)
        assert recording[0].voltage[:2500].mean() == pytest.approx(voltage * 1e3, abs=3)

    def test_cell_follows_its_current(self, path):
        """Steps and voltage belong together: charging begins at the edges, resistances are those of a cell."""
        recording = load(path, block="keep")
        steps = np.array([s.current[5000] - s.current[0] for s in recording])
        moved = np.array([np.median(s.voltage[5000:17_500]) - s.voltage[:2500].mean() for s in recording])
        resistance = np.polyfit(steps, moved, 1)[0] * 1e3
        assert 20 < resistance < 200  # MOhm
        assert moved[0] < -2
        counts = [len(s.spike_times) for s in recording]
        assert counts[0] == 0
        assert max(counts[len(counts) // 2 :]) >= 8
        mean = np.mean([s.voltage for s in recording.sweeps[-2:]], axis=0)
        for edge, sign in ((2500, 1), (17_500, -1)):  # the drop over the electrode comes with the sample after the edge
            jumps = sign * np.diff(mean[edge - 50 : edge + 5])
            assert jumps.argmax() == 50
            assert jumps[50] > 5 * np.abs(jumps[:50]).max()

    def test_the_piece_is_of_it(self, path):
        """The sweeps that were cut out have the currents and voltages of those numbers."""
        by_level = {round(sweep.current[5000]): sweep for sweep in load(path, block="keep")}
        for ours in load(piece("steps_heka"), block="keep"):
            theirs = by_level[round(ours.current[5000])]
            np.testing.assert_array_equal(ours.voltage, theirs.voltage)
            np.testing.assert_array_equal(ours.current, theirs.current)

    def test_facts(self, path):
        recording = load(path, block="keep")
        assert recording[0].dt == 0.04
        assert [s.name for s in recording][:2] == ["Sweep_1_1_1", "Sweep_1_1_2"]
        assert recording[0].start == 0
        times = [struct.unpack_from("<d", sweep, 48)[0] for sweep, _ in traces(path)]
        assert [s.start for s in recording] == pytest.approx([(t - times[0]) * 1e3 for t in times])
        assert {s.stimulus for s in recording} == {"cell 2 fp"}
        assert recording.facts["recorded"] == "2021-07-02 21:56:08"
        assert recording.facts["clamp"].startswith("current clamp")
        assert recording.facts["current"] == "the command, rebuilt from the stimulus tree"
        assert recording.warnings == ()
        blocked = {s.name for s in recording if any("depolarisation block" in w for w in s.warnings)}
        assert sum(len(s.warnings) for s in recording) == len(blocked)
        refused = load(path).rejected
        assert {r.name for r in refused} == blocked
        assert {len(recording): len(blocked)} in ({50: 20}, {3: 1})  # its largest steps silence the cell at -33 mV
        listed = contents(path)
        assert [h.name for h in listed] == [s.name for s in recording]
        assert {(h.duration_ms, h.dt_ms, h.refused) for h in listed} == {(1000.0, 0.04, "")}


def check(recording, sweeps=3):
    """Whether a recording of `heka` holds what was written."""
    assert len(recording) == sweeps
    for k, sweep in enumerate(recording):
        np.testing.assert_allclose(sweep.voltage, heka_files.voltage() * 1e3, rtol=1e-6)
        expected = np.full(heka_files.POINTS, -20.0)
        expected[500:1500] += 100 + 50 * k
        np.testing.assert_allclose(sweep.current, expected, atol=1e-9)
        assert sweep.start == pytest.approx(2000.0 * k)
        assert sweep.dt == 0.1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "layout",
    [
        {}, {"form": "i4"}, {"form": "f8"}, {"block": 300}, {"block": 300, "amps": True}, {"amps": True},
        {"separate": True}, {"sizes": (544, 128, 1408, 160, 408)}, {"stimulus_sizes": (1144, 248, 400, 80)},
        {"trace": {"TrZeroData": 0.01}},
    ],
    ids=str,
)  # fmt: skip
def test_every_layout_gives_the_same(tmp_path, order, layout):
    recording = load(heka(tmp_path / "cell.dat", order, **layout), test_pulse="keep")
    check(recording)
    source = "a recorded trace" if layout.get("amps") else "the command, rebuilt from the stimulus tree"
    assert recording.facts["current"] == source


def test_levels_that_do_not_count_from_holding(tmp_path):
    recording = load(
        heka(tmp_path / "cell.dat", channel={"chStimToDacID": 1, "chHolding": 0.0}, trace={"TrTrHolding": 0})
    )
    assert [s.current[1000] for s in recording] == pytest.approx([100, 150, 200])
    assert {s.current[0] for s in recording} == {0.0}


def test_a_deleted_sweep_keeps_the_levels_of_the_others(tmp_path):
    """The level follows the number of the sweep, not its position."""
    path = heka(tmp_path / "cell.dat", sweeps=2, sweep={"SwSweepCount": 3}, stimulus={"stNumberSweeps": 5})
    assert [s.current[1000] for s in load(path)] == pytest.approx([180, 180])


def test_a_stopped_sweep_has_the_beginning_of_its_command(tmp_path):
    recording = load(heka(tmp_path / "cell.dat", trace={"TrDataPoints": 700}))
    assert {s.steps for s in recording} == {700}
    assert [s.current[[0, 699]].tolist() for s in recording] == [
        pytest.approx([-20, 80]), pytest.approx([-20, 130]), pytest.approx([-20, 180])]  # fmt: skip


REFUSED = {
    "file": ({"channel": {"chStimToDacID": 0b111}}, "plays a file of samples"),
    "no scale": ({"channel": {"chStimToDacID": 2}}, "without its stimulus scale"),
    "scaled": ({"channel": {"chStimToDacID": 0b100011}}, "is scaled"),
    "unknown flags": ({"channel": {"chStimToDacID": 0x4003}}, "flags of unknown meaning"),
    "unit": ({"channel": {"chDacUnit": "mV"}}, r"no analog output .* is in A \(units: 'mV'\)"),
    "off": ({"channel": {"chDacMode": 0}}, r"no analog output .*units: none"),
    "clamp of output": ({"channel": {"chAmplMode": 1}}, "meant for voltage clamp"),
    "offset": ({"channel": {"chDacOffset": 0.1}}, "offset of 0.1"),
    "sine added": ({"channel": {"chHasLockInSine": 1}}, "sine, square or chirp"),
    "last level": ({"channel": {"chSetLastSegVmemb": 1}}, "change the holding current"),
    "break": ({"channel": {"chBreakMode": 1}}, "another segment at a threshold"),
    "other sweep": ({"channel": {"chStimSweep": 2}}, "levels from another sweep"),
    "holding": ({"trace": {"TrTrHolding": -30e-12}}, "current is -20 pA in the stimulus and -30 pA in the trace"),
    "unit of holding": ({"channel": {"chHolding": -20.0}}, "-20000 pA in the stimulus and -20 pA"),
    "ramp": ({"segment": {"seClass": 1}}, "segment 2 of the stimulus is a ramp"),
    "sine": ({"segment": {"seClass": 3}}, "is a sine wave"),
    "unknown class": ({"segment": {"seClass": 77}}, "segment of kind 77"),
    "parameter": ({"segment": {"seVoltageSource": 2}}, "level from a parameter"),
    "decrease": ({"segment": {"seVoltageIncMode": 1}}, "not rebuilt .decrease, factor 1"),
    "alternate": ({"segment": {"seVoltageIncMode": 4}}, "alternate"),
    "logarithmic": ({"segment": {"seVoltageIncMode": 5, "seDeltaVFactor": 2.0}}, "logarithmic increase, factor 2"),
    "factor": ({"segment": {"seDeltaVFactor": 2.0}}, "increase, factor 2"),
    "length": ({"segment": {"seDeltaTIncrement": 0.01}}, "changes its length"),
    "length of a parameter": ({"segment": {"seDurationSource": 3}}, "takes it from a parameter"),
    "not whole": ({"segment": {"seDuration": 0.10005}}, "no whole number of samples"),
    "not a number": ({"segment": {"seDuration": float("nan")}}, "no whole number of samples"),
    "not stored": ({"segment": {"seStoreKind": 0}, "at": 0}, "segment 1 of the stimulus was played and not stored"),
    "first sweep only": ({"segment": {"seStoreKind": 2}, "at": 0}, "played and not stored"),
    "begins later": ({"stimulus": {"stDataStartSegment": 1}}, "its beginning were not stored"),
    "chirp": ({"stimulus": {"stHasChirp": 1}}, "contains a chirp"),
    "shifted": ({"trace": {"TrXStart": 0.005}}, "begins 5 ms apart"),
    "too short": ({"segment": {"seDuration": 0.05}}, "2000 samples and its stimulus 1500"),
    "no such stimulus": ({"sweep": {"SwStimCount": 2}}, "played stimulus 2, and the file holds 1"),
    "sweep beyond": ({"sweep": {"SwSweepCount": 9}}, "sweep 9 of a stimulus of 3"),
    "older trees": ({"stimulus_sizes": (584, 248, 392, 80)}, "of another version of Patchmaster"),
    "linked elsewhere": ({"channels": [{"chDacUnit": "V", "chDacChannel": 0}], "trace": {"TrLinkDAChannel": 2}},
                         "output 2 of the stimulus, which commands no current"),
    "two outputs": ({"channels": [{"chDacChannel": 1}], "trace": {"TrLinkDAChannel": 0}}, "2 outputs .* names none"),
    "one converter": ({"channels": [{}]}, "at the same converter"),
}  # fmt: skip


@pytest.mark.parametrize(("how", "says"), REFUSED.values(), ids=REFUSED)
def test_a_command_that_is_not_known_is_refused_and_may_be_given(tmp_path, how, says):
    path = heka(tmp_path / "cell.dat", **how)
    with pytest.raises(RecordingError, match=rf"{says}.*give command="):
        load(path)
    assert "give command=" in info(path).problem
    known = load(path, command=np.tile(np.arange(3.0)[:, None], heka_files.POINTS), leak="keep")
    assert [s.current[0] for s in known] == [0, 1, 2]
    assert known.facts["current"] == "given as command="


def test_a_channel_that_shares_its_times_must_have_the_same(tmp_path):
    other = {"chDacChannel": 1, "chOwnSegTime": 0}
    how = {"channel": {"chDacUnit": "V"}, "channels": [other | {"chDacUnit": "A"}], "trace": {"TrLinkDAChannel": 2}}
    check(load(heka(tmp_path / "cell.dat", **how)))
    path = heka(tmp_path / "cell.dat", **how, segment={"seDuration": 0.2})
    with pytest.raises(RecordingError, match="share their times"):
        load(path)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"trace": {"TrRecordingMode": 3}}, "'Vmon-1' was recorded in mode 'whole-cell', which is voltage clamp"),
        ({"trace": {"TrRecordingMode": 5}}, "in mode 'voltage clamp'; if"),
        ({"trace": {"TrRecordingMode": 6}, "channel": {"chAmplMode": 1}}, "in mode 'voltage clamp'; if"),
    ],
)
def test_voltage_clamp_is_refused(tmp_path, how, says):
    path = heka(tmp_path / "cell.dat", amps=True, **how)
    with pytest.raises(RecordingError, match=says):
        load(path)
    assert all(re.search(says, h.refused) for h in contents(path))
    check(load(path, clamp="current"))


def test_sweeps_of_voltage_clamp_are_left_out(tmp_path):
    path = heka(tmp_path / "cell.dat", trace=lambda g, k: {"TrRecordingMode": 3 if k == 1 else 4})
    recording = load(path)
    assert [s.name for s in recording] == ["Sweep_1_1_1", "Sweep_1_1_3"]
    assert [s.current[1000] for s in recording] == pytest.approx([80, 180])
    assert [r.name for r in recording.rejected] == ["Sweep_1_1_2"]
    assert "voltage clamp" in recording.rejected[0].reason


def test_the_only_group_of_current_clamp_is_taken(tmp_path):
    path = heka(tmp_path / "day.dat", groups=("a", "b"), trace=lambda g, k: {"TrRecordingMode": 4 if g else 3})
    recording = load(path)
    assert recording.cell == "day_b"
    assert [s.current[1000] for s in recording] == pytest.approx([80, 130, 180])


def test_a_folder_is_searched_for_bundles_but_not_for_other_dat_files(tmp_path):
    (tmp_path / "table.dat").write_text("1 2 3\n")
    assert is_recording(heka(tmp_path / "cell.dat"))
    assert not is_recording(tmp_path / "table.dat")
    assert not is_recording(tmp_path / "missing.dat")


def test_a_mode_that_is_not_stored_is_judged_by_the_traces(tmp_path):
    recording = load(heka(tmp_path / "cell.dat", trace={"TrRecordingMode": 6}, channel={"chAmplMode": 0}))
    check(recording)
    assert "judged by the traces" in recording.facts["clamp"]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"trace": {"TrAverageCount": 4}}, "is the mean of 4 sweeps"),
        ({"trace": {"TrLeakTraces": 4}}, "4 leak sweeps subtracted"),
        ({"trace": {"TrDataKind": 0b11}}, "no sampled trace is in V"),
        ({"trace": {"TrDataKind": 0b101}}, "no sampled trace is in V"),
        ({"trace": {"TrYUnit": "mV"}}, "no sampled trace is in V; traces: 0: 'Vmon-1' in mV"),
        ({"trace": {"TrXUnit": "Hz"}}, "sampled along 'Hz', not time"),
        ({"trace": {"TrDataScaler": 0.0}}, "scale of 0"),
        ({"trace": {"TrDataFormat": 9}}, "unknown format"),
        ({"form": "f4", "trace": {"TrDataScaler": 2.0}}, "whether they are scaled already is not known"),
        ({"trace": {"TrDataPedestal": 1.0}}, "pedestal of 1"),
        ({"trace": {"TrYUnit": "V"}, "amps": True, "amp": {"TrYUnit": "V"}}, "2 traces in V .* give voltage_channel="),
        ({"amps": True, "amp": {"TrXInterval": 2e-4}}, "sampled at different times .* use_command=True"),
        ({"trace": {"TrDataPoints": 2**30}}, "traces claim .* bytes"),
        ({"trace": {"TrData": 2**30}}, "does not fit in"),
        ({"trace": {"TrData": -4}}, "does not fit in"),
        ({"trace": {"TrDataPoints": -4}}, "does not fit in"),
        ({"block": 300, "trace": {"TrInterleaveSkip": 10}}, "lies in blocks of 600 bytes every 10"),
        ({"sizes": (640, 144, 1728, 352, 528)}, "trace records of 528 bytes"),
        ({"sweeps": 0}, "holds no sweeps"),
    ],
    ids=str,
)
def test_traces_that_are_no_recorded_potential_are_refused(tmp_path, how, says):
    with pytest.raises(RecordingError, match=says):
        load(heka(tmp_path / "cell.dat", **how))


def test_channels_are_chosen_by_position(tmp_path):
    path = heka(tmp_path / "cell.dat", amps=True, amp={"TrYUnit": "V"})
    check(load(path, voltage_channel=0))
    with pytest.raises(RecordingError, match=r"current_channel=0: not a sampled trace in A"):
        load(path, voltage_channel=0, current_channel=0)
    both = heka(tmp_path / "both.dat", amps=True)
    check(load(both, voltage_channel=0, current_channel=1))
    assert load(both, use_command=True).facts["current"].startswith("the command")


def test_a_group_is_a_cell(tmp_path):
    path = heka(tmp_path / "day.dat", groups=("E-1", "E-2"))
    with pytest.raises(RecordingError, match=r"2 groups hold sweeps \(0: 'E-1' \(3 sweeps\), .*give group="):
        load(path)
    for wanted in ("E-2", 1):
        recording = load(path, group=wanted)
        assert recording.cell == "day_E-2"
        assert [s.name for s in recording] == ["Sweep_2_1_1", "Sweep_2_1_2", "Sweep_2_1_3"]
    with pytest.raises(RecordingError, match="no group 'E-3' with sweeps"):
        load(path, group="E-3")
    assert [(h.cell, h.position) for h in contents(path)][2:4] == [("day_E-1", 2), ("day_E-2", 0)]
    with pytest.raises(RecordingError, match="2 groups are called 'E'"):
        load(heka(tmp_path / "same.dat", groups=("E", "E")), group="E")


def test_trees_beside_are_needed(tmp_path):
    path = heka(tmp_path / "cell.dat", separate=True)
    path.with_suffix(".pgf").unlink()
    with pytest.raises(RecordingError, match=r"no stimulus tree \(\.pgf\)"):
        load(path)
    path.with_suffix(".pul").unlink()
    with pytest.raises(RecordingError, match=r"copy the \.pul and \.pgf files"):
        load(path)


@pytest.mark.parametrize("length", [8, 100, 256, 300, 12_300, 15_000])
def test_truncated_files_are_refused(tmp_path, length):
    path = heka(tmp_path / "cell.dat")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(RecordingError, match="truncated"):
        load(path)


def test_counts_and_sizes_that_lie_are_refused_soon(tmp_path):
    """Numbers of the trees replaced by the largest, the smallest and others: an error or a sound recording, at once."""
    path, dice = heka(tmp_path / "cell.dat", sweeps=2), random.Random(3)
    whole, first = path.read_bytes(), 256 + 2 * 2 * heka_files.POINTS
    refused = []
    begin = time.process_time()
    for _ in range(300):
        data = bytearray(whole)
        at = dice.choice(
            (dice.randrange(first, len(whole) - 4), first + 4 * dice.randrange(8), 64 + 4 * dice.randrange(12))
        )
        struct.pack_into("<i", data, at, dice.choice((2**31 - 1, -(2**31), -1, 0, 1, 10**6)))
        path.write_bytes(data)
        try:
            found = load(path, spikes={"height": 20})
        except RecordingError as error:
            refused.append(str(error))
        else:
            assert all(np.isfinite(sweep.current).all() for sweep in found)
    assert len(refused) > 30
    assert [said for said in refused if path.name not in said] == []
    assert time.process_time() - begin < 60


def test_the_piece_has_its_licence():
    assert "BSD 3-Clause" in (PIECES / "LICENSE-patchview").read_text()
