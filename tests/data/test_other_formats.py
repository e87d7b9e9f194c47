"""Allen NWB 1, as the Allen software describes the layout, and formats read through neo."""

import h5py
import numpy as np
import pytest
from nwb_files import amps, volts

from ephysfit.data.assemble import Choice
from ephysfit.data.loading import load
from ephysfit.data.readers.neo import from_segments
from ephysfit.errors import RecordingError


def allen(path, version, conversion=1.0, numbers=(4, 11)):
    """A file in the layout of the Cell Types Database."""
    with h5py.File(path, "w") as file:
        file["nwb_version"] = "NWB-1.0.5"
        file["general/generated_by"] = np.array([["pipeline", "x"], ["version", version]], dtype="S")
        for n in numbers:
            for part, data, unit in (
                ("stimulus/presentation", amps(), "Amps"),
                ("acquisition/timeseries", volts(), "Volts"),
            ):
                group = file.create_group(f"{part}/Sweep_{n}")
                group["data"] = data / conversion if version >= "1.1" else data
                group["data"].attrs.update({"unit": unit, "conversion": conversion})
                group["starting_time"] = 10.0 * n
                group["starting_time"].attrs["rate"] = 10_000.0
            file[f"acquisition/timeseries/Sweep_{n}/aibs_stimulus_name"] = "Noise 1" if n == 11 else "Long Square"
            file[f"acquisition/timeseries/Sweep_{n}/seal"] = 3.0
            for part, place in (("stimulus", "stimulus/presentation"), ("response", "acquisition/timeseries")):
                epoch = file.create_group(f"epochs/Sweep_{n}/{part}")
                epoch["timeseries"] = h5py.SoftLink(f"/{place}/Sweep_{n}")
                epoch["idx_start"], epoch["count"] = 0, 2000
            experiment = file.create_group(f"epochs/Experiment_{n}/stimulus")
            experiment["idx_start"], experiment["count"] = 150, 1850
            file[f"analysis/spike_times/Sweep_{n}"] = np.array([0.0492, 0.1492])
    return path


@pytest.mark.parametrize(("version", "conversion"), [("1.0", 1e-3), ("0.9", 1e-3), ("1.1", 1e-3), ("2.0", 1.0)])
def test_allen_files_before_and_after_the_conversion_was_right(tmp_path, version, conversion):
    recording = load(allen(tmp_path / "cell.nwb", version, conversion))
    assert [(s.name, s.stimulus, s.start) for s in recording] == [
        ("Sweep_4", "Long Square", 40_000.0), ("Sweep_11", "Noise 1", 110_000.0),
    ]  # fmt: skip
    for sweep in recording:
        np.testing.assert_allclose(sweep.current, amps() * 1e12, atol=1e-9)
        np.testing.assert_allclose(sweep.voltage, volts() * 1e3, atol=1e-9)
        np.testing.assert_allclose(sweep.spike_times, [49.2, 149.2])
        assert sweep.valid == ((15.0, 200.0),)
    assert recording.electrode["seal_GOhm"] == 3.0


def test_allen_sweeps_by_stimulus_and_broken_epochs(tmp_path):
    path = allen(tmp_path / "cell.nwb", "1.1")
    assert [s.name for s in load(path, stimulus="noise")] == ["Sweep_11"]
    with h5py.File(path, "a") as file:
        del file["epochs/Sweep_4/stimulus"]
    recording = load(path)
    assert [(r.name, r.reason) for r in recording.rejected] == [("Sweep_4", "no stimulus in its epoch")]
    with h5py.File(path, "a") as file:
        del file["stimulus"]
    with pytest.raises(RecordingError):
        load(path)


class TestNeo:
    def segment(self, **signals):
        import neo
        import quantities as pq

        segment = neo.Segment(name="s0")
        for unit, data in signals.items():
            signal = neo.AnalogSignal(data, units=unit, sampling_rate=10 * pq.kHz, t_start=1 * pq.s)
            segment.analogsignals.append(signal)
        return segment

    def read(self, *segments, **options):
        return from_segments(list(segments), Choice(), "memory", "cell", **options)

    def test_signals_are_told_by_unit(self):
        recording = self.read(self.segment(nA=amps() * 1e9, mV=volts() * 1e3)).with_spikes()
        np.testing.assert_allclose(recording[0].current, amps() * 1e12, atol=1e-6)
        assert recording[0].spike_times == pytest.approx([49.0, 149.0], abs=0.4)
        assert recording[0].start == pytest.approx(1000)

    def test_no_current_is_refused_not_invented(self):
        with pytest.raises(RecordingError, match="what was injected is not known"):
            self.read(self.segment(mV=volts() * 1e3))

    def test_two_voltages_must_be_chosen_from(self):
        segment = self.segment(nA=amps() * 1e9, mV=np.stack([volts(), volts(spikes=())], 1) * 1e3)
        with pytest.raises(RecordingError, match="give voltage_channel="):
            self.read(segment)
        assert self.read(segment, voltage_channel=2).with_spikes().n_spikes == 0

    def test_spike_trains_where_there_is_no_voltage(self):
        import neo
        import quantities as pq

        segment = self.segment(pA=amps() * 1e12)
        segment.spiketrains.append(neo.SpikeTrain([1.05], units=pq.s, t_start=1 * pq.s, t_stop=1.2 * pq.s))
        assert self.read(segment)[0].spike_times == pytest.approx([50.0])

    def test_a_file_through_neo(self, tmp_path):
        """No file of these formats may be shipped here, so only damage is tested."""
        path = tmp_path / "a.axgx"
        path.write_bytes(b"axgx" + b"\0" * 100)
        with pytest.raises(RecordingError, match=r"a\.axgx"):
            load(path)
