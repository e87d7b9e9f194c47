"""The way back into NWB: valid, read back as written, nothing else changed, and the original survives any crash."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import h5py
import numpy as np
import pytest
from nwb_files import Lab, amps, volts
from places import SHIPPED

from ephysfit.data import nwb_write
from ephysfit.data.loading import load
from ephysfit.data.nwb_stored import Membrane, Prediction, Stored, list_labels, read_stored_fits
from ephysfit.data.nwb_write import append_fit
from ephysfit.errors import FitError, RecordingError
from ephysfit.fitting.provenance import Provenance


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def stored(label="lif", spikes=(3.0, 5.5)):
    row = {
        "parameter": "C",
        "value": 80.0,
        "unit": "pF",
        "standard_error": None,
        "low": 5.0,
        "high": 2e3,
        "meaning": "µ",
    }
    score = {"readout": "noisy runs", "score": "md_star_4", "value": 0.8, "error": 0.01, "cells_own": 1.0, "best": 1.0,
             "meaning": "m"}  # fmt: skip
    trains = [Prediction("noisy runs", "noise", "r1, r2", k, 1000.0, 200.0, np.array(spikes) + k) for k in range(3)]
    silent = Prediction("causal run", "noise", "r1, r2", 0, 1000.0, 200.0, np.empty(0))
    membrane = Membrane("noise", np.linspace(-70, -50, 400), 0.5, 1000.0)
    return Stored(
        label, {"model": "LIF", "fit_json": "{}", "date": "2026"}, [row], [score], (*trains, silent), (membrane,)
    )


@pytest.fixture
def path(tmp_path):
    lab = Lab(tmp_path / "cell.nwb")
    for k in range(2):
        lab.row(lab.response(f"r{k}", volts(), start=float(k)), lab.stimulus(f"s{k}", amps(), start=float(k)))
    lab.nwb.add_unit(spike_times=[0.05, 0.15])
    return lab.save()


def everything(path):
    """Every dataset and attribute outside our module."""
    found = {}

    def note(name, item):
        if not name.startswith(("processing/ephysfit", "specifications")):
            found[name] = (
                item[()].tobytes() if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu" else item.name
            )

    with h5py.File(path) as file:
        file.visititems(note)
    return found


def test_what_is_written_is_read_back_and_nothing_else_changed(path):
    before, recording = everything(path), load(path)
    path.chmod(0o640)
    assert append_fit(path, stored()) == path
    append_fit(path, stored("lif_2", (7.0,)))
    after = everything(path)
    assert {k: v for k, v in after.items() if k != "processing"} == {
        k: v for k, v in before.items() if k != "processing"
    }
    assert path.stat().st_mode & 0o777 == 0o640
    assert list_labels(path) == ("lif", "lif_2")
    ours, theirs = read_stored_fits(path)[0], stored()
    assert ours.facts == theirs.facts
    assert ours.scores == theirs.scores
    assert [{**r, "standard_error": None} for r in ours.parameters] == theirs.parameters
    for a, b in zip(ours.predictions, theirs.predictions, strict=True):
        assert (a.readout, a.stimulus, a.sweeps, a.run, a.duration) == (
            b.readout,
            b.stimulus,
            b.sweeps,
            b.run,
            b.duration,
        )
        np.testing.assert_allclose(a.spike_times, b.spike_times, atol=1e-6)
    np.testing.assert_allclose(ours.membranes[0].voltage, theirs.membranes[0].voltage, atol=1e-4)
    again = load(path)
    assert again.n_spikes == recording.n_spikes
    assert again.facts["fits in this file"] == "lif, lif_2"
    assert list(path.parent.iterdir()) == [path]


def test_pynwb_sees_model_units_apart_from_recorded_ones(path):
    from pynwb import NWBHDF5IO, validate

    append_fit(path, stored())
    assert validate(path=str(path)) == []
    with NWBHDF5IO(str(path), "r") as io:
        nwb = io.read()
        assert len(nwb.units) == 1
        table = nwb.processing["ephysfit"]["lif_units"].to_dataframe()
        assert set(table["source"]) == {"model"}
        np.testing.assert_allclose(table["spike_times"][0], [1.003, 1.0055])
        assert nwb.processing["ephysfit"]["lif_parameters"]["value"][0] == 80.0


@pytest.mark.slow
def test_nwbinspector_finds_nothing_critical(path):
    append_fit(path, stored())
    code = (
        "import sys; from nwbinspector import inspect_nwbfile, Importance\n"
        "bad = [m.message for m in inspect_nwbfile(nwbfile_path=sys.argv[1]) if 'ephysfit' in str(m.location) and"
        " m.importance in (Importance.CRITICAL, Importance.ERROR, Importance.PYNWB_VALIDATION)]\n"
        "print(bad); sys.exit(bool(bad))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_another_file_may_be_written(path, tmp_path):
    before, other = digest(path), tmp_path / "with_fit.nwb"
    assert append_fit(path, stored(), out=other) == other
    assert digest(path) == before
    assert (list_labels(path), list_labels(other)) == ((), ("lif",))


def test_what_cannot_be_written_is_refused_and_nothing_touched(path, tmp_path):
    append_fit(path, stored())
    before = digest(path)
    for wrong, says in ((stored(), "already holds a fit named 'lif'"), (stored("a/b"), "one name without slashes")):
        with pytest.raises(RecordingError, match=says):
            append_fit(path, wrong)
    table = tmp_path / "t.csv"
    table.write_text("time_ms,current_pA,voltage_mV\n0,1,2\n0.1,1,2\n")
    with pytest.raises(RecordingError, match="this is table"):
        append_fit(table, stored())
    with pytest.raises(RecordingError, match="no such file"):
        append_fit(tmp_path / "none.nwb", stored())
    with pytest.raises(RecordingError, match="cannot be written"):
        append_fit(path, stored("x"), out=tmp_path / "no" / "folder.nwb")
    assert digest(path) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cell.nwb", "t.csv"]


def test_a_file_that_changed_meanwhile_is_left_alone(path, monkeypatch):
    true = nwb_write._add_containers

    def slow(partial, what):
        true(partial, what)
        with h5py.File(path, "a") as file:
            file["scratch_of_another"] = 1

    monkeypatch.setattr(nwb_write, "_add_containers", slow)
    with pytest.raises(RecordingError, match="another program changed the file"):
        append_fit(path, stored())
    with h5py.File(path) as file:
        assert "scratch_of_another" in file
    assert list(path.parent.iterdir()) == [path]


def test_what_would_not_be_valid_is_refused(path, monkeypatch):
    true = nwb_write._add_containers

    def spoil(partial, what):
        true(partial, what)
        with h5py.File(partial, "a") as file:
            del file["processing/ephysfit/lif_parameters"].attrs["description"]

    before = digest(path)
    monkeypatch.setattr(nwb_write, "_add_containers", spoil)
    with pytest.raises(RecordingError, match="would not be valid NWB afterwards"):
        append_fit(path, stored())
    assert digest(path) == before
    assert list(path.parent.iterdir()) == [path]


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
import test_nwb_write
from ephysfit.data import nwb_write

def halt(name):
    true = getattr(nwb_write, name)
    def stop(*arguments):
        if sys.argv[4] == "after":
            true(*arguments)
        print("here", flush=True)
        import time
        time.sleep(60)
    setattr(nwb_write, name, stop)

halt(sys.argv[3])
nwb_write.append_fit(sys.argv[1], test_nwb_write.stored())
"""


