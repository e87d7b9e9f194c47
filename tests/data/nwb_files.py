"""Small NWB 2 files in every layout that labs and tools write, by pynwb, for the reader to be tested on."""

import warnings
from datetime import UTC, datetime

import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.icephys import (
    CurrentClampSeries,
    CurrentClampStimulusSeries,
    IZeroClampSeries,
    VoltageClampSeries,
    VoltageClampStimulusSeries,
)

RATE = 10_000.0
TYPES = {"cc": CurrentClampSeries, "i0": IZeroClampSeries, "vc": VoltageClampSeries}


def volts(n=2000, spikes=(50.0, 150.0), dt=0.1):
    """Voltage in V with spikes that peak at these times, ms."""
    t = np.arange(n) * dt
    return 1e-3 * (-65 + sum((90 * np.exp(-(((t - s) / 0.6) ** 2)) for s in spikes), np.zeros(n)))


def amps(n=2000, level=100.0):
    """A step from 20 to 120 ms of a 10-kHz trace of this length, A."""
    current = np.zeros(n)
    current[n // 10 : 6 * n // 10] = level
    return current * 1e-12


def _numbered(fields):
    """Sweep numbers as the schema wants them."""
    return {k: np.uint64(v) if k == "sweep_number" else v for k, v in fields.items()}


class Lab:
    """One NWB file being written."""

    def __init__(self, path, electrodes=("electrode",)):
        self.path = path
        self.nwb = NWBFile(
            session_description="test", identifier="x", session_start_time=datetime(2024, 1, 1, tzinfo=UTC)
        )
        device = self.nwb.create_device(name="amplifier")
        self.electrodes = {
            name: self.nwb.create_icephys_electrode(name=name, device=device, description="pipette")
            for name in electrodes
        }

    def response(self, name, data, kind="cc", electrode="electrode", rate=RATE, start=0.0, **fields):
        timing = {} if "timestamps" in fields else {"rate": rate, "starting_time": start}
        fields = {"gain": 1.0, "electrode": self.electrodes[electrode]} | timing | fields
        series = TYPES[kind](name=name, data=data, **_numbered(fields))
        self.nwb.add_acquisition(series)
        return series

    def stimulus(
        self, name, data, electrode="electrode", rate=RATE, start=0.0, kind=CurrentClampStimulusSeries, **fields
    ):
        timing = {} if "timestamps" in fields else {"rate": rate, "starting_time": start}
        fields = {"gain": 1.0, "electrode": self.electrodes[electrode]} | timing | fields
        series = kind(name=name, data=data, **_numbered(fields))
        self.nwb.add_stimulus(series)
        return series

    def row(self, response, stimulus, electrode="electrode", **fields):
        return self.nwb.add_intracellular_recording(
            electrode=self.electrodes[electrode], response=response, stimulus=stimulus, **fields
        )

    def save(self):
        with warnings.catch_warnings(), NWBHDF5IO(self.path, "w") as io:
            warnings.simplefilter("ignore")  # of the writer; the reader is what is tested
            io.write(self.nwb)
        return self.path


__all__ = ["RATE", "Lab", "VoltageClampStimulusSeries", "amps", "volts"]
