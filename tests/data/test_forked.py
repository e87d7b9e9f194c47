"""Copies of this process read files that may crash their parser: a program of one thread starts no interpreter."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import SHIPPED

from ephysfit import system

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")

ENDLESS = Path(__file__).parent / "damaged" / "endless_attribute.nwb.gz"
#: begins every program: one thread, and no interpreter may be started
ALONE = """
import faulthandler, os, subprocess, sys, time
started = []
true = subprocess.Popen.__init__
def watched(self, args, *rest, **options):
    started.append(args)
    true(self, args, *rest, **options)
subprocess.Popen.__init__ = watched
from ephysfit import system
from ephysfit.data import hdf5_probe, subprocess_read
from ephysfit.data.forked import Forked
from ephysfit.data.loading import info, load
from ephysfit.errors import RecordingError
def refused(function, *arguments, **options):
    try:
        function(*arguments, **options)
    except RecordingError as error:
        return str(error)
    return "not refused"
"""


def run_alone(code: str) -> list[str]:
    """Lines that a program of one thread prints."""
    env = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")}
    done = subprocess.run([sys.executable, "-c", ALONE + code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_files_are_probed_and_read_by_copies() -> None:
    lines = run_alone(f"""
print(system.can_fork())
found = info({str(SHIPPED / "DRN164.nwb")!r}, isolate=True)
print(len(found.sweeps), type(hdf5_probe._HELPER[0]).__name__, system.can_fork())
print([a for a in started if sys.executable in a])
""")
    assert lines == ["True", "11 ForkedHelper True", "[]"]


def test_a_recording_read_by_a_copy_is_the_same() -> None:
    path = str(SHIPPED / "DRN158.nwb")
    lines = run_alone(f"""
here, there = load({path!r}, sweeps=[1]), load({path!r}, sweeps=[1], isolate=True)
print(repr(here) == repr(there), (here[0].voltage == there[0].voltage).all(), len(here[0].voltage) > 10_000)
""")
    assert lines == ["True True True"]


def test_a_crash_a_hang_and_an_error_of_a_copy_are_errors(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("hello")
    lines = run_alone(f"""
print(refused(subprocess_read.run_isolated, faulthandler._sigsegv))
print(refused(subprocess_read.run_isolated, time.sleep, 60, patience=0.5))
print(refused(subprocess_read.run_isolated, int, "seven"))
print(refused(load, {str(tmp_path / "x.csv")!r}, isolate=True))
print([a for a in started if sys.executable in a])
""")
    assert "damaged: the parser crashed (SIGSEGV)" in lines[0]
    assert "the parser did not end within 0.5 s" in lines[1]
    assert "invalid literal for int() with base 10: 'seven'" in lines[2]
    assert "x.csv" in lines[3]
    assert lines[4] == "[]"


def test_a_copy_that_hangs_on_headers_or_dies_is_replaced(tmp_path: Path) -> None:
    endless = tmp_path / "endless.nwb"
    endless.write_bytes(gzip.decompress(ENDLESS.read_bytes()))
    good = str(SHIPPED / "DRN158.nwb")
    lines = run_alone(f"""
hdf5_probe.PATIENCE = 3.0
print(refused(load, {str(endless)!r}))
print(len(load({good!r}, sweeps=[1])))
copy = hdf5_probe._HELPER[0].copy
hdf5_probe._SOUND.clear()
os.kill(copy.pid, 9)
time.sleep(0.5)
print(refused(load, {good!r}, sweeps=[1]))
print(len(load({good!r}, sweeps=[1])), [a for a in started if sys.executable in a])
""")
    assert "no progress on its headers" in lines[0]
    assert lines[1] == "1"
    assert lines[2] == "not refused"
    assert lines[3] == "1 []"


def test_a_copy_keeps_nothing_open_but_its_pipes() -> None:
    lines = run_alone("""
held = open("/proc/self/status")
copy = Forked(lambda reader, writer: writer.write(str(len(os.listdir("/proc/self/fd"))).encode()))
print(copy.read_all(10.0).decode(), copy.end())
try:
    os.waitpid(copy.pid, 0)
except ChildProcessError:
    print("no zombie")
""")
    assert lines == ["6 0", "no zombie"]  # three of its own, two pipes, and the listing


def test_with_threads_an_interpreter_is_started() -> None:
    lines = run_alone(f"""
import threading
threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
print(system.can_fork())
found = info({str(SHIPPED / "DRN158.nwb")!r}, isolate=True)
print(len([a for a in started if sys.executable in a]), type(hdf5_probe._HELPER[0]).__name__)
""")
    assert lines == ["False", "2 Helper"]


def test_only_a_process_of_one_thread_may_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system.os, "listdir", lambda place: ["1"])
    assert system.can_fork()
    monkeypatch.setattr(system.os, "listdir", lambda place: ["1", "2"])
    assert not system.can_fork()
    monkeypatch.setattr(system.sys, "platform", "darwin")
    assert not system.can_fork()
