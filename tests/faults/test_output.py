"""Where work goes: full disks, read-only places, names that are no text, narrow terminals, signals. Nothing is lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ephysfit import files
from ephysfit.batch.cell_files import find_cells
from ephysfit.cli import main, output
from ephysfit.errors import OutputError
from ephysfit.kernels import threads

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    """A small recording: five seconds of noise, a spike every 50 ms."""
    path = tmp_path_factory.mktemp("cell") / "cell.npz"
    rng = np.random.default_rng(0)
    current = np.convolve(rng.normal(0, 300, 10_000), np.ones(20) / 20, "same")
    np.savez(path, current_pA=np.stack([current] * 4), spike_times_ms=np.tile(np.arange(40.0, 4990.0, 50.0), 4),
             spike_trial=np.repeat(np.arange(4), 99), dt_ms=0.5)  # fmt: skip
    return path


def run(*arguments, **settings):
    """The command line in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **settings.pop("env", {})}
    return subprocess.run([sys.executable, "-m", "ephysfit", *map(str, arguments)], env=env, capture_output=True,
                          text=True, errors="replace", check=False, **settings)  # fmt: skip


class Full:
    """A disk that takes so many bytes: `Path.write_text` and open files fail beyond."""

    def __init__(self, monkeypatch, room):
        self.room, true = room, Path.write_text

        def write_text(path, text, *a, **k):
            if len(text) > self.room:
                true(path, text[: self.room], *a, **k)
                raise OSError(28, "No space left on device", str(path))
            return true(path, text, *a, **k)

        monkeypatch.setattr(Path, "write_text", write_text)


def test_a_full_disk_leaves_the_old_file_whole_and_nothing_beside_it(tmp_path, monkeypatch):
    path = files.write_text(tmp_path / "fit.json", "old")
    Full(monkeypatch, 10)
    with pytest.raises(OutputError, match=r"fit.json: cannot be written \(No space left on device\); what was there"):
        files.write_text(path, "new and long" * 100)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["fit.json"]


@pytest.mark.parametrize("place", ["/proc/ephysfit", "/dev/null/x"])
def test_a_place_that_takes_no_files_is_said_before_the_fit(cell, place, capsys):
    with pytest.raises(SystemExit) as end:
        main(["fit", str(cell), "--model", "LIF", "-o", place])
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert "cannot be written" in said
    assert "likelihood" not in said


def test_a_report_that_fails_does_not_take_the_fit_with_it(cell, tmp_path, monkeypatch, capsys):
    import ephysfit.reports.report as report

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "render_page", broken)
    with pytest.raises(SystemExit) as end:
        main(["fit", str(cell), "--model", "ALIF", "--intervals", "none", "--runs", "20", "-o", str(tmp_path / "a")])
    assert end.value.code == 1
    assert "the fit itself is saved" in capsys.readouterr().err
    assert json.loads((tmp_path / "a" / "fit.json").read_text())["model"] == "ALIF"


@pytest.mark.slow
def test_a_batch_keeps_the_fit_whose_page_breaks(cell, tmp_path, monkeypatch):
    from ephysfit.batch import fit_task
    from ephysfit.batch.store import Store
    from ephysfit.batch.task import Settings, make_tasks

    monkeypatch.setattr("ephysfit.reports.report.render_page", lambda *_: 1 / 0)
    (task,) = make_tasks(find_cells([cell]), ["ALIF"], Settings(None, 0, 20, True, ""))
    found = fit_task.attempt_task(task, Store(tmp_path))
    assert found["status"] == "done"
    assert "ZeroDivisionError" in found["report_lost"]
    assert found["fit"]["model"] == "ALIF"


def test_names_that_are_no_text_are_written_out():
    assert files.make_printable(os.fsdecode(b"cell_\xff.abf")) == "cell_\\xff.abf"
    assert files.make_safe_name("../a\nb" + "x" * 500)[:7] == ".._a_bx"
    assert len(files.make_safe_name("x" * 500)) <= 60


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "darwin", reason="its file system takes UTF-8 names only")
def test_a_file_whose_name_is_no_text_breaks_no_table(cell, tmp_path):
    odd = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"cell_\xff.npz"))
    Path(odd).write_bytes(cell.read_bytes())
    run_folder = tmp_path / "run"
    done = run("batch", odd, "--model", "LIF", "-o", run_folder, "-j", "1")
    assert done.returncode == 0, done.stderr
    for verb in (("collect", run_folder), ("summarize", run_folder), ("status", run_folder)):
        told = run(*verb)
        assert told.returncode == 0, told.stderr
        assert "Traceback" not in told.stderr
    assert "cell_\\xff" in (run_folder / "tables" / "fits.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("env", [{"PYTHONIOENCODING": "cp1252"}, {"PYTHONIOENCODING": "ascii"}, {"COLUMNS": "5"}])
def test_terminals_that_cannot_show_it_get_no_traceback(cell, env):
    for verb in (("info", cell), ("models", "AdLIF"), ("fit", "--help")):
        told = run(*verb, env=env)
        assert told.returncode == 0, told.stderr
        assert "Traceback" not in told.stderr


def test_names_send_nothing_to_the_terminal(capsys):
    output.print_line("cell\x1b[31m\x07\r")
    output.print_table([{"cell": "a\x1b]0;title\x07"}])
    said = capsys.readouterr().out
    assert not any(ord(c) < 32 and c != "\n" for c in said)


def test_threads_that_are_no_number_are_named(monkeypatch):
    from ephysfit.errors import SimulationError

    for wrong in ("abc", "0", "-1", "1.5"):
        monkeypatch.setenv("EPHYSFIT_THREADS", wrong)
        with pytest.raises(SimulationError, match=f"EPHYSFIT_THREADS={wrong}"):
            threads.count()


def test_links_in_circles_end_and_linked_folders_are_read(tmp_path):
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for folder in (data / "a", data / "b", elsewhere):
        folder.mkdir(parents=True)
        (folder / f"{folder.name}.nwb").write_bytes(b"x")
    for k in range(4):
        (data / "a" / f"loop{k}").symlink_to(data)
    (data / "linked").symlink_to(elsewhere)
    names = [["a", "b", "elsewhere"]] * 3
    begin = time.process_time()
    for source, wanted in zip((data, f"{data}/**/*.nwb", f"{tmp_path}/dat*/**/*.nwb"), names, strict=True):
        found = find_cells([source])
        assert sorted(c.files[0].stem for c in found) == wanted
    assert time.process_time() - begin < 5


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGTERM to a process there")
def test_sigterm_ends_a_batch_in_order_and_says_how_it_goes_on(cell, tmp_path):
    many = tmp_path / "cells"
    many.mkdir()
    for k in range(40):
        (many / f"c{k}.npz").write_bytes(cell.read_bytes())
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "ephysfit", "batch", str(many), "--model", "LIF", "-o", str(folder), "-j", "1"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        patience = time.monotonic() + 120
        while not list(folder.glob("results/*")) and time.monotonic() < patience:
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=60)[1]
    assert process.returncode == 143, told
    assert f"resume with `ephysfit batch -o {folder}`" in told
    assert "Traceback" not in told
