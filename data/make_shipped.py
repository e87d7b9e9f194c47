"""Write the shipped recordings ``DRN164.nwb`` and ``DRN158.nwb`` from the raphe ABF files.

    python data/make_shipped.py ../shared/data/raphe

One NWB 2 file a cell: one training sweep (60 s of frozen noise) and ten test sweeps (10 s repeats of another noise).
The ABF's own 16-bit samples are kept bit for bit, with their scale as `conversion`, so nothing is lost and the files
are small. Every file is read back and compared with its ABF files before the script ends.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from neo.rawio import AxonRawIO
from pynwb import NWBHDF5IO, H5DataIO, NWBFile
from pynwb.file import Subject
from pynwb.icephys import CurrentClampSeries, CurrentClampStimulusSeries

CELLS = {"DRN164": ("DRN164_5HT/DRN164_5ht", "serotonin (5-HT) neuron"),
         "DRN158": ("DRN158_GABA/DRN158_gaba", "GABA neuron")}  # fmt: skip
PARTS = {"training": "frozen noise, training", "test": "frozen noise, test repeats"}
SOURCE = "github.com/apayeur/GIF-K, commit 36228df, data/eighth_set/"
CITATION = (
    "Harkin EF et al. (2023) Temporal derivative computation in the dorsal raphe network revealed by an experimentally "
    "driven augmented integrate-and-fire modeling framework. eLife 12:e72951"
)
PROTOCOL = "Pozzorini C, Mensi S, Hagens O, Naud R, Koch C, Gerstner W (2015) PLoS Comput Biol 11:e1004275"
NOTES = (
    "Voltage is not compensated for the electrode and not corrected for the liquid junction potential. The current is "
    "the amplifier's recorded current and contains the holding current. In the ABF files the voltage channel is named "
    "'Im RIGHT' and the current channel 'Vm RIGHT'; units, not names, say what they hold. The ABF clock has no time "
    "zone; Ottawa's winter time (UTC-5) is written."
)

UNKNOWN = "Age and sex are not in the source files; 'P1D/' only says that the animal was born"


@dataclass(frozen=True)
class RawSweep:
    """The 16-bit samples of one sweep, with their scales."""

    voltage: np.ndarray
    current: np.ndarray
    mv: float
    pa: float
    rate: float
    when: datetime


def raw_sweeps(path: Path) -> Iterator[RawSweep]:
    """Sweeps of one ABF file, channels found by unit."""
    reader = AxonRawIO(str(path))
    reader.parse_header()
    channels = {str(c["units"]): (k, c) for k, c in enumerate(reader.header["signal_channels"])}
    (v, volt), (i, amp) = channels["mV"], channels["pA"]
    began = reader._axon_info["rec_datetime"].replace(tzinfo=timezone(timedelta(hours=-5)))
    for segment in range(reader.segment_count(0)):
        raw = reader.get_analogsignal_chunk(0, segment, None, None, 0)
        when = began + timedelta(seconds=reader.segment_t_start(0, segment))
        scales = float(volt["gain"]), float(amp["gain"]), float(volt["sampling_rate"])
        yield RawSweep(raw[:, v].copy(), raw[:, i].copy(), *scales, when)


def packed(samples: np.ndarray) -> H5DataIO:
    return H5DataIO(samples, compression="gzip", compression_opts=9, shuffle=True, chunks=(min(len(samples), 100_000),))


def new_file(cell: str, kind: str, began: datetime) -> NWBFile:
    return NWBFile(
        session_description=f"Whole-cell current clamp of a mouse dorsal raphe {kind} driven by frozen noise",
        identifier=f"ephysfit-{cell}",
        session_id=cell,
        session_start_time=began,
        experimenter=["Harkin, Emerson F."],
        institution="University of Ottawa",
        experiment_description=f"Noise injection; protocol after {PROTOCOL}. Cite: {CITATION}",
        keywords=["current clamp", "patch clamp", "frozen noise", "dorsal raphe"],
        related_publications=["doi:10.7554/eLife.72951"],
        source_script="data/make_shipped.py of ephysfit",
        source_script_file_name="make_shipped.py",
        data_collection=f"Source: {SOURCE}; licence: MIT (see LICENSE-raphe beside this file)",
        notes=NOTES,
        subject=Subject(subject_id=cell, species="Mus musculus", sex="U", age="P1D/", description=UNKNOWN),
    )


def add_sweep(nwb: NWBFile, electrode: Any, sweep: RawSweep, part: str, number: int) -> int:
    """Add one stimulus and response pair; its row in the intracellular recordings table."""
    common: dict[str, Any] = {
        "electrode": electrode,
        "gain": 1.0,
        "rate": sweep.rate,
        "sweep_number": np.uint32(number),
        "stimulus_description": PARTS[part],
        "starting_time": (sweep.when - nwb.session_start_time).total_seconds(),
    }
    stimulus = CurrentClampStimulusSeries(
        name=f"stimulus_{number:02d}", data=packed(sweep.current), conversion=sweep.pa * 1e-12,
        description=f"recorded current, {PARTS[part]}", **common,
    )  # fmt: skip
    response = CurrentClampSeries(
        name=f"response_{number:02d}", data=packed(sweep.voltage), conversion=sweep.mv * 1e-3,
        description=f"membrane and electrode voltage, {PARTS[part]}", **common,
    )  # fmt: skip
    return nwb.add_intracellular_recording(electrode=electrode, stimulus=stimulus, response=response)


def make(cell: str, raphe: Path, folder: Path) -> Path:
    """Write the file of one cell."""
    stem, kind = CELLS[cell]
    parts = {part: list(raw_sweeps(raphe / f"{stem}_{part}.abf")) for part in PARTS}
    nwb = new_file(cell, kind, parts["training"][0].when)
    device = nwb.create_device(name="amplifier", description="Patch-clamp amplifier, recorded with Clampex (ABF 2)")
    electrode = nwb.create_icephys_electrode(
        name="electrode", device=device, cell_id=cell, location="Dorsal nucleus raphe",
        description="whole-cell patch pipette, current clamp",
    )  # fmt: skip
    number, sequences = 0, []
    for part, sweeps in parts.items():
        rows = []
        for sweep in sweeps:
            rows.append(add_sweep(nwb, electrode, sweep, part, number))
            number += 1
        singles = [nwb.add_icephys_simultaneous_recording(recordings=[row]) for row in rows]
        sequences.append(
            nwb.add_icephys_sequential_recording(simultaneous_recordings=singles, stimulus_type=PARTS[part])
        )
    repetition = nwb.add_icephys_repetition(sequential_recordings=sequences)
    nwb.add_icephys_experimental_condition(repetitions=[repetition])
    target = folder / f"{cell}.nwb"
    with NWBHDF5IO(target, "w") as io:
        io.write(nwb)
    return target


def compare(target: Path, cell: str, raphe: Path) -> None:
    """Fail unless every sample of the ABF files is in the NWB file, to float rounding."""
    sweeps = [s for part in PARTS for s in raw_sweeps(raphe / f"{CELLS[cell][0]}_{part}.abf")]
    with h5py.File(target) as file:
        for k, sweep in enumerate(sweeps):
            pairs = (
                (file[f"acquisition/response_{k:02d}/data"], sweep.voltage * sweep.mv * 1e-3, 1e-9),
                (file[f"stimulus/presentation/stimulus_{k:02d}/data"], sweep.current * sweep.pa * 1e-12, 1e-18),
            )
            for stored, wanted, tolerance in pairs:
                found = stored[:] * stored.attrs["conversion"] + stored.attrs["offset"]
                if not np.allclose(found, wanted, rtol=0, atol=tolerance):
                    raise SystemExit(f"{target}: sweep {k}: {stored.name} differs from the ABF file")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raphe", type=Path, help="folder with DRN164_5HT/ and DRN158_GABA/")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    for cell in CELLS:
        target = make(cell, arguments.raphe, arguments.out)
        compare(target, cell, arguments.raphe)
        print(f"{target}: {target.stat().st_size / 1e6:.2f} MB, equal to its ABF files")


if __name__ == "__main__":
    main()
