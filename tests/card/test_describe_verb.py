"""`ephysfit describe`: 80 columns, JSON, a model beside."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from membranes import DT, draw_spike, play, single

import ephysfit as ef
from ephysfit.cli import main
from ephysfit.models import LIF


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A file of pulses: current, voltage, and spikes at the largest."""
    currents = [play(a) for a in (-40.0, -20.0, 40.0, 80.0)]
    path = tmp_path / "steps.npz"
    voltage = np.array([single(i) for i in currents])
    shape = draw_spike()
    for t in (300.0, 400.0, 500.0, 600.0):
        voltage[3, round(t / DT) : round(t / DT) + len(shape)] = shape
    np.savez(path, current_pA=np.array(currents), voltage_mV=voltage, dt_ms=DT)
    return path


def run(*arguments: object) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(a) for a in arguments])
    assert ended.value.code in (0, None)


def test_the_card_fits_eighty_columns(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("describe", table)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "input resistance" in out
    assert "single exponential, mean of 2 pulses of -40 to -20 pA" in " ".join(out.split())
    assert "Missing:" in out


def test_json_is_what_python_gives(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("describe", table, "--json")
    plain = json.loads(capsys.readouterr().out)
    assert plain == json.loads(json.dumps(ef.describe(ef.load(table)).to_dict()))
    assert plain["measures"]["tau"]["value"] == pytest.approx(20.0, rel=0.03)


def test_info_prints_the_card_too(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("describe", table)
    alone = capsys.readouterr().out
    run("info", table, "--card")
    assert capsys.readouterr().out.endswith(alone)
    run("info", table, "--card", "--json")
    assert json.loads(capsys.readouterr().out)["card"] == ef.describe(ef.load(table)).to_dict()
    run("info", table, "--json")
    assert "card" not in json.loads(capsys.readouterr().out)


def test_a_fit_stands_beside_the_cell(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-58.0, V_reset=-65.0, t_ref=2.0, delta=0.2)
    path = ef.Fit(cell, "steps", DT).save(tmp_path / "fit.json")
    run("describe", table, "--fit", path, "--brief")
    lines = capsys.readouterr().out.splitlines()
    (row,) = (line.split() for line in lines if line.startswith("membrane time constant"))
    assert row[-1] in ("0.99", "1.00", "1.01")
    assert max(map(len, lines)) <= 80
    run("describe", table, "--fit", path, "--json")
    assert set(json.loads(capsys.readouterr().out)) == {"cell", "model"}
