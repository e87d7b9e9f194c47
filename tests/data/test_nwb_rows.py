"""NWB 2 as converters write it: sweeps as rows of one series, clocks with gaps, templates, units, wrong types."""

import h5py
import numpy as np
import pytest
from nwb_files import Lab, VoltageClampStimulusSeries, amps, volts
from pynwb.icephys import CurrentClampStimulusSeries
from test_clamp_mode import answer, command

from ephysfit.data.contents import contents
from ephysfit.data.loading import load
from ephysfit.errors import RecordingError

N = 2000


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "cell.nwb")


def stamps(*starts, n=N, dtype=float, offset=0.0, jitter=0.0):
    """Time stamps in s of stretches of n samples at 10 kHz that begin at these times, s."""
    t = np.concatenate([offset + start + np.arange(n) * 1e-4 for start in starts])
    return (t + np.random.default_rng(0).uniform(-jitter, jitter, t.size)).astype(dtype)


def in_one_series(lab, clock, stimulus_clock=None, rows=True, levels=(100.0, 50.0, 0.0)):
    """All sweeps in one series, as NeuroConv writes them; rows say where each begins."""
    trains = ((50.0, 150.0), (50.0,), ())
    v = lab.response("response", np.concatenate([volts(spikes=train) for train in trains]), **clock)
    i = lab.stimulus("stimulus", np.concatenate([amps(level=k) for k in levels]), **(stimulus_clock or clock))
    for k in range(3 if rows else 0):
        lab.row(v, i, response_start_index=k * N, response_index_count=N, stimulus_start_index=k * N,
                stimulus_index_count=N)  # fmt: skip
    return v, i


def agree(path, **options):
    """`contents` and `load` tell the same sweeps, name by name; each can be read by its name."""
    recording, listed = load(path, **options), contents(path, **options)
    usable = {h.name: h for h in listed if not h.refused}
    assert len({h.name for h in listed}) == len(listed)
    assert [s.name for s in recording] == list(usable)
    for sweep in recording:
        header = usable[sweep.name]
        assert (header.start_ms, header.duration_ms) == pytest.approx((sweep.start, sweep.duration))
        assert header.dt_ms == pytest.approx(sweep.dt)
        alone = listed[sweep.name]
        np.testing.assert_array_equal(alone.current, sweep.current)
        assert load(path, sweeps=[sweep.name], **options)[0].start == sweep.start
    return recording


THREE = [(100, [49.0, 149.0]), (50, [49.0]), (0, [])]


def three(recording, starts):
    assert [s.name for s in recording] == ["response[0]", "response[1]", "response[2]"]
    assert [s.start for s in recording] == pytest.approx(starts, abs=5e-3)
    assert [s.dt for s in recording] == [0.1] * 3
    for sweep, (level, train) in zip(recording, THREE, strict=True):
        np.testing.assert_allclose(sweep.current, amps(level=level) * 1e12, atol=1e-6)
        assert sweep.spike_times == pytest.approx(train, abs=0.4)


CLOCKS = {
    "gaps": {"timestamps": stamps(0, 11, 22)},
    "gaps far from zero, with jitter": {"timestamps": stamps(0, 11, 22, offset=1.6e9, jitter=2e-6)},
    "gaps in single precision": {"timestamps": stamps(0, 11, 22, dtype="f4")},
    "short gaps": {"timestamps": stamps(0, 0.2005, 0.401)},
    "no gap": {"rate": 1e4, "start": 0.0},
}
STARTS = {"gaps far from zero, with jitter": 1.6e12}


@pytest.mark.parametrize("kind", CLOCKS)
def test_rows_of_one_series_are_sweeps_on_their_own_clock(lab, kind):
    in_one_series(lab, CLOCKS[kind])
    recording = agree(lab.save())
    starts = {"short gaps": (0, 200.5, 401), "no gap": (0, 200, 400)}.get(kind, (0, 11_000, 22_000))
    three(recording, np.array(starts) + STARTS.get(kind, 0.0))
    _, test = recording.split(test=["response[1]"])
    assert [s.name for s in test] == ["response[1]"]


