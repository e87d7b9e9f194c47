"""NWB 2 in every layout seen in the wild."""

import time

import h5py
import numpy as np
import pytest
from nwb_files import Lab, VoltageClampStimulusSeries, amps, volts
from places import SHARED, SHIPPED

from ephysfit.data.loading import load
from ephysfit.errors import RecordingError, StimulusError


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "cell.nwb")


def check(recording, n=1, level=100.0):
    assert len(recording) == n
    for sweep in recording:
        np.testing.assert_allclose(sweep.current, amps(level=level) * 1e12, atol=1e-9)
        assert sweep.spike_times == pytest.approx([49.0, 149.0], abs=0.4)
        assert sweep.dt == pytest.approx(0.1)


class TestPairing:
    def test_icephys_tables_win_over_everything(self, lab):
        """The table crosses the sweep numbers: rows count."""
        a = lab.response("r1", volts(), sweep_number=1)
        b = lab.response("r2", volts(spikes=()), sweep_number=2, start=1.0)
        s1 = lab.stimulus("s1", amps(level=30), sweep_number=1)
        s2 = lab.stimulus("s2", amps(level=70), sweep_number=2, start=1.0)
        rows = [lab.row(a, s2), lab.row(b, s1)]
        single = [lab.nwb.add_icephys_simultaneous_recording(recordings=[row]) for row in rows]
        lab.nwb.add_icephys_sequential_recording(simultaneous_recordings=single[:1], stimulus_type="Long Square")
        lab.nwb.add_icephys_sequential_recording(simultaneous_recordings=single[1:], stimulus_type="Ramp")
        recording = load(lab.save())
        found = {s.name: (s.current.max(), s.stimulus) for s in recording}
        assert found == {"r1": (pytest.approx(70), "Long Square"), "r2": (pytest.approx(30), "Ramp")}

    def test_rows_may_be_slices_of_one_long_series_and_may_lack_a_stimulus(self, lab):
        response = lab.response("all", np.concatenate([volts(), volts(spikes=())]))
        stimulus = lab.stimulus("cmd", np.concatenate([amps(), amps(level=50)]))
        for first in (0, 2000):
            lab.row(response, stimulus, response_start_index=first, response_index_count=2000,
                    stimulus_start_index=first, stimulus_index_count=2000)  # fmt: skip
        lab.row(lab.response("silent", volts(), start=2.0), None)
        recording = load(lab.save())
        assert [(s.start, s.steps, s.current.max().round()) for s in recording] == [(0, 2000, 100), (200, 2000, 50)]
        assert [(r.name, "no stimulus" in r.reason) for r in recording.rejected] == [("silent", True)]

    def test_sweep_numbers(self, lab):
        for k in (3, 1, 2):  # names and order say nothing
            lab.response(f"z{9 - k}", volts(), sweep_number=k, start=10.0 * k)
            lab.stimulus(f"a{k}", amps(level=10 * k), sweep_number=k, start=10.0 * k)
        recording = load(lab.save())
        assert [(s.name, s.current.max().round()) for s in recording] == [("z8", 10), ("z7", 20), ("z6", 30)]

    def test_sweep_numbers_with_two_electrodes(self, tmp_path):
        lab = Lab(tmp_path / "pair.nwb", ("left", "right"))
        for side, level in (("left", 40), ("right", 80)):
            lab.response(f"v_{side}", volts(), sweep_number=0, electrode=side)
            lab.stimulus(f"i_{side}", amps(level=level), sweep_number=0, electrode=side)
        path = lab.save()
        with pytest.raises(RecordingError, match=r"2 electrodes .*'left'.*'right'.*give electrode="):
            load(path)
        check(load(path, electrode="left"), level=40)
        check(load(path, electrode="right"), level=80)
        with pytest.raises(RecordingError, match="did you mean left"):
            load(path, electrode="lft")

    def test_bare_names_paired_by_time(self, lab):
        for k in range(3):
            lab.response(f"v{k}", volts(), start=5.0 * k)
        for k in (2, 0, 1):
            lab.stimulus(f"i{k}", amps(level=10 * (k + 1)), start=5.0 * k)
        assert [s.current.max().round() for s in load(lab.save())] == [10, 20, 30]

    def test_bare_names_without_a_clock_paired_by_order_only_if_counts_agree(self, lab):
        for k in range(2):
            lab.response(f"v{k}", volts())
            lab.stimulus(f"i{k}", amps(level=10 * (k + 1)))
        assert [s.current.max().round() for s in load(lab.save())] == [10, 20]

    def test_unequal_counts_without_a_clock_are_refused(self, lab):
        lab.response("v0", volts())
        lab.response("v1", volts())
        lab.stimulus("i0", amps())
        with pytest.raises(StimulusError, match="no stimulus series belongs to it"):
            load(lab.save())

    def test_deprecated_sweep_table(self, lab):
        """The table alone says which stimulus belongs to which response: no clock, no numbers at the series."""
        for k in range(3):
            lab.response(f"v{k}", volts(), sweep_number=k)
            lab.stimulus(f"i{k}", amps(level=10 * (k + 1)), sweep_number=2 - k)
        with h5py.File(lab.save(), "a") as file:
            sweeps = file["general/intracellular_ephys"].create_group("sweep_table")
            series = [file[f"{where}{k}"] for k in range(3) for where in ("acquisition/v", "stimulus/presentation/i")]
            numbers = [s.attrs["sweep_number"] for s in series]
            sweeps["sweep_number"] = np.unique(numbers)
            rows = [[s.ref for s, n in zip(series, numbers, strict=True) if n == k] for k in range(3)]
            sweeps.create_dataset("series", data=[ref for row in rows for ref in row], dtype=h5py.ref_dtype)
            sweeps["series_index"] = np.cumsum([len(row) for row in rows])
            for s in series:
                del s.attrs["sweep_number"]
        assert [s.current.max().round() for s in load(lab.path)] == [30, 20, 10]

    if SHARED.is_dir():

        def test_deprecated_sweep_table_of_a_real_file(self):
            recording = load(SHARED / "nwb" / "LantyerEtAl2018_180817_ME_9_CC.nwb")
            plateau = [s.current[(s.times > 300) & (s.times < 400)].mean() for s in recording]
            np.testing.assert_allclose(plateau, np.arange(40, 401, 40), rtol=0.02)
            assert [len(t) for t in recording.spike_times] == [0, 0, 0, 9, 21, 27, 33, 37, 42, 46]


