"""What systems do each in their own way, with what the others lack taken away."""

from __future__ import annotations

import errno
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import threadpoolctl

import ephysfit as ef
from ephysfit import system
from ephysfit.batch.executors import Local
from ephysfit.errors import EphysfitError

#: Python as it is on Windows, as far as the package can tell; `python` reads it at its start, workers too
LIKE_WINDOWS = """
import os, sys


class Block:
    def find_spec(self, name, path=None, target=None):
        if name in ("fcntl", "resource", "pwd", "grp", "termios"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Block())
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules.pop(name, None)
for name in ("sched_getaffinity", "geteuid"):
    if hasattr(os, name):
        delattr(os, name)
"""


@pytest.fixture
def like_windows(tmp_path):
    (tmp_path / "start").mkdir()
    (tmp_path / "start" / "sitecustomize.py").write_text(LIKE_WINDOWS)
    path = os.pathsep.join([str(tmp_path / "start"), *sys.path[:1], os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "EPHYSFIT_CACHE": str(tmp_path / "cache")}


@pytest.mark.slow
def test_a_batch_runs_where_there_is_no_fcntl_and_no_resource(tmp_path, like_windows):
    (tmp_path / "cell.csv").write_text("time (ms),voltage (mV),current (pA)\n0,-65,0\n0.1,-65,0\n")
    ask = [sys.executable, "-m", "ephysfit"]

    def run(*words):
        return subprocess.run([*ask, *words], cwd=tmp_path, env=like_windows, capture_output=True, text=True)

    done = run("batch", "cell.csv", "--model", "LIF", "-o", "run", "-j", "1")
    assert "Traceback" not in done.stderr
    (result,) = (tmp_path / "run" / "results").rglob("*.json")
    found = json.loads(result.read_text())
    assert found["status"] == "failed"  # two samples are no recording; the worker said so
    assert "memory_mb" not in found
    assert "0 running, 0 left" in run("status", "run").stdout
    assert "cannot bound the memory" in run("batch", "-o", "run", "--memory", "4").stderr


def test_peak_memory_is_in_the_unit_of_the_system(monkeypatch):
    if system.resource is None:
        assert system.measure_peak_memory() is None
        return
    here = system.measure_peak_memory()
    assert 10 < here < 100_000
    monkeypatch.setattr(system, "_UNIT", 1)  # macOS counts bytes
    assert system.measure_peak_memory() < here / 500
    monkeypatch.setattr(system, "resource", None)
    assert system.measure_peak_memory() is None


@pytest.mark.parametrize("why", ["no resource", "macOS"])
def test_a_limit_that_cannot_be_set_is_refused_before_work_begins(monkeypatch, why):
    if why == "macOS":
        monkeypatch.setattr(system.sys, "platform", "darwin")
    else:
        monkeypatch.setattr(system, "resource", None)
    with pytest.raises(EphysfitError, match="cannot bound the memory"):
        Local(memory=2.0)
    Local()


@pytest.mark.parametrize(("text", "cores"), [("200000 100000\n", 2), ("50000 100000\n", 1), ("350000 100000", 3)])
def test_a_containers_share_of_cores(tmp_path, text, cores):
    (tmp_path / "cpu.max").write_text(text)
    assert system._read_core_share(str(tmp_path / "cpu.max")) == cores


@pytest.mark.parametrize("text", ["max 100000\n", "", "no numbers", "1 0"])
def test_no_share_is_no_bound(tmp_path, text):
    (tmp_path / "cpu.max").write_text(text)
    assert system._read_core_share(str(tmp_path / "cpu.max")) == sys.maxsize
    assert system._read_core_share(str(tmp_path / "none")) == sys.maxsize


def test_a_lock_is_held_until_the_file_is_closed(tmp_path):
    path = tmp_path / "x.lock"
    with path.open("a") as first, path.open("a") as second:
        assert system.lock(first)
        assert not system.lock(second)
    with path.open("a") as third:
        assert system.lock(third, wait=True)


@pytest.mark.skipif(system.fcntl is None, reason="of flock")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_locks_keeps_nobody_out(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(system.fcntl, "flock", refuse)
    with (tmp_path / "x.lock").open("a") as file:
        assert system.lock(file)


@pytest.mark.skipif(system.fcntl is None, reason="of flock")
def test_a_fault_of_the_disk_is_no_lock(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(system.fcntl, "flock", fail)
    with (tmp_path / "x.lock").open("a") as file, pytest.raises(OSError, match="disk"):
        system.lock(file)


def find_blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"}


def test_blas_has_one_thread_while_a_recording_is_read_and_as_many_as_before_after(monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert scipy.linalg.norm(np.ones(4)) == 2.0  # scipy's own BLAS, which is counted too, is there
    inside = []
    plain = np.linalg.lstsq
    monkeypatch.setattr(np.linalg, "lstsq", lambda *a, **o: inside.append(find_blas_threads()) or plain(*a, **o))
    with threadpoolctl.threadpool_limits(2, "blas"):
        before = find_blas_threads()
        ef.load(Path(__file__).parents[1] / "data" / "DRN158.nwb", sweeps=[1])
        assert find_blas_threads() == before
    assert inside
    assert all(found == {1} for found in inside)


def test_what_is_kept_to_one_thread_shows_its_own_signature():
    for function in (ef.load, ef.fit, ef.score, ef.describe, ef.report, ef.intervals, ef.Recording.of):
        assert "args" not in inspect.signature(function).parameters
        assert function.__doc__