def test_a_response_with_gaps_and_a_stimulus_without_are_paired_by_their_rows(lab):
    in_one_series(lab, {"timestamps": stamps(0, 11, 22)}, {"rate": 1e4, "start": 0.0})
    three(agree(lab.save()), (0, 11_000, 22_000))


def test_a_series_with_gaps_and_no_rows_is_split_there_and_says_so(lab):
    in_one_series(lab, {"timestamps": stamps(0, 11, 22)}, rows=False)
    recording = agree(lab.save())
    three(recording, (0, 11_000, 22_000))
    assert all("one of 3 stretches of 'response', which has gaps" in " ".join(s.warnings) for s in recording)


def test_time_stamps_linked_from_another_series(lab):
    v = lab.response("response", np.concatenate([volts(spikes=t) for t in ((50.0, 150.0), (50.0,), ())]),
                     timestamps=stamps(0, 11, 22))  # fmt: skip
    lab.stimulus("stimulus", np.concatenate([amps(level=k) for k in (100, 50, 0)]), timestamps=v)
    three(agree(lab.save()), (0, 11_000, 22_000))


def test_one_row_over_all_of_a_series_with_gaps_is_split_too(lab):
    v, i = in_one_series(lab, {"timestamps": stamps(0, 11, 22)}, rows=False)
    lab.row(v, i)
    three(agree(lab.save()), (0, 11_000, 22_000))


def test_rows_that_point_to_nothing_or_beyond_the_end(lab):
    v = lab.response("v", volts())
    i = lab.stimulus("i", amps())
    lab.row(v, i, response_start_index=0, response_index_count=1000, stimulus_start_index=0, stimulus_index_count=1000)
    lab.row(v, i, response_start_index=1000, response_index_count=500, stimulus_start_index=1000,
            stimulus_index_count=500)  # fmt: skip
    path = lab.save()
    with h5py.File(path, "a") as file:
        table = file["general/intracellular_ephys/intracellular_recordings"]
        for name, first, count in (("responses/response", 1000, 5000), ("stimuli/stimulus", 0, 0)):
            values = table[name][()]
            values["idx_start"][1], values["count"][1] = first, count
            table[name][...] = values
    recording = load(path)
    assert [s.name for s in recording] == ["v[0]"]
    assert "points to samples 1000 to 6000 of acquisition/v, which has 2000" in recording.rejected[0].reason


def test_rows_of_nothing_leave_the_series_to_other_evidence(lab):
    v = lab.response("v", volts(), sweep_number=3)
    i = lab.stimulus("i", amps(), sweep_number=3)
    lab.row(v, i)
    path = lab.save()
    with h5py.File(path, "a") as file:
        table = file["general/intracellular_ephys/intracellular_recordings"]
        for name in ("responses/response", "stimuli/stimulus"):
            values = table[name][()]
            values["idx_start"], values["count"] = (-1, -1) if name.startswith("r") else (0, 0)
            table[name][...] = values
    assert [s.name for s in load(path)] == ["v"]


def test_rows_that_share_samples_say_so_and_repeated_rows_are_read_once(lab):
    v, i = lab.response("v", volts()), lab.stimulus("i", amps())
    for first in (0, 500, 500):
        lab.row(v, i, response_start_index=first, response_index_count=1000, stimulus_start_index=first,
                stimulus_index_count=1000)  # fmt: skip
    recording = load(lab.save())
    assert [s.name for s in recording] == ["v[0]", "v[1]"]
    assert "shares 500 samples with 'v[0]'" in recording[1].warnings
    assert [(r.name, r.reason) for r in recording.rejected] == [
        ("v[2]", "the same samples as 'v[1]': a row that is repeated")
    ]