class TestSamples:
    def test_conversion_and_offset(self, lab):
        lab.response(
            "v", np.round(volts() * 1e5 + 1400).astype(np.int16), conversion=1e-5, offset=-0.014, sweep_number=0
        )
        lab.stimulus("i", np.round(amps() * 1e13).astype(np.int16), conversion=1e-13, sweep_number=0)
        recording = load(lab.save())
        check(recording)
        np.testing.assert_allclose(recording[0].voltage, volts() * 1e3, atol=0.006)

    @pytest.mark.parametrize(("unit", "factor"), [("mV", 1e3), ("millivolt", 1e3), ("V", 1.0)])
    def test_other_units_of_voltage(self, lab, unit, factor):
        lab.response("v", volts() * factor, sweep_number=0)
        lab.stimulus("i", amps(), sweep_number=0)
        with h5py.File(lab.save(), "a") as file:
            file["acquisition/v/data"].attrs["unit"] = unit
        check(load(lab.path))

    def test_a_voltage_that_is_no_voltage_is_refused(self, lab):
        lab.response("v", volts(), sweep_number=0)
        lab.stimulus("i", amps(), sweep_number=0)
        with h5py.File(lab.save(), "a") as file:
            file["acquisition/v/data"].attrs["unit"] = "amperes"
        with pytest.raises(RecordingError, match="unit 'amperes' where volts are wanted"):
            load(lab.path)

    def test_time_stamps(self, lab):
        stamps = 3.0 + np.arange(2000) * 1e-4
        lab.response("v", volts(), timestamps=stamps, sweep_number=0)
        lab.stimulus("i", amps(), timestamps=stamps, sweep_number=0)
        recording = load(lab.save())
        check(recording)
        assert recording[0].start == pytest.approx(3000)

    def test_a_gap_in_the_stamps_of_the_response_alone_is_refused(self, lab):
        stamps = np.arange(2000) * 1e-4
        stamps[1000:] += 5e-4
        lab.response("v", volts(), timestamps=stamps, sweep_number=0)
        lab.stimulus("i", amps(), sweep_number=0)
        with pytest.raises(RecordingError, match=r"time stamps of 'v' have gaps.*which samples belong together"):
            load(lab.save())

    def test_time_stamps_on_no_grid_are_refused(self, lab):
        stamps = np.arange(2000) ** 1.2 * 1e-4
        lab.response("v", volts(), timestamps=stamps, sweep_number=0)
        lab.stimulus("i", amps(), timestamps=stamps, sweep_number=0)
        with pytest.raises(RecordingError, match="leave a regular grid"):
            load(lab.save())

    def test_stimulus_of_other_rate_is_held_or_averaged_exactly(self, lab):
        lab.response("v0", volts(), sweep_number=0)
        lab.stimulus("i0", amps(400), rate=2000.0, sweep_number=0)
        lab.response("v1", volts(), sweep_number=1, start=9.0)
        lab.stimulus("i1", amps(8000), rate=40_000.0, sweep_number=1, start=9.0)
        check(load(lab.save()), n=2)

    def test_stimulus_of_incommensurable_rate_is_refused(self, lab):
        lab.response("v", volts(), sweep_number=0)
        lab.stimulus("i", amps(), rate=7777.0, sweep_number=0)
        with pytest.raises(StimulusError, match="neither is a multiple"):
            load(lab.save())

    def test_short_stimulus_cuts_the_response_and_says_so(self, lab):
        lab.response("v", volts(), sweep_number=0)
        lab.stimulus("i", amps()[:1000], sweep_number=0)
        sweep = load(lab.save())[0]
        assert sweep.duration == pytest.approx(100)
        assert any("100 ms of response without a known current" in w for w in sweep.warnings)

    def test_stimulus_that_starts_later_is_aligned_by_the_clock(self, lab):
        lab.response("v", volts(), sweep_number=0, start=1.0)
        lab.stimulus("i", amps()[100:], sweep_number=0, start=1.01)
        sweep = load(lab.save())[0]
        np.testing.assert_allclose(sweep.current, amps()[100:] * 1e12)
        assert sweep.spike_times[0] == pytest.approx(39.0, abs=0.4)

    def test_padding_of_an_aborted_sweep_is_cut(self, lab):
        v = volts()
        v[1200:] = np.nan
        lab.response("v", v, sweep_number=0)
        lab.stimulus("i", amps(), sweep_number=0)
        sweep = load(lab.save())[0]
        assert sweep.duration == pytest.approx(120)
        assert len(sweep.spike_times) == 1
        assert "aborted" in sweep.warnings[0]

    def test_hole_in_the_voltage_is_marked_and_hole_in_the_current_refused(self, lab):
        v, i = volts(), amps()
        v[700:800] = np.nan
        i[700:800] = np.nan
        lab.response("v0", v, sweep_number=0)
        lab.stimulus("i0", amps(), sweep_number=0)
        lab.response("v1", volts(), sweep_number=1, start=1.0)
        lab.stimulus("i1", i, sweep_number=1, start=1.0)
        recording = load(lab.save())
        assert recording[0].valid == ((0.0, 70.0), (80.0, 200.0))
        assert "missing (NaN) at 70 ms" in recording.rejected[0].reason

    def test_two_columns_are_refused_one_column_is_read(self, lab):
        for k in (0, 1):
            lab.response(f"v{k}", volts(), sweep_number=k, start=float(k))
            lab.stimulus(f"i{k}", amps(), sweep_number=k, start=float(k))
        with h5py.File(lab.save(), "a") as file:
            for k, n in ((0, 1), (1, 2)):
                facts = dict(file[f"acquisition/v{k}/data"].attrs)
                del file[f"acquisition/v{k}/data"]
                file[f"acquisition/v{k}/data"] = np.stack([volts()] * n, 1)
                file[f"acquisition/v{k}/data"].attrs.update(facts)
        recording = load(lab.path)
        check(recording)
        assert "(2000, 2)" in recording.rejected[0].reason