@pytest.mark.parametrize(
    ("step", "when"),
    [("_add_containers", "before"), ("_add_containers", "after"), ("_validate", "after"), ("flush_to_disk", "after")],
)
def test_killing_the_writer_leaves_the_original_whole(path, step, when):
    before = digest(path)
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(path), os.path.dirname(__file__), step, when]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert digest(path) == before
    assert len(load(path)) == 2
    (left,) = [p for p in path.parent.iterdir() if p != path]
    os.utime(left, (time.time() - 2 * nwb_write.STALE, time.time() - 2 * nwb_write.STALE))
    append_fit(path, stored())  # and the next writer is not in the way of the dead one's leavings
    assert list_labels(path) == ("lif",)
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_an_error_and_the_original_whole(path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = digest(path)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(RecordingError, match=r"No space left on device.*as it was"):
        append_fit(path, stored())
    assert digest(path) == before


@pytest.mark.slow
def test_a_fit_of_a_shipped_cell_goes_in_and_comes_back(tmp_path):
    """Predictions and scores of the model itself, written by `ephysfit.write_nwb`, on a real file."""
    import ephysfit as ef

    path = tmp_path / "DRN158.nwb"
    shutil.copy(SHIPPED / path.name, path)
    train, test = load(path).split()
    cell = ef.models.LIF(C=80.0, g=5.0, E_L=-60.0, theta=-45.0, V_reset=-60.0, t_ref=3.0, delta=2.0)
    fit = ef.Fit(
        cell, "DRN158", 0.5, provenance=Provenance(sweeps=tuple(s.name for s in train), version=ef.__version__)
    )
    fit.write_nwb(path, test, runs=3)
    ef.write_nwb(fit, path, test, runs=2)
    assert list_labels(path) == ("lif", "lif_2")
    again = ef.Fit.load(path, label="lif")
    assert again.neuron.values() == fit.neuron.values()
    found = read_stored_fits(path)[0]
    runs = fit.simulate(test, runs=3)
    noisy = [p for p in found.predictions if p.readout == "noisy runs"]
    assert len(noisy) == 3
    for p, train in zip(noisy, runs.spike_times[0], strict=True):
        np.testing.assert_allclose(p.spike_times, train, atol=1e-6)
    value = next(r["value"] for r in found.scores if r["score"] == "md_star_4")
    assert value == pytest.approx(ef.score(runs, test)["md_star_4"])
    with pytest.raises(FitError, match=r"no fit 'x'.*it holds lif, lif_2"):
        ef.Fit.load(path, label="x")
    with pytest.raises(FitError, match="sweeps that were not used by the fit are unknown"):
        ef.write_nwb(fit, path)