def test_a_stimulus_of_another_range_and_rate(lab):
    v = lab.response("v", np.concatenate([np.full(500, -0.065), volts()]), start=7.0)
    i = lab.stimulus("i", np.concatenate([np.zeros(4000), amps(8000)]), rate=40_000.0, start=0.0)
    lab.row(
        v, i, response_start_index=500, response_index_count=N, stimulus_start_index=4000, stimulus_index_count=8000
    )
    sweep = agree(lab.save())[0]
    assert (sweep.start, sweep.steps) == (pytest.approx(7050), N)
    np.testing.assert_allclose(sweep.current, amps() * 1e12, atol=1e-6)


def test_a_name_that_is_taken_is_not_given_twice(lab):
    v, i = lab.response("v", np.concatenate([volts()] * 2)), lab.stimulus("i", np.concatenate([amps()] * 2))
    for first in (0, N):
        lab.row(v, i, response_start_index=first, response_index_count=N, stimulus_start_index=first,
                stimulus_index_count=N)  # fmt: skip
    lab.row(lab.response("v[1]", volts(), start=5.0), lab.stimulus("j", amps(), start=5.0))
    assert [s.name for s in agree(lab.save())] == ["v[0]", "v[1]'", "v[1]"]


class TestTemplates:
    def linked(self, lab, **columns):
        v = lab.response("v", volts(), start=7.0)
        template = CurrentClampStimulusSeries(
            name="step", data=amps(), electrode=lab.electrodes["electrode"], gain=1.0, rate=1e4, starting_time=0.0
        )
        lab.nwb.add_stimulus_template(template)
        names = dict.fromkeys(columns, template)
        lab.nwb.add_intracellular_recording(electrode=lab.electrodes["electrode"], response=v, **names)
        return lab.save()

    def test_one_in_the_column_of_stimuli_is_the_stimulus(self, lab):
        sweep = agree(self.linked(lab, stimulus=True))[0]
        assert sweep.start == pytest.approx(7000)
        np.testing.assert_allclose(sweep.current, amps() * 1e12, atol=1e-9)

    def test_one_in_the_column_of_templates_is_refused_by_name_and_taken_on_request(self, lab):
        path = self.linked(lab, stimulus_template=True)
        with pytest.raises(
            RecordingError, match=r"a template is linked \(step\), not what was injected.*use_template="
        ):
            load(path)
        sweep = load(path, use_template=True)[0]
        np.testing.assert_allclose(sweep.current, amps() * 1e12, atol=1e-9)
        assert "the template 'step' is taken as the current" in sweep.warnings

    def test_one_that_nothing_links_is_no_stimulus(self, lab):
        lab.nwb.add_stimulus_template(
            CurrentClampStimulusSeries(
                name="step", data=amps(), electrode=lab.electrodes["electrode"], gain=1.0, rate=1e4
            )
        )
        lab.response("v", volts())
        with pytest.raises(RecordingError, match="no stimulus series belongs to it"):
            load(lab.save())


