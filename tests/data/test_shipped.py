"""The shipped files: what they say of themselves, what is in them, and that they equal their sources."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
from places import ABF, CELLS, SHARED, SHIPPED, piece, shipped

from ephysfit.data.loading import load


@pytest.mark.parametrize("cell", CELLS)
def test_split_gives_a_minute_of_noise_and_ten_repeats(cell):
    train, test = shipped(cell).split()
    assert [sweep.duration for sweep in train] == [60_000.0]
    assert [sweep.duration for sweep in test] == [10_000.0] * 10
    assert [stimulus.repeats for stimulus in test.stimuli()] == [10]
    assert "training" in train[0].stimulus
    assert all("test" in sweep.stimulus for sweep in test)


@pytest.mark.parametrize("cell", CELLS)
def test_facts_and_names_survive(cell):
    recording = shipped(cell)
    assert recording.cell == cell
    assert recording.facts["species"] == "Mus musculus"
    assert "MIT" in recording.facts["data_collection"]
    assert "72951" in recording.facts["related_publications"]
    assert recording.rejected == ()
    assert [w for s in recording for w in s.warnings] == []
    assert np.all(np.diff([sweep.start for sweep in recording]) >= 20_000 - 1)


SOURCES = {
    "DRN164_pieces": ("DRN164", [piece("noise_training"), piece("noise_test")]),
    "DRN158_piece": ("DRN158", [piece("noise_gaba")]),
    **{
        cell: (cell, [SHARED / "raphe" / f"{ABF[cell]}_{part}.abf" for part in ("training", "test")])
        for cell in CELLS * SHARED.is_dir()
    },
}


@pytest.mark.parametrize(("cell", "files"), SOURCES.values(), ids=SOURCES)
def test_every_sample_equals_the_abf_files(cell, files):
    ours_all, original = shipped(cell), load(files)
    assert len(original) in (1, 4, 11)
    for ours, theirs in zip(ours_all, original, strict=len(original) > 4):
        n, end = theirs.steps, theirs.duration
        np.testing.assert_allclose(ours.voltage[:n], theirs.voltage, rtol=0, atol=1e-6)  # one int16 step is 0.03 mV
        np.testing.assert_allclose(ours.current[:n], theirs.current, rtol=0, atol=1e-6)  # and 0.6 pA
        spikes = ours.spike_times[ours.spike_times < end]
        apart = 1e-6 if n == ours.steps else 0.01  # detection measures noise and spikes over the sweep it is given
        np.testing.assert_allclose(spikes, theirs.spike_times, atol=apart)


@pytest.mark.parametrize("cell", CELLS)
def test_reader_equals_pynwb(cell):
    from pynwb import NWBHDF5IO

    recording = shipped(cell)
    with NWBHDF5IO(SHIPPED / f"{cell}.nwb", "r") as io:
        table = io.read().intracellular_recordings.to_dataframe()
        for sweep, (_, row) in zip(recording, table.iterrows(), strict=True):
            response, stimulus = row[("responses", "response")].timeseries, row[("stimuli", "stimulus")].timeseries
            np.testing.assert_allclose(sweep.voltage, response.get_data_in_units() * 1e3, atol=1e-9)
            np.testing.assert_allclose(sweep.current, stimulus.get_data_in_units() * 1e12, atol=1e-9)
            assert sweep.dt == pytest.approx(1e3 / response.rate)


def test_folder_stays_small_and_licensed():
    files = [f for f in SHIPPED.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    assert sum(f.stat().st_size for f in files) < 12e6
    assert "Permission is hereby granted" in (SHIPPED / "LICENSE-raphe").read_text()
    for cell in CELLS:
        with h5py.File(SHIPPED / f"{cell}.nwb") as file:
            assert file["acquisition/response_00/data"].dtype == np.int16


@pytest.mark.slow
def test_nwbinspector_finds_nothing_critical():
    code = (
        "import sys; from nwbinspector import inspect_nwbfile, Importance\n"
        "bad = [m.message for p in sys.argv[1:] for m in inspect_nwbfile(nwbfile_path=p)"
        " if m.importance in (Importance.CRITICAL, Importance.ERROR, Importance.PYNWB_VALIDATION)]\n"
        "print(bad); sys.exit(bool(bad))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *[str(SHIPPED / f"{c}.nwb") for c in CELLS]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
