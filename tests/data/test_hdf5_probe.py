"""Damaged HDF5 on which libhdf5 loops for ever or dies: one clear error, and the next file is read as ever."""

import gzip
import os
import time
from pathlib import Path

import pytest
from places import SHIPPED

from ephysfit.data import hdf5_probe
from ephysfit.data.loading import info, load
from ephysfit.errors import RecordingError

#: found by flipping bytes of a file that pynwb wrote: reading one attribute never ends
ENDLESS = Path(__file__).parent / "damaged" / "endless_attribute.nwb.gz"
GOOD = SHIPPED / "DRN158.nwb"


@pytest.fixture
def endless(tmp_path):
    path = tmp_path / "endless.nwb"
    path.write_bytes(gzip.decompress(ENDLESS.read_bytes()))
    return path


def test_a_file_on_which_the_library_loops_is_refused_soon(endless, monkeypatch):
    monkeypatch.setattr(hdf5_probe, "PATIENCE", 4.0)
    begin = time.perf_counter()
    with pytest.raises(RecordingError, match=r"endless\.nwb: damaged HDF5: .* no progress"):
        load(endless)
    assert time.perf_counter() - begin < 20
    assert len(load(GOOD, sweeps=[1])) == 1


def test_a_helper_that_dies_is_an_error_and_replaced(monkeypatch, tmp_path):
    monkeypatch.setattr(
        hdf5_probe, "HELPER", "import os, sys\nprint('ready', flush=True)\nsys.stdin.readline()\nos.abort()\n"
    )
    hdf5_probe._end_helper()
    copy = tmp_path / "a.nwb"
    copy.write_bytes(GOOD.read_bytes())
    with pytest.raises(RecordingError, match="crashes on its headers"):
        load(copy)
    monkeypatch.undo()
    assert info(copy, sweeps=[1]).usable


def test_a_sound_file_is_looked_at_once(monkeypatch, tmp_path):
    asked = []
    true = hdf5_probe.Helper.ask
    monkeypatch.setattr(
        hdf5_probe.Helper, "ask", lambda self, path, patience: asked.append(path) or true(self, path, patience)
    )
    copy = tmp_path / "a.nwb"
    copy.write_bytes(GOOD.read_bytes())
    load(copy, sweeps=[1])
    load(copy, sweeps=[2])
    assert asked == [copy]
    os.utime(copy, ns=(1, 1))
    load(copy, sweeps=[1])
    assert asked == [copy, copy]


def test_it_can_be_left_out(monkeypatch, tmp_path):
    monkeypatch.setenv(hdf5_probe.VARIABLE, "0")
    monkeypatch.setattr(hdf5_probe, "_start_helper", lambda: pytest.fail("asked"))
    copy = tmp_path / "a.nwb"
    copy.write_bytes(GOOD.read_bytes())
    assert len(load(copy, sweeps=[1])) == 1


@pytest.mark.parametrize("how", ["no interpreter", "does not start"])
def test_without_a_helper_files_are_opened_all_the_same(monkeypatch, tmp_path, how):
    hdf5_probe._end_helper()
    if how == "no interpreter":
        monkeypatch.setattr(hdf5_probe.sys, "executable", "")
    else:
        monkeypatch.setattr(hdf5_probe, "HELPER", "raise SystemExit(3)")
    copy = tmp_path / "a.nwb"
    copy.write_bytes(GOOD.read_bytes())
    assert len(load(copy, sweeps=[1])) == 1
    hdf5_probe._end_helper()