class TestTypes:
    def test_izero_and_voltage_clamp_are_rejected_by_type(self, lab):
        lab.response("good", volts(), sweep_number=0)
        lab.stimulus("i", amps(), sweep_number=0)
        lab.response("CurrentClamp_looks", amps(), kind="vc", sweep_number=1, start=1.0)
        lab.stimulus("vs", volts(), kind=VoltageClampStimulusSeries, sweep_number=1, start=1.0)
        lab.response("rest", volts(), kind="i0", sweep_number=2, start=2.0)
        recording = load(lab.save())
        check(recording)
        assert {r.name: r.reason.split(":")[0] for r in recording.rejected} == {
            "CurrentClamp_looks": "voltage clamp", "rest": "recorded with the current held at zero (I = 0)",
        }  # fmt: skip

    def test_nothing_but_voltage_clamp(self, lab):
        lab.response("vc", amps(), kind="vc")
        with pytest.raises(RecordingError, match=r"no usable current-clamp sweep.*voltage clamp"):
            load(lab.save())

    def test_a_type_of_an_extension_is_what_it_extends(self, lab):
        lab.response("v", volts(), sweep_number=0)
        lab.stimulus("i", amps(), sweep_number=0)
        with h5py.File(lab.save(), "a") as file:
            file["acquisition/v"].attrs["neurodata_type"] = "MyClampSeries"
            spec = '{"groups": [{"neurodata_type_def": "MyClampSeries", "neurodata_type_inc": "CurrentClampSeries"}]}'
            file.create_group("specifications/ndx-mine/0.1")["ndx-mine.extensions"] = spec
        check(load(lab.path))

    def test_amplifier_settings_and_bias(self, lab):
        lab.response(
            "v", volts(), sweep_number=0, bias_current=-20e-12, bridge_balance=15e6, capacitance_compensation=4e-12
        )
        lab.stimulus("i", amps(), sweep_number=0)
        path = lab.save()
        recording = load(path)
        check(recording)
        assert recording.electrode["bias_current_pA"] == pytest.approx(-20)
        assert recording.electrode["bridge_balance_MOhm"] == pytest.approx(15)
        assert recording.electrode["capacitance_compensation_pF"] == pytest.approx(4)
        assert "bias current of -20 pA is not part" in recording[0].warnings[0]
        assert load(path, add_bias=True)[0].current.max() == pytest.approx(80)

    def test_spike_times_of_a_units_table_where_there_is_no_voltage(self, lab):
        lab.stimulus("i0", amps(), start=1.0)
        lab.stimulus("i1", amps(), start=2.0)
        lab.nwb.add_unit(spike_times=[1.05, 1.15, 2.05])
        recording = load(lab.save())
        assert [s.spike_times.round(6).tolist() for s in recording] == [[50.0, 150.0], [50.0]]
        assert recording[0].voltage is None

    def test_several_units_must_be_chosen_from(self, lab):
        lab.stimulus("i0", amps())
        lab.nwb.add_unit(spike_times=[0.05])
        lab.nwb.add_unit(spike_times=[0.06, 0.07])
        path = lab.save()
        with pytest.raises(RecordingError, match="2 units and no voltage: give unit="):
            load(path)
        assert load(path, unit=1).n_spikes == 2

    def test_stimulus_with_no_answer_is_refused(self, lab):
        lab.stimulus("i0", amps())
        with pytest.raises(RecordingError, match="neither a response nor spike times"):
            load(lab.save())

    def test_a_file_without_patch_clamp(self, lab):
        with pytest.raises(RecordingError, match="holds no patch-clamp series"):
            load(lab.save())


def test_sweeps_are_chosen_before_samples_are_read():
    path = SHIPPED / "DRN164.nwb"
    assert [s.name for s in load(path, sweeps=["response_03"])] == ["response_03"]
    assert len(load(path, stimulus="test")) == 10
    assert load(path, sweeps=0)[0].duration == 60_000
    for wrong in ({"sweeps": ["response_99"]}, {"sweeps": [40]}, {"stimulus": "ramp"}):
        with pytest.raises(RecordingError, match="no sweep"):
            load(path, **wrong)


@pytest.mark.slow
def test_header_of_500_sweeps_in_about_a_second(tmp_path):
    lab = Lab(tmp_path / "many.nwb")
    for k in range(500):
        lab.response(f"v{k:04d}", volts(200, ()), sweep_number=k, start=float(k))
        lab.stimulus(f"i{k:04d}", amps(200), sweep_number=k, start=float(k))
    path = lab.save()
    begin = time.process_time()
    assert len(load(path, sweeps=["v0250"])) == 1
    assert time.process_time() - begin < 4.0  # about 1 s on an idle machine; pynwb takes 12