class TestUnits:
    def two(self, lab):
        for k in range(2):
            lab.response(f"v{k}", volts(), start=5.0 * k, sweep_number=k)
            lab.stimulus(f"i{k}", amps(), start=5.0 * k, sweep_number=k)

    def test_spike_times_of_the_file_are_taken_where_it_has_them(self, lab):
        self.two(lab)
        lab.nwb.add_unit(spike_times=[0.0502, 0.1502, 5.0502, 5.1502, 90.0])
        recording = load(lab.save())
        assert [s.spike_source for s in recording] == ["given"] * 2
        assert [s.spike_times.round(6).tolist() for s in recording] == [[50.2, 150.2]] * 2
        assert {s.spike_source for s in load(lab.path, spikes="detect")} == {"detected"}
        assert len(load(lab.path, spikes="given")) == 2

    def test_missing_spike_times_are_left_out_and_said(self, lab):
        self.two(lab)
        lab.nwb.add_unit(spike_times=[0.0502, np.nan, 0.1502, 5.1502, 5.0502, np.nan])
        recording = load(lab.save())
        assert [s.spike_times.round(6).tolist() for s in recording] == [[50.2, 150.2]] * 2
        assert "1 spike times of unit 0 are missing (NaN) between others: left out" in recording.warnings

    def test_several_units_are_asked_about(self, lab):
        self.two(lab)
        lab.nwb.add_unit(spike_times=[0.0502])
        lab.nwb.add_unit(spike_times=[0.0502, 0.1502, 5.0502, 5.1502])
        path = lab.save()
        recording = load(path)
        assert "holds 2 units: unit= (a row from 0) takes one" in recording.warnings[0]
        assert recording.n_spikes == 4
        assert {s.spike_source for s in recording} == {"detected"}
        assert {s.spike_source for s in load(path, unit=1)} == {"given"}
        with pytest.raises(RecordingError, match="no unit 2"):
            load(path, unit=2)

    def test_sweeps_that_were_not_watched_are_looked_at(self, lab):
        self.two(lab)
        lab.nwb.add_unit(spike_times=[0.0502, 0.1502], obs_intervals=[[0.0, 0.2]])
        recording = load(lab.save())
        assert [(s.spike_source, len(s.spike_times)) for s in recording] == [("given", 2), ("detected", 2)]

    def test_times_that_lie_in_no_sweep_are_not_silence(self, lab):
        self.two(lab)
        lab.nwb.add_unit(spike_times=[100.05, 100.15])
        recording = load(lab.save())
        assert recording.n_spikes == 4
        assert "none of the 2 spike times of unit 0 lies in a sweep" in recording.warnings[0]

    def test_a_unit_that_misses_what_the_voltage_shows_is_said(self, lab):
        lab.response("v", volts(spikes=np.arange(10.0, 190.0, 15.0)), sweep_number=0)
        lab.stimulus("i", amps(), sweep_number=0)
        lab.nwb.add_unit(spike_times=[0.0102])
        assert "unit 0 gives 1 spikes, the voltage shows 12" in load(lab.save()).warnings[0]

    def test_one_unit_and_two_electrodes(self, tmp_path):
        lab = Lab(tmp_path / "pair.nwb", ("left", "right"))
        for side in ("left", "right"):
            lab.response(f"v_{side}", volts(), electrode=side, sweep_number=0)
            lab.stimulus(f"i_{side}", amps(), electrode=side, sweep_number=0)
        lab.nwb.add_unit(spike_times=[0.0502])
        path = lab.save()
        assert "several electrodes" in load(path, electrode="left").warnings[0]
        assert load(path, electrode="left", unit=0)[0].spike_source == "given"

    def test_a_unit_where_there_is_no_table(self, lab):
        self.two(lab)
        with pytest.raises(RecordingError, match="unit=1: the file has no units table"):
            load(lab.save(), unit=1)


