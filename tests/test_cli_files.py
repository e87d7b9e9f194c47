"""The verbs that look at files and write into them: what they print at any width, their pictures, what is read back."""

from __future__ import annotations

import json
import os
import pty
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import ephysfit as ef
from ephysfit.cli import main
from ephysfit.cli.verbs import info

ROOT = Path(__file__).parents[1]
CELL = ROOT / "data" / "DRN158.nwb"


@pytest.fixture
def run(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return call


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """Seventy steps in a table, the first sweep of them without a current."""
    t = np.arange(3000) * 0.1
    rng = np.random.default_rng(0)
    current = np.stack([10.0 * k * ((t > 100) & (t < 200)) for k in range(70)])
    current[0, 500] = np.nan
    voltage = -70 + 0.1 * rng.standard_normal(current.shape)
    path = tmp_path_factory.mktemp("steps") / "many steps.npz"
    np.savez(path, current_pA=current, voltage_mV=voltage, dt_ms=0.1)
    return path


class TestInfo:
    def test_says_what_trains_and_tests_and_why(self, run):
        code, out, _ = run("info", CELL)
        assert code == 0
        assert "DRN158.nwb · NWB 2 · cell DRN158 · 11 sweeps · 160 s" in out
        assert "train: 1 sweep, 60 s, 309 spikes" in out
        assert "they show the cell's own reliability" in " ".join(out.split())
        assert "bridge was not balanced" in out

    def test_long_lists_are_folded_and_reasons_given_once(self, run, steps):
        code, out, _ = run("info", steps)
        assert code == 0
        assert "… 19 more: --all" in out
        assert out.count("missing (NaN)") == 1
        assert "Not used:" in out
        assert "69 sweeps, 1 not used" in out
        assert "… 19 more" not in run("info", steps, "--all")[1]

    def test_reasons_that_differ_in_numbers_alone_are_given_once(self, capsys):
        reasons = [(f"sweep_{k}", f"depolarisation block: {k} spikes, then silence for {k}.5 ms") for k in range(6)]
        info._print_grouped("Not used", [*reasons, ("other", "no current")])
        assert capsys.readouterr().out == (
            "Not used:\n  other: no current\n  sweep_0, sweep_1, sweep_2, sweep_3 and 2 more: depolarisation block: 0 "
            "spikes, then silence for\n    0.5 ms (so the first; the others alike: --all)\n"
        )
        info._print_grouped("Not used", reasons, most=6)
        assert capsys.readouterr().out.count("depolarisation block") == 6

    def test_json_holds_all_of_it(self, run, steps):
        found = json.loads(run("info", steps, "--json")[1])
        assert len(found["sweeps"]) == 69
        assert {s["use"] for s in found["sweeps"]} == {"train", "test"}
        assert found["sweeps"][0]["kind"] == "step"
        assert found["why"].startswith("no current occurs")

    def test_headers_alone(self, run):
        assert "11 sweeps, electrodes: electrode" in run("info", CELL, "--headers")[1]
        assert len(json.loads(run("info", CELL, "--headers", "--json")[1])[0]) == 11

    @pytest.mark.parametrize("width", [80, 140])
    def test_fits_the_terminal(self, width):
        text = in_terminal(width, "info", str(CELL))
        assert max(len(line) for line in text.splitlines()) <= width
        assert "response_10" in text  # no name is broken over lines

    def test_plots_on_request(self, run, tmp_path):
        code, out, _ = run("info", CELL, "--sweeps", "1,2", "--plot", tmp_path / "a.png")
        assert code == 0
        assert (tmp_path / "a.png").stat().st_size > 20_000
        assert str(tmp_path / "a.png") in out


def in_terminal(width, *arguments):
    """What a terminal of this width would show, without colours."""
    import fcntl
    import re
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    command = [sys.executable, "-m", "ephysfit", *arguments]
    process = subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL, stdin=slave, cwd=ROOT)
    os.close(slave)
    out = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        out += part
    process.wait()
    os.close(master)
    return re.sub(r"\x1b\[[0-9;]*m", "", out.decode().replace("\r", ""))


class TestInspect:
    def test_one_page_or_a_book(self, run, steps, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        code, out, err = run("inspect", steps, "--sweeps", ",".join(map(str, range(1, 10))))
        assert code == 0, err
        assert (tmp_path / "many_steps_sweeps.pdf").read_bytes().startswith(b"%PDF")
        assert "9 sweeps" in out
        code, out, _ = run("inspect", CELL, "--sweeps", "1", "--zoom", "2000-3000", "-o", "z.svg")
        assert code == 0
        assert "<svg" in (tmp_path / "z.svg").read_text(encoding="utf-8")

    def test_detection_is_tuned_from_here(self, run, tmp_path):
        out = tmp_path / "a.png"
        plain = run("inspect", CELL, "--sweeps", "1", "-o", out)[1]
        tuned = run("inspect", CELL, "--sweeps", "1", "-o", out, "-O", "spikes.height=200")[1]
        assert ", 0 spikes" not in plain
        assert ", 0 spikes" in tuned

    def test_wrong_names_are_usage_errors(self, run, tmp_path):
        assert run("inspect", CELL, "--sweeps", "1", "-o", tmp_path / "a.txt")[0] == 2
        assert run("inspect", CELL, "--zoom", "x")[0] == 2

    def test_what_is_drawn_is_what_was_loaded(self):
        from ephysfit.reports.figures.recorded_sweeps import draw_pages

        recording = ef.load(CELL, sweeps=[1])
        (fig,) = draw_pages(recording)
        marks = [line for ax in fig.axes for line in ax.lines if line.get_marker() == "|"]
        np.testing.assert_array_equal(marks[0].get_xdata(), recording[0].spike_times)

    def test_spikes_without_voltage_are_drawn_too(self):
        from ephysfit.reports.figures.recorded_sweeps import draw_pages

        recording = ef.Recording.of(np.ones((2, 500)), 0.1, spike_times=[[3.0, 9.0], []])
        assert len(draw_pages(recording)) == 1


class TestWrite:
    @pytest.mark.slow
    def test_into_the_file_and_back(self, run, tmp_path):
        path = tmp_path / "cell.nwb"
        shutil.copy(CELL, path)
        train, _ = ef.load(path).split()
        cell = ef.models.LIF(C=80.0, g=5.0, E_L=-60.0, theta=-45.0, V_reset=-60.0, t_ref=3.0, delta=2.0)
        from ephysfit.fitting.provenance import Provenance
        from ephysfit.fitting.recording_identity import hash_recording

        names = tuple(s.name for s in train)
        made = Provenance(sweeps=names, recording="cell.nwb", data_sha256=hash_recording(train))
        ef.Fit(cell, "DRN158", 0.5, provenance=made).save(tmp_path / "fit.json")
        code, out, err = run("write", tmp_path / "fit.json", path, "--runs", "3", "--label", "mine")
        assert code == 0, err
        assert "LIF of DRN158, 3 noisy runs of 10 sweeps" in out
        assert ef.Fit.load(path).neuron.values() == cell.values()
        code, out, _ = run("score", path, path, "--runs", "5")  # the fit and its recording in one file
        assert code == 0
        assert "Md* ±4 ms" in out
        code, _, err = run("write", tmp_path / "fit.json", path, "--label", "mine", "--runs", "2")
        assert code == 1
        assert "already holds a fit named" in err