class TestTypes:
    def test_current_clamp_written_as_voltage_clamp_is_read_on_request(self, lab):
        """What NeuroConv writes by default, whatever was recorded."""
        lab.row(lab.response("v", volts(), kind="vc"), lab.stimulus("i", amps(), kind=VoltageClampStimulusSeries))
        path = lab.save()
        with pytest.raises(RecordingError, match=r"voltage clamp: .*clamp='current' says that its numbers are volts"):
            load(path)
        sweep = load(path, clamp="current")[0]
        assert sweep.spike_times == pytest.approx([49.0, 149.0], abs=0.4)
        np.testing.assert_allclose(sweep.current, amps() * 1e12, atol=1e-9)

    def plain(self, path, unit, stimulus_unit):
        with h5py.File(path, "a") as file:
            for place, told in (("acquisition/v", unit), ("stimulus/presentation/i", stimulus_unit)):
                file[place].attrs["neurodata_type"] = "PatchClampSeries"
                file[place]["data"].attrs["unit"] = told
        return path

    def test_a_type_that_does_not_say_is_told_by_unit_and_by_the_traces(self, lab):
        lab.response("v", volts(), sweep_number=0)
        lab.stimulus("i", amps(), sweep_number=0)
        recording = load(self.plain(lab.save(), "volts", "amperes"))
        assert recording.n_spikes == 2
        assert "judged by the traces" in recording.facts["clamp"]

    def test_voltage_clamp_under_that_type_is_refused(self, tmp_path):
        rows = command(-20)
        lab = Lab(tmp_path / "command.nwb")
        lab.response("v", rows[0] * 1e-3, sweep_number=0)
        lab.stimulus("i", answer(rows)[0] * 1e-12, sweep_number=0)
        with pytest.raises(RecordingError, match="looks like voltage clamp"):
            load(self.plain(lab.save(), "volts", "amperes"))
        lab = Lab(tmp_path / "current.nwb")
        lab.response("v", answer(rows)[0] * 1e-12, sweep_number=0)
        lab.stimulus("i", rows[0] * 1e-3, sweep_number=0)
        with pytest.raises(RecordingError, match="a PatchClampSeries that is no voltage"):
            load(self.plain(lab.save(), "amperes", "volts"))

    def test_traces_that_contradict_the_type_are_said(self, lab):
        rows = command(-20)
        lab.response("v", rows[0] * 1e-3, sweep_number=0)
        lab.stimulus("i", answer(rows)[0] * 1e-12, sweep_number=0)
        assert any("looks like voltage clamp" in w for w in load(lab.save())[0].warnings)

    def test_plain_time_series_are_named(self, lab):
        lab.response("v", volts(), sweep_number=0)
        path = lab.save()
        with h5py.File(path, "a") as file:
            file["acquisition/v"].attrs["neurodata_type"] = "TimeSeries"
        with pytest.raises(RecordingError, match=r"series of other types: acquisition/v \(volts\); save them as"):
            load(path)


class TestNeverWritten:
    def stored(self, lab, name, **how):
        """A dataset in place of that of a series, of which only some chunks are written."""
        written = how.pop("written", ())
        for k in range(2):
            lab.response(f"v{k}", volts(), sweep_number=k, start=float(k))
            lab.stimulus(f"i{k}", amps(), sweep_number=k, start=float(k))
        with h5py.File(lab.save(), "a") as file:
            facts, values = dict(file[f"{name}/data"].attrs), file[f"{name}/data"][()]
            del file[f"{name}/data"]
            data = file.create_dataset(f"{name}/data", shape=(N,), dtype="f8", **how)
            data.attrs.update(facts)
            for first, stop in written:
                data[first:stop] = values[first:stop]
        return lab.path

    @pytest.mark.parametrize("place", ["acquisition/v0", "stimulus/presentation/i0"])
    @pytest.mark.parametrize("how", [{}, {"chunks": (500,)}])
    def test_a_dataset_that_was_never_written_is_refused_by_name(self, lab, place, how):
        recording = load(self.stored(lab, place, **how))
        assert [s.name for s in recording] == ["v1"]
        assert (
            recording.rejected[0].reason == f"/{place}/data: never written; it claims 2000 samples, 0 bytes are stored"
        )

    def test_chunks_that_were_never_written_are_missing_samples(self, lab):
        found = load(self.stored(lab, "acquisition/v0", chunks=(500,), written=[(0, 500), (1000, 1500)]))[0]
        assert found.duration == pytest.approx(150.0)
        assert np.ravel(found.valid) == pytest.approx([0.0, 50.0, 100.0, 150.0])
        assert [str(r) for r in found.removed if r.rule == "aborted"] == ["500 samples (aborted)"]

    def test_silence_that_was_written_is_silence(self, lab):
        lab.response("v", volts(spikes=()), sweep_number=0)
        lab.stimulus("i", np.zeros(N), sweep_number=0)
        assert load(lab.save())[0].steps == N
